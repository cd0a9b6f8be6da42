import { describe, expect, test } from "vitest";
import { sectionTypes } from "../../src/cper/registry.ts";
import { CrashLogHeader, crashLogTrees, firmwareRecordTrees } from "../../src/cper/sections/crash-log.ts";
import { parse, treeLines } from "../../src/layout/index.ts";
import { hex } from "../support/hex.ts";
import { lawsOf } from "../support/laws.ts";
import { describeShared, shared } from "../support/shared.ts";

lawsOf([["crash log header", CrashLogHeader]], { runs: 30 });

const lines = (trees: readonly Parameters<typeof treeLines>[0][]) => trees.flatMap((tree) => treeLines(tree)).map((line) => line.trim());

describe("crash logs", () => {
  test("records follow each other until a word says the end", () => {
    const log = hex`
      01 71 03 17 03 00 00 00 00 00 00 00 # PMC reset, product 0x37, header type 1, 3 double words
      02 63 09 04 08 00 00 00             # P-core, product 0x096, header type 3, 8 double words
      88 77 66 55 44 33 22 11  01 00 00 00  02 00 00 00  00 00 00 80  00 00 00 00
      ef be ad de 01 02 03 04
    `;
    expect(lines(crashLogTrees(log))).toEqual([
      "crash log record at 0x0: PMC reset, product 0x37, revision 1, header type 1, 12 bytes",
      "crash log record at 0xc: P-core, product 0x96, revision 2, header type 3, 32 bytes",
      "timestamp: 0x1122334455667788",
      "agent version: 0x1",
      "reason: 0x2",
      "completion: complete",
    ]);
  });
  test("cores of older products count in bytes", () => {
    expect(lines(crashLogTrees(hex`01 01 00 06 0c 00 00 00 00 00 00 00`))[0]).toContain("E-core, product 0x0, revision 1, header type 1, 12 bytes");
  });
  test("a record that is cut short says so; a log of small records ends", () => {
    expect(lines(crashLogTrees(hex`01 71 03 17 10 00 00 00`))[0]).toContain("(only 8 bytes are there)");
    const many = new Uint8Array(1 << 16);
    for (let i = 0; i < many.length; i += 12) many.set(hex`01 71 03 17 03 00 00 00`.slice(0, many.length - i), i);
    expect(crashLogTrees(many).length).toBe(256);
  });
  test("other vendors' records are named", () => {
    expect(lines(firmwareRecordTrees("c121d261-1f16-4583-8848-e889d903bd19", new Uint8Array(4)))).toEqual([
      "vendor record: Arm RD-V3 management control processor firmware",
    ]);
    expect(firmwareRecordTrees("01234567-0000-0000-0000-000000000000", new Uint8Array(4))).toEqual([]);
  });
  test("every start of a log gives words without holes", () => {
    for (let type = 0; type < 16; type++)
      for (let length = 0; length < 40; length++) {
        const log = new Uint8Array(length).fill(1);
        if (length > 1) log[1] = type;
        expect(lines(crashLogTrees(log)).join("\n")).not.toMatch(/undefined|NaN/);
      }
  });
});

describe("an AMD bank in a processor section", () => {
  const body = (msr: readonly number[]) => {
    const bytes = new Uint8Array(64 + 16 + 64);
    bytes.set(hex`02 01 00 00 00 00 00 00`); // CPUID valid, one context
    bytes.set(hex`11 0f a1 00`, 16); // family 19h, model 11h
    bytes.set(hex`01 00 40 00`, 64); // MSRs, 64 bytes
    bytes.set(msr, 68);
    bytes.set(hex`0c 01 09 00 00 00 00 80`, 80); // STATUS: extended code 9, bus error
    bytes.set(hex`00 00 00 00 2e 00 02 00`, 80 + 32); // IPID: coherent station version 2
    return bytes;
  };
  const type = sectionTypes.byName("ia32x64Processor")!;
  test("is read by the model's own numbering", () => {
    // MSR 0xc0002151: status of bank 21. Erratum 1384: cause 9 of this model is an unexpected retry.
    const value = parse(type.layout, body([0x51, 0x21, 0x00, 0xc0])) as never;
    expect(type.summary?.(value)).toContain("bank 21: corrected, unexpected retry");
    expect(lines(type.explain?.(value) ?? []).join("\n")).toContain("machine-check bank 21: corrected, unexpected retry");
  });
  test("other registers are none", () => {
    expect(type.summary?.(parse(type.layout, body([0x80, 0x01, 0x00, 0x00])) as never)).not.toContain("bank");
  });
});

test("CXL events are known in both byte orders of their UUID", () => {
  // WDK cper.h of build 28000: the bytes of the UUIDs most significant first.
  expect(sectionTypes.byGuid("b3cb1d60-069c-ab4e-b8af-4e9bfb5c9624")?.name).toBe("cxlDram");
  expect(sectionTypes.byGuid("601dcbb3-9c06-4eab-b8af-4e9bfb5c9624")?.name).toBe("cxlDram");
  expect(sectionTypes.byGuid("757492fe-59dd-3943-a586-79bab113b774")?.name).toBe("cxlMemoryModule");
});

describeShared("a real crash log", () => {
  test("three records of product 0x37", () => {
    const bytes = shared("corpus/whea-cper/ralish-ErrorFirmware1.bin");
    // Section bodies at 344, 2936 and 3480; the vendor's record begins 32 bytes into each.
    const first = (at: number, length: number) => lines(crashLogTrees(bytes.slice(at + 32, at + length)))[0];
    expect(first(344, 2592)).toContain("PMC, product 0x37, revision 5, header type 3, 2508 bytes");
    expect(first(2936, 544)).toContain("PMC trace, product 0x37, revision 1, header type 1, 512 bytes");
    expect(first(3480, 72)).toContain("PMC reset, product 0x37, revision 1, header type 1, 40 bytes");
  });
});
