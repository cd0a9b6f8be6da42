/** Rules about files together: what one says of another. */
import { Bert } from "../acpi/bert.ts";
import { ErrorStatusBlockHeader } from "../acpi/status-block.ts";
import { type BootResult, boot, type FirmwareName } from "../firmware/boot.ts";
import { readHest } from "../guest/hest.ts";
import { architectureOf } from "../guest/hest-probe.ts";
import { readRegister } from "../guest/registers.ts";
import { hexNumber, parse } from "../layout/index.ts";
import { ENTRY_SIZE, fileName } from "../loader/commands.ts";
import { FILE, type FwCfgFile } from "../loader/fw-cfg.ts";
import { handOffProblems } from "../loader/rules.ts";
import { entryText, parseScript } from "../loader/script.ts";
import type { Profile, RuleData } from "./rule.ts";
import { sourcesOf } from "./rules/hest.ts";
import { type Table, tableOf } from "./table.ts";

const refusedBy = (profile: "seabios" | "edk2", title: string, does: string): RuleData => ({
  id: `loader-${profile}`,
  title: `${title} refuses an entry of the loader script`,
  source: `${title} behaviour`,
  explain:
    "The linker/loader script is carried out entry by entry. SeaBIOS warns and goes on with the next; EDK2 stops at the first bad entry, takes everything back and boots without these tables.",
  consumers: { [profile]: ["error", does] },
});

export const CROSS_RULES = {
  seabios: refusedBy("seabios", "SeaBIOS", "leaves the entry out"),
  edk2: refusedBy("edk2", "EDK2", "takes back everything: no tables from QEMU"),
  unsafe: {
    id: "loader-unsafe",
    title: "A hand-off that some firmware mishandles",
    source: "SeaBIOS and EDK2 behaviour, QEMU bios-linker-loader",
    explain:
      "The script and its blobs are linked on trial. What is found here makes SeaBIOS or EDK2 lose or damage something, whether or not it shows in one boot: overlapping patches, checksums taken too early or over bytes that change, pointers outside a blob, files nobody allocated.",
    consumers: {
      seabios: ["error", "may lose or damage tables"],
      edk2: ["error", "may lose all tables"],
      qemu: ["error", "would refuse to write such a script"],
    },
  },
  differs: {
    id: "loader-differs",
    title: "A hand-off that firmwares treat differently",
    source: "SeaBIOS and EDK2 behaviour",
    explain: "Both cope with it, each in its own way: the guest may see different tables.",
    consumers: { seabios: ["note", "copes in its own way"], edk2: ["note", "copes in its own way"] },
  },
  noAcpi: {
    id: "loader-no-acpi",
    title: "The guest ends up without ACPI tables",
    source: "recorded behaviour of SeaBIOS and EDK2",
    explain: "After the script was carried out, the operating system finds no tables from the root pointer.",
    consumers: { seabios: ["error", "boots without ACPI"], edk2: ["error", "boots without these tables"], linux: ["error", "finds no tables"] },
  },
  unreachable: {
    id: "table-unreachable",
    title: "A table is not reachable from the root pointer",
    source: "ACPI 6.5 5.2.5",
    explain: "The table is in the blob and has a checksum command, but no entry of the root table leads to it.",
    consumers: { spec: ["error", "is no part of the system"], linux: ["error", "does not find it"], seabios: ["note", "copies it unseen"] },
  },
  pointerOutside: {
    id: "hest-pointer-outside",
    title: "A HEST register lies outside etc/hardware_errors",
    source: "QEMU hw/acpi/ghes.c",
    explain:
      "Both registers of a source, and the status block the first one points at, belong to the blob that QEMU writes errors into. Elsewhere the guest reads memory that is not meant for it.",
    consumers: { qemu: ["error", "writes errors where the guest does not look"], linux: ["error", "reads other memory"] },
  },
  blockOverlap: {
    id: "hest-block-overlap",
    title: "Two status blocks overlap",
    source: "ACPI 6.5 18.3.2.7",
    explain: "Every source needs a block of its own, or one error destroys another's record.",
    consumers: {
      spec: ["error", "wants one block for each source"],
      qemu: ["error", "overwrites records"],
      linux: ["warning", "reports an error twice or not at all"],
    },
  },
  unalignedPointer: {
    id: "hest-pointer-alignment",
    title: "A pointer to a status block is not aligned",
    source: "QEMU hw/acpi/ghes.c",
    explain: "The guest reads pointer and acknowledge words in one 8-byte access; host and guest see whole values only when they are aligned.",
    consumers: { qemu: ["warning", "aligns them to 8 bytes"], linux: ["warning", "may read torn values"] },
  },
  acknowledgeInitial: {
    id: "hest-acknowledge-initial",
    title: "A source starts as if the guest still had a record to read",
    source: "QEMU hw/acpi/ghes.c",
    explain: "The acknowledge word must be 1 at start: with 0 the host waits for an acknowledgement that never comes and delivers nothing.",
    consumers: { qemu: ["error", "never delivers an error"] },
  },
  lookup: {
    id: "hest-lookup",
    title: "QEMU cannot step over a source",
    source: "QEMU hw/acpi/ghes.c, machines from virt-10.2 on",
    explain:
      "Where QEMU is told the address of HEST, it looks a source up in the guest's table by its id. It knows the size of version 2 generic sources only, and gives up at any other.",
    consumers: { qemu: ["error", "delivers no error to this source or those behind it"] },
  },
  notifier: {
    id: "hest-error-device",
    title: "No error device for SCI, GPIO or GSIV sources",
    source: "ACPI 6.5 18.3.2.7.2",
    explain:
      "Sources that signal by SCI, GPIO or GSIV are announced through a device with the id PNP0C33 in the DSDT or an SSDT, which receives notification 0x80. Without it Linux binds the sources and never hears of them.",
    consumers: { spec: ["error", "wants a PNP0C33 device"], linux: ["error", "is never notified"] },
  },
  sdei: {
    id: "hest-sdei-table",
    title: "An SDEI source without an SDEI table",
    source: "ACPI 6.5 18.3.2.7, SDEI platform design document",
    explain: "The SDEI table tells the operating system that firmware implements the interface.",
    consumers: { spec: ["error", "wants the SDEI table"], linux: ["error", "cannot register the event"] },
  },
  bertRegion: {
    id: "bert-region",
    title: "The boot error region does not fit its table",
    source: "ACPI 6.5 18.3.1",
    explain: "The region has the length the table says, and holds error status blocks back to back up to an empty one.",
    consumers: { spec: ["error", "is inconsistent"], linux: ["error", "stops at the first block that makes no sense"] },
  },
  blockTooLong: {
    id: "block-too-long",
    title: "A status block is longer than its source allows",
    source: "ACPI 6.5 18.3.2.7",
    explain: "Linux drops a block that is longer than the source's error status block length.",
    consumers: { spec: ["error", "limits it"], linux: ["error", "clears and acknowledges it unread"] },
  },
} as const satisfies Record<string, RuleData>;

export interface CrossInput {
  readonly tables: readonly Table[];
  /** Error status blocks, by the name of their file. */
  readonly blocks: readonly { readonly file: string; readonly bytes: Uint8Array }[];
  /** fw_cfg files by their fw_cfg names, with the names the user gave. */
  readonly files: ReadonlyMap<string, { readonly file: string; readonly bytes: Uint8Array }>;
  /** Boot error region, when given. */
  readonly region?: { readonly file: string; readonly bytes: Uint8Array };
}

export type CrossReport = (
  rule: RuleData,
  where: { readonly file: string; readonly table: string; readonly path: string; readonly offset: number },
  found: string,
  expected: string,
) => void;

/** Notification kinds that arrive through the error device. */
const BY_DEVICE: ReadonlySet<unknown> = new Set(["sci", "gpioSignal", "gsiv"]);
/** PNP0C33 as AML packs it, and as text. */
const ERROR_DEVICE = [Uint8Array.of(0x41, 0xd0, 0x0c, 0x33), Uint8Array.from("PNP0C33", (letter) => letter.charCodeAt(0))];

const holds = (bytes: Uint8Array, part: Uint8Array): boolean => {
  for (let at = bytes.indexOf(part[0]!); at >= 0; at = bytes.indexOf(part[0]!, at + 1)) if (part.every((byte, i) => bytes[at + i] === byte)) return true;
  return false;
};

/** The checks of tables against each other. */
export function checkTogether({ tables, blocks, region }: CrossInput, report: CrossReport): void {
  const code = tables.filter(({ signature }) => signature === "DSDT" || signature === "SSDT");
  const hests = tables.filter(({ signature }) => signature === "HEST");
  const isWholeSystem = tables.some(({ signature }) => signature === "FACP" || signature === "APIC");
  for (const table of hests) {
    for (const source of sourcesOf(table).whole) {
      const type = (source.value["notification"] as { type?: unknown } | undefined)?.type;
      // Looking up an offset is not free: only a finding needs it.
      const where = () => ({
        file: table.file,
        table: "HEST",
        path: `${source.path}.notification.type`,
        offset: table.offsetOf(`${source.path}.notification.type`),
      });
      if (!source.type.startsWith("generic") || source.value["enabled"] === 0) continue;
      if (BY_DEVICE.has(type) && code.length > 0 && !code.some(({ bytes }) => ERROR_DEVICE.some((id) => holds(bytes, id))))
        report(CROSS_RULES.notifier, where(), `${String(type)}, and no PNP0C33 in ${code.map(({ signature }) => signature).join(", ")}`, "a PNP0C33 device");
      if (type === "sdei" && isWholeSystem && !tables.some(({ signature }) => signature === "SDEI"))
        report(CROSS_RULES.sdei, where(), "sdei, and no SDEI table", "an SDEI table");
    }
  }
  const lengths = hests.flatMap((table) =>
    sourcesOf(table)
      .whole.map((source) => source.value["errorStatusBlockLength"])
      .filter((length) => typeof length === "number"),
  );
  if (lengths.length > 0)
    for (const { file, bytes } of blocks) {
      const total = blockLength(bytes, 0);
      const most = Math.max(...lengths);
      if (total > most)
        report(
          CROSS_RULES.blockTooLong,
          { file, table: "status-block", path: "block.header.dataLength", offset: 12 },
          `${total} bytes`,
          `at most ${most}, the longest any source allows`,
        );
    }
  const bert = tables.find(({ signature }) => signature === "BERT");
  if (bert && region) checkRegion(bert, region, report);
}

/** Bytes of the block that starts at `at`: by its raw data when it has any, else by its entries. */
function blockLength(bytes: Uint8Array, at: number): number {
  const {
    rawDataOffset = 0,
    rawDataLength = 0,
    dataLength = 0,
  } = parse(ErrorStatusBlockHeader, bytes, at, Math.min(bytes.length, at + ErrorStatusBlockHeader.size));
  return rawDataLength > 0 ? rawDataOffset + rawDataLength : ErrorStatusBlockHeader.size + dataLength;
}

function checkRegion(bert: Table, region: { file: string; bytes: Uint8Array }, report: CrossReport): void {
  const { bootErrorRegionLength: length = 0 } = parse(Bert, bert.bytes);
  const where = { file: bert.file, table: "BERT", path: "bootErrorRegionLength", offset: bert.offsetOf("bootErrorRegionLength") };
  if (length !== region.bytes.length)
    report(CROSS_RULES.bertRegion, where, `${length} bytes, the region ${region.file} has ${region.bytes.length}`, "the same length");
  for (let at = 0, i = 0; at + ErrorStatusBlockHeader.size <= region.bytes.length; i++) {
    if (region.bytes.subarray(at, at + 4).every((byte) => byte === 0)) return;
    const total = blockLength(region.bytes, at);
    if (at + total > region.bytes.length) {
      report(
        CROSS_RULES.bertRegion,
        { file: region.file, table: "BERT region", path: `blocks[${i}]`, offset: at },
        `a block of ${total} bytes`,
        `at most the ${region.bytes.length - at} bytes that are left`,
      );
      return;
    }
    at += total;
  }
}

// ---- the hand-off of a virtual machine ----

const FIRMWARE_OF: readonly { readonly profile: "seabios" | "edk2"; readonly firmware: FirmwareName; readonly architecture: "arm64" | "x86" }[] = [
  { profile: "seabios", firmware: "seabios", architecture: "x86" },
  { profile: "edk2", firmware: "ovmf", architecture: "x86" },
  { profile: "edk2", firmware: "aavmf", architecture: "arm64" },
];
const ADDRESS_SIZE = 8;
/** Largest file firmware writes to that is made up when nobody gave it, bytes. */
const MOST_INVENTED = 4096;

/** The files as a machine would have them: those firmware writes are writable, and there even when nobody gave them. */
function machineFiles(files: CrossInput["files"]): Map<string, FwCfgFile> {
  const out = new Map<string, FwCfgFile>();
  const writable = new Map<string, number>();
  for (const entry of parseScript(files.get(FILE.script)!.bytes).entries)
    if (entry.command === "writePointer") {
      const name = fileName(entry.destinationFile);
      const end = entry.destinationOffset + entry.size;
      if (name) writable.set(name, Math.max(writable.get(name) ?? ADDRESS_SIZE, end <= MOST_INVENTED ? end : 0));
    }
  for (const [name, { bytes }] of files) out.set(name, { bytes, writable: writable.has(name) });
  for (const [name, size] of writable) if (!out.get(name)?.bytes.length) out.set(name, { bytes: new Uint8Array(size), writable: true });
  return out;
}

/** Tables that only Arm machines have. */
const ARM_TABLES = /^(GTDT|IORT)$/;

/**
 * Boot the files with every firmware that is asked for, and look at what becomes of them.
 * @returns the tables the operating system finds in the end.
 */
export function checkHandOff(
  input: CrossInput,
  profiles: ReadonlySet<Profile>,
  report: CrossReport,
): { tables: Table[]; architecture: "arm64" | "x86" } | undefined {
  const script = input.files.get(FILE.script);
  if (!script || !input.files.has(FILE.tables)) return undefined;
  const files = machineFiles(input.files);
  const result = boot(files, { firmware: "generic" });
  const arm = result.tables.some(({ signature, bytes }) => ARM_TABLES.test(signature) || (signature === "HEST" && architectureOf(bytes) === "arm64"));
  const architecture = arm ? "arm64" : "x86";
  const outcomes = FIRMWARE_OF.filter((row) => profiles.has(row.profile) && row.architecture === architecture).map((row) => ({
    ...row,
    result: boot(files, { firmware: row.firmware }),
  }));
  for (const { profile, result: outcome } of outcomes) {
    for (const step of outcome.trace)
      if (step.outcome === "refused" || step.outcome === "stuck")
        report(
          CROSS_RULES[profile],
          { file: script.file, table: "table-loader", path: `entries[${step.index}]`, offset: step.index * ENTRY_SIZE },
          `${entryText(step.entry)}: ${step.detail}`,
          "an entry that can be carried out",
        );
    if (outcome.state !== "acpi")
      report(
        CROSS_RULES.noAcpi,
        { file: script.file, table: "table-loader", path: "entries", offset: 0 },
        `${outcome.firmware}: ${outcome.failure ?? outcome.state}`,
        "tables reachable from the root pointer",
      );
  }
  for (const { entry, kind, message } of handOffProblems(files))
    report(
      kind === "mishandled" ? CROSS_RULES.unsafe : CROSS_RULES.differs,
      { file: script.file, table: "table-loader", path: entry === undefined ? "entries" : `entries[${entry}]`, offset: (entry ?? 0) * ENTRY_SIZE },
      message,
      "what all firmwares treat alike",
    );
  const tables = result.tables.map((table) => tableOf(`${input.files.get(FILE.tables)!.file} (${table.signature})`, table.bytes));
  checkReachable(input, result, report);
  checkPointers(input, result, architecture, report);
  return { tables, architecture };
}

/** Tables the script makes checksums for, that the operating system does not find. */
function checkReachable(input: CrossInput, result: BootResult, report: CrossReport): void {
  const blob = result.placements.get(FILE.tables);
  if (!blob) return;
  const found = new Set([...result.tables.map(({ address }) => address), ...(result.rootTable ? [result.rootTable.address] : [])]);
  for (const entry of result.script.entries) {
    if (entry.command !== "addChecksum" || entry.file !== FILE.tables) continue;
    const address = blob.address + BigInt(entry.start);
    const name = String.fromCharCode(...input.files.get(FILE.tables)!.bytes.subarray(entry.start, entry.start + 4));
    if (!found.has(address) && /^[A-Z0-9_]{4}$/.test(name) && name !== "RSDT" && name !== "XSDT")
      report(
        CROSS_RULES.unreachable,
        { file: input.files.get(FILE.tables)!.file, table: name, path: "header", offset: entry.start },
        `${name} at offset ${hexNumber(entry.start)}`,
        "an entry of the root table",
      );
  }
}

/** HEST's registers and blocks against the blob they should lie in. */
function checkPointers(input: CrossInput, result: BootResult, architecture: "arm64" | "x86", report: CrossReport): void {
  const blob = result.placements.get(FILE.hardwareErrors);
  const hest = result.tables.find(({ signature }) => signature === "HEST");
  if (!hest || !blob) return;
  const table = tableOf(input.files.get(FILE.tables)!.file, hest.bytes);
  const end = blob.address + BigInt(blob.size);
  const inside = (address: bigint, length: number) => address >= blob.address && address + BigInt(length) <= end;
  const blocks: { start: bigint; end: bigint; path: string }[] = [];
  const all = sourcesOf(table).whole;
  for (const source of readHest(result.memory, hest.address, architecture).sources) {
    const path = all.find((one) => one.sourceId === source.sourceId)?.path ?? "sources";
    const at = (field: string) => ({ file: table.file, table: "HEST", path: `${path}.${field}`, offset: table.offsetOf(`${path}.${field}`) });
    const spaces = { memory: result.memory };
    for (const [field, register] of [
      ["errorStatusAddress", source.errorStatusAddress],
      ["readAckRegister", source.readAckRegister],
    ] as const) {
      if (!register) continue;
      if (!inside(register.address, ADDRESS_SIZE))
        report(
          CROSS_RULES.pointerOutside,
          at(`${field}.address`),
          hexNumber(register.address),
          `an address from ${hexNumber(blob.address)} to ${hexNumber(end - 1n)}`,
        );
      else if ((register.address - blob.address) % BigInt(ADDRESS_SIZE) !== 0n)
        report(CROSS_RULES.unalignedPointer, at(`${field}.address`), hexNumber(register.address), `a multiple of ${ADDRESS_SIZE} in the blob`);
    }
    if (inside(source.errorStatusAddress.address, ADDRESS_SIZE)) {
      const block = readRegister(spaces, source.errorStatusAddress) ?? 0n;
      if (!inside(block, source.errorStatusBlockLength))
        report(
          CROSS_RULES.pointerOutside,
          at("errorStatusBlockLength"),
          `a block at ${hexNumber(block)}, ${source.errorStatusBlockLength} bytes`,
          `a block from ${hexNumber(blob.address)} to ${hexNumber(end - 1n)}`,
        );
      else blocks.push({ start: block, end: block + BigInt(source.errorStatusBlockLength), path });
    }
    if (source.readAckRegister && inside(source.readAckRegister.address, ADDRESS_SIZE)) {
      const value = readRegister(spaces, source.readAckRegister) ?? 0n;
      if ((value & (source.readAckWrite ?? 1n)) === 0n)
        report(CROSS_RULES.acknowledgeInitial, at("readAckRegister"), hexNumber(value), hexNumber(source.readAckWrite ?? 1n));
    }
  }
  if (result.writtenPointers.some(({ file }) => file === FILE.hestAddress))
    for (const source of all)
      if (source.type !== "genericHardwareErrorV2")
        report(
          CROSS_RULES.lookup,
          { file: table.file, table: "HEST", path: `${source.path}.type`, offset: source.offset },
          source.type,
          "genericHardwareErrorV2",
        );
  blocks.sort((a, b) => (a.start < b.start ? -1 : 1));
  for (let i = 1; i < blocks.length; i++)
    if (blocks[i]!.start < blocks[i - 1]!.end)
      report(
        CROSS_RULES.blockOverlap,
        { file: table.file, table: "HEST", path: `${blocks[i]!.path}.errorStatusAddress`, offset: table.offsetOf(`${blocks[i]!.path}.errorStatusAddress`) },
        `block at ${hexNumber(blocks[i]!.start)}`,
        `a block after ${hexNumber(blocks[i - 1]!.end)}`,
      );
}
