/** Records that nobody should write, and what a kernel makes of them. */
import { expect, test } from "vitest";
import { buildErrorStatusBlock, ErrorStatusBlockHeader } from "../../src/acpi/status-block.ts";
import { platformMemory } from "../../src/cper/sections/memory.ts";
import { bytesToHex, encode, fieldOffset } from "../../src/layout/index.ts";
import type { Scenario } from "../../src/scenario/schema.ts";
import { describeOn, expectPredicted, runOn } from "./support.ts";

type Severity = "corrected" | "recoverable" | "fatal" | "none";
const NEW_FIELDS = encode(platformMemory.layout as never, { validation: { rankNumber: true }, rankNumber: 3 } as never);
/** A memory error of the size the section had first, with bits for fields it did not have; and text that breaks its line. */
const block = (severity: Severity, fruText = "one\ntwo\rthree") =>
  buildErrorStatusBlock(severity, [
    { header: { sectionType: platformMemory.guids[0]!, errorSeverity: severity, fruText }, body: NEW_FIELDS },
    {
      header: { sectionType: platformMemory.guids[0]!, errorSeverity: severity },
      body: NEW_FIELDS.subarray(0, fieldOffset(platformMemory.layout as never, "extended")),
    },
    { header: { sectionType: platformMemory.guids[0]!, errorSeverity: severity }, body: NEW_FIELDS.subarray(0, 40) },
  ]);
function changed(severity: Severity, words: Partial<Record<"rawDataOffset" | "rawDataLength" | "dataLength", number>>): Uint8Array {
  const bytes = block(severity);
  for (const [name, value] of Object.entries(words)) new DataView(bytes.buffer).setUint32(fieldOffset(ErrorStatusBlockHeader, name as never), value, true);
  return bytes;
}
const record = (bytes: Uint8Array, source = 0) => ({ at: 0, record: { source, block: bytesToHex(bytes) } });

const scenario: Scenario = {
  name: "odd records",
  monitor: { preset: "qemu-10.2", walk: "specification", recording: { stores: "statusLast" } },
  machine: {
    sources: [
      { id: 0, notification: "polled", pollInterval: 100 },
      { id: 7, notification: "gpioSignal" },
    ],
    bootErrors: { records: [{ block: bytesToHex(block("corrected")) }], length: 4096 },
  },
  events: [
    // One more mild report than the kernel prints in its time.
    record(block("corrected")),
    record(block("none")),
    record(block("none", "another")),
    // Less than a header, contradictions, and a fatal one among them: the kernel drops them and lives.
    record(changed("corrected", { rawDataOffset: 10, rawDataLength: 5 })),
    record(changed("corrected", { rawDataOffset: 30, rawDataLength: 40 })),
    record(changed("fatal", { dataLength: 63 })),
    // Told by the notification of another source: its own timer looks all the same; the other waits for its own.
    { at: 0, record: { source: 0, notification: "sci", memory: { severity: "recoverable", physicalAddress: "0x0" } } },
    { at: 0, record: { source: 7, notification: "gsiv", memory: { severity: "recoverable" } } },
  ],
};

for (const target of ["seabios", "aavmf@sid"] as const)
  describeOn(target)(`records nobody should write, ${target}`, () => {
    test("are reported, dropped or survived as predicted", async () => {
      const result = await runOn(target, scenario);
      expectPredicted(result);
      const lines = result.records.map(({ lines: own }) => own.map(({ text }) => text));
      expect(lines[0]).toContain("twothree");
      expect(lines[0]?.filter((line) => line.startsWith("[Firmware Warn]: "))).toEqual([
        "[Firmware Warn]: valid bits set for fields beyond structure",
        "[Firmware Warn]: error section length is too small",
      ]);
      expect(lines[2]?.length).toBeGreaterThan(5);
      expect(lines.slice(3, 6).map((own) => own.map((line) => line.replace("[Firmware Warn]: GHES: ", "")))).toEqual([
        ["Truncated error status block!"],
        ["Invalid CPER header!"],
        ["Invalid CPER header!"],
      ]);
      expect(result.records.every(({ acknowledgedAfter }) => acknowledgedAfter !== undefined)).toBe(true);
    });
  });
