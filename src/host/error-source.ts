/**
 * The error source device: puts error status blocks into guest memory so that a guest that looks at any moment
 * sees nothing or a whole record, and so that no error disappears uncounted (ACPI 6.5 18.3.2.7, 18.3.2.8).
 */
import type { GenericAddress } from "../acpi/generic-address.ts";
import type { Notification } from "../acpi/notification.ts";
import { ErrorDataEntryHeader, ErrorStatusBlockHeader } from "../acpi/status-block.ts";
import { checkRegister } from "../guest/registers.ts";
import { decode, encode, fieldOffset, hexNumber } from "../layout/index.ts";
import type { GuestMemory } from "../machine/memory.ts";

/** Where one source lives in guest memory, as far as the host knows. */
export interface SourceLocation {
  readonly id: number;
  /** Physical address of the status block. */
  readonly block: bigint;
  /** Bytes the block may take. */
  readonly blockLength: number;
  /** Version 2 sources only. */
  readonly acknowledge?: Acknowledge;
  readonly notification?: Notification;
}
export interface Acknowledge {
  readonly register: GenericAddress;
  readonly preserve: bigint;
  readonly write: bigint;
  /** Other sources are acknowledged through the same word. */
  readonly shared?: boolean;
}
export type Located = { readonly location: SourceLocation } | { readonly location?: undefined; readonly message: string };
/** Looked up anew for every record: the guest may have moved or broken its tables. */
export type Locate = (id: number) => Located;

/** What happens to a record while the guest has not acknowledged the one before. */
export type WhenUnacknowledged =
  | { readonly action: "refuse" }
  | { readonly action: "queue"; readonly limit: number; readonly whenFull: "dropOldest" | "dropNewest" }
  /** Corrected errors are folded into a waiting corrected one of the same kind; others wait in a queue. */
  | { readonly action: "merge"; readonly limit: number; readonly whenFull: "dropOldest" | "dropNewest" }
  /** The record is lost, and the next one that is written says so in its overflow flag. */
  | { readonly action: "overflow" };

export interface RecordingPolicy {
  readonly unacknowledged: WhenUnacknowledged;
  /**
   * `statusLast`: the block status is the last store, so a guest that polls never sees half a record.
   * `ascending`: all bytes from the first on, as QEMU does; whole only for a guest that waits for its notification.
   */
  readonly stores: "statusLast" | "ascending";
  /** `bits`: the write mask must be set. `nonzero`: any bit of the register will do, and taking it back clears them all, as QEMU does. */
  readonly acknowledgement: "bits" | "nonzero";
  /**
   * A word that several sources share. `blockStatus`, the default: each source's cleared status is its acknowledgement, the
   * word is left alone. `register`: the word is trusted and taken back as if it were the source's own; the guest's
   * read-modify-write for another source can then undo that, or acknowledge what nobody has read.
   */
  readonly sharedAcknowledge?: "blockStatus" | "register";
  /**
   * What follows when a source cannot be found; default: `refuse`.
   * `addressZero`: the error is reported, and yet the record is written as if register and block were at address 0
   * (QEMU 10.2.0 to 10.2.2).
   */
  readonly lookupFailure?: "refuse" | "addressZero";
  /** What follows when the guest's pointer to the block is zero; default: `refuse`. `write`: the record goes to address 0 (QEMU from 10.2 on). */
  readonly zeroPointer?: "refuse" | "write";
}

/** QEMU's words (hw/acpi/ghes.c). */
export const MESSAGE = {
  tooBig: (length: number) => `GHES CPER record is too big: ${length}`,
  unacknowledged: "OSPM does not acknowledge previous error, so can not record CPER for current error anymore",
  zeroPointer: "can not find Generic Error Status Block",
} as const;

/** `asserted`: refused, and the monitor dies of it. */
export type Outcome = "written" | "queued" | "refused" | "dropped" | "merged" | "overflowed" | "asserted";

export interface SourceEvent {
  readonly kind: Outcome | "overwritten";
  readonly source: number;
  readonly text: string;
  readonly address?: bigint;
  readonly block?: Uint8Array;
}

/** Every record handed in ends in exactly one of these: `submitted` is the sum of the others. `asserted` counts as refused. */
export interface Account {
  submitted: number;
  written: number;
  waiting: number;
  refused: number;
  dropped: number;
  merged: number;
  overflowed: number;
  /** Stored whole, but replaced by the next one before anybody cleared its status. */
  overwritten: number;
}

interface Waiting {
  readonly block: Uint8Array;
  /** Whatever its owner wants back when it is written. */
  readonly tag: unknown;
}
interface SourceState {
  readonly queue: Waiting[];
  /** Records lost since the last one written. */
  lost: number;
  readonly account: Account;
}
/** All a device remembers; plain data, so that it can be copied. */
export type DeviceState = Map<number, SourceState>;

const STATUS = fieldOffset(ErrorStatusBlockHeader, "blockStatus");
const FIRST_ENTRY = ErrorStatusBlockHeader.size;
const FLAGS = FIRST_ENTRY + fieldOffset(ErrorDataEntryHeader, "flags");
const OVERFLOW = 0x80;
/** Bytes QEMU takes for a record before it has looked up anything. */
const QEMU_BLOCK_LENGTH = 1024;

export interface ErrorSourceOptions {
  readonly memory: GuestMemory;
  readonly locate: Locate;
  readonly policy: RecordingPolicy;
  readonly report?: (event: SourceEvent) => void;
  readonly state?: DeviceState;
}

/** Writes records where the guest looks for them, by a policy, and accounts for every error it was given. */
export class ErrorSourceDevice {
  readonly state: DeviceState;
  readonly #options: ErrorSourceOptions;

  constructor(options: ErrorSourceOptions) {
    this.#options = options;
    this.state = options.state ?? new Map();
  }

  /**
   * Hand in a whole error status block for a source.
   * @param tag comes back from `service` when the record had to wait.
   * @returns what became of it; after `written` the source wants its notification raised.
   */
  record(id: number, block: Uint8Array, tag?: unknown): Outcome {
    const state = this.#stateOf(id);
    state.account.submitted++;
    const location = this.#locate(id);
    if (typeof location === "string")
      return this.#options.policy.lookupFailure === "addressZero" ? this.#goOnAtZero(id, location, block) : this.#refuse(id, location);
    const problem = this.#unfit(location, block);
    if (problem !== undefined) return this.#refuse(id, problem);
    const free = this.#reach(id, () => state.queue.length === 0 && this.#isFree(location));
    if (typeof free === "string") return this.#refuse(id, free);
    if (!free) return this.#postpone(id, state, { block, tag });
    if (this.#leadsNowhere(location)) return this.#refuse(id, MESSAGE.zeroPointer);
    const failure = this.#reach(id, () => this.#store(location, state, block));
    return typeof failure === "string" ? this.#refuse(id, failure) : "written";
  }

  /**
   * Write what waits, for every source the guest has acknowledged meanwhile.
   * @returns the sources that want their notification raised.
   */
  service(): { readonly source: number; readonly tag: unknown }[] {
    const written: { source: number; tag: unknown }[] = [];
    for (const [id, state] of this.state) {
      const next = state.queue[0];
      if (!next) continue;
      const location = this.#locate(id);
      if (typeof location === "string") continue;
      const done = this.#reach(id, () => {
        if (!this.#isFree(location) || this.#leadsNowhere(location)) return false;
        this.#store(location, state, next.block);
        return true;
      });
      if (done !== true) continue;
      state.queue.shift();
      state.account.waiting--;
      written.push({ source: id, tag: next.tag });
    }
    return written;
  }

  /** The machine is reset: what waits was meant for a guest that is gone. Every record given up is counted as dropped. */
  reset(): void {
    for (const [id, state] of this.state) {
      const given = state.queue.splice(0);
      state.account.waiting -= given.length;
      state.account.dropped += given.length;
      state.lost = 0;
      if (given.length > 0)
        this.#tell("dropped", id, `source ${id}: ${given.length} waited for a guest that is gone: given up (${state.account.dropped} dropped so far)`);
    }
  }

  /** Whether a source's previous record is out of the way; undefined when the source cannot be found. */
  isFree(id: number): boolean | undefined {
    const location = this.#locate(id);
    if (typeof location === "string") return undefined;
    const free = this.#reach(id, () => this.#isFree(location));
    return typeof free === "string" ? undefined : free;
  }

  /** Whether a record lies in a source's block that nobody has cleared. */
  isUnread(id: number): boolean {
    const location = this.#locate(id);
    if (typeof location === "string") return false;
    const status = this.#reach(id, () => this.#options.memory.readWord(location.block + BigInt(STATUS), 4));
    return typeof status === "bigint" && status !== 0n;
  }

  account(id: number): Readonly<Account> {
    return this.#stateOf(id).account;
  }

  #leadsNowhere(location: SourceLocation): boolean {
    return location.block === 0n && this.#options.policy.zeroPointer !== "write";
  }
  #isFree(location: SourceLocation): boolean {
    const { memory, policy } = this.#options;
    const acknowledge = location.acknowledge;
    const blockFree = () => memory.readWord(location.block + BigInt(STATUS), 4) === 0n;
    // Nobody acknowledges version 1. A shared word cannot be taken back for one source without racing the guest's
    // read-modify-write for another. In both cases the cleared block status is the acknowledgement.
    if (!acknowledge || this.#leavesAlone(acknowledge)) return blockFree();
    const value = memory.readWord(acknowledge.register.address, sizeOf(acknowledge));
    if (policy.acknowledgement === "nonzero") return value !== 0n;
    const bits = bitsOf(acknowledge);
    return (value & bits) === bits;
  }

  #leavesAlone(acknowledge: Acknowledge): boolean {
    return acknowledge.shared === true && this.#options.policy.sharedAcknowledge !== "register";
  }

  /** The order of stores is the protocol. */
  #store(location: SourceLocation, state: SourceState, record: Uint8Array): void {
    const { memory, policy, report } = this.#options;
    const { acknowledge, block, id } = location;
    const bytes = state.lost > 0 ? flagged(record) : record;
    // 1. Take the acknowledgement back while the block is still empty: done later, it could erase the guest's answer.
    if (acknowledge && !this.#leavesAlone(acknowledge)) {
      const size = sizeOf(acknowledge);
      const kept = policy.acknowledgement === "nonzero" ? 0n : memory.readWord(acknowledge.register.address, size) & ~bitsOf(acknowledge);
      memory.writeWord(acknowledge.register.address, size, kept);
    }
    const uncleared = memory.readWord(block + BigInt(STATUS), 4) !== 0n;
    if (uncleared && state.account.written > 0) {
      state.account.written--;
      state.account.overwritten++;
      this.#tell("overwritten", id, `source ${id}: acknowledged, but its status was never cleared: the record before this one is overwritten, perhaps unread`);
    }
    if (policy.stores === "ascending") memory.write(block, bytes);
    else {
      const rest = STATUS + 4;
      // 2. A guest that acknowledged without clearing the status must not see the new body under the old status.
      if (uncleared) memory.writeWord(block + BigInt(STATUS), 4, 0n);
      // 3. The body, in any order.
      memory.write(block + BigInt(rest), bytes.subarray(rest));
      // 4. The status: this single store makes the record exist.
      memory.writeWord(block + BigInt(STATUS), 4, BigInt(statusOf(bytes)));
    }
    state.account.written++;
    const lost = state.lost;
    state.lost = 0;
    report?.({
      kind: "written",
      source: id,
      address: block,
      block: bytes,
      text: `source ${id}: record of ${bytes.length} bytes at ${hexNumber(block)}${lost > 0 ? `, flagged: ${lost} lost before it` : ""}`,
    });
  }

  #postpone(id: number, state: SourceState, waiting: Waiting): Outcome {
    const record = waiting.block;
    const policy = this.#options.policy.unacknowledged;
    const { account, queue } = state;
    if (policy.action === "refuse") return this.#refuse(id, MESSAGE.unacknowledged);
    if (policy.action === "overflow") {
      state.lost++;
      account.overflowed++;
      return this.#tell(
        "overflowed",
        id,
        `source ${id}: not acknowledged: record lost, the next one will carry the overflow flag (${account.overflowed} so far)`,
        record,
      );
    }
    if (policy.action === "merge" && isCorrected(record)) {
      const same = queue.findIndex((other) => isCorrected(other.block) && kindOf(other.block) === kindOf(record));
      if (same >= 0) {
        queue[same] = { ...queue[same]!, block: multiple(queue[same]!.block) };
        account.merged++;
        return this.#tell("merged", id, `source ${id}: corrected error folded into the one that waits (${account.merged} so far)`, record);
      }
    }
    if (queue.length >= policy.limit) {
      account.dropped++;
      // The next record written tells the guest that something is missing.
      state.lost++;
      if (policy.whenFull === "dropNewest" || policy.limit === 0)
        return this.#tell("dropped", id, `source ${id}: ${queue.length} wait already: this record is dropped (${account.dropped} so far)`, record);
      const oldest = queue.shift()!.block;
      queue.push(waiting);
      this.#tell("dropped", id, `source ${id}: ${queue.length} wait already: the oldest is dropped (${account.dropped} so far)`, oldest);
      return this.#tell("queued", id, `source ${id}: not acknowledged: record waits as number ${queue.length}`, record);
    }
    queue.push(waiting);
    account.waiting++;
    return this.#tell("queued", id, `source ${id}: not acknowledged: record waits as number ${queue.length}`, record);
  }

  #unfit(location: SourceLocation, record: Uint8Array): string | undefined {
    if (record.length > location.blockLength) return MESSAGE.tooBig(record.length);
    // QEMU takes any bytes; the guest ignores what has no status.
    if (this.#options.policy.stores === "ascending") return undefined;
    if (record.length < FIRST_ENTRY) return `${record.length} bytes are no error status block`;
    if (statusOf(record) === 0) return "block status is zero: no guest would look at it";
    if ((location.block & 3n) !== 0n) return `the status block at ${hexNumber(location.block)} is not aligned: its status cannot be stored in one access`;
    return undefined;
  }

  /** The lookup's error is set, and nobody looks at it: both addresses are still zero. */
  #goOnAtZero(id: number, message: string, record: Uint8Array): Outcome {
    const { memory } = this.#options;
    if (record.length > QEMU_BLOCK_LENGTH) return this.#refuse(id, MESSAGE.tooBig(record.length));
    const acknowledged = this.#reach(id, () => memory.readWord(0n, 8));
    if (typeof acknowledged === "string" || acknowledged === 0n) {
      this.#stateOf(id).account.refused++;
      return this.#tell(
        "asserted",
        id,
        `${message} Nothing acknowledges at address 0: a second error is set where the first still stands, which QEMU asserts never to happen`,
      );
    }
    const failure = this.#reach(id, () => {
      memory.writeWord(0n, 8, 0n);
      memory.write(0n, record);
    });
    const words = typeof failure === "string" ? failure : `the acknowledge register and ${record.length} bytes of record are written to address 0`;
    return this.#refuse(id, `${message} QEMU goes on all the same: ${words}`);
  }

  #refuse(id: number, text: string): Outcome {
    this.#stateOf(id).account.refused++;
    return this.#tell("refused", id, text);
  }
  #tell<K extends SourceEvent["kind"]>(kind: K, source: number, text: string, block?: Uint8Array): K {
    this.#options.report?.({ kind, source, text, ...(block && { block }) });
    return kind;
  }
  #locate(id: number): SourceLocation | string {
    const found = this.#reach(id, () => this.#options.locate(id));
    if (typeof found === "string") return found;
    return found.location ?? found.message;
  }
  /** The guest chooses the addresses: where there is no memory, the answer is words, not an exception. */
  #reach<T>(id: number, body: () => T): T | string {
    try {
      return body();
    } catch (error) {
      if ((error as Error).name !== "MemoryFault") throw error;
      return `source ${id}: ${(error as Error).message}`;
    }
  }
  #stateOf(id: number): SourceState {
    let state = this.state.get(id);
    if (!state) {
      state = { queue: [], lost: 0, account: { submitted: 0, written: 0, waiting: 0, refused: 0, dropped: 0, merged: 0, overflowed: 0, overwritten: 0 } };
      this.state.set(id, state);
    }
    return state;
  }
}

/** Bits of the register the guest sets to acknowledge. */
const bitsOf = ({ register, write }: Acknowledge): bigint => BigInt.asUintN(64, write << BigInt(register.registerBitOffset));
const sizeOf = ({ register }: Acknowledge) => {
  const verdict = checkRegister(register);
  return verdict.ok ? verdict.size : 8;
};

const statusOf = (block: Uint8Array): number => new DataView(block.buffer, block.byteOffset).getUint32(STATUS, true);
const isCorrected = (block: Uint8Array): boolean => block.length >= FIRST_ENTRY && decode(ErrorStatusBlockHeader, block).errorSeverity === "corrected";
/** Section type and FRU text of the first entry: what makes two corrected errors the same kind. */
const kindOf = (block: Uint8Array): string => {
  if (block.length < FIRST_ENTRY + ErrorDataEntryHeader.size) return "";
  const entry = decode(ErrorDataEntryHeader, block, FIRST_ENTRY);
  return `${entry.sectionType} ${entry.fruText}`;
};
/** The same block saying that it stands for several corrected errors. */
function multiple(block: Uint8Array): Uint8Array {
  const header = decode(ErrorStatusBlockHeader, block);
  const out = block.slice();
  out.set(encode(ErrorStatusBlockHeader, { ...header, blockStatus: { ...header.blockStatus, multipleCorrectableErrors: true } }));
  return out;
}
/** The same block with the overflow flag of its first entry set: records before it were lost. */
function flagged(block: Uint8Array): Uint8Array {
  if (block.length <= FLAGS) return block;
  const out = block.slice();
  out[FLAGS] = out[FLAGS]! | OVERFLOW;
  return out;
}
