import { expect, test } from "vitest";
import { SharedMemory } from "../../src/host/shared-memory.ts";
import { runConcurrently } from "./concurrent.ts";

test("two threads, one buffer: every error arrives once, whole and in order", { timeout: 30_000 }, async () => {
  const errors = 2000;
  expect(await runConcurrently(errors)).toMatchObject({ submitted: errors, written: errors, received: errors, wrong: 0 });
});

test("words of shared memory", () => {
  const memory = new SharedMemory(new SharedArrayBuffer(64), 0x1000n);
  memory.writeWord(0x1008n, 8, 0x1122334455667788n);
  expect(memory.read(0x1008n, 4)).toEqual(Uint8Array.of(0x88, 0x77, 0x66, 0x55));
  expect([1, 2, 4, 8].map((size) => memory.readWord(0x1008n, size as 4))).toEqual([0x88n, 0x7788n, 0x55667788n, 0x1122334455667788n]);
  memory.writeWord(0x1013n, 4, 0xaabbccddn);
  expect(memory.readWord(0x1013n, 4)).toBe(0xaabbccddn);
  memory.writeWord(0x1020n, 2, 0x1234n);
  memory.writeWord(0x1022n, 1, 0x56n);
  expect(memory.readWord(0x1020n, 4)).toBe(0x561234n);
  expect(() => memory.readWord(0x103cn, 8)).toThrow("no memory at 0x103c");
});
