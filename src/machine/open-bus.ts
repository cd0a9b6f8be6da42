/** Accesses to addresses where nothing is. */
import { type AccessSize, type GuestMemory, MemoryFault } from "./memory.ts";

/**
 * Memory on a bus where nobody minds an access to nothing: zeros are read, and what is written is lost. So it is for
 * QEMU itself (address_space_rw behaviour) and for the x86 guests it runs; an arm64 guest gets an external abort.
 */
export class OpenBus implements GuestMemory {
  readonly #memory: GuestMemory;
  readonly #lost: (address: bigint, length: number) => void;

  /** @param lost is told of every write that went nowhere. */
  constructor(memory: GuestMemory, lost: (address: bigint, length: number) => void = () => {}) {
    this.#memory = memory;
    this.#lost = lost;
  }

  read(address: bigint, length: number): Uint8Array {
    return this.#reach(() => this.#memory.read(address, length)) ?? new Uint8Array(length);
  }
  readWord(address: bigint, size: AccessSize): bigint {
    return this.#reach(() => this.#memory.readWord(address, size)) ?? 0n;
  }
  write(address: bigint, bytes: Uint8Array): void {
    if (this.#reach(() => this.#memory.write(address, bytes) ?? true) === undefined) this.#lost(address, bytes.length);
  }
  writeWord(address: bigint, size: AccessSize, value: bigint): void {
    if (this.#reach(() => this.#memory.writeWord(address, size, value) ?? true) === undefined) this.#lost(address, size);
  }

  #reach<T>(body: () => T): T | undefined {
    try {
      return body();
    } catch (error) {
      if (!(error instanceof MemoryFault)) throw error;
      return undefined;
    }
  }
}
