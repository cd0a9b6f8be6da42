/** Devices in the guest's address space. */
import { type AccessSize, type GuestMemory, MemoryFault } from "../machine/memory.ts";

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
    if (hit?.device.bytes) return hit.device.bytes.slice(hit.offset, hit.offset + length);
    return hit ? Uint8Array.from({ length }, (_, i) => Number(hit.device.read(hit.offset + i, 1))) : this.#memory.read(address, length);
  }
  write(address: bigint, bytes: Uint8Array): void {
    const hit = this.#find(address, bytes.length);
    if (!hit) this.#memory.write(address, bytes);
    else if (hit.device.bytes) hit.device.bytes.set(bytes, hit.offset);
    else for (const [i, byte] of bytes.entries()) hit.device.write(hit.offset + i, 1, BigInt(byte));
  }
  readWord(address: bigint, size: AccessSize): bigint {
    const hit = this.#find(address, size);
    return hit ? BigInt.asUintN(size * 8, hit.device.read(hit.offset, size)) : this.#memory.readWord(address, size);
  }
  writeWord(address: bigint, size: AccessSize, value: bigint): void {
    const hit = this.#find(address, size);
    if (hit) hit.device.write(hit.offset, size, BigInt.asUintN(size * 8, value));
    else this.#memory.writeWord(address, size, value);
  }

  #find(address: bigint, length: number): { readonly device: MmioDevice; readonly offset: number } | undefined {
    for (const { start, device } of this.#mappings) {
      const end = start + BigInt(device.length);
      if (address >= end || address + BigInt(length) <= start) continue;
      // Half in, half out: no bus does that.
      if (address < start || address + BigInt(length) > end) throw new MemoryFault(address, length);
      return { device, offset: Number(address - start) };
    }
    return undefined;
  }
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
