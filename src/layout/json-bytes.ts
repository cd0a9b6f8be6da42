/**
 * Bytes straight to JSON text, without values in between: the bulk decoder's interpreter of layouts.
 *
 * For each layout a function is generated that writes exactly what `JSON.stringify(toJson(parse(…)))` gives, as
 * UTF-8 into one growing buffer. It handles well-formed input only; anything odd (cut short, trailing bytes,
 * counts that lie) makes it give up, and the caller takes the ordinary path for that structure, so that the
 * rare cases have one implementation.
 *
 * Constant text is stored eight bytes at a time, as doubles: ASCII never has the bit pattern of a NaN, and what
 * is stored past the end of a piece is overwritten by the next one.
 */
import { parse } from "./decode.ts";
import { toJson } from "./json.ts";
import { bitRange, type FixedNode, isFixed, type Names, type Node, numberOf, type Ref, type Root, type SequenceNode, variantTag } from "./layout.ts";
import { timestampText } from "./timestamp.ts";
import { GUID_ORDER, guidText } from "./values.ts";

/** The growing buffer that JSON text is written into. `at` is its length so far. */
export class JsonSink {
  bytes: Uint8Array;
  view: DataView;
  at = 0;

  constructor(capacity = 1 << 16) {
    this.bytes = new Uint8Array(capacity);
    this.view = new DataView(this.bytes.buffer);
  }

  /** Make room for `size` more bytes, and for the overshoot of the last store. */
  ensure(size: number): void {
    if (this.at + size + SLACK <= this.bytes.length) return;
    const grown = new Uint8Array(Math.max((this.at + size + SLACK) * 2, this.bytes.length * 2));
    grown.set(this.bytes.subarray(0, this.at));
    this.bytes = grown;
    this.view = new DataView(grown.buffer);
  }

  /** Append short ASCII text. */
  ascii(text: string): void {
    this.ensure(text.length);
    const { bytes } = this;
    let { at } = this;
    for (let i = 0; i < text.length; i++) bytes[at++] = text.charCodeAt(i);
    this.at = at;
  }

  /** Append the bytes from `start` to `end` as a string of hex digits. */
  hex(input: Uint8Array, start: number, end: number): void {
    this.ensure((end - start) * 2 + 2);
    this.at = putHex(this.bytes, this.view, this.at, input, start, end);
  }

  /** Append text that is already JSON. */
  text(json: string): void {
    this.ensure(json.length * 3);
    this.at += encoder.encodeInto(json, this.bytes.subarray(this.at)).written;
  }
}
const SLACK = 16;
const encoder = new TextEncoder();

/** Writes the JSON of `[start, end)`; returns the first byte not used, or -1 when the input is odd. `sink.at` is then undefined. */
export type JsonWriter = (sink: JsonSink, input: Uint8Array, view: DataView, start: number, end: number) => number;

// ---- pieces the generated code calls ----

/** ASCII text cut into doubles. */
interface Literal {
  readonly chunks: Float64Array;
  readonly length: number;
}
function literal(text: string): Literal {
  const bytes = encoder.encode(text);
  if (bytes.some((byte) => byte >= 0x7f)) throw new TypeError(`${text} is not ASCII`);
  const padded = new Uint8Array(Math.ceil(bytes.length / 8) * 8).fill(0x20);
  padded.set(bytes);
  const view = new DataView(padded.buffer);
  return { chunks: Float64Array.from({ length: padded.length / 8 }, (_, i) => view.getFloat64(i * 8, true)), length: bytes.length };
}

/** Two hex digits of a byte as one little-endian 16-bit store. */
const HEX2 = Uint16Array.from({ length: 256 }, (_, byte) => {
  const digits = byte.toString(16).padStart(2, "0");
  return digits.charCodeAt(0) | (digits.charCodeAt(1) << 8);
});
const HEX1 = Uint8Array.from({ length: 16 }, (_, digit) => digit.toString(16).charCodeAt(0));

function putLiteral(view: DataView, at: number, { chunks, length }: Literal): number {
  for (let i = 0; i < chunks.length; i++) view.setFloat64(at + i * 8, chunks[i]!, true);
  return at + length;
}
function putDecimal(out: Uint8Array, at: number, value: number): number {
  if (value < 10) {
    out[at] = 48 + value;
    return at + 1;
  }
  let digits = value < 100 ? 2 : value < 1000 ? 3 : value < 10000 ? 4 : value < 100000 ? 5 : 6;
  if (digits === 6) for (let limit = 1e6; value >= limit; limit *= 10) digits++;
  let left = value;
  for (let i = at + digits - 1; i >= at; i--) {
    const next = Math.floor(left / 10);
    out[i] = 48 + (left - next * 10);
    left = next;
  }
  return at + digits;
}
function putHex32(out: Uint8Array, at: number, value: number): number {
  let shift = value === 0 ? 0 : (31 - Math.clz32(value)) & ~3;
  let p = at;
  for (; shift >= 0; shift -= 4) out[p++] = HEX1[(value >>> shift) & 15]!;
  return p;
}
/** A 64-bit number as `"0x…"`. */
function putHex64(out: Uint8Array, view: DataView, at: number, low: number, high: number): number {
  view.setUint32(at, 0x783022, true); // "0x
  let p = at + 3;
  if (high === 0) p = putHex32(out, p, low);
  else {
    p = putHex32(out, p, high);
    for (let shift = 24; shift >= 0; shift -= 8, p += 2) view.setUint16(p, HEX2[(low >>> shift) & 255]!, true);
  }
  out[p] = 34;
  return p + 1;
}
function putHex(out: Uint8Array, view: DataView, at: number, input: Uint8Array, start: number, end: number): number {
  out[at] = 34;
  let p = at + 1;
  for (let i = start; i < end; i++, p += 2) view.setUint16(p, HEX2[input[i]!]!, true);
  out[p] = 34;
  return p + 1;
}
function putGuid(out: Uint8Array, view: DataView, at: number, input: Uint8Array, start: number): number {
  out[at] = 34;
  let p = at + 1;
  for (let i = 0; i < 16; i++, p += 2) {
    if (i === 4 || i === 6 || i === 8 || i === 10) out[p++] = 45;
    view.setUint16(p, HEX2[input[start + GUID_ORDER[i]!]!]!, true);
  }
  out[p] = 34;
  return p + 1;
}
function putText(out: Uint8Array, at: number, input: Uint8Array, start: number, size: number): number {
  let end = start + size;
  while (end > start && input[end - 1] === 0) end--;
  out[at] = 34;
  let p = at + 1;
  for (let i = start; i < end; i++) {
    const byte = input[i]!;
    if (byte >= 0x20 && byte < 0x7f && byte !== 0x22 && byte !== 0x5c) out[p++] = byte;
    else p += encoder.encodeInto(JSON.stringify(String.fromCharCode(byte)).slice(1, -1), out.subarray(p)).written;
  }
  out[p] = 34;
  return p + 1;
}
function putAscii(out: Uint8Array, at: number, text: string): number {
  out[at] = 34;
  for (let i = 0; i < text.length; i++) out[at + 1 + i] = text.charCodeAt(i);
  out[at + 1 + text.length] = 34;
  return at + 2 + text.length;
}
/** Timestamps of no known century, and BCD ones of this, are written digit by digit; the text of the others is made first. */
function putTimestamp(out: Uint8Array, view: DataView, at: number, input: Uint8Array, start: number): number {
  const century = input[start + 7]!;
  if (century > 0x21 || (century < 0x13 && century > 0)) {
    let p = putLiteral(view, at, RAW);
    for (let i = start; i < start + 8; i++, p += 2) view.setUint16(p, HEX2[input[i]!]!, true);
    out[p] = 34;
    return p + 1;
  }
  const minute = input[start + 1]!;
  const month = input[start + 5]!;
  if (century !== 0x20 || input[start + 3]! > 1 || !BCD[input[start]!] || !BCD[minute] || !BCD[input[start + 2]!])
    return putAscii(out, at, timestampText(input, start));
  const second = input[start]!;
  const hour = input[start + 2]!;
  const day = input[start + 4]!;
  const year = input[start + 6]!;
  if (second > 0x59 || minute > 0x59 || hour > 0x23 || !BCD[day] || !BCD[month] || !BCD[year] || day === 0 || day > 0x31 || month === 0 || month > 0x12)
    return putAscii(out, at, timestampText(input, start));
  view.setUint32(at, 0x303222, true); // "20
  view.setUint16(at + 3, HEX2[year]!, true);
  out[at + 5] = 45;
  view.setUint16(at + 6, HEX2[month]!, true);
  out[at + 8] = 45;
  view.setUint16(at + 9, HEX2[day]!, true);
  out[at + 11] = 84;
  view.setUint16(at + 12, HEX2[hour]!, true);
  out[at + 14] = 58;
  view.setUint16(at + 15, HEX2[minute]!, true);
  out[at + 17] = 58;
  view.setUint16(at + 18, HEX2[second]!, true);
  let p = at + 20;
  if (input[start + 3] === 1) p = putLiteral(view, p, PRECISE);
  out[p] = 34;
  return p + 1;
}
const PRECISE = literal(" precise");
const RAW = literal('"raw ');
const BCD = Array.from({ length: 256 }, (_, byte) => (byte & 15) <= 9 && byte >> 4 <= 9);
function isBlank(input: Uint8Array, start: number, end: number): boolean {
  for (let i = start; i < end; i++) if (input[i] !== 0) return false;
  return true;
}
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

// ---- the generator ----

const RUNTIME = { putLiteral, putDecimal, putHex64, putHex, putGuid, putText, putTimestamp, isBlank, guidText };
type Runtime = keyof typeof RUNTIME;

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
      else this.add(`d.setFloat64(p + ${i * 8}, ${this.constant(chunks[i])}, true);`);
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
    switch (node.kind) {
      case "uint":
        if (node.size === 8) {
          const [low, high] = this.halves(node, at);
          this.text(prefix);
          this.add(`p = putHex64(u, d, p, ${low}, ${high});`);
        } else {
          this.text(prefix);
          this.add(`p = putDecimal(u, p, ${this.word(node, at)});`);
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
    this.add(`p = putDecimal(u, p, ${number}); }`);
  }

  members(members: Readonly<Record<string, import("./layout.ts").BitMember>>, low: string, high: string): void {
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
        this.add(`p = putDecimal(u, p, ${value});`);
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

  ensure(size: string): void {
    this.add(`s.at = p; s.ensure(${size}); u = s.bytes; d = s.view;`);
  }
}

/** A member's value from the two halves of its word. */
function memberExpression(low: string, high: string, from: number, width: number): string {
  const mask = width === 32 ? 0xffffffff : 2 ** width - 1;
  const part = from >= 32 ? `${high} >>> ${from - 32}` : from + width <= 32 ? `${low} >>> ${from}` : `(${low} >>> ${from}) | (${high} << ${32 - from})`;
  return width === 32 ? `((${part}) >>> 0)` : `(((${part}) & ${mask}) >>> 0)`;
}

/** Where a field read before lies at run time. */
type Places = Map<string, { readonly node: FixedNode; readonly at: string }>;

/** The number a reference stands for, as an expression; and the raw number of its field. */
function refExpression(generator: Generator, reference: Ref, places: Places): { raw: string; amount: string; node: FixedNode } {
  const [head, ...path] = reference.path.split(".");
  const place = places.get(head!);
  if (!place) throw new TypeError(`${reference.path} is not a fixed field`);
  let { node } = place;
  let at = place.at;
  while (node.kind === "struct" && path.length > 0) {
    let offset = 0;
    const wanted = path.shift()!;
    for (const [name, field] of Object.entries(node.fields)) {
      if (name === wanted) {
        node = field;
        break;
      }
      offset += field.size;
    }
    at = `${at} + ${offset}`;
  }
  let raw: string;
  if (node.kind === "bits") {
    const [from, width] = bitRange(node.members[path[0]!]!);
    const [low, high] = node.size === 8 ? generator.halves(node, at) : [generator.word(node, at), "0"];
    raw = memberExpression(low, high, from, width);
  } else if (node.kind === "uint" && node.size === 8) {
    const [low, high] = generator.halves(node, at);
    raw = `(${high} * 4294967296 + ${low})`;
  } else if (node.kind === "uint" || node.kind === "enum") raw = generator.word(node, at);
  else raw = at;
  const amount = `Math.max(0, (${raw}) * ${reference.scale} + ${reference.bias})`;
  return { raw, amount: reference.most === undefined ? amount : `Math.min(${reference.most}, ${amount})`, node };
}

const writers = new WeakMap<Root, JsonWriter>();

/** The generated writer for a layout's own parts; it does not mind bytes that follow. */
function partsWriter(root: Root): JsonWriter {
  let known = writers.get(root);
  if (known) return known;
  // A layout that contains itself would recurse here: reserve its place first.
  let real: JsonWriter | undefined;
  writers.set(root, (...args) => real!(...args));
  real = known = generate(root);
  writers.set(root, known);
  return known;
}

function generate(root: Root): JsonWriter {
  const generator = new Generator();
  const places: Places = new Map();
  generator.add("let u = s.bytes, d = s.view, p = s.at, at = start;");
  generator.add("const open = p; s.ensure(64); u = s.bytes; d = s.view;");
  let run: [string, FixedNode][] = [];
  const flush = () => {
    if (run.length === 0) return;
    const size = run.reduce((sum, [, field]) => sum + field.size, 0);
    const base = generator.fresh("r");
    generator.add(`if (${size} > end - at) return -1; const ${base} = at; at += ${size};`);
    generator.ensure(`${fieldsBytes(run)}`);
    generator.fields(run, base);
    let offset = 0;
    for (const [name, field] of run) {
      places.set(name, { node: field, at: `${base} + ${offset}` });
      offset += field.size;
    }
    run = [];
  };
  for (const [name, field] of Object.entries(root.fields) as [string, Node][]) {
    if (isFixed(field)) run.push([name, field]);
    else {
      flush();
      variable(generator, `,${JSON.stringify(name)}:`, field, places);
    }
  }
  flush();
  generator.ensure("8");
  generator.add("if (p === open) p++; u[open] = 123; u[p++] = 125; s.at = p; return at;");
  const runtime = Object.keys(RUNTIME) as Runtime[];
  const body = `"use strict"; return (s, b, v, start, end) => { ${generator.lines.join("\n")} };`;
  const make = new Function(...runtime, ...generator.constants.map((_, i) => `k${i}`), body);
  return make(...runtime.map((name) => RUNTIME[name]), ...generator.constants) as JsonWriter;
}

/** Number of bytes of the fixed fields a layout starts with. */
function leadingSize(root: Root): number {
  let size = 0;
  for (const field of Object.values(root.fields) as Node[]) {
    if (!isFixed(field)) break;
    size += field.size;
  }
  return size;
}

/** Code for a variable field; `at` advances over it. */
function variable(generator: Generator, prefix: string, node: Exclude<Node, FixedNode>, places: Places): void {
  const raw = (from: string, to: string) => {
    generator.ensure(`${prefix.length + 16} + (${to} - ${from}) * 2`);
    generator.text(prefix);
    generator.add(`p = putHex(u, d, p, b, ${from}, ${to});`);
  };
  const call = (writer: JsonWriter, end: string, whole: boolean) => {
    generator.add(
      `s.at = p; { const next = ${generator.constant(writer)}(s, b, v, at, ${end}); if (next < 0${whole ? ` || next !== ${end}` : ""}) return -1; at = next; } u = s.bytes; d = s.view; p = s.at;`,
    );
  };
  switch (node.kind) {
    case "blob": {
      const length = node.length
        ? refExpression(generator, node.length, places).amount
        : node.until && `Math.max(0, ${refExpression(generator, node.until, places).amount} - (at - start))`;
      if (!length) generator.add("if (at < end) {");
      else generator.add(`{ const length = ${length}; if (length > end - at) return -1; if (length > 0) { const to = at + length;`);
      raw("at", length ? "to" : "end");
      generator.add(length ? "at = to; } }" : "at = end; }");
      break;
    }
    case "padding":
      generator.add(
        `{ const wanted = (${node.to} - ((at - start) % ${node.to})) % ${node.to}; const to = Math.min(end, at + wanted); if (to - at !== wanted || !isBlank(b, at, to)) {`,
      );
      raw("at", "to");
      generator.add("} at = to; }");
      break;
    case "list":
      listOf(generator, prefix, node, places, "end");
      break;
    case "window": {
      const stop = generator.fresh("e");
      generator.add(`const ${stop} = at + ${refExpression(generator, node.length, places).amount}; if (${stop} > end) return -1; if (${stop} > at) {`);
      if (node.item.kind === "list") listOf(generator, prefix, node.item, places, stop, true);
      else if (node.item.kind === "choice") choiceOf(generator, prefix, node.item, places, stop, raw, call);
      else {
        generator.ensure(`${prefix.length + 16}`);
        generator.text(prefix);
        call(partsWriter(node.item), stop, true);
      }
      generator.add("}");
      break;
    }
    case "choice":
      generator.add("if (at < end) {");
      choiceOf(generator, prefix, node, places, "end", raw, call);
      generator.add("}");
      break;
    case "sequence":
      generator.ensure(`${prefix.length + 16}`);
      generator.text(prefix);
      call(partsWriter(node as SequenceNode), "end", false);
      break;
    case "variant": {
      generator.ensure(`${prefix.length + 16}`);
      generator.text(prefix);
      generator.add(
        `{ const w = ${generator.constant(variantWriter(node))}(b, at, end); if (w === undefined) return -1; s.at = p; const next = w(s, b, v, at, end); if (next < 0) return -1; at = next; u = s.bytes; d = s.view; p = s.at; }`,
      );
      break;
    }
  }
}

function variantWriter(node: import("./layout.ts").VariantNode): (input: Uint8Array, at: number, end: number) => JsonWriter | undefined {
  const tag = variantTag(node);
  const byNumber = new Map([...tag.byNumber].map(([number, layout]) => [number, partsWriter(layout)]));
  return (input, at, end) => {
    if (tag.offset + tag.size > end - at) return undefined;
    let number = 0;
    for (let i = tag.size - 1; i >= 0; i--) number = number * 256 + input[at + tag.offset + i]!;
    return byNumber.get(number);
  };
}

function listOf(generator: Generator, prefix: string, node: import("./layout.ts").ListNode, places: Places, end: string, mustFill = false): void {
  const count = generator.fresh("c");
  const index = generator.fresh("i");
  const amount = node.count ? refExpression(generator, node.count, places).amount : "Infinity";
  generator.add(`const ${count} = ${amount}; if (${count} > 0 && at < ${end}) {`);
  generator.ensure(`${prefix.length + 16}`);
  generator.text(prefix);
  generator.add(`const open = p; let ${index} = 0; while (${index} < ${count} && at < ${end}) {`);
  if (node.item.kind === "variant") generator.add(`const w = ${generator.constant(variantWriter(node.item))}(b, at, ${end}); if (w === undefined) return -1;`);
  else generator.add(`if (${leadingSize(node.item)} > ${end} - at) return -1; const w = ${generator.constant(partsWriter(node.item))};`);
  generator.ensure("16");
  generator.add(
    `u[p++] = 44; s.at = p; const next = w(s, b, v, at, ${end}); if (next < 0 || next === at) return -1; at = next; u = s.bytes; d = s.view; p = s.at; ${index}++; }`,
  );
  generator.add("u[open] = 91; u[p++] = 93;");
  generator.add(node.count ? `if (${index} !== ${count}) return -1;` : `if (at !== ${end}) return -1;`);
  generator.add(node.count ? `} else if (${count} > 0) return -1;` : "}");
  if (mustFill) generator.add(`if (at !== ${end}) return -1;`);
}

function choiceOf(
  generator: Generator,
  prefix: string,
  node: import("./layout.ts").ChoiceNode,
  places: Places,
  end: string,
  raw: (from: string, to: string) => void,
  call: (writer: JsonWriter, end: string, whole: boolean) => void,
): void {
  const { raw: value, node: on } = refExpression(generator, node.on, places);
  // Guarded by a layout's own cases: at most a few dozen comparisons, most decided by the first.
  const key = generator.fresh("x");
  if (on.kind === "guid") generator.add(`const ${key} = guidText(b, ${value});`);
  else generator.add(`const ${key} = ${value};`);
  let first = true;
  for (const [name, layout] of Object.entries(node.cases)) {
    const entry = on.kind === "enum" ? on.names[name] : undefined;
    // A single bit decodes to true or to nothing.
    const number = name === "true" ? 1 : entry === undefined ? Number(name) : numberOf(entry);
    const test = on.kind === "guid" ? JSON.stringify(name) : String(number);
    generator.add(`${first ? "" : "else "}if (${key} === ${test}) {`);
    first = false;
    generator.ensure(`${prefix.length + 16}`);
    generator.text(prefix);
    call(partsWriter(layout), end, true);
    generator.add("}");
  }
  generator.add(first ? "{" : "else {");
  raw("at", end);
  generator.add(`at = ${end}; }`);
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
  const from = sink.at;
  if (partsWriter(layout as Root)(sink, input, view, start, end) === end) return;
  sink.at = from;
  sink.text(JSON.stringify(toJson(layout, parse(layout as never, input, start, end) as object)));
}
