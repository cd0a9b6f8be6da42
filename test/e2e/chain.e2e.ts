/** From our tables and script to the guest's acknowledgement: every firmware, every notification that can be raised. */
import { expect, test } from "vitest";
import { describeOn, expectPredicted, FIRMWARES, runOn, sample } from "./support.ts";

for (const target of [...FIRMWARES, ...FIRMWARES.map((firmware) => `${firmware}@sid` as const)])
  describeOn(target)(target, () => {
    test("links our script, writes the address back, and its guest reports and acknowledges our records", async () => {
      const result = await runOn(target, await sample("memory-errors.json"));
      expectPredicted(result);
      expect(result.records.map(({ acknowledgedAfter }) => acknowledgedAfter !== undefined)).toEqual([true, true]);
      expect(result.records.every(({ lines }) => lines.length > 4)).toBe(true);
    });
  });

for (const target of ["seabios", "seabios@sid"] as const)
  describeOn(target)(`a PC, ${target}`, () => {
    test("hears NMI, an interrupt of its own, the event device and a polled version 1 source", async () => {
      const result = await runOn(target, await sample("notifications-x86.json"));
      expectPredicted(result);
      expect(result.records.filter(({ expectedToBeSeen }) => expectedToBeSeen)).toHaveLength(5);
    });
  });

describeOn("seabios")("a PC", () => {
  test("sources no driver takes stay unseen, as predicted", async () => {
    const record = (source: number) => ({ at: 0, record: { source, memory: { severity: "corrected" as const, errorType: "singleBitEcc" as const } } });
    const result = await runOn("seabios", {
      name: "unseen",
      monitor: { preset: "qemu-10.2", recording: { stores: "statusLast" } },
      machine: {
        sources: [
          { id: 0, notification: "localInterrupt" },
          { id: 1, notification: "polled", pollInterval: 0 },
          { id: 2, notification: "polled", pollInterval: 100 },
        ],
      },
      events: [record(0), record(1), record(2)],
    });
    expectPredicted(result);
    expect(result.records.map(({ expectedToBeSeen }) => expectedToBeSeen)).toEqual([false, false, true]);
  });

  test("the older hand-off, through the address of the error blob, works too", async () => {
    const result = await runOn("seabios", {
      name: "older hand-off",
      monitor: { preset: "qemu-7.2", recording: { stores: "statusLast" } },
      machine: { sources: [{ id: 0, notification: "polled", pollInterval: 100 }] },
      events: [{ at: 0, record: { source: 0, memory: { severity: "recoverable", errorType: "multiBitEcc" } } }],
    });
    expectPredicted(result);
    expect(result.records[0]?.acknowledgedAfter).toBeDefined();
  });
});

for (const target of ["aavmf", "aavmf@sid"] as const)
  describeOn(target)(`an arm64 machine, ${target}`, () => {
    test("hears a synchronous external abort, the event device and polling", async () => {
      const result = await runOn(target, await sample("notifications-arm64.json"));
      expectPredicted(result);
      expect(result.records.filter(({ expectedToBeSeen }) => expectedToBeSeen)).toHaveLength(3);
    });
  });
