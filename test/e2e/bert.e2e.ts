/** Errors of the boot before: our region on real firmware, what a real kernel prints of it and what it leaves of it. */
import { expect, test } from "vitest";
import { buildErrorStatusBlock } from "../../src/acpi/status-block.ts";
import { Dice } from "../../src/input/generate.ts";
import { bytesToHex } from "../../src/layout/index.ts";
import type { Scenario } from "../../src/scenario/schema.ts";
import { blockOf, LINUX_SECTIONS } from "./sections.ts";
import { describeOn, expectPredicted, FIRMWARES, runOn, scenarioSample } from "./support.ts";

const withRegion = (name: string, bytes: Uint8Array, length?: number): Scenario => ({
  name,
  machine: { ras: false, bootErrors: { region: bytesToHex(bytes), ...(length !== undefined && { length }) } },
  events: [],
});
const joined = (...blocks: Uint8Array[]) => new Uint8Array(Buffer.concat(blocks));

for (const firmware of FIRMWARES)
  describeOn(firmware)(`boot errors on ${firmware}`, () => {
    test("the sample: five blocks are printed, one is counted, all are cleared", async () => {
      const result = await runOn(firmware, await scenarioSample("bert-region.json"));
      expectPredicted(result);
      const [said, left] = result.boot.filter(({ title }) => /boot before|leaves of them/.test(title));
      expect(said!.lines.map(({ text }) => text)).toEqual(
        expect.arrayContaining(["BERT: [Hardware Error]: Skipped 1 error records", "BERT: Total records found: 6"]),
      );
      expect(left!.lines.filter(({ text }) => text.endsWith("is cleared"))).toHaveLength(6);
    });
  });

for (const [firmware, seed] of [
  ["seabios", 101],
  ["seabios@sid", 103],
  ["aavmf", 102],
] as const)
  describeOn(firmware)(`every section on ${firmware}`, () => {
    test("with random values, two to a block, and one block too many", async () => {
      const dice = new Dice(seed);
      const blocks: Uint8Array[] = [];
      // Only blocks of less than 1024 bytes are printed, and only five.
      for (let from = 0; from < LINUX_SECTIONS.length; from += 2) blocks.push(blockOf(LINUX_SECTIONS.slice(from, from + 2), dice, "recoverable"));
      blocks.push(blockOf(LINUX_SECTIONS.slice(0, 1), dice, "corrected"));
      const result = await runOn(firmware, withRegion("boot errors", joined(...blocks, new Uint8Array(64))));
      expectPredicted(result);
      expect(result.boot.find(({ title }) => title.includes("boot before"))?.lines.length).toBeGreaterThan(30);
    });
  });

describeOn("seabios")("regions that are not as they should be", () => {
  const block = () => buildErrorStatusBlock("corrected", []);
  const memory = (dice: Dice) => blockOf([LINUX_SECTIONS.find(({ name }) => name === "platformMemory")!], dice, "corrected");
  test.each([
    ["cut in the second block", () => joined(memory(new Dice(1)), memory(new Dice(2))), -10, "BERT: [Firmware Bug]: Truncated status block"],
    [
      "lengths that contradict each other",
      () => joined(memory(new Dice(3)), Uint8Array.from([1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 7, 0, 0, 0, 2, 0, 0, 0]), new Uint8Array(64)),
      0,
      "BERT: [Firmware Bug]: Invalid error record.",
    ],
    ["shorter than a header", () => block().slice(0, 12), 0, "BERT: [Firmware Bug]: table invalid."],
  ])("%s", async (name, make, change, complaint) => {
    const bytes = make();
    const result = await runOn("seabios", withRegion(name, bytes, bytes.length + change));
    expectPredicted(result);
    const lines = result.boot.find(({ title }) => title.includes("boot before"))!.lines.map(({ text }) => text);
    expect(lines.some((line) => line.startsWith(complaint))).toBe(true);
  });
});
