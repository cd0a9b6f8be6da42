/** Guest physical memory as firmware, guest and host all see it. */

/** Bytes of one access that must not be torn. */
export type AccessSize = 1 | 2 | 4 | 8;

/** An access outside every region of the memory map. */
export class MemoryFault extends Error {
  override readonly name = "MemoryFault";
  readonly address: bigint;

  constructor(address: bigint, length: number) {
    super(`no memory at 0x${address.toString(16)} (${length} bytes)`);
    this.address = address;
  }
}

/**
 * Access memory where there may be none.
 * @param fault is told why when there is none.
 * @returns undefined then. @throws every error but a MemoryFault.
 */
export function whereMemory<T>(access: () => T, fault?: (why: string) => void): T | undefined {
  try {
    return access();
  } catch (error) {
    if (!(error instanceof MemoryFault)) throw error;
    fault?.(error.message);
    return undefined;
  }
}

/** Guest physical memory. Addresses are bytes; words are little-endian. Implementations throw MemoryFault outside their regions. */
export interface GuestMemory {
  /** A copy of `length` bytes. */
  read(address: bigint, length: number): Uint8Array;
  write(address: bigint, bytes: Uint8Array): void;
  /** One access, never torn when `address` is a multiple of `size`. */
  readWord(address: bigint, size: AccessSize): bigint;
  /** One access, never torn when `address` is a multiple of `size`. */
  writeWord(address: bigint, size: AccessSize, value: bigint): void;
}

export interface Region {
  readonly start: bigint;
  /** Bytes. */
  readonly length: bigint;
}

/** Little-endian bytes of a number, cut to `size`. */
export function toLittleEndian(value: bigint, size: number): Uint8Array {
  const out = new Uint8Array(size);
  for (let i = 0, left = value; i < size; i++, left >>= 8n) out[i] = Number(left & 255n);
  return out;
}
/** Bytes as an unsigned little-endian number. */
export const fromLittleEndian = (bytes: Uint8Array): bigint => bytes.reduceRight((sum, byte) => (sum << 8n) | BigInt(byte), 0n);

const PAGE_SIZE = 4096;
const PAGE = BigInt(PAGE_SIZE);

function wordAt(bytes: Uint8Array, at: number, size: AccessSize): bigint {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  if (size === 8) return view.getBigUint64(at, true);
  return BigInt(size === 4 ? view.getUint32(at, true) : size === 2 ? view.getUint16(at, true) : view.getUint8(at));
}

/** Memory in pages that exist only once written; everything else reads as zero. */
export class SparseMemory implements GuestMemory {
  readonly regions: readonly Region[];
  readonly #pages = new Map<bigint, Uint8Array>();

  constructor(regions: readonly Region[]) {
    this.regions = regions;
  }

  read(address: bigint, length: number): Uint8Array {
    this.#check(address, length);
    const out = new Uint8Array(length);
    this.#eachPage(address, length, (page, from, at, count) => {
      const bytes = this.#pages.get(page);
      if (bytes) out.set(bytes.subarray(from, from + count), at);
    });
    return out;
  }

  write(address: bigint, bytes: Uint8Array): void {
    this.#check(address, bytes.length);
    this.#eachPage(address, bytes.length, (page, from, at, count) => {
      let target = this.#pages.get(page);
      if (!target) this.#pages.set(page, (target = new Uint8Array(PAGE_SIZE)));
      target.set(bytes.subarray(at, at + count), from);
    });
  }

  readWord(address: bigint, size: AccessSize): bigint {
    const from = Number(address % PAGE);
    if (from + size > PAGE_SIZE) return fromLittleEndian(this.read(address, size));
    this.#check(address, size);
    const page = this.#pages.get(address / PAGE);
    return page ? wordAt(page, from, size) : 0n;
  }

  writeWord(address: bigint, size: AccessSize, value: bigint): void {
    this.write(address, toLittleEndian(value, size));
  }

  /** The pages written so far, in address order. */
  *pages(): Generator<readonly [address: bigint, bytes: Uint8Array]> {
    for (const page of [...this.#pages.keys()].sort((a, b) => (a < b ? -1 : 1))) yield [page * PAGE, this.#pages.get(page)!];
  }

  #check(address: bigint, length: number): void {
    const end = address + BigInt(length);
    if (!this.regions.some((region) => address >= region.start && end <= region.start + region.length)) throw new MemoryFault(address, length);
  }

  #eachPage(address: bigint, length: number, body: (page: bigint, from: number, at: number, count: number) => void): void {
    for (let at = 0; at < length; ) {
      const here = address + BigInt(at);
      const from = Number(here % PAGE);
      const count = Math.min(length - at, PAGE_SIZE - from);
      body(here / PAGE, from, at, count);
      at += count;
    }
  }
}

/** One region as a plain array: for small memories and for shared buffers. */
export class ArrayMemory implements GuestMemory {
  readonly start: bigint;
  readonly #bytes: Uint8Array;

  /** @param content bytes of the region, or how many zeros; an array is used as it is, not copied. */
  constructor(start: bigint, content: number | Uint8Array) {
    this.start = start;
    this.#bytes = typeof content === "number" ? new Uint8Array(content) : content;
  }

  read(address: bigint, length: number): Uint8Array {
    const at = this.#offset(address, length);
    return this.#bytes.slice(at, at + length);
  }

  write(address: bigint, bytes: Uint8Array): void {
    this.#bytes.set(bytes, this.#offset(address, bytes.length));
  }

  readWord(address: bigint, size: AccessSize): bigint {
    return fromLittleEndian(this.read(address, size));
  }

  writeWord(address: bigint, size: AccessSize, value: bigint): void {
    this.write(address, toLittleEndian(value, size));
  }

  #offset(address: bigint, length: number): number {
    const at = address - this.start;
    if (at < 0n || at + BigInt(length) > BigInt(this.#bytes.length)) throw new MemoryFault(address, length);
    return Number(at);
  }
}
