/** The error record store of a scenario's machine: what it begins with, the device and driver at it, what is left in it. */
import { ERST_ACTION } from "../acpi/action-entry.ts";
import { qemuErst } from "../acpi/build-tables.ts";
import { RecordHeader } from "../cper/record.ts";
import { buildRecord, type CperRecord, cperFormat, parseRecord } from "../cper/record-codec.ts";
import { sectionTypes } from "../cper/registry.ts";
import { ErstDriver } from "../guest/erst.ts";
import { messageText, pstoreHeader } from "../guest/pstore.ts";
import { ERST_REGISTER, ErstDevice } from "../host/erst-device.ts";
import { ERST_COMMAND, ErstMailbox, erstRegisterAt, mailboxErst } from "../host/erst-mailbox.ts";
import { DEFAULT_RECORD_SIZE, ErstStorage, emptyStore, INVALID_ID, MemoryBackend, UNSPECIFIED_ID } from "../host/erst-storage.ts";
import { type Mapping, MemoryWithDevices, memoryAt, watchedDevice } from "../host/mmio.ts";
import { fieldLabel, hexNumber, hexToBytes, parse, UsageError } from "../layout/index.ts";
import { SparseMemory } from "../machine/memory.ts";
import { type Outside, readerOf } from "./outside.ts";
import { sectionOf } from "./record.ts";
import type { ErrorStoreChoice, LeftRecord, MachineChoice, StoredRecord } from "./schema.ts";

/** Bytes of a new store. */
const NEW_STORE = 0x20000;
/** The exchange buffer lies behind the registers. */
const BUFFER_OFFSET = 0x2000n;

const format = cperFormat();
const choiceOf = (store: NonNullable<MachineChoice["errorStore"]>): ErrorStoreChoice => (typeof store === "number" ? { size: store } : store);

/**
 * The bytes of the store before the machine starts; undefined when it has none.
 * @throws UsageError, EncodeError naming the member that is wrong.
 */
export function storeBytes(store: MachineChoice["errorStore"], outside: Outside): Uint8Array | undefined {
  if (outside.store) return outside.store.slice();
  if (store === undefined) return undefined;
  const { size = NEW_STORE, recordSize = DEFAULT_RECORD_SIZE, file, records = [] } = choiceOf(store);
  const bytes = file === undefined ? emptyStore(size, recordSize) : readerOf(outside)(file).slice();
  let storage: ErstStorage;
  try {
    storage = new ErstStorage(new MemoryBackend(bytes));
  } catch (error) {
    throw error instanceof UsageError && file !== undefined ? new UsageError(`machine.errorStore.file: ${file}: ${error.message}`) : error;
  }
  for (const [i, record] of records.entries()) {
    const path = `machine.errorStore.records[${i}]`;
    if ([UNSPECIFIED_ID, INVALID_ID].includes(BigInt(record.id))) throw new UsageError(`${path}.id: zero and all ones stand for no record`);
    const content = recordBytes(record, path);
    if (content.length > storage.recordSize) throw new UsageError(`${path}: has ${content.length} bytes, a slot of the store ${storage.recordSize}`);
    if (!storage.write(content, BigInt(record.id))) throw new UsageError(`${path}: the store is full`);
  }
  return bytes;
}

function recordBytes({ id, text, sections, severity = "fatal", creatorId, seconds, record }: StoredRecord, path: string): Uint8Array {
  if ([text, sections, record].filter((given) => given !== undefined).length !== 1)
    throw new UsageError(`${path}: a stored record has one of text, sections and record`);
  if (record !== undefined) return hexToBytes(record)!;
  const recordId = BigInt(id);
  const header = creatorId === undefined ? { ...pstoreHeader(recordId, seconds), severity } : { severity, recordId, creatorId };
  const bodies =
    text !== undefined
      ? [{ descriptor: { severity }, type: sectionTypes.byName("linuxMessages")!, body: { text: new TextEncoder().encode(text) } }]
      : sections!.map(({ severity: own = severity, fruText, ...section }, i) => ({
          descriptor: { severity: own, ...(fruText !== undefined && { fruText }) },
          ...sectionOf(section, `${path}.sections[${i}]`),
        }));
  return buildRecord(
    header,
    bodies.map(({ descriptor, ...section }, i) => ({ descriptor: { ...descriptor, flags: { primary: i === 0 } }, ...section })),
  );
}

/** How a guest reaches a store. */
interface StoreInterface {
  readonly table: Uint8Array;
  readonly mappings: readonly Mapping[];
  /** The register or buffer at so many bytes behind the start of a mapping, and what a value written there asks for. */
  readonly words: (mapping: number, offset: number, value: bigint | undefined) => string;
  reset(): void;
}

/** QEMU's device, which only its x86 machines have. */
function qemuInterface(storage: ErstStorage, base: bigint): StoreInterface {
  const buffer = base + BUFFER_OFFSET;
  const device = new ErstDevice(storage, buffer);
  return {
    table: qemuErst(base),
    mappings: [
      { start: base, device: device.registers },
      { start: buffer, device: device.exchange },
    ],
    words: (mapping, offset, value) => {
      if (mapping === 1) return BUFFER_WORDS;
      if (offset !== ERST_REGISTER.action) return "the value register of the error record store";
      const action = Object.entries(ERST_ACTION).find(([, code]) => BigInt(code) === value)?.[0];
      return `the action register of the error record store${action === undefined ? "" : ` (${fieldLabel(action)})`}`;
    },
    reset: () => device.reset(),
  };
}
/** Registers in memory, as real arm64 guests have them too. */
function memoryInterface(storage: ErstStorage, base: bigint): StoreInterface {
  const mailbox = new ErstMailbox(storage);
  const memory = memoryAt(base, mailbox.image);
  return {
    table: mailboxErst(base),
    mappings: [{ start: base, device: watchedDevice(mailbox.image, () => mailbox.service(memory, base)) }],
    words: (_, offset, value) => {
      const name = erstRegisterAt(offset);
      if (name === undefined) return BUFFER_WORDS;
      const command = name === "command" ? Object.entries(ERST_COMMAND).find(([, code]) => BigInt(code) === value)?.[0] : undefined;
      return `the ${fieldLabel(name)} register of the error record store${command === undefined ? "" : ` (${command})`}`;
    },
    reset: () => mailbox.reset(),
  };
}
const INTERFACES = { x86: qemuInterface, arm64: memoryInterface } as const;
const BUFFER_WORDS = "the exchange buffer of the error record store";

/** The device at a store, its table, and the kernel's driver, as long as a machine runs. */
export class StoreDevice {
  /** Changes as the guest writes. */
  readonly bytes: Uint8Array;
  readonly table: Uint8Array;
  readonly mappings: readonly Mapping[];
  readonly #interface: StoreInterface;

  /**
   * @param bytes of the store.
   * @param base where the guest finds its registers.
   * @param architecture whose way of reaching it the guest has.
   * @throws UsageError for bytes that are no store.
   */
  constructor(bytes: Uint8Array, base: bigint, architecture: keyof typeof INTERFACES = "x86") {
    this.bytes = bytes.slice();
    this.#interface = INTERFACES[architecture](new ErstStorage(new MemoryBackend(this.bytes), { repair: false }), base);
    this.table = this.#interface.table;
    this.mappings = this.#interface.mappings;
  }

  /** What of the device lies at an address, and what a value written there asks for; undefined for what is not its own. */
  wordsAt(address: bigint, value?: bigint): string | undefined {
    const at = this.mappings.findIndex(({ start, device }) => address >= start && address < start + BigInt(device.length));
    const mapping = this.mappings[at];
    return mapping && this.#interface.words(at, Number(address - mapping.start), value);
  }

  /** The machine is reset; what is stored stays. */
  reset(): void {
    this.#interface.reset();
  }
  /** The driver of a kernel that has this device alone. */
  driver(): ErstDriver {
    return new ErstDriver({ memory: new MemoryWithDevices(new SparseMemory([]), this.mappings) }, this.table);
  }
}

/** The records of a store, in slot order. */
export function storedRecords(bytes: Uint8Array): readonly { readonly id: bigint; readonly bytes: Uint8Array; readonly record: CperRecord }[] {
  const storage = new ErstStorage(new MemoryBackend(bytes.slice()), { repair: false });
  return storage.ids.flatMap((id) => {
    const slot = storage.read(id);
    if (!slot) return [];
    const { recordLength = 0 } = parse(RecordHeader, slot);
    const own = slot.subarray(0, Math.min(recordLength, slot.length));
    return [{ id, bytes: own, record: parseRecord(own) }];
  });
}

/** A stored record in one line. */
export const storedLine = ({ id, record }: { readonly id: bigint; readonly record: CperRecord }): string => `${hexNumber(id)}: ${format.summary(record)}`;

/** What is missing of the records that must be left, in words. */
export function missingRecords(store: MachineChoice["errorStore"], bytes: Uint8Array): string[] {
  const records = storedRecords(bytes);
  return (choiceOf(store ?? {}).left ?? []).flatMap((wanted) => (records.some((stored) => matches(wanted, stored)) ? [] : [leftWords(wanted)]));
}
const leftWords = ({ id, kind, contains = [] }: LeftRecord): string =>
  [`record${id === undefined ? "" : ` ${hexNumber(BigInt(id))}`}`, ...(kind === undefined ? [] : [kind]), ...contains.map((text) => JSON.stringify(text))].join(
    ", ",
  );

function matches({ id, kind, contains = [] }: LeftRecord, stored: { readonly id: bigint; readonly record: CperRecord }): boolean {
  const body = stored.record.sections[0]?.body;
  const text = (body && messageText(body)) ?? "";
  return (id === undefined || BigInt(id) === stored.id) && (kind === undefined || body?.type?.name === kind) && contains.every((part) => text.includes(part));
}
