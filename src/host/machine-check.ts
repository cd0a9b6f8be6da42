/** Machine checks as QEMU gives them to an x86 guest (target/i386 kvm_mce_inject and do_inject_x86_mce behaviour). */
import type { CpuVendor } from "../cper/machine-check/index.ts";
import { AmdStatus, IntelMisc, IntelStatus, McgStatus, registerWord } from "../cper/machine-check/registers.ts";
import type { Encodable } from "../layout/index.ts";

export type Vendor = Exclude<CpuVendor, "other">;

const intel = (value: Encodable<typeof IntelStatus>["register"]) => registerWord(IntelStatus, value);
const amd = (value: Encodable<typeof AmdStatus>["register"]) => registerWord(AmdStatus, value);
const global = (value: Encodable<typeof McgStatus>["register"]) => registerWord(McgStatus, value);

const UNCORRECTED = { valid: true, uncorrected: true, enabled: true, miscValid: true, addressValid: true } as const;
/** Status of bank 9 by vendor and cause. */
const BANK_STATUS = {
  intel: {
    actionRequired: intel({ ...UNCORRECTED, signalled: true, actionRequired: true, code: 0x0134 }),
    actionOptional: intel({ ...UNCORRECTED, signalled: true, code: 0x00c0 }),
  },
  amd: {
    actionRequired: amd({ ...UNCORRECTED, poison: true }),
    actionOptional: amd({ valid: true, enabled: true, miscValid: true, addressValid: true, poison: true, deferred: true }),
  },
} as const;
const GLOBAL_STATUS = {
  actionRequired: global({ restartInstructionPointerValid: true, errorInstructionPointerValid: true, machineCheckInProgress: true }),
  actionOptional: global({ restartInstructionPointerValid: true, machineCheckInProgress: true }),
} as const;
const LOCAL = global({ localMachineCheck: true });
const OVERFLOW = intel({ overflow: true });
const VALID = intel({ valid: true });
const REPORTED = intel({ uncorrected: true });
const IN_PROGRESS = global({ machineCheckInProgress: true });
/** What the other vCPUs find when the machine check is broadcast. */
const BROADCAST = { bank: 1, status: intel({ valid: true, uncorrected: true }), globalStatus: GLOBAL_STATUS.actionOptional } as const;
const BANK = 9;
/** Physical address, page granular. */
const MISC = registerWord(IntelMisc, { addressLeastSignificantBit: 12, addressMode: "physical" });
const ALL_ONES = 0xffff_ffff_ffff_ffffn;

/** Machine check registers of a vCPU. */
export interface MachineCheckState {
  /** CR4.MCE. */
  enabled: boolean;
  globalStatus: bigint;
  globalControl: bigint;
  /** By bank: control and status. */
  readonly banks: Map<number, { control: bigint; status: bigint }>;
}
/** A vCPU on which machine checks are enabled and no bank holds an error. */
export const machineCheckState = (): MachineCheckState => ({
  enabled: true,
  globalStatus: 0n,
  globalControl: ALL_ONES,
  banks: new Map([BROADCAST.bank, BANK].map((bank) => [bank, { control: ALL_ONES, status: 0n }])),
});

/** The vCPU is reset: no machine check is in progress, but the banks keep what they hold for whoever starts next. */
export function resetMachineChecks(state: MachineCheckState): void {
  Object.assign(state, { enabled: true, globalStatus: 0n });
}

export interface BankWrite {
  readonly vcpu: number;
  readonly bank: number;
  readonly status: bigint;
  readonly globalStatus: bigint;
  readonly address?: bigint;
  readonly misc?: bigint;
}
export interface MachineCheckResult {
  readonly outcome: "injected" | "ignored" | "reset";
  readonly messages: readonly string[];
  /** What each vCPU that gets a machine check finds. */
  readonly writes: readonly BankWrite[];
}

/**
 * Give a machine check to a vCPU, and unless the guest takes local machine checks, one to all others.
 * @param states registers of all vCPUs; changed as the hardware would.
 */
export function injectMachineCheck(
  states: readonly MachineCheckState[],
  vcpu: number,
  error: { readonly vendor: Vendor; readonly code: "actionRequired" | "actionOptional"; readonly address: bigint; readonly localOnly?: boolean },
): MachineCheckResult {
  const { vendor, code, address, localOnly = false } = error;
  const writes: BankWrite[] = [];
  const messages: string[] = [];
  const give = (
    target: number,
    bank: number,
    value: bigint,
    globalStatus: bigint,
    more: Pick<BankWrite, "address" | "misc">,
  ): MachineCheckResult["outcome"] => {
    const state = states[target]!;
    const registers = state.banks.get(bank)!;
    const inProgress = (state.globalStatus & IN_PROGRESS) !== 0n;
    if (code === "actionOptional" && target === vcpu && inProgress) {
      messages.push(`CPU ${target}: a machine check is in progress: the optional one is dropped`);
      return "ignored";
    }
    let written = value;
    // Deferred errors of AMD are not "uncorrected": they only fill the bank, unless it holds one that is.
    const reported = (value & REPORTED) !== 0n;
    if (!reported && (registers.status & (VALID | REPORTED)) === (VALID | REPORTED)) {
      registers.status |= OVERFLOW;
      messages.push(`CPU ${target}: bank ${bank} holds an uncorrected error: the deferred one only marks it as overflown`);
      return "ignored";
    }
    if (reported) {
      if (state.globalControl !== ALL_ONES) {
        messages.push(`CPU ${target}: Uncorrected error reporting disabled`);
        return "ignored";
      }
      if (registers.control !== ALL_ONES) {
        messages.push(`CPU ${target}: Uncorrected error reporting disabled for bank ${bank}`);
        return "ignored";
      }
      if (!state.enabled || inProgress) {
        messages.push(
          `CPU ${target}: ${state.enabled ? "Previous MCE still in progress, raising triple fault" : "MCE capability is not enabled, raising triple fault"}`,
        );
        return "reset";
      }
    }
    if ((registers.status & VALID) !== 0n) written |= OVERFLOW;
    registers.status = written;
    if (reported) state.globalStatus = globalStatus;
    writes.push({ vcpu: target, bank, status: written, globalStatus, ...more });
    return "injected";
  };
  const outcome = give(vcpu, BANK, BANK_STATUS[vendor][code], GLOBAL_STATUS[code] | (localOnly ? LOCAL : 0n), { address, misc: MISC });
  if (outcome !== "injected" || localOnly) return { outcome, messages, writes };
  for (let other = 0; other < states.length; other++)
    if (other !== vcpu && give(other, BROADCAST.bank, BROADCAST.status, BROADCAST.globalStatus, {}) === "reset") return { outcome: "reset", messages, writes };
  return { outcome, messages, writes };
}

/** The guest's handler is done: status registers are cleared. */
export function finishMachineCheck(state: MachineCheckState): void {
  state.globalStatus = 0n;
  for (const bank of state.banks.values()) bank.status = 0n;
}
