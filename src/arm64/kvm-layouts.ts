/** What KVM and a monitor hand each other on arm64, byte for byte, in two dialects. */
import { bits, initially, type Parsed, reserved, struct, u8, u64 } from "../layout/index.ts";

const flag = (doc: string) => initially(u8(doc), 0);
const word = (doc: string) => initially(u64(doc), 0n);

/** struct kvm_vcpu_events of Linux 7.2. Flags are true when not zero. */
export const VcpuEvents = struct("vCPU Events", 64, "Linux 7.2 arch/arm64/include/uapi/asm/kvm.h", {
  serrorPending: flag("An SError waits to be taken"),
  serrorHasEsr: flag("The SError's syndrome is in serror esr"),
  extDabtPending: flag("Inject an external data abort now"),
  pad: reserved(5),
  serrorEsr: word("Syndrome of the SError, bits 24:0"),
  reserved: reserved(48),
});
export type VcpuEvents = Parsed<typeof VcpuEvents>;

/** The same with instruction aborts, as proposed in 2025. */
export const ProposedVcpuEvents = struct("vCPU Events (proposed)", 64, "KVM arm64 proposal of 2025: external instruction aborts", {
  serrorPending: flag("An SError waits to be taken"),
  serrorHasEsr: flag("The SError's syndrome is in serror esr"),
  extDabtPending: flag("Inject an external data abort now"),
  extIabtPending: flag("Inject an external instruction abort now"),
  pad: reserved(4),
  serrorEsr: word("Syndrome of the SError, bits 24:0"),
  reserved: reserved(48),
});
export type ProposedVcpuEvents = Parsed<typeof ProposedVcpuEvents>;

/** The same once more, with a syndrome for the abort: the second proposal of 2025. What follows moves by 8 bytes. */
export const ProposedSyndromeVcpuEvents = struct("vCPU Events (second proposal)", 64, "KVM arm64 proposal of July 2025: ISS of external aborts", {
  serrorPending: flag("An SError waits to be taken"),
  serrorHasEsr: flag("The SError's syndrome is in serror esr"),
  extDabtPending: flag("Inject an external data abort now"),
  extIabtPending: flag("Inject an external instruction abort now"),
  extAbtHasEsr: flag("What is added to the abort's syndrome is in ext abt esr"),
  pad: reserved(3),
  serrorEsr: word("Syndrome of the SError, bits 24:0"),
  extAbtEsr: word("Instruction specific syndrome of the abort, bits 24:0"),
  reserved: reserved(40),
});
export type ProposedSyndromeVcpuEvents = Parsed<typeof ProposedSyndromeVcpuEvents>;

/** `arm_sea` of struct kvm_run for KVM_EXIT_ARM_SEA in Linux 7.2. The guest virtual address is valid when ESR.FnV is clear. */
export const SeaExit = struct("KVM_EXIT_ARM_SEA", 32, "Linux 7.2 include/uapi/linux/kvm.h", {
  flags: bits(8, "What is valid", { gpaValid: 0 }),
  esr: word("Syndrome at EL2: EC, IL, SET, FnV, EA, CM, WnR and FSC"),
  gva: word("Guest virtual address"),
  gpa: word("Guest physical address"),
});
export type SeaExit = Parsed<typeof SeaExit>;

/** The same as first proposed: the syndrome leads and both addresses have their flag. */
export const ProposedSeaExit = struct("KVM_EXIT_ARM_SEA (proposed)", 32, "KVM arm64 proposal of 2025: exits for synchronous external aborts", {
  esr: word("Syndrome at EL2"),
  flags: bits(8, "What is valid", { gvaValid: 0, gpaValid: 1 }),
  gva: word("Guest virtual address"),
  gpa: word("Guest physical address"),
});
export type ProposedSeaExit = Parsed<typeof ProposedSeaExit>;

export type KvmDialect = "linux-7.2" | "proposed" | "proposed-syndrome";
export const KVM_LAYOUTS = {
  "linux-7.2": { events: VcpuEvents, sea: SeaExit },
  proposed: { events: ProposedVcpuEvents, sea: ProposedSeaExit },
  // By then the exit had the form that was merged.
  "proposed-syndrome": { events: ProposedSyndromeVcpuEvents, sea: SeaExit },
} as const;

/** Exit reasons that matter here, as numbered in struct kvm_run. */
export const EXIT_REASON = { mmio: 6, nisv: 28, sea: 41 } as const;
/** Capabilities. `enable` is one that must be enabled for the machine; the others are there or not. */
export const CAPABILITY = {
  KVM_CAP_VCPU_EVENTS: { number: 41 },
  KVM_CAP_ARM_INJECT_SERROR_ESR: { number: 158 },
  KVM_CAP_ARM_INJECT_EXT_DABT: { number: 178 },
  KVM_CAP_ARM_SEA_TO_USER: { number: 245, enable: true },
  /** Never merged, so its number is not settled. */
  KVM_CAP_ARM_INJECT_EXT_IABT: { number: undefined },
} as const;
export type Capability = keyof typeof CAPABILITY;
