/**
 * Guest memory that several threads use at the same time. Aligned words are single atomic accesses, sequentially
 * consistent as JavaScript's are: stores of them come after all before them, loads before all behind them, so that a body
 * that was copied before the status was stored is there for whoever reads it after that status. Plain bytes have no order
 * of their own, on arm64 neither those stored nor those loaded (`docs/memory-order.md`).
 */
import { type AccessSize, fromLittleEndian, type GuestMemory, MemoryFault } from "../machine/memory.ts";

/** Guest memory in a SharedArrayBuffer: aligned words of up to 8 bytes are read and written whole. @throws MemoryFault */
export class SharedMemory implements GuestMemory {
  readonly start: bigint;
  readonly #bytes: Uint8Array;
  readonly #words16: Uint16Array;
  readonly #words32: Uint32Array;
  readonly #words64: BigUint64Array;

  /** @param start guest address of the buffer's first byte, a multiple of 8. */
  constructor(buffer: SharedArrayBuffer, start: bigint) {
    this.start = start;
    this.#bytes = new Uint8Array(buffer);
    this.#words16 = new Uint16Array(buffer, 0, buffer.byteLength >> 1);
    this.#words32 = new Uint32Array(buffer, 0, buffer.byteLength >> 2);
    this.#words64 = new BigUint64Array(buffer, 0, buffer.byteLength >> 3);
  }

  read(address: bigint, length: number): Uint8Array {
    const at = this.#at(address, length);
    return this.#bytes.slice(at, at + length);
  }
  write(address: bigint, bytes: Uint8Array): void {
    this.#bytes.set(bytes, this.#at(address, bytes.length));
  }
  readWord(address: bigint, size: AccessSize): bigint {
    const at = this.#at(address, size);
    if (at % size !== 0) return fromLittleEndian(this.read(address, size));
    if (size === 8) return Atomics.load(this.#words64, at >> 3);
    return BigInt(size === 4 ? Atomics.load(this.#words32, at >> 2) : size === 2 ? Atomics.load(this.#words16, at >> 1) : Atomics.load(this.#bytes, at));
  }
  writeWord(address: bigint, size: AccessSize, value: bigint): void {
    const at = this.#at(address, size);
    if (at % size !== 0)
      this.write(
        address,
        Uint8Array.from({ length: size }, (_, i) => Number((value >> BigInt(8 * i)) & 255n)),
      );
    else if (size === 8) Atomics.store(this.#words64, at >> 3, value);
    else if (size === 4) Atomics.store(this.#words32, at >> 2, Number(value));
    else if (size === 2) Atomics.store(this.#words16, at >> 1, Number(value));
    else Atomics.store(this.#bytes, at, Number(value));
  }

  #at(address: bigint, length: number): number {
    const at = address - this.start;
    if (at < 0n || at + BigInt(length) > BigInt(this.#bytes.length)) throw new MemoryFault(address, length);
    return Number(at);
  }
}
