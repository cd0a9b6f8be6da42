/**
 * KVM on arm64 as a monitor meets it: capabilities, exits for synchronous external aborts, and what its calls do to a
 * vCPU (Linux 7.2 arch/arm64/kvm behaviour, and two proposals of 2025).
 */
import { decode, encode, hexNumber } from "../layout/index.ts";
import { injectAarch32Abort } from "./aarch32-entry.ts";
import {
  abortsAsSErrors,
  applyInjection,
  enterException,
  type Injection,
  injectAbort,
  injectVirtualSError,
  levelOf,
  type Registers,
  SERROR_MASKED,
  serrorsUnmaskable,
  type TargetLevel,
} from "./exception-entry.ts";
import { applySetEvents, type Events, type EventsTarget, KVM_DEFAULT_SERROR, KVM_ERRNO, type SetEventsCall, type SetEventsResult } from "./kvm-events.ts";
import { CAPABILITY, type Capability, type EXIT_REASON, KVM_LAYOUTS, type KvmDialect, type VcpuEvents } from "./kvm-layouts.ts";
import { DataAbortSyndrome, HypervisorConfiguration, maskOf, ProcessorState, wordOf } from "./registers.ts";
import { decodeEsr, esrFromVsesr, ISS_MASK, isExternalAbort, isOnTableWalk, isParityError, VSESR_MASK, vdisrFromVsesr, vsesrProblems } from "./syndrome.ts";

export interface MachineOptions {
  readonly dialect: KvmDialect;
  /** Whether the host's processors have the RAS extension. */
  readonly hostRas: boolean;
  /** Whether the guest is shown it. Default: as the host. */
  readonly guestRas?: boolean;
  /** Capabilities an older kernel lacks. */
  readonly without?: readonly Capability[];
}

/** A virtual machine as KVM_CREATE_VM returns it. */
export class KvmMachine {
  readonly dialect: KvmDialect;
  readonly hostRas: boolean;
  readonly guestRas: boolean;
  readonly vcpus: KvmVcpu[] = [];
  readonly #missing: ReadonlySet<Capability>;
  readonly #queried = new Set<Capability>();
  #seaToUser = false;

  constructor(options: MachineOptions) {
    this.dialect = options.dialect;
    this.hostRas = options.hostRas;
    this.guestRas = options.guestRas ?? options.hostRas;
    this.#missing = new Set(options.without);
  }

  /** Whether the kernel has a capability, without the caller having asked. */
  has(capability: Capability): boolean {
    if (this.#missing.has(capability)) return false;
    if (capability === "KVM_CAP_ARM_INJECT_SERROR_ESR") return this.hostRas;
    return capability !== "KVM_CAP_ARM_INJECT_EXT_IABT" || this.dialect !== "linux-7.2";
  }
  /** KVM_CHECK_EXTENSION. */
  checkExtension(capability: Capability): 0 | 1 {
    this.#queried.add(capability);
    return this.has(capability) ? 1 : 0;
  }
  /**
   * KVM_ENABLE_CAP on the machine.
   * @returns 0 or -EINVAL, and what a careful monitor would not have done.
   */
  enableCapability(capability: Capability, flags = 0): { readonly result: number; readonly misuse: readonly string[] } {
    const misuse: string[] = [];
    if (!this.#queried.has(capability)) misuse.push(`${capability} is enabled without having been queried`);
    if (this.vcpus.length > 0) misuse.push(`${capability} is enabled after vCPUs were created; it belongs to the creation of the machine`);
    if (!this.has(capability) || !("enable" in CAPABILITY[capability]) || flags !== 0) return { result: -KVM_ERRNO.EINVAL, misuse };
    this.#seaToUser = true;
    return { result: 0, misuse };
  }
  /** Whether guest aborts come to the monitor. */
  get seaToUser(): boolean {
    return this.#seaToUser;
  }
  createVcpu(options: VcpuOptions = {}): KvmVcpu {
    const vcpu = new KvmVcpu(this, options);
    this.vcpus.push(vcpu);
    return vcpu;
  }
}

export interface VcpuOptions {
  /** Guest registers by name. `HCR_EL2` exists only where the guest has a hypervisor level of its own. */
  readonly registers?: Registers;
  /** The guest's EL1 is AArch32. */
  readonly aarch32?: boolean;
  readonly memoryTagging?: boolean;
  /** KVM_ARM_VCPU_INIT was done. Default true. */
  readonly initialised?: boolean;
  /** Level of the stage 1 descriptor at `ipa` that translates `far`; undefined when a fresh walk does not meet it. */
  walkLevel?(far: bigint | undefined, ipa: bigint): -1 | 0 | 1 | 2 | 3 | undefined;
}

/** An abort taken from a guest to EL2. */
export interface GuestFault {
  readonly esr: bigint;
  /** FAR_EL2; of no use when ESR.FnV is set. */
  readonly far?: bigint;
  /** Intermediate physical address from HPFAR_EL2, where the hardware gave it. */
  readonly ipa?: bigint;
}
/** Why KVM_RUN returned, as far as later calls depend on it. */
export interface VcpuExit {
  readonly kind: keyof typeof EXIT_REASON | "other";
  /** The thread that ran the vCPU. */
  readonly thread: string;
  readonly fault?: GuestFault;
}
export type SeaOutcome = {
  /** Sentences, in the order of the kernel's decisions. */
  readonly reasons: readonly string[];
} & (
  | { readonly outcome: "not a synchronous external abort" | "claimed by the host" }
  | { readonly outcome: "SError in the guest"; readonly injection: Injection }
  | { readonly outcome: "exit to the monitor"; readonly exit: Uint8Array }
);

const hcr = (field: string) => maskOf(HypervisorConfiguration, field);
const S1PTW = maskOf(DataAbortSyndrome, "s1ptw");
const FNV = maskOf(DataAbortSyndrome, "fnv");
const VNCR = maskOf(DataAbortSyndrome, "vncr");
const FSC = maskOf(DataAbortSyndrome, "fsc");

/** Registers after KVM_ARM_VCPU_INIT, of those that exceptions touch; a monitor sets PC. ESR, FAR, ELR and SPSR have no reset value. */
const RESET = { PC: 0n, VBAR_EL1: 0n, SCTLR_EL1: 0xc5_0078n, DISR_EL1: 0n, VSESR_EL2: 0n, VDISR_EL2: 0n, "HCR_EL2.VSE": 0n } as const;
const AARCH64_RESET: Registers = { ...RESET, PSTATE: wordOf(ProcessorState, { d: true, a: true, i: true, f: true, mode: "el1h" }) };
/** A guest with a hypervisor level of its own starts there. */
const NESTED_RESET: Registers = { ...RESET, HCR_EL2: 0n, PSTATE: wordOf(ProcessorState, { d: true, a: true, i: true, f: true, mode: "el2h" }) };
/** Supervisor mode with A, I and F masked. */
const AARCH32_RESET: Registers = { ...RESET, PSTATE: 0x1d3n };

/** A vCPU's part of the kernel's state, with the guest registers that exceptions touch. */
export class KvmVcpu implements EventsTarget {
  readonly machine: KvmMachine;
  readonly registers: Registers;
  initialised: boolean;
  /** Why KVM_RUN returned last. */
  exit: VcpuExit | undefined;
  readonly #options: VcpuOptions;
  #fault: GuestFault | undefined;
  #unanswered = false;
  #nestedPending = false;

  constructor(machine: KvmMachine, options: VcpuOptions = {}) {
    this.machine = machine;
    this.registers = { ...options.registers };
    this.initialised = options.initialised ?? true;
    this.#options = options;
  }

  /** Whether an SError waits for the guest to unmask it. It cannot be cancelled. */
  get serrorPending(): boolean {
    return this.#nestedPending || this.registers["HCR_EL2.VSE"] === 1n;
  }

  /**
   * KVM_ARM_VCPU_INIT, as a monitor calls it for a reset of the machine: what is not reset to a value is not known, and
   * nothing is pending any more, not even what could not be cancelled (Linux 7.2 kvm_reset_vcpu, vcpu_reset_hcr).
   * @returns whether an SError was pending.
   */
  initialise(): boolean {
    const pending = this.serrorPending;
    const nested = this.registers["HCR_EL2"] !== undefined;
    for (const name of Object.keys(this.registers)) delete this.registers[name];
    Object.assign(this.registers, this.#options.aarch32 ? AARCH32_RESET : nested ? NESTED_RESET : AARCH64_RESET);
    this.initialised = true;
    this.exit = undefined;
    this.#fault = undefined;
    this.#unanswered = false;
    this.#nestedPending = false;
    return pending;
  }
  /** KVM_RUN. @returns programming errors: an abort that was not answered. */
  run(thread = "vcpu"): string[] {
    const exit = this.exit;
    const misuse: string[] = [];
    if (this.#unanswered) misuse.push("the exit for an external abort was not answered: the guest repeats the access and aborts again");
    else if (exit?.kind === "sea" && exit.thread !== thread) misuse.push(`the exit was answered on thread ${exit.thread}, the vCPU runs on ${thread}`);
    this.#unanswered = false;
    this.exit = undefined;
    return misuse;
  }
  /** KVM_RUN returned for another reason than an external abort. `fault` is the access of an MMIO or NISV exit. */
  returnToMonitor(kind: Exclude<VcpuExit["kind"], "sea">, thread = "vcpu", fault?: GuestFault): void {
    this.exit = { kind, thread, ...(fault && { fault }) };
    if (fault) this.#fault = fault;
  }

  /** A guest access ended in an abort: who deals with it (Linux 7.2 kvm_handle_guest_sea behaviour). */
  takeAbort(fault: GuestFault, options: { readonly claimedByHost?: boolean; readonly thread?: string } = {}): SeaOutcome {
    const decoded = decodeEsr(fault.esr);
    const fsc = Number(fault.esr & FSC);
    if ((decoded.form !== "dataAbort" && decoded.form !== "instructionAbort") || !(isExternalAbort(fsc) || isParityError(fsc)))
      return { outcome: "not a synchronous external abort", reasons: [`ESR ${hexNumber(fault.esr)} is neither an external abort nor a parity error`] };
    this.#fault = fault;
    if (options.claimedByHost) return { outcome: "claimed by the host", reasons: ["the host's APEI had a record for it and deals with the page"] };
    const reasons = ["the host's APEI has no record for it"];
    const toGuest = (reason: string): SeaOutcome => {
      const injection = this.#injectSError(KVM_DEFAULT_SERROR);
      return {
        outcome: "SError in the guest",
        injection,
        reasons: [...reasons, reason, "an SError without a known cause: the guest's kernel usually panics"],
      };
    };
    if (!this.machine.hostRas) return toGuest("without the RAS extension only accesses of the host's own can abort to EL2");
    if (decoded.form === "dataAbort" && (fault.esr & VNCR) !== 0n) return toGuest("the access was to VNCR_EL2, which the host owns");
    if (isExternalAbort(fsc) && isOnTableWalk(fsc) && (fault.esr & S1PTW) !== 0n)
      return toGuest("it was met on the stage 2 tables, which the host owns (S1PTW)");
    if (!this.machine.seaToUser) return toGuest("KVM_CAP_ARM_SEA_TO_USER is not enabled");
    const sent = this.#exitSyndrome(fault.esr);
    const gvaValid = (fault.esr & FNV) === 0n && fault.far !== undefined;
    const address = { esr: sent, gva: gvaValid ? fault.far! : 0n, gpa: fault.ipa ?? 0n };
    const gpa = fault.ipa !== undefined && { gpaValid: true };
    const layout = KVM_LAYOUTS[this.machine.dialect].sea;
    const flags = this.machine.dialect === "proposed" ? { ...(gvaValid && { gvaValid: true }), ...gpa } : { ...gpa };
    this.exit = { kind: "sea", thread: options.thread ?? "vcpu", fault };
    this.#unanswered = true;
    reasons.push("KVM_CAP_ARM_SEA_TO_USER is enabled");
    if (!gvaValid) reasons.push("the guest virtual address is not known");
    if (fault.ipa === undefined) reasons.push("the guest physical address is not known: the monitor cannot tell which page is lost");
    return { outcome: "exit to the monitor", reasons, exit: encode(layout, { ...address, flags } as never) };
  }

  /** The fields of ESR_EL2 the monitor is shown. */
  #exitSyndrome(esr: bigint): bigint {
    const shown = ["ec", "il", "fnv", "ea", "cm", "wnr", "fsc", ...(this.machine.guestRas ? ["set"] : [])];
    return esr & shown.reduce((mask, field) => mask | maskOf(DataAbortSyndrome, field), 0n);
  }

  // ---- KVM_SET_VCPU_EVENTS, KVM_GET_VCPU_EVENTS ----

  /** KVM_GET_VCPU_EVENTS. Aborts are never pending here: they are delivered when set. */
  getEvents(): VcpuEvents {
    const pending = this.serrorPending;
    return {
      serrorPending: pending ? 1 : 0,
      serrorHasEsr: this.machine.hostRas ? 1 : 0,
      extDabtPending: 0,
      serrorEsr: pending && this.machine.hostRas ? (this.registers["VSESR_EL2"] ?? 0n) : 0n,
    };
  }
  /** The 64 bytes KVM_GET_VCPU_EVENTS returns. */
  readEvents(): Uint8Array {
    return encode(KVM_LAYOUTS[this.machine.dialect].events, this.getEvents() as never);
  }

  /**
   * KVM_SET_VCPU_EVENTS.
   * @param events 64 bytes, or their fields. @param thread that makes the call.
   * @throws DecodeError for fewer than 64 bytes.
   */
  setEvents(events: Events | Uint8Array, thread = "vcpu"): SetEventsResult {
    const layout = KVM_LAYOUTS[this.machine.dialect].events;
    const given = (events instanceof Uint8Array ? decode(layout, events) : events) as Events;
    return applySetEvents({ vcpu: this, events: given, thread, injections: [], misuse: [], consequences: [] });
  }

  /** Deliver an abort at once, and say what is odd about it. */
  injectPendingAbort(call: SetEventsCall, abort: "data" | "instruction"): void {
    const { exit } = this;
    const fault = this.#fault;
    const iss = call.events.extAbtHasEsr ? (call.events.extAbtEsr ?? 0n) : 0n;
    const own = exit !== undefined && exit.kind !== "other";
    if (!own)
      call.misuse.push(
        `an external ${abort} abort is set after an exit that was not MMIO, NISV or ARM_SEA: FAR is that of ${fault ? "an earlier fault" : "no fault at all"}`,
      );
    if (own && exit.thread !== call.thread) call.misuse.push(`the exit came on thread ${exit.thread}, it is answered on ${call.thread}`);
    if (exit?.kind === "sea" && exit.fault) {
      const form = decodeEsr(exit.fault.esr).form;
      if (form !== `${abort}Abort`)
        call.misuse.push(
          `the exit's class is ${form === "dataAbort" ? "a data" : "an instruction"} abort, the guest is given ${abort === "data" ? "a data" : "an instruction"} abort`,
        );
      if ((exit.fault.esr & FNV & ~iss) !== 0n)
        call.consequences.push("KVM clears FnV: the guest takes an address for valid that the exit marked as not valid");
    }
    this.#unanswered = false;
    const injection = this.#injectAbort(abort, fault, iss);
    if (injection) {
      call.injections.push(injection);
      call.consequences.push(...injection.unknown);
    } else call.consequences.push("the failing level of the stage 1 walk is not found again: nothing is injected, the guest repeats the access");
  }

  /** @param iss what the monitor adds to the syndrome; an AArch32 guest does not see it. */
  #injectAbort(abort: "data" | "instruction", fault: GuestFault | undefined, iss: bigint): Injection | undefined {
    const known = fault?.far !== undefined && (fault.esr & FNV) === 0n;
    if (this.#options.aarch32) {
      const injection = injectAarch32Abort(this.registers, abort, known ? fault.far : undefined);
      applyInjection(this.registers, injection);
      return injection;
    }
    let status: Parameters<typeof injectAbort>[1]["status"] = "externalAbort";
    if (fault && (fault.esr & S1PTW) !== 0n) {
      const level = fault.ipa === undefined ? undefined : this.#options.walkLevel?.(fault.far, fault.ipa);
      if (level === undefined) return undefined;
      status = `externalAbortWalkL${level === -1 ? "Minus1" : level}`;
    }
    const target = this.#target("tea");
    const injection = injectAbort(this.registers, {
      abort,
      target,
      status,
      address: fault?.far ?? 0n,
      asSError: abortsAsSErrors(this.registers[`SCTLR2_${target}`]),
      memoryTagging: this.#options.memoryTagging ?? false,
      iss,
    });
    const shown: Injection = known
      ? injection
      : {
          ...injection,
          registers: injection.registers.map((write) =>
            write.register === `FAR_${target}` ? { ...write, value: undefined, words: "whatever address KVM recorded last" } : write,
          ),
          unknown: [...injection.unknown, `FAR_${target}: the exit did not carry the address`],
        };
    applyInjection(this.registers, shown);
    return shown;
  }

  /** An SError with the low 25 bits of a syndrome (Linux 7.2 kvm_inject_serror_esr behaviour). */
  #injectSError(esr: bigint): Injection {
    const vsesr = esr & VSESR_MASK;
    const pstate = this.registers["PSTATE"];
    const level = pstate === undefined ? "EL1" : levelOf(pstate);
    const target = this.#target("amo");
    const own = this.registers["HCR_EL2"] ?? 0n;
    if (level === "EL2" && (own & (hcr("tge") | hcr("amo"))) === 0n) {
      this.#nestedPending = true;
      this.registers["VSESR_EL2"] = vsesr;
      return {
        exception: "SError",
        taken: false,
        target,
        registers: [{ register: "VSESR_EL2", value: vsesr, words: "the guest's EL2 takes no SErrors: it waits until a lower level runs" }],
        unknown: [],
      };
    }
    const lower = target === "EL2" && level !== "EL2";
    const injection = injectVirtualSError(this.registers, vsesr, target, lower || serrorsUnmaskable(this.registers[`SCTLR2_${target}`]));
    applyInjection(this.registers, injection);
    return injection;
  }
  /** Make an SError pending or taken on behalf of a set-events call. */
  injectPendingSError(call: SetEventsCall, esr: bigint): void {
    const odd = vsesrProblems(esr & ISS_MASK, { ras: true, rasV2: true });
    call.consequences.push(...odd.map((problem) => `the guest finds a syndrome no hardware would give: ${problem.reason}`));
    if (!this.machine.hostRas) call.consequences.push("without the RAS extension a masked SError's syndrome is the hardware's choice");
    const injection = this.#injectSError(esr);
    call.injections.push(injection);
    call.consequences.push(...injection.unknown);
  }

  /** Level of the guest that an error goes to: EL2 only for a guest with a hypervisor of its own. */
  #target(route: "tea" | "amo"): TargetLevel {
    const own = this.registers["HCR_EL2"];
    const pstate = this.registers["PSTATE"];
    if (own === undefined) return "EL1";
    if (pstate !== undefined && levelOf(pstate) === "EL2") return "EL2";
    return (own & (hcr("tge") | hcr(route))) !== 0n ? "EL2" : "EL1";
  }

  // ---- what the guest does ----

  /** The guest clears PSTATE.A: a pending virtual SError is taken. @returns it, or undefined when none waits. */
  unmaskSErrors(): Injection | undefined {
    const { registers } = this;
    if (registers["PSTATE"] !== undefined) registers["PSTATE"] &= ~SERROR_MASKED;
    if (registers["HCR_EL2.VSE"] !== 1n) return undefined;
    registers["HCR_EL2.VSE"] = 0n;
    const injection = enterException(registers, {
      target: this.#target("amo"),
      kind: "serror",
      exception: "SError",
      esr: esrFromVsesr(registers["VSESR_EL2"] ?? 0n),
    });
    applyInjection(registers, injection);
    return injection;
  }
  /** The guest executes ESB with SErrors masked: a pending virtual SError moves to VDISR_EL2. @returns what the guest reads in DISR_EL1. */
  synchronizeErrors(): bigint {
    const { registers } = this;
    if (registers["HCR_EL2.VSE"] === 1n) {
      registers["HCR_EL2.VSE"] = 0n;
      registers["VDISR_EL2"] = vdisrFromVsesr(registers["VSESR_EL2"] ?? 0n);
    }
    return registers["VDISR_EL2"] ?? 0n;
  }
}
