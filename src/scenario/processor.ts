/** The vCPUs of a scenario: what they mask, and what an exception does to their registers. */
import { type Injection, injectAbort, injectVirtualSError, type Registers } from "../arm64/exception-entry.ts";
import { KvmMachine, type KvmVcpu } from "../arm64/kvm.ts";
import { KVM_LAYOUTS } from "../arm64/kvm-layouts.ts";
import { ProcessorState, wordOf } from "../arm64/registers.ts";
import { buildVsesr, decodeEsr, encodeEsr } from "../arm64/syndrome.ts";
import { type MachineCheckState, machineCheckState } from "../host/machine-check.ts";
import type { ErrorAddress } from "../host/monitor.ts";
import { decode, hexNumber } from "../layout/index.ts";
import type { KvmChoice, VcpuState } from "./schema.ts";

/** Where the vCPUs are when nothing else is said: a program, and the kernel that runs it. */
const PC = { EL0: 0x0000_aaaa_c0de_1000n, EL1: 0xffff_8000_8010_2000n } as const;
const VECTORS = 0xffff_8000_8001_0800n;
const SYSTEM_CONTROL = 0x34f4_d91dn;

const registersOf = (state: VcpuState): Registers => {
  const level = state.level ?? "EL0";
  return {
    PC: PC[level],
    PSTATE: wordOf(ProcessorState, {
      mode: level === "EL0" ? "el0t" : "el1h",
      ...(state.serrorMasked && { a: true }),
      ...(state.interruptsMasked && { i: true }),
    }),
    VBAR_EL1: VECTORS,
    SCTLR_EL1: SYSTEM_CONTROL,
  };
};

/** A vCPU of a scenario: takes exceptions, keeps what is masked pending. */
export class Processor {
  state: VcpuState;
  readonly kvm: KvmVcpu;
  readonly machineChecks: MachineCheckState;

  constructor(machine: KvmMachine, state: VcpuState) {
    this.state = state;
    this.kvm = machine.createVcpu({ registers: registersOf(state) });
    this.machineChecks = machineCheckState();
  }

  change(change: VcpuState): void {
    this.state = { ...this.state, ...change };
    this.returnFromException();
  }
  /** The guest's handler is over and the interrupted program goes on. */
  returnFromException(): void {
    Object.assign(this.kvm.registers, registersOf(this.state));
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
    const ec = (this.state.level ?? "EL0") === "EL0" ? "dataAbortLower" : "dataAbortCurrent";
    const esr = abort.given ?? encodeEsr("dataAbort", { ec, il: true, fsc: "externalAbort", ...(virtual === undefined && { fnv: true }) });
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

  /** The abort a monitor gives by writing registers itself. */
  abort(abort: "data" | "instruction", address: bigint | undefined): Injection {
    return injectAbort(registersOf(this.state), { abort, target: "EL1", ...(address !== undefined && { address }) });
  }
  /** A virtual SError for an error that is contained and does not concern the running program. */
  serror(): { readonly syndrome: bigint; readonly injection: Injection } {
    const syndrome = buildVsesr("architected", { aet: "restartable", dfsc: "asynchronous" });
    return { syndrome, injection: injectVirtualSError(registersOf(this.state), syndrome) };
  }
}

/** A KVM machine whose monitor asked for, and enabled, exits for guest aborts. */
export function kvmMachine(choice: KvmChoice = {}): KvmMachine {
  const machine = new KvmMachine({
    dialect: choice.dialect ?? "linux-7.2",
    hostRas: choice.hostRas !== false,
    ...(choice.seaToUser === false && { without: ["KVM_CAP_ARM_SEA_TO_USER"] }),
  });
  if (machine.checkExtension("KVM_CAP_ARM_SEA_TO_USER")) machine.enableCapability("KVM_CAP_ARM_SEA_TO_USER");
  return machine;
}

/** Every register an injection sets, in one line. */
export const injectionWords = (injection: Injection): string =>
  injection.registers
    .filter(({ register }) => register !== "PSTATE")
    .map(
      ({ register, value, words }) =>
        `${register} ${value === undefined ? (words.includes("FnV tells") ? "not valid (FnV)" : "not known") : hexNumber(value)}${register === "PC" && value !== undefined ? ` (${words})` : ""}`,
    )
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
