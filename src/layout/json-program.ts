/**
 * Fixed fields to JSON text: each run of them is compiled to a short program, a list of numbers, that one loop
 * executes. The loop is the same for every layout, so V8 has it optimised after the first thousand records, and
 * its machine code fits the instruction cache, which that of a function generated for each layout does not.
 *
 * Text that never changes (keys, brackets, names of values) is copied eight bytes at a time, as doubles: ASCII never
 * has the bit pattern of a NaN. What is stored past the end of a piece is overwritten by the next.
 */
import { isBlank, literal, putDecimal, putGuid, putHex, putHex64, putText, putTimestamp } from "./json-text.ts";
import { type BitMember, type BitsNode, bitRange, type EnumNode, type FixedNode, type Names, numberOf, type UintNode } from "./layout.ts";
import { memberOf } from "./values.ts";

/** A run of fields, compiled. */
export interface Program {
  /**
   * Instructions: operation and length of the text before the value in one word, where that text is, offset of the
   * field, and what the operation needs besides.
   */
  readonly code: Int32Array;
  /** Constant text; each piece begins with a new word. */
  readonly text: Float64Array;
  /** Pieces of text by number, as pairs of place and length; length 0 where a number has none. */
  readonly tables: Int32Array;
  /** Where in `tables` a value has its text, for enumerations with large values. */
  readonly maps: readonly ReadonlyMap<number, number>[];
  /** Programs of structures inside. */
  readonly parts: readonly Program[];
}

/** Words copied for every piece of text, however short: the end of a loop would be mispredicted more dearly. */
const AT_ONCE = 3;

// ---- instructions ----

const END = 0;
const U8 = 1;
const U16 = 2;
const U32 = 3;
const U64 = 4;
/** A number of any size and byte order. */
const WORD = 5;
const U64_BIG = 6;
/** A value with a name: size, table, count of its entries; or, with a negative count, number of a map. */
const NAMED = 7;
/** Size, length of the instructions for the members that follow. */
const BITS = 8;
const GUID = 9;
const TEXT = 10;
const TIMESTAMP = 11;
const BYTES = 12;
/** Only when not zero. */
const RESERVED = 13;
/** Text alone. */
const CONSTANT = 14;
/** Number of another program, and the brackets its text goes into: its first comma becomes the left one. */
const ENCLOSED = 15;

const OPERATION_BITS = 4;
const OPERATION = (1 << OPERATION_BITS) - 1;

/** Members of bit fields. Single bits: which half, mask, table by bit number. */
const FLAGS = 0;
/** Text, low bit, width. */
const RANGE = 1;
/** Text, low bit, width, table, count as for NAMED. */
const NAMED_RANGE = 2;
/** Text, masks of both halves. */
const REST = 3;
const LAST = 4;

/** Size of a word with its byte order. */
const BIG = 8;
const sizeOf = (node: UintNode | EnumNode | BitsNode) => node.size | (node.order === "big" && node.size > 1 ? BIG << 1 : 0);

// ---- compiling ----

class Compiler {
  readonly #code: number[] = [];
  readonly #text: number[] = [];
  readonly #places = new Map<string, number>();
  readonly #tables: number[] = [];
  readonly #maps: ReadonlyMap<number, number>[] = [];
  readonly #parts: Program[] = [];
  /** Text to be written before the next value. */
  #pending = "";

  /** Where a piece of text lies. */
  #place(text: string): number {
    const known = this.#places.get(text);
    if (known !== undefined) return known;
    const place = this.#text.length;
    this.#text.push(...literal(text).chunks);
    this.#places.set(text, place);
    return place;
  }
  #table(texts: readonly (string | undefined)[]): number {
    const from = this.#tables.length;
    for (const text of texts) this.#tables.push(text === undefined ? 0 : this.#place(text), text?.length ?? 0);
    return from;
  }

  #add(operation: number, text: string, offset: number, ...rest: number[]): void {
    const before = this.#pending + text;
    this.#pending = "";
    this.#code.push(operation | (before.length << OPERATION_BITS), this.#place(before), offset, ...rest);
  }

  /** `,"key":value` for each field from `offset` on; the comma of the first is replaced by `opening`. */
  fields(fields: readonly (readonly [string, FixedNode])[], offset: number, opening = ","): void {
    let at = offset;
    for (const [i, [name, field]] of fields.entries()) {
      this.fixed(`${i === 0 ? opening : ","}${JSON.stringify(name)}:`, field, at);
      at += field.size;
    }
  }

  fixed(text: string, node: FixedNode, at: number): void {
    switch (node.kind) {
      case "uint":
        if (node.size === 8) this.#add(node.order === "big" ? U64_BIG : U64, text, at);
        else if (node.size === 1) this.#add(U8, text, at);
        else if (node.order === "big" || node.size === 3) this.#add(WORD, text, at, sizeOf(node));
        else this.#add(node.size === 2 ? U16 : U32, text, at);
        break;
      case "enum":
        this.#add(NAMED, text, at, sizeOf(node), ...this.#named(this.#pending + text, node.names));
        break;
      case "bits": {
        const members = this.#members(node.members);
        this.#add(BITS, text, at, sizeOf(node), members.length);
        this.#code.push(...members);
        break;
      }
      case "guid":
        this.#add(GUID, text, at);
        break;
      case "text":
        this.#add(TEXT, text, at, node.size);
        break;
      case "timestamp":
        this.#add(TIMESTAMP, text, at);
        break;
      case "bytes":
        this.#add(BYTES, text, at, node.size);
        break;
      case "reserved":
        if (this.#pending !== "") this.#add(CONSTANT, "", at);
        this.#add(RESERVED, text, at, node.size);
        break;
      case "array":
        if (node.count === 0) this.#pending += `${text}[]`;
        else {
          for (let i = 0; i < node.count; i++) this.fixed(i === 0 ? `${text}[` : ",", node.item, at + i * node.item.size);
          this.#pending += "]";
        }
        break;
      case "struct": {
        const fields = Object.entries(node.fields);
        if (fields.length === 0) this.#pending += `${text}{}`;
        else if (fields[0]![1].kind === "reserved") this.#add(ENCLOSED, text, at, this.#parts.push(compileFields(fields)) - 1, 0x7b, 0x7d);
        else {
          this.fields(fields, at, `${text}{`);
          this.#pending += "}";
        }
        break;
      }
    }
  }

  /** The text of each value that has a name: table and count, or map and -1. */
  #named(text: string, names: Names): [table: number, count: number] {
    const entries = Object.entries(names).map(([name, entry]) => [numberOf(entry), `${text}${JSON.stringify(name)}`] as const);
    const highest = Math.max(...entries.map(([value]) => value));
    if (highest < 4096) {
      const texts: (string | undefined)[] = Array.from({ length: highest + 1 }, () => undefined);
      for (const [value, name] of entries) texts[value] = name;
      return [this.#table(texts), texts.length];
    }
    return [this.#maps.push(new Map(entries.map(([value, name]) => [value, this.#table([name])]))) - 1, -1];
  }

  /** Instructions for the members of a bit field. */
  #members(members: Readonly<Record<string, BitMember>>): number[] {
    const code: number[] = [];
    let flags: (string | undefined)[] = [];
    let half = 0;
    let mask = 0;
    const flush = () => {
      if (mask !== 0) code.push(FLAGS, half, mask, this.#table(flags));
      flags = [];
      mask = 0;
    };
    let known = 0n;
    for (const [name, member] of Object.entries(members)) {
      const [low, width] = bitRange(member);
      known |= ((1n << BigInt(width)) - 1n) << BigInt(low);
      const text = `,${JSON.stringify(name)}:`;
      if (typeof member === "number") {
        // Bits are found from the lowest up: one that is declared after a higher one begins a new group.
        if (low >> 5 !== half || low % 32 < flags.length) flush();
        half = low >> 5;
        while (flags.length < low % 32) flags.push(undefined);
        flags.push(`${text}true`);
        mask |= 1 << low;
      } else {
        flush();
        const piece = [this.#place(text), text.length, low, width];
        if ("names" in member) code.push(NAMED_RANGE, ...piece, ...this.#named(text, member.names));
        else code.push(RANGE, ...piece);
      }
    }
    flush();
    const [restLow, restHigh] = [~known & 0xffffffffn, (~known >> 32n) & 0xffffffffn].map((word) => Number(word) | 0);
    if (restLow !== 0 || restHigh !== 0) code.push(REST, this.#place(REST_KEY), REST_KEY.length, restLow!, restHigh!);
    code.push(LAST);
    return code;
  }

  finish(): Program {
    this.#add(END, "", 0);
    return {
      code: Int32Array.from(this.#code),
      // Reading a piece may reach past its end.
      text: Float64Array.from([...this.#text, ...Array.from({ length: AT_ONCE }, () => 0)]),
      tables: Int32Array.from(this.#tables),
      maps: this.#maps,
      parts: this.#parts,
    };
  }
}
const REST_KEY = ',"rest":';

/** A program that writes `,"key":value` for each field; reserved bytes that are zero are left out. */
export function compileFields(fields: readonly (readonly [string, FixedNode])[]): Program {
  const compiler = new Compiler();
  compiler.fields(fields, 0);
  return compiler.finish();
}

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
/** Most bytes of JSON that fields take, keys counted. */
export const fieldsBytes = (fields: readonly (readonly [string, FixedNode])[]): number =>
  fields.reduce((sum, [name, field]) => sum + name.length + 16 + mostBytes(field), 16);

// ---- running ----

/** A word of up to four bytes. */
function wordAt(b: Uint8Array, v: DataView, at: number, size: number): number {
  switch (size) {
    case 1:
      return b[at]!;
    case 2:
      return v.getUint16(at, true);
    case 3:
      return b[at]! + b[at + 1]! * 0x100 + b[at + 2]! * 0x10000;
    case 4:
      return v.getUint32(at, true);
    case 2 | (BIG << 1):
      return v.getUint16(at, false);
    case 3 | (BIG << 1):
      return b[at]! * 0x10000 + b[at + 1]! * 0x100 + b[at + 2]!;
    default:
      return v.getUint32(at, false);
  }
}

/** Write a piece of constant text. */
function putPiece(d: DataView, p: number, text: Float64Array, piece: number, length: number): number {
  d.setFloat64(p, text[piece]!, true);
  d.setFloat64(p + 8, text[piece + 1]!, true);
  d.setFloat64(p + 16, text[piece + 2]!, true);
  for (let i = AT_ONCE; i * 8 < length; i++) d.setFloat64(p + i * 8, text[piece + i]!, true);
  return p + length;
}

/** Write the text of a value that has a name, or `piece` and the number of one that has none. */
function putNamed(u: Uint8Array, d: DataView, p: number, program: Program, piece: number, length: number, value: number, table: number, count: number): number {
  const { tables, text } = program;
  const entry = count >= 0 ? (value < count ? table + value * 2 : -1) : (program.maps[table]!.get(value) ?? -1);
  if (entry >= 0 && tables[entry + 1]! > 0) return putPiece(d, p, text, tables[entry]!, tables[entry + 1]!);
  return putDecimal(u, d, putPiece(d, p, text, piece, length), value);
}

/** The members of a bit field, each after a comma. */
function putMembers(u: Uint8Array, d: DataView, from: number, program: Program, start: number, low: number, high: number): number {
  const { code, text, tables } = program;
  let p = from;
  let pc = start;
  for (;;) {
    switch (code[pc]) {
      case FLAGS: {
        let left = (code[pc + 1] === 0 ? low : high) & code[pc + 2]!;
        const table = code[pc + 3]!;
        while (left !== 0) {
          const entry = table + 2 * (31 - Math.clz32(left & -left));
          left &= left - 1;
          p = putPiece(d, p, text, tables[entry]!, tables[entry + 1]!);
        }
        pc += 4;
        break;
      }
      case RANGE:
        p = putDecimal(u, d, putPiece(d, p, text, code[pc + 1]!, code[pc + 2]!), memberOf(low, high, code[pc + 3]!, code[pc + 4]!));
        pc += 5;
        break;
      case NAMED_RANGE:
        p = putNamed(u, d, p, program, code[pc + 1]!, code[pc + 2]!, memberOf(low, high, code[pc + 3]!, code[pc + 4]!), code[pc + 5]!, code[pc + 6]!);
        pc += 7;
        break;
      case REST: {
        const restLow = low & code[pc + 3]!;
        const restHigh = high & code[pc + 4]!;
        if ((restLow | restHigh) !== 0) p = putHex64(u, d, putPiece(d, p, text, code[pc + 1]!, code[pc + 2]!), restLow >>> 0, restHigh >>> 0);
        pc += 5;
        break;
      }
      default:
        return p;
    }
  }
}

/**
 * Write at `p` of `u` the JSON of the fields at `o` of `b`; `d` and `v` are views of the same memory.
 * @returns the end of the text. The caller has made room.
 */
export function runProgram(program: Program, u: Uint8Array, d: DataView, from: number, b: Uint8Array, v: DataView, o: number): number {
  const { code, text } = program;
  let p = from;
  for (let pc = 0; ; ) {
    const head = code[pc]!;
    const piece = code[pc + 1]!;
    const at = o + code[pc + 2]!;
    const length = head >>> OPERATION_BITS;
    // Also before operations that may turn out to write nothing: they then do not move on.
    const q = putPiece(d, p, text, piece, length);
    switch (head & OPERATION) {
      case U8:
        p = putDecimal(u, d, q, b[at]!);
        pc += 3;
        break;
      case U16:
        p = putDecimal(u, d, q, v.getUint16(at, true));
        pc += 3;
        break;
      case U32:
        p = putDecimal(u, d, q, v.getUint32(at, true));
        pc += 3;
        break;
      case U64:
        p = putHex64(u, d, q, v.getUint32(at, true), v.getUint32(at + 4, true));
        pc += 3;
        break;
      case U64_BIG:
        p = putHex64(u, d, q, v.getUint32(at + 4, false), v.getUint32(at, false));
        pc += 3;
        break;
      case WORD:
        p = putDecimal(u, d, q, wordAt(b, v, at, code[pc + 3]!));
        pc += 4;
        break;
      case NAMED:
        p = putNamed(u, d, p, program, piece, length, wordAt(b, v, at, code[pc + 3]!), code[pc + 4]!, code[pc + 5]!);
        pc += 6;
        break;
      case BITS: {
        const size = code[pc + 3]!;
        const low = size === 8 ? v.getUint32(at, true) : size === (8 | (BIG << 1)) ? v.getUint32(at + 4, false) : wordAt(b, v, at, size);
        const high = size === 8 ? v.getUint32(at + 4, true) : size === (8 | (BIG << 1)) ? v.getUint32(at, false) : 0;
        p = enclose(u, q, putMembers(u, d, q, program, pc + 5, low, high), 0x7b, 0x7d);
        pc += 5 + code[pc + 4]!;
        break;
      }
      case GUID:
        p = putGuid(u, d, q, b, v, at);
        pc += 3;
        break;
      case TEXT:
        p = putText(u, q, b, at, code[pc + 3]!);
        pc += 4;
        break;
      case TIMESTAMP:
        p = putTimestamp(u, d, q, b, at);
        pc += 3;
        break;
      case BYTES:
        p = putHex(u, d, q, b, at, at + code[pc + 3]!);
        pc += 4;
        break;
      case RESERVED: {
        const size = code[pc + 3]!;
        if (!isBlank(b, at, at + size)) p = putHex(u, d, q, b, at, at + size);
        pc += 4;
        break;
      }
      case CONSTANT:
        p = q;
        pc += 3;
        break;
      case ENCLOSED:
        p = enclose(u, q, runProgram(program.parts[code[pc + 3]!]!, u, d, q, b, v, at), code[pc + 4]!, code[pc + 5]!);
        pc += 6;
        break;
      default:
        return q;
    }
  }
}

/** Put brackets around what lies between `open` and `p`, whose first comma becomes the left one; returns the end. */
export function enclose(u: Uint8Array, open: number, p: number, left: number, right: number): number {
  const end = p === open ? p + 1 : p;
  u[open] = left;
  u[end] = right;
  return end + 1;
}
