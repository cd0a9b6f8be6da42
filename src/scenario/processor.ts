/** The vCPUs of a scenario: what they mask, and what an exception does to their registers. */
import { type Injection, injectAbort, type Level, type Registers, vectorOffsetByLevel } from "../arm64/exception-entry.ts";
import { KvmMachine, type KvmVcpu } from "../arm64/kvm.ts";
import { KVM_LAYOUTS } from "../arm64/kvm-layouts.ts";
import { HypervisorConfiguration, ProcessorState, wordOf } from "../arm64/registers.ts";
import { buildVsesr, decodeEsr, encodeEsr } from "../arm64/syndrome.ts";
import { type MachineCheckState, machineCheckState, resetMachineChecks } from "../host/machine-check.ts";
import type { ErrorAddress } from "../host/monitor.ts";
import { decode, hexNumber } from "../layout/index.ts";
import type { KvmChoice } from "./language/arm64.ts";
import type { VcpuState } from "./schema.ts";

/** Where the vCPUs are when nothing else is said: a program, and the kernel that runs it. */
const PC = { EL0: 0x0000_aaaa_c0de_1000n, EL1: 0xffff_8000_8010_2000n, EL2: 0xffff_8000_8020_3000n } as const;
const VECTORS = { EL1: 0xffff_8000_8001_0800n, EL2: 0xffff_8000_8002_0800n, EL3: 0x0e09_8000n } as const;
const SYSTEM_CONTROL = 0x34f4_d91dn;

/** Registers of what runs. */
const registersOf = (state: VcpuState): Registers => {
  const level = state.level ?? "EL0";
  return {
    PC: PC[level],
    PSTATE: wordOf(ProcessorState, {
      mode: ({ EL0: "el0t", EL1: "el1h", EL2: "el2h" } as const)[level],
      ...(state.serrorMasked && { a: true }),
      ...(state.interruptsMasked && { i: true }),
    }),
    VBAR_EL1: VECTORS.EL1,
    SCTLR_EL1: SYSTEM_CONTROL,
  };
};

/**
 * HCR_EL2 of a guest that is a hypervisor itself, as Linux with VHE sets it: its own programs' exceptions go to its EL2
 * (TGE), and while its guest runs, at EL1, so do SErrors and external aborts.
 */
const OWN_HYPERVISOR = {
  EL0: wordOf(HypervisorConfiguration, { e2h: true, tge: true }),
  EL1: wordOf(HypervisorConfiguration, { e2h: true, amo: true, tea: true, terr: true }),
  EL2: wordOf(HypervisorConfiguration, { e2h: true, tge: true }),
} as const;

/** A vCPU of a scenario: takes exceptions, keeps what is masked pending. */
export class Processor {
  state: VcpuState;
  readonly #initial: VcpuState;
  readonly kvm: KvmVcpu;
  readonly machineChecks: MachineCheckState;
  /** Level of the kernel that runs on it: EL2 in a virtual machine is that of a guest with a hypervisor level of its own. */
  readonly #kernelLevel: "EL1" | "EL2";

  constructor(machine: KvmMachine, state: VcpuState, kernelLevel: "EL1" | "EL2" = "EL1") {
    this.state = state;
    this.#initial = state;
    this.#kernelLevel = kernelLevel;
    this.kvm = machine.createVcpu({ registers: this.#guestRegisters() });
    this.machineChecks = machineCheckState();
  }

  /** The guest is a hypervisor itself. */
  get nested(): boolean {
    return this.#kernelLevel === "EL2";
  }
  /** Level of the guest: while the host runs at EL2, its guest's kernel was interrupted. */
  get guestLevel(): "EL0" | "EL1" | "EL2" {
    const { level = "EL0" } = this.state;
    return level === "EL2" && !this.nested ? "EL1" : level;
  }
  /** Whether the guest's abort handler asks firmware: about programs, and about its guests where it has some. */
  get asksFirmware(): boolean {
    return this.guestLevel !== this.#kernelLevel;
  }
  #guestRegisters(): Registers {
    const level = this.guestLevel;
    const own = this.nested ? { HCR_EL2: OWN_HYPERVISOR[level], VBAR_EL2: VECTORS.EL2, SCTLR_EL2: SYSTEM_CONTROL } : {};
    return { ...registersOf({ ...this.state, level }), ...own };
  }

  /** Every register has its reset value or none that is known; nothing is pending. @returns whether an SError was. */
  reset(): boolean {
    this.state = this.#initial;
    resetMachineChecks(this.machineChecks);
    return this.kvm.initialise();
  }

  change(change: VcpuState): void {
    this.state = { ...this.state, ...change };
    this.returnFromException();
  }
  /** The guest's handler is over and the interrupted program goes on. */
  returnFromException(): void {
    Object.assign(this.kvm.registers, this.#guestRegisters());
  }

  /** The guest's access ended in an abort: what KVM makes of it, and what the monitor is shown. */
  takeAbort(abort: {
    readonly given: bigint | undefined;
    readonly virtual: bigint | undefined;
    readonly physical: bigint | undefined;
    readonly claimedByHost: boolean;
    readonly thread: string;
  }) {
    const { virtual, physical, claimedByHost, thread } = abort;
    // Whatever level of a guest it was, it is lower than that of the host.
    const esr = abort.given ?? encodeEsr("dataAbort", { ec: "dataAbortLower", il: true, fsc: "externalAbort", ...(virtual === undefined && { fnv: true }) });
    const result = this.kvm.takeAbort(
      { esr, ...(virtual !== undefined && { far: virtual }), ...(physical !== undefined && { ipa: physical }) },
      { claimedByHost, thread },
    );
    if (result.outcome !== "exit to the monitor") return { esr, result };
    // From here on only what the exit carries is known.
    const layout = KVM_LAYOUTS[this.kvm.machine.dialect].sea;
    const shown = decode(layout as typeof KVM_LAYOUTS.proposed.sea, result.exit);
    const decoded = decodeEsr(shown.esr);
    const noVirtual = virtual === undefined || (decoded.form !== "dataAbort" && decoded.form !== "instructionAbort") || decoded.fields.fnv === true;
    const address: ErrorAddress = { physical: shown.flags.gpaValid ? shown.gpa : undefined, virtual: noVirtual ? undefined : shown.gva };
    return { esr, result, exit: { esr: shown.esr, fetch: decoded.form === "instructionAbort", address } };
  }

  /** What the physical processor finds when an exception is taken now. @param entered vector it was just sent to, by an exception from this level. */
  physical(entered?: Level): Registers {
    const level = this.state.level ?? "EL0";
    const now = registersOf(this.state);
    // An interrupt was just taken: nothing of the handler has run, and everything is masked.
    if (entered !== undefined && level !== "EL0") {
      now["PC"] = VECTORS[level] + BigInt(vectorOffsetByLevel(entered, level, "irq"));
      now["PSTATE"] = (now["PSTATE"] ?? 0n) | wordOf(ProcessorState, { d: true, a: true, i: true, f: true });
    }
    return { ...now, VBAR_EL2: VECTORS.EL2, VBAR_EL3: VECTORS.EL3, SCTLR_EL2: SYSTEM_CONTROL, SCTLR_EL3: SYSTEM_CONTROL };
  }

  /** The abort a monitor gives by writing registers itself. */
  abort(abort: "data" | "instruction", address: bigint | undefined): Injection {
    return injectAbort(this.#guestRegisters(), { abort, target: this.#kernelLevel, ...(address !== undefined && { address }) });
  }
}

/** Syndrome of a virtual SError for an error that is contained and does not concern the running program. */
export const CONTAINED = buildVsesr("architected", { aet: "restartable", dfsc: "asynchronous" });

/** A KVM machine as the scenario's kernel offers it. `enable` asks for the exits for guest aborts; what is wrong with how that is done comes back. */
export function kvmMachine(choice: KvmChoice = {}): { readonly machine: KvmMachine; readonly enable: () => readonly string[] } {
  const machine = new KvmMachine({
    dialect: choice.dialect ?? "linux-7.2",
    hostRas: choice.hostRas !== false,
    without: [...(choice.seaToUser === false ? (["KVM_CAP_ARM_SEA_TO_USER"] as const) : []), ...(choice.without ?? [])],
  });
  const enable = () => {
    const asked = choice.enabled === "unqueried" || machine.checkExtension("KVM_CAP_ARM_SEA_TO_USER");
    return asked ? machine.enableCapability("KVM_CAP_ARM_SEA_TO_USER").misuse : [];
  };
  return { machine, enable };
}

/** Every register an injection sets, in one line. @param returnsTo what ELR holds, in words. */
export const injectionWords = (injection: Injection, returnsTo = "ERET goes back to the interrupted instruction"): string =>
  injection.registers
    .filter(({ register }) => register !== "PSTATE")
    .map(({ register, value, words }) => {
      if (value === undefined) return `${register} ${words.includes("FnV tells") ? "not valid (FnV)" : "not known"}`;
      const note = register === "PC" ? words : register.startsWith("ELR_") ? returnsTo : undefined;
      return `${register} ${hexNumber(value)}${note === undefined ? "" : ` (${note})`}`;
    })
    .join(", ");
/** An injection's registers for the timeline: hex, null where one is unknown. */
export const injectionData = (injection: Injection): { [register: string]: string | null } =>
  Object.fromEntries(injection.registers.map(({ register, value }) => [register, value === undefined ? null : hexNumber(value)]));

/** What is known of an address, to follow a sentence. */
export function addressWords({ physical, virtual }: ErrorAddress): string {
  if (physical !== undefined && virtual !== undefined) return `, guest physical ${hexNumber(physical)}, virtual ${hexNumber(virtual)}`;
  if (physical !== undefined) return `, guest physical ${hexNumber(physical)}`;
  if (virtual !== undefined) return `, only the virtual address ${hexNumber(virtual)} is known`;
  return ", no address is known";
}
