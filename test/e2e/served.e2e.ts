/**
 * Devices QEMU does not have, on unmodified QEMU with unmodified Linux: EINJ, and an error record store on arm64. Their
 * registers are memory the firmware placed; the guest's own drivers use them, and this side answers.
 */
import { expect, test } from "vitest";
import { messageText } from "../../src/guest/pstore.ts";
import { printedFiles } from "../../src/qemu/store.ts";
import { storedRecords } from "../../src/scenario/error-store.ts";
import { describeOn, expectPredicted, runOn, scenarioSample } from "./support.ts";

const TRIGGERED = /^the trigger was pulled: /;

for (const target of ["seabios", "ovmf", "seabios@sid"] as const)
  describeOn(target)(`error injection on ${target}`, () => {
    test("the sample: two errors become records, one request is refused by the kernel", async () => {
      const result = await runOn(target, await scenarioSample("injection-x86.json"));
      expectPredicted(result);
      expect([result.done, result.skipped]).toEqual([result.events, []]);
      expect(result.timeline.filter(({ text }) => TRIGGERED.test(text))).toHaveLength(2);
      expect(result.records.map(({ acknowledgedAfter, lines }) => [acknowledgedAfter !== undefined, lines.length > 5])).toEqual([
        [true, true],
        [true, true],
      ]);
    });
  });

for (const target of ["aavmf", "aavmf@sid"] as const)
  describeOn(target)(`error injection and an error record store on ${target}`, () => {
    test("the sample: the error the guest dies of is its own, and what it says of it is stored", async () => {
      const result = await runOn(target, await scenarioSample("injection-panic-stored.json"));
      expectPredicted(result);
      expect([result.done, result.skipped, result.outcome]).toEqual([2, [], "panicked"]);
      const [old, ...fresh] = storedRecords(result.store!);
      expect(old!.id).toBe(0x6a00000000000001n);
      expect(messageText(fresh[0]!.record.sections[0]!.body!)).toMatch(/^Panic#1 Part1\n[\s\S]*Kernel panic - not syncing: GHES: Fatal hardware error/);
    });
  });

describeOn("aavmf")("an error record store on arm64", () => {
  test("the sample: records of the host are the guest's files, one is read, one removed", async () => {
    const result = await runOn("aavmf", await scenarioSample("error-store-arm64.json"));
    expectPredicted(result);
    expect([result.done, result.skipped]).toEqual([2, []]);
    expect(printedFiles(result.console).map(({ name }) => name)).toEqual([
      "dmesg-erst-7638104968020361217",
      "dmesg-erst-7638104968020361218",
      "dmesg-erst-7638104968020361218",
    ]);
    expect(storedRecords(result.store!).map(({ id }) => id)).toEqual([0x6a00000000000002n]);
  });
});
