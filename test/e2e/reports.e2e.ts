/** What the kernel prints for every section at run time. */
import { expect, test } from "vitest";
import { Dice } from "../../src/input/generate.ts";
import { bytesToHex } from "../../src/layout/index.ts";
import { blockOf, LINUX_SECTIONS } from "./sections.ts";
import { describeOn, expectPredicted, runOn } from "./support.ts";

for (const [firmware, seed] of [
  ["seabios", 1],
  ["seabios@sid", 3],
  ["aavmf", 2],
] as const)
  describeOn(firmware)(`sections on ${firmware}`, () => {
    test("all of them at run time, with random values", async () => {
      const dice = new Dice(seed);
      const events = (["corrected", "recoverable", "corrected", "recoverable"] as const).map((severity) => ({
        at: 0,
        record: { source: 0, block: bytesToHex(blockOf(LINUX_SECTIONS, dice, severity)) },
      }));
      const result = await runOn(firmware, {
        name: "every section",
        monitor: { preset: "qemu-10.2", walk: "specification", recording: { stores: "statusLast" } },
        machine: { sources: [{ id: 0, notification: "polled", pollInterval: 100, blockLength: 0x8000 }] },
        events,
      });
      expectPredicted(result);
      expect(result.records.every(({ lines }) => lines.length > 60)).toBe(true);
    });
  });
