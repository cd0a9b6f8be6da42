/** SeaBIOS 1.17, `src/fw/romfile_loader.c` and `src/malloc.c`: a bad entry is skipped with a warning, nothing is taken back. */
import { RSDP_CHECKSUM, RSDP_SIGNATURE, Rsdp, RsdpExtension } from "../acpi/root-tables.ts";
import { byteSum } from "../acpi/table-header.ts";
import { hexNumber, parse } from "../layout/index.ts";
import { ENTRY_SIZE, fileName } from "../loader/commands.ts";
import { TopDownAllocator } from "../machine/allocator.ts";
import { lowRamEnd } from "../machine/machines.ts";
import { toLittleEndian } from "../machine/memory.ts";
import { type Behaviour, type Bench, type Blob, done, type EntryOf, type Finish, refused, type Step, skipped, type WrittenPointer } from "./frame.ts";

/** malloc's least alignment. */
const MIN_ALIGN = 16;
/** Room for tables at the top of RAM below 4 GiB: SeaBIOS 1.16.1 and later take much when 32 MiB above the first are there; measured. */
const HIGH_ZONE = { large: 16n << 20n, small: 256n << 10n, largeFrom: 33n << 20n };
/**
 * What earlier tables (PIR, MP, SMBIOS) leave free of the F-segment, measured with one processor: an RSDP of 20 bytes
 * lands at 0xf52a0, and 1,216 bytes are free below it.
 */
const F_SEGMENT = { start: 0xf4de0n, length: 0x4e0n };
/** Bytes of the note SeaBIOS keeps in high memory for each written pointer. */
const POINTER_NOTE = 24n;
const U32 = 2 ** 32;

/** What SeaBIOS 1.17 does with each command of the script (src/fw/romfile_loader.c behaviour). */
export function seabios(bench: Bench): Behaviour {
  const end = lowRamEnd(bench.machine);
  const size = end >= HIGH_ZONE.largeFrom ? HIGH_ZONE.large : HIGH_ZONE.small;
  const high = new TopDownAllocator([{ start: end - size, length: size }]);
  const fSegment = new TopDownAllocator([F_SEGMENT]);
  /** Every loaded file in order, twice the one that is allocated twice: a name means the first. */
  const files: Blob[] = [];
  const replay: WrittenPointer[] = [];

  const find = (name: string): Blob | undefined => {
    const wanted = fileName(name);
    return wanted === undefined ? undefined : files.find((file) => file.name === wanted);
  };
  const unknown = (...names: readonly string[]): string | undefined => {
    const missing = names.find((name) => !find(name));
    return missing === undefined ? undefined : `${fileName(missing) ?? "a name without NUL"} is not loaded`;
  };

  return {
    stopsAtRefusal: false,
    begin: (_script, bytes) => (bytes % ENTRY_SIZE === 0 ? undefined : `the script's ${bytes} bytes are no whole number of entries`),

    allocate(entry: EntryOf<"allocate">): Step {
      const alignment = entry.alignment;
      if (!isPowerOfTwoOrZero(alignment)) return refused(`the alignment ${alignment} is no power of two`);
      const zone = entry.zone === "high" ? high : entry.zone === "fSegment" ? fSegment : undefined;
      if (!zone) return refused(`there is no zone ${entry.zone}`);
      const name = fileName(entry.file);
      if (name === undefined) return refused("the file name does not end in NUL");
      const file = bench.fwCfg.find(name);
      if (!file || file.size === 0) return skipped(file ? `${name} is empty` : `there is no fw_cfg file ${name}`);
      const address = bench.place(
        name,
        file.size,
        (start, length) => zone.reserve(start, length),
        () => zone.allocate(BigInt(file.size), BigInt(Math.max(alignment, MIN_ALIGN))),
      );
      if (address === undefined) return refused(`no room for ${file.size} bytes in ${zone === high ? "high memory" : "the F-segment"}`);
      const first = bench.blobs.get(name);
      const blob = bench.load(file, address, zone === high ? "high memory" : "F-segment");
      files.push(blob);
      // A second copy takes memory and is never looked at again.
      if (first) bench.blobs.set(name, first);
      return done(`at ${hexNumber(address)}, ${file.size} bytes${first ? "; the first copy stays in use" : ""}`);
    },

    addPointer(entry: EntryOf<"addPointer">): Step {
      const destination = find(entry.destinationFile);
      const source = find(entry.sourceFile);
      if (!destination || !source) return refused(unknown(entry.destinationFile, entry.sourceFile)!);
      if (outside(entry.offset, entry.size, destination.size))
        return refused(`${entry.size} bytes at ${hexNumber(entry.offset)} are outside ${destination.name}`);
      if (!isPointerSize(entry.size)) return refused(`no pointer has ${entry.size} bytes`);
      // The sum is cut to the pointer's size, and what it points at is nobody's concern.
      const value = bench.read(destination, entry.offset, entry.size) + source.address;
      bench.write(destination, entry.offset, entry.size, value);
      return done(`${hexNumber(BigInt.asUintN(entry.size * 8, value))} at ${hexNumber(destination.address + BigInt(entry.offset))}`);
    },

    addChecksum(entry: EntryOf<"addChecksum">): Step {
      const blob = find(entry.file);
      if (!blob) return refused(unknown(entry.file)!);
      if (entry.checksumOffset >= blob.size) return refused(`the checksum byte ${hexNumber(entry.checksumOffset)} is outside ${blob.name}`);
      if (outside(entry.start, entry.length, blob.size)) return refused(`${entry.length} bytes at ${hexNumber(entry.start)} are outside ${blob.name}`);
      const old = bench.read(blob, entry.checksumOffset, 1);
      const value = BigInt.asUintN(8, old - BigInt(bench.sum(blob, entry.start, entry.length)));
      bench.write(blob, entry.checksumOffset, 1, value);
      return done(`checksum ${hexNumber(value)}`);
    },

    writePointer(entry: EntryOf<"writePointer">): Step {
      // This name alone is compared without a look at its last byte, so a name without NUL runs on into the source's and is never found.
      const name = fileName(entry.destinationFile);
      const file = name === undefined ? undefined : bench.fwCfg.find(name);
      const source = find(entry.sourceFile);
      if (!file) return refused(`there is no fw_cfg file ${name ?? "of a name without NUL"}`);
      if (!source) return refused(unknown(entry.sourceFile)!);
      if (outside(entry.destinationOffset, entry.size, file.size))
        return refused(`${entry.size} bytes at ${hexNumber(entry.destinationOffset)} are outside ${name}, which has ${file.size}`);
      if (entry.sourceOffset >= source.size) return refused(`${hexNumber(entry.sourceOffset)} is outside ${source.name}`);
      if (!isPointerSize(entry.size)) return refused(`no pointer has ${entry.size} bytes`);
      const value = source.address + BigInt(entry.sourceOffset);
      if (value >> BigInt(8 * entry.size) !== 0n) return refused(`${hexNumber(value)} does not fit in ${entry.size} bytes`);
      const pointer: WrittenPointer = { file: file.name, key: file.key, offset: entry.destinationOffset, size: entry.size, value };
      const taken = bench.fwCfg.write(pointer.key, pointer.offset, toLittleEndian(value, pointer.size));
      // The error bit ends the wait like success does.
      if (taken) bench.written.push(pointer);
      if (high.allocate(POINTER_NOTE, BigInt(MIN_ALIGN)) !== undefined) replay.unshift(pointer);
      return taken ? done(`${hexNumber(value)} written to ${file.name}`) : skipped(`${file.name} is not writable: the device refuses, SeaBIOS does not notice`);
    },

    finish(_script, failure): Finish {
      const notes: string[] = [];
      const rsdpAddress = findRsdp(bench);
      if (rsdpAddress !== undefined) return { rsdpAddress, notes };
      notes.push("there is no valid RSDP in the F-segment: SeaBIOS has no other tables to offer");
      return { failure: failure ?? "no valid RSDP in the F-segment", notes };
    },

    resume() {
      for (const pointer of replay) bench.fwCfg.write(pointer.key, pointer.offset, toLittleEndian(pointer.value, pointer.size));
      return replay;
    },
  };
}

/** SeaBIOS looks for the RSDP only in the zone it allocates from, every 16 bytes; operating systems in all of 0xE0000 to 0xFFFFF. */
function findRsdp(bench: Bench): bigint | undefined {
  const end = F_SEGMENT.start + F_SEGMENT.length;
  const zone = bench.memory.read(F_SEGMENT.start, Number(F_SEGMENT.length));
  const placed = [...bench.blobs.values()]
    .filter((blob) => blob.address >= 0xe0000n && blob.address < 0x100000n && blob.address % 16n === 0n)
    .map((blob) => blob.address);
  const steps = Array.from({ length: zone.length / 16 }, (_, i) => F_SEGMENT.start + BigInt(i * 16));
  return [...steps, ...placed].find((address) => isWholeRsdp(bench.memory.read(address, Number(address < end ? end - address : 0x100000n - address))));
}

function isWholeRsdp(bytes: Uint8Array): boolean {
  if (bytes.length < RSDP_CHECKSUM.length) return false;
  const { signature, revision = 0, extension } = parse(Rsdp, bytes.subarray(0, RSDP_CHECKSUM.length + RsdpExtension.size));
  if (signature !== RSDP_SIGNATURE || byteSum(bytes, 0, RSDP_CHECKSUM.length) !== 0) return false;
  if (revision <= 1) return true;
  const length = extension && !(extension instanceof Uint8Array) ? (extension.length ?? 0) : 0;
  return length <= bytes.length && byteSum(bytes, 0, length) === 0;
}

const isPowerOfTwoOrZero = (value: number): boolean => (value & (value - 1)) === 0;
const isPointerSize = (size: number): boolean => size >= 1 && size <= 8 && isPowerOfTwoOrZero(size);
/** Bounds as 32-bit arithmetic sees them: a sum that wraps is outside. */
const outside = (offset: number, size: number, room: number): boolean => offset + size >= U32 || offset + size > room;
