import { describe, expect, test } from "vitest";
import {
  abortsAsSErrors,
  applyInjection,
  handlerState,
  injectAbort,
  injectVirtualSError,
  levelOf,
  type Registers,
  serrorsUnmaskable,
  vectorOffset,
  vectorOffsetByLevel,
} from "../../src/arm64/exception-entry.ts";

/** A vCPU in user space; SCTLR_EL1 as Linux sets it (SPAN clear: PAN is set on entry). */
const user = (): Registers => ({ PC: 0x40_1000n, PSTATE: 0x6000_0000n, VBAR_EL1: 0xffff_8000_0801_0800n, SCTLR_EL1: 0x3475_d99dn & ~(1n << 23n) });
/** The same in the kernel, everything masked. */
const kernel = (): Registers => ({ ...user(), PC: 0xffff_8000_0812_3450n, PSTATE: 0x2040_03c5n });
const byName = (registers: readonly { register: string; value: bigint | undefined }[]) => Object.fromEntries(registers.map((r) => [r.register, r.value]));

describe("vectors", () => {
  // Arm ARM table of vector offsets.
  test.each([
    ["EL1 with SP_EL0", 0x4n, "EL1", 0x000, 0x180],
    ["EL1 with SP_EL1", 0x5n, "EL1", 0x200, 0x380],
    ["EL0", 0x0n, "EL1", 0x400, 0x580],
    ["AArch32 EL0", 0x10n, "EL1", 0x600, 0x780],
    ["EL0 to EL2", 0x0n, "EL2", 0x400, 0x580],
    ["EL1 to EL2", 0x5n, "EL2", 0x400, 0x580],
    ["EL2 with SP_EL0", 0x8n, "EL2", 0x000, 0x180],
    ["EL2 with SP_EL2", 0x9n, "EL2", 0x200, 0x380],
    ["EL2 to EL3", 0x9n, "EL3", 0x400, 0x580],
  ] as const)("%s", (_name, pstate, target, synchronous, serror) => {
    expect(vectorOffset(pstate, target, "synchronous")).toBe(synchronous);
    expect(vectorOffset(pstate, target, "serror")).toBe(serror);
  });
  test("by level alone", () => {
    expect(vectorOffsetByLevel("EL0", "EL2", "serror")).toBe(0x580);
    expect(vectorOffsetByLevel("EL2", "EL2", "synchronous")).toBe(0x200);
  });
  test("levels of PSTATE", () => {
    expect([0x0n, 0x4n, 0x5n, 0x8n, 0x9n, 0xdn, 0x10n, 0x13n].map(levelOf)).toEqual(["EL0", "EL1", "EL1", "EL2", "EL2", "EL3", "EL0", "EL1"]);
  });
});

describe("a handler's PSTATE", () => {
  test("flags and DIT stay, masks are set, the rest goes", () => {
    // N Z C V, TCO, DIT, UAO, PAN, SS, IL, SSBS, BTYPE set at EL0: only NZCV, DIT and PAN survive.
    expect(handlerState(0xf3f0_1c00n, "EL1", 1n << 23n)).toBe(0xf140_03c5n);
    expect(handlerState(0n, "EL1", 0n)).toBe(0x0040_03c5n);
    expect(handlerState(0n, "EL2", (1n << 23n) | (1n << 44n), true)).toBe(0x0200_13c9n);
  });
});

describe("synchronous external aborts", () => {
  test("QEMU's from user space: address unknown", () => {
    const injection = injectAbort(user(), { abort: "data", target: "EL1" });
    expect(byName(injection.registers)).toEqual({
      ESR_EL1: 0x92000410n,
      FAR_EL1: undefined,
      ELR_EL1: 0x40_1000n,
      SPSR_EL1: 0x6000_0000n,
      PC: 0xffff_8000_0801_0c00n,
      PSTATE: 0x6040_03c5n,
    });
    expect(injection.vector).toEqual({ offset: 0x400, address: 0xffff_8000_0801_0c00n });
    expect(injection.unknown).toEqual(["FAR_EL1: the faulting address is not known; FnV tells the guest"]);
  });
  test("QEMU's from the kernel", () => {
    const injection = injectAbort(kernel(), { abort: "data", target: "EL1" });
    expect(byName(injection.registers)).toMatchObject({ ESR_EL1: 0x96000410n, ELR_EL1: 0xffff_8000_0812_3450n, SPSR_EL1: 0x2040_03c5n });
    expect(injection.vector?.offset).toBe(0x200);
  });
  test("with an address FnV is clear", () => {
    const injection = injectAbort(user(), { abort: "instruction", target: "EL1", address: 0xffff_dead_0000n });
    expect(byName(injection.registers)).toMatchObject({ ESR_EL1: 0x82000010n, FAR_EL1: 0xffff_dead_0000n });
    expect(injection.unknown).toEqual([]);
  });
  test("on a table walk FnV does not exist, so the gap is named", () => {
    const injection = injectAbort(kernel(), { abort: "data", target: "EL1", status: "externalAbortWalkL2" });
    expect(injection.registers[0]!.value).toBe(0x96000016n);
    expect(injection.unknown).toEqual(["FAR_EL1: the faulting address is not known; on a table walk nothing can tell the guest"]);
  });
  test("nothing is invented for a vCPU whose registers are not known", () => {
    const injection = injectAbort({}, { abort: "data", target: "EL1", address: 8n });
    expect(byName(injection.registers)).toEqual({ ESR_EL1: 0x92000010n, FAR_EL1: 8n, ELR_EL1: undefined, SPSR_EL1: undefined, PC: undefined });
    expect(injection.unknown).toEqual([
      "ELR_EL1: the interrupted PC is not known",
      "SPSR_EL1: the interrupted PSTATE is not known",
      "PC: the vector depends on the interrupted PSTATE",
      "ESR_EL1.EC: the interrupted level is not known, a lower one is assumed",
    ]);
    expect(injectAbort({ PC: 0n, PSTATE: 0n }, { abort: "data", target: "EL1", address: 8n }).unknown).toEqual([
      "PC: VBAR_EL1 is not known; the vector is at +0x400",
      "PSTATE: PAN and SSBS depend on SCTLR_EL1, which is not known",
    ]);
  });
  test("EASE sends it to the SError vector", () => {
    expect(abortsAsSErrors(1n << 5n)).toBe(true);
    expect(injectAbort(kernel(), { abort: "data", target: "EL1", asSError: true }).vector?.offset).toBe(0x380);
  });
  test("SET needs FSC 0x10", () => {
    expect(injectAbort(user(), { abort: "data", target: "EL1", set: "restartable", ea: true, write: true }).registers[0]!.value).toBe(0x92001e50n);
    expect(() => injectAbort(user(), { abort: "data", target: "EL1", set: "restartable", status: "externalAbortWalkL0" })).toThrow(
      "esr.set: SET is RES0 unless FSC is 0x10, an external abort not on a table walk",
    );
  });
  test("registers are changed only when asked", () => {
    const registers = user();
    const injection = injectAbort(registers, { abort: "data", target: "EL1" });
    expect(registers).toEqual(user());
    applyInjection(registers, injection);
    expect(registers).toMatchObject({ PC: 0xffff_8000_0801_0c00n, ESR_EL1: 0x92000410n });
    expect(registers["FAR_EL1"]).toBeUndefined();
  });
});

describe("virtual SErrors", () => {
  test("unmasked: taken at once", () => {
    const injection = injectVirtualSError(user(), 0x811n);
    expect(injection).toMatchObject({ exception: "SError", taken: true, vector: { offset: 0x580 } });
    expect(byName(injection.registers)).toEqual({
      ESR_EL1: 0xbe000811n,
      ELR_EL1: 0x40_1000n,
      SPSR_EL1: 0x6000_0000n,
      PC: 0xffff_8000_0801_0d80n,
      PSTATE: 0x6040_03c5n,
    });
  });
  test("masked: pending in VSESR_EL2 and HCR_EL2.VSE", () => {
    const injection = injectVirtualSError(kernel(), 0x811n);
    expect(injection).toMatchObject({ taken: false, unknown: [] });
    expect(byName(injection.registers)).toEqual({ VSESR_EL2: 0x811n, "HCR_EL2.VSE": 1n });
    expect(injection.vector).toBeUndefined();
  });
  test("masked, but NMEA lets it through", () => {
    expect(serrorsUnmaskable(1n << 2n)).toBe(true);
    expect(injectVirtualSError(kernel(), 0x811n, "EL1", true)).toMatchObject({ taken: true, vector: { offset: 0x380 } });
  });
  test("unknown PSTATE: pending, and said so", () => {
    expect(injectVirtualSError({}, 0n)).toMatchObject({
      taken: false,
      unknown: ["whether the guest masks SErrors: PSTATE is not known, so it is left pending"],
    });
  });
});
