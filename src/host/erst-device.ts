/** QEMU's ERST device (hw/acpi/erst.c behaviour, held to 7.2.22 and 11.1.3): two registers, an exchange buffer, a store. */
import { ERST_ACTION } from "../acpi/action-entry.ts";
import { ERST_STATUS } from "../acpi/erst.ts";
import { RecordHeader } from "../cper/record.ts";
import { fieldOffset } from "../layout/index.ts";
import { type ErstStorage, INVALID_ID, UNSPECIFIED_ID } from "./erst-storage.ts";
import { bufferDevice, type MmioDevice, registerDevice } from "./mmio.ts";

/** Offsets in BAR 0. */
export const ERST_REGISTER = { action: 0, value: 8 } as const;
const REGISTERS = 16;
/** What the low byte of the value must be when an operation is executed. */
export const EXECUTE_MAGIC = 0x9cn;
/** Microseconds an operation takes at most, and usually. */
const TIMINGS = (100n << 32n) | 10n;
const ID = fieldOffset(RecordHeader, "recordId");
const LENGTH = fieldOffset(RecordHeader, "recordLength");

/** The device behind an ERST table's registers (QEMU hw/acpi/erst.c behaviour). */
export class ErstDevice {
  /** BAR 0. */
  readonly registers: MmioDevice;
  /** BAR 1. */
  readonly exchange: MmioDevice;
  readonly #storage: ErstStorage;
  readonly #buffer: Uint8Array;
  readonly #bufferAddress: bigint;
  #value = 0n;
  /** Zero is "begin write": a guest that never began anything writes. */
  #operation: number = ERST_ACTION.beginWriteOperation;
  #status: number = ERST_STATUS.success;
  #offset = 0n;
  #id = UNSPECIFIED_ID;
  #nextSlot = 0;

  /** @param bufferAddress where the guest finds the exchange buffer (BAR 1). */
  constructor(storage: ErstStorage, bufferAddress: bigint) {
    this.#storage = storage;
    this.#bufferAddress = bufferAddress;
    this.#buffer = new Uint8Array(storage.recordSize);
    this.exchange = bufferDevice(this.#buffer);
    this.registers = registerDevice(
      REGISTERS,
      (offset) => this.#read(offset),
      (offset, value) => this.#write(offset, value),
    );
  }

  /** The machine is reset: the value register and the exchange buffer keep what they hold. */
  reset(): void {
    this.#operation = ERST_ACTION.beginWriteOperation;
    this.#status = ERST_STATUS.success;
    this.#offset = 0n;
    this.#id = UNSPECIFIED_ID;
    this.#nextSlot = 0;
  }

  /** Reading has no effect: it returns what the last action left. The action register reads as zero. */
  #read(offset: number): bigint {
    if (offset === ERST_REGISTER.value) return this.#value;
    return offset === ERST_REGISTER.value + 4 ? this.#value >> 32n : 0n;
  }

  /** However few bytes are written, they are taken for the whole action, or for a whole half of the value. */
  #write(offset: number, value: bigint): void {
    if (offset === ERST_REGISTER.action) this.#act(Number(value));
    else if (offset === ERST_REGISTER.value) this.#value = (this.#value & 0xffff_ffff_0000_0000n) | value;
    else if (offset === ERST_REGISTER.value + 4) this.#value = (this.#value & 0xffff_ffffn) | (value << 32n);
  }

  #act(action: number): void {
    switch (action) {
      case ERST_ACTION.beginWriteOperation:
      case ERST_ACTION.beginReadOperation:
      case ERST_ACTION.beginClearOperation:
      case ERST_ACTION.beginDummyWriteOperation:
      case ERST_ACTION.endOperation:
        this.#operation = action;
        break;
      case ERST_ACTION.setRecordOffset:
        this.#offset = this.#value & 0xffff_ffffn;
        break;
      case ERST_ACTION.executeOperation:
        if ((this.#value & 0xffn) === EXECUTE_MAGIC) this.#status = this.#execute();
        break;
      case ERST_ACTION.checkBusyStatus:
        // Every operation is over before the guest can ask.
        this.#value = 0n;
        break;
      case ERST_ACTION.getCommandStatus:
        this.#value = BigInt(this.#status);
        break;
      case ERST_ACTION.getRecordIdentifier:
        this.#value = this.#next(this.#nextSlot);
        this.#status = ERST_STATUS.success;
        break;
      case ERST_ACTION.setRecordIdentifier:
        this.#id = this.#value;
        break;
      case ERST_ACTION.getRecordCount:
        this.#value = BigInt(this.#storage.count);
        break;
      case ERST_ACTION.getErrorLogAddressRange:
        this.#value = this.#bufferAddress;
        break;
      case ERST_ACTION.getErrorLogAddressRangeLength:
        this.#value = BigInt(this.#storage.recordSize);
        break;
      case ERST_ACTION.getErrorLogAddressRangeAttributes:
        this.#value = 0n;
        break;
      case ERST_ACTION.getExecuteOperationTimings:
        this.#value = TIMINGS;
        break;
    }
  }

  #execute(): number {
    switch (this.#operation) {
      case ERST_ACTION.beginWriteOperation:
        return this.#writeRecord();
      case ERST_ACTION.beginReadOperation:
        return this.#readRecord();
      case ERST_ACTION.beginClearOperation:
        return this.#clearRecord();
      default:
        // A dummy write, or an operation that was ended.
        return ERST_STATUS.success;
    }
  }

  /** The offset the guest chose, when a record can begin there. */
  #room(): number | undefined {
    return this.#offset > BigInt(this.#buffer.length - RecordHeader.size) ? undefined : Number(this.#offset);
  }

  #writeRecord(): number {
    const offset = this.#room();
    if (offset === undefined) return ERST_STATUS.failed;
    // Copied first: the guest may write to the buffer from another processor meanwhile.
    const bytes = this.#buffer.slice(offset);
    const view = new DataView(bytes.buffer);
    const length = view.getUint32(LENGTH, true);
    const id = view.getBigUint64(ID, true);
    if (length < RecordHeader.size || length > bytes.length || id === UNSPECIFIED_ID || id === INVALID_ID) return ERST_STATUS.failed;
    return this.#storage.write(bytes.subarray(0, length), id) ? ERST_STATUS.success : ERST_STATUS.notEnoughSpace;
  }

  #readRecord(): number {
    if (this.#storage.count === 0) return ERST_STATUS.recordStoreEmpty;
    if (this.#id === UNSPECIFIED_ID) this.#id = this.#next(0);
    const offset = this.#room();
    if (this.#id === INVALID_ID || offset === undefined) return ERST_STATUS.failed;
    const slot = this.#storage.read(this.#id);
    if (!slot) {
      this.#id = this.#next(0);
      return ERST_STATUS.recordNotFound;
    }
    const length = new DataView(slot.buffer, slot.byteOffset).getUint32(LENGTH, true);
    if (length < RecordHeader.size || length > this.#buffer.length - offset) return ERST_STATUS.failed;
    this.#buffer.set(slot.subarray(0, length), offset);
    return ERST_STATUS.success;
  }

  #clearRecord(): number {
    if (this.#id === UNSPECIFIED_ID || this.#id === INVALID_ID) return ERST_STATUS.failed;
    return this.#storage.clear(this.#id) ? ERST_STATUS.success : ERST_STATUS.recordNotFound;
  }

  /** The identifier of the first record from a slot on, all ones at the end. The next look goes on behind it, or starts again. */
  #next(from: number): bigint {
    const found = this.#storage.next(from);
    this.#nextSlot = found?.after ?? 0;
    return found?.id ?? INVALID_ID;
  }
}
