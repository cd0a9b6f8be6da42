/**
 * Fixed fields to JSON text: each run of them is compiled to a short program, a row of numbers, that one loop
 * executes. The loop is the same for every layout, so V8 has it optimised after the first thousand records, and
 * its machine code fits the instruction cache, which that of a function generated for each layout does not. Programs
 * lie in arrays of fixed size for the reason that `json-text.ts` gives.
 */
import { isBlank, keep, NoRoom, page, putDecimal, putGuid, putHex, putHex64, putPiece, putText, putTimestamp } from "./json-text.ts";
import { type BitMember, type BitsNode, bitRange, type EnumNode, type FixedNode, type Names, numberOf, type UintNode } from "./layout.ts";
import { memberOf } from "./values.ts";

/** A run of fields, compiled. */
export type Program = number;

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

function interpreter() {
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
  /** Another program, and the brackets its text goes into: its first comma becomes the left one. */
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

  /**
   * The instructions of all programs: operation and length of the text before the value in one word, where that text
   * is, offset of the field, and what the operation needs besides. A program is the place of its first instruction.
   */
  const code = new Int32Array(1 << 16);
  let codeUsed = 0;
  /** Pieces of text by number, as pairs of place and length; length 0 where a number has none. */
  const tables = new Int32Array(1 << 16);
  let tablesUsed = 0;
  /** Enumerations with large values: where in the tables a value has its text. */
  const maps: ReadonlyMap<number, number>[] = [];

  /** Keep numbers in an array for good; returns where they begin. @throws NoRoom */
  function keepNumbers(array: Int32Array, at: number, numbers: readonly number[]): number {
    if (at + numbers.length > array.length) throw new NoRoom("there are too many layouts");
    array.set(numbers, at);
    return at + numbers.length;
  }
  function keepTable(texts: readonly (string | undefined)[]): number {
    const from = tablesUsed;
    tablesUsed = keepNumbers(
      tables,
      from,
      texts.flatMap((text) => (text === undefined ? [0, 0] : [keep(text), text.length])),
    );
    return from;
  }

  // ---- compiling ----

  class Compiler {
    readonly #code: number[] = [];
    /** Text to be written before the next value. */
    #pending = "";

    #add(operation: number, text: string, offset: number, ...rest: number[]): void {
      const before = this.#pending + text;
      this.#pending = "";
      this.#code.push(operation | (before.length << OPERATION_BITS), keep(before), offset, ...rest);
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
          this.#add(NAMED, text, at, sizeOf(node), ...named(this.#pending + text, node.names));
          break;
        case "bits": {
          const members = memberInstructions(node.members);
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
          this.#pending += `${text}[`;
          for (let i = 0; i < node.count; i++) this.fixed(i === 0 ? "" : ",", node.item, at + i * node.item.size);
          this.#pending += "]";
          break;
        case "struct": {
          const fields = Object.entries(node.fields);
          if (fields.length === 0) this.#pending += `${text}{}`;
          else if (fields[0]![1].kind === "reserved") this.#add(ENCLOSED, text, at, compileFields(fields), 0x7b, 0x7d);
          else {
            this.fields(fields, at, `${text}{`);
            this.#pending += "}";
          }
          break;
        }
      }
    }

    finish(): Program {
      this.#add(END, "", 0);
      const from = codeUsed;
      codeUsed = keepNumbers(code, from, this.#code);
      return from;
    }
  }

  /** The text of each value that has a name: table and count, or map and -1. */
  function named(text: string, names: Names): [table: number, count: number] {
    const entries = Object.entries(names).map(([name, entry]) => [numberOf(entry), `${text}${JSON.stringify(name)}`] as const);
    const highest = Math.max(...entries.map(([value]) => value));
    if (highest < 4096) {
      const texts: (string | undefined)[] = Array.from({ length: highest + 1 }, () => undefined);
      for (const [value, name] of entries) texts[value] = name;
      return [keepTable(texts), texts.length];
    }
    return [maps.push(new Map(entries.map(([value, name]) => [value, keepTable([name])]))) - 1, -1];
  }

  /** Instructions for the members of a bit field. */
  function memberInstructions(members: Readonly<Record<string, BitMember>>): number[] {
    const code: number[] = [];
    let flags: (string | undefined)[] = [];
    let half = 0;
    let mask = 0;
    const flush = () => {
      if (mask !== 0) code.push(FLAGS, half, mask, keepTable(flags));
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
        const piece = [keep(text), text.length, low, width];
        if ("names" in member) code.push(NAMED_RANGE, ...piece, ...named(text, member.names));
        else code.push(RANGE, ...piece);
      }
    }
    flush();
    const [restLow, restHigh] = [~known & 0xffffffffn, (~known >> 32n) & 0xffffffffn].map((word) => Number(word) | 0);
    if (restLow !== 0 || restHigh !== 0) code.push(REST, keep(REST_KEY), REST_KEY.length, restLow!, restHigh!);
    code.push(LAST);
    return code;
  }

  const REST_KEY = ',"rest":';

  /** A program that writes `,"key":value` for each field; reserved bytes that are zero are left out. */
  function compileFields(fields: readonly (readonly [string, FixedNode])[]): Program {
    const compiler = new Compiler();
    compiler.fields(fields, 0);
    return compiler.finish();
  }

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

  /** Write the text of a value that has a name, or `piece` and the number of one that has none. */
  function putNamed(at: number, place: number, length: number, value: number, table: number, count: number): number {
    const entry = count >= 0 ? (value < count ? table + value * 2 : -1) : (maps[table]!.get(value) ?? -1);
    if (entry >= 0 && tables[entry + 1]! > 0) return putPiece(at, tables[entry]!, tables[entry + 1]!);
    return putDecimal(putPiece(at, place, length), value);
  }

  /** The members of a bit field, each after a comma. */
  function putMembers(from: number, start: number, low: number, high: number): number {
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
            p = putPiece(p, tables[entry]!, tables[entry + 1]!);
          }
          pc += 4;
          break;
        }
        case RANGE:
          p = putDecimal(putPiece(p, code[pc + 1]!, code[pc + 2]!), memberOf(low, high, code[pc + 3]!, code[pc + 4]!));
          pc += 5;
          break;
        case NAMED_RANGE:
          p = putNamed(p, code[pc + 1]!, code[pc + 2]!, memberOf(low, high, code[pc + 3]!, code[pc + 4]!), code[pc + 5]!, code[pc + 6]!);
          pc += 7;
          break;
        case REST: {
          const restLow = low & code[pc + 3]!;
          const restHigh = high & code[pc + 4]!;
          if ((restLow | restHigh) !== 0) p = putHex64(putPiece(p, code[pc + 1]!, code[pc + 2]!), restLow >>> 0, restHigh >>> 0);
          pc += 5;
          break;
        }
        default:
          return p;
      }
    }
  }

  /**
   * Write at `from` on the page the JSON of the fields at `o` of `b`; `v` is a view of the same bytes.
   * @returns the end of the text. The caller has made sure that there is room.
   */
  function runProgram(program: Program, from: number, b: Uint8Array, v: DataView, o: number): number {
    let p = from;
    for (let pc = program; ; ) {
      const head = code[pc]!;
      const piece = code[pc + 1]!;
      const at = o + code[pc + 2]!;
      const length = head >>> OPERATION_BITS;
      // Also before operations that may turn out to write nothing: they then do not move on.
      const q = putPiece(p, piece, length);
      switch (head & OPERATION) {
        case U8:
          p = putDecimal(q, b[at]!);
          pc += 3;
          break;
        case U16:
          p = putDecimal(q, v.getUint16(at, true));
          pc += 3;
          break;
        case U32:
          p = putDecimal(q, v.getUint32(at, true));
          pc += 3;
          break;
        case U64:
          p = putHex64(q, v.getUint32(at, true), v.getUint32(at + 4, true));
          pc += 3;
          break;
        case U64_BIG:
          p = putHex64(q, v.getUint32(at + 4, false), v.getUint32(at, false));
          pc += 3;
          break;
        case WORD:
          p = putDecimal(q, wordAt(b, v, at, code[pc + 3]!));
          pc += 4;
          break;
        case NAMED:
          p = putNamed(p, piece, length, wordAt(b, v, at, code[pc + 3]!), code[pc + 4]!, code[pc + 5]!);
          pc += 6;
          break;
        case BITS: {
          const size = code[pc + 3]!;
          const low = size === 8 ? v.getUint32(at, true) : size === (8 | (BIG << 1)) ? v.getUint32(at + 4, false) : wordAt(b, v, at, size);
          const high = size === 8 ? v.getUint32(at + 4, true) : size === (8 | (BIG << 1)) ? v.getUint32(at, false) : 0;
          p = enclose(q, putMembers(q, pc + 5, low, high), 0x7b, 0x7d);
          pc += 5 + code[pc + 4]!;
          break;
        }
        case GUID:
          p = putGuid(q, b, v, at);
          pc += 3;
          break;
        case TEXT:
          p = putText(q, b, at, code[pc + 3]!);
          pc += 4;
          break;
        case TIMESTAMP:
          p = putTimestamp(q, b, at);
          pc += 3;
          break;
        case BYTES:
          p = putHex(q, b, at, at + code[pc + 3]!);
          pc += 4;
          break;
        case RESERVED: {
          const size = code[pc + 3]!;
          if (!isBlank(b, at, at + size)) p = putHex(q, b, at, at + size);
          pc += 4;
          break;
        }
        case CONSTANT:
          p = q;
          pc += 3;
          break;
        case ENCLOSED:
          p = enclose(q, runProgram(code[pc + 3]!, q, b, v, at), code[pc + 4]!, code[pc + 5]!);
          pc += 6;
          break;
        default:
          return q;
      }
    }
  }

  /** Put brackets around what lies between `open` and `p`, whose first comma becomes the left one; returns the end. */
  function enclose(open: number, p: number, left: number, right: number): number {
    const end = p === open ? p + 1 : p;
    page[open] = left;
    page[end] = right;
    return end + 1;
  }

  return { compileFields, runProgram, enclose };
}
export const { compileFields, runProgram, enclose } = interpreter();
