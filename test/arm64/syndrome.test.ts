import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { fieldsOf, REGISTERS, wordOf } from "../../src/arm64/registers.ts";
import {
  bitList,
  buildDisr,
  buildEsr,
  buildVsesr,
  decodeDisr,
  decodeEsr,
  decodeVsesr,
  disrFromEsr,
  disrProblems,
  encodeEsr,
  esrFromDisr,
  esrFromVsesr,
  esrProblems,
  esrSummary,
  registerTrees,
  serrorVerdict,
  vdisrFromVsesr,
  vsesrProblems,
} from "../../src/arm64/syndrome.ts";
import { EncodeError, hexNumber, treeLines } from "../../src/layout/index.ts";
import { lawsOf } from "../support/laws.ts";

lawsOf(Object.entries(REGISTERS), { runs: 60 });

/** Rows named by their value in hex. */
const named = <const R extends readonly (readonly [bigint, ...unknown[]])[]>(rows: R) =>
  rows.map((row) => [hexNumber(row[0]), ...row]) as unknown as { [K in keyof R]: [string, ...R[K]] };

describe("ESR_ELx", () => {
  // The two values QEMU gives a guest for a memory error, and field positions from the architecture manual.
  test.each(
    named([
      [0x92000410n, "dataAbort", { ec: "dataAbortLower", il: true, fnv: true, fsc: "externalAbort" }],
      [0x96000410n, "dataAbort", { ec: "dataAbortCurrent", il: true, fnv: true, fsc: "externalAbort" }],
      [0x92001a10n, "dataAbort", { ec: "dataAbortLower", il: true, set: 3, ea: true, fsc: "externalAbort" }],
      [0x82000010n, "instructionAbort", { ec: "instructionAbortLower", il: true, fsc: "externalAbort" }],
      [0x86000214n, "instructionAbort", { ec: "instructionAbortCurrent", il: true, ea: true, fsc: "externalAbortWalkL0" }],
      [0x96000193n, "dataAbort", { ec: "dataAbortCurrent", il: true, cm: true, s1ptw: true, fsc: "externalAbortWalkLMinus1" }],
      [0x9600005fn, "dataAbort", { ec: "dataAbortCurrent", il: true, wnr: true, fsc: "parityWalkL3" }],
      [0x97d1e007n, "dataAbort", { isv: true, sas: "doubleword", srt: 0x11, sf: true, ar: true, vncr: true, fsc: "translationL3" }],
      [0x0000_0423_9600_0407n, "dataAbort", { tnd: true, dirtyBit: true, xs: 3, fsc: "translationL3" }],
      [0xbe000c11n, "serror", { ec: "serror", il: true, aet: "recoverable", dfsc: "asynchronous" }],
      [0xbe003a11n, "serror", { iesb: true, aet: "corrected", ea: true, dfsc: "asynchronous" }],
      [0xbe000000n, "serror", { aet: "uncontainable", dfsc: "uncategorized" }],
      [0xbf123456n, "implementationDefinedSError", { ids: true, implementationDefined: 0x123456 }],
      [0x56000000n, "other", { ec: "svc64", il: true }],
    ] as const),
  )("%s", (_name, esr, form, fields) => {
    const decoded = decodeEsr(esr);
    expect(decoded.form).toBe(form);
    const expected = "set" in fields ? { ...fields, set: "restartable" } : fields;
    expect(decoded.fields).toMatchObject(expected);
    expect(encodeEsr(decoded.form, decoded.fields as never)).toBe(esr);
  });

  test("any 64 bits decode and come back", () => {
    fc.assert(
      fc.property(fc.bigInt({ min: 0n, max: (1n << 64n) - 1n }), fc.constantFrom(0n, 0x20n, 0x24n, 0x25n, 0x2fn), (raw, ec) => {
        for (const esr of [raw, (raw & ~0xfc000000n) | (ec << 26n)]) {
          const decoded = decodeEsr(esr);
          expect(encodeEsr(decoded.form, decoded.fields as never)).toBe(esr);
          esrProblems(esr);
          expect(esrSummary(esr)).not.toContain("undefined");
        }
      }),
      { numRuns: 2000, seed: 1 },
    );
  });

  test("words", () => {
    expect(esrSummary(0x92000410n)).toBe("data abort from a lower exception level: synchronous external abort, not on a table walk");
    expect(registerTrees(REGISTERS.dataAbort, 0x96000007n).map((tree) => tree.label)).toEqual(["ec", "il", "fsc"]);
    expect(registerTrees(REGISTERS.serror, 0xbe000000n).map((tree) => tree.label)).toEqual(["ec", "il", "dfsc"]);
    expect(registerTrees(REGISTERS.dataAbort, 0x92001a10n).flatMap((tree) => treeLines(tree))).toEqual([
      "ec: data abort from a lower exception level",
      "il: 1",
      "set: restartable (UEO)",
      "ea: 1",
      "fsc: synchronous external abort, not on a table walk",
    ]);
  });

  test.each(
    named([
      [0x92000410n, []],
      [0x92000c10n, ["SET 1 is reserved"]],
      [0x92001014n, ["SET is RES0 unless FSC is 0x10, an external abort not on a table walk"]],
      [0x92000414n, ["FnV is RES0 unless FSC is 0x10, an external abort not on a table walk"]],
      [0x92000218n, ["EA is RES0 for anything but an external abort", "FSC of a parity error is reserved with the RAS extension"]],
      [0x92000012n, ["FSC is reserved"]],
      [0x0100_0000_9200_0010n, ["ESR_ELx bits 56 are RES0"]],
      [0x82000110n, ["ESR_ELx bits 8 are RES0"]],
      [0x92800010n, ["SAS is RES0 without ISV"]],
      [0x90000010n, ["IL is 1 for aborts and SErrors"]],
      [0xbe001011n, ["AET is a reserved value"]],
      [0xbe000800n, ["AET is RES0 unless DFSC is 0x11"]],
      [0xbe000200n, ["EA is RES0 unless DFSC is 0x11"]],
      [0xbe002000n, ["IESB is RES0 unless DFSC is 0x11"]],
      [0xbe000012n, ["DFSC is reserved"]],
      [0xbefc0011n, ["ESR_ELx bits 23:18 are RES0"]],
      [0xbf_ffffffn, []],
    ] as const),
  )("problems of %s", (_name, esr, reasons) => {
    expect(esrProblems(esr).map((problem) => problem.reason)).toEqual(reasons);
  });

  test("without the RAS extension SET, AET and the newer fields are RES0, parity errors are not reserved", () => {
    const none = { ras: false };
    expect(esrProblems(0x92001810n, none).map((problem) => problem.reason)).toEqual(["SET is RES0 without the RAS extension"]);
    expect(esrProblems(0x92000018n, none)).toEqual([]);
    expect(esrProblems(0xbe000411n, none).map((problem) => problem.reason)).toEqual(["AET is RES0 without the RAS extension"]);
    expect(esrProblems(0xbe0100d1n, { ras: true }).map((problem) => problem.field)).toEqual(["wu", "wnrv", "wnr"]);
  });

  test("building refuses with the field and the reason", () => {
    expect(buildEsr("dataAbort", { ec: "dataAbortLower", il: true, fnv: true, fsc: "externalAbort" })).toBe(0x92000410n);
    const refused = (body: () => unknown) => {
      try {
        body();
      } catch (error) {
        return error instanceof EncodeError ? error.message : error;
      }
      return "accepted";
    };
    expect(refused(() => buildEsr("instructionAbort", { ec: "instructionAbortLower", il: true, fsc: "externalAbort", rest: 1n << 24n }))).toBe(
      "esr.reserved: ESR_ELx bits 24 are RES0",
    );
    expect(refused(() => buildEsr("dataAbort", { ec: "serror", il: true }))).toBe("esr.ec: EC 0x2f does not belong to data abort");
    expect(refused(() => buildEsr("serror", { ec: "serror", il: true, dfsc: "asynchronous", aet: 7 }))).toBe("esr.aet: AET is a reserved value");
    expect(refused(() => buildVsesr("architected", { rest: 1n << 25n }))).toBe("vsesr.reserved: VSESR_EL2 bits 25 are RES0");
    expect(refused(() => buildVsesr("architected", { ids: true }))).toBe("vsesr.ids: IDS says the syndrome is implementation defined");
    expect(refused(() => buildDisr("architected", { rest: 1n << 63n }))).toBe("disr.reserved: DISR_EL1 bits 63 are RES0");
  });
});

describe("an SError's syndrome", () => {
  // AET, what it is called, what arm64 Linux 7.2 does with it, and what it does as host of a guest that meets it.
  test.each(
    named([
      [0x0011n, "uncontainable", "panic", "hostPanic"],
      [0x0411n, "unrecoverable", "panic", "guestSError"],
      [0x0811n, "restartable", "continue", "continue"],
      [0x0c11n, "recoverable", "panic", "guestSError"],
      [0x1011n, "reserved", "panic", "hostPanic"],
      [0x1411n, "reserved", "panic", "hostPanic"],
      [0x1811n, "corrected", "continue", "continue"],
      [0x1c11n, "reserved", "panic", "hostPanic"],
      [0x0800n, "uncategorized", "panic", "hostPanic"],
      [0x0812n, "uncategorized", "panic", "hostPanic"],
      [0x0000n, "uncategorized", "panic", "hostPanic"],
      [0x1000811n, "implementationDefined", "panic", "guestSError"],
    ] as const),
  )("%s", (_name, iss, severity, linux, kvm) => {
    for (const word of [iss, iss | 0xbe000000n, iss | 0x80000000n]) expect(serrorVerdict(word)).toMatchObject({ severity, linux, kvm });
  });

  test("VSESR_EL2 in both forms", () => {
    expect(decodeVsesr(0xc11n)).toMatchObject({ form: "architected", fields: { aet: "recoverable", dfsc: "asynchronous" } });
    expect(decodeVsesr(0x1000000n)).toMatchObject({ form: "implementationDefined", fields: { ids: true, implementationDefined: 0 } });
    expect(buildVsesr("architected", { aet: "recoverable", dfsc: "asynchronous" })).toBe(0xc11n);
    expect(buildVsesr("implementationDefined", { implementationDefined: 0xabcdef })).toBe(0x1abcdefn);
    for (let bit = 25n; bit < 64n; bit++) expect(vsesrProblems(1n << bit).map((problem) => problem.bits)).toEqual([1n << bit]);
    for (let bit = 0n; bit < 24n; bit++) expect(vsesrProblems(0x1000000n | (1n << bit))).toEqual([]);
  });

  test("a virtual SError on its way: pending, deferred, taken, rebuilt", () => {
    expect(esrFromVsesr(0xc11n)).toBe(0xbe000c11n);
    expect(vdisrFromVsesr(0xc11n)).toBe(0x80000c11n);
    expect(vdisrFromVsesr(0x1abcdefn)).toBe(0x81abcdefn);
    expect(decodeDisr(0x80000c11n)).toMatchObject({ form: "architected", fields: { a: true, aet: "recoverable" } });
    // IESB is not among the fields of DISR_EL1.
    expect(disrFromEsr(0xbe003a11n)).toBe(0x80001a11n);
    expect(disrFromEsr(0xbf123456n)).toBe(0x81123456n);
    // Linux leaves IL clear and, without IDS, keeps AET, EA and DFSC only.
    expect(esrFromDisr(0x80031ad1n)).toBe(0xbc001a11n);
    expect(esrFromDisr(0x81123456n)).toBe(0xbd123456n);
    expect(buildDisr("architected", { aet: "corrected", dfsc: "asynchronous" })).toBe(0x80001811n);
    expect(buildDisr("implementationDefined", { implementationDefined: 1 })).toBe(0x81000001n);
    expect(disrProblems(0x1811n).map((problem) => problem.reason)).toEqual(["a syndrome without A: no SError was deferred"]);
    expect(disrProblems(0n)).toEqual([]);
  });
});

test("field positions of the routing registers", () => {
  expect(wordOf(REGISTERS.hcr, { amo: true, vse: true, tge: true, e2h: true, terr: true, tea: true })).toBe(0x34_0800_0120n);
  expect(wordOf(REGISTERS.scr, { ea: true })).toBe(8n);
  expect(wordOf(REGISTERS.sctlr, { iesb: true })).toBe(0x200000n);
  expect(fieldsOf(REGISTERS.pfr0, 0x1000_0000n)).toEqual({ ras: "v1" });
  expect(fieldsOf(REGISTERS.spsr, 0x600003c5n)).toMatchObject({ z: true, c: true, d: true, a: true, i: true, f: true, mode: "el1h" });
  expect(bitList(0x8000_0000_0300_0001n)).toBe("63, 25:24, 0");
});
