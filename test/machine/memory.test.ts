import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { TopDownAllocator } from "../../src/machine/allocator.ts";
import { q35, virt } from "../../src/machine/machines.ts";
import { ArrayMemory, type GuestMemory, MemoryFault, SparseMemory } from "../../src/machine/memory.ts";

const REGION = { start: 0x40000000n, length: 0x8000n };
/** Every guest memory behaves alike. */
const memories: readonly (readonly [string, () => GuestMemory])[] = [
  ["sparse", () => new SparseMemory([REGION])],
  ["array", () => new ArrayMemory(REGION.start, Number(REGION.length))],
];

describe.each(memories)("%s memory", (_name, make) => {
  test("reads what was written, zeros elsewhere", () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.nat(0x7f00), fc.uint8Array({ maxLength: 200 })), { maxLength: 8 }), (writes) => {
        const memory = make();
        const model = new Uint8Array(0x8000);
        for (const [offset, bytes] of writes) {
          memory.write(REGION.start + BigInt(offset), bytes);
          model.set(bytes, offset);
        }
        expect(Buffer.from(memory.read(REGION.start, model.length)).equals(model)).toBe(true);
      }),
      { numRuns: 50, seed: 5 },
    );
  });
  test("words are little-endian", () => {
    const memory = make();
    memory.writeWord(REGION.start + 0xffcn, 8, 0x1122334455667788n);
    expect(memory.read(REGION.start + 0xffcn, 8)).toEqual(Uint8Array.of(0x88, 0x77, 0x66, 0x55, 0x44, 0x33, 0x22, 0x11));
    expect(memory.readWord(REGION.start + 0xffcn, 4)).toBe(0x55667788n);
  });
  test("outside the region is a fault, also by one byte", () => {
    const memory = make();
    expect(() => memory.read(REGION.start + 0x7fffn, 2)).toThrow(MemoryFault);
    expect(() => memory.write(REGION.start - 1n, new Uint8Array(1))).toThrow("no memory at 0x3fffffff (1 bytes)");
    expect(() => memory.readWord(0n, 8)).toThrow(MemoryFault);
  });
  test("what is read is a copy", () => {
    const memory = make();
    memory.read(REGION.start, 4).fill(9);
    expect(memory.read(REGION.start, 4)).toEqual(new Uint8Array(4));
  });
});

describe("allocation from the top", () => {
  test("highest place that fits; what alignment leaves stays free", () => {
    const pool = new TopDownAllocator([
      { start: 0x1000n, length: 0x1000n },
      { start: 0x8000n, length: 0x100n },
    ]);
    expect(pool.allocate(0x10n, 0x10n)).toBe(0x80f0n);
    expect(pool.allocate(0x200n, 0x10n)).toBe(0x1e00n);
    expect(pool.allocate(0x10n, 0x400n)).toBe(0x8000n);
    expect(pool.allocate(0xe0n, 0x10n)).toBe(0x8010n);
    expect(pool.allocate(0x10n, 0x10n, 0x1100n)).toBe(0x10f0n);
    expect(pool.allocate(0x10000n, 1n)).toBeUndefined();
    expect(pool.allocate(0n, 1n)).toBeUndefined();
  });
  test("fixed places, and giving back", () => {
    const pool = new TopDownAllocator([{ start: 0x1000n, length: 0x1000n }]);
    expect(pool.reserve(0x1800n, 0x100n)).toBe(true);
    expect(pool.reserve(0x18ffn, 1n)).toBe(false);
    expect(pool.allocate(0x700n, 1n)).toBe(0x1900n);
    pool.release(0x1800n, 0x100n);
    pool.release(0x1900n, 0x700n);
    expect(pool.allocate(0x1000n, 0x1000n)).toBe(0x1000n);
  });
  test("allocations never overlap and stay inside", () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.integer({ min: 1, max: 400 }), fc.integer({ min: 0, max: 7 }), fc.boolean()), { maxLength: 60 }), (wishes) => {
        const regions = [
          { start: 0x1001n, length: 0xfffn },
          { start: 0x5000n, length: 0x1003n },
        ];
        const pool = new TopDownAllocator(regions);
        const taken: { start: bigint; end: bigint }[] = [];
        for (const [size, bits, giveBack] of wishes) {
          const address = pool.allocate(BigInt(size), 1n << BigInt(bits));
          if (address === undefined) continue;
          expect(address % (1n << BigInt(bits))).toBe(0n);
          const range = { start: address, end: address + BigInt(size) };
          expect(regions.some((region) => range.start >= region.start && range.end <= region.start + region.length)).toBe(true);
          expect(taken.some((other) => other.start < range.end && range.start < other.end)).toBe(false);
          if (giveBack) pool.release(range.start, range.end - range.start);
          else taken.push(range);
        }
      }),
      { numRuns: 100, seed: 9 },
    );
  });
});

describe("machines", () => {
  test("q35 splits RAM at 2 GiB, virt begins at 1 GiB", () => {
    expect(q35(3n << 30n).ram).toEqual([
      { start: 0n, length: 2n << 30n },
      { start: 4n << 30n, length: 1n << 30n },
    ]);
    expect(virt(1n << 30n).ram).toEqual([{ start: 1n << 30n, length: 1n << 30n }]);
  });
});
