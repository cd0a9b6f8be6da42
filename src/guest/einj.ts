/** How the kernel injects an error (Linux drivers/acpi/apei/einj-core.c behaviour). */
import type { EinjEntry } from "../acpi/action-entry.ts";
import { EINJ_ERROR_TYPE, EINJ_STATUS, Einj, SetErrorTypeWithAddress, TriggerTable } from "../acpi/einj.ts";
import { encode, fixedSize, parse } from "../layout/index.ts";
import { ActionMachine } from "./actions.ts";
import type { RegisterSpaces } from "./registers.ts";

export type ErrorTypeName = keyof typeof EINJ_ERROR_TYPE;
export type EinjResult = keyof typeof EINJ_STATUS | "timedOut" | "notOffered";

/** Bit 0 of the answer to "check busy". */
const BUSY = 1n;
const PATIENCE = 10_000;
/** Trigger tables are at most one page. */
const MOST_TRIGGER = 4096;

export interface InjectionRequest {
  readonly type: ErrorTypeName;
  /** Memory errors: where, and which address bits count. */
  readonly address?: bigint | undefined;
  readonly mask?: bigint | undefined;
}

/** The kernel's EINJ driver (Linux drivers/acpi/apei/einj-core.c behaviour). */
export class EinjDriver {
  readonly #spaces: RegisterSpaces;
  readonly #entries: readonly EinjEntry[];
  readonly #machine: ActionMachine<EinjEntry>;

  /** @param table the EINJ. */
  constructor(spaces: RegisterSpaces, table: Uint8Array) {
    this.#spaces = spaces;
    this.#entries = (parse(Einj, table).entries ?? []) as EinjEntry[];
    this.#machine = new ActionMachine(spaces, this.#entries, "einj");
  }

  /** Error types the platform offers. */
  get offered(): readonly ErrorTypeName[] {
    const types = this.#machine.run("getErrorType");
    return (Object.keys(EINJ_ERROR_TYPE) as ErrorTypeName[]).filter((name) => ((types >> BigInt(EINJ_ERROR_TYPE[name])) & 1n) === 1n);
  }

  inject({ type, address, mask }: InjectionRequest): EinjResult {
    const machine = this.#machine;
    if (!this.offered.includes(type)) return "notOffered";
    machine.run("beginInjectionOperation", undefined, true);
    const withAddress = this.#entries.find((entry) => entry.action === "setErrorTypeWithAddress");
    if (withAddress) {
      const request = encode(SetErrorTypeWithAddress, {
        errorType: { [type]: true },
        flags: address === undefined ? {} : { memoryAddressValid: true },
        memoryAddress: address ?? 0n,
        memoryAddressRange: mask ?? 0n,
        pcieSbdf: {},
        extension: new Uint8Array(0),
      });
      this.#spaces.memory.write(withAddress.registerRegion.address, request);
      machine.run("setErrorTypeWithAddress");
    } else machine.run("setErrorType", 1n << BigInt(EINJ_ERROR_TYPE[type]));
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
