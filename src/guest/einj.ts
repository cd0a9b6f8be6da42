/** How the kernel injects an error (Linux drivers/acpi/apei/einj-core.c behaviour). */
import type { EinjEntry } from "../acpi/action-entry.ts";
import { EINJ_ERROR_TYPE, EINJ_STATUS, Einj, SetErrorTypeWithAddress, TriggerTable } from "../acpi/einj.ts";
import { encode, fixedSize, parse } from "../layout/index.ts";
import { ActionMachine } from "./actions.ts";
import type { RegisterSpaces } from "./registers.ts";
import type { KernelVersion } from "./report/words.ts";

export type ErrorTypeName = keyof typeof EINJ_ERROR_TYPE;
/** What the platform answers, or why the kernel does not even ask it. */
export type EinjResult = keyof typeof EINJ_STATUS | "timedOut" | "notOffered" | "noMemoryPage";

/** What the driver says when it has started. */
export const EINJ_STARTS: readonly string[] = ["EINJ: Error INJection is initialized."];
/** What it calls the errors it knows. */
const TYPE_WORDS: { readonly [K in ErrorTypeName]?: string } = {
  processorCorrectable: "Processor Correctable",
  processorUncorrectableNonFatal: "Processor Uncorrectable non-fatal",
  processorUncorrectableFatal: "Processor Uncorrectable fatal",
  memoryCorrectable: "Memory Correctable",
  memoryUncorrectableNonFatal: "Memory Uncorrectable non-fatal",
  memoryUncorrectableFatal: "Memory Uncorrectable fatal",
  pcieCorrectable: "PCI Express Correctable",
  pcieUncorrectableNonFatal: "PCI Express Uncorrectable non-fatal",
  pcieUncorrectableFatal: "PCI Express Uncorrectable fatal",
  platformCorrectable: "Platform Correctable",
  platformUncorrectableNonFatal: "Platform Uncorrectable non-fatal",
  platformUncorrectableFatal: "Platform Uncorrectable fatal",
};
/** Lines of the driver's file of errors that can be injected (available_error_type). */
export const offeredLines = (types: readonly ErrorTypeName[]): string[] =>
  types.flatMap((type) => (TYPE_WORDS[type] === undefined ? [] : [`0x${(2 ** EINJ_ERROR_TYPE[type]).toString(16).padStart(8, "0")}\t${TYPE_WORDS[type]}`]));

/** Bit 0 of the answer to "check busy". */
const BUSY = 1n;
const PATIENCE = 10_000;
/** Trigger tables are at most one page. */
const MOST_TRIGGER = 4096;
/** Errors that need an address, where one can be given. */
const MEMORY_ERRORS: readonly ErrorTypeName[] = ["memoryCorrectable", "memoryUncorrectableNonFatal", "memoryUncorrectableFatal"];
/** Bits of an address that the mask of a memory error must hold: it is for a page or less. */
const PAGE_MASK = 0xffff_ffff_ffff_f000n;

/** Whether so many bytes are memory. */
export type IsMemory = (address: bigint, length: bigint) => boolean;

/**
 * Where kernels let memory errors be injected, by the names in their lists of resources (/proc/iomem): newer ones refuse
 * little but the registers of devices (Linux 6.19 on).
 */
export const INJECTABLE_RESOURCES: Readonly<Record<KernelVersion, readonly string[]>> = {
  "6.1": ["System RAM", "Persistent Memory", "Soft Reserved"],
  "7.2": [
    "System RAM",
    "Crash kernel",
    "ACPI Tables",
    "ACPI Non-volatile Storage",
    "Persistent Memory",
    "Persistent Memory (legacy)",
    "Reserved",
    "Soft Reserved",
  ],
};

export interface InjectionRequest {
  readonly type: ErrorTypeName;
  /** Memory errors: where, and which address bits count. */
  readonly address?: bigint | undefined;
  readonly mask?: bigint | undefined;
}

/** The kernel's EINJ driver (Linux drivers/acpi/apei/einj-core.c behaviour). */
export class EinjDriver {
  readonly #spaces: RegisterSpaces;
  readonly #isMemory: IsMemory;
  readonly #machine: ActionMachine<EinjEntry>;
  /** Where the structure with the address is; absent on platforms older than ACPI 5, whose errors land anywhere. */
  readonly #request: bigint | undefined;

  /** @param table the EINJ. @param isMemory where the kernel lets memory errors be injected. */
  constructor(spaces: RegisterSpaces, table: Uint8Array, isMemory: IsMemory = () => true) {
    this.#spaces = spaces;
    this.#isMemory = isMemory;
    const entries = (parse(Einj, table).entries ?? []) as EinjEntry[];
    this.#machine = new ActionMachine(spaces, entries, "einj");
    // The action is never run: the kernel looks for the place alone.
    this.#request = entries.findLast(
      ({ action, instruction, registerRegion }) =>
        action === "setErrorTypeWithAddress" && instruction === "writeRegister" && registerRegion.addressSpace === "systemMemory",
    )?.registerRegion.address;
  }

  /** Error types the platform offers. */
  get offered(): readonly ErrorTypeName[] {
    const types = this.#machine.run("getErrorType");
    return (Object.keys(EINJ_ERROR_TYPE) as ErrorTypeName[]).filter((name) => ((types >> BigInt(EINJ_ERROR_TYPE[name])) & 1n) === 1n);
  }

  inject({ type, address = 0n, mask = 0n }: InjectionRequest): EinjResult {
    const machine = this.#machine;
    if (!this.offered.includes(type)) return "notOffered";
    const ofMemory = MEMORY_ERRORS.includes(type);
    if (this.#request !== undefined && ofMemory && ((mask & PAGE_MASK) !== PAGE_MASK || !this.#isMemory(address & mask, BigInt.asUintN(64, -mask))))
      return "noMemoryPage";
    machine.run("beginInjectionOperation", undefined, true);
    if (this.#request === undefined) machine.run("setErrorType", 1n << BigInt(EINJ_ERROR_TYPE[type]));
    else {
      const request = encode(SetErrorTypeWithAddress, {
        errorType: { [type]: true },
        flags: {
          ...(ofMemory && { memoryAddressValid: true }),
          ...(type.startsWith("processor") && { apicIdValid: true }),
          ...(type.startsWith("pcie") && { pcieSbdfValid: true }),
        },
        memoryAddress: address,
        memoryAddressRange: mask,
        pcieSbdf: {},
        extension: new Uint8Array(0),
      });
      this.#spaces.memory.write(this.#request, request);
    }
    machine.run("executeOperation");
    for (let asked = 0; (machine.run("checkBusyStatus") & BUSY) !== 0n; asked++) if (asked === PATIENCE) return "timedOut";
    const status = Number(machine.run("getCommandStatus"));
    if (status !== EINJ_STATUS.success) return status === EINJ_STATUS.invalidAccess ? "invalidAccess" : "unknownFailure";
    const trigger = machine.run("getTriggerErrorActionTable");
    if (trigger !== 0n) this.#trigger(trigger);
    machine.run("endOperation", undefined, true);
    return "success";
  }

  /** The trigger table lies in memory and is a program of its own. */
  #trigger(address: bigint): void {
    const { tableLength = 0 } = parse(TriggerTable, this.#spaces.memory.read(address, fixedSize(TriggerTable)));
    if (tableLength <= fixedSize(TriggerTable) || tableLength > MOST_TRIGGER) return;
    const table = parse(TriggerTable, this.#spaces.memory.read(address, tableLength));
    new ActionMachine(this.#spaces, (table.entries ?? []) as EinjEntry[], "einj").run("triggerError", undefined, true);
  }
}
