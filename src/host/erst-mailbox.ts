/**
 * An error record store whose registers are plain memory. What the guest sets it leaves there; what needs an answer it
 * asks for with a word, and waits until whoever stands behind it has cleared that. The waiting is an instruction of the
 * table: "stall while true" with a delay of zero, for which Linux sets no limit.
 */
import { ERST_ACTION, type ErstActionName, type ErstEntry } from "../acpi/action-entry.ts";
import { buildTable } from "../acpi/build-tables.ts";
import { Erst } from "../acpi/erst.ts";
import { encode, fieldOffset, hexNumber, type Json, parse, struct, u64 } from "../layout/index.ts";
import type { GuestMemory } from "../machine/memory.ts";
import { ERST_REGISTER, ErstDevice, EXECUTE_MAGIC } from "./erst-device.ts";
import type { ErstStorage } from "./erst-storage.ts";
import { type LinkedTable, linkedTable } from "./register-table.ts";

/** What a word in the command register asks for; zero when it is done. */
export const ERST_COMMAND = { execute: 1, next: 2 } as const;

/** The registers. The guest writes the first four and the last, the device the rest. */
export const ErstRegisters = struct("Registers of an error record store", 96, "this project", () => ({
  command: u64("What is asked for; 0 when it is done"),
  operation: u64("The action that began the operation"),
  offset: u64("Where in the exchange buffer the record begins"),
  identifier: u64("The record that is meant"),
  status: u64("What became of the last operation"),
  next: u64("The identifier that was asked for"),
  count: u64("Number of records"),
  rangeLength: u64("Bytes of the exchange buffer"),
  attributes: u64("Attributes of the exchange buffer"),
  timings: u64("Microseconds an operation takes"),
  zero: u64("Always zero: the delay while waiting"),
  range: u64("Address of the exchange buffer, once the guest has asked the table for it"),
}));
type Register = keyof typeof ErstRegisters.fields;
const offsetOf = (register: Register): bigint => BigInt(fieldOffset(ErstRegisters, register));
/** The register at an offset; none where the exchange buffer is, and before it. */
export const erstRegisterAt = (offset: number): Register | undefined =>
  (Object.keys(ErstRegisters.fields) as Register[]).find((name) => BigInt(offset - (offset % 8)) === offsetOf(name));
/** The exchange buffer has pages of its own. */
const BUFFER = 0x1000;

/** Ask for something and wait until it is done. */
const asking = (what: keyof typeof ERST_COMMAND): readonly Step[] => [
  ["loadVar1", "zero"],
  ["writeRegisterValue", "command", ERST_COMMAND[what]],
  ["stallWhileTrue", "command", ERST_COMMAND[what]],
];
type Step = readonly [instruction: string, register: Register, value?: number];
/** Actions that begin or end an operation. */
const OPERATIONS = [
  "beginWriteOperation",
  "beginReadOperation",
  "beginClearOperation",
  "beginDummyWriteOperation",
  "endOperation",
] as const satisfies readonly ErstActionName[];

/** What each action of the table does. */
const ACTIONS: readonly (readonly [ErstActionName, ...Step[]])[] = [
  ...OPERATIONS.map((action): [ErstActionName, Step] => [action, ["writeRegisterValue", "operation", ERST_ACTION[action]]]),
  ["setRecordOffset", ["writeRegister", "offset"]],
  ["executeOperation", ...asking("execute")],
  ["checkBusyStatus", ["readRegisterValue", "command", ERST_COMMAND.execute]],
  ["getCommandStatus", ["readRegister", "status"]],
  ["getRecordIdentifier", ...asking("next"), ["readRegister", "next"]],
  ["setRecordIdentifier", ["writeRegister", "identifier"]],
  ["getRecordCount", ["readRegister", "count"]],
  ["getErrorLogAddressRangeLength", ["readRegister", "rangeLength"]],
  ["getErrorLogAddressRangeAttributes", ["readRegister", "attributes"]],
  ["getExecuteOperationTimings", ["readRegister", "timings"]],
];
const RANGE: ErstActionName = "getErrorLogAddressRange";

/** The ERST that drives it. @param base where the guest finds its registers. */
export function mailboxErst(base: bigint): Uint8Array {
  const entry = (action: ErstActionName, [instruction, register, value = 0]: Step): { [key: string]: Json } => ({
    action,
    instruction,
    registerRegion: { address: hexNumber(base + offsetOf(register)) },
    value,
  });
  return buildTable("ERST", {
    entries: [
      ...ACTIONS.flatMap(([action, ...steps]) => steps.map((step) => entry(action, step))),
      // A value that is written is the action's answer too: the table itself knows the buffer's address.
      { ...entry(RANGE, ["writeRegisterValue", "range"]), value: hexNumber(base + BigInt(BUFFER)) },
    ],
  });
}
/** The same for registers that the firmware places. @param offset where in the file they begin. */
export function linkedErst(file: string, offset: number): LinkedTable {
  const bytes = mailboxErst(BigInt(offset));
  return linkedTable(bytes, (parse(Erst, bytes).entries ?? []) as ErstEntry[], file, ({ action }) => action === RANGE);
}

/** What stands behind such registers: QEMU's device, reached through memory. */
export class ErstMailbox {
  /** The registers as they are before the guest starts, and its buffer. */
  readonly image: Uint8Array;
  readonly #storage: ErstStorage;
  #device: ErstDevice;

  constructor(storage: ErstStorage) {
    this.#storage = storage;
    this.#device = new ErstDevice(storage, 0n);
    const registers = encode(ErstRegisters, {
      command: 0n,
      operation: 0n,
      offset: 0n,
      identifier: 0n,
      status: this.#ask("getCommandStatus"),
      next: 0n,
      count: this.#ask("getRecordCount"),
      rangeLength: this.#ask("getErrorLogAddressRangeLength"),
      attributes: this.#ask("getErrorLogAddressRangeAttributes"),
      timings: this.#ask("getExecuteOperationTimings"),
      zero: 0n,
      range: 0n,
    });
    this.image = new Uint8Array(BUFFER + storage.recordSize);
    this.image.set(registers);
  }

  /** The machine is reset. */
  reset(): void {
    this.#device = new ErstDevice(this.#storage, 0n);
  }

  /** Do what the guest has asked for since the last look. @param base where the registers are. @returns whether it had asked for anything. */
  service(memory: GuestMemory, base: bigint): boolean {
    const read = (register: Register) => memory.readWord(base + offsetOf(register), 8);
    const write = (register: Register, value: bigint) => memory.writeWord(base + offsetOf(register), 8, value);
    const command = read("command");
    if (command === 0n) return false;
    if (command === BigInt(ERST_COMMAND.next)) write("next", this.#ask("getRecordIdentifier"));
    else if (command === BigInt(ERST_COMMAND.execute)) {
      const buffer = base + BigInt(BUFFER);
      const operation = OPERATIONS.find((action) => BigInt(ERST_ACTION[action]) === read("operation")) ?? "endOperation";
      this.#do(operation);
      this.#tell("setRecordOffset", read("offset"));
      this.#tell("setRecordIdentifier", read("identifier"));
      this.#device.exchange.bytes!.set(memory.read(buffer, this.#storage.recordSize));
      this.#tell("executeOperation", EXECUTE_MAGIC);
      if (operation === "beginReadOperation") memory.write(buffer, this.#device.exchange.bytes!);
    }
    write("status", this.#ask("getCommandStatus"));
    write("count", this.#ask("getRecordCount"));
    // The guest goes on when it sees this.
    write("command", 0n);
    return true;
  }

  #do(action: ErstActionName): void {
    this.#device.registers.write(ERST_REGISTER.action, 4, BigInt(ERST_ACTION[action]));
  }
  #tell(action: ErstActionName, value: bigint): void {
    this.#device.registers.write(ERST_REGISTER.value, 8, value);
    this.#do(action);
  }
  #ask(action: ErstActionName): bigint {
    this.#do(action);
    return this.#device.registers.read(ERST_REGISTER.value, 8);
  }
}
