/** How the kernel stores records in the platform (Linux drivers/acpi/apei/erst.c behaviour). */
import type { ErstActionName, ErstEntry } from "../acpi/action-entry.ts";
import { ERST_STATUS, Erst } from "../acpi/erst.ts";
import { RecordHeader } from "../cper/record.ts";
import { encode, fieldOffset, parse, struct, text, u32 } from "../layout/index.ts";
import { ActionMachine } from "./actions.ts";
import type { RegisterSpaces } from "./registers.ts";

const LENGTH = fieldOffset(RecordHeader, "recordLength");
const PERSISTENCE = fieldOffset(RecordHeader, "persistenceInformation");
/** What the kernel leaves in the persistence information of a record it stored. */
export const Mark = struct("Mark of a stored record", 6, "Linux drivers/acpi/apei/erst.c", { signature: text(2, "Always ER"), reserved: u32("Zero") });
/** Times the kernel asks whether a busy platform is done. */
const PATIENCE = 10_000;

export type ErstResult = keyof typeof ERST_STATUS | "timedOut" | "tooLong";

/** The kernel's ERST driver (Linux drivers/acpi/apei/erst.c behaviour). */
export class ErstDriver {
  readonly rangeAddress: bigint;
  readonly rangeLength: number;
  readonly #spaces: RegisterSpaces;
  readonly #machine: ActionMachine<ErstEntry>;

  /** @param table the ERST. @throws ActionError when its program cannot be run. */
  constructor(spaces: RegisterSpaces, table: Uint8Array) {
    this.#spaces = spaces;
    this.#machine = new ActionMachine(spaces, (parse(Erst, table).entries ?? []) as ErstEntry[], "erst");
    this.rangeAddress = this.#machine.run("getErrorLogAddressRange");
    this.rangeLength = Number(this.#machine.run("getErrorLogAddressRangeLength"));
    this.#machine.run("getErrorLogAddressRangeAttributes");
  }

  get count(): number {
    return Number(this.#machine.run("getRecordCount"));
  }

  /** Identifiers of all records, as the platform hands them out one by one. */
  ids(): bigint[] {
    const out: bigint[] = [];
    for (let id = this.#nextId(); id !== 0xffff_ffff_ffff_ffffn && !out.includes(id); id = this.#nextId()) out.push(id);
    return out;
  }
  #nextId(): bigint {
    return this.#machine.run("getRecordIdentifier");
  }

  write(record: Uint8Array): ErstResult {
    if (record.length > this.rangeLength) return "tooLong";
    this.#spaces.memory.write(this.rangeAddress, record);
    this.#spaces.memory.write(this.rangeAddress + BigInt(PERSISTENCE), encode(Mark, { signature: "ER", reserved: 0 }).subarray(0, 2));
    return this.#operate("beginWriteOperation", [["setRecordOffset", 0n]]);
  }

  read(id: bigint): Uint8Array | ErstResult {
    const result = this.#operate("beginReadOperation", [
      ["setRecordOffset", 0n],
      ["setRecordIdentifier", id],
    ]);
    if (result !== "success") return result;
    const length = Number(this.#spaces.memory.readWord(this.rangeAddress + BigInt(LENGTH), 4));
    return length > this.rangeLength ? "failed" : this.#spaces.memory.read(this.rangeAddress, length);
  }

  clear(id: bigint): ErstResult {
    return this.#operate("beginClearOperation", [["setRecordIdentifier", id]]);
  }

  #operate(begin: ErstActionName, inputs: readonly (readonly [ErstActionName, bigint])[]): ErstResult {
    const machine = this.#machine;
    machine.run(begin, undefined, true);
    for (const [action, input] of inputs) machine.run(action, input);
    machine.run("executeOperation");
    for (let asked = 0; machine.run("checkBusyStatus") !== 0n; asked++) if (asked === PATIENCE) return "timedOut";
    const status = Number(machine.run("getCommandStatus"));
    machine.run("endOperation", undefined, true);
    const name = (Object.keys(ERST_STATUS) as (keyof typeof ERST_STATUS)[]).find((key) => ERST_STATUS[key] === status);
    return name ?? "failed";
  }
}
