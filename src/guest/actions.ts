/** Running the actions of ERST and EINJ: a program in table entries (Linux drivers/acpi/apei/apei-base.c and erst.c behaviour). */

import { EINJ_INSTRUCTION, type EinjEntry, ERST_INSTRUCTION, type ErstEntry } from "../acpi/action-entry.ts";
import { hexNumber } from "../layout/index.ts";
import { type RegisterSpaces, readRegister, writeRegister } from "./registers.ts";
import { codeOf } from "./structures.ts";

/** A table's program fails in ways the kernel gives numbers to: EINVAL 22, ENOENT 2, EIO 5. */
export class ActionError extends Error {
  override readonly name = "ActionError";
  readonly errno: number;

  constructor(errno: number, message: string) {
    super(message);
    this.errno = errno;
  }
}
const EIO = 5;
const EINVAL = 22;
const ENOENT = 2;

/** Steps of one action before it counts as endless. */
const MOST_STEPS = 10_000;
/** Bytes one action moves at most. */
const MOST_MOVED = 1n << 20n;
const U64 = (value: bigint) => BigInt.asUintN(64, value);

type Entry = ErstEntry | EinjEntry;
type Instruction = keyof typeof ERST_INSTRUCTION | keyof typeof EINJ_INSTRUCTION;

/** The kernel's machine for such programs: one value in and out, two variables, two addresses. */
export class ActionMachine<E extends Entry> {
  /** Input of an action that takes one, and its output. */
  value = 0n;
  #var1 = 0n;
  #var2 = 0n;
  #source = 0n;
  #destination = 0n;
  #next = 0;
  #moved = 0n;
  readonly #spaces: RegisterSpaces;
  readonly #entries: readonly E[];
  readonly #instructions: ReadonlySet<string>;

  /** @param instructions those of the table's kind; any other is an error. */
  constructor(spaces: RegisterSpaces, entries: readonly E[], kind: "erst" | "einj") {
    this.#spaces = spaces;
    this.#entries = entries;
    this.#instructions = new Set(Object.keys(kind === "erst" ? ERST_INSTRUCTION : EINJ_INSTRUCTION));
  }

  /**
   * Run the entries of an action in table order.
   * @returns the output value.
   * @throws ActionError for an unknown instruction, a register that cannot be used, or an action without entries unless it is optional.
   */
  run(action: E["action"], input?: bigint, optional = false): bigint {
    if (input !== undefined) this.value = input;
    const program = this.#entries.filter((entry) => entry.action === action);
    if (program.length === 0) {
      if (optional) return this.value;
      throw new ActionError(ENOENT, `there is no entry for ${String(action)}`);
    }
    this.#next = 0;
    this.#moved = 0n;
    for (let steps = 0; this.#next < program.length; steps++) {
      if (steps === MOST_STEPS) throw new ActionError(EIO, `${String(action)} does not end`);
      const entry = program[this.#next]!;
      this.#next++;
      if (typeof entry.instruction === "number" || !this.#instructions.has(entry.instruction))
        throw new ActionError(EINVAL, `Invalid action table, unknown instruction type: ${codeOf(ERST_INSTRUCTION, entry.instruction)}`);
      EXECUTE[entry.instruction](this.#state, entry);
    }
    return this.value;
  }

  /** What the instructions work on. */
  readonly #state: State = {
    get: () => this.value,
    set: (value) => void (this.value = U64(value)),
    load: (entry) => this.#load(entry),
    store: (entry, value) => this.#store(entry, value),
    variable: {
      get: (which) => (which === 1 ? this.#var1 : this.#var2),
      set: (which, value) => (which === 1 ? (this.#var1 = U64(value)) : (this.#var2 = U64(value))),
    },
    base: (which, value) => (which === "source" ? (this.#source = value) : (this.#destination = value)),
    jump: (to) => void (this.#next = to > BigInt(MOST_STEPS) ? MOST_STEPS : Number(to)),
    skip: () => void this.#next++,
    move: (offset) => {
      const length = this.#var2;
      this.#moved += length;
      if (this.#moved > MOST_MOVED) throw new ActionError(EINVAL, `${length} bytes are too many to move`);
      this.#spaces.memory.write(U64(this.#destination + offset), this.#spaces.memory.read(U64(this.#source + offset), Number(length)));
    },
  };

  #load(entry: Entry): bigint {
    const raw = readRegister(this.#spaces, entry.registerRegion);
    if (raw === undefined) throw new ActionError(EINVAL, `the register at ${hexNumber(entry.registerRegion.address)} cannot be used`);
    return (raw >> BigInt(entry.registerRegion.registerBitOffset)) & entry.mask;
  }

  #store(entry: Entry, value: bigint): void {
    const offset = BigInt(entry.registerRegion.registerBitOffset);
    let word = U64((value & entry.mask) << offset);
    if (entry.flags?.preserveRegister) {
      const old = readRegister(this.#spaces, entry.registerRegion) ?? 0n;
      word |= old & ~U64(entry.mask << offset);
    }
    if (!writeRegister(this.#spaces, entry.registerRegion, word))
      throw new ActionError(EINVAL, `the register at ${hexNumber(entry.registerRegion.address)} cannot be used`);
  }
}

interface State {
  get(): bigint;
  set(value: bigint): void;
  load(entry: Entry): bigint;
  store(entry: Entry, value: bigint): void;
  readonly variable: { get(which: 1 | 2): bigint; set(which: 1 | 2, value: bigint): void };
  base(which: "source" | "destination", value: bigint): void;
  jump(to: bigint): void;
  skip(): void;
  move(offset: bigint): void;
}

/** Every instruction of both tables. Time does not pass in the model: a stall only ends. */
const EXECUTE: Readonly<Record<Instruction, (state: State, entry: Entry) => void>> = {
  readRegister: (s, e) => s.set(s.load(e)),
  readRegisterValue: (s, e) => s.set(s.load(e) === e.value ? 1n : 0n),
  writeRegister: (s, e) => s.store(e, s.get()),
  writeRegisterValue: (s, e) => {
    s.set(e.value);
    s.store(e, e.value);
  },
  noop: () => {},
  flushCacheLine: () => {},
  loadVar1: (s, e) => void s.variable.set(1, s.load(e)),
  loadVar2: (s, e) => void s.variable.set(2, s.load(e)),
  storeVar1: (s, e) => s.store(e, s.variable.get(1)),
  add: (s) => void s.variable.set(1, s.variable.get(1) + s.variable.get(2)),
  subtract: (s) => void s.variable.set(1, s.variable.get(1) - s.variable.get(2)),
  addValue: (s, e) => s.store(e, U64(s.load(e) + s.get())),
  subtractValue: (s, e) => s.store(e, U64(s.load(e) - s.get())),
  stall: () => {},
  stallWhileTrue: (s, e) => {
    // The register would have to change by itself; the kernel gives up after a while, the model at once.
    if (s.load(e) === s.get()) throw new ActionError(EIO, "the register never changed");
  },
  skipNextInstructionIfTrue: (s, e) => {
    if (s.load(e) === s.get()) s.skip();
  },
  goto: (s) => s.jump(s.get()),
  setSourceAddressBase: (s, e) => void s.base("source", s.load(e)),
  setDestinationAddressBase: (s, e) => void s.base("destination", s.load(e)),
  moveData: (s, e) => s.move(s.load(e)),
};
