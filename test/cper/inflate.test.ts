import { constants, deflateRawSync, deflateSync } from "node:zlib";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { inflate } from "../../src/cper/inflate.ts";
import { readDocument } from "../../src/input/document.ts";
import { treeLines } from "../../src/layout/index.ts";
import { describeShared, shared } from "../support/shared.ts";

describe("inflate against zlib", () => {
  const text = fc
    .array(fc.constantFrom("Hardware Error ", "CPU 0 ", "\n", "x", "0123456789", "[    1.270808] "))
    .map((words) => Buffer.from(words.join("").repeat(3)));
  const data = fc.oneof(
    text,
    fc.uint8Array({ maxLength: 3000 }).map((bytes) => Buffer.from(bytes)),
  );
  test("every way of compressing", () => {
    fc.assert(
      fc.property(
        data,
        fc.constantFrom(0, 1, 6, 9),
        fc.constantFrom(constants.Z_DEFAULT_STRATEGY, constants.Z_FIXED, constants.Z_HUFFMAN_ONLY),
        (bytes, level, strategy) => {
          for (const squeeze of [deflateRawSync, deflateSync]) {
            const result = inflate(new Uint8Array(squeeze(bytes, { level, strategy })));
            expect(result.complete).toBe(true);
            expect(Buffer.compare(result.bytes, bytes)).toBe(0);
          }
        },
      ),
      { numRuns: 300, seed: 11 },
    );
  });
  test("damage ends it, with what was there before", () => {
    const bytes = Buffer.from("a machine check is a machine check ".repeat(40));
    const squeezed = new Uint8Array(deflateRawSync(bytes));
    for (let length = 0; length < squeezed.length; length++) {
      const result = inflate(squeezed.slice(0, length));
      expect(result.complete).toBe(false);
      expect(bytes.subarray(0, result.bytes.length).equals(result.bytes)).toBe(true);
    }
  });
  test("any bytes", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
        expect(inflate(bytes, 100_000).bytes.length).toBeLessThanOrEqual(100_000);
      }),
      { numRuns: 2000, seed: 3 },
    );
  });
  test("no more than is allowed", () => {
    const result = inflate(new Uint8Array(deflateRawSync(Buffer.alloc(1_000_000))), 5000);
    expect(result.bytes.length).toBe(5000);
    expect(result.complete).toBe(false);
  });
});

describeShared("kernel messages of a panic, as Linux stored them", () => {
  test("are expanded", () => {
    const { format, value } = readDocument(shared("guest/erst/erst-1-after-sysrq-panic.bin"));
    const lines = format.tree(value).flatMap((tree) => treeLines(tree));
    // What Python's zlib made of them when they were recorded: 13,239 and 13,317 bytes.
    expect(lines.some((line) => /expanded 13239: Panic#1 Part1/.test(line))).toBe(true);
    expect(lines.some((line) => /expanded 13317: Panic#1 Part2/.test(line))).toBe(true);
    expect(lines.some((line) => line.includes("PCI host bridge to bus 0000:"))).toBe(true);
  });
});
