/**
 * The store behind the ERST device, in the file format of QEMU (hw/acpi/erst.c): files written here are read there
 * and the other way round, and the same operations leave the same bytes. QEMU overwrites a record where it lies; here
 * the new one is put aside first, so that at every moment the old or the new one is whole in a store that opens again.
 *
 * It is put aside in a free slot, and in a full store in the bytes nobody uses: behind the map, behind the records of
 * the other slots, behind both records in their own. Only where these together are fewer than the record has does a
 * crash lose it, whole: it is absent then, and no other is touched. No order of writes avoids that. Some write of at
 * most 8 bytes, the most that is whole or not there, must turn a file that gives back the old record into one that
 * gives back the new one. Both files are the same but for those bytes, so the first holds the old record and, but for
 * 8 bytes and the knowledge of where they go, the new one as well, beside all other records. Records may hold any
 * bytes, so that takes as many unused bytes as the new record has, less those few; the mark takes 24.
 */
import { ERST_STORE_MAGIC, ErstStoreHeader, ErstStoreReplacement, ErstStoreSlot, REPLACEMENT_MAGIC } from "../acpi/erst-storage.ts";
import { RecordHeader } from "../cper/record.ts";
import { concatBytes, decode, encode, fieldOffset, hexNumber, UsageError } from "../layout/index.ts";
import { toLittleEndian } from "../machine/memory.ts";

/** Where the bytes are kept. Writes take effect in the order they are made; one is whole or not at all only up to 8 aligned bytes. */
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

export interface StorageOptions {
  /** Bytes of a slot in a store that is made here, because the backend begins with zeros. */
  readonly recordSize?: number;
  /** Whether the traces of a crash are put right; default: yes. QEMU takes a store as it finds it, wrong count included. */
  readonly repair?: boolean;
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

const MAGIC = fieldOffset(ErstStoreReplacement, "magic");
const MAGIC_SIZE = ErstStoreReplacement.size - MAGIC;

const isPowerOfTwo = (number: number) => number > 0 && (number & (number - 1)) === 0;
const isRecordSize = (number: number) => isPowerOfTwo(number) && number >= LEAST_RECORD_SIZE;

/** The header of a new store. @throws UsageError for sizes that do not fit each other. */
function newHeader(size: number, recordSize: number) {
  if (!isRecordSize(recordSize)) throw new UsageError(`a record size of ${recordSize} bytes is no power of two from ${LEAST_RECORD_SIZE} on`);
  const slots = size / recordSize;
  const storageOffset = Math.ceil((ErstStoreHeader.size + slots * ErstStoreSlot.size) / recordSize) * recordSize;
  if (!Number.isInteger(slots) || storageOffset >= size)
    throw new UsageError(`a store of ${size} bytes holds no slot of ${recordSize} bytes beside its header`);
  return encode(ErstStoreHeader, { recordSize, storageOffset, recordCount: 0 });
}

/** The bytes of a new, empty store. @param size of the file in bytes, a multiple of `recordSize`. @throws UsageError */
export function emptyStore(size: number, recordSize = DEFAULT_RECORD_SIZE): Uint8Array {
  const header = newHeader(size, recordSize);
  const out = new Uint8Array(size);
  out.set(header);
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
  /** Identifier by slot; those of the slots that the header takes are not used. */
  readonly #map: bigint[];
  #count: number;

  /** @throws UsageError for bytes that are no store, or one of another geometry. */
  constructor(backend: Backend, { recordSize: wanted = DEFAULT_RECORD_SIZE, repair = true }: StorageOptions = {}) {
    this.#backend = backend;
    if (backend.size < ErstStoreHeader.size) throw new UsageError(`${backend.size} bytes are no ERST store`);
    // QEMU makes the header of a backend that begins with zeros, and trusts the rest of it to be zero too.
    if (backend.read(0, ERST_STORE_MAGIC.length).every((byte) => byte === 0)) backend.write(0, newHeader(backend.size, wanted).subarray(0, COUNT));
    const header = decode(ErstStoreHeader, backend.read(0, ErstStoreHeader.size));
    const { recordSize, storageOffset } = header;
    if (header.magic !== ERST_STORE_MAGIC) throw new UsageError("the store does not begin with ERSTSTOR");
    if (header.version !== 0x0100) throw new UsageError(`version ${hexNumber(header.version)} of the store is not known`);
    if (header.reserved !== undefined) throw new UsageError("reserved bytes of the store's header are not zero");
    if (!isRecordSize(recordSize)) throw new UsageError(`the store's record size of ${recordSize} bytes is no power of two from ${LEAST_RECORD_SIZE} on`);
    this.#slots = backend.size / recordSize;
    if (!Number.isInteger(this.#slots)) throw new UsageError(`a store of ${backend.size} bytes is not made of slots of ${recordSize} bytes`);
    if (storageOffset % recordSize !== 0 || storageOffset < this.#mapEnd || storageOffset >= backend.size)
      throw new UsageError(`records from ${hexNumber(storageOffset)} on do not fit a store of ${backend.size} bytes`);
    this.recordSize = recordSize;
    this.#first = storageOffset / recordSize;
    const view = viewOf(backend.read(0, this.#mapEnd));
    this.#map = Array.from({ length: this.#slots }, (_, slot) => view.getBigUint64(mapOffset(slot), true));
    this.#count = header.recordCount;
    this.repairs = repair ? this.#repair() : [];
  }

  /** Records, as the header counts them. */
  get count(): number {
    return this.#count;
  }
  /** Identifiers of the stored records, in slot order. */
  get ids(): readonly bigint[] {
    return this.#map.filter((id, slot) => slot >= this.#first && id !== UNSPECIFIED_ID && id !== INVALID_ID);
  }

  /** Where a record is. As in QEMU the search ends with as many records as the header counts. */
  slotOf(id: bigint): number | undefined {
    if (id === UNSPECIFIED_ID) return undefined;
    for (let slot = this.#first, met = 0; slot < this.#slots && met < this.#count; slot++) {
      if (this.#map[slot] === id) return slot;
      if (this.#map[slot] !== UNSPECIFIED_ID) met++;
    }
    return undefined;
  }

  /** All bytes of the slot that holds a record. */
  read(id: bigint): Uint8Array | undefined {
    const slot = this.slotOf(id);
    return slot === undefined ? undefined : this.#backend.read(slot * this.recordSize, this.recordSize);
  }

  /**
   * Store a record under its identifier: over the one of the same identifier, or in the first free slot. The map
   * names a slot only while its record is whole, and the count is never below the entries of the map, for QEMU does
   * not look beyond it.
   * @returns false when no slot is free.
   */
  write(record: Uint8Array, id: bigint): boolean {
    const old = this.slotOf(id);
    if (old !== undefined) {
      this.#overwrite(old, record, id);
      return true;
    }
    const free = this.#freeSlot();
    if (free === undefined) return false;
    this.#fill(free, record);
    this.#setCount(this.#count + 1);
    this.#setMap(free, id);
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

  /** The next identifier from a slot on, with the slot after it; undefined at the end. */
  next(from: number): { readonly id: bigint; readonly after: number } | undefined {
    if (this.#count === 0) return undefined;
    for (let slot = Math.max(from, this.#first); slot < this.#slots; slot++) {
      const id = this.#map[slot]!;
      if (id !== UNSPECIFIED_ID) return { id, after: slot + 1 };
    }
    return undefined;
  }

  get #mapEnd(): number {
    return mapOffset(this.#slots);
  }
  #freeSlot(): number | undefined {
    const slot = this.#map.indexOf(UNSPECIFIED_ID, this.#first);
    return slot < 0 ? undefined : slot;
  }
  /** @param own bytes at the end of the slot that stay as they are. */
  #fill(slot: number, record: Uint8Array, own = 0): void {
    const bytes = new Uint8Array(this.recordSize - own).fill(FILLER);
    bytes.set(record);
    this.#backend.write(slot * this.recordSize, bytes);
  }
  #setMap(slot: number, id: bigint): void {
    this.#map[slot] = id;
    this.#backend.write(mapOffset(slot), encode(ErstStoreSlot, { id }));
  }
  #setCount(count: number): void {
    this.#count = count >>> 0;
    this.#backend.write(COUNT, toLittleEndian(BigInt(this.#count), 4));
  }

  /** Replace a record, by way of a free slot or, in a full store, of bytes nobody uses. All are left as they were found. */
  #overwrite(slot: number, record: Uint8Array, id: bigint): void {
    const free = this.#freeSlot();
    if (free !== undefined) {
      const found = this.#backend.read(free * this.recordSize, this.recordSize);
      this.#fill(free, record);
      this.#setCount(this.#count + 1);
      this.#setMap(free, id);
      this.#putInPlace(slot, record, id);
      this.#setMap(free, UNSPECIFIED_ID);
      this.#setCount(this.#count - 1);
      this.#backend.write(free * this.recordSize, found);
      return;
    }
    const spare = this.#spare(slot, record.length);
    if (!spare || spare.own > this.recordSize - Math.max(record.length, this.#used(slot))) {
      this.#putInPlace(slot, record, id);
      return;
    }
    const { mark, pieces, own } = spare;
    const found = pieces.map(({ offset, length }) => this.#backend.read(offset, length));
    let from = 0;
    for (const { offset, length } of pieces) {
      this.#backend.write(offset, record.subarray(from, from + length));
      from += length;
    }
    const markFound = this.#backend.read(mark, ErstStoreReplacement.size);
    const words = encode(ErstStoreReplacement, { slot, length: record.length, sum: sumOf(record), magic: REPLACEMENT_MAGIC });
    this.#backend.write(mark, words.subarray(0, MAGIC));
    this.#backend.write(mark + MAGIC, words.subarray(MAGIC));
    this.#putInPlace(slot, record, id, own);
    this.#backend.write(mark + MAGIC, markFound.subarray(MAGIC));
    this.#backend.write(mark, markFound.subarray(0, MAGIC));
    pieces.forEach(({ offset, length }, i) => {
      this.#backend.write(offset, offset === this.#end(slot) - own ? new Uint8Array(length).fill(FILLER) : found[i]!);
    });
  }
  /** @param own bytes at the end of the slot that stay as they are. */
  #putInPlace(slot: number, record: Uint8Array, id: bigint, own = 0): void {
    this.#setMap(slot, UNSPECIFIED_ID);
    this.#fill(slot, record, own);
    this.#setMap(slot, id);
  }

  /**
   * Where in a full store a record may be put aside, in pieces: behind the map, behind the records of the other slots,
   * and what is left of it at the end of the slot it is meant for. Nothing of this moves while the record is replaced.
   * @returns undefined when there is no room for the mark.
   */
  #spare(slot: number, length: number): { readonly mark: number; readonly pieces: readonly Piece[]; readonly own: number } | undefined {
    const mark = this.#first * this.recordSize - ErstStoreReplacement.size;
    if (this.#mapEnd > mark) return undefined;
    const pieces: Piece[] = [];
    let left = length;
    const take = (offset: number, room: number) => {
      const size = Math.min(room, left);
      if (size > 0) pieces.push({ offset, length: size });
      left -= size;
    };
    take(this.#mapEnd, mark - this.#mapEnd);
    for (let other = this.#first; other < this.#slots && left > 0; other++) {
      if (other === slot) continue;
      const used = this.#used(other);
      take(other * this.recordSize + used, this.recordSize - used);
    }
    const own = left;
    if (own > this.recordSize) return undefined;
    take(this.#end(slot) - own, own);
    return { mark, pieces, own };
  }
  /** Bytes of a slot that its record takes; all of it when its length makes no sense. */
  #used(slot: number): number {
    const length = viewOf(this.#backend.read(slot * this.recordSize + LENGTH, 4)).getUint32(0, true);
    return length >= RecordHeader.size && length <= this.recordSize ? length : this.recordSize;
  }
  /** Offset behind a slot. */
  #end(slot: number): number {
    return (slot + 1) * this.recordSize;
  }

  /** What a crash between two writes can leave: a replacement that was not finished, one record in two slots, a wrong count. */
  #repair(): string[] {
    const repairs = this.#finishReplacement();
    const seen = new Map<bigint, number>();
    let count = 0;
    for (let slot = this.#first; slot < this.#slots; slot++) {
      const id = this.#map[slot]!;
      if (id === UNSPECIFIED_ID) continue;
      const other = seen.get(id);
      if (other === undefined) {
        seen.set(id, slot);
        count++;
        continue;
      }
      // Both are whole; the first is the one QEMU finds.
      repairs.push(`record ${hexNumber(id)} was in slots ${other} and ${slot}: slot ${slot} is given up`);
      this.#setMap(slot, UNSPECIFIED_ID);
    }
    if (this.#count !== count) {
      repairs.push(`the header counted ${this.#count} records, the map has ${count}`);
      this.#setCount(count);
    }
    return repairs;
  }
  #finishReplacement(): string[] {
    const mark = this.#first * this.recordSize - ErstStoreReplacement.size;
    if (this.#mapEnd > mark) return [];
    const { slot, length, sum, magic } = decode(ErstStoreReplacement, this.#backend.read(mark, ErstStoreReplacement.size));
    if (magic !== REPLACEMENT_MAGIC || slot < this.#first || slot >= this.#slots || length < RecordHeader.size || length > this.recordSize) return [];
    const spare = this.#spare(slot, length);
    const record = spare ? concatBytes(spare.pieces.map(({ offset, length: size }) => this.#backend.read(offset, size))) : new Uint8Array();
    const id = record.length > 0 && sumOf(record) === sum ? viewOf(record).getBigUint64(ID, true) : UNSPECIFIED_ID;
    const repairs: string[] = [];
    // A slot that has an identifier again has its record already, or somebody else has used it meanwhile.
    if (spare && id !== UNSPECIFIED_ID && this.#map[slot] === UNSPECIFIED_ID) {
      this.#fill(slot, record, spare.own);
      this.#setMap(slot, id);
      repairs.push(`record ${hexNumber(id)} was being replaced in slot ${slot}: that is finished`);
    }
    this.#backend.write(mark + MAGIC, new Uint8Array(MAGIC_SIZE));
    this.#backend.write(mark, new Uint8Array(MAGIC));
    for (const { offset, length: size } of id === UNSPECIFIED_ID ? [] : spare!.pieces)
      this.#backend.write(offset, new Uint8Array(size).fill(offset < mark ? 0 : FILLER));
    return repairs;
  }
}

/** Part of a record that is put aside. */
interface Piece {
  readonly offset: number;
  /** Bytes. */
  readonly length: number;
}

/** FNV-1a, 32 bits: tells a record that was put aside from whatever else may lie there. */
function sumOf(bytes: Uint8Array): number {
  let sum = 0x811c_9dc5;
  for (const byte of bytes) sum = Math.imul(sum ^ byte, 0x0100_0193);
  return sum >>> 0;
}
const viewOf = (bytes: Uint8Array) => new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
/** Where in the file a slot's identifier is. */
const mapOffset = (slot: number): number => ErstStoreHeader.size + slot * ErstStoreSlot.size;
