/**
 * What a processor did: a program of a few instructions at EL2 entered a guest with HCR_EL2.VSE set, or let it
 * read an address where nothing is, and the vectors stored what they found (QEMU 7.2, -cpu max, emulated; `test/long/arm64-qemu.ts` runs it again).
 */
import { describe, expect, test } from "vitest";
import { injectAbort, injectVirtualSError, type Registers, stateFields } from "../../src/arm64/exception-entry.ts";
import { KvmMachine } from "../../src/arm64/kvm.ts";

const CODE = 0x4012_0000n;
const VBAR = 0x4011_0000n;
const SPAN = 0x30d0_0800n;
const NO_SPAN = 0x3050_0800n;
const guest = (pstate: bigint, sctlr: bigint, pc = CODE): Registers => ({ PC: pc, PSTATE: pstate, VBAR_EL1: VBAR, SCTLR_EL1: sctlr });

interface Seen {
  readonly vector: number;
  readonly esr: bigint;
  readonly elr: bigint;
  readonly spsr: bigint;
  readonly pan: boolean;
}
/** CurrentEL was EL1 and DAIF 0x3c0 in every run. */
function holds(registers: Registers, seen: Seen): void {
  expect(registers).toMatchObject({ PC: VBAR + BigInt(seen.vector), ESR_EL1: seen.esr, ELR_EL1: seen.elr, SPSR_EL1: seen.spsr });
  expect(stateFields(registers["PSTATE"]!)).toMatchObject({ d: true, a: true, i: true, f: true, mode: "el1h", ...(seen.pan && { pan: true }) });
  expect(stateFields(registers["PSTATE"]!).pan ?? false).toBe(seen.pan);
}
const apply = (registers: Registers, injection: { readonly registers: readonly { register: string; value: bigint | undefined }[] }): Registers => ({
  ...registers,
  ...Object.fromEntries(injection.registers.map((write) => [write.register, write.value])),
});

describe("recorded exceptions", () => {
  test.each([
    ["EL0", 0x6000_0000n, SPAN, 0x811n, { vector: 0x580, esr: 0xbe000811n, elr: CODE, spsr: 0x6000_0000n, pan: false }],
    ["EL0, SPAN clear", 0x6000_0000n, NO_SPAN, 0x811n, { vector: 0x580, esr: 0xbe000811n, elr: CODE, spsr: 0x6000_0000n, pan: true }],
    ["EL1h", 0xa000_0005n, SPAN, 0xc11n, { vector: 0x380, esr: 0xbe000c11n, elr: CODE, spsr: 0xa000_0005n, pan: false }],
    ["EL1t, implementation defined", 0x4n, SPAN, 0x1abcdefn, { vector: 0x180, esr: 0xbfabcdefn, elr: CODE, spsr: 0x4n, pan: false }],
  ] as const)("a virtual SError at %s", (_name, pstate, sctlr, vsesr, seen) => {
    const registers = guest(pstate, sctlr);
    holds(apply(registers, injectVirtualSError(registers, vsesr)), seen);
  });

  const masked = (vsesr: bigint, pc: bigint) => {
    const vcpu = new KvmMachine({ dialect: "linux-7.2", hostRas: true }).createVcpu({ registers: guest(0x3c5n, SPAN, pc) });
    vcpu.setEvents({ serrorPending: 1, serrorHasEsr: 1, serrorEsr: vsesr });
    return vcpu;
  };
  test("masked at EL1 and at EL0: nothing is taken", () => {
    for (const pstate of [0x3c5n, 0x100n]) expect(injectVirtualSError(guest(pstate, SPAN), 0x411n).taken).toBe(false);
  });
  test("masked, then PSTATE.A cleared", () => {
    const vcpu = masked(0x411n, CODE + 8n);
    vcpu.unmaskSErrors();
    holds(vcpu.registers, { vector: 0x380, esr: 0xbe000411n, elr: CODE + 8n, spsr: 0x2c5n, pan: false });
  });
  test("masked, an ESB, then PSTATE.A cleared: DISR_EL1, and no exception", () => {
    const vcpu = masked(0x1811n, CODE);
    expect(vcpu.synchronizeErrors()).toBe(0x80001811n);
    expect(vcpu.unmaskSErrors()).toBeUndefined();
  });
  test.each([
    ["EL1h", 0x5n, SPAN, { vector: 0x200, esr: 0x96000010n, elr: CODE + 0x10n, spsr: 0x5n, pan: false }],
    ["EL0, SPAN clear", 0x0n, NO_SPAN, { vector: 0x400, esr: 0x92000010n, elr: CODE + 0x10n, spsr: 0x0n, pan: true }],
  ] as const)("an external abort at %s", (_name, pstate, sctlr, seen) => {
    const registers = guest(pstate, sctlr, CODE + 0x10n);
    const after = apply(registers, injectAbort(registers, { abort: "data", target: "EL1", address: 0x70_0000_0000n }));
    holds(after, seen);
    expect(after["FAR_EL1"]).toBe(0x70_0000_0000n);
  });
});
