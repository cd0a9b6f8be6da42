/**
 * An error injection device whose registers are plain memory: the table's own instructions leave there what is wanted,
 * whoever stands behind it looks, does it, and clears the word the guest waits for. It needs no trap, so it serves a
 * guest from outside as well as from within a monitor.
 */

import type { EinjEntry } from "../acpi/action-entry.ts";
import { buildTable } from "../acpi/build-tables.ts";
import { EINJ_ERROR_TYPE, EINJ_STATUS, Einj, ExecuteTimings, SetErrorTypeWithAddress, TriggerTable } from "../acpi/einj.ts";
import { bytes, encode, fieldOffset, fixedSize, hexNumber, type Json, parse, struct, u64 } from "../layout/index.ts";
import { fromLittleEndian, type GuestMemory } from "../machine/memory.ts";
import { type MmioDevice, memoryAt, watchedDevice } from "./mmio.ts";
import { type LinkedTable, linkedTable } from "./register-table.ts";

export type InjectableType = keyof typeof EINJ_ERROR_TYPE;

/** What the guest asked for when it pulled the trigger. */
export interface InjectedError {
  readonly type: InjectableType;
  readonly address: bigint | undefined;
  readonly mask: bigint | undefined;
}

/** The device's registers. The guest writes the first four and the request, the device the rest. */
export const EinjRegisters = struct("Registers of an error injection device", 256, "this project", () => ({
  execute: u64("1 asks for what is set below; 0 when that is done"),
  trigger: u64("1 brings the error about; 0 when that was noticed"),
  session: u64("1 from the begin of an operation to its end"),
  type: u64("Error to inject, where no address is given"),
  offered: u64("Error types that can be injected"),
  status: u64("What became of the last request"),
  triggerTable: u64("Address of the trigger table; 0 when nothing can be triggered"),
  timings: u64("Microseconds a request takes"),
  request: bytes(96, "Error to inject, with its address"),
  program: bytes(96, "The trigger table"),
}));
type Register = keyof typeof EinjRegisters.fields;
const offsetOf = (register: Register): bigint => BigInt(fieldOffset(EinjRegisters, register));

/** Error types the device can bring about: those a record of a memory error can stand for. */
const DEFAULT_TYPES: readonly InjectableType[] = ["memoryCorrectable", "memoryUncorrectableNonFatal", "memoryUncorrectableFatal"];
const TIMINGS = fromLittleEndian(encode(ExecuteTimings, { nominal: 1000, maximum: 100_000 }));
const bitOf = (type: InjectableType): bigint => 1n << BigInt(EINJ_ERROR_TYPE[type]);

/** The registers as they are before the guest starts. */
export const einjRegisters = (types: readonly InjectableType[] = DEFAULT_TYPES): Uint8Array =>
  encode(EinjRegisters, {
    execute: 0n,
    trigger: 0n,
    session: 0n,
    type: 0n,
    offered: types.reduce((all, type) => all | bitOf(type), 0n),
    status: 0n,
    triggerTable: 0n,
    timings: TIMINGS,
    request: new Uint8Array(EinjRegisters.fields.request.size),
    program: new Uint8Array(EinjRegisters.fields.program.size),
  });

/** What each action of the table does. */
const ACTIONS: readonly (readonly [action: string, instruction: string, register: Register, more?: { readonly [key: string]: Json }])[] = [
  ["beginInjectionOperation", "writeRegisterValue", "type", { value: 0 }],
  ["beginInjectionOperation", "writeRegisterValue", "request", { value: 0 }],
  ["beginInjectionOperation", "writeRegisterValue", "session", { value: 1 }],
  ["getTriggerErrorActionTable", "readRegister", "triggerTable"],
  ["setErrorType", "writeRegister", "type"],
  ["getErrorType", "readRegister", "offered"],
  ["endOperation", "writeRegisterValue", "session", { value: 0 }],
  ["executeOperation", "writeRegisterValue", "execute", { value: 1 }],
  ["checkBusyStatus", "readRegisterValue", "execute", { value: 1, mask: 1 }],
  ["getCommandStatus", "readRegister", "status"],
  // Linux takes the address of this register for that of the whole structure.
  ["setErrorTypeWithAddress", "writeRegister", "request", { mask: 0xffff_ffff }],
  ["getExecuteOperationTimings", "readRegister", "timings"],
];

/** The EINJ that drives the device. @param base where the guest finds its registers. */
export const einjTable = (base: bigint): Uint8Array =>
  buildTable("EINJ", {
    entries: ACTIONS.map(([action, instruction, register, more]) => ({
      action,
      instruction,
      registerRegion: {
        address: hexNumber(base + offsetOf(register)),
        // The type is the structure's first word.
        ...(register === "request" && { registerBitWidth: 32, accessSize: "dword" }),
      },
      ...more,
    })),
  });
/** The same for registers that the firmware places. @param offset where in the file they begin. */
export function linkedEinj(file: string, offset: number): LinkedTable {
  const bytes = einjTable(BigInt(offset));
  return linkedTable(bytes, (parse(Einj, bytes).entries ?? []) as EinjEntry[], file);
}

export interface EinjDeviceOptions {
  /** Where the registers are. */
  readonly memory: GuestMemory;
  readonly base: bigint;
  /** Where the trigger table goes; by default it is among the registers. */
  readonly program?: bigint;
  readonly types?: readonly InjectableType[];
  /** Whether a memory error can be injected at an address. */
  readonly isMemory: (address: bigint) => boolean;
  /** The trigger was pulled. */
  readonly inject: (error: InjectedError) => void;
}

/** What stands behind the registers of an EINJ. */
export class EinjDevice {
  readonly #options: EinjDeviceOptions;
  readonly #types: readonly InjectableType[];
  #armed: InjectedError | undefined;

  constructor(options: EinjDeviceOptions) {
    this.#options = options;
    this.#types = options.types ?? DEFAULT_TYPES;
  }

  /** Do what the guest has asked for since the last look. @returns whether it had asked for anything. */
  service(): boolean {
    const triggered = this.#read("trigger") !== 0n;
    if (triggered) {
      // The guest does not wait for this one: it may be at its next request already.
      this.#write("trigger", 0n);
      const armed = this.#armed;
      this.#armed = undefined;
      if (armed) this.#options.inject(armed);
    }
    const asked = this.#read("execute") !== 0n;
    if (asked) {
      const status = this.#execute();
      const { memory, base, program = base + offsetOf("program") } = this.#options;
      memory.write(program, this.#program());
      this.#write("triggerTable", this.#armed ? program : 0n);
      this.#write("status", BigInt(EINJ_STATUS[status]));
      // The guest goes on when it sees this.
      this.#write("execute", 0n);
    }
    return triggered || asked;
  }

  #read(register: Register): bigint {
    return this.#options.memory.readWord(this.#options.base + offsetOf(register), 8);
  }
  #write(register: Register, value: bigint): void {
    this.#options.memory.writeWord(this.#options.base + offsetOf(register), 8, value);
  }

  /** The trigger table: one write. */
  #program(): Uint8Array {
    const entries = [
      {
        action: "triggerError" as const,
        instruction: "writeRegisterValue" as const,
        registerRegion: { address: this.#options.base + offsetOf("trigger") },
        value: 1n,
      },
    ];
    const table = (tableLength: number) => encode(TriggerTable, { tableLength, entryCount: entries.length, entries });
    return table(table(0).length);
  }

  /** Check what is asked for, and arm the trigger. */
  #execute(): keyof typeof EINJ_STATUS {
    const { memory, base, isMemory } = this.#options;
    this.#armed = undefined;
    if (this.#read("session") === 0n) return "unknownFailure";
    // Copied: the guest could change the request between check and use.
    const bytes = memory.read(base + offsetOf("request"), fixedSize(SetErrorTypeWithAddress));
    const request = parse(SetErrorTypeWithAddress, bytes);
    const withAddress = fromLittleEndian(bytes.subarray(0, 4));
    const wanted = withAddress === 0n ? this.#read("type") : withAddress;
    const type = this.#types.find((name) => wanted === bitOf(name));
    if (type === undefined) return "invalidAccess";
    const located = withAddress !== 0n && request.flags?.memoryAddressValid === true;
    const address = located ? request.memoryAddress : undefined;
    if (address !== undefined && !isMemory(address)) return "invalidAccess";
    this.#armed = { type, address, mask: located ? request.memoryAddressRange : undefined };
    return "success";
  }
}

/** The device at an address of a machine that notices every access. */
export function einjWindow(options: Omit<EinjDeviceOptions, "memory">): MmioDevice {
  const registers = einjRegisters(options.types);
  const device = new EinjDevice({ ...options, memory: memoryAt(options.base, registers) });
  return watchedDevice(registers, () => device.service());
}
