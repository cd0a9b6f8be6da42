/**
 * The store behind the ERST device, in the file format of QEMU (hw/acpi/erst.c): files written here are read
 * there and the other way round. Every write to the backend leaves a store that can be opened again.
 */
import { ERST_STORE_MAGIC, ErstStoreHeader, ErstStoreSlot } from "../acpi/erst-storage.ts";
import { RecordHeader } from "../cper/record.ts";
import { decode, encode, fieldOffset, hexNumber, UsageError } from "../layout/index.ts";

/** Where the bytes are kept. One write is whole or not at all only up to 8 aligned bytes. */
export interface Backend {
  /** Bytes. */
  readonly size: number;
  read(offset: number, length: number): Uint8Array;
  write(offset: number, bytes: Uint8Array): void;
}

/** A backend in memory. */
export class MemoryBackend implements Backend {
  readonly bytes: Uint8Array;
  constructor(bytes: Uint8Array) {
    this.bytes = bytes;
  }
  get size(): number {
    return this.bytes.length;
  }
  read(offset: number, length: number): Uint8Array {
    return this.bytes.slice(offset, offset + length);
  }
  write(offset: number, bytes: Uint8Array): void {
    this.bytes.set(bytes, offset);
  }
}

export const DEFAULT_RECORD_SIZE = 8192;
const LEAST_RECORD_SIZE = 4096;
export const UNSPECIFIED_ID = 0n;
export const INVALID_ID = 0xffff_ffff_ffff_ffffn;
/** What a slot holds behind its record. */
const FILLER = 0xff;
const COUNT = fieldOffset(ErstStoreHeader, "recordCount");
const ID = fieldOffset(RecordHeader, "recordId");
const LENGTH = fieldOffset(RecordHeader, "recordLength");

const isPowerOfTwo = (number: number) => number > 0 && (number & (number - 1)) === 0;

/** The bytes of a new, empty store. @param size of the file in bytes, a multiple of `recordSize`. @throws UsageError */
export function emptyStore(size: number, recordSize = DEFAULT_RECORD_SIZE): Uint8Array {
  if (!isPowerOfTwo(recordSize) || recordSize < LEAST_RECORD_SIZE)
    throw new UsageError(`a record size of ${recordSize} bytes is no power of two from ${LEAST_RECORD_SIZE} on`);
  const slots = size / recordSize;
  const storageOffset = Math.ceil((ErstStoreHeader.size + slots * ErstStoreSlot.size) / recordSize) * recordSize;
  if (!Number.isInteger(slots) || storageOffset >= size)
    throw new UsageError(`a store of ${size} bytes holds no slot of ${recordSize} bytes beside its header`);
  const out = new Uint8Array(size);
  out.set(encode(ErstStoreHeader, { recordSize, storageOffset, recordCount: 0 }));
  return out;
}

/** A store of error records in QEMU's format, on any backend. */
export class ErstStorage {
  readonly recordSize: number;
  /** What was put right when the store was opened: the traces of a crash. */
  readonly repairs: readonly string[];
  readonly #backend: Backend;
  readonly #first: number;
  readonly #slots: number;
  /** Identifier by slot; the slots of the header stay unused. */
  readonly #map: bigint[];
  #count = 0;

  /** @throws UsageError for bytes that are no store, or one of another geometry. */
  constructor(backend: Backend) {
    this.#backend = backend;
    if (backend.size < ErstStoreHeader.size) throw new UsageError(`${backend.size} bytes are no ERST store`);
    const header = decode(ErstStoreHeader, backend.read(0, ErstStoreHeader.size));
    const { recordSize, storageOffset } = header;
    if (header.magic !== ERST_STORE_MAGIC) throw new UsageError("the store does not begin with ERSTSTOR");
    if (header.version !== 0x0100) throw new UsageError(`version ${hexNumber(header.version)} of the store is not known`);
    if (!isPowerOfTwo(recordSize) || recordSize < LEAST_RECORD_SIZE)
      throw new UsageError(`the store's record size of ${recordSize} bytes is no power of two from ${LEAST_RECORD_SIZE} on`);
    this.#slots = Math.floor(backend.size / recordSize);
    const mapEnd = ErstStoreHeader.size + this.#slots * ErstStoreSlot.size;
    if (storageOffset % recordSize !== 0 || storageOffset < mapEnd || storageOffset >= backend.size)
      throw new UsageError(`records from ${hexNumber(storageOffset)} on do not fit a store of ${backend.size} bytes`);
    this.recordSize = recordSize;
    this.#first = storageOffset / recordSize;
    const map = backend.read(ErstStoreHeader.size, this.#slots * ErstStoreSlot.size);
    const view = new DataView(map.buffer, map.byteOffset, map.length);
    this.#map = Array.from({ length: this.#slots }, (_, slot) => (slot < this.#first ? UNSPECIFIED_ID : view.getBigUint64(slot * ErstStoreSlot.size, true)));
    this.repairs = this.#repair(header.recordCount);
  }

  get count(): number {
    return this.#count;
  }
  /** Identifiers of the stored records, in slot order. */
  get ids(): readonly bigint[] {
    return this.#map.filter((id) => id !== UNSPECIFIED_ID && id !== INVALID_ID);
  }

  slotOf(id: bigint): number | undefined {
    const slot = this.#map.indexOf(id);
    return slot < 0 || id === UNSPECIFIED_ID ? undefined : slot;
  }

  /** All bytes of the slot that holds a record. */
  read(id: bigint): Uint8Array | undefined {
    const slot = this.slotOf(id);
    return slot === undefined ? undefined : this.#backend.read(slot * this.recordSize, this.recordSize);
  }

  /**
   * Store a record under its identifier.
   * The record comes first, the map entry that makes it exist second, the count last. A record that is stored
   * already goes to another slot before the old one is given up; in a full store it has to go over the old one,
   * which is taken out of the map for that time.
   * @returns false when no slot is free.
   */
  write(record: Uint8Array, id: bigint): boolean {
    const old = this.slotOf(id);
    const free = this.#map.findIndex((entry, slot) => slot >= this.#first && entry === UNSPECIFIED_ID);
    if (old === undefined && free < 0) return false;
    if (old !== undefined && free < 0) this.#setMap(old, UNSPECIFIED_ID);
    const slot = free >= 0 ? free : old!;
    const bytes = new Uint8Array(this.recordSize).fill(FILLER);
    bytes.set(record);
    this.#backend.write(slot * this.recordSize, bytes);
    this.#setMap(slot, id);
    if (old === undefined) this.#setCount(this.#count + 1);
    else if (old !== slot) this.#setMap(old, UNSPECIFIED_ID);
    return true;
  }

  /** Take a record out of the map; its bytes stay in the slot, as in QEMU. @returns whether it was there. */
  clear(id: bigint): boolean {
    const slot = this.slotOf(id);
    if (slot === undefined) return false;
    this.#setMap(slot, UNSPECIFIED_ID);
    this.#setCount(this.#count - 1);
    return true;
  }

  /** The next stored identifier from a slot on, with the slot after it; undefined at the end. */
  next(from: number): { readonly id: bigint; readonly after: number } | undefined {
    for (let slot = Math.max(from, this.#first); slot < this.#slots; slot++) {
      const id = this.#map[slot]!;
      if (id !== UNSPECIFIED_ID && id !== INVALID_ID) return { id, after: slot + 1 };
    }
    return undefined;
  }

  #setMap(slot: number, id: bigint): void {
    this.#map[slot] = id;
    this.#backend.write(ErstStoreHeader.size + slot * ErstStoreSlot.size, encode(ErstStoreSlot, { id }));
  }
  #setCount(count: number): void {
    this.#count = count;
    const bytes = new Uint8Array(4);
    new DataView(bytes.buffer).setUint32(0, count, true);
    this.#backend.write(COUNT, bytes);
  }

  /** A crash between two writes leaves a wrong count, or one record in two slots. */
  #repair(announced: number): string[] {
    const repairs: string[] = [];
    const seen = new Map<bigint, number>();
    this.#map.forEach((id, slot) => {
      if (id === UNSPECIFIED_ID || id === INVALID_ID) return;
      const other = seen.get(id);
      if (other === undefined) {
        seen.set(id, slot);
        return;
      }
      // Both are whole: the map names a slot only once its record is there. The one to keep is anyone's guess but the later slot's.
      const spare = this.#isWhole(slot, id) ? other : slot;
      repairs.push(`record ${hexNumber(id)} was in slots ${other} and ${slot}: slot ${spare} is given up`);
      this.#setMap(spare, UNSPECIFIED_ID);
      if (spare === other) seen.set(id, slot);
    });
    this.#count = seen.size;
    if (announced !== this.#count) {
      repairs.push(`the header counted ${announced} records, the map has ${this.#count}`);
      this.#setCount(this.#count);
    }
    return repairs;
  }
  #isWhole(slot: number, id: bigint): boolean {
    const header = this.#backend.read(slot * this.recordSize, RecordHeader.size);
    const view = new DataView(header.buffer, header.byteOffset, header.length);
    return view.getBigUint64(ID, true) === id && view.getUint32(LENGTH, true) <= this.recordSize;
  }
}
