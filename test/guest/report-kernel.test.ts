/** What the recorded reports do not show: complaints about blocks, lengths that lead elsewhere, records, limits. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { buildErrorStatusBlock } from "../../src/acpi/status-block.ts";
import { buildRecord } from "../../src/cper/record-codec.ts";
import { cxlProtocol } from "../../src/cper/sections/cxl-protocol.ts";
import { ia32x64Processor } from "../../src/cper/sections/ia32x64.ts";
import { platformMemory } from "../../src/cper/sections/memory.ts";
import { pcie } from "../../src/cper/sections/pcie.ts";
import { processorGeneric } from "../../src/cper/sections/processor-generic.ts";
import { linuxAftermath } from "../../src/guest/report/aftermath.ts";
import { type LinuxReportOptions, linuxBootReport, linuxRecordReport, linuxReport, QEMU_MEMORY_DEVICES } from "../../src/guest/report/report.ts";
import { hex } from "../support/hex.ts";
import { describeShared, haveShared, shared, sharedNames } from "../support/shared.ts";

/** One corrected memory error, 20 + 64 + 80 bytes: physical address and module handle valid. */
const block = (): Uint8Array => hex`
  12000000 00000000 00000000 90000000 02000000  # correctable, one entry; no raw data; 144 bytes; corrected
  1411bca5646fde4eb8633e83ed7c83b1 02000000 0102 02 00 50000000 # memory, corrected, revision 2.1, FRU text, 80 bytes
  00000000000000000000000000000000 44494d4d5f413100000000000000000000000000
  0200020000000000 0000000000000000 0050341200000000 0000000000000000
  0000 0000 0000 0000 0000 0000 0000 0000
  0000000000000000 0000000000000000 0000000000000000 00 00 0000 0000 0011`;
/** The same with 32-bit words changed. */
function changed(words: Readonly<Record<number, number>>): Uint8Array {
  const bytes = block();
  for (const [at, value] of Object.entries(words)) new DataView(bytes.buffer).setUint32(Number(at), value, true);
  return bytes;
}
const BOOT: LinuxReportOptions = { path: "bert" };
const body = (lines: readonly string[]) => lines.map((line) => line.replace(/^(\{\d+\})?\[Hardware Error\]: */, ""));

describe("a block", () => {
  test("in full, at run time", () => {
    expect(linuxReport(block(), { sequence: 7, source: 3 })).toEqual([
      "{7}[Hardware Error]: Hardware error from APEI Generic Hardware Error Source: 3",
      "{7}[Hardware Error]: It has been corrected by h/w and requires no further action",
      "{7}[Hardware Error]: event severity: corrected",
      "{7}[Hardware Error]:  Error 0, type: corrected",
      "{7}[Hardware Error]:  fru_text: DIMM_A1",
      "{7}[Hardware Error]:   section_type: memory error",
      "{7}[Hardware Error]:   physical_address: 0x0000000012345000",
      "{7}[Hardware Error]:   DIMM location: not present. DMI handle: 0x1100 ",
    ]);
  });

  test("of a machine whose memory devices are known", () => {
    const memoryDevices = new Map([[0x1100, { bankLocator: "BANK 0", deviceLocator: "A1" }]]);
    expect(linuxReport(block(), { memoryDevices }).at(-1)).toBe("{1}[Hardware Error]:   DIMM location: BANK 0 A1 ");
    expect(linuxReport(block(), { memoryDevices: QEMU_MEMORY_DEVICES }).at(-1)).toBe("{1}[Hardware Error]:   DIMM location:  DIMM 0 ");
  });

  test("that is empty has no report", () => {
    expect(linuxReport(changed({ 0: 0 }))).toEqual([]);
    expect(linuxReport(changed({ 0: 0 }), BOOT)).toEqual([]);
    expect(linuxReport(new Uint8Array(19))).toEqual([]);
  });

  const LENGTH = "[Firmware Warn]: GHES: Invalid error status block length!";
  const SHORT = "[Firmware Warn]: GHES: Truncated error status block!";
  const HEADER = "[Firmware Warn]: GHES: Invalid CPER header!";
  const ENTRIES = "[Firmware Warn]: GHES: Failed to read error status block!";
  const TRUNCATED = (length: number) => `BERT: [Firmware Bug]: Truncated status block (length: ${length}).`;
  const INVALID = "BERT: [Firmware Bug]: Invalid error record.";
  test.each([
    ["longer than its memory", { 12: 145 }, LENGTH, TRUNCATED(165)],
    ["with data that is no entry", { 12: 63 }, HEADER, INVALID],
    ["with raw data inside the entries", { 4: 163, 8: 1 }, HEADER, INVALID],
    ["with raw data whose end wraps around", { 4: 0xffffffff, 8: 1 }, SHORT, undefined],
    ["with raw data whose end wraps around further", { 4: 0xfffffff0, 8: 0x20 }, SHORT, undefined],
    ["whose entry is too long", { 44: 81 }, ENTRIES, INVALID],
    ["whose entry is too short", { 44: 79 }, ENTRIES, INVALID],
  ])("%s is refused", (_, words, atRunTime, atBoot) => {
    expect(linuxReport(changed(words))).toEqual([atRunTime]);
    if (atBoot !== undefined) expect(linuxReport(changed(words), BOOT)).toEqual([atBoot]);
  });
  test("whose raw data begin where its data should have ended is refused, however it is read", () => {
    const bytes = block();
    new DataView(bytes.buffer).setUint32(12, 400, true);
    new DataView(bytes.buffer).setUint32(4, 30, true);
    new DataView(bytes.buffer).setUint32(8, 40, true);
    expect(linuxReport(bytes)).toEqual([HEADER]);
    expect(linuxAftermath(bytes)).toEqual([]);
  });
  test("that is refused has no consequences either", () => {
    const recoverable = buildErrorStatusBlock("recoverable", [
      { header: { errorSeverity: "recoverable" }, type: pcie, body: { deviceId: { primaryBus: 0x7f }, aer: {} } },
    ]);
    expect(linuxAftermath(recoverable)).toHaveLength(1);
    new DataView(recoverable.buffer).setUint32(4, 1, true);
    new DataView(recoverable.buffer).setUint32(8, 4, true);
    expect(linuxReport(recoverable)).toEqual([SHORT]);
    expect(linuxAftermath(recoverable)).toEqual([]);
  });
  test("with registers that lead behind it: rows of which nobody knows what they hold are left open", () => {
    const body = hex`
      0001000000000000 0000000000000000                     # one context
      00000000000000000000000000000000 00000000000000000000000000000000 00000000000000000000000000000000
      0200 2000 00000000 0000000000000000                   # 32 bytes of registers, of which 16 are there
      abababababababababababababababab`;
    const bytes = buildErrorStatusBlock("corrected", [{ header: { sectionType: ia32x64Processor.guids[0]!, errorSeverity: "corrected" }, body }]);
    const rows = (options: LinuxReportOptions) =>
      linuxReport(bytes, options)
        .slice(-2)
        .map((line) => line.slice(-45));
    expect(rows({})).toEqual(["00000000: abababab abababab abababab abababab", "00000010: 00000000 00000000 00000000 00000000"]);
    expect(linuxReport(bytes, { open: true }).at(-2)).toBe(linuxReport(bytes).at(-2));
    expect(linuxReport(bytes, { open: true }).at(-1)).toMatch(/ 00000010: …$/);
    expect(linuxReport(bytes, { open: true, behind: new Uint8Array(16) })).toEqual(linuxReport(bytes));
  });
  test("longer than its source announces is refused", () => {
    expect(linuxReport(block(), { blockLength: 163 })).toEqual([LENGTH]);
    expect(linuxReport(block(), { blockLength: 164 })).toHaveLength(8);
  });

  test("with a line feed in its text takes two lines", () => {
    const bytes = block();
    bytes[20 + 44 + 4] = 0x0a;
    expect(linuxReport(bytes, BOOT).slice(3, 5)).toEqual(["[Hardware Error]:  fru_text: DIMM", "A1"]);
  });
});

describe("a boot error region", () => {
  const REPORT = linuxReport(block(), BOOT);
  const regionOf = (...blocks: Uint8Array[]) => Uint8Array.from(Buffer.concat(blocks));
  test("prints up to five blocks and counts the rest", () => {
    const region = regionOf(...Array.from({ length: 7 }, block), new Uint8Array(40));
    expect(linuxBootReport(region)).toEqual([
      "BERT: Error records from previous boot:",
      ...Array.from({ length: 5 }, () => REPORT).flat(),
      "BERT: [Hardware Error]: Skipped 2 error records",
      "BERT: Total records found: 7",
    ]);
  });
  test("ends at a block that is cut off", () => {
    expect(linuxBootReport(regionOf(block(), block().subarray(0, 100)))).toEqual([
      "BERT: Error records from previous boot:",
      ...REPORT,
      "BERT: [Firmware Bug]: Truncated status block (length: 164).",
      "BERT: Total records found: 1",
    ]);
  });
  test("ends at a block that makes no sense", () => {
    expect(linuxBootReport(regionOf(changed({ 44: 0 }), block()))).toEqual(["BERT: [Firmware Bug]: Invalid error record."]);
  });
  test("is not modified", () => {
    const region = regionOf(block(), new Uint8Array(20));
    linuxBootReport(region);
    expect(region.subarray(0, 164)).toEqual(block());
  });
  test("too short for a block is refused", () => {
    expect(linuxBootReport(new Uint8Array(19))).toEqual(["BERT: [Firmware Bug]: table invalid."]);
  });
  test("whose lengths wrap around comes to an end", () => {
    expect(linuxBootReport(changed({ 4: 0xffffff00, 8: 0x100 }))).toContain("BERT: Total records found: 1");
  });
});

describe("sections", () => {
  const report = (
    type: Parameters<typeof buildErrorStatusBlock>[1][number]["type"],
    bytes: Uint8Array,
    options: LinuxReportOptions = {},
    severity: "corrected" | "fatal" = "corrected",
  ) => body(linuxReport(buildErrorStatusBlock(severity, [{ header: { errorSeverity: severity, revision: 0x0201 }, type: type!, body: bytes }]), options));

  test("words of bits break at 80 columns, the prefix and its log level counted", () => {
    const bytes = new Uint8Array(192);
    bytes[0] = 0x04;
    bytes[10] = 0x0e;
    // Two bytes of log level, {4294967295}, the prefix and two blanks: 34 before the words.
    expect(report(processorGeneric, bytes).slice(-2)).toEqual(["error_type: 0x0e", "TLB error, bus error, micro-architectural error"]);
    expect(report(processorGeneric, bytes, { sequence: 4294967295 }).slice(-3)).toEqual([
      "error_type: 0x0e",
      "TLB error, bus error",
      "micro-architectural error",
    ]);
  });

  test("6.1 has the AER registers of fatal errors only, 7.2 of all", () => {
    const bytes = new Uint8Array(208);
    bytes[0] = 0x80;
    const fatal = [
      "aer_uncor_status: 0x00000000, aer_uncor_mask: 0x00000000",
      "aer_uncor_severity: 0x00000000",
      "TLP Header: 00000000 00000000 00000000 00000000",
    ];
    expect(report(pcie, bytes, { version: "6.1" }).at(-1)).toBe("section_type: PCIe error");
    expect(report(pcie, bytes, { version: "6.1" }, "fatal").slice(-4)).toEqual(["section_type: PCIe error", ...fatal]);
    expect(report(pcie, bytes, { version: "7.2" }).slice(-4)).toEqual(["aer_cor_status: 0x00000000, aer_cor_mask: 0x00000000", ...fatal]);
  });

  test("a processor of the other architecture is dumped", () => {
    const lines = report(ia32x64Processor, new Uint8Array(64), { architecture: "arm64" });
    expect(lines.slice(4, 7)).toEqual([
      "section type: unknown, dc3ea0b0-a144-4797-b95b-53fa242b6e1d",
      "section length: 0x40",
      "00000000: 00000000 00000000 00000000 00000000  ................",
    ]);
  });

  test("a length that leads out of the block reads zeros", () => {
    const bytes = new Uint8Array(116);
    bytes[0] = 0x20;
    bytes[108] = 0x14;
    expect(report(cxlProtocol, bytes).slice(-4)).toEqual([
      "DVSEC length: 0x0014",
      "CXL DVSEC:",
      "00000000: 00000000 00000000 00000000 00000000",
      "00000010: 00000000",
    ]);
  });

  test("lengths that lie do not make a report endless", () => {
    const bytes = new Uint8Array(116);
    bytes.set([0x20], 0);
    bytes.set([0xff, 0xff], 108);
    const entries = Array.from({ length: 300 }, () => ({ header: { errorSeverity: "corrected" as const, revision: 0x0201 }, type: cxlProtocol, body: bytes }));
    expect(linuxReport(buildErrorStatusBlock("corrected", entries))).toHaveLength(65_536);
  });
});

describe("a record", () => {
  const memory = block().subarray(84);
  const record = (sections: number) =>
    buildRecord(
      { severity: "corrected", timestamp: "2026-11-20T12:34:56" },
      Array.from({ length: sections }, (_, i) => ({
        descriptor: { severity: "corrected" as const, ...(i === 0 && { fruText: "DIMM_A1" }) },
        type: platformMemory,
        body: memory,
      })),
    );
  test("prints like a block with its sections", () => {
    const lines = linuxRecordReport(record(1), { sequence: 7, source: 3 });
    expect(lines.filter((line) => !line.includes("tstamp"))).toEqual(linuxReport(block(), { sequence: 7, source: 3 }));
    expect(lines[3]).toMatch(/^\{7\}\[Hardware Error\]: {2}(im)?precise tstamp: 2026-11-20 12:34:56$/);
  });
  test("has as many sections as fit", () => {
    const bytes = record(2);
    new DataView(bytes.buffer).setUint16(10, 0xffff, true);
    // The bodies take the room of two more descriptors.
    expect(body(linuxRecordReport(bytes, BOOT)).filter((line) => /^Error \d+, type/.test(line))).toHaveLength(4);
    expect(linuxRecordReport(new Uint8Array(3), BOOT)).toEqual(["[Hardware Error]: event severity: recoverable"]);
  });
});

describeShared("whatever the bytes", () => {
  const blocks = haveShared ? sharedNames("guest/oracle/report", (name) => name.endsWith(".bin")).map((name) => shared("guest/oracle/report", name)) : [];
  test("a report is made of lines", () => {
    fc.assert(
      fc.property(
        fc.constantFrom(...blocks),
        fc.array(fc.tuple(fc.nat(2047), fc.nat(255)), { minLength: 1, maxLength: 8 }),
        fc.constantFrom<LinuxReportOptions>({}, { version: "6.1" }, { architecture: "arm64" }, { architecture: "arm64", version: "6.1", path: "bert" }),
        (original, changes, options) => {
          const bytes = original.slice();
          for (const [at, value] of changes) bytes[at % bytes.length] = value;
          for (const lines of [linuxReport(bytes, options), linuxBootReport(bytes, options), linuxRecordReport(bytes, options)])
            for (const line of lines) if (/[\n\u0100-\uffff]/.test(line)) throw new Error(JSON.stringify(line));
        },
      ),
      { numRuns: 500 },
    );
  });
});
