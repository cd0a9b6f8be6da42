/**
 * Bytes straight to JSON text, without values in between: the bulk decoder's interpreter of layouts.
 *
 * For each run of fixed fields a function is generated that writes their members as UTF-8 into one growing buffer;
 * the variable parts are walked here, in step with `parse`. The result is byte for byte what
 * `JSON.stringify(toJson(layout, parse(layout, …)))` gives.
 *
 * Constant text is stored eight bytes at a time, as doubles: ASCII never has the bit pattern of a NaN, and what
 * is stored past the end of a piece is overwritten by the next one.
 */
import { stepsOf, variantCase } from "./decode.ts";
import { isBlank, type JsonSink, type Literal, literal, putDecimal, putGuid, putHex, putHex64, putLiteral, putText, putTimestamp } from "./json-text.ts";
import {
  type BitMember,
  bitRange,
  type ChoiceNode,
  type FixedNode,
  type ListNode,
  type Names,
  type Node,
  numberOf,
  type Ref,
  type Root,
  refsOf,
  type StructNode,
} from "./layout.ts";
import { guidText, memberOf, readWord } from "./values.ts";

// ---- writers of fixed fields, generated ----

/** Writes at `p` the JSON of what lies at `o`; returns the end of the text. The caller has made room. */
type FixedWriter = (u: Uint8Array, d: DataView, b: Uint8Array, v: DataView, p: number, o: number) => number;
const RUNTIME = { putLiteral, putDecimal, putHex64, putHex, putGuid, putText, putTimestamp, isBlank };

/** The literal `,"key":name` of each small value of an enumeration; undefined where it has no name. */
function enumLiterals(prefix: string, names: Names): (Literal | undefined)[] {
  const out: (Literal | undefined)[] = [];
  const highest = Math.max(...Object.values(names).map(numberOf));
  if (highest > 4095) return out;
  for (let i = 0; i <= highest; i++) out.push(undefined);
  for (const [name, entry] of Object.entries(names)) out[numberOf(entry)] = literal(`${prefix}${JSON.stringify(name)}`);
  return out;
}
/** The same for enumerations with large values. */
const enumMap = (prefix: string, names: Names): Map<number, Literal> =>
  new Map(Object.entries(names).map(([name, entry]) => [numberOf(entry), literal(`${prefix}${JSON.stringify(name)}`)]));

/** Most bytes of JSON a fixed node takes, its key not counted. */
function mostBytes(node: FixedNode): number {
  switch (node.kind) {
    case "uint":
      return 24;
    case "enum":
      return Math.max(16, ...Object.keys(node.names).map((name) => name.length + 8));
    case "bits":
      return (
        40 +
        Object.entries(node.members).reduce(
          (sum, [name, member]) =>
            sum + name.length + 16 + (typeof member === "object" && "names" in member ? Math.max(...Object.keys(member.names).map((n) => n.length)) : 0),
          0,
        )
      );
    case "guid":
      return 40;
    case "text":
      return node.size * 6 + 8;
    case "timestamp":
      return 48;
    case "bytes":
    case "reserved":
      return node.size * 2 + 8;
    case "array":
      return 8 + node.count * (mostBytes(node.item) + 2);
    case "struct":
      return fieldsBytes(Object.entries(node.fields));
  }
}
const fieldsBytes = (fields: readonly (readonly [string, FixedNode])[]): number =>
  fields.reduce((sum, [name, field]) => sum + name.length + 16 + mostBytes(field), 16);

class Generator {
  readonly lines: string[] = [];
  readonly constants: unknown[] = [];
  #names = 0;

  constant(value: unknown): string {
    this.constants.push(value);
    return `k${this.constants.length - 1}`;
  }
  fresh(prefix: string): string {
    return `${prefix}${this.#names++}`;
  }
  add(line: string): void {
    this.lines.push(line);
  }

  /** Store constant ASCII text at `p`. */
  text(text: string): void {
    const { chunks, length } = literal(text);
    for (let i = 0; i < chunks.length; i++) {
      const left = length - i * 8;
      if (left === 1) this.add(`u[p + ${i * 8}] = ${text.charCodeAt(i * 8)};`);
      else if (left === 2) this.add(`d.setUint16(p + ${i * 8}, ${text.charCodeAt(i * 8) | (text.charCodeAt(i * 8 + 1) << 8)}, true);`);
      else this.add(`d.setFloat64(p + ${i * 8}, ${chunks[i]}, true);`);
    }
    this.add(`p += ${length};`);
  }

  /** An object or list whose members each begin with a comma: the first comma becomes the bracket. */
  enclosed(open: "{" | "[", body: () => void): void {
    const start = this.fresh("q");
    this.add(`const ${start} = p;`);
    body();
    this.add(`if (p === ${start}) p++; u[${start}] = ${open.charCodeAt(0)}; u[p++] = ${open === "{" ? 125 : 93};`);
  }

  word(node: { size: number; order?: "big" }, at: string): string {
    const little = node.order === "big" ? "false" : "true";
    if (node.size === 1) return `b[${at}]`;
    if (node.size === 2) return `v.getUint16(${at}, ${little})`;
    if (node.size === 4) return `v.getUint32(${at}, ${little})`;
    return node.order === "big" ? `(b[${at}] * 65536 + b[${at} + 1] * 256 + b[${at} + 2])` : `(b[${at}] + b[${at} + 1] * 256 + b[${at} + 2] * 65536)`;
  }
  halves(node: { order?: "big" }, at: string): [low: string, high: string] {
    return node.order === "big" ? [`v.getUint32(${at} + 4, false)`, `v.getUint32(${at}, false)`] : [`v.getUint32(${at}, true)`, `v.getUint32(${at} + 4, true)`];
  }

  /** `prefix` and the value of the fixed node at `at`; a reserved field that is zero writes neither. */
  fixed(prefix: string, node: FixedNode, at: string): void {
    if (node.kind === "struct" || (node.kind === "bits" && Object.keys(node.members).length > INLINE_MEMBERS)) {
      this.text(prefix);
      this.add(`p = ${this.constant(valueWriter(node))}(u, d, b, v, p, ${at});`);
    } else this.inline(prefix, node, at);
  }

  inline(prefix: string, node: FixedNode, at: string): void {
    switch (node.kind) {
      case "uint":
        if (node.size === 8) {
          const [low, high] = this.halves(node, at);
          this.text(prefix);
          this.add(`p = putHex64(u, d, p, ${low}, ${high});`);
        } else {
          this.text(prefix);
          this.add(`p = putDecimal(u, d, p, ${this.word(node, at)});`);
        }
        break;
      case "enum":
        this.named(prefix, node.names, this.word(node, at));
        break;
      case "bits": {
        const low = this.fresh("l");
        const high = this.fresh("h");
        const [lowWord, highWord] = node.size === 8 ? this.halves(node, at) : [this.word(node, at), "0"];
        this.add(`const ${low} = ${lowWord}, ${high} = ${highWord};`);
        this.text(prefix);
        this.enclosed("{", () => this.members(node.members, low, high));
        break;
      }
      case "guid":
        this.text(prefix);
        this.add(`p = putGuid(u, d, p, b, ${at});`);
        break;
      case "text":
        this.text(prefix);
        this.add(`p = putText(u, p, b, ${at}, ${node.size});`);
        break;
      case "timestamp":
        this.text(prefix);
        this.add(`p = putTimestamp(u, d, p, b, ${at});`);
        break;
      case "bytes":
        this.text(prefix);
        this.add(`p = putHex(u, d, p, b, ${at}, ${at} + ${node.size});`);
        break;
      case "reserved":
        this.add(node.size === 1 ? `if (b[${at}] !== 0) {` : `if (!isBlank(b, ${at}, ${at} + ${node.size})) {`);
        this.text(prefix);
        this.add(`p = putHex(u, d, p, b, ${at}, ${at} + ${node.size}); }`);
        break;
      case "array": {
        const index = this.fresh("i");
        const item = this.fresh("o");
        this.text(prefix);
        this.enclosed("[", () => {
          this.add(`for (let ${index} = 0, ${item} = ${at}; ${index} < ${node.count}; ${index}++, ${item} += ${node.item.size}) {`);
          this.fixed(",", node.item, item);
          this.add("}");
        });
        break;
      }
      case "struct":
        this.text(prefix);
        this.enclosed("{", () => this.fields(Object.entries(node.fields), at));
        break;
    }
  }

  fields(fields: readonly (readonly [string, FixedNode])[], at: string): void {
    let offset = 0;
    for (const [name, field] of fields) {
      this.fixed(`,${JSON.stringify(name)}:`, field, offset === 0 ? at : `${at} + ${offset}`);
      offset += field.size;
    }
  }

  named(prefix: string, names: Names, value: string): void {
    const number = this.fresh("n");
    const found = this.fresh("f");
    const dense = enumLiterals(prefix, names);
    this.add(`const ${number} = ${value};`);
    this.add(
      dense.length > 0
        ? `const ${found} = ${number} < ${dense.length} ? ${this.constant(dense)}[${number}] : undefined;`
        : `const ${found} = ${this.constant(enumMap(prefix, names))}.get(${number});`,
    );
    this.add(`if (${found} !== undefined) p = putLiteral(d, p, ${found}); else {`);
    this.text(prefix);
    this.add(`p = putDecimal(u, d, p, ${number}); }`);
  }

  members(members: Readonly<Record<string, BitMember>>, low: string, high: string): void {
    let known = 0n;
    const entries = Object.entries(members);
    const flags = entries.every(([, member]) => typeof member === "number");
    if (flags) this.add(`if ((${low} | ${high}) !== 0) {`);
    for (const [name, member] of entries) {
      const [from, width] = bitRange(member);
      known |= ((1n << BigInt(width)) - 1n) << BigInt(from);
      const value = memberExpression(low, high, from, width);
      const prefix = `,${JSON.stringify(name)}:`;
      if (typeof member === "number") {
        this.add(`if ((${from < 32 ? low : high} & ${1 << (from & 31)}) !== 0) {`);
        this.text(`${prefix}true`);
        this.add("}");
      } else if ("names" in member) this.named(prefix, member.names, value);
      else {
        this.text(prefix);
        this.add(`p = putDecimal(u, d, p, ${value});`);
      }
    }
    const restLow = Number(~known & 0xffffffffn) | 0;
    const restHigh = Number((~known >> 32n) & 0xffffffffn) | 0;
    if (restLow !== 0 || restHigh !== 0) {
      this.add(`if (((${low} & ${restLow}) | (${high} & ${restHigh})) !== 0) {`);
      this.text(`,"rest":`);
      this.add(`p = putHex64(u, d, p, (${low} & ${restLow}) >>> 0, (${high} & ${restHigh}) >>> 0); }`);
    }
    if (flags) this.add("}");
  }
}

/** A member's value from the two halves of its word. */
function memberExpression(low: string, high: string, from: number, width: number): string {
  const mask = width === 32 ? 0xffffffff : 2 ** width - 1;
  const part = from >= 32 ? `${high} >>> ${from - 32}` : from + width <= 32 ? `${low} >>> ${from}` : `(${low} >>> ${from}) | (${high} << ${32 - from})`;
  return width === 32 ? `((${part}) >>> 0)` : `(((${part}) & ${mask}) >>> 0)`;
}

/** Bit fields with more members, and structures, get functions of their own: V8 does not optimise very long ones. */
const INLINE_MEMBERS = 8;

function compile(body: (generator: Generator) => void): FixedWriter {
  const generator = new Generator();
  body(generator);
  const names = [...Object.keys(RUNTIME), ...generator.constants.map((_, i) => `k${i}`)];
  const make = new Function(...names, `"use strict"; return (u, d, b, v, p, o) => { ${generator.lines.join("\n")}\nreturn p; };`);
  return make(...Object.values(RUNTIME), ...generator.constants) as FixedWriter;
}

const values = new WeakMap<FixedNode, FixedWriter>();
/** The writer of one value, its key not included. */
function valueWriter(node: FixedNode): FixedWriter {
  let known = values.get(node);
  if (!known) values.set(node, (known = compile((generator) => generator.inline("", node, "o"))));
  return known;
}

interface RunWriters {
  /** Room the text of the run takes at most. */
  readonly most: number;
  /** `,"key":value` for each field, zero reserved bytes left out. */
  readonly write: FixedWriter;
  /** The same field by field, reserved bytes spelled out: for structures that are cut short or have bytes after them. */
  readonly each: () => readonly { readonly size: number; readonly write: FixedWriter }[];
}
const runs = new WeakMap<StructNode, RunWriters>();
function runWriters(run: StructNode): RunWriters {
  let known = runs.get(run);
  if (!known) {
    const fields = Object.entries(run.fields);
    let each: { size: number; write: FixedWriter }[] | undefined;
    known = {
      most: fieldsBytes(fields),
      write: compile((generator) => generator.fields(fields, "o")),
      each: () =>
        (each ??= fields.map(([name, field]) => {
          const spelled = field.kind === "reserved" ? { ...field, kind: "bytes" as const } : field;
          return { size: field.size, write: compile((generator) => generator.fixed(`,${JSON.stringify(name)}:`, spelled, "o")) };
        })),
    };
    runs.set(run, known);
  }
  return known;
}

// ---- the walk ----

/** Reads the number of an earlier field. */
interface Reader {
  /** Which run of the layout holds the field. */
  readonly run: number;
  /** The number itself; for a GUID its text. */
  readonly raw: (b: Uint8Array, v: DataView, base: number) => number | string;
  readonly ref: Ref;
  readonly node: FixedNode;
  /** For a named range of bits. */
  readonly names: Names | undefined;
}

type Step =
  | { readonly run: StructNode; readonly writers: RunWriters }
  | { readonly run?: undefined; readonly node: Exclude<Node, FixedNode> | StructNode; readonly prefix: string; readonly readers: ReadonlyMap<Ref, Reader> };

const plans = new WeakMap<Root, readonly Step[]>();
function planOf(root: Root): readonly Step[] {
  const known = plans.get(root);
  if (known) return known;
  const places = new Map<string, { run: number; offset: number; node: FixedNode }>();
  const plan = stepsOf(root).map((step, i): Step => {
    if (!step.fixed)
      return { node: step.node, prefix: `,${JSON.stringify(step.name)}:`, readers: new Map(refsOf(step.node).map((ref) => [ref, readerOf(ref, places)])) };
    let offset = 0;
    for (const [name, node] of Object.entries(step.fixed.fields)) {
      places.set(name, { run: i, offset, node });
      offset += node.size;
    }
    return { run: step.fixed, writers: runWriters(step.fixed) };
  });
  plans.set(root, plan);
  return plan;
}

function readerOf(ref: Ref, places: ReadonlyMap<string, { run: number; offset: number; node: FixedNode }>): Reader {
  const [head, ...path] = ref.path.split(".");
  const place = places.get(head!);
  if (!place) throw new TypeError(`${ref.path} is not a fixed field`);
  let { offset, node } = place;
  while (node.kind === "struct" && path.length > 0) {
    const wanted = path.shift()!;
    for (const [name, field] of Object.entries(node.fields) as [string, FixedNode][]) {
      if (name === wanted) {
        node = field;
        break;
      }
      offset += field.size;
    }
  }
  const found = node;
  const read = (b: Uint8Array, base: number, size: number) => readWord(b, base + offset, size, "order" in found && found.order === "big");
  const reader = { run: place.run, ref, node, names: undefined };
  if (found.kind === "bits") {
    const member = found.members[path[0]!]!;
    const [low, width] = bitRange(member);
    const big = found.order === "big";
    const raw = (b: Uint8Array, _v: DataView, base: number) =>
      found.size === 8
        ? memberOf(readWord(b, base + offset + (big ? 4 : 0), 4, big) | 0, readWord(b, base + offset + (big ? 0 : 4), 4, big) | 0, low, width)
        : memberOf(read(b, base, found.size) | 0, 0, low, width);
    return { ...reader, raw, names: typeof member === "object" && "names" in member ? member.names : undefined };
  }
  if (found.kind === "guid") return { ...reader, raw: (b, _v, base) => guidText(b, base + offset) };
  return { ...reader, raw: (b, _v, base) => read(b, base, found.size), names: found.kind === "enum" ? found.names : undefined };
}

/** One call of `writeParts`, as its variable fields see it. */
interface Frame {
  readonly sink: JsonSink;
  readonly b: Uint8Array;
  readonly v: DataView;
  readonly start: number;
  readonly end: number;
  /** Where each run of fixed fields begins. */
  readonly bases: readonly number[];
  readonly readers: ReadonlyMap<Ref, Reader>;
  /** Write what is otherwise left out because zero is understood. */
  readonly spell: boolean;
}

/** Whether the last part written was all there. */
let complete = true;

function amount(ref: Ref, frame: Frame): number {
  const reader = frame.readers.get(ref)!;
  const number = reader.raw(frame.b, frame.v, frame.bases[reader.run]!) as number;
  return Math.max(0, Math.min(ref.most ?? Number.MAX_SAFE_INTEGER, number * ref.scale + ref.bias));
}

/**
 * Write a structure; returns the first byte not used and sets `complete`. When it owns its window (`whole`), or is
 * cut short, what is left becomes its `trailing`; then everything is written again with zero bytes spelled out.
 */
function writeParts(root: Root, sink: JsonSink, b: Uint8Array, v: DataView, start: number, end: number, whole: boolean, spell = false): number {
  const open = sink.at;
  const plan = planOf(root);
  const only = plan.length === 1 ? plan[0]! : undefined;
  if (only?.run && (whole ? only.run.size === end - start : only.run.size <= end - start)) {
    sink.ensure(only.writers.most);
    sink.at = only.writers.write(sink.bytes, sink.view, b, v, sink.at, start);
    close(sink, open, 0x7b, 0x7d);
    complete = true;
    return start + only.run.size;
  }
  const bases: number[] = [];
  let at = start;
  let all = true;
  for (let i = 0; i < plan.length; i++) {
    const step = plan[i]!;
    if (step.run) {
      const { writers } = step;
      all = step.run.size <= end - at;
      if (!all && !spell) break;
      sink.ensure(writers.most);
      bases[i] = at;
      if (!spell) {
        sink.at = writers.write(sink.bytes, sink.view, b, v, sink.at, at);
        at += step.run.size;
      } else
        for (const field of writers.each()) {
          if (field.size > end - at) break;
          sink.at = field.write(sink.bytes, sink.view, b, v, sink.at, at);
          at += field.size;
        }
      if (!all) break;
    } else {
      at = writeVariable(step.node, step.prefix, { sink, b, v, start, end, bases, readers: step.readers, spell }, at, end);
      if (!complete) {
        all = false;
        break;
      }
    }
  }
  if (!all || (whole && at < end)) {
    if (!spell) {
      sink.at = open;
      return writeParts(root, sink, b, v, start, end, whole, true);
    }
    sink.ascii(',"trailing":');
    sink.hex(b, at, end);
    at = end;
  }
  close(sink, open, 0x7b, 0x7d);
  complete = all;
  return at;
}

/** Turn the comma before the first member into the bracket, and add the other. */
function close(sink: JsonSink, open: number, left: number, right: number): void {
  sink.ensure(2);
  if (sink.at === open) sink.at++;
  sink.bytes[open] = left;
  sink.bytes[sink.at++] = right;
}

function raw(prefix: string, frame: Frame, from: number, to: number): void {
  frame.sink.ascii(prefix);
  frame.sink.hex(frame.b, from, to);
}

function writeVariable(node: Node, prefix: string, frame: Frame, at: number, end: number): number {
  const { sink, b, v, start } = frame;
  complete = true;
  switch (node.kind) {
    case "blob": {
      const length = node.length ? amount(node.length, frame) : node.until ? Math.max(0, amount(node.until, frame) - (at - start)) : end - at;
      const next = Math.min(end, at + length);
      if (next > at) raw(prefix, frame, at, next);
      complete = length <= end - at;
      return next;
    }
    case "padding": {
      const wanted = (node.to - ((at - start) % node.to)) % node.to;
      const next = Math.min(end, at + wanted);
      if (next - at !== wanted || !isBlank(b, at, next) || (frame.spell && next > at)) raw(prefix, frame, at, next);
      return next;
    }
    case "list":
      return writeList(node, prefix, frame, at, end);
    case "choice":
      return at === end ? at : writeChoice(node, prefix, frame, at, end);
    case "window": {
      const length = amount(node.length, frame);
      const stop = Math.min(end, at + length);
      const fits = length <= end - at;
      if (stop === at) {
        complete = length === 0;
        return at;
      }
      if (node.item.kind === "list") {
        const next = writeList(node.item, prefix, frame, at, stop);
        complete = next === stop && fits;
        return next;
      }
      if (node.item.kind === "choice") writeChoice(node.item, prefix, frame, at, stop);
      else {
        sink.ascii(prefix);
        writeParts(node.item, sink, b, v, at, stop, true);
      }
      complete = fits;
      return stop;
    }
    case "sequence":
      sink.ascii(prefix);
      return writeParts(node, sink, b, v, at, end, false);
    case "variant": {
      const found = variantCase(node, b, at, end);
      if (!found) {
        complete = false;
        return at;
      }
      sink.ascii(prefix);
      return writeParts(found, sink, b, v, at, end, false);
    }
    default:
      throw new TypeError(`${node.kind} is not a variable field`);
  }
}

function writeList(node: ListNode, prefix: string, frame: Frame, start: number, end: number): number {
  const { sink, b, v } = frame;
  const count = node.count ? amount(node.count, frame) : Number.POSITIVE_INFINITY;
  const before = sink.at;
  sink.ascii(prefix);
  const open = sink.at;
  let items = 0;
  let at = start;
  while (items < count && at < end) {
    const item = node.item.kind === "variant" ? variantCase(node.item, b, at, end) : node.item;
    if (!item) break;
    const first = planOf(item)[0];
    if (first?.run && first.run.size > end - at) break;
    const from = sink.at;
    sink.ascii(",");
    const next = writeParts(item, sink, b, v, at, end, false);
    if (next === at) {
      sink.at = from;
      break;
    }
    at = next;
    items++;
  }
  if (items === 0) sink.at = before;
  else close(sink, open, 0x5b, 0x5d);
  complete = node.count ? items === count : at === end;
  return at;
}

const caseMaps = new WeakMap<ChoiceNode, ReadonlyMap<number | string, Root>>();
function writeChoice(node: ChoiceNode, prefix: string, frame: Frame, at: number, end: number): number {
  const reader = frame.readers.get(node.on)!;
  let cases = caseMaps.get(node);
  if (!cases) {
    const keyed = Object.entries(node.cases).map(([name, layout]): [number | string, Root] => {
      if (reader.node.kind === "guid") return [name, layout];
      const named = reader.names?.[name];
      // A single bit decodes to true or to nothing.
      return [name === "true" ? 1 : named === undefined ? Number(name) : numberOf(named), layout];
    });
    caseMaps.set(node, (cases = new Map(keyed)));
  }
  const found = cases.get(reader.raw(frame.b, frame.v, frame.bases[reader.run]!));
  if (found) {
    frame.sink.ascii(prefix);
    writeParts(found, frame.sink, frame.b, frame.v, at, end, true);
  } else raw(prefix, frame, at, end);
  complete = true;
  return end;
}

/**
 * Write the JSON text of the layout for the window `[start, end)` of `input`: byte for byte the UTF-8 of
 * `JSON.stringify(toJson(layout, parse(layout, input, start, end)))`.
 */
export function writeJson(
  layout: { readonly kind: "struct" | "sequence" },
  sink: JsonSink,
  input: Uint8Array,
  view: DataView,
  start: number,
  end: number,
): void {
  writeParts(layout as Root, sink, input, view, start, end, true);
}
