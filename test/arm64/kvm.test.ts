import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { Registers } from "../../src/arm64/exception-entry.ts";
import { type GuestFault, KvmMachine, type MachineOptions, type VcpuOptions } from "../../src/arm64/kvm.ts";
import { type Events, SET_EVENTS_RULES } from "../../src/arm64/kvm-events.ts";
import {
  CAPABILITY,
  EXIT_REASON,
  KVM_LAYOUTS,
  ProposedSeaExit,
  ProposedSyndromeVcpuEvents,
  ProposedVcpuEvents,
  SeaExit,
  VcpuEvents,
} from "../../src/arm64/kvm-layouts.ts";
import { bytesToHex, encode } from "../../src/layout/index.ts";
import { hex } from "../support/hex.ts";
import { lawsOf } from "../support/laws.ts";

lawsOf(
  [
    ["vCPU events", VcpuEvents],
    ["vCPU events, second proposal", ProposedSyndromeVcpuEvents],
    ["vCPU events, proposed", ProposedVcpuEvents],
    ["KVM_EXIT_ARM_SEA", SeaExit],
    ["KVM_EXIT_ARM_SEA, proposed", ProposedSeaExit],
  ],
  { runs: 100 },
);

const USER: Registers = { PC: 0x1000n, PSTATE: 0n, VBAR_EL1: 0x8000n, SCTLR_EL1: 1n << 23n };
const KERNEL: Registers = { ...USER, PC: 0x2000n, PSTATE: 0x5n };
const MASKED: Registers = { ...KERNEL, PSTATE: 0x3c5n };
const make = (machine: Partial<MachineOptions> = {}, vcpu: VcpuOptions = { registers: { ...USER } }) =>
  new KvmMachine({ dialect: "linux-7.2", hostRas: true, ...machine }).createVcpu(vcpu);
const enabled = (machine: Partial<MachineOptions> = {}, vcpu: VcpuOptions = { registers: { ...USER } }) => {
  const m = new KvmMachine({ dialect: "linux-7.2", hostRas: true, ...machine });
  m.checkExtension("KVM_CAP_ARM_SEA_TO_USER");
  expect(m.enableCapability("KVM_CAP_ARM_SEA_TO_USER")).toEqual({ result: 0, misuse: [] });
  return m.createVcpu(vcpu);
};
/** A data abort from the guest's user space with both addresses. */
const FAULT: GuestFault = { esr: 0x92000210n, far: 0xffff_0008n, ipa: 0x4000_0000n };

describe("layouts", () => {
  test("struct kvm_vcpu_events", () => {
    const bytes = hex`
      01                       # serror_pending
      01                       # serror_has_esr
      00                       # ext_dabt_pending
      00 00 00 00 00           # pad
      11 0c 00 00 00 00 00 00  # serror_esr
      00000000 00000000 00000000 00000000 00000000 00000000 00000000 00000000 00000000 00000000 00000000 00000000`;
    expect(bytes.length).toBe(64);
    expect(encode(VcpuEvents, { serrorPending: 1, serrorHasEsr: 1, serrorEsr: 0xc11n })).toEqual(bytes);
    expect(encode(ProposedVcpuEvents, { serrorPending: 1, serrorHasEsr: 1, serrorEsr: 0xc11n })).toEqual(bytes);
    expect(encode(ProposedVcpuEvents, { extIabtPending: 1 })[3]).toBe(1);
  });
  test("arm_sea in both dialects", () => {
    const fields = { esr: 0x92000010n, gva: 0x1234n, gpa: 0x5678n };
    expect(encode(SeaExit, { ...fields, flags: { gpaValid: true } })).toEqual(
      hex`01 00 00 00 00 00 00 00  10 00 00 92 00 00 00 00  34 12 00 00 00 00 00 00  78 56 00 00 00 00 00 00`,
    );
    expect(encode(ProposedSeaExit, { ...fields, flags: { gvaValid: true, gpaValid: true } })).toEqual(
      hex`10 00 00 92 00 00 00 00  03 00 00 00 00 00 00 00  34 12 00 00 00 00 00 00  78 56 00 00 00 00 00 00`,
    );
    expect([EXIT_REASON.sea, CAPABILITY.KVM_CAP_ARM_SEA_TO_USER.number]).toEqual([41, 245]);
  });
});

describe("capabilities", () => {
  test("what each dialect has", () => {
    const linux = new KvmMachine({ dialect: "linux-7.2", hostRas: false });
    expect(linux.checkExtension("KVM_CAP_ARM_INJECT_EXT_DABT")).toBe(1);
    expect(linux.checkExtension("KVM_CAP_ARM_INJECT_EXT_IABT")).toBe(0);
    expect(linux.checkExtension("KVM_CAP_ARM_INJECT_SERROR_ESR")).toBe(0);
    expect(new KvmMachine({ dialect: "proposed", hostRas: true }).checkExtension("KVM_CAP_ARM_INJECT_EXT_IABT")).toBe(1);
  });
  test("enabling: queried first, before vCPUs, without flags", () => {
    const machine = new KvmMachine({ dialect: "linux-7.2", hostRas: true });
    expect(machine.enableCapability("KVM_CAP_ARM_INJECT_EXT_DABT").result).toBe(-22);
    machine.checkExtension("KVM_CAP_ARM_SEA_TO_USER");
    expect(machine.enableCapability("KVM_CAP_ARM_SEA_TO_USER", 1).result).toBe(-22);
    expect(machine.seaToUser).toBe(false);
    expect(machine.enableCapability("KVM_CAP_ARM_SEA_TO_USER")).toEqual({ result: 0, misuse: [] });
    const hasty = new KvmMachine({ dialect: "linux-7.2", hostRas: true });
    hasty.createVcpu();
    expect(hasty.enableCapability("KVM_CAP_ARM_SEA_TO_USER")).toEqual({
      result: 0,
      misuse: [
        "KVM_CAP_ARM_SEA_TO_USER is enabled without having been queried",
        "KVM_CAP_ARM_SEA_TO_USER is enabled after vCPUs were created; it belongs to the creation of the machine",
      ],
    });
    const old = new KvmMachine({ dialect: "linux-7.2", hostRas: true, without: ["KVM_CAP_ARM_SEA_TO_USER"] });
    expect(old.checkExtension("KVM_CAP_ARM_SEA_TO_USER")).toBe(0);
    expect(old.enableCapability("KVM_CAP_ARM_SEA_TO_USER").result).toBe(-22);
  });
});

describe("an abort taken from the guest", () => {
  test("claimed by the host", () => {
    const vcpu = enabled();
    expect(vcpu.takeAbort(FAULT, { claimedByHost: true }).outcome).toBe("claimed by the host");
    expect(vcpu.exit).toBeUndefined();
  });
  test("exit, Linux 7.2", () => {
    const outcome = enabled().takeAbort({ ...FAULT, esr: 0x93c1_da50n });
    expect(outcome.outcome).toBe("exit to the monitor");
    // ISV, SAS, SRT, SF, AR are hidden; SET, EA and WnR stay.
    expect("exit" in outcome && bytesToHex(outcome.exit)).toBe("0100000000000000" + "501a009200000000" + "0800ffff00000000" + "0000004000000000");
  });
  test("exit, proposed, addresses missing", () => {
    const outcome = enabled({ dialect: "proposed" }).takeAbort({ esr: 0x82000410n, far: 0xdeadn });
    expect("exit" in outcome && bytesToHex(outcome.exit)).toBe("1004008200000000" + "0000000000000000" + "0000000000000000" + "0000000000000000");
    expect(outcome.reasons.slice(2)).toEqual([
      "the guest virtual address is not known",
      "the guest physical address is not known: the monitor cannot tell which page is lost",
    ]);
  });
  test("SET is hidden from a guest without the RAS extension", () => {
    const outcome = enabled({ guestRas: false }).takeAbort({ ...FAULT, esr: 0x92001a10n });
    expect("exit" in outcome && bytesToHex(outcome.exit.subarray(8, 16))).toBe("1002009200000000");
  });
  test.each([0x10n, 0x13n, 0x14n, 0x15n, 0x16n, 0x17n, 0x18n, 0x1bn, 0x1cn, 0x1dn, 0x1en, 0x1fn])("FSC %s exits", (fsc) => {
    expect(enabled().takeAbort({ ...FAULT, esr: 0x92000000n | fsc }).outcome).toBe("exit to the monitor");
    expect(enabled().takeAbort({ ...FAULT, esr: 0x82000000n | fsc }).outcome).toBe("exit to the monitor");
  });
  test.each([0x92000007n, 0x92000011n, 0x92000021n, 0x92000012n, 0xbe000011n])("%s does not", (esr) => {
    expect(enabled().takeAbort({ ...FAULT, esr }).outcome).toBe("not a synchronous external abort");
  });
  test.each([
    ["no RAS extension", { hostRas: false }, FAULT.esr, "without the RAS extension only accesses of the host's own can abort to EL2"],
    ["VNCR_EL2", {}, 0x92002010n, "the access was to VNCR_EL2, which the host owns"],
    ["stage 2 walk", {}, 0x92000095n, "it was met on the stage 2 tables, which the host owns (S1PTW)"],
  ] as const)("host-owned: %s", (_name, machine, esr, reason) => {
    const outcome = enabled(machine).takeAbort({ ...FAULT, esr });
    expect(outcome.outcome).toBe("SError in the guest");
    expect(outcome.reasons).toContain(reason);
  });
  test("VNCR is a matter of data aborts only", () => {
    expect(enabled().takeAbort({ ...FAULT, esr: 0x82002010n }).outcome).toBe("exit to the monitor");
  });
  test("capability off: an SError without a cause", () => {
    const vcpu = make();
    const outcome = vcpu.takeAbort(FAULT);
    expect(outcome.reasons).toEqual([
      "the host's APEI has no record for it",
      "KVM_CAP_ARM_SEA_TO_USER is not enabled",
      "an SError without a known cause: the guest's kernel usually panics",
    ]);
    expect(vcpu.registers).toMatchObject({ ESR_EL1: 0xbf000000n, PC: 0x8580n, ELR_EL1: 0x1000n, SPSR_EL1: 0n });
  });
});

describe("KVM_SET_VCPU_EVENTS, Linux 7.2, rule by rule", () => {
  const faulted = (vcpu: ReturnType<typeof make>) => {
    vcpu.takeAbort(FAULT);
    return vcpu;
  };
  test("1: not initialised, before anything else is looked at", () => {
    expect(make({}, { initialised: false }).setEvents({ pad: Uint8Array.of(1, 0, 0, 0, 0), extDabtPending: 1 })).toMatchObject({ result: -8, injections: [] });
  });
  test("2: every byte of pad and reserved", () => {
    for (let at = 0; at < 64; at++) {
      const bytes = new Uint8Array(64);
      bytes[at] = 1;
      expect(make().setEvents(bytes).result, `byte ${at}`).toBe((at >= 3 && at < 8) || at >= 16 ? -22 : 0);
    }
  });
  test("3: the data abort, with the address of the last fault", () => {
    const vcpu = faulted(enabled());
    const result = vcpu.setEvents({ extDabtPending: 7 });
    expect(result).toMatchObject({ result: 0, misuse: [], consequences: [] });
    expect(vcpu.registers).toMatchObject({ ESR_EL1: 0x92000010n, FAR_EL1: 0xffff_0008n, ELR_EL1: 0x1000n, SPSR_EL1: 0n, PC: 0x8400n, PSTATE: 0x3c5n });
    expect(vcpu.run()).toEqual([]);
  });
  test("3 then 6: the abort stays although the call fails", () => {
    const vcpu = faulted(enabled());
    const result = vcpu.setEvents({ extDabtPending: 1, serrorPending: 1, serrorHasEsr: 1, serrorEsr: 1n << 25n });
    expect(result.result).toBe(-22);
    expect(result.injections).toHaveLength(1);
    expect(vcpu.registers).toMatchObject({ ESR_EL1: 0x92000010n });
    expect(vcpu.serrorPending).toBe(false);
  });
  test("4: without serror_pending syndrome and has_esr are not looked at, and nothing is cancelled", () => {
    const vcpu = make({}, { registers: { ...MASKED } });
    expect(vcpu.setEvents({ serrorHasEsr: 1, serrorEsr: (1n << 64n) - 1n })).toMatchObject({ result: 0, injections: [], consequences: [] });
    vcpu.setEvents({ serrorPending: 1, serrorHasEsr: 1, serrorEsr: 0x811n });
    expect(vcpu.setEvents({}).consequences).toEqual(["the SError that is pending stays pending: it cannot be cancelled"]);
    expect(vcpu.serrorPending).toBe(true);
  });
  test("5: a syndrome needs a host with the RAS extension", () => {
    expect(make({ hostRas: false }).setEvents({ serrorPending: 1, serrorHasEsr: 1 }).result).toBe(-22);
    expect(make({ hostRas: true, guestRas: false }).setEvents({ serrorPending: 1, serrorHasEsr: 1 }).result).toBe(0);
  });
  test("6: bits 24:0 pass, all others do not", () => {
    for (let bit = 0n; bit < 64n; bit++)
      expect(make().setEvents({ serrorPending: 1, serrorHasEsr: 1, serrorEsr: 1n << bit }).result, `bit ${bit}`).toBe(bit < 25n ? 0 : -22);
  });
  test("7: without a syndrome IDS only", () => {
    const vcpu = make();
    vcpu.setEvents({ serrorPending: 255, serrorEsr: 0x811n });
    expect(vcpu.registers["ESR_EL1"]).toBe(0xbf000000n);
  });
  test("an SError, unmasked and masked", () => {
    const taken = make();
    taken.setEvents({ serrorPending: 1, serrorHasEsr: 1, serrorEsr: 0x811n });
    expect(taken.registers).toMatchObject({ ESR_EL1: 0xbe000811n, PC: 0x8580n, ELR_EL1: 0x1000n });
    expect(taken.getEvents()).toMatchObject({ serrorPending: 0, serrorHasEsr: 1, serrorEsr: 0n, extDabtPending: 0 });

    const masked = make({}, { registers: { ...MASKED } });
    masked.setEvents({ serrorPending: 1, serrorHasEsr: 1, serrorEsr: 0x811n });
    expect(masked.registers).toMatchObject({ VSESR_EL2: 0x811n, "HCR_EL2.VSE": 1n, PC: 0x2000n });
    expect(bytesToHex(masked.readEvents().subarray(0, 16))).toBe("0101000000000000" + "1108000000000000");
    expect(masked.unmaskSErrors()).toMatchObject({ taken: true, vector: { offset: 0x380, address: 0x8380n } });
    expect(masked.registers).toMatchObject({ ESR_EL1: 0xbe000811n, SPSR_EL1: 0x2c5n });
    expect(masked.serrorPending).toBe(false);
    expect(masked.unmaskSErrors()).toBeUndefined();
  });
  test("the guest's ESB moves a masked SError to VDISR_EL2", () => {
    const vcpu = make({}, { registers: { ...MASKED } });
    expect(vcpu.synchronizeErrors()).toBe(0n);
    vcpu.setEvents({ serrorPending: 1, serrorHasEsr: 1, serrorEsr: 0x811n });
    expect(vcpu.synchronizeErrors()).toBe(0x80000811n);
    expect(vcpu.serrorPending).toBe(false);
  });
  test("abort and SError together: the abort masks, the SError waits", () => {
    const vcpu = faulted(enabled());
    const result = vcpu.setEvents({ extDabtPending: 1, serrorPending: 1, serrorHasEsr: 1, serrorEsr: 0xc11n });
    expect(result.injections.map((injection) => [injection.exception, injection.taken])).toEqual([
      ["data abort", true],
      ["SError", false],
    ]);
  });
  test("has_esr mirrors the host, pending or not", () => {
    expect(make({ hostRas: false }).getEvents()).toMatchObject({ serrorPending: 0, serrorHasEsr: 0 });
    expect(make().getEvents()).toMatchObject({ serrorPending: 0, serrorHasEsr: 1 });
  });
});

describe("what KVM injects", () => {
  const inject = (fault: GuestFault, options: VcpuOptions, events: Events = { extDabtPending: 1 }, dialect: MachineOptions["dialect"] = "linux-7.2") => {
    const vcpu = enabled({ dialect }, options);
    vcpu.takeAbort(fault);
    return { vcpu, result: vcpu.setEvents(events) };
  };
  test.each([
    ["EL0", 0x0n, 0x92000010n, 0x400],
    ["EL1h", 0x5n, 0x96000010n, 0x200],
    ["EL1t", 0x4n, 0x96000010n, 0x000],
    ["AArch32 EL0", 0x10n, 0x92000010n, 0x600],
  ] as const)("from %s: EA, SET, WnR of the exit are gone", (_name, PSTATE, esr, offset) => {
    const { vcpu, result } = inject({ ...FAULT, esr: 0x92001a50n }, { registers: { ...USER, PSTATE } });
    expect(vcpu.registers["ESR_EL1"]).toBe(esr);
    expect(result.injections[0]!.vector?.offset).toBe(offset);
  });
  test.each([
    [-1, 0x13n],
    [0, 0x14n],
    [3, 0x17n],
  ] as const)("S1PTW with a parity error: the walk is repeated, level %s", (level, fsc) => {
    const { vcpu } = inject({ ...FAULT, esr: 0x9200009dn }, { registers: { ...USER }, walkLevel: () => level });
    expect(vcpu.registers["ESR_EL1"]).toBe(0x92000000n | fsc);
  });
  test("level not found: nothing is injected", () => {
    const { vcpu, result } = inject({ ...FAULT, esr: 0x9200009dn }, { registers: { ...USER } });
    expect(result).toMatchObject({ result: 0, injections: [] });
    expect(result.consequences[0]).toContain("nothing is injected");
    expect(vcpu.registers["PC"]).toBe(0x1000n);
  });
  test("FnV in the exit: KVM clears it, FAR is not known", () => {
    const { vcpu, result } = inject({ esr: 0x92000410n, far: 0xbadn }, { registers: { ...USER } });
    expect(vcpu.registers).toMatchObject({ ESR_EL1: 0x92000010n });
    expect(vcpu.registers["FAR_EL1"]).toBeUndefined();
    expect(result.consequences).toEqual([
      "KVM clears FnV: the guest takes an address for valid that the exit marked as not valid",
      "FAR_EL1: the exit did not carry the address",
    ]);
  });
  test("SCTLR2_EL1.EASE: the SError vector", () => {
    const { vcpu } = inject(FAULT, { registers: { ...USER, SCTLR2_EL1: 1n << 5n } });
    expect(vcpu.registers).toMatchObject({ PC: 0x8580n, ESR_EL1: 0x92000010n });
  });
  test("a guest with its own hypervisor", () => {
    const nested = (HCR_EL2: bigint, PSTATE: bigint) => ({ ...USER, PSTATE, HCR_EL2, VBAR_EL2: 0xc000n, SCTLR_EL2: 0n });
    expect(inject(FAULT, { registers: nested(1n << 37n, 0x5n) }).vcpu.registers).toMatchObject({ ESR_EL2: 0x92000010n, PC: 0xc400n });
    expect(inject(FAULT, { registers: nested(0n, 0x5n) }).vcpu.registers).toMatchObject({ ESR_EL1: 0x96000010n, PC: 0x8200n });
    expect(inject(FAULT, { registers: nested(0n, 0x9n) }).vcpu.registers).toMatchObject({ ESR_EL2: 0x96000010n, PC: 0xc200n });
    // Its EL2 takes no SErrors: it waits, and KVM_GET_VCPU_EVENTS says so.
    const waiting = make({}, { registers: nested(0n, 0x9n) });
    expect(waiting.setEvents({ serrorPending: 1, serrorHasEsr: 1, serrorEsr: 0xc11n }).injections[0]!.taken).toBe(false);
    expect(waiting.getEvents()).toMatchObject({ serrorPending: 1, serrorEsr: 0xc11n });
    const routed = make({}, { registers: nested(1n << 5n, 0x3c5n) });
    routed.setEvents({ serrorPending: 1 });
    expect(routed.registers).toMatchObject({ ESR_EL2: 0xbf000000n, PC: 0xc580n });
  });
  test("an AArch32 guest gets fault status codes", () => {
    const registers: Registers = { PC: 0x100n, PSTATE: 0x6000_0010n, VBAR_EL1: 0x8000n, SCTLR_EL1: 1n << 23n, TTBCR: 1n << 31n };
    const { vcpu } = inject({ ...FAULT, far: 0x1_2345_6789n }, { registers, aarch32: true });
    expect(vcpu.registers).toMatchObject({ DFSR: 0x210n, DFAR: 0x2345_6789n, LR_abt: 0x108n, SPSR_abt: 0x6000_0010n, PC: 0x8010n, PSTATE: 0x6000_0197n });
    const short = inject(
      FAULT,
      { registers: { ...registers, TTBCR: 0n, SCTLR_EL1: (1n << 13n) | (1n << 30n) }, aarch32: true },
      { extIabtPending: 1 },
      "proposed",
    );
    expect(short.vcpu.registers).toMatchObject({ IFSR: 0x008n, LR_abt: 0x104n, PC: 0xffff_000cn, PSTATE: 0x6040_01b7n });
    expect(short.result.misuse).toEqual(["the exit's class is a data abort, the guest is given an instruction abort"]);
    expect(inject(FAULT, { registers: {}, aarch32: true }).result.consequences).toHaveLength(5);
  });
});

describe("the second proposal: a syndrome for the abort", () => {
  const dialect = "proposed-syndrome";
  test("its bits are added to those KVM makes, FnV among them", () => {
    const vcpu = enabled({ dialect });
    vcpu.takeAbort({ ...FAULT, esr: 0x92000410n });
    const result = vcpu.setEvents({ extDabtPending: 1, extAbtHasEsr: 1, extAbtEsr: 0x1600n });
    expect(result).toMatchObject({ result: 0, misuse: [] });
    // Lower data abort, IL, FSC 0x10; SET 2, FnV and EA are the monitor's.
    expect(vcpu.registers["ESR_EL1"]).toBe(0x92001610n);
    expect(result.consequences.join()).not.toContain("clears FnV");
  });
  test("without the flag the field is not looked at", () => {
    const vcpu = enabled({ dialect });
    vcpu.takeAbort(FAULT);
    expect(vcpu.setEvents({ extDabtPending: 1, extAbtEsr: 0xffff_ffff_ffffn })).toMatchObject({ result: 0 });
    expect(vcpu.registers["ESR_EL1"]).toBe(0x92000010n);
  });
  test("what is wrong is refused before anything is injected", () => {
    const wrong: [Partial<MachineOptions>, Events][] = [
      [{}, { extDabtPending: 1, extAbtHasEsr: 1, extAbtEsr: 1n << 25n }],
      [{}, { extDabtPending: 1, serrorHasEsr: 1, serrorEsr: 1n << 25n }],
      [{ hostRas: false }, { extDabtPending: 1, extAbtHasEsr: 1 }],
      [{ hostRas: false }, { extDabtPending: 1, serrorHasEsr: 1 }],
      [{}, { extDabtPending: 1, extIabtPending: 1 }],
    ];
    for (const [machine, events] of wrong) {
      const vcpu = enabled({ dialect, ...machine });
      vcpu.takeAbort(FAULT);
      expect(vcpu.setEvents(events)).toMatchObject({ result: -22, injections: [] });
    }
  });
  test("byte for byte: the flag at 4, the syndrome at 16, and three bytes of pad", () => {
    const bytes = new Uint8Array(64);
    bytes.set([0, 0, 0, 1, 1], 0);
    bytes.set([0x00, 0x02], 16);
    const vcpu = enabled({ dialect });
    vcpu.takeAbort({ ...FAULT, esr: 0x82000010n });
    expect(vcpu.setEvents(bytes)).toMatchObject({ result: 0 });
    expect(vcpu.registers["ESR_EL1"]).toBe(0x82000210n);
    bytes[5] = 1;
    expect(make({ dialect }).setEvents(bytes).result).toBe(-22);
  });
});

describe("the proposed dialect", () => {
  test("both aborts at once", () => {
    const vcpu = enabled({ dialect: "proposed" });
    vcpu.takeAbort(FAULT);
    expect(vcpu.setEvents({ extDabtPending: 1, extIabtPending: 1 })).toMatchObject({ result: -22, injections: [] });
  });
  test("an instruction abort", () => {
    const vcpu = enabled({ dialect: "proposed" });
    vcpu.takeAbort({ ...FAULT, esr: 0x82000010n });
    expect(vcpu.setEvents({ extIabtPending: 1 })).toMatchObject({ result: 0, misuse: [] });
    expect(vcpu.registers).toMatchObject({ ESR_EL1: 0x82000010n, FAR_EL1: 0xffff_0008n, PC: 0x8400n });
  });
  test("each abort needs its capability", () => {
    const old = new KvmMachine({ dialect: "proposed", hostRas: true, without: ["KVM_CAP_ARM_INJECT_EXT_IABT", "KVM_CAP_ARM_INJECT_EXT_DABT"] });
    expect(old.createVcpu().setEvents({ extIabtPending: 1 }).result).toBe(-22);
    expect(old.createVcpu().setEvents({ extDabtPending: 1 }).result).toBe(-22);
  });
  test("class for class", () => {
    const vcpu = enabled({ dialect: "proposed" });
    vcpu.takeAbort({ ...FAULT, esr: 0x86000010n });
    expect(vcpu.setEvents({ extDabtPending: 1 }).misuse).toEqual(["the exit's class is an instruction abort, the guest is given a data abort"]);
  });
  test("pad is one byte shorter", () => {
    const bytes = new Uint8Array(64);
    bytes[4] = 1;
    expect(make({ dialect: "proposed" }).setEvents(bytes).result).toBe(-22);
  });
});

describe("exit discipline", () => {
  test.each(["mmio", "nisv"] as const)("after %s an abort is in order", (kind) => {
    const vcpu = make();
    vcpu.returnToMonitor(kind, "vcpu", { esr: 0x92000006n, far: 0x900n, ipa: 0x9000_0000n });
    expect(vcpu.setEvents({ extDabtPending: 1 })).toMatchObject({ result: 0, misuse: [] });
    expect(vcpu.registers["FAR_EL1"]).toBe(0x900n);
  });
  test("after another exit it is a programming error, though the kernel goes on", () => {
    const vcpu = make();
    expect(vcpu.setEvents({ extDabtPending: 1 })).toMatchObject({
      result: 0,
      misuse: ["an external data abort is set after an exit that was not MMIO, NISV or ARM_SEA: FAR is that of no fault at all"],
    });
    const stale = enabled();
    stale.takeAbort(FAULT);
    stale.setEvents({ extDabtPending: 1 });
    stale.run();
    stale.returnToMonitor("other");
    expect(stale.setEvents({ extDabtPending: 1 }).misuse[0]).toContain("FAR is that of an earlier fault");
  });
  test("an abort must be answered", () => {
    const vcpu = enabled();
    vcpu.takeAbort(FAULT);
    expect(vcpu.run()).toEqual(["the exit for an external abort was not answered: the guest repeats the access and aborts again"]);
    expect(vcpu.run()).toEqual([]);
  });
  test("on the thread that ran the vCPU", () => {
    const vcpu = enabled();
    vcpu.takeAbort(FAULT, { thread: "vcpu-0" });
    expect(vcpu.setEvents({ extDabtPending: 1 }, "main").misuse).toEqual(["the exit came on thread vcpu-0, it is answered on main"]);
    expect(vcpu.run("main")).toEqual(["the exit was answered on thread vcpu-0, the vCPU runs on main"]);
  });
});

describe("any call", () => {
  test("never throws, always returns one of three results, and has_esr never changes", () => {
    const registers = fc.record({ PSTATE: fc.bigInt(0n, (1n << 32n) - 1n), PC: fc.bigInt(0n, (1n << 64n) - 1n), VBAR_EL1: fc.constant(undefined) });
    fc.assert(
      fc.property(
        fc.constantFrom("linux-7.2" as const, "proposed" as const, "proposed-syndrome" as const),
        fc.boolean(),
        registers,
        fc.array(fc.tuple(fc.constantFrom("set", "abort", "run", "unmask", "esb", "small"), fc.uint8Array({ minLength: 64, maxLength: 64 })), { maxLength: 8 }),
        (dialect, hostRas, start, calls) => {
          const vcpu = enabled({ dialect, hostRas }, { registers: start as Registers, walkLevel: () => 1 });
          for (const [what, bytes] of calls) {
            const view = new DataView(bytes.buffer, bytes.byteOffset);
            if (what === "small") bytes.fill(0, 3);
            if (what === "set" || what === "small") expect([0, -22]).toContain(vcpu.setEvents(bytes).result);
            else if (what === "abort") vcpu.takeAbort({ esr: (view.getBigUint64(0, true) & 0x3ffffffn) | 0x92000000n, ipa: view.getBigUint64(8, true) });
            else if (what === "run") vcpu.run();
            else if (what === "unmask") vcpu.unmaskSErrors();
            else vcpu.synchronizeErrors();
            expect(vcpu.readEvents().subarray(1, 8)).toEqual(Uint8Array.of(hostRas ? 1 : 0, 0, 0, 0, 0, 0, 0));
            expect(encode(KVM_LAYOUTS[dialect].events, vcpu.getEvents() as never)).toEqual(vcpu.readEvents());
          }
        },
      ),
      { numRuns: 500, seed: 3 },
    );
  });
  test("the last rule decides everything that is left", () => {
    expect(SET_EVENTS_RULES.at(-1)).toMatchObject({ result: 0 });
  });
});

describe("KVM_ARM_VCPU_INIT at a reset", () => {
  test("nothing is pending, no syndrome is left, and the handler's masks are those of Linux 7.2 VCPU_RESET_PSTATE_EL1", () => {
    const vcpu = new KvmMachine({ dialect: "linux-7.2", hostRas: true }).createVcpu({
      registers: { PC: 0x1000n, PSTATE: 0x100n, VBAR_EL1: 0x8000n, SCTLR_EL1: 0x34f4_d91dn },
    });
    vcpu.returnToMonitor("mmio", "vcpu", { esr: 0x9200_0007n, far: 0x42n });
    vcpu.setEvents({ extDabtPending: 1, serrorPending: 1, serrorHasEsr: 1, serrorEsr: 0x811n });
    expect(vcpu.registers).toMatchObject({ ESR_EL1: 0x9200_0010n, FAR_EL1: 0x42n, VSESR_EL2: 0x811n });
    expect(vcpu.initialise()).toBe(true);
    expect(vcpu.registers).toEqual({
      ...{ PC: 0n, PSTATE: 0x3c5n, VBAR_EL1: 0n, SCTLR_EL1: 0xc5_0078n },
      ...{ DISR_EL1: 0n, VSESR_EL2: 0n, VDISR_EL2: 0n, "HCR_EL2.VSE": 0n },
    });
    expect(vcpu.getEvents()).toMatchObject({ serrorPending: 0, serrorEsr: 0n });
    expect(vcpu.initialise()).toBe(false);
    // The access of before the reset is forgotten too.
    expect(vcpu.setEvents({ extDabtPending: 1 }).misuse[0]).toContain("no fault at all");
  });
  test("an AArch32 guest starts in supervisor mode, one with a hypervisor level of its own there, and routes nothing to it yet", () => {
    const machine = new KvmMachine({ dialect: "linux-7.2", hostRas: true });
    const old = machine.createVcpu({ aarch32: true });
    old.initialise();
    expect(old.registers["PSTATE"]).toBe(0x1d3n);
    const nested = machine.createVcpu({ registers: { HCR_EL2: 1n << 5n } });
    nested.initialise();
    expect(nested.registers).toMatchObject({ HCR_EL2: 0n, PSTATE: 0x3c9n });
  });
});
