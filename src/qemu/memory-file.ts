/** Guest RAM that QEMU keeps in a file: reads and writes of the file are reads and writes of the running guest's memory. */
import { closeSync, ftruncateSync, openSync, readSync, writeSync } from "node:fs";
import { type AccessSize, fromLittleEndian, type GuestMemory, MemoryFault, type Region, toLittleEndian } from "../machine/memory.ts";

/**
 * Memory backed by a shared file; the regions follow one another in it. The kernel copies an aligned word of up to
 * 8 bytes in one access, so the guest never sees half of one.
 */
export class FileMemory implements GuestMemory {
  readonly path: string;
  readonly regions: readonly Region[];
  readonly #file: number;

  /** Make the file, all zero. @throws NodeJS.ErrnoException */
  constructor(path: string, regions: readonly Region[]) {
    this.path = path;
    this.regions = regions;
    this.#file = openSync(path, "w+", 0o600);
    ftruncateSync(this.#file, Number(this.size));
  }

  /** Bytes of all regions. */
  get size(): bigint {
    return this.regions.reduce((sum, { length }) => sum + length, 0n);
  }

  read(address: bigint, length: number): Uint8Array {
    const out = new Uint8Array(length);
    const at = this.#offset(address, length);
    for (let done = 0; done < length; ) {
      const count = readSync(this.#file, out, done, length - done, at + done);
      if (count === 0) throw new MemoryFault(address, length);
      done += count;
    }
    return out;
  }
  write(address: bigint, bytes: Uint8Array): void {
    const at = this.#offset(address, bytes.length);
    for (let done = 0; done < bytes.length; ) done += writeSync(this.#file, bytes, done, bytes.length - done, at + done);
  }
  readWord(address: bigint, size: AccessSize): bigint {
    return fromLittleEndian(this.read(address, size));
  }
  writeWord(address: bigint, size: AccessSize, value: bigint): void {
    this.write(address, toLittleEndian(value, size));
  }
  close(): void {
    closeSync(this.#file);
  }

  #offset(address: bigint, length: number): number {
    let before = 0n;
    for (const region of this.regions) {
      if (address >= region.start && address + BigInt(length) <= region.start + region.length) return Number(before + address - region.start);
      before += region.length;
    }
    throw new MemoryFault(address, length);
  }
}
