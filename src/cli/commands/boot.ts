/** `apei boot`: what firmwares make of fw_cfg files. */
import { open, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import { type BootResult, boot, FIRMWARES, type FirmwareName } from "../../firmware/boot.ts";
import { consequenceOf, differences, firmwareTitle } from "../../firmware/consequence.ts";
import { linkedSources } from "../../firmware/error-sources.ts";
import type { WrittenPointer } from "../../firmware/frame.ts";
import { makeFolder } from "../../input/local-files.ts";
import { capital, hexNumber, type Json, parseNumber, UsageError } from "../../layout/index.ts";
import { entryText } from "../../loader/script.ts";
import { DEFAULT_RAM, q35, virt } from "../../machine/machines.ts";
import { SparseMemory } from "../../machine/memory.ts";
import { writeWhole } from "../files.ts";
import { readHandOff } from "../hand-off-folder.ts";
import { type Command, EXIT } from "../io.ts";

/** What `all` stands for: the programs that exist, and the one that asks for agreement. */
const ALL: readonly FirmwareName[] = ["seabios", "ovmf", "aavmf", "strict"];

export const command: Command = {
  builder: (args) =>
    args
      .positional("folder", { type: "string", demandOption: true, describe: "folder of fw_cfg files, as build writes it or a capture holds it" })
      .option("firmware", { type: "string", choices: [...Object.keys(FIRMWARES), "all"], default: "all", describe: "which firmware" })
      .option("place", { type: "string", array: true, describe: "FILE=ADDRESS: put a file at a fixed address; table:HEST=… for a table EDK2 copies" })
      .option("file", { type: "string", array: true, describe: "NAME=PATH: a further fw_cfg file" })
      .option("writable", { type: "string", array: true, describe: "NAME=SIZE: a further fw_cfg file the guest may write" })
      .option("memory", { type: "string", describe: "guest RAM in MiB (default 256)" })
      .option("resume", { type: "boolean", describe: "suspend to RAM and resume after the boot: what the firmware writes back again" })
      .option("trace", { type: "boolean", describe: "every entry of the script, also where firmwares agree" })
      .option("out", { type: "string", describe: "folder for the memory image (sparse), the blobs as linked and the guest's tables" })
      .option("json", { type: "boolean", describe: "JSON" }),
  handler: async (args, io) => {
    const wanted = args["firmware"] as FirmwareName | "all";
    const names = wanted === "all" ? ALL : [wanted];
    const ram = args["memory"] === undefined ? DEFAULT_RAM : mebibytes(args["memory"] as string);
    const extra = {
      files: pairs(args["file"], (path) => path),
      writable: pairs(args["writable"], (size, option) => sizeOf(size, option)),
    };
    const placements = pairs(args["place"], addressOf);
    const { files, notes } = await readHandOff(args["folder"] as string, extra, io);
    for (const note of notes) io.stderr.write(`apei: ${note}\n`);
    const results = names.map((firmware) => {
      const machine = FIRMWARES[firmware].machine().name === "q35" ? q35(ram) : virt(ram);
      return boot(files, { firmware, machine, placements });
    });
    // After the boot's own results are taken: resuming empties what the firmware wrote and lets it write again.
    const again = args["resume"] ? results.map((result) => result.resume()) : undefined;
    const apart = results.length > 1 ? differences(results.filter((result) => result.firmware !== "strict")) : [];
    if (args["out"] !== undefined)
      for (const result of results) await writeBoot(results.length > 1 ? join(args["out"] as string, result.firmware) : (args["out"] as string), result);
    if (args["json"]) {
      const list = results.map((result, i) => ({ ...bootJson(result), ...(again && { resumed: again[i]!.map(pointerJson) }) }));
      io.stdout.write(`${JSON.stringify(results.length > 1 ? { firmwares: list, differences: apart } : list[0], null, 2)}\n`);
    } else {
      const lines = results.flatMap((result, i) => [
        ...report(result, results.length === 1 || args["trace"] === true),
        ...(again
          ? ["Written back again after suspend to RAM", ...(again[i]!.length === 0 ? ["  nothing"] : again[i]!.map((pointer) => `  ${pointerText(pointer)}`))]
          : []),
        "",
      ]);
      if (results.length > 1) lines.push(apart.length === 0 ? "The firmwares agree." : "Where the firmwares differ:", ...apart.map((line) => `  ${line}`), "");
      io.stdout.write(`${lines.slice(0, -1).join("\n")}\n`);
    }
    const odd = results.some((result) => result.state !== "acpi" || result.trace.some((entry) => entry.outcome === "refused" || entry.outcome === "stuck"));
    return odd || apart.length > 0 ? EXIT.findings : EXIT.fine;
  },
};

// ---- options ----

function pairs<T>(given: unknown, read: (text: string, option: string) => T): ReadonlyMap<string, T> {
  return new Map(
    ((given as string[] | undefined) ?? []).map((word) => {
      const at = word.indexOf("=");
      if (at < 1) throw new UsageError(`${word}: is not of the form NAME=VALUE`);
      return [word.slice(0, at), read(word.slice(at + 1), word)];
    }),
  );
}
function addressOf(text: string, option: string): bigint {
  const address = parseNumber(text);
  if (address === undefined) throw new UsageError(`${option}: ${text} is no address such as 0x47fb0000`);
  if (address >> 64n !== 0n) throw new UsageError(`${option}: ${text} has more than 64 bits`);
  return address;
}
function sizeOf(text: string, option: string): number {
  const size = Number(text);
  if (!Number.isSafeInteger(size) || size < 0 || size > 1 << 26) throw new UsageError(`${option}: ${text} is no size`);
  return size;
}
function mebibytes(text: string): bigint {
  const size = Number(text);
  if (!Number.isInteger(size) || size < 16 || size > 1 << 22) throw new UsageError(`--memory ${text}: give MiB from 16 to ${1 << 22}`);
  return BigInt(size) << 20n;
}

// ---- output ----

const pointerText = (pointer: WrittenPointer): string => `${pointer.file} at ${pointer.offset}: ${hexNumber(pointer.value)}`;
const pointerJson = (pointer: WrittenPointer) => ({ file: pointer.file, offset: pointer.offset, size: pointer.size, value: hexNumber(pointer.value) });

const sourcesOf = (result: BootResult) => {
  const hest = result.tables.find((table) => table.signature === "HEST");
  return hest ? linkedSources(result.memory, hest) : [];
};

function report(result: BootResult, whole: boolean): string[] {
  const { guest, words } = consequenceOf(result);
  const trace = result.trace.filter((entry) => whole || entry.outcome === "refused" || entry.outcome === "stuck");
  const section = (title: string, lines: readonly string[]) => (lines.length === 0 ? [] : [title, ...lines.map((line) => `  ${line}`)]);
  return [
    `${firmwareTitle(result.firmware)} (${FIRMWARES[result.firmware].title}): the guest ${guest}`,
    ...words.map((line) => `  ${capital(line)}.`),
    ...section(
      whole ? "Script" : "Entries that were not carried out",
      trace.map((entry) => `[${entry.index}] ${entry.outcome}: ${entryText(entry.entry)}${entry.detail === "" ? "" : ` → ${entry.detail}`}`),
    ),
    ...section(
      "Files in memory",
      [...result.placements.values()].map((blob) => `${hexNumber(blob.address)}  ${blob.name}, ${blob.size} bytes, ${blob.zone}`),
    ),
    ...section("Written back to the host", result.writtenPointers.map(pointerText)),
    ...section("Tables of the operating system", [
      ...(result.rsdpAddress === undefined || result.tables.length === 0 ? [] : [`${hexNumber(result.rsdpAddress)}  RSDP`]),
      ...(result.rootTable && result.tables.length > 0
        ? [`${hexNumber(result.rootTable.address)}  ${result.rootTable.signature}, ${result.rootTable.length} bytes`]
        : []),
      ...result.tables.map((table) => `${hexNumber(table.address)}  ${table.signature}, ${table.length} bytes${table.checksumOk ? "" : ", wrong checksum"}`),
    ]),
    ...section(
      "Error sources",
      sourcesOf(result).map((source) =>
        [
          `${source.id}: ${source.type}`,
          ...(source.notification === undefined ? [] : [`notified by ${source.notification}`]),
          ...(source.statusRegister === undefined ? [] : [`address register ${hexNumber(source.statusRegister)}`]),
          ...(source.blockAddress === undefined ? [] : [`block ${hexNumber(source.blockAddress)} of ${source.blockLength} bytes`]),
          ...(source.acknowledgeRegister === undefined ? [] : [`acknowledge register ${hexNumber(source.acknowledgeRegister)}`]),
        ].join(", "),
      ),
    ),
    ...section("Notes", result.notes),
  ];
}

function bootJson(result: BootResult): { [key: string]: Json } {
  const { guest, words } = consequenceOf(result);
  return {
    firmware: result.firmware,
    follows: FIRMWARES[result.firmware].title,
    state: result.state,
    guest,
    consequence: [...words],
    ...(result.failure !== undefined && { failure: result.failure }),
    trace: result.trace.map((entry) => ({ index: entry.index, outcome: entry.outcome, entry: entryText(entry.entry), detail: entry.detail })),
    placements: Object.fromEntries(
      [...result.placements.values()].map((blob) => [blob.name, { address: hexNumber(blob.address), size: blob.size, zone: blob.zone }]),
    ),
    writtenPointers: result.writtenPointers.map(pointerJson),
    ...(result.rsdpAddress !== undefined && { rsdp: hexNumber(result.rsdpAddress) }),
    ...(result.rootTable && { root: { signature: result.rootTable.signature, address: hexNumber(result.rootTable.address), length: result.rootTable.length } }),
    listing: [...result.listing],
    tables: result.tables.map((table) => ({
      signature: table.signature,
      address: hexNumber(table.address),
      length: table.length,
      checksumOk: table.checksumOk,
    })),
    errorSources: sourcesOf(result).map(({ id, type, notification, statusRegister, blockAddress, blockLength, acknowledgeRegister }) => ({
      id,
      type,
      ...(notification !== undefined && { notification }),
      ...(statusRegister !== undefined && { statusRegister: hexNumber(statusRegister) }),
      ...(blockAddress !== undefined && { blockAddress: hexNumber(blockAddress) }),
      ...(blockLength !== undefined && { blockLength }),
      ...(acknowledgeRegister !== undefined && { acknowledgeRegister: hexNumber(acknowledgeRegister) }),
    })),
    notes: [...result.notes],
  };
}

/** The sparse image (a byte's place in the file is its guest address), every blob as linked, every table as the guest sees it. */
async function writeBoot(folder: string, result: BootResult): Promise<void> {
  makeFolder(folder);
  const blobs = [...result.placements.values()];
  for (const blob of blobs) await writeWhole(join(folder, `ram_${blob.name.replaceAll("/", "_")}`), result.memory.read(blob.address, blob.size));
  const count = new Map<string, number>();
  for (const table of result.tables) {
    const nth = (count.get(table.signature) ?? 0) + 1;
    count.set(table.signature, nth);
    await writeWhole(join(folder, "tables", `${table.signature}${nth > 1 ? nth : ""}.dat`), table.bytes);
  }
  await writeWhole(
    join(folder, "addresses.json"),
    `${JSON.stringify(Object.fromEntries(blobs.map((blob) => [blob.name, hexNumber(blob.address)])), null, 2)}\n`,
  );
  if (result.memory instanceof SparseMemory) await writeSparse(join(folder, "memory.img"), result.memory);
}

async function writeSparse(path: string, memory: SparseMemory): Promise<void> {
  const temporary = `${path}.part`;
  try {
    const file = await open(temporary, "w");
    try {
      // Only pages that were written are stored: the rest of the file is a hole.
      for (const [address, bytes] of memory.pages()) await file.write(bytes, 0, bytes.length, Number(address));
      await file.truncate(Math.max(...memory.regions.map((region) => Number(region.start + region.length))));
    } finally {
      await file.close();
    }
    await rename(temporary, path);
  } catch (error) {
    await rm(temporary, { force: true });
    throw new UsageError(`${path}: ${(error as Error).message}`);
  }
}
