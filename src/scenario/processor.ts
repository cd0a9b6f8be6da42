/** The vCPUs of a scenario: what they mask, and what an exception does to their registers. */
import { type Injection, injectAbort, injectVirtualSError, type Registers } from "../arm64/exception-entry.ts";
import { KvmMachine, type KvmVcpu } from "../arm64/kvm.ts";
import { ProcessorState, wordOf } from "../arm64/registers.ts";
import { buildVsesr } from "../arm64/syndrome.ts";
import { type MachineCheckState, machineCheckState } from "../host/machine-check.ts";
import { hexNumber } from "../layout/index.ts";
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
export const injectionData = (injection: Injection): { [register: string]: string | null } =>
  Object.fromEntries(injection.registers.map(({ register, value }) => [register, value === undefined ? null : hexNumber(value)]));
