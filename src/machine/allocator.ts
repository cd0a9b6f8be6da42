/** Address space handed out from the top down, the way both SeaBIOS and EDK2 do. */
import type { Region } from "./memory.ts";

interface Range {
  start: bigint;
  /** The byte after the last. */
  end: bigint;
}

const alignDown = (value: bigint, alignment: bigint): bigint => value - (value % alignment);

/** Whether two ranges share a byte. */
export const overlaps = (a: Region, b: Region): boolean => a.start < b.start + b.length && b.start < a.start + a.length;

/**
 * A pool of free ranges. An allocation takes the top of the highest range in which it fits; what alignment
 * leaves above it stays free for smaller ones. Allocations never overlap.
 */
export class TopDownAllocator {
  /** Highest first. */
  #free: Range[] = [];

  constructor(regions: readonly Region[]) {
    for (const region of regions) this.release(region.start, region.length);
  }

  /**
   * @param size bytes; @param alignment a power of two;
   * @param below every byte lies below this address.
   * @returns the address, or undefined when no range is large enough.
   */
  allocate(size: bigint, alignment: bigint, below?: bigint): bigint | undefined {
    if (size <= 0n) return undefined;
    for (const range of this.#free) {
      const end = below !== undefined && below < range.end ? below : range.end;
      const address = alignDown(end - size, alignment);
      if (end - size < range.start || address < range.start) continue;
      this.#take(range, address, address + size);
      return address;
    }
    return undefined;
  }

  /** Take a fixed place. False when any byte of it is not free. */
  reserve(start: bigint, length: bigint): boolean {
    const range = this.#free.find((candidate) => candidate.start <= start && start + length <= candidate.end);
    if (!range || length <= 0n) return false;
    this.#take(range, start, start + length);
    return true;
  }

  /** Give a place back. */
  release(start: bigint, length: bigint): void {
    if (length <= 0n) return;
    const all = [...this.#free, { start, end: start + length }].sort((a, b) => (a.start > b.start ? -1 : 1));
    const merged: Range[] = [];
    for (const range of all) {
      const last = merged.at(-1);
      if (last && range.end >= last.start) last.start = range.start;
      else merged.push({ ...range });
    }
    this.#free = merged;
  }

  #take(range: Range, start: bigint, end: bigint): void {
    const parts = [
      { start: end, end: range.end },
      { start: range.start, end: start },
    ].filter((part) => part.end > part.start);
    this.#free.splice(this.#free.indexOf(range), 1, ...parts);
  }
}
