/** What the kernel does about a record besides printing it: PCI functions that are there, and machine checks it makes of memory errors. */
import { expect, test } from "vitest";
import type { Json } from "../../src/layout/index.ts";
import type { Scenario } from "../../src/scenario/schema.ts";
import { describeOn, expectPredicted, runOn } from "./support.ts";

/** A function every machine has: of the x86 one the disk controller, of the other the host bridge. */
const DEVICE = { x86: { device: 31, function: 2 }, arm64: { device: 0, function: 0 } } as const;
const pcie = (architecture: "x86" | "arm64", severity: "corrected" | "recoverable", aer: Json) => ({
  source: 0,
  severity,
  sections: [{ kind: "pcie", body: { portType: "rootComplexIntegratedEndpoint", deviceId: { primaryBus: 0, ...DEVICE[architecture] }, aer } }],
});
const scenario = (architecture: "x86" | "arm64"): Scenario => ({
  name: "functions that are there",
  monitor: { preset: "qemu-10.2", recording: { stores: "statusLast" } },
  machine: { architecture, sources: [{ id: 0, notification: "polled", pollInterval: 100 }] },
  events: [
    pcie(architecture, "corrected", { correctableStatus: { receiverError: true, badTlp: true, headerLogOverflow: true }, correctableMask: { badTlp: true } }),
    pcie(architecture, "corrected", { correctableStatus: { correctedInternalError: true } }),
    pcie(architecture, "recoverable", {
      uncorrectableStatus: { surpriseDownError: true, completionTimeout: true, acsViolation: true, tlpTranslationEgressBlocked: true },
      control: { firstErrorPointer: 14 },
      headerLog: [1, 2, 3, 0x44332211],
    }),
    // The worker for recovery is dead from here on.
    pcie(architecture, "recoverable", { uncorrectableStatus: { malformedTlp: true } }),
  ].map((record, at) => ({ at, record })),
});

for (const [target, architecture, prefix, oops] of [
  ["seabios", "x86", "AER: ", "BUG: kernel NULL pointer dereference"],
  ["seabios@sid", "x86", "", "BUG: kernel NULL pointer dereference"],
  ["aavmf", "arm64", "AER: ", "Unable to handle kernel NULL pointer dereference"],
  ["aavmf@sid", "arm64", "", "Unable to handle kernel NULL pointer dereference"],
] as const)
  describeOn(target)(target, () => {
    test("errors of a PCI function that is there are printed, and recovery of one without a port above it is its worker's end", async () => {
      const result = await runOn(target, scenario(architecture));
      expectPredicted(result);
      const texts = result.records.map(({ lines }) => lines.map(({ text }) => text));
      expect(texts[0]!.some((text) => text.endsWith(`${prefix}aer_status: 0x00008041, aer_mask: 0x00000040`))).toBe(true);
      expect(texts.map((lines) => lines.some((text) => text.startsWith(oops)))).toEqual([false, false, true, false]);
      expect(texts[3]!.some((text) => text.includes("aer_layer"))).toBe(false);
    });
  });

describeOn("seabios@sid")("a kernel that takes machine checks", () => {
  test("makes one of every memory error that has an address", async () => {
    const record = (severity: "corrected" | "recoverable", more: object) => ({ source: 0, memory: { severity, ...more } });
    const result = await runOn("seabios@sid", {
      name: "memory errors",
      monitor: { preset: "qemu-10.2", recording: { stores: "statusLast" } },
      machine: { architecture: "x86", sources: [{ id: 0, notification: "polled", pollInterval: 100 }] },
      events: [
        { at: 0, record: record("corrected", { physicalAddress: "0x4000000", errorType: "singleBitEcc" }) },
        { at: 1, record: record("recoverable", { physicalAddress: "0x4100000", errorType: "multiBitEcc" }) },
        { at: 2, record: record("corrected", { errorType: "singleBitEcc" }) },
      ],
    });
    expectPredicted(result);
    expect(result.records.map(({ lines }) => lines.filter(({ text }) => text.startsWith("mce: ")).length)).toEqual([3, 3, 0]);
  });
});
