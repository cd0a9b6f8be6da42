/**
 * Every interleaving of programs that share memory. The programs are ordinary synchronous functions over
 * GuestMemory; a step is one load or store. A program is taken to its next step by running it again from the
 * start of its activity with the answers it got before.
 *
 * A program may run on a processor that orders its stores as weakly as arm64 does: they become visible to the others
 * one by one, in any order but for those to the same place. An aligned word is a store with release semantics, which
 * comes after all before it, as Atomics.store is on such a processor; bytes are plain stores.
 */
import { type AccessSize, fromLittleEndian, type GuestMemory, toLittleEndian } from "../../src/machine/memory.ts";

class Pause extends Error {}

/** A few windows of memory that can be copied and compared quickly. */
export class SmallMemory implements GuestMemory {
  readonly windows: readonly (readonly [start: bigint, length: number])[];
  readonly bytes: Uint8Array;
  constructor(windows: SmallMemory["windows"], bytes = new Uint8Array(windows.reduce((sum, [, length]) => sum + length, 0))) {
    this.windows = windows;
    this.bytes = bytes;
  }
  copy(): SmallMemory {
    return new SmallMemory(this.windows, this.bytes.slice());
  }
  #at(address: bigint, length: number): number {
    let base = 0;
    for (const [start, size] of this.windows) {
      const at = Number(address - start);
      if (at >= 0 && at + length <= size) return base + at;
      base += size;
    }
    throw new Error(`0x${address.toString(16)} is in no window`);
  }
  read(address: bigint, length: number): Uint8Array {
    const at = this.#at(address, length);
    return this.bytes.slice(at, at + length);
  }
  write(address: bigint, bytes: Uint8Array): void {
    this.bytes.set(bytes, this.#at(address, bytes.length));
  }
  readWord(address: bigint, size: AccessSize): bigint {
    return this.read(address, size).reduceRight((sum, byte) => (sum << 8n) | BigInt(byte), 0n);
  }
  writeWord(address: bigint, size: AccessSize, value: bigint): void {
    const at = this.#at(address, size);
    for (let i = 0; i < size; i++) this.bytes[at + i] = Number((value >> BigInt(8 * i)) & 255n);
  }
}

/** A store that its own program has made and nobody else sees yet. */
interface PendingStore {
  readonly address: bigint;
  readonly bytes: Uint8Array;
  readonly release: boolean;
}
const meet = (a: PendingStore, b: PendingStore): boolean => a.address < b.address + BigInt(b.bytes.length) && b.address < a.address + BigInt(a.bytes.length);
/** Which of the pending stores, in program order, may become visible next. */
const mayFlush = (pending: readonly PendingStore[]): number[] =>
  pending.flatMap((store, i) => (pending.slice(0, i).some((earlier) => store.release || meet(earlier, store)) ? [] : [i]));

/** The load has to wait for a store of the same program. */
class Blocked extends Error {}

/** Memory behind a store buffer: a program sees its own stores, the others see them once they are flushed. */
class BufferedMemory implements GuestMemory {
  readonly pending: PendingStore[];
  readonly #memory: SmallMemory;
  constructor(memory: SmallMemory, pending: readonly PendingStore[]) {
    this.#memory = memory;
    this.pending = [...pending];
  }
  read(address: bigint, length: number): Uint8Array {
    const own = this.#memory.copy();
    for (const store of this.pending) own.write(store.address, store.bytes);
    return own.read(address, length);
  }
  write(address: bigint, bytes: Uint8Array): void {
    this.pending.push({ address, bytes: bytes.slice(), release: false });
  }
  /** Acquires, and comes after every release before it. */
  readWord(address: bigint, size: AccessSize): bigint {
    if (this.pending.some(({ release }) => release)) throw new Blocked();
    return fromLittleEndian(this.read(address, size));
  }
  writeWord(address: bigint, size: AccessSize, value: bigint): void {
    this.pending.push({ address, bytes: toLittleEndian(value, size), release: true });
  }
}

type Answer = bigint | Uint8Array | undefined;

/** Answers the first operations from the log, does one more for real, and stops at the one after. */
class SteppedMemory implements GuestMemory {
  #at = 0;
  done = false;
  readonly log: Answer[];
  readonly #real: GuestMemory;
  readonly #chunk: number;
  constructor(log: Answer[], real: GuestMemory, chunk: number) {
    this.log = log;
    this.#real = real;
    this.#chunk = chunk;
  }
  #step<T extends Answer>(body: () => T): T {
    if (this.#at < this.log.length) return this.log[this.#at++] as T;
    if (this.done) throw new Pause();
    this.done = true;
    const answer = body();
    this.log.push(answer);
    this.#at++;
    return answer;
  }
  read(address: bigint, length: number): Uint8Array {
    const out = new Uint8Array(length);
    for (let at = 0; at < length; at += this.#chunk)
      out.set(
        this.#step(() => this.#real.read(address + BigInt(at), Math.min(this.#chunk, length - at))),
        at,
      );
    return out;
  }
  write(address: bigint, bytes: Uint8Array): void {
    for (let at = 0; at < bytes.length; at += this.#chunk)
      this.#step(() => {
        this.#real.write(address + BigInt(at), bytes.subarray(at, at + this.#chunk));
        return undefined;
      });
  }
  readWord(address: bigint, size: AccessSize): bigint {
    return this.#step(() => this.#real.readWord(address, size));
  }
  writeWord(address: bigint, size: AccessSize, value: bigint): void {
    this.#step(() => {
      this.#real.writeWord(address, size, value);
      return undefined;
    });
  }
}

/** A program: its state between activities, and the activity that comes next. */
export interface Program<S> {
  readonly start: S;
  /** The next activity's outcome; undefined when the program has ended. Must not change `state`. */
  next(state: S): ((memory: GuestMemory) => S) | undefined;
  key(state: S): string;
}

export interface Exploration {
  readonly states: number;
  /** What `check` found first, if anything. */
  readonly violation: string | undefined;
  /** Whether from some state the goal can no longer be reached. */
  readonly stuck: boolean;
}

interface Node {
  readonly memory: SmallMemory;
  readonly states: readonly unknown[];
  readonly logs: readonly Answer[][];
  /** By program; always empty for those that are not weak. */
  readonly pending: readonly (readonly PendingStore[])[];
}

/**
 * Visit every reachable state.
 * @param check says what is wrong with a combination of program states.
 * @param goal whether all work is done.
 * @param chunk bytes a plain copy moves in one step.
 * @param weak programs on a processor that orders stores weakly.
 */
export function explore(
  memory: SmallMemory,
  programs: readonly Program<never>[],
  check: (states: readonly never[]) => string | undefined,
  goal: (states: readonly never[]) => boolean,
  chunk: number,
  weak: readonly number[] = [],
): Exploration {
  const keyOf = (node: Node) =>
    `${Buffer.from(node.memory.bytes).toString("latin1")}|${node.states.map((state, i) => programs[i]!.key(state as never)).join("|")}|${node.logs.map((log) => log.map((answer) => (answer instanceof Uint8Array ? Buffer.from(answer).toString("latin1") : String(answer))).join(",")).join("|")}|${node.pending.map((stores) => stores.map(({ address, bytes, release }) => `${address}${release}${Buffer.from(bytes).toString("latin1")}`).join()).join("|")}`;
  const first: Node = { memory: memory.copy(), states: programs.map(({ start }) => start), logs: programs.map(() => []), pending: programs.map(() => []) };
  const numbers = new Map<string, number>([[keyOf(first), 0]]);
  const before: number[][] = [[]];
  const good: number[] = [];
  const open: [Node, number][] = [[first, 0]];
  for (let entry = open.pop(); entry; entry = open.pop()) {
    const [node, number] = entry;
    const violation = check(node.states as never[]);
    if (violation !== undefined) return { states: numbers.size, violation, stuck: false };
    if (goal(node.states as never[]) && node.logs.every((log) => log.length === 0) && node.pending.every((stores) => stores.length === 0)) good.push(number);
    const reach = (next: Node) => {
      const key = keyOf(next);
      let known = numbers.get(key);
      if (known === undefined) {
        known = numbers.size;
        numbers.set(key, known);
        before.push([]);
        open.push([next, known]);
      }
      before[known]!.push(number);
    };
    node.pending.forEach((stores, i) => {
      for (const which of mayFlush(stores)) {
        const real = node.memory.copy();
        real.write(stores[which]!.address, stores[which]!.bytes);
        reach({ ...node, memory: real, pending: node.pending.with(i, stores.toSpliced(which, 1)) });
      }
    });
    programs.forEach((program, i) => {
      const activity = program.next(node.states[i] as never);
      if (!activity) return;
      const real = node.memory.copy();
      const buffered = weak.includes(i) ? new BufferedMemory(real, node.pending[i]!) : undefined;
      const stepped = new SteppedMemory([...node.logs[i]!], buffered ?? real, chunk);
      const states = [...node.states];
      const logs = [...node.logs];
      try {
        states[i] = activity(stepped);
        logs[i] = [];
      } catch (error) {
        if (error instanceof Blocked) return;
        if (!(error instanceof Pause)) throw error;
        logs[i] = stepped.log;
      }
      reach({ memory: real, states, logs, pending: buffered ? node.pending.with(i, buffered.pending) : node.pending });
    });
  }
  const reaching = new Set(good);
  for (let number = good.pop(); number !== undefined; number = good.pop())
    for (const from of before[number]!) {
      if (reaching.has(from)) continue;
      reaching.add(from);
      good.push(from);
    }
  return { states: numbers.size, violation: undefined, stuck: reaching.size < numbers.size };
}
