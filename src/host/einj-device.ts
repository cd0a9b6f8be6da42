/** An error injection device: registers the EINJ's entries name, and a trigger that leads to a recorded error. */
import { buildTable } from "../acpi/build-tables.ts";
import { EINJ_ERROR_TYPE, EINJ_STATUS, ExecuteTimings, SetErrorTypeWithAddress, TriggerTable } from "../acpi/einj.ts";
import { encode, fixedSize, hexNumber, type Json, parse } from "../layout/index.ts";
import type { AccessSize } from "../machine/memory.ts";
import { bufferDevice, type MmioDevice } from "./mmio.ts";

export type InjectableType = keyof typeof EINJ_ERROR_TYPE;

/** What the guest asked for when it pulled the trigger. */
export interface InjectedError {
  readonly type: InjectableType;
  readonly address: bigint | undefined;
  readonly mask: bigint | undefined;
}

/** 64-bit registers, by their place in the window. */
const REGISTERS = ["begin", "offered", "type", "typeWithAddress", "execute", "busy", "status", "triggerTable", "timings", "end", "trigger"] as const;
type Register = (typeof REGISTERS)[number];
const offsetOf = (register: Register) => 8 * REGISTERS.indexOf(register);
const REQUEST = 0x100;
const TRIGGER_TABLE = 0x200;
const WINDOW = 0x300;
const EXECUTE_MAGIC = 0x9an;
const TIMINGS = { nominal: 10, maximum: 100 };

/** Error types the device can bring about: those a record of a memory error can stand for. */
const DEFAULT_TYPES: readonly InjectableType[] = ["memoryCorrectable", "memoryUncorrectableNonFatal", "memoryUncorrectableFatal"];

export interface EinjDeviceOptions {
  /** Where the guest finds the device. */
  readonly base: bigint;
  readonly types?: readonly InjectableType[];
  /** Whether a memory error can be injected at an address. */
  readonly isMemory: (address: bigint) => boolean;
  /** The trigger was pulled. */
  readonly inject: (error: InjectedError) => void;
}

/** The device behind an EINJ table's registers. */
export class EinjDevice {
  readonly window: MmioDevice;
  readonly #options: EinjDeviceOptions;
  readonly #types: readonly InjectableType[];
  readonly #request = new Uint8Array(fixedSize(SetErrorTypeWithAddress));
  #running = false;
  #type = 0n;
  #withAddress = false;
  #status: number = EINJ_STATUS.success;
  #armed: InjectedError | undefined;

  constructor(options: EinjDeviceOptions) {
    this.#options = options;
    this.#types = options.types ?? DEFAULT_TYPES;
    const request = bufferDevice(this.#request);
    const trigger = bufferDevice(this.#triggerTable());
    this.window = {
      length: WINDOW,
      read: (offset, size) => {
        if (offset >= TRIGGER_TABLE) return trigger.read(offset - TRIGGER_TABLE, size);
        if (offset >= REQUEST) return request.read(offset - REQUEST, size);
        return this.#readAt(offset, size);
      },
      write: (offset, size, value) => {
        if (offset >= REQUEST && offset < TRIGGER_TABLE) request.write(offset - REQUEST, size, value);
        // Registers take whole words only; the trigger table cannot be written.
        else if (offset < REQUEST && size === 8 && offset % 8 === 0) this.#write(REGISTERS[offset / 8], value);
      },
    };
  }

  /** The EINJ that drives this device, as a table. */
  table(): Uint8Array {
    const at = (register: Register) => ({ address: hexNumber(this.#options.base + BigInt(offsetOf(register))) });
    const entry = (action: string, instruction: string, register: Register, more: { [key: string]: Json } = {}): Json => ({
      action,
      instruction,
      registerRegion: at(register),
      ...more,
    });
    return buildTable("EINJ", {
      entries: [
        entry("beginInjectionOperation", "writeRegisterValue", "begin", { value: "0x1" }),
        entry("getTriggerErrorActionTable", "readRegister", "triggerTable"),
        entry("setErrorType", "writeRegister", "type"),
        { action: "setErrorTypeWithAddress", instruction: "noop", registerRegion: { address: hexNumber(this.#options.base + BigInt(REQUEST)) } },
        entry("setErrorTypeWithAddress", "writeRegisterValue", "typeWithAddress", { value: "0x1" }),
        entry("getErrorType", "readRegister", "offered"),
        entry("endOperation", "writeRegisterValue", "end", { value: "0x1" }),
        entry("executeOperation", "writeRegisterValue", "execute", { value: hexNumber(EXECUTE_MAGIC) }),
        entry("checkBusyStatus", "readRegisterValue", "busy", { value: "0x1", mask: "0x1" }),
        entry("getCommandStatus", "readRegister", "status"),
        entry("getExecuteOperationTimings", "readRegister", "timings"),
      ],
    });
  }

  #triggerTable(): Uint8Array {
    const entries = [
      {
        action: "triggerError" as const,
        instruction: "writeRegisterValue" as const,
        registerRegion: { address: this.#options.base + BigInt(offsetOf("trigger")) },
        value: 1n,
      },
    ];
    const table = (tableLength: number) => encode(TriggerTable, { tableLength, entryCount: entries.length, entries });
    return table(table(0).length);
  }

  #readAt(offset: number, size: AccessSize): bigint {
    const register = REGISTERS[Math.floor(offset / 8)];
    const word = register === undefined ? 0n : this.#read(register);
    return BigInt.asUintN(size * 8, word >> BigInt(8 * (offset % 8)));
  }

  #read(register: Register): bigint {
    switch (register) {
      case "offered":
        return this.#types.reduce((bits, type) => bits | (1n << BigInt(EINJ_ERROR_TYPE[type])), 0n);
      case "type":
        return this.#type;
      case "status":
        return BigInt(this.#status);
      case "triggerTable":
        return this.#armed ? this.#options.base + BigInt(TRIGGER_TABLE) : 0n;
      case "timings": {
        const bytes = encode(ExecuteTimings, TIMINGS);
        return new DataView(bytes.buffer, bytes.byteOffset).getBigUint64(0, true);
      }
      default:
        return 0n;
    }
  }

  #write(register: Register | undefined, value: bigint): void {
    switch (register) {
      case "begin":
        this.#running = true;
        this.#armed = undefined;
        this.#type = 0n;
        this.#withAddress = false;
        break;
      case "type":
        this.#type = value;
        this.#withAddress = false;
        break;
      case "typeWithAddress":
        this.#withAddress = true;
        break;
      case "execute":
        if (this.#running && (value & 0xffn) === EXECUTE_MAGIC) this.#status = this.#execute();
        break;
      case "trigger": {
        const armed = this.#armed;
        this.#armed = undefined;
        if (armed) this.#options.inject(armed);
        break;
      }
      case "end":
        this.#running = false;
        this.#armed = undefined;
        break;
    }
  }

  /** Check what was asked for, and arm the trigger. */
  #execute(): number {
    // Copied: the guest could change the request between check and use.
    const request = parse(SetErrorTypeWithAddress, this.#request.slice());
    const bits = this.#withAddress ? new DataView(this.#request.buffer).getUint32(0, true) : Number(BigInt.asUintN(32, this.#type));
    const type = this.#types.find((name) => bits === 2 ** EINJ_ERROR_TYPE[name]);
    if (type === undefined) return EINJ_STATUS.invalidAccess;
    const located = this.#withAddress && request.flags?.memoryAddressValid === true;
    const address = located ? request.memoryAddress : undefined;
    if (address !== undefined && !this.#options.isMemory(address)) return EINJ_STATUS.invalidAccess;
    this.#armed = { type, address, mask: located ? request.memoryAddressRange : undefined };
    return EINJ_STATUS.success;
  }
}
