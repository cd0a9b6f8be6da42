/** Devices in the guest's address space. */
import { type AccessSize, type GuestMemory, SparseMemory } from "../machine/memory.ts";

/** Registers behind an address range. Any access of a guest is answered: what a device does not know reads as zero and is ignored when written. */
export interface MmioDevice {
  /** Bytes. */
  readonly length: number;
  /** The bytes behind it, when it is nothing but memory. */
  readonly bytes?: Uint8Array;
  read(offset: number, size: AccessSize): bigint;
  write(offset: number, size: AccessSize, value: bigint): void;
}

export interface Mapping {
  readonly start: bigint;
  readonly device: MmioDevice;
}

/** Memory with holes in which devices answer. */
export class MemoryWithDevices implements GuestMemory {
  readonly #memory: GuestMemory;
  readonly #mappings: readonly Mapping[];

  constructor(memory: GuestMemory, mappings: readonly Mapping[]) {
    this.#memory = memory;
    this.#mappings = mappings;
  }

  read(address: bigint, length: number): Uint8Array {
    const hit = this.#find(address, length);
    if (hit === "across") return joined(eachByte(address, length, (at) => this.read(at, 1)));
    if (!hit) return this.#memory.read(address, length);
    const { device, offset } = hit;
    return device.bytes ? device.bytes.slice(offset, offset + length) : Uint8Array.from({ length }, (_, i) => Number(device.read(offset + i, 1)));
  }
  write(address: bigint, bytes: Uint8Array): void {
    const hit = this.#find(address, bytes.length);
    if (hit === "across") eachByte(address, bytes.length, (at, i) => this.write(at, bytes.subarray(i, i + 1)));
    else if (!hit) this.#memory.write(address, bytes);
    else if (hit.device.bytes) hit.device.bytes.set(bytes, hit.offset);
    else for (const [i, byte] of bytes.entries()) hit.device.write(hit.offset + i, 1, BigInt(byte));
  }
  readWord(address: bigint, size: AccessSize): bigint {
    const hit = this.#find(address, size);
    if (hit === "across") {
      const half = (size / 2) as AccessSize;
      return this.readWord(address, half) | (this.readWord(address + BigInt(half), half) << BigInt(8 * half));
    }
    return hit ? BigInt.asUintN(size * 8, hit.device.read(hit.offset, size)) : this.#memory.readWord(address, size);
  }
  writeWord(address: bigint, size: AccessSize, value: bigint): void {
    const hit = this.#find(address, size);
    if (hit === "across") {
      const half = (size / 2) as AccessSize;
      this.writeWord(address, half, BigInt.asUintN(8 * half, value));
      this.writeWord(address + BigInt(half), half, BigInt.asUintN(8 * half, value >> BigInt(8 * half)));
    } else if (hit) hit.device.write(hit.offset, size, BigInt.asUintN(size * 8, value));
    else this.#memory.writeWord(address, size, value);
  }

  /** The device behind an address; an access that is half in, half out is made in parts. */
  #find(address: bigint, length: number): { readonly device: MmioDevice; readonly offset: number } | "across" | undefined {
    for (const { start, device } of this.#mappings) {
      const end = start + BigInt(device.length);
      if (address >= end || address + BigInt(length) <= start) continue;
      if (address < start || address + BigInt(length) > end) return "across";
      return { device, offset: Number(address - start) };
    }
    return undefined;
  }
}

const eachByte = <T>(address: bigint, length: number, body: (at: bigint, i: number) => T): T[] =>
  Array.from({ length }, (_, i) => body(address + BigInt(i), i));
const joined = (bytes: readonly Uint8Array[]): Uint8Array => Uint8Array.from(bytes, ([byte]) => byte!);

/**
 * Registers that are reached as QEMU reaches those of a device that names no sizes (softmmu/physmem.c behaviour): an
 * access comes in pieces of at most 4 bytes, each aligned to its size, lowest address first.
 * @param length bytes of the window.
 */
export function registerDevice(length: number, read: (offset: number) => bigint, write: (offset: number, value: bigint) => void): MmioDevice {
  return {
    length,
    read: (offset, size) =>
      piecesOf(offset, size).reduce((word, piece) => word | (BigInt.asUintN(8 * piece.size, read(piece.offset)) << BigInt(8 * (piece.offset - offset))), 0n),
    write: (offset, size, value) => {
      for (const piece of piecesOf(offset, size)) write(piece.offset, BigInt.asUintN(8 * piece.size, value >> BigInt(8 * (piece.offset - offset))));
    },
  };
}
function piecesOf(offset: number, size: number): { readonly offset: number; readonly size: number }[] {
  const pieces: { offset: number; size: number }[] = [];
  for (let at = offset; at < offset + size; at += pieces.at(-1)!.size) {
    const left = offset + size - at;
    // The largest power of two that divides the address, fits what is left, and is at most 4.
    const aligned = at % 4 === 0 ? 4 : at % 2 === 0 ? 2 : 1;
    pieces.push({ offset: at, size: left >= aligned ? aligned : left >= 2 && aligned > 2 ? 2 : 1 });
  }
  return pieces;
}

/** Plain bytes as a device: a buffer both sides see. */
export function bufferDevice(bytes: Uint8Array): MmioDevice {
  return {
    length: bytes.length,
    bytes,
    read: (offset, size) => {
      let value = 0n;
      for (let i = size - 1; i >= 0; i--) value = (value << 8n) | BigInt(bytes[offset + i] ?? 0);
      return value;
    },
    write: (offset, size, value) => {
      for (let i = 0; i < size && offset + i < bytes.length; i++) bytes[offset + i] = Number((value >> BigInt(8 * i)) & 255n);
    },
  };
}

/** Plain bytes as memory of their own, for what stands behind them. */
export const memoryAt = (start: bigint, bytes: Uint8Array): GuestMemory =>
  new MemoryWithDevices(new SparseMemory([]), [{ start, device: bufferDevice(bytes) }]);

/** Plain bytes, and somebody who looks after every write of the guest. */
export function watchedDevice(bytes: Uint8Array, written: () => void): MmioDevice {
  const { length, read, write } = bufferDevice(bytes);
  return {
    length,
    read,
    write: (offset, size, value) => {
      write(offset, size, value);
      written();
    },
  };
}
