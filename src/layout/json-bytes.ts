/**
 * Bytes straight to JSON text, without values in between: the bulk decoder's interpreter of layouts.
 *
 * Runs of fixed fields are compiled to programs (`json-program.ts`); the variable parts are walked here, in step with
 * `parse`. The result is byte for byte what `JSON.stringify(toJson(layout, parse(layout, …)))` gives.
 */
import { stepsOf, variantCase } from "./decode.ts";
import { casesOf, type Found, numberAt, type Place, placeOf } from "./json-place.ts";
import { compileFields, enclose, fieldsBytes, type Program, runProgram } from "./json-program.ts";
import { isBlank, type Literal, literal, page, putHex, putLiteral, reserve } from "./json-text.ts";
import type { FixedNode, ListNode, Node, Ref, Root, VariantNode } from "./layout.ts";
import { guidText } from "./values.ts";

// ---- plans: layouts with everything that can be looked up beforehand ----

interface Amount {
  readonly place: Place;
  readonly ref: Ref;
}

type Kind = "run" | "blob" | "padding" | "list" | "choice" | "window" | "inner";
/** A run of fixed fields, or one variable field: one class for all kinds. */
class Step {
  readonly kind: Kind;
  /** `,"key":` of a variable field. */
  readonly key: Literal;
  /** Of a run: its bytes, and the room its text takes at most. */
  readonly size: number;
  readonly most: number;
  /** Of a run: `,"key":value` for each field, zero reserved bytes left out. */
  readonly program: Program | undefined;
  /** Of a run: its reserved fields, offset and size one after the other. */
  readonly reserved: readonly number[];
  /** Of a run, field by field, reserved bytes spelled out: for structures that are cut short or have bytes after them. */
  readonly each: (() => readonly { readonly size: number; readonly program: Program }[]) | undefined;
  /** Bytes of a blob or window, items of a list. */
  readonly amount: Amount | undefined;
  /** Of a blob: the offset at which it ends. */
  readonly until: Amount | undefined;
  /** Of padding. */
  readonly to: number;
  /** The structure, or item of a list: one layout, or those that name themselves. */
  readonly plan: Plan | undefined;
  readonly variant: VariantNode | undefined;
  /** Of a choice. */
  readonly on: Place | undefined;
  readonly cases: ReadonlyMap<number | string, Plan> | undefined;
  /** What is in a window: a list, a choice, or a structure. */
  readonly item: Step | undefined;

  constructor(kind: Kind, key: Literal, facts: Partial<Step>) {
    this.kind = kind;
    this.key = key;
    this.size = facts.size ?? 0;
    this.most = facts.most ?? 0;
    this.program = facts.program;
    this.reserved = facts.reserved ?? [];
    this.each = facts.each;
    this.amount = facts.amount;
    this.until = facts.until;
    this.to = facts.to ?? 1;
    this.plan = facts.plan;
    this.variant = facts.variant;
    this.on = facts.on;
    this.cases = facts.cases;
    this.item = facts.item;
  }
}
const NO_KEY = literal("");

/** A layout as steps. They are made when the first bytes of it are met: most layouts never are. */
export class Plan {
  readonly #root: Root;
  #steps: readonly Step[] | undefined;

  constructor(root: Root) {
    this.#root = root;
  }
  get steps(): readonly Step[] {
    return (this.#steps ??= stepsFor(this.#root));
  }
  /** The run of a layout that is nothing else. */
  get only(): Step | undefined {
    const { steps } = this;
    return steps.length === 1 && steps[0]!.kind === "run" ? steps[0] : undefined;
  }
}
const plans = new WeakMap<Root, Plan>();
/** The plan by which a layout is written. */
export function jsonPlan(layout: { readonly kind: "struct" | "sequence" }): Plan {
  const root = layout as Root;
  let known = plans.get(root);
  if (!known) plans.set(root, (known = new Plan(root)));
  return known;
}

function stepsFor(root: Root): readonly Step[] {
  const places = new Map<string, Found>();
  return stepsOf(root).map((step, i): Step => {
    if (!step.fixed) return stepFor(step.node, literal(`,${JSON.stringify(step.name)}:`), (ref) => placeOf(ref, places));
    const fields = Object.entries(step.fixed.fields);
    let offset = 0;
    for (const [name, node] of fields) {
      places.set(name, { step: i, offset, node });
      offset += node.size;
    }
    return runOf(fields);
  });
}

function runOf(fields: readonly (readonly [string, FixedNode])[]): Step {
  let each: { size: number; program: Program }[] | undefined;
  let size = 0;
  const reserved: number[] = [];
  for (const [, field] of fields) {
    if (field.kind === "reserved") reserved.push(size, field.size);
    size += field.size;
  }
  return new Step("run", NO_KEY, {
    size,
    most: fieldsBytes(fields),
    program: compileFields(fields),
    reserved,
    each: () =>
      (each ??= fields.map(([name, field]) => ({
        size: field.size,
        program: compileFields([[name, field.kind === "reserved" ? { ...field, kind: "bytes" } : field]]),
      }))),
  });
}

function stepFor(node: Node, key: Literal, find: (ref: Ref) => Place): Step {
  const amount = (ref: Ref | undefined): Amount | undefined => ref && { place: find(ref), ref };
  switch (node.kind) {
    case "blob":
      return new Step("blob", key, { amount: amount(node.length), until: amount(node.until) });
    case "padding":
      return new Step("padding", key, { to: node.to });
    case "list":
      return new Step("list", key, { amount: amount(node.count), ...partOf(node.item) });
    case "choice": {
      const on = find(node.on);
      return new Step("choice", key, { on, cases: casesOf(node, on, jsonPlan) });
    }
    case "window":
      return new Step("window", key, { amount: amount(node.length), item: stepFor(node.item, key, find) });
    case "struct":
    case "sequence":
    case "variant":
      return new Step("inner", key, { ...partOf(node) });
    default:
      throw new TypeError(`${node.kind} is not a variable field`);
  }
}
const partOf = (node: ListNode["item"]): Pick<Step, "plan" | "variant"> =>
  node.kind === "variant" ? { plan: undefined, variant: node } : { plan: jsonPlan(node), variant: undefined };

// ---- the walk ----

const TRAILING = literal(',"trailing":');

/** One structure being written, as its variable fields see it. */
interface Frame {
  readonly start: number;
  /** Where each step begins. */
  readonly bases: readonly number[];
  /** Write what is otherwise left out because zero is understood. */
  readonly spell: boolean;
}

/** Writes the JSON text of bytes on the page: of one thing at a time, whoever writes. */
export class JsonWriter {
  /** Where on the page the text begins and ends. */
  #from = 0;
  #at = 0;
  #b: Uint8Array = new Uint8Array(0);
  #v: DataView = new DataView(this.#b.buffer);
  /** Whether the last part written was all there. */
  #complete = true;

  /** The bytes that offsets count in from now on. */
  set input(bytes: Uint8Array) {
    this.#b = bytes;
    this.#v = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  }
  get input(): Uint8Array {
    return this.#b;
  }
  get view(): DataView {
    return this.#v;
  }

  /** Begin a new text. @param target where it will be copied to: V8 copies to shared memory by words only when both begin alike. */
  begin(target = 0): void {
    this.#from = target % 8;
    this.#at = this.#from;
  }
  /** How much text there is. It may be made shorter. */
  get length(): number {
    return this.#at - this.#from;
  }
  set length(length: number) {
    this.#at = this.#from + length;
  }
  /** The text: valid until this or another writer begins anew. */
  text(): Uint8Array {
    return page.subarray(this.#from, this.#at);
  }

  /** Append constant text. @throws NoRoom */
  literal(text: Literal): void {
    reserve(this.#at, text.length);
    this.#at = putLiteral(this.#at, text);
  }
  /** Append bytes of the input as a string of hex digits. @throws NoRoom */
  hex(start: number, end: number): void {
    reserve(this.#at, (end - start) * 2 + 2);
    this.#at = putHex(this.#at, this.#b, start, end);
  }

  /**
   * Append what a layout says of the window `[start, end)`: byte for byte the UTF-8 of
   * `JSON.stringify(toJson(layout, parse(layout, input, start, end)))`.
   * @throws NoRoom
   */
  write(plan: Plan, start: number, end: number): void {
    this.#write(plan, start, end, true);
  }

  /**
   * Write a structure; returns the first byte not used and sets `#complete`. When it owns its window (`whole`), or is
   * cut short, what is left becomes its `trailing`; then reserved bytes are spelled out even when they are zero.
   */
  #write(plan: Plan, start: number, end: number, whole: boolean): number {
    const { only } = plan;
    if (!only) return this.#parts(plan.steps, start, end, whole, false);
    const room = end - start;
    if (whole ? only.size !== room : only.size > room) return this.#parts(plan.steps, start, end, whole, true);
    this.#run(only, start);
    this.#complete = true;
    return start + only.size;
  }

  /** Write a structure that is one run of fixed fields. */
  #run({ most, program }: Step, start: number): void {
    const open = this.#at;
    reserve(open, most);
    this.#at = enclose(open, runProgram(program!, open, this.#b, this.#v, start), 0x7b, 0x7d);
  }

  #parts(steps: readonly Step[], start: number, end: number, whole: boolean, spell: boolean): number {
    const open = this.#at;
    const bases = new Array<number>(steps.length);
    const frame: Frame = { start, bases, spell };
    let at = start;
    let all = true;
    for (let i = 0; i < steps.length; i++) {
      const step = steps[i]!;
      bases[i] = at;
      if (step.kind === "run") {
        all = step.size <= end - at;
        reserve(this.#at, step.most);
        if (all && !(spell && step.reserved.length > 0)) {
          this.#at = runProgram(step.program!, this.#at, this.#b, this.#v, at);
          at += step.size;
        } else
          for (const { size, program } of step.each!()) {
            if (size > end - at) break;
            this.#at = runProgram(program, this.#at, this.#b, this.#v, at);
            at += size;
          }
      } else {
        at = this.#variable(step, frame, at, end);
        all = this.#complete;
      }
      if (!all) break;
    }
    if (!all || (whole && at < end)) {
      if (!spell && this.#leftOut(steps, bases, at)) {
        this.#at = open;
        return this.#parts(steps, start, end, whole, true);
      }
      this.#raw(TRAILING, at, end);
      at = end;
    }
    reserve(this.#at, 2);
    this.#at = enclose(open, this.#at, 0x7b, 0x7d);
    this.#complete = all;
    return at;
  }

  /** Whether any of the steps written so far, up to `end`, has zero bytes that were not spelled out. */
  #leftOut(steps: readonly Step[], bases: readonly number[], end: number): boolean {
    for (let i = 0; bases[i] !== undefined; i++) {
      const from = bases[i]!;
      const { kind, size, reserved } = steps[i]!;
      const to = bases[i + 1] ?? end;
      if (kind === "padding" && to > from && isBlank(this.#b, from, to)) return true;
      if (to - from < size) continue;
      for (let k = 0; k < reserved.length; k += 2) if (isBlank(this.#b, from + reserved[k]!, from + reserved[k]! + reserved[k + 1]!)) return true;
    }
    return false;
  }

  #amount({ place, ref }: Amount, frame: Frame): number {
    return Math.max(0, Math.min(ref.most ?? Number.MAX_SAFE_INTEGER, numberAt(place, this.#b, frame.bases) * ref.scale + ref.bias));
  }
  #raw(key: Literal, from: number, to: number): void {
    this.literal(key);
    this.hex(from, to);
  }
  /** The plan of a structure or item; undefined for one whose layout is not known. */
  #planAt({ plan, variant }: Step, at: number, end: number): Plan | undefined {
    if (plan) return plan;
    const root = variantCase(variant!, this.#b, at, end);
    return root && jsonPlan(root);
  }

  #variable(step: Step, frame: Frame, at: number, end: number): number {
    this.#complete = true;
    switch (step.kind) {
      case "blob": {
        const length = step.amount
          ? this.#amount(step.amount, frame)
          : step.until
            ? Math.max(0, this.#amount(step.until, frame) - (at - frame.start))
            : end - at;
        const next = Math.min(end, at + length);
        if (next > at) this.#raw(step.key, at, next);
        this.#complete = length <= end - at;
        return next;
      }
      case "padding": {
        const wanted = (step.to - ((at - frame.start) % step.to)) % step.to;
        const next = Math.min(end, at + wanted);
        if (next - at !== wanted || !isBlank(this.#b, at, next) || (frame.spell && next > at)) this.#raw(step.key, at, next);
        return next;
      }
      case "list":
        return this.#list(step, frame, at, end);
      case "choice":
        return at === end ? at : this.#choice(step, frame, at, end);
      case "window": {
        const length = this.#amount(step.amount!, frame);
        const stop = Math.min(end, at + length);
        const fits = length <= end - at;
        const item = step.item!;
        if (stop === at) {
          this.#complete = length === 0;
          return at;
        }
        if (item.kind === "list") {
          const next = this.#list(item, frame, at, stop);
          this.#complete = next === stop && fits;
          return next;
        }
        if (item.kind === "choice") this.#choice(item, frame, at, stop);
        else {
          this.literal(item.key);
          this.#write(item.plan!, at, stop, true);
        }
        this.#complete = fits;
        return stop;
      }
      default: {
        const plan = this.#planAt(step, at, end);
        if (!plan) {
          this.#complete = false;
          return at;
        }
        this.literal(step.key);
        return this.#write(plan, at, end, false);
      }
    }
  }

  #list(step: Step, frame: Frame, start: number, end: number): number {
    const count = step.amount ? this.#amount(step.amount, frame) : Number.POSITIVE_INFINITY;
    const before = this.#at;
    this.literal(step.key);
    const open = this.#at;
    let items = 0;
    let at = start;
    const only = step.plan?.only;
    if (only && only.size > 0)
      for (; items < count && only.size <= end - at; items++, at += only.size) {
        reserve(this.#at, 1);
        page[this.#at++] = 0x2c;
        this.#run(only, at);
      }
    while (items < count && at < end) {
      const plan = this.#planAt(step, at, end);
      const first = plan?.steps[0];
      if (!plan || (first && first.size > end - at)) break;
      const from = this.#at;
      reserve(from, 1);
      page[this.#at++] = 0x2c;
      const next = this.#write(plan, at, end, false);
      if (next === at) {
        this.#at = from;
        break;
      }
      at = next;
      items++;
    }
    if (items === 0) this.#at = before;
    else {
      reserve(this.#at, 2);
      this.#at = enclose(open, this.#at, 0x5b, 0x5d);
    }
    this.#complete = step.amount ? items === count : at === end;
    return at;
  }

  #choice(step: Step, frame: Frame, at: number, end: number): number {
    const on = step.on!;
    const plan = step.cases!.get(on.kind === "guid" ? guidText(this.#b, frame.bases[on.step]! + on.offset) : numberAt(on, this.#b, frame.bases));
    if (plan) {
      this.literal(step.key);
      this.#write(plan, at, end, true);
    } else this.#raw(step.key, at, end);
    this.#complete = true;
    return end;
  }
}
