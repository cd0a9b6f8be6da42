/** A firmware with no habits of its own: what the script says, for those to whom firmware is not the subject. */

import { RSDP_SIGNATURE } from "../acpi/root-tables.ts";
import { hexNumber } from "../layout/index.ts";
import { ENTRY_SIZE, fileName } from "../loader/commands.ts";
import { TopDownAllocator } from "../machine/allocator.ts";
import { toLittleEndian } from "../machine/memory.ts";
import { type Behaviour, type Bench, type Blob, done, type EntryOf, type Finish, refused, type Step } from "./frame.ts";
import { isRsdp } from "./os-view.ts";

/** The F-segment of a PC; other machines have none, and any place does. */
const F_SEGMENT = { start: 0xf0000n, length: 0x10000n };
const FOUR_GIB = 1n << 32n;

/** Blobs as high as RAM below 4 GiB allows, each at its own alignment; tables and RSDP used where they lie; a bad entry ends the script. */
export function generic(bench: Bench): Behaviour {
  const above = bench.machine.ram.map(({ start, length }) => ({ start: start === 0n ? 0x100000n : start, length: start === 0n ? length - 0x100000n : length }));
  const high = new TopDownAllocator(above);
  const fSegment = bench.machine.ram.some((region) => region.start === 0n) ? new TopDownAllocator([F_SEGMENT]) : high;
  const find = (name: string): Blob | undefined => bench.blobs.get(fileName(name) ?? "");
  const missing = (...names: readonly string[]): Step =>
    refused(`${names.map((name) => fileName(name) ?? "a name without NUL").find((name) => !bench.blobs.has(name))} is not loaded`);

  return {
    stopsAtRefusal: true,
    begin: (_script, bytes) => (bytes % ENTRY_SIZE === 0 ? undefined : `the script's ${bytes} bytes are no whole number of entries`),

    allocate(entry: EntryOf<"allocate">): Step {
      const name = fileName(entry.file);
      const file = name === undefined ? undefined : bench.fwCfg.find(name);
      if (!file || file.size === 0) return refused(file ? `${name} is empty` : `there is no fw_cfg file ${name ?? "of a name without NUL"}`);
      if (bench.blobs.has(file.name)) return refused(`${file.name} is loaded already`);
      if ((entry.alignment & (entry.alignment - 1)) !== 0) return refused(`the alignment ${entry.alignment} is no power of two`);
      const zone = entry.zone === "high" ? high : entry.zone === "fSegment" ? fSegment : undefined;
      if (!zone) return refused(`there is no zone ${entry.zone}`);
      const address = bench.place(
        file.name,
        file.size,
        (start, length) => zone.reserve(start, length),
        () => zone.allocate(BigInt(file.size), BigInt(Math.max(entry.alignment, 1)), FOUR_GIB),
      );
      if (address === undefined) return refused(`no room for ${file.size} bytes`);
      bench.load(file, address, entry.zone === "high" ? "RAM" : "F-segment");
      return done(`at ${hexNumber(address)}, ${file.size} bytes`);
    },

    addPointer(entry: EntryOf<"addPointer">): Step {
      const destination = find(entry.destinationFile);
      const source = find(entry.sourceFile);
      if (!destination || !source) return missing(entry.destinationFile, entry.sourceFile);
      if (![1, 2, 4, 8].includes(entry.size) || entry.offset + entry.size > destination.size)
        return refused(`${entry.size} bytes at ${hexNumber(entry.offset)} are no place for a pointer in ${destination.name}`);
      const relative = bench.read(destination, entry.offset, entry.size);
      const value = relative + source.address;
      if (relative >= BigInt(source.size)) return refused(`the pointer's value ${hexNumber(relative)} is outside ${source.name}`);
      if (value >> BigInt(8 * entry.size) !== 0n) return refused(`${hexNumber(value)} does not fit in ${entry.size} bytes`);
      bench.write(destination, entry.offset, entry.size, value);
      return done(`${hexNumber(value)} at ${hexNumber(destination.address + BigInt(entry.offset))}`);
    },

    addChecksum(entry: EntryOf<"addChecksum">): Step {
      const blob = find(entry.file);
      if (!blob) return missing(entry.file);
      if (entry.checksumOffset >= blob.size || entry.start + entry.length > blob.size) return refused(`the range is outside ${blob.name}`);
      bench.write(blob, entry.checksumOffset, 1, 0n);
      const value = (256 - bench.sum(blob, entry.start, entry.length)) & 255;
      bench.write(blob, entry.checksumOffset, 1, BigInt(value));
      return done(`checksum ${hexNumber(value)}`);
    },

    writePointer(entry: EntryOf<"writePointer">): Step {
      const file = bench.fwCfg.find(fileName(entry.destinationFile) ?? "");
      const source = find(entry.sourceFile);
      if (!source) return missing(entry.sourceFile);
      if (!file) return refused(`there is no fw_cfg file ${fileName(entry.destinationFile) ?? "of a name without NUL"}`);
      if (![1, 2, 4, 8].includes(entry.size) || entry.destinationOffset + entry.size > file.size)
        return refused(`${entry.size} bytes at ${hexNumber(entry.destinationOffset)} are no place for a pointer in ${file.name}`);
      if (entry.sourceOffset >= source.size) return refused(`${hexNumber(entry.sourceOffset)} is outside ${source.name}`);
      const value = source.address + BigInt(entry.sourceOffset);
      if (value >> BigInt(8 * entry.size) !== 0n) return refused(`${hexNumber(value)} does not fit in ${entry.size} bytes`);
      if (!bench.fwCfg.write(file.key, entry.destinationOffset, toLittleEndian(value, entry.size))) return refused(`${file.name} is not writable`);
      bench.written.push({ file: file.name, key: file.key, offset: entry.destinationOffset, size: entry.size, value });
      return done(`${hexNumber(value)} written to ${file.name}`);
    },

    finish(_script, failure): Finish {
      if (failure !== undefined) return { failure, notes: [] };
      const rsdp = [...bench.blobs.values()].find((blob) => isRsdp(bench.memory, blob.address));
      return rsdp ? { rsdpAddress: rsdp.address, notes: [] } : { failure: `no loaded blob begins with a valid "${RSDP_SIGNATURE}"`, notes: [] };
    },

    resume() {
      for (const pointer of bench.written) bench.fwCfg.write(pointer.key, pointer.offset, toLittleEndian(pointer.value, pointer.size));
      return bench.written;
    },
  };
}
