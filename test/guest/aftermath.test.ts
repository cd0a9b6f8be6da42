/** What recorded kernels printed after their reports, and the messages found in the kernels themselves. */
import { describe, expect, test } from "vitest";
import { buildErrorStatusBlock } from "../../src/acpi/status-block.ts";
import { armProcessor } from "../../src/cper/sections/arm-processor.ts";
import { cxlDram } from "../../src/cper/sections/cxl-event.ts";
import { cxlProtocol } from "../../src/cper/sections/cxl-protocol.ts";
import { platformMemory } from "../../src/cper/sections/memory.ts";
import { pcie } from "../../src/cper/sections/pcie.ts";
import { linuxAftermath } from "../../src/guest/report/aftermath.ts";
import type { KernelVersion } from "../../src/guest/report/report.ts";
import { ANYTHING } from "../../src/guest/report/words.ts";
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
});

describe("a PCI function that is there", () => {
  const NAME = "0000:00:1f.2";
  /** Identification and AER valid, device 1f function 2, then the capability's first seven words, its header log and the root error command. */
  const body = (words: string, log = "44332211 01000000 02000000 03000000", command = "00000000") =>
    hex(`8800000000000000 ${"00".repeat(16)} ${"00".repeat(7)} 02 1f 0000 00 ${"00".repeat(76)} ${words} ${log} ${command} ${"00".repeat(48)}`);
  const at = (place: "alone" | "port") => ({ functionOf: (name: string) => (name === NAME ? place : undefined) }) as const;
  const lines = (...texts: string[]) => texts.map((text) => `${ANYTHING} ${NAME}: ${text}`);
  // Printed by Debian's Linux 6.1.192 and 7.2.13 for these very words.
  const all = body("00000000 ffffffff 00000040 55000000 00000000 00000000 06000000");

  test("corrected errors, bit by bit", () => {
    const corrected = block("corrected", pcie, body("00000000 00000000 00000000 00000000 c1f10000 40000000 07000000"));
    const said = (prefix: string, agent: string) =>
      lines(
        `${prefix}aer_status: 0x0000f1c1, aer_mask: 0x00000040`,
        "   [ 0] RxErr                 ",
        "   [ 7] BadDLLP                (First)",
        "   [ 8] Rollover              ",
        "   [12] Timeout               ",
        "   [13] NonFatalErr           ",
        "   [14] CorrIntErr            ",
        "   [15] HeaderOF              ",
        `${prefix}aer_layer=Physical Layer, aer_agent=${agent}`,
      );
    expect(linuxAftermath(corrected, { version: "6.1", ...at("alone") })).toEqual(said("AER: ", "Transmitter ID"));
    expect(linuxAftermath(corrected, { version: "7.2", ...at("alone") })).toEqual(said("", "Transmitter ID"));
  });

  test("uncorrected ones: recovery of a function without a port above it is the end of the kernel's worker", () => {
    const said = linuxAftermath(block("recoverable", pcie, all), { version: "6.1", ...at("alone") });
    expect(said).toHaveLength(1 + 31 + 4);
    expect(said.slice(-4)).toEqual([
      ...lines(
        "AER: aer_layer=Data Link Layer, aer_agent=Completer ID",
        "AER: aer_uncor_severity: 0x00000055",
        "AER:   TLP Header: 11223344 00000001 00000002 00000003",
      ),
      "BUG: kernel NULL pointer dereference, address: 0000000000000018",
    ]);
    const newer = linuxAftermath(block("recoverable", pcie, all), { architecture: "arm64", ...at("alone") });
    expect(newer.slice(-4)).toEqual([
      ...lines(
        "aer_layer=Data Link Layer, aer_agent=Completer ID",
        "aer_uncor_severity: 0x00000055",
        "AER:   TLP Header: 0x11223344 0x00000001 0x00000002 0x00000003",
      ),
      "Unable to handle kernel NULL pointer dereference at virtual address 0000000000000018",
    ]);
    expect(newer).toEqual(expect.arrayContaining(lines("   [ 6] Unknown Error Bit      (First)", "   [29] MisIDETLP             ")));
    expect(linuxAftermath(block("recoverable", pcie, all), { recoveryDead: true, ...at("alone") })).toEqual([]);
    expect(linuxAftermath(block("recoverable", pcie, all), at("port"))).toEqual(newer.slice(0, -1));
  });

  // One by one, as Linux 7.2.13 printed them: status word, layer, agent, whether a header follows.
  test.each([
    ["20000000", "Data Link Layer", "Component ID", false],
    ["00004000", "General", "Component ID", false],
    ["00001000", "Transaction Layer", "Receiver ID", true],
    ["00002000", "Transaction Layer", "Receiver ID", true],
    ["00000001", "Transaction Layer", "Transmitter ID", true],
    ["00000080", "Transaction Layer", "Transmitter ID", true],
    ["00000040", "Transaction Layer", "Receiver ID", true],
    ["20400000", "Data Link Layer", "Requester ID", false],
    ["00004004", "General", "Transmitter ID", true],
    ["20100000", "Data Link Layer", "Component ID", true],
    ["00000200", "Transaction Layer", "Receiver ID", false],
  ] as const)("status %s in 7.2: %s, %s", (status, layer, agent, logged) => {
    const said = linuxAftermath(block("recoverable", pcie, body(`00000000 ${status} 00000000 00000000 00000000 00000000 00000000`)), at("port"));
    expect(said).toContain(`${ANYTHING} ${NAME}: aer_layer=${layer}, aer_agent=${agent}`);
    expect(said.some((line) => line.includes("TLP Header"))).toBe(logged);
  });
  test("6.1 has fewer words for them, and 7.2 takes what is behind a header for prefixes", () => {
    const bare = (status: string, control = "00000000", command = "00000000") =>
      block("recoverable", pcie, body(`00000000 ${status} 00000000 00000000 00000000 00000000 ${control}`, undefined, command));
    const old = linuxAftermath(bare("00000004"), { version: "6.1", ...at("port") });
    expect(old).toContain(`${ANYTHING} ${NAME}: AER: aer_layer=Transaction Layer, aer_agent=Receiver ID`);
    expect(old.some((line) => line.includes("TLP Header"))).toBe(false);
    const header = `${ANYTHING} ${NAME}: AER:   TLP Header: 0x11223344 0x00000001 0x00000002 0x00000003`;
    expect(linuxAftermath(bare("00000004", "00000000", "07000000"), at("port")).at(-1)).toBe(`${header} E-E Prefixes: 0x00000007`);
    expect(linuxAftermath(bare("00400000", "00100000"), at("port")).at(-1)).toBe(header);
    expect(linuxAftermath(bare("00400000"), at("port")).at(-1)).toBe(`${ANYTHING} ${NAME}: aer_uncor_severity: 0x00000000`);
  });
});

describe("machine checks made of memory errors, as Linux 7.2.13 printed them", () => {
  const amd = { machineChecks: { vendor: "amd", collects: true } } as const;
  const PROCESSOR = `mce: [Hardware Error]: PROCESSOR 2:${ANYTHING} TIME ${ANYTHING} SOCKET 0 APIC 0 microcode ${ANYTHING}`;
  const corrected = block("corrected", platformMemory, MEMORY("0000000400000000"));
  test("corrected and uncorrected ones", () => {
    expect(linuxAftermath(corrected, amd)).toEqual([
      "mce: [Hardware Error]: CPU 0: Machine Check: 0 Bank 255: 9c0000000000009f",
      "mce: [Hardware Error]: TSC 0 ADDR 4000000 MISC 8c ",
      PROCESSOR,
    ]);
    expect(linuxAftermath(block("recoverable", platformMemory, MEMORY("0000100400000000")), amd)).toEqual([
      "mce: [Hardware Error]: CPU 0: Machine Check: 0 Bank 255: bc0000000000009f",
      "mce: [Hardware Error]: TSC 0 ADDR 4100000 MISC 8c ",
      PROCESSOR,
      `Memory failure: 0x4100: ${ANYTHING}`,
    ]);
  });
  test("not where the collector has them, the kernel takes none, or the processor is another", () => {
    expect(linuxAftermath(corrected, { machineChecks: { vendor: "intel", collects: true } })).toEqual([]);
    expect(linuxAftermath(corrected, { machineChecks: { vendor: "intel", collects: false } })[2]).toContain("PROCESSOR 0:");
    expect(linuxAftermath(corrected)).toEqual([]);
    expect(linuxAftermath(corrected, { ...amd, architecture: "arm64" })).toEqual([]);
  });
  test("the mask says how much of the address counts", () => {
    const masked = (mask: string) => block("corrected", platformMemory, hex(`0600000000000000 0000000000000000 0000000400000000 ${mask} ${"00".repeat(48)}`));
    expect(linuxAftermath(masked("c0ffffffffffffff"), amd)[1]).toBe("mce: [Hardware Error]: TSC 0 ADDR 4000000 MISC 86 ");
    expect(linuxAftermath(masked("0000000000000000"), amd)[1]).toBe("mce: [Hardware Error]: TSC 0 ADDR 4000000 MISC 8c ");
  });
});

describe("processor sections whose lengths lie, as Linux 7.2.13 takes them", () => {
  /** Error information of a TLB error with this length byte. */
  const info = (length: string) => `00 ${length} 0000 04 0000 00 ${"00".repeat(24)}`;
  /** So many announced, those that are there; the section length is right. */
  const section = (count: string, ...infos: string[]) => {
    const size = (40 + 32 * infos.length).toString(16).padStart(2, "0");
    return hex(`00000000 ${count}00 0000 ${size}000000 00000000 ${"00".repeat(8)} 70d01f4100000000 ${"00".repeat(8)} ${infos.join("")}`);
  };
  const CONTEXT = (length: string) => `00000000 0000 0100 ${length}000000 00000000 ${"00".repeat(8 + 8 + 8)} 0000 0600 78000000 ${"ab".repeat(120)}`;
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
    // A context of 8 and 120 bytes; the section ends within it, and what is announced behind it with it.
    ["a context that leads behind the section", hex(CONTEXT("64")), []],
    ["and less than its own head", hex(CONTEXT("27")), SHORT(39)],
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
