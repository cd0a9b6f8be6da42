import { expect, test } from "vitest";
import { PoisonedPages } from "../../src/host/poisoned-pages.ts";
import { SparseMemory } from "../../src/machine/memory.ts";

test("a page is on the list once, and is replaced by zeros at the next reset only", () => {
  const memory = new SparseMemory([{ start: 0x4000_0000n, length: 0x10_0000n }]);
  memory.write(0x4000_0ff8n, new Uint8Array(0x2010).fill(0xaa));
  const pages = new PoisonedPages();
  expect([pages.add(0x4000_2040n), pages.add(0x4000_1fffn), pages.add(0x4000_2000n)]).toEqual([true, true, false]);
  expect(pages.has(0x4000_2fffn)).toBe(true);
  expect(pages.has(0x4000_3000n)).toBe(false);
  // The latest first.
  expect(pages.replace(memory)).toEqual([0x4000_1000n, 0x4000_2000n]);
  expect(memory.readWord(0x4000_0ff8n, 8)).toBe(0xaaaa_aaaa_aaaa_aaaan);
  expect(memory.read(0x4000_1000n, 0x2000)).toEqual(new Uint8Array(0x2000));
  expect(memory.readWord(0x4000_3000n, 8)).toBe(0xaaaa_aaaa_aaaa_aaaan);
  expect(pages.addresses).toEqual([]);
  expect(pages.replace(memory)).toEqual([]);
});

test("behind huge pages all of one is lost", () => {
  const pages = new PoisonedPages(0x20_0000n);
  pages.add(0x4030_0000n);
  expect(pages.addresses).toEqual([0x4020_0000n]);
  expect(pages.add(0x403f_ffffn)).toBe(false);
});
