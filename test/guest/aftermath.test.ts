/** What recorded kernels printed after their reports, and the messages found in the kernels themselves. */
import { describe, expect, test } from "vitest";
import { buildErrorStatusBlock } from "../../src/acpi/status-block.ts";
import { armProcessor } from "../../src/cper/sections/arm-processor.ts";
import { cxlDram } from "../../src/cper/sections/cxl-event.ts";
import { cxlProtocol } from "../../src/cper/sections/cxl-protocol.ts";
import { platformMemory } from "../../src/cper/sections/memory.ts";
import { pcie } from "../../src/cper/sections/pcie.ts";
import { ANYTHING, linuxAftermath } from "../../src/guest/report/aftermath.ts";
import type { KernelVersion } from "../../src/guest/report/report.ts";
import { hexToBytes } from "../../src/layout/index.ts";
import { describeShared, shared, sharedNames, sharedText } from "../support/shared.ts";

const hex = (digits: string): Uint8Array => hexToBytes(digits.replaceAll(" ", ""))!;

const RECORDED = "guest/oracle/report";
/** How the recorded lines look with what depends on the guest left open. */
const plain = (line: string) => line.replace(/^(Memory failure: \S+:) .*/, `$1 ${ANYTHING}`);
const KNOWN = /^Memory failure: |^\[Firmware (Warn|Bug)\]: |^CXL CPER |^AER: /;

describeShared("recorded on arm64", () => {
  const names = sharedNames(RECORDED, (name) => name.startsWith("arm64-") && name.endsWith(".bin"));
  test.each(names)("%s", (file) => {
    const name = file.replace(/\.bin$/, "");
    const others = sharedNames(RECORDED, (other) => other === `${name}.other`);
    const lines = others.flatMap((other) => sharedText(RECORDED, other).split("\n")).filter((line) => KNOWN.test(line));
    const version = name.split("-")[1] as KernelVersion;
    const predicted = linuxAftermath(shared(RECORDED, file), { version, architecture: "arm64", notification: "gpioSignal" });
    expect([...predicted].sort()).toEqual(lines.map(plain).sort());
  });
});

const MEMORY = (address: string) => hex(`0200000000000000 0000000000000000 ${address} ${"00".repeat(56)}`);
const block = (severity: "corrected" | "recoverable", type: { readonly guids: readonly string[] }, body: Uint8Array, flags: object = {}) =>
  buildErrorStatusBlock(severity, [{ header: { sectionType: type.guids[0]!, errorSeverity: severity, flags }, body }]);

describe("pages", () => {
  const outside = { isMemory: (address: bigint) => address < 0x1000_0000n };
  const far = block("recoverable", platformMemory, MEMORY("0050341200000000"));
  test("an address that is none: 6.1 refuses it, 7.2 finds no page", () => {
    expect(linuxAftermath(far, { version: "6.1", architecture: "arm64", ...outside })).toEqual([
      "[Firmware Warn]: GHES: Invalid address in generic error data: 0x12345000",
    ]);
    expect(linuxAftermath(far, { version: "7.2", ...outside })).toEqual(["Memory failure: 0x12345: recovery action for non struct page pfn: Ignored"]);
  });
  test("the first page has a number too", () => {
    const first = block("recoverable", platformMemory, MEMORY("00".repeat(8)));
    expect(linuxAftermath(first, { architecture: "arm64", version: "6.1" })).toEqual(["Memory failure: 0x0: …"]);
  });
  test("Debian's 6.1 isolates none on x86", () => {
    expect(linuxAftermath(far, { version: "6.1" })).toEqual([]);
  });
  test("corrected errors say nothing, whether the page is moved away or not", () => {
    expect(linuxAftermath(block("corrected", platformMemory, MEMORY("0050341200000000")))).toEqual([]);
    expect(linuxAftermath(block("corrected", platformMemory, MEMORY("0050341200000000"), { errorThresholdExceeded: true }))).toEqual([]);
  });
  test("a program that took an error without a page is killed, and that is said", () => {
    const nothing = block("recoverable", platformMemory, hex(`0040000000000000 ${"00".repeat(72)}`));
    expect(linuxAftermath(nothing, { notification: "sea", source: 0 })).toEqual([
      `GHES GHES.0: [Hardware Error]: GHES: ${ANYTHING}: synchronous unrecoverable error (SIGBUS)`,
    ]);
    // Debian's Linux 6.1.192 on arm64: "GHES: devmem:86: synchronous unrecoverable error (SIGBUS)".
    expect(linuxAftermath(nothing, { notification: "sea", version: "6.1" })).toEqual([`GHES: ${ANYTHING}: synchronous unrecoverable error (SIGBUS)`]);
    expect(linuxAftermath(nothing)).toEqual([]);
  });
});

test("a PCI function that is not there, in the words of each version", () => {
  // Identification and AER valid; device 3f function 9 keep 5 and 3 bits; bus 7c, segment 1.
  const body = hex(`8800000000000000 ${"00".repeat(16)} ${"00".repeat(7)} 09 3f 0100 7c ${"00".repeat(172)}`);
  expect(linuxAftermath(block("corrected", pcie, body))).toEqual(["AER: 0001:7c:1f.1: no pci_dev found"]);
  expect(linuxAftermath(block("corrected", pcie, body), { version: "6.1" })).toEqual(["AER: no pci_dev for 0001:7c:1f.1"]);
  expect(linuxAftermath(block("corrected", pcie, body), { hasFunction: (name) => name === "0001:7c:1f.1" })).toEqual([]);
});

describe("processor sections whose lengths lie, as Linux 7.2.13 takes them", () => {
  /** Error information of a TLB error with this length byte. */
  const info = (length: string) => `00 ${length} 0000 04 0000 00 ${"00".repeat(24)}`;
  /** So many announced, those that are there; the section length is right. */
  const section = (count: string, ...infos: string[]) => {
    const size = (40 + 32 * infos.length).toString(16).padStart(2, "0");
    return hex(`00000000 ${count}00 0000 ${size}000000 00000000 ${"00".repeat(8)} 70d01f4100000000 ${"00".repeat(8)} ${infos.join("")}`);
  };
  const SHORT = (length: number) => [
    `[Firmware Bug]: section length: ${length}`,
    "[Firmware Bug]: section length is too small",
    "[Firmware Bug]: firmware-generated error record is incorrect",
  ];
  const TLB = "[Firmware Warn]: GHES: Unhandled processor error type 0x04: TLB error";
  const NOTHING = "[Firmware Warn]: GHES: Unhandled processor error type 0x00: ";
  test.each([
    ["two announced, one there", section("02", info("20")), [...SHORT(72), TLB]],
    ["three announced, two there, the first half as long", section("03", info("10"), info("20")), [...SHORT(104), TLB, NOTHING, NOTHING]],
    ["longer than the section", section("02", info("c8"), info("20")), []],
    ["a byte too short", section("01", info("1f")), [TLB]],
    ["of no length", section("01", info("00")), [TLB]],
    ["of no length, and another", section("02", info("00"), info("20")), [TLB, TLB]],
  ])("%s", (_, body, lines) => {
    expect(linuxAftermath(block("recoverable", armProcessor, body), { architecture: "arm64" })).toEqual(lines);
  });
});

describe("CXL records that go to no driver", () => {
  const protocol = (validation: string, agent: string, logLength: string) =>
    hex(`${validation} ${agent} ${"00".repeat(7 + 8 + 16 + 8 + 60 + 2)} ${logLength} 00000000`);
  test.each([
    ["00000000 00000000", "00", "5800", ["CXL CPER invalid agent type"]],
    ["02000000 00000000", "00", "5800", ["CXL CPER invalid protocol error log"]],
    ["42000000 00000000", "00", "5700", ["CXL CPER invalid RAS Cap size (87)"]],
    ["42000000 00000000", "02", "5800", ["[Firmware Warn]: CXL CPER no device serial number"]],
    ["42000000 00000000", "05", "5800", []],
    ["4a000000 00000000", "02", "5800", []],
    ["4a000000 00000000", "01", "5800", ["CXL CPER invalid agent type: 1"]],
  ])("protocol error %s, agent %s, log of %s bytes", (validation, agent, logLength, lines) => {
    const bytes = block("corrected", cxlProtocol, protocol(validation, agent, logLength));
    expect(linuxAftermath(bytes)).toEqual(lines);
    expect(linuxAftermath(bytes, { version: "6.1" })).toEqual([]);
  });
  test.each([
    ["20000000 0400000000000000", ["[Firmware Warn]: CXL CPER Invalid section length (32)"]],
    ["91000000 0400000000000000", ["[Firmware Warn]: CXL CPER Invalid section length (145)"]],
    ["90000000 0300000000000000", ["[Firmware Warn]: CXL CPER invalid event"]],
    ["21000000 0400000000000000", []],
  ])("event %s", (frame, lines) => {
    expect(linuxAftermath(block("corrected", cxlDram, hex(`${frame} ${"00".repeat(132)}`)))).toEqual(lines);
  });
});

test("what is no valid block has no aftermath", () => {
  expect(linuxAftermath(new Uint8Array(10))).toEqual([]);
  expect(linuxAftermath(new Uint8Array(20))).toEqual([]);
  expect(linuxAftermath(block("recoverable", platformMemory, MEMORY("0050341200000000")).subarray(0, 100))).toEqual([]);
});
