/**
 * EDK2, `OvmfPkg/Library/AcpiPlatformLib/QemuFwCfgAcpi.c`: the first error takes everything back, and the
 * operating system sees copies of the tables that the firmware recognised. OVMF is the x86 build, AAVMF the arm one.
 */
import { byteSum, TableHeader } from "../acpi/table-header.ts";
import { decode, hexNumber } from "../layout/index.ts";
import { ENTRY_SIZE, fileName } from "../loader/commands.ts";
import type { LoaderScript } from "../loader/script.ts";
import { TopDownAllocator } from "../machine/allocator.ts";
import { lowRamEnd, type Machine } from "../machine/machines.ts";
import { MemoryFault, type Region, toLittleEndian } from "../machine/memory.ts";
import { AcpiTableProtocol, type TableMemory } from "./acpi-table-protocol.ts";
import { type Behaviour, type Bench, type Blob, done, type EntryOf, type Finish, refused, type Step, stuck, type WrittenPointer } from "./frame.ts";

const PAGE = 4096;
const FOUR_GIB = 1n << 32n;
/** More tables than this and nothing is installed at all. */
const MOST_TABLES = 128;
/** Bytes and signature of the FACS, which has a header of its own. */
const FACS = { size: 64, signature: "FACS" };

/** What differs between the two builds. */
export interface Edk2Build {
  readonly name: "ovmf" | "aavmf";
  /** Bytes of the least allocation of memory the operating system must preserve. */
  readonly granularity: number;
  /** Free ranges for the blobs (ACPI NVS), and for tables (ACPI reclaim): measured. */
  readonly nvs: (machine: Machine) => readonly Region[];
  readonly reclaim: (machine: Machine) => readonly Region[];
  /** Tables below 4 GiB, a page each, listed in an RSDT too. */
  readonly pagesForTables: boolean;
  /** Addresses below this can be read without an exception; what is no memory reads as ones. */
  readonly mapped: bigint;
  /** Whether write-pointers are written again after suspend to RAM: where `etc/system-states` allows S3. */
  readonly suspends: boolean;
}

const below = (end: bigint, start: bigint, ranges: readonly (readonly [start: bigint, end: bigint])[]): Region[] =>
  ranges
    .map(([low, high]) => ({ start: low > start ? low : start, end: high < end ? high : end }))
    .filter((range) => range.end > range.start)
    .map((range) => ({ start: range.start, length: range.end - range.start }));

export const OVMF: Edk2Build = {
  name: "ovmf",
  granularity: PAGE,
  // The bins that OVMF sets apart (128 pages of NVS, 18 of reclaim), then whatever is free below.
  nvs: (machine) => {
    const end = lowRamEnd(machine);
    return below(end, 0x100000n, [
      [0x100000n, end - 0x25bf000n - 0x400000n],
      [end - 0x194000n, end - 0x114000n],
    ]);
  },
  reclaim: (machine) => {
    const end = lowRamEnd(machine);
    return below(end, 0x100000n, [
      [end - 0x25bf000n - 0x400000n, end - 0x25bf000n],
      [end - 0x1a6000n, end - 0x194000n],
    ]);
  },
  pagesForTables: true,
  mapped: 1n << 36n,
  suspends: true,
};
export const AAVMF: Edk2Build = {
  name: "aavmf",
  granularity: 64 << 10,
  nvs: ({ ram }) => {
    const [{ start, length }] = ram as [Region];
    return below(start + length, start, [
      [start + 0x1000000n, start + 0x3f80000n],
      [start + 0x7fb0000n, start + 0x7ff0000n],
    ]);
  },
  reclaim: ({ ram }) => {
    const [{ start, length }] = ram as [Region];
    return below(start + length, start, [
      [start + 0x3f80000n, start + 0x3fb0000n],
      [start + 0x7ff0000n, start + 0x8000000n],
    ]);
  },
  pagesForTables: false,
  mapped: 0n,
  suspends: false,
};

interface EfiBlob extends Blob {
  hostsOnlyTableData: boolean;
}

/** An address the firmware reads is nowhere: it takes an exception and stays there. */
class Exception extends Error {}

export const edk2 =
  (build: Edk2Build) =>
  (bench: Bench): Behaviour => {
    const nvs = new TopDownAllocator(build.nvs(bench.machine));
    const protocol = new AcpiTableProtocol(bench, tableMemory(build, bench, nvs));
    /** Blobs by name: the collection EDK2 calls the tracker. */
    const tracker = new Map<string, EfiBlob>();
    let restrictedTo32Bit: ReadonlySet<string> = new Set();
    const s3: WrittenPointer[] = [];

    const pagesOf = (size: number): bigint => BigInt(Math.ceil(size / build.granularity) * build.granularity);
    const malformed = refused("malformed file name: its last byte is not NUL (protocol error)");
    /** Blobs of the given names: undefined for one that is malformed or was never allocated. */
    const find = (name: string): EfiBlob | undefined => {
      const wanted = fileName(name);
      return wanted === undefined ? undefined : tracker.get(wanted);
    };

    return {
      stopsAtRefusal: true,

      begin(script, bytes) {
        if (bytes % ENTRY_SIZE !== 0) return `the script's ${bytes} bytes are no whole number of entries (protocol error)`;
        const names = new Set<string>();
        for (const entry of script.entries) {
          if (entry.command !== "addPointer" || entry.size >= 8) continue;
          const name = fileName(entry.sourceFile);
          if (name === undefined) return "malformed file name in a pointer narrower than 8 bytes (protocol error)";
          names.add(name);
        }
        restrictedTo32Bit = names;
        return undefined;
      },

      allocate(entry: EntryOf<"allocate">): Step {
        const name = fileName(entry.file);
        if (name === undefined) return malformed;
        if (entry.alignment > PAGE) return refused(`the alignment ${entry.alignment} is larger than a page (unsupported)`);
        const file = bench.fwCfg.find(name);
        if (!file) return refused(`there is no fw_cfg file ${name} (not found)`);
        if (file.size === 0) return refused(`${name} is empty, and no pages cannot be allocated`);
        const narrow = restrictedTo32Bit.has(name);
        if (tracker.has(name)) return refused(`${name} is allocated already (protocol error)`);
        const size = pagesOf(file.size);
        const address = bench.place(
          name,
          file.size,
          (start) => nvs.reserve(start, size),
          () => nvs.allocate(size, BigInt(build.granularity), narrow ? FOUR_GIB : undefined),
        );
        if (address === undefined) return refused(`no ${Number(size) / PAGE} pages for ${name} (out of resources)`);
        if (narrow && address + BigInt(file.size) > FOUR_GIB) return refused(`${name} has no place below 4 GiB (out of resources)`);
        tracker.set(name, { ...bench.load(file, address, "ACPI NVS"), hostsOnlyTableData: true });
        const tail = Math.ceil(file.size / PAGE) * PAGE - file.size;
        bench.memory.write(address + BigInt(file.size), new Uint8Array(tail));
        return done(`at ${hexNumber(address)}, ${file.size} bytes${narrow ? ", below 4 GiB because a narrow pointer points here" : ""}`);
      },

      addPointer(entry: EntryOf<"addPointer">): Step {
        if (fileName(entry.destinationFile) === undefined || fileName(entry.sourceFile) === undefined) return malformed;
        const destination = find(entry.destinationFile);
        const source = find(entry.sourceFile);
        if (!destination || !source) return refused(`${fileName(destination ? entry.sourceFile : entry.destinationFile)} was never allocated (protocol error)`);
        if (!isPointerSize(entry.size) || outside(entry.offset, entry.size, destination.size))
          return refused(`${entry.size} bytes at ${hexNumber(entry.offset)} of ${destination.name} are no place for a pointer (protocol error)`);
        const relative = bench.read(destination, entry.offset, entry.size);
        if (relative >= BigInt(source.size))
          return refused(`the pointer's value ${hexNumber(relative)} lies outside ${source.name}, which has ${source.size} bytes (protocol error)`);
        const value = relative + source.address;
        if (value >> BigInt(8 * entry.size) !== 0n) return refused(`${hexNumber(value)} does not fit in ${entry.size} bytes (protocol error)`);
        bench.write(destination, entry.offset, entry.size, value);
        return done(`${hexNumber(value)} at ${hexNumber(destination.address + BigInt(entry.offset))}`);
      },

      addChecksum(entry: EntryOf<"addChecksum">): Step {
        if (fileName(entry.file) === undefined) return malformed;
        const blob = find(entry.file);
        if (!blob) return refused(`${fileName(entry.file)} was never allocated (protocol error)`);
        if (blob.size <= entry.checksumOffset || outside(entry.start, entry.length, blob.size))
          return refused(`the range is outside ${blob.name} (protocol error)`);
        // The old checksum byte is part of the sum: unless it was zero the table ends up wrong.
        const value = (256 - bench.sum(blob, entry.start, entry.length)) & 255;
        bench.write(blob, entry.checksumOffset, 1, BigInt(value));
        return done(`checksum ${hexNumber(value)}`);
      },

      writePointer(entry: EntryOf<"writePointer">): Step {
        const name = fileName(entry.destinationFile);
        if (name === undefined || fileName(entry.sourceFile) === undefined) return malformed;
        const file = bench.fwCfg.find(name);
        const source = find(entry.sourceFile);
        if (!file || !source)
          return refused(`${file ? `${fileName(entry.sourceFile)} was never allocated` : `there is no fw_cfg file ${name}`} (protocol error)`);
        if (!isPointerSize(entry.size) || outside(entry.destinationOffset, entry.size, file.size))
          return refused(`${entry.size} bytes at ${hexNumber(entry.destinationOffset)} of ${name} are no place for a pointer (protocol error)`);
        if (entry.sourceOffset >= source.size) return refused(`${hexNumber(entry.sourceOffset)} is outside ${source.name} (protocol error)`);
        const value = source.address + BigInt(entry.sourceOffset);
        if (value >> BigInt(8 * entry.size) !== 0n) return refused(`${hexNumber(value)} does not fit in ${entry.size} bytes (protocol error)`);
        const pointer: WrittenPointer = { file: name, key: file.key, offset: entry.destinationOffset, size: entry.size, value };
        if (!bench.fwCfg.write(file.key, pointer.offset, toLittleEndian(value, pointer.size)))
          return stuck(`${name} is not writable: the device sets the error bit, for which EDK2 has no way out of its loop`);
        bench.written.push(pointer);
        s3.push(pointer);
        source.hostsOnlyTableData = false;
        return done(`${hexNumber(value)} written to ${name}; ${source.name} stays where it is`);
      },

      finish(script, failure): Finish {
        const notes: string[] = [];
        const lost = failure ?? installTables(script, find, bench, protocol, notes, build.mapped);
        if (lost instanceof Exception) return { stuck: true, failure: lost.message, notes };
        if (lost !== undefined) {
          for (const pointer of [...bench.written].reverse()) bench.fwCfg.write(pointer.key, pointer.offset, new Uint8Array(pointer.size));
          if (bench.written.length > 0) notes.push(`${bench.written.length} written pointers are set to zero again`);
          bench.written.length = 0;
          s3.length = 0;
        }
        for (const blob of tracker.values())
          if (lost !== undefined || blob.hostsOnlyTableData) {
            nvs.release(blob.address, pagesOf(blob.size));
            bench.blobs.delete(blob.name);
            notes.push(`${blob.name} is freed${lost === undefined ? ": it held nothing but tables, which were copied" : ""}`);
          } else notes.push(`${blob.name} stays at ${hexNumber(blob.address)}`);
        const { rsdpAddress } = protocol;
        return { ...(rsdpAddress !== undefined && { rsdpAddress }), ...(lost !== undefined && { failure: lost }), notes };
      },

      resume() {
        if (!build.suspends || !supportsSuspend(bench)) return [];
        for (const pointer of s3) bench.fwCfg.write(pointer.key, pointer.offset, toLittleEndian(pointer.value, pointer.size));
        return s3;
      },
    };
  };

/** `QemuFwCfgS3Enabled`: byte 3 of the six in `etc/system-states` has its high bit set. */
function supportsSuspend(bench: Bench): boolean {
  const file = bench.fwCfg.find("etc/system-states");
  return file?.size === 6 && (bench.fwCfg.read(file)[3]! & 0x80) !== 0;
}

/** The second pass: every place an ADD_POINTER points at is taken for a table when it looks like one. Returns why all is lost, if it is. */
function installTables(
  script: LoaderScript,
  find: (name: string) => EfiBlob | undefined,
  bench: Bench,
  protocol: AcpiTableProtocol,
  notes: string[],
  mapped: bigint,
): string | Exception | undefined {
  const seen = new Set<bigint>();
  const keys: number[] = [];
  const rollBack = (why: string) => {
    while (keys.length > 0) protocol.uninstall(keys.pop()!);
    return why;
  };
  for (const [index, entry] of script.entries.entries()) {
    if (entry.command !== "addPointer") continue;
    const holder = find(entry.destinationFile)!;
    const blob = find(entry.sourceFile)!;
    const address = bench.read(holder, entry.offset, entry.size);
    if (seen.has(address)) continue;
    seen.add(address);
    // A pointer that a later entry changed may lie anywhere: the remainder then wraps, as it does in 64 bits.
    const remaining = BigInt.asUintN(64, blob.address + BigInt(blob.size) - address);
    try {
      const table = probe(bench, address, remaining);
      if (table === "opaque") {
        blob.hostsOnlyTableData = false;
        continue;
      }
      if (table === "root") continue;
      if (keys.length === MOST_TABLES) return rollBack(`entry ${index}: more than ${MOST_TABLES} tables (out of resources)`);
      const result = protocol.install(table);
      const signature = decode(TableHeader, table).signature;
      if ("error" in result) return rollBack(`entry ${index}: the ${signature} at ${hexNumber(address)} is not installed: ${result.error}`);
      keys.push(result.key!);
      notes.push(`${signature} at ${hexNumber(address)} is copied to ${hexNumber(result.address)}`);
    } catch (error) {
      if (error instanceof MemoryFault && address < mapped) {
        blob.hostsOnlyTableData = false;
        notes.push(`entry ${index}: the pointer leads to ${hexNumber(address)}, where no memory is: not taken for a table`);
      } else if (error instanceof MemoryFault)
        return new Exception(`entry ${index}: the pointer leads to ${hexNumber(address)}, where no memory is: exception`);
      else throw error;
    }
  }
  return undefined;
}

/** Larger things than this are taken for no table without being summed. */
const MOST_TABLE_BYTES = 64 << 20;

/** What lies at an address of which `remaining` bytes belong to its blob. */
function probe(bench: Bench, address: bigint, remaining: bigint): Uint8Array | "root" | "opaque" {
  if (remaining >= BigInt(FACS.size)) {
    const { signature, length } = decode(TableHeader, bench.memory.read(address, TableHeader.size));
    if (signature === FACS.signature && length >= FACS.size && BigInt(length) <= remaining && length <= MOST_TABLE_BYTES)
      return bench.memory.read(address, length);
  }
  if (remaining < BigInt(TableHeader.size)) return "opaque";
  const { signature, length } = decode(TableHeader, bench.memory.read(address, TableHeader.size));
  if (length < TableHeader.size || BigInt(length) > remaining || length > MOST_TABLE_BYTES) return "opaque";
  const table = bench.memory.read(address, length);
  if (byteSum(table) !== 0) return "opaque";
  return signature === "RSDT" || signature === "XSDT" ? "root" : table;
}

function tableMemory(build: Edk2Build, bench: Bench, nvs: TopDownAllocator): TableMemory {
  const reclaim = new TopDownAllocator(build.reclaim(bench.machine));
  // OVMF gives each table pages of its own; AAVMF takes them from a pool in steps of 128 bytes behind a header of 24.
  const step = build.pagesForTables ? PAGE : 128;
  const header = build.pagesForTables ? 0n : 24n;
  const room = (size: number, preserved: boolean): bigint => {
    const unit = preserved ? build.granularity : step;
    return BigInt(Math.ceil((size + (preserved ? 0 : Number(header))) / unit) * unit);
  };
  return {
    rsdt: build.pagesForTables,
    allocate(what, size, preserved, lead = 0) {
      const zone = preserved ? nvs : reclaim;
      return bench.place(
        `table:${what}`,
        size,
        (start, length) => zone.reserve(start, length),
        () => {
          const address = zone.allocate(room(size, preserved), BigInt(preserved ? build.granularity : step));
          return address === undefined ? undefined : address + (preserved ? 0n : header);
        },
        lead,
      );
    },
    release: (address, size, preserved) => (preserved ? nvs : reclaim).release(address - (preserved ? 0n : header), room(size, preserved)),
  };
}

const isPointerSize = (size: number): boolean => size === 1 || size === 2 || size === 4 || size === 8;
const outside = (offset: number, size: number, room: number): boolean => size > room || offset > room - size;
