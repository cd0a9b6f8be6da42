import fc from "fast-check";
import { describe, expect, test, vi } from "vitest";
import { buildTable, qemuErst } from "../../src/acpi/build-tables.ts";
import { HestByLength } from "../../src/acpi/hest.ts";
import { Rsdp } from "../../src/acpi/root-tables.ts";
import { check } from "../../src/check/check.ts";
import { jsonReport, junitReport, sarifReport, textReport } from "../../src/check/report.ts";
import { tableOf } from "../../src/check/table.ts";
import { encode } from "../../src/layout/index.ts";
import { describeShared, shared, sharedNames } from "../support/shared.ts";

// Slow machines take their time; the rule about time is in a test of its own.
vi.setConfig({ testTimeout: 30_000 });

const whole = (bytes: Uint8Array) => {
  const result = check([{ file: "t.dat", bytes }]);
  for (const finding of result.findings) {
    expect(finding.offset).toBeLessThanOrEqual(Math.max(bytes.length, finding.offset));
    expect(`${finding.found}${finding.expected}${finding.path}`).not.toMatch(/undefined|\[object|NaN/);
  }
  return result;
};
const generic = (sourceId: number) => ({
  type: "genericHardwareErrorV2",
  sourceId,
  errorStatusAddress: { address: `0x${(0x1000 + sourceId * 16).toString(16)}` },
  notification: { type: "nmi" },
  errorStatusBlockLength: 1024,
  readAckRegister: { address: `0x${(0x9000 + sourceId * 16).toString(16)}` },
  readAckPreserve: "0xfffffffffffffffe",
  readAckWrite: "0x1",
});
const seed = buildTable("HEST", {
  sources: [
    { type: "correctedMachineCheck", sourceId: 0, notification: { type: "cmci" }, banks: [{ bankNumber: 0 }] },
    { type: "pcieRootPortAer", sourceId: 1 },
    generic(2),
    generic(3),
  ],
} as never);

describe("every field wrong", () => {
  const leaves = tableOf("t", seed).spans;
  test("the seed is good", () => expect(whole(seed).findings.filter(({ severity }) => severity === "error")).toEqual([]));
  test.each([0x00, 0x01, 0x7f, 0xff])("each alone, filled with %i", (value) => {
    for (const span of leaves) whole(seed.slice().fill(value, span.offset, span.offset + span.size));
  });
  test("in pairs", () => {
    fc.assert(
      fc.property(fc.nat(leaves.length - 1), fc.nat(leaves.length - 1), fc.nat(255), fc.nat(255), (a, b, x, y) => {
        const bytes = seed.slice();
        for (const [i, value] of [
          [a, x],
          [b, y],
        ] as const)
          bytes.fill(value, leaves[i]!.offset, leaves[i]!.offset + leaves[i]!.size);
        whole(bytes);
      }),
      { numRuns: 200, seed: 11 },
    );
  });
  test("cut at every byte", () => {
    for (let length = 8; length < seed.length; length++) expect(whole(seed.slice(0, length)).findings.some(({ severity }) => severity === "error")).toBe(true);
  });
});

describe("every field of the other tables wrong", () => {
  const address = { registerRegion: { address: "0x1000" } };
  const tables = {
    BERT: buildTable("BERT", { bootErrorRegionLength: 64, bootErrorRegion: "0x1000" }),
    ERST: qemuErst(0xfebfe000n),
    EINJ: buildTable("EINJ", { entries: [{ action: "endOperation", instruction: "writeRegisterValue", ...address }] } as never),
    CEDT: buildTable("CEDT", {
      structures: [{ type: "hostBridge", recordLength: 32, content: { uid: 1, cxlVersion: "host", base: "0x0", length: "0x10000" } }],
    }),
    XSDT: buildTable("XSDT", { entries: [{ address: "0x1000" }, { address: "0x2000" }] }),
    RSDP: encode(Rsdp, { extension: { xsdtAddress: 0x1000n } as never }),
  };
  test.each(Object.entries(tables))("%s", (_name, bytes) => {
    for (const value of [0x00, 0x5a, 0xff])
      for (const span of tableOf("t", bytes).spans) whole(bytes.slice().fill(value, span.offset, span.offset + span.size));
    for (let length = 8; length < bytes.length; length += bytes.length > 200 ? 13 : 1) whole(bytes.slice(0, length));
  });
});

describe("numbers that lie", () => {
  const lengths = [0, 1, 35, 36, 40, 0x7fffffff, 0xffffffff];
  test.each(lengths)("a length of %i", (length) => {
    const bytes = seed.slice();
    new DataView(bytes.buffer).setUint32(4, length, true);
    expect(whole(bytes).findings.some(({ severity }) => severity === "error")).toBe(true);
  });
  test("billions of sources", () => {
    const bytes = seed.slice();
    new DataView(bytes.buffer).setUint32(36, 0xffffffff, true);
    expect(whole(bytes).findings.map(({ rule }) => rule)).toEqual(expect.arrayContaining(["hest-count", "linux-hest-disabled"]));
  });
  test("thousands of sources take time in proportion", () => {
    const table = (count: number) => buildTable("HEST", { sources: Array.from({ length: count }, (_, i) => generic(i)) } as never);
    const time = (bytes: Uint8Array) => {
      const from = performance.now();
      expect(check([{ file: "t.dat", bytes }]).findings.filter(({ severity }) => severity === "error")).toEqual([]);
      return performance.now() - from;
    };
    const small = table(200);
    const large = table(1600);
    time(small);
    const [one, eight] = [time(small), time(large)];
    expect(eight).toBeLessThan(Math.max(one, 5) * 40);
  });
  test("a table read by length is walked to its end only", () => {
    expect(HestByLength.fields.sources).not.toHaveProperty("item.count");
  });
});

describeShared("mutations of all tables", () => {
  const seeds = ["captures/tables-good", "corpus/acpi-other", "corpus/acpi-linuxhw"].flatMap((folder) =>
    sharedNames(folder, (name) => /\.(dat|bin)$/.test(name)).map((name) => shared(folder, name)),
  );
  test("findings, never an exception, in every report", () => {
    fc.assert(
      fc.property(fc.nat(seeds.length - 1), fc.array(fc.tuple(fc.nat(300), fc.nat(255)), { maxLength: 6 }), fc.nat(400), (which, changes, cut) => {
        const bytes = seeds[which]!.slice(0, cut > 300 ? seeds[which]!.length - (cut - 300) : undefined);
        for (const [at, value] of changes) if (at >= 4 && at < bytes.length) bytes[at] = value;
        const result = whole(bytes);
        textReport(result, { colours: true, notes: true });
        junitReport(result, "warning");
        JSON.stringify([jsonReport(result, "error"), sarifReport(result, "0")]);
      }),
      { numRuns: 200, seed: 5 },
    );
  });
});
