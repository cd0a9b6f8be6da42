/**
 * Hand-offs spoilt at random, booted on the real programs and on their models: same outcome, same bytes.
 * Needs qemu-system-x86, seabios, ovmf, qemu-system-arm, qemu-efi-aarch64 and the captures beside the project.
 *
 *   npm run long:firmware -- seabios 100 1      firmware, number of cases, seed
 *   npm run long:firmware -- ovmf 5 1 overlap   only changes of that kind
 */
import { spawn } from "node:child_process";
import { closeSync, copyFileSync, existsSync, ftruncateSync, mkdirSync, mkdtempSync, openSync, readFileSync, readSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { type BootResult, boot } from "../../src/firmware/boot.ts";
import { isRsdp, type OsTable, osView } from "../../src/firmware/os-view.ts";
import { bytesToHex, guidBytes } from "../../src/layout/index.ts";
import { FILE, type FwCfgFiles } from "../../src/loader/fw-cfg.ts";
import { entryText, parseScript } from "../../src/loader/script.ts";
import { VIRT_RAM_BASE } from "../../src/machine/machines.ts";
import { ArrayMemory } from "../../src/machine/memory.ts";
import { apply, type Change, change, type Files } from "../firmware/mutations.ts";
import { caseFiles, type OracleFirmware, outcomes, VMCOREINFO } from "../firmware/oracle.ts";

const RAM = 256 << 20;
const ACPI_TABLE_GUID = guidBytes("8868e871-e4f1-11d3-bc22-0080c73c8881")!;

interface Program {
  readonly command: string;
  readonly args: readonly string[];
  readonly ramBase: bigint;
  /** What its console says when it is through. */
  readonly done: RegExp;
  /** Seconds after which it counts as hanging. */
  readonly patience: number;
  /** Where fw_cfg's selector and data are: ports, or addresses with a big-endian selector. */
  readonly fwCfg: { readonly select: (key: number) => string; readonly read: string };
}
const swap16 = (value: number) => ((value & 255) << 8) | (value >> 8);
const PROGRAMS: Record<OracleFirmware, Program> = {
  seabios: {
    command: "qemu-system-x86_64",
    args: ["-M", "q35,acpi=off,memory-backend=ram0", "-chardev", "file,id=log,path=LOG", "-device", "isa-debugcon,iobase=0x402,chardev=log"],
    ramBase: 0n,
    done: /No bootable device/,
    patience: 15,
    fwCfg: { select: (key) => `outw 0x510 0x${key.toString(16)}`, read: "inb 0x511" },
  },
  ovmf: {
    command: "qemu-system-x86_64",
    args: [
      "-M",
      "q35,acpi=off,memory-backend=ram0",
      "-drive",
      "if=pflash,format=raw,readonly=on,file=/usr/share/OVMF/OVMF_CODE_4M.fd",
      "-drive",
      "if=pflash,format=raw,file=VARS",
      "-serial",
      "file:LOG",
    ],
    ramBase: 0n,
    done: /BdsDxe: |UEFI Interactive Shell|Shell>/,
    patience: 60,
    fwCfg: { select: (key) => `outw 0x510 0x${key.toString(16)}`, read: "inb 0x511" },
  },
  aavmf: {
    command: "qemu-system-aarch64",
    args: [
      "-M",
      "virt,acpi=off,gic-version=3,memory-backend=ram0",
      "-cpu",
      "cortex-a57",
      "-bios",
      "/usr/share/qemu-efi-aarch64/QEMU_EFI.fd",
      "-serial",
      "file:LOG",
    ],
    ramBase: VIRT_RAM_BASE,
    done: /BdsDxe: |UEFI Interactive Shell|Shell>/,
    patience: 60,
    fwCfg: { select: (key) => `writew 0x9020008 0x${swap16(key).toString(16)}`, read: "readb 0x9020000" },
  },
};

interface Real {
  readonly hangs: boolean;
  readonly log: string;
  readonly ram: Uint8Array;
  readonly vmcoreinfo: Uint8Array;
}

async function runReal(firmware: OracleFirmware, files: FwCfgFiles): Promise<Real> {
  const program = PROGRAMS[firmware];
  const folder = mkdtempSync(join(tmpdir(), "apei-real-"));
  const path = (name: string) => join(folder, name);
  const ram = openSync(path("ram"), "w+");
  ftruncateSync(ram, RAM);
  if (firmware === "ovmf") copyFileSync("/usr/share/OVMF/OVMF_VARS_4M.fd", path("VARS"));
  const given = [...files].filter(([name]) => name !== VMCOREINFO);
  mkdirSync(path("fw"));
  given.forEach(([, file], i) => {
    writeFileSync(path(`fw/${i}`), file.bytes);
  });
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(path("qtest"), resolve));
  const connected = new Promise<Socket>((resolve) => server.once("connection", resolve));
  const child = spawn(
    program.command,
    [
      ...program.args.map((word) => word.replace("LOG", path("log")).replace("VARS", path("VARS"))),
      ...["-nodefaults", "-m", "256", "-accel", "tcg", "-display", "none", "-net", "none", "-device", "vmcoreinfo"],
      ...["-object", `memory-backend-file,id=ram0,size=256M,mem-path=${path("ram")},share=on`],
      ...["-qtest", `unix:${path("qtest")}`, "-qtest-log", "/dev/null"],
      ...given.flatMap(([name], i) => ["-fw_cfg", `name=${name},file=${path(`fw/${i}`)}`]),
    ],
    { stdio: "ignore" },
  );
  try {
    const socket = await connected;
    const log = () => (existsSync(path("log")) ? readFileSync(path("log"), "latin1") : "");
    const until = Date.now() + program.patience * 1000;
    while (!program.done.test(log()) && Date.now() < until && child.exitCode === null) await new Promise((resolve) => setTimeout(resolve, 100));
    const hangs = !program.done.test(log());
    const ask = lines(socket);
    const read = async (key: number, size: number) => {
      await ask(program.fwCfg.select(key));
      const out = new Uint8Array(size);
      for (let i = 0; i < size; i++) out[i] = Number((await ask(program.fwCfg.read)).split(" ")[1]);
      return out;
    };
    // The directory is large: count, then entries until the file is found.
    const directory = await read(0x19, 4);
    const count = directory[3]! + 256 * directory[2]!;
    const entries = (await read(0x19, 4 + 64 * count)).subarray(4);
    let vmcoreinfo = new Uint8Array(0);
    for (let i = 0; i < count; i++) {
      const entry = entries.subarray(64 * i, 64 * i + 64);
      const name = new TextDecoder().decode(entry.subarray(8)).replace(/\0.*$/s, "");
      if (name === VMCOREINFO) vmcoreinfo = await read(entry[4]! * 256 + entry[5]!, 16);
    }
    const bytes = new Uint8Array(RAM);
    readSync(ram, bytes, 0, RAM, 0);
    return { hangs, log: log(), ram: bytes, vmcoreinfo };
  } finally {
    child.kill("SIGKILL");
    server.close();
    closeSync(ram);
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Ask qtest line by line. */
function lines(socket: Socket): (command: string) => Promise<string> {
  let buffer = "";
  const waiting: ((line: string) => void)[] = [];
  socket.on("data", (chunk) => {
    buffer += chunk.toString();
    for (let end = buffer.indexOf("\n"); end >= 0; end = buffer.indexOf("\n")) {
      const line = buffer.slice(0, end).trim();
      buffer = buffer.slice(end + 1);
      if (!line.startsWith("IRQ")) waiting.shift()?.(line);
    }
  });
  return (command) =>
    new Promise((resolve) => {
      waiting.push(resolve);
      socket.write(`${command}\n`);
    });
}

const same = (a: Uint8Array, b: Uint8Array) => Buffer.from(a).equals(Buffer.from(b));

/** SeaBIOS: the warnings, what was written back, and every blob in memory. */
function compareSeabios(files: Files, real: Real): string[] {
  const wrong: string[] = [];
  // Another version keeps its RSDP elsewhere in the F-segment; one of its own making lies below.
  const segment = real.ram.subarray(0xe0000, 0x100000);
  const found: bigint[] = [];
  const signature = Buffer.from(files.get(FILE.rsdp)!.bytes.subarray(0, 8));
  for (let at = 0; at < segment.length; at += 16) if (signature.equals(segment.subarray(at, at + 8))) found.push(BigInt(0xe0000 + at));
  const zone = parseScript(files.get(FILE.script)!.bytes).entries.find((entry) => entry.command === "allocate" && entry.file === FILE.rsdp);
  const placements = new Map(found.length > 0 && zone?.command === "allocate" && zone.zone === "fSegment" ? [[FILE.rsdp, found.at(-1)!]] : []);
  const model = boot(files, { firmware: "seabios", placements });
  const warnings = [
    ...real.log.matchAll(/(?:internal error detected|Unable to allocate resource) at romfile_loader_(allocate|add_pointer|add_checksum|write_pointe)/g),
  ].map((match) => match[1]);
  const KIND: Record<string, string> = { allocate: "allocate", addPointer: "add_pointer", addChecksum: "add_checksum", writePointer: "write_pointe" };
  const expected = model.trace.filter((entry) => entry.outcome === "refused").map((entry) => KIND[entry.entry.command as string]);
  if (warnings.join() !== expected.join()) wrong.push(`warnings: real ${warnings.join() || "none"}, model ${expected.join() || "none"}`);
  if (!same(real.vmcoreinfo, model.device.file(VMCOREINFO)!))
    wrong.push(`written: real ${bytesToHex(real.vmcoreinfo)}, model ${bytesToHex(model.device.file(VMCOREINFO)!)}`);
  // Without an RSDP from the script versions up to 1.16 make tables of their own, later ones none; both warn before.
  const offers = !/internal error detected at qemu_platform_setup/.test(real.log);
  if (offers !== (model.rsdpAddress !== undefined)) wrong.push(`RSDP: real ${offers}, model ${model.rsdpAddress !== undefined}`);
  for (const blob of model.placements.values()) {
    const at = Number(blob.address);
    if (!same(real.ram.subarray(at, at + blob.size), model.memory.read(blob.address, blob.size))) wrong.push(`${blob.name} at 0x${at.toString(16)} differs`);
  }
  return wrong;
}

/** The RSDP that UEFI names to the operating system. */
function efiRsdp(ram: Uint8Array, base: bigint): bigint | undefined {
  const memory = new ArrayMemory(base, ram);
  const buffer = Buffer.from(ram.buffer);
  for (let at = buffer.indexOf(ACPI_TABLE_GUID); at >= 0; at = buffer.indexOf(ACPI_TABLE_GUID, at + 1)) {
    if (at + 24 > buffer.length) return undefined;
    const address = buffer.readBigUInt64LE(at + 16);
    if (address >= base && address < base + BigInt(ram.length) && isRsdp(memory, address)) return address;
  }
  return undefined;
}

/** EDK2: hanging or not, the tables, what was written back. */
function compareEdk2(firmware: "ovmf" | "aavmf", files: Files, real: Real): string[] {
  const free = boot(files, { firmware });
  if (real.hangs !== (free.state === "stuck")) return [`real ${real.hangs ? "hangs" : "goes on"}, model ${free.state}: ${free.failure ?? ""}`];
  if (real.hangs) return [];
  const { ramBase } = PROGRAMS[firmware];
  const rsdp = efiRsdp(real.ram, ramBase);
  const view = rsdp === undefined ? undefined : osView(new ArrayMemory(ramBase, real.ram), rsdp);
  const tables = view?.tables ?? [];
  const model = atRealPlaces(firmware, files, free, real, tables);
  const wrong: string[] = [];
  const list = (some: readonly OsTable[]) => some.map((table) => `${table.signature}:${table.length}`).join(" ") || "none";
  if (list(tables) !== list(model.tables)) wrong.push(`tables: real ${list(tables)}, model ${list(model.tables)}${model.failure ? ` (${model.failure})` : ""}`);
  const written = model.device.file(VMCOREINFO)!;
  if (!same(real.vmcoreinfo, written)) wrong.push(`written: real ${bytesToHex(real.vmcoreinfo)}, model ${bytesToHex(written)}`);
  // Without an address written back nothing says where the blobs lay, to which the tables point.
  else if (model.writtenPointers.length > 0)
    tables.forEach((table, i) => {
      const other = model.tables[i];
      if (other && !same(table.bytes, other.bytes) && table.signature !== "FACP") wrong.push(`${table.signature}: bytes differ`);
    });
  return wrong;
}

/** Another version has its pool elsewhere: what it wrote back says by how much. */
function atRealPlaces(firmware: "ovmf" | "aavmf", files: Files, free: BootResult, real: Real, tables: readonly OsTable[]): BootResult {
  const allocated = free.trace.flatMap((entry) =>
    entry.entry.command === "allocate" && entry.outcome === "done"
      ? [[entry.entry.file.replace(/\0.*$/s, ""), BigInt(entry.detail.split(/[ ,]/)[1]!)] as const]
      : [],
  );
  const pointer = free.writtenPointers.at(-1);
  const places = new Map<string, bigint>();
  if (pointer && pointer.size === 8) {
    const value = new DataView(real.vmcoreinfo.buffer).getBigUint64(pointer.offset, true);
    if (value !== 0n) for (const [name, address] of allocated) places.set(name, address + value - pointer.value);
  }
  for (const table of tables)
    if (tables.filter((other) => other.signature === table.signature).length === 1) places.set(`table:${table.signature}`, table.address);
  return boot(files, { firmware, placements: places });
}

/** Entries that came or went. */
function scriptChanges(before: FwCfgFiles, after: FwCfgFiles): string[] {
  const words = (files: FwCfgFiles) => parseScript(files.get(FILE.script)!.bytes).entries.map(entryText);
  const [old, now] = [words(before), words(after)];
  return [...old.filter((line) => !now.includes(line)).map((line) => `- ${line}`), ...now.filter((line) => !old.includes(line)).map((line) => `+ ${line}`)];
}

async function main(): Promise<void> {
  const [name = "seabios", number = "40", seed = "1", only] = process.argv.slice(2);
  const firmware = name as OracleFirmware;
  const files: Files = new Map(caseFiles("baseline", firmware, outcomes("baseline")[firmware]!));
  const some = only === undefined ? fc.array(change, { minLength: 1, maxLength: 2 }) : change.map((one) => [{ ...one, kind: only as Change["kind"] }]);
  const cases = fc.sample(some, { numRuns: Number(number), seed: Number(seed) });
  let failed = 0;
  for (const [i, changes] of cases.entries()) {
    const spoilt = changes.reduce((all: Files, one: Change) => apply(all, one), files);
    const real = await runReal(firmware, spoilt);
    let wrong: string[];
    try {
      wrong = firmware === "seabios" ? compareSeabios(spoilt, real) : compareEdk2(firmware, spoilt, real);
    } catch (error) {
      wrong = [(error as Error).message];
    }
    if (real.hangs) console.log(`case ${i}: hangs`);
    if (wrong.length > 0) {
      failed++;
      console.log(`case ${i} ${JSON.stringify(changes)}\n  ${wrong.join("\n  ")}`);
      for (const line of scriptChanges(files, spoilt)) console.log(`  ${line}`);
    }
  }
  console.log(`${firmware}: ${cases.length - failed} of ${cases.length} cases agree`);
  process.exitCode = failed > 0 ? 1 : 0;
}

await main();
