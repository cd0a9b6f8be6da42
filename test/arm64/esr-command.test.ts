import { describe, expect, test } from "vitest";
import { explainRegister } from "../../src/arm64/explain.ts";
import { apei } from "../support/cli.ts";

describe("apei esr", () => {
  test("the abort QEMU injects", async () => {
    const { exit, out, err } = await apei(["esr", "0x92000410"]);
    expect(out).toBe(`0x92000410: data abort from a lower exception level: synchronous external abort, not on a table walk
  ec: data abort from a lower exception level
  il: 1
  set: recoverable (UER)
  fnv: 1
  fsc: synchronous external abort, not on a table walk
`);
    expect([exit, err]).toEqual([0, ""]);
  });
  test("an SError: severity and the kernel's answer", async () => {
    const { exit, out } = await apei(["esr", "--as", "vsesr", "0x811", "0x2000000"]);
    expect(out).toContain("0x811: SError: restartable: contained, the interrupted program can go on\n");
    expect(out).toContain("  Linux: continues, in the hope that the error is not met again\n");
    expect(out).toContain("  not allowed: VSESR_EL2 bits 25 are RES0 (bits 25)\n");
    expect(exit).toBe(1);
  });
  test("JSON", async () => {
    const { exit, out } = await apei(["esr", "0xbe001011", "--json"]);
    expect(JSON.parse(out)).toEqual({
      value: "0xbe001011",
      form: "serror",
      summary: "SError: a reserved error type",
      fields: { ec: "serror", il: true, wu: 0, aet: 4, dfsc: "asynchronous" },
      severity: {
        severity: "reserved",
        words: "a reserved error type",
        linux: "panic",
        linuxWords: "panics: a reserved type counts as fatal",
        kvm: "hostPanic",
        kvmWords: "the host panics: the error may have reached it",
      },
      problems: [{ field: "aet", bits: "0x1c00", reason: "AET is a reserved value" }],
    });
    expect(exit).toBe(1);
    expect(JSON.parse((await apei(["esr", "1", "2", "--json"])).out)).toHaveLength(2);
  });
  test("64 bits survive", async () => {
    expect((await apei(["esr", "0x8000000000000001", "--json"])).out).toContain('"0x8000000000000001"');
    expect((await apei(["esr", "0x9200_0410"])).out).toContain("0x92000410:");
  });
  test.each([
    ["hcr", "0x3408000020", "SErrors go to EL2, external aborts to EL2"],
    ["hcr", "0", "SErrors go to EL1, external aborts to EL1"],
    ["scr", "8", "errors go to EL3 first"],
    ["scr", "0", "errors do not go to EL3"],
    ["sctlr", "0x200000", "errors are synchronised at every change of level"],
    ["sctlr2", "0x20", "external aborts arrive at the SError vector"],
    ["spsr", "0x3c5", "EL1, SErrors masked"],
    ["spsr", "0", "EL0, SErrors not masked"],
    ["pfr0", "0x20000000", "RAS extension: v1p1"],
    ["disr", "0x80001811", "a deferred SError: corrected: no harm was done"],
    ["disr", "0", "no SError was deferred"],
  ])("--as %s %s", async (name, value, summary) => {
    expect((await apei(["esr", "--as", name, value])).out.split("\n")[0]).toBe(`0x${BigInt(value).toString(16)}: ${summary}`);
  });
  test("bits of a register that is known in part are not called RES0", async () => {
    const { out, exit } = await apei(["esr", "--as", "hcr", "1"]);
    expect(out).toContain("other bits: 0x1\n");
    expect(exit).toBe(0);
  });
  test("without the RAS extension", async () => {
    expect((await apei(["esr", "0x92001810", "--without-ras"])).out).toContain("not allowed: SET is RES0 without the RAS extension (bits 12:11)");
  });
  test.each(["0x", "ten", "-1", "0x10000000000000000", "1e3", "0x12g"])("%s is refused", async (word) => {
    const { exit, out, err } = await apei(["esr", "--", word]);
    expect([exit, out]).toEqual([2, ""]);
    expect(err).toMatch(/is not a number|more than 64 bits/);
  });
  test("an unknown register", async () => {
    expect((await apei(["esr", "--as", "far", "0"])).exit).toBe(2);
    expect(() => explainRegister("far", 0n)).toThrow("far is none of esr, vsesr, disr, spsr, hcr, scr, sctlr, sctlr2, pfr0");
  });
});
