/**
 * Every interleaving of programs that share memory. The programs are ordinary synchronous functions over
 * GuestMemory; a step is one load or store. A program is taken to its next step by running it again from the
 * start of its activity with the answers it got before.
 *
 * A program may run on a processor that orders its accesses as weakly as arm64 does. Its stores become visible to the
 * others one by one, in any order but for those to the same place; its loads may have been done earlier than where
 * they stand, so that each gives what was at its place at any time since the last barrier. An aligned word is stored
 * with release semantics, which come after all before, and loaded with acquire semantics, which come before all behind,
 * as Atomics.store and Atomics.load are on such a processor; bytes are plain. That a load may also be done later than a
 * store behind it is not modelled here: a program that has them the other way round stands for that.
 */
import { type AccessSize, fromLittleEndian, type GuestMemory, toLittleEndian } from "../../src/machine/memory.ts";

class Pause extends Error {}

/** A few windows of memory that can be copied and compared quickly. */
export class SmallMemory implements GuestMemory {
  readonly windows: readonly (readonly [start: bigint, length: number])[];
  readonly bytes: Uint8Array;
  constructor(windows: SmallMemory["windows"], bytes: Uint8Array = new Uint8Array(windows.reduce((sum, [, length]) => sum + length, 0))) {
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

/** A store of another program that this one may not have seen: what was there before it. */
interface Unseen {
  /** Which store it is a part of. */
  readonly store: number;
  readonly address: bigint;
  readonly before: Uint8Array;
}
/** Bytes in which stores are told apart from each other: no load begins or ends within them. */
const GRAIN = 4;

/** What a program that loads weakly finds: for a plain load what was there now or before stores it has not seen. */
class EarlyMemory implements ExploredMemory {
  /** In the order in which they became visible. */
  unseen: readonly Unseen[];
  /** How many outcomes the plain load that was made could have had. */
  outcomes = 1;
  readonly #memory: GuestMemory;
  readonly #outcome: number;
  /** @param outcome of a plain load: how many of the stores to its place it has not seen are seen now. */
  constructor(memory: GuestMemory, unseen: readonly Unseen[], outcome: number) {
    this.#memory = memory;
    this.unseen = unseen;
    this.#outcome = outcome;
  }
  #at({ address, before }: Unseen, start: bigint, length: number): boolean {
    return address < start + BigInt(length) && start < address + BigInt(before.length);
  }
  read(start: bigint, length: number): Uint8Array {
    const here = this.unseen.filter((entry) => this.#at(entry, start, length));
    const stores = [...new Set(here.map(({ store }) => store))];
    this.outcomes = stores.length + 1;
    const seen = new Set(stores.slice(0, this.#outcome));
    const out = this.#memory.read(start, length);
    for (const { address, before } of here.filter(({ store }) => !seen.has(store)).reverse()) out.set(before, Number(address - start));
    this.unseen = this.unseen.filter((entry) => !(seen.has(entry.store) && here.includes(entry)));
    return out;
  }
  /** What was stored to a place before is overtaken by a store of one's own. */
  #overtake(start: bigint, length: number): void {
    this.unseen = this.unseen.filter((entry) => !this.#at(entry, start, length));
  }
  write(address: bigint, bytes: Uint8Array): void {
    this.#overtake(address, bytes.length);
    this.#memory.write(address, bytes);
  }
  readWord(address: bigint, size: AccessSize): bigint {
    this.barrier();
    return this.#memory.readWord(address, size);
  }
  writeWord(address: bigint, size: AccessSize, value: bigint): void {
    this.#overtake(address, size);
    this.#memory.writeWord(address, size, value);
  }
  barrier(): void {
    this.unseen = [];
  }
}

/** Notes what a store replaces. */
class NotingMemory extends SmallMemory {
  readonly replaced: { readonly address: bigint; readonly before: Uint8Array }[] = [];
  override write(address: bigint, bytes: Uint8Array): void {
    this.replaced.push({ address, before: this.read(address, bytes.length) });
    super.write(address, bytes);
  }
  override writeWord(address: bigint, size: AccessSize, value: bigint): void {
    this.replaced.push({ address, before: this.read(address, size) });
    super.writeWord(address, size, value);
  }
}

/** Memory of a program that can make all others pause. */
class InterruptingMemory implements GuestMemory {
  interrupted = false;
  readonly #memory: SmallMemory;
  constructor(memory: SmallMemory) {
    this.#memory = memory;
  }
  read(address: bigint, length: number): Uint8Array {
    return this.#memory.read(address, length);
  }
  write(address: bigint, bytes: Uint8Array): void {
    this.#memory.write(address, bytes);
  }
  readWord(address: bigint, size: AccessSize): bigint {
    return this.#memory.readWord(address, size);
  }
  writeWord(address: bigint, size: AccessSize, value: bigint): void {
    if (address === INTERRUPT_ALL) this.interrupted = true;
    else this.#memory.writeWord(address, size, value);
  }
}

/** Guest memory with what only an exploration has. */
export interface ExploredMemory extends GuestMemory {
  /** All loads before it are done before all accesses behind it. */
  barrier(): void;
}
/** A store here stands for an interruption of all other programs: what they have not done by then, they do after it. */
export const INTERRUPT_ALL = 0xffff_ffff_ffff_f000n;

type Answer = bigint | Uint8Array | undefined;

/** Answers the first operations from the log, does one more for real, and stops at the one after. */
class SteppedMemory implements ExploredMemory {
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
  barrier(): void {
    this.#step(() => {
      if (this.#real instanceof EarlyMemory) this.#real.barrier();
      return undefined;
    });
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
  next(state: S): ((memory: ExploredMemory) => S) | undefined;
  key(state: S): string;
  /** Whether it ever makes a plain load at an address; default: everywhere. */
  readonly loads?: (address: bigint) => boolean;
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
  /** By program; always empty for those whose loads are in order. */
  readonly unseen: readonly (readonly Unseen[])[];
}

/**
 * Visit every reachable state.
 * @param check says what is wrong with a combination of program states.
 * @param goal whether all work is done.
 * @param chunk bytes a plain copy moves in one step.
 * @param weak programs on a processor that orders stores weakly.
 * @param early programs on a processor that orders loads weakly.
 */
export function explore(
  memory: SmallMemory,
  programs: readonly Program<never>[],
  check: (states: readonly never[]) => string | undefined,
  goal: (states: readonly never[]) => boolean,
  chunk: number,
  weak: readonly number[] = [],
  early: readonly number[] = [],
): Exploration {
  const text = (bytes: Uint8Array) => Buffer.from(bytes).toString("latin1");
  const keyOf = (node: Node) =>
    [
      text(node.memory.bytes),
      node.states.map((state, i) => programs[i]!.key(state as never)).join("|"),
      node.logs.map((log) => log.map((answer) => (answer instanceof Uint8Array ? text(answer) : String(answer))).join(",")).join("|"),
      node.pending.map((stores) => stores.map(({ address, bytes, release }) => `${address}${release ? "!" : ":"}${text(bytes)}`).join(",")).join("|"),
      node.unseen.map(unseenKey).join("|"),
    ].join("|");
  /** Which stores are parts of one matters, their numbers do not. */
  const unseenKey = (entries: readonly Unseen[]) => {
    const stores = [...new Set(entries.map(({ store }) => store))];
    return entries.map(({ store, address, before }) => `${stores.indexOf(store)}@${address}:${text(before)}`).join(",");
  };
  let stores = 0;
  /** What the others have not seen of the stores that were just made by one. */
  const unseenAfter = (unseen: Node["unseen"], maker: number, { replaced }: NotingMemory): Node["unseen"] =>
    replaced.length === 0
      ? unseen
      : unseen.map((entries, i) => {
          if (i === maker || !early.includes(i)) return entries;
          return [
            ...entries,
            ...replaced.flatMap(({ address, before }) => {
              const store = stores++;
              return Array.from({ length: Math.ceil(before.length / GRAIN) }, (_, k) => ({
                store,
                address: address + BigInt(k * GRAIN),
                before: before.subarray(k * GRAIN, (k + 1) * GRAIN),
              })).filter((entry) => programs[i]!.loads?.(entry.address) !== false);
            }),
          ];
        });
  const noting = ({ windows, bytes }: SmallMemory) => new NotingMemory(windows, bytes.slice());
  const noted = ({ windows, bytes }: NotingMemory) => new SmallMemory(windows, bytes);
  const none = programs.map(() => []);
  const first: Node = { memory: memory.copy(), states: programs.map(({ start }) => start), logs: none, pending: none, unseen: none };
  const numbers = new Map<string, number>([[keyOf(first), 0]]);
  const before: number[][] = [[]];
  const good: number[] = [];
  const open: [Node, number][] = [[first, 0]];
  for (let entry = open.pop(); entry; entry = open.pop()) {
    const [node, number] = entry;
    const violation = check(node.states as never[]);
    if (violation !== undefined) return { states: numbers.size, violation, stuck: false };
    if (goal(node.states as never[]) && node.logs.every((log) => log.length === 0) && node.pending.every((waiting) => waiting.length === 0)) good.push(number);
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
    node.pending.forEach((waiting, i) => {
      for (const which of mayFlush(waiting)) {
        const real = noting(node.memory);
        real.write(waiting[which]!.address, waiting[which]!.bytes);
        reach({ ...node, memory: noted(real), pending: node.pending.with(i, waiting.toSpliced(which, 1)), unseen: unseenAfter(node.unseen, i, real) });
      }
    });
    programs.forEach((program, i) => {
      const activity = program.next(node.states[i] as never);
      if (!activity) return;
      for (let outcome = 0, outcomes = 1; outcome < outcomes; outcome++) {
        const real = noting(node.memory);
        const interrupting = new InterruptingMemory(real);
        const buffered = weak.includes(i) ? new BufferedMemory(real, node.pending[i]!) : undefined;
        const loading = early.includes(i) ? new EarlyMemory(buffered ?? real, node.unseen[i]!, outcome) : undefined;
        const stepped = new SteppedMemory([...node.logs[i]!], loading ?? buffered ?? interrupting, chunk);
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
        outcomes = loading?.outcomes ?? 1;
        const unseen = interrupting.interrupted ? none : unseenAfter(loading ? node.unseen.with(i, loading.unseen) : node.unseen, i, real);
        reach({
          memory: real.replaced.length === 0 ? node.memory : noted(real),
          states,
          logs,
          pending: buffered ? node.pending.with(i, buffered.pending) : node.pending,
          unseen,
        });
      }
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
