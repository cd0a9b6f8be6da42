/** Kernel logs that hold reports: boot error regions, injected errors, and logs from machines elsewhere. */
import { describe, expect, test } from "vitest";
import { buildErrorStatusBlock } from "../../src/acpi/status-block.ts";
import { armProcessor } from "../../src/cper/sections/arm-processor.ts";
import { cxlGeneralMedia } from "../../src/cper/sections/cxl-event.ts";
import { ia32x64Processor } from "../../src/cper/sections/ia32x64.ts";
import { platformMemory } from "../../src/cper/sections/memory.ts";
import { pcie } from "../../src/cper/sections/pcie.ts";
import { processorGeneric } from "../../src/cper/sections/processor-generic.ts";
import { linuxBootReport, linuxReport } from "../../src/guest/report/report.ts";
import type { SectionType } from "../../src/layout/index.ts";
import { hex } from "../support/hex.ts";
import { describeShared, shared, sharedText } from "../support/shared.ts";

/** The report lines of a log, without time stamps and shell noise. */
const reportLines = (log: string): string[] =>
  log
    .split("\n")
    .flatMap((line) => /(?:^|\] |^ +)((?:\{\d+\}\[Hardware Error\]|\[Hardware Error\]|BERT: |\[Firmware Warn\]: GHES).*)$/.exec(line)?.slice(1) ?? []);

/** A region of `size` bytes that begins with these blocks. */
function region(size: number, blocks: Uint8Array): Uint8Array {
  const out = new Uint8Array(size);
  out.set(blocks);
  return out;
}
const entry = (type: SectionType, body: Uint8Array, severity: "corrected" | "recoverable" | "fatal", more: object = {}) => ({
  header: { errorSeverity: severity, revision: 0x0300, ...more },
  type,
  body,
});

describeShared("boot error regions", () => {
  test.each([
    ["good", 0x2000],
    ["truncated", 0x2000],
    ["two-blocks", 0x2000],
  ])("%s", (name, size) => {
    const blocks = shared("guest/blocks", `iii-11.1-seabios-tcg-cloud7.2-${name}.blk`);
    const lines = reportLines(sharedText("guest/logs", `22-iii-11.1-seabios-tcg-${name}.txt`));
    // The log shows the kernel's lines twice: as found, and once more by the search that found them.
    const once = lines.slice(0, lines.length / 2);
    expect(once.length).toBeGreaterThan(0);
    expect(lines.slice(lines.length / 2)).toEqual(once);
    expect(linuxBootReport(region(size, blocks), { version: "7.2" })).toEqual(once);
  });

  const runs = sharedTextOrNone("guest/logs/33-bert-sections-7.2.txt").split("E2E-READY E2E-READY").slice(1).map(reportLines);
  test.each([
    ["set0", 0x2000],
    ["set1", 0x2000],
    ["8blocks", 0x4000],
    ["big", 0x4000],
  ])("many sections: %s", (name, size) => {
    const at = ["set0", "set1", "8blocks", "big"].indexOf(name);
    expect(linuxBootReport(region(size, shared("guest/blocks", `iii-sections-full7.2-${name}.blk`)))).toEqual(runs[at]);
  });

  test("a region that is all zero has nothing to report", () => {
    expect(linuxBootReport(shared("guest/blocks", "iii-11.1-seabios-tcg-cloud7.2-empty.blk"))).toEqual([]);
  });
});

function sharedTextOrNone(path: string): string {
  try {
    return sharedText(path);
  } catch {
    return "";
  }
}

const concat = (...parts: Uint8Array[]): Uint8Array => Uint8Array.from(Buffer.concat(parts));

/** What was injected into arm64 guests, as the injecting script lays it out. */
function memory(address: bigint, type: number): Uint8Array {
  const body = hex`
    ff47000000000000 0004000000000000 0000000000000000 00f0ffffffffffff # validation, status, address, mask
    0100 0200 0300 0400 0500 0600 0700 0800 # node, card, module, bank, device, row, column, bit
    0000000000000000 0000000000000000 0000000000000000 00 00 0000 0000 0000`;
  new DataView(body.buffer).setBigUint64(16, address, true);
  body[72] = type;
  return body;
}
const ARM_CACHE = hex`
  05000000 0100 0000 48000000 00 000000   # MPIDR and running state valid, 1 error info, 72 bytes
  0000008000000000 70d01f4100000000       # MPIDR, MIDR
  01000000 00000000                       # running, PSCI state
  00 20 0700 02 0100 01                   # version, length, validation, type cache, 2 errors, first
  11001d0000000000 0000000000000000 0000000000000000`;
const PCIE_ROOT = concat(
  hex`
  8f00000000000000 04000000 02010000 0705 1000 00000000
  f41a 0010 000406 00 03 0000 00 00 0000 00 # 1af4:1000, class 060400, device 3
  0000000000000000 0000 0000`,
  new Uint8Array(60),
  hex`01006014 00400000 00000000 30204600 01000000 00200000 # AER: header, uncorrectable status, mask, severity, correctable status, mask`,
  new Uint8Array(72),
);

describeShared.each([
  ["6.1", "20-i-cloud-6.1.txt"],
  ["7.2", "20-i-cloud-7.2.txt"],
] as const)("errors injected into Linux %s on arm64", (version, log) => {
  const sections = [
    buildErrorStatusBlock("corrected", [
      entry(platformMemory, memory(0x12345000n, 2), "corrected", {
        fruId: "03020100-0504-0706-0809-0a0b0c0d0e0f",
        fruText: "DIMM_A1",
        validation: { fruId: true, fruText: true },
      }),
    ]),
    buildErrorStatusBlock("corrected", [entry(armProcessor, ARM_CACHE, "corrected")]),
    buildErrorStatusBlock("recoverable", [entry(pcie, PCIE_ROOT, "recoverable")]),
    buildErrorStatusBlock("corrected", [
      entry(platformMemory, memory(0x41000000n, 2), "corrected"),
      entry(platformMemory, memory(0x42000000n, 3), "corrected"),
    ]),
    // The second length of this block says 8000.
    withLength(buildErrorStatusBlock("corrected", [entry(platformMemory, memory(0x12345000n, 2), "corrected")]), 8000),
    buildErrorStatusBlock("corrected", [entry(platformMemory, memory(0x43000000n, 2), "corrected")]),
  ];
  const sequences = [1, 2, 3, 4, 0, 5];
  const lines = reportLines(sharedTextOrNone(`guest/logs/${log}`));
  test.each(sequences.map((sequence, at) => [sequence, at]))("report %i", (sequence, at) => {
    const expected = lines.filter((line) => (sequence === 0 ? line.startsWith("[") : line.startsWith(`{${sequence}}`)));
    expect(expected.length).toBeGreaterThan(0);
    expect(linuxReport(sections[at]!, { version, architecture: "arm64", sequence })).toEqual(expected);
  });
});

/** Change the error data length of the first entry, which lies 24 bytes into it. */
function withLength(block: Uint8Array, length: number): Uint8Array {
  new DataView(block.buffer).setUint32(20 + 24, length, true);
  return block;
}

const PROCESSOR = concat(
  hex`
    7f00000000000000                        # all but the ids, addresses and brand
    00 02 01 01 00 01 0000                  # IA32/X64, X64, cache, data read, level 1
    2301000000000000`,
  new Uint8Array(168),
);

describeShared.each([
  ["7.2", "21-ii-11.1-seabios-tcg-cloud7.2.txt"],
  ["6.1", "21-ii-7.2-ovmf-tcg-cloud6.1.txt"],
] as const)("errors put into the memory of Linux %s on x86", (version, log) => {
  const lines = reportLines(sharedTextOrNone(`guest/logs/${log}`));
  const named = { fruText: "DIMM_B2", validation: { fruText: true } };
  const at = (address: bigint) => buildErrorStatusBlock("corrected", [entry(platformMemory, memory(address, 2), "corrected", named)]);
  const plain = (address: bigint, severity: "recoverable" | "fatal") => buildErrorStatusBlock(severity, [entry(platformMemory, memory(address, 2), severity)]);
  test.each([
    ["polled", 1, 0, at(0x1111000n)],
    ["polled, with acknowledgement", 2, 1, at(0x2222000n)],
    ["two sections", 3, 1, buildErrorStatusBlock("corrected", [entry(processorGeneric, PROCESSOR, "corrected"), entry(pcie, PCIE_ROOT, "corrected")])],
    ["NMI", 4, 2, at(0x3333000n)],
    ["NMI, with acknowledgement", 5, 3, at(0x4444000n)],
    ["recoverable", 6, 0, plain(0x8000000n, "recoverable")],
    ["fatal", 7, 2, plain(0x6666000n, "fatal")],
  ] as const)("%s", (_, sequence, source, block) => {
    const expected = lines.filter((line) => line.startsWith(`{${sequence}}`));
    expect(expected.length).toBeGreaterThan(0);
    expect(linuxReport(block, { version, sequence, source })).toEqual(expected);
  });
});

describeShared("logs from elsewhere", () => {
  const corpusLog = (...path: string[]) => reportLines(sharedText("corpus", ...path));

  test("an ARM cache error injected into QEMU", () => {
    expect(linuxReport(shared("corpus/ghes-blocks/qemu-arm-cache-error.gesb.bin"), { architecture: "arm64" })).toEqual(
      corpusLog("ghes-blocks/qemu-arm-cache-error.log.txt"),
    );
  });

  test("an ARM section with a TLB and a bus error", () => {
    const block = buildErrorStatusBlock("recoverable", [entry(armProcessor, shared("corpus/linux-sections/qemu-arm-tlb-bus.bin"), "recoverable")]);
    expect(linuxReport(block, { architecture: "arm64" })).toEqual(corpusLog("linux-sections/qemu-arm-tlb-bus.log.txt"));
  });

  test("a CXL event before Linux knew its section", () => {
    const block = buildErrorStatusBlock("recoverable", [entry(cxlGeneralMedia, shared("corpus/linux-sections/cxl-general-media.bin"), "recoverable")]);
    expect(linuxReport(block, { version: "6.1" })).toEqual(corpusLog("linux-sections/cxl-general-media.log.txt"));
  });

  test("a processor section from a machine's boot error region", () => {
    const body = concat(
      hex`
        0701000000000000 3c00000000000000 # APIC id and CPUID valid, 1 error info, 1 context
        110fa00000000000 0008403c00000000 0b32fa7600000000 fffb8b1700000000 00000000000000000000000000000000
        f50157a5efe3de43ac72249b573fad2c 0100000000000000 ff00020600000000 # cache check`,
      new Uint8Array(32),
      hex`
        0100 8000 302000c0 0000000000000000 # MSRs from c0002030, 128 bytes
        0000000000000000 080109000000a0b2 0000000000000000 00000000000010d0
        f901000003000000 3c000000b0000300 0100004d00000000`,
      new Uint8Array(72),
    );
    const block = buildErrorStatusBlock("fatal", [entry(ia32x64Processor, body, "fatal")]);
    expect(linuxBootReport(region(0x1000, block))).toEqual(corpusLog("linux-logs/amd-zen3-bert-x64proc.log.txt"));
  });
});

describe("the report lines of a log", () => {
  test("lose time stamps and noise", () => {
    expect(reportLines("    / # [6n[    2.37] {1}[Hardware Error]: a \n/ # ls\n[  1.0] BERT: b\n   [Hardware Error]:  c")).toEqual([
      "{1}[Hardware Error]: a ",
      "BERT: b",
      "[Hardware Error]:  c",
    ]);
  });
});
