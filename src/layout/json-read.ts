/**
 * JSON text straight to bytes, without values in between: the bulk encoder's interpreter of layouts.
 *
 * It reads text as `json-bytes.ts` writes it: members in wire order, no blanks, every value spelled the one way. Any
 * other text, though it may mean the same, it leaves to `fromJson` and `encode`, which also know what to say of mistakes.
 * The bytes it makes are those that they make.
 */
import { casesOf, type Found, numberAt, type Place, placeOf } from "./json-place.ts";
import { type BitMember, bitRange, isFixed, type Names, type Node, numberOf, type Root } from "./layout.ts";
import { timestampBytes } from "./timestamp.ts";
import { guidText } from "./values.ts";

/** Thrown, always the same one, by what has to be read the ordinary way. */
export class Unusual extends Error {}
const UNUSUAL = new Unusual("this text has to be read the ordinary way");
const giveUp = (): never => {
  throw UNUSUAL;
};

const encoder = new TextEncoder();
/** A name as it stands in JSON, without its quotes. */
const nameBytes = (name: string): Uint8Array => (/^[\x20\x21\x23-\x5b\x5d-\x7e]*$/.test(name) ? encoder.encode(name) : giveUp());

/** Finds what a name stands for, without making a string of it. */
export class NameIndex<T> {
  readonly #names: (Uint8Array | undefined)[];
  readonly #values: (T | undefined)[];
  readonly #mask: number;

  constructor(entries: readonly (readonly [name: string, value: T])[]) {
    let size = 4;
    while (size < entries.length * 3) size *= 2;
    this.#mask = size - 1;
    this.#names = Array.from({ length: size }, () => undefined);
    this.#values = Array.from({ length: size }, () => undefined);
    for (const [name, value] of entries) {
      const bytes = nameBytes(name);
      let slot = this.#slot(bytes, 0, bytes.length);
      while (this.#names[slot]) slot = (slot + 1) & this.#mask;
      this.#names[slot] = bytes;
      this.#values[slot] = value;
    }
  }
  #slot(text: Uint8Array, from: number, to: number): number {
    if (from === to) return 0;
    return (to - from + text[from]! * 3 + text[to - 1]! * 7 + text[(from + to) >> 1]! * 13 + text[from + ((to - from) >> 2)]! * 29) & this.#mask;
  }
  /** What the name in `[from, to)` stands for; undefined when it is not known. */
  find(text: Uint8Array, from: number, to: number): T | undefined {
    for (let slot = this.#slot(text, from, to); ; slot = (slot + 1) & this.#mask) {
      const name = this.#names[slot];
      if (!name) return undefined;
      if (name.length !== to - from) continue;
      let i = 0;
      while (i < name.length && name[i] === text[from + i]) i++;
      if (i === name.length) return this.#values[slot];
    }
  }
}
const numbersOf = (names: Names) => new NameIndex(Object.entries(names).map(([name, entry]) => [name, numberOf(entry)] as const));

/** A member of a bit field. */
interface Member {
  readonly index: number;
  readonly low: number;
  readonly width: number;
  /** A single bit, a range, or the bits that have no name. */
  readonly kind: "flag" | "range" | "rest";
  readonly names: NameIndex<number> | undefined;
  /** Values that have names: those are not written as numbers. */
  readonly named: ReadonlySet<number>;
}
/** What the value of a field is read by: one class for all kinds, of which V8 is fondest. */
class Value {
  readonly kind: Node["kind"];
  /** Bytes of a fixed field; what padding goes up to a multiple of. */
  readonly size: number;
  readonly big: boolean;
  /** Of an enumeration. */
  readonly names: NameIndex<number> | undefined;
  /** Of a bit field, and how many of them are ranges: those are never left out. */
  readonly members: NameIndex<Member> | undefined;
  readonly ranges: number;
  /** Of an array, a list or a window. */
  readonly item: Value | undefined;
  readonly count: number;
  /** Of a structure. */
  readonly plan: ReadPlan | undefined;
  /** Of a choice. */
  readonly on: Place | undefined;
  readonly cases: ReadonlyMap<number | string, ReadPlan> | undefined;

  constructor(node: Node, find: (ref: Parameters<typeof placeOf>[0]) => Place) {
    this.kind = node.kind;
    this.size = "size" in node ? node.size : node.kind === "padding" ? node.to : 0;
    this.big = "order" in node && node.order === "big";
    this.names = node.kind === "enum" ? numbersOf(node.names) : undefined;
    const members = node.kind === "bits" ? membersOf(node.members) : [];
    this.members = node.kind === "bits" ? new NameIndex(members) : undefined;
    this.ranges = members.filter(([, { kind }]) => kind === "range").length;
    this.item = node.kind === "array" || node.kind === "list" || node.kind === "window" ? new Value(node.item, find) : undefined;
    this.count = node.kind === "array" ? node.count : 0;
    this.plan = node.kind === "struct" || node.kind === "sequence" ? readPlan(node) : undefined;
    this.on = node.kind === "choice" ? find(node.on) : undefined;
    this.cases = node.kind === "choice" ? casesOf(node, this.on!, readPlan) : undefined;
  }
}
const membersOf = (members: Readonly<Record<string, BitMember>>): (readonly [string, Member])[] => [
  ...Object.entries(members).map(([name, member], index): readonly [string, Member] => {
    const [low, width] = bitRange(member);
    const names = typeof member === "object" && "names" in member ? member.names : {};
    return [
      name,
      { index, low, width, kind: typeof member === "number" ? "flag" : "range", names: numbersOf(names), named: new Set(Object.values(names).map(numberOf)) },
    ];
  }),
  ["rest", { index: Object.keys(members).length, low: 0, width: 64, kind: "rest", names: undefined, named: new Set() }],
];

/** What a field is when it is left out: zero bytes, bytes up to a boundary, nothing, or what the ordinary way has to see to. */
function absence(node: Node): "zero" | "padding" | "nothing" | "wrong" {
  const { kind, initial } = node;
  if ((kind === "reserved" || kind === "padding") && initial === undefined) return kind === "reserved" ? "zero" : "padding";
  if (isFixed(node) || kind === "sequence" || kind === "variant") return "wrong";
  return initial === undefined || (initial as ArrayLike<unknown>).length === 0 ? "nothing" : "wrong";
}

class Field {
  /** `,"name":` */
  readonly key: Uint8Array;
  readonly value: Value;
  readonly absent: ReturnType<typeof absence>;

  constructor(name: string, node: Node, find: (ref: Parameters<typeof placeOf>[0]) => Place) {
    this.key = Uint8Array.of(0x2c, 0x22, ...nameBytes(name), 0x22, 0x3a);
    this.value = new Value(node, find);
    this.absent = absence(node);
  }
}

/** A layout's fields, ready to be read. They are made when the first text of it is met. */
export class ReadPlan {
  readonly #root: Root;
  #fields: readonly Field[] | undefined;

  constructor(root: Root) {
    this.#root = root;
  }
  get fields(): readonly Field[] {
    return (this.#fields ??= this.#made());
  }
  #made(): readonly Field[] {
    const found = new Map<string, Found>();
    return Object.entries(this.#root.fields).map(([name, node], step) => {
      const field = new Field(name, node, (ref) => placeOf(ref, found));
      if (isFixed(node)) found.set(name, { step, offset: 0, node });
      return field;
    });
  }
}
const plans = new WeakMap<Root, ReadPlan>();
/** The plan by which the JSON text of a layout is read. */
export function readPlan(layout: { readonly kind: "struct" | "sequence" }): ReadPlan {
  const root = layout as Root;
  let known = plans.get(root);
  if (!known) plans.set(root, (known = new ReadPlan(root)));
  return known;
}

/** Values of hex digits; -1 for all else, so that one test tells of any number of them. */
const HEX = Int8Array.from({ length: 256 }, (_, code) => {
  const value = Number.parseInt(String.fromCharCode(code), 16);
  return Number.isNaN(value) ? -1 : value;
});
/** Values of decimal digits; -1 for all else. */
const DECIMAL = HEX.map((value) => (value > 9 ? -1 : value));
/** What stands behind a backslash in strings, but for `u`; -1 for all else. */
const ESCAPES = new Int8Array(256).fill(-1);
for (const [letter, code] of [
  ['"', 0x22],
  ["\\", 0x5c],
  ["/", 0x2f],
  ["b", 8],
  ["f", 12],
  ["n", 10],
  ["r", 13],
  ["t", 9],
] as const)
  ESCAPES[letter.charCodeAt(0)] = code;
/** Where in the text of a GUID each of its bytes stands. */
const GUID_DIGITS = [6, 4, 2, 0, 11, 9, 16, 14, 19, 21, 24, 26, 28, 30, 32, 34];

/** Characters of a timestamp, at most. */
const LONGEST_TIMESTAMP = 40;
const TRAILING = Uint8Array.of(0x2c, ...encoder.encode('"trailing":'));
const QUOTE = 0x22;
const COMMA = 0x2c;
const COLON = 0x3a;
const OPEN_LIST = 0x5b;
const BACKSLASH = 0x5c;
const CLOSE_LIST = 0x5d;
const OPEN = 0x7b;
const CLOSE = 0x7d;

/**
 * Reads JSON text and writes bytes. A text must be followed, in the same memory, by a byte that no JSON text has, such
 * as the end of its line: that ends the reading of what is cut short.
 */
export class JsonReader {
  /** The text, and where in it reading goes on. */
  text: Uint8Array = new Uint8Array(0);
  at = 0;
  /** Where the bytes go, and where the next one goes. */
  bytes: Uint8Array = new Uint8Array(0);
  end = 0;

  /** Whether the text goes on with these bytes, from number `from` of them on; then they are passed over. */
  passes(expected: Uint8Array, from = 0): boolean {
    const { text, at } = this;
    for (let i = from; i < expected.length; i++) if (text[at - from + i] !== expected[i]) return false;
    this.at = at - from + expected.length;
    return true;
  }
  /** Pass over one character. @throws Unusual when it is another */
  expect(code: number): void {
    if (this.text[this.at] !== code) giveUp();
    this.at++;
  }
  /** Make sure that `size` more bytes fit. @throws Unusual */
  room(size: number): void {
    if (this.end + size > this.bytes.length) giveUp();
  }
  /** The end of the string that begins at the text's next character, if it has no escapes. @throws Unusual */
  #closing(): number {
    const { text } = this;
    this.expect(QUOTE);
    let to = this.at;
    for (let code = text[to]!; code !== QUOTE; code = text[++to]!) if (!(code >= 0x20 && code < 0x7f) || code === BACKSLASH) giveUp();
    return to;
  }
  /** Read a name; returns what it stands for. @throws Unusual when it is not known */
  name<T>(index: NameIndex<T>): T {
    const to = this.#closing();
    const value = index.find(this.text, this.at, to) ?? giveUp();
    this.at = to + 1;
    return value;
  }

  /** Read a structure with the members it has in JSON. @throws Unusual */
  struct(plan: ReadPlan): void {
    const { fields } = plan;
    this.expect(OPEN);
    const start = this.end;
    /** Where each field begins. */
    const bases = new Array<number>(fields.length);
    /** The comma that the first member has not. */
    let from = 1;
    /** Where the last field ends that is given, whether one before it was left out and filled, and whether a required one is missing. */
    let given = start;
    let filled = false;
    let missing = false;
    for (let i = 0; i < fields.length; i++) {
      const field = fields[i]!;
      bases[i] = this.end;
      if (!this.passes(field.key, from)) {
        if (field.absent === "wrong") missing = true;
        else if (field.absent !== "nothing") this.#fill(field.absent === "zero" ? field.value.size : this.#padding(field.value, start));
        continue;
      }
      if (missing) giveUp();
      if (this.end !== given) filled = true;
      from = 0;
      this.#value(field.value, bases);
      given = this.end;
    }
    if (this.passes(TRAILING, from)) {
      // Where bytes trail nothing is filled in; a field left out before another is no business of ours.
      if (filled) giveUp();
      this.end = given;
      this.digits();
    } else if (missing) giveUp();
    this.expect(CLOSE);
  }
  #padding({ size }: Value, start: number): number {
    return (size - ((this.end - start) % size)) % size;
  }
  #fill(size: number): void {
    this.room(size);
    this.bytes.fill(0, this.end, this.end + size);
    this.end += size;
  }

  /** @param bases where each field of the structure begins, as far as they are read. */
  #value(value: Value, bases: readonly number[]): void {
    switch (value.kind) {
      case "uint":
        if (value.size === 8) this.#hex64(value.big);
        else this.#word(this.#decimal(), value.size, value.big);
        break;
      case "enum":
        this.#word(this.text[this.at] === QUOTE ? this.name(value.names!) : this.#decimal(), value.size, value.big);
        break;
      case "bits":
        this.#bits(value);
        break;
      case "guid":
        this.#guid();
        break;
      case "text":
        this.#text(value.size);
        break;
      case "timestamp":
        this.#timestamp();
        break;
      case "bytes":
      case "reserved": {
        const before = this.end;
        this.digits();
        if (this.end - before !== value.size) giveUp();
        break;
      }
      case "array":
        if (this.#items(value.item!, bases) !== value.count) giveUp();
        break;
      case "list":
        this.#items(value.item!, bases);
        break;
      case "struct":
      case "sequence":
        this.struct(value.plan!);
        break;
      case "choice": {
        if (this.text[this.at] === QUOTE) {
          this.digits();
          break;
        }
        const on = value.on!;
        const key = on.kind === "guid" ? guidText(this.bytes, bases[on.step]! + on.offset) : numberAt(on, this.bytes, bases);
        this.struct(value.cases!.get(key) ?? giveUp());
        break;
      }
      case "window":
        this.#value(value.item!, bases);
        break;
      case "blob":
      case "padding":
        this.digits();
        break;
      default:
        giveUp();
    }
  }

  /** A list; returns how many items it has. */
  #items(item: Value, bases: readonly number[]): number {
    this.expect(OPEN_LIST);
    if (this.text[this.at] === CLOSE_LIST) {
      this.at++;
      return 0;
    }
    for (let count = 1; ; count++) {
      this.#value(item, bases);
      const next = this.text[this.at++];
      if (next === CLOSE_LIST) return count;
      if (next !== COMMA) giveUp();
    }
  }

  /** A number of up to 32 bits. */
  #decimal(): number {
    const { text } = this;
    let value = DECIMAL[text[this.at]!]!;
    if (value < 0) giveUp();
    this.at++;
    if (value === 0) return 0;
    for (let digit = DECIMAL[text[this.at]!]!; digit >= 0; digit = DECIMAL[text[++this.at]!]!) {
      value = value * 10 + digit;
      if (value > 0xffffffff) giveUp();
    }
    return value;
  }
  #word(value: number, size: number, big: boolean): void {
    this.room(size);
    const { bytes } = this;
    let left = value;
    for (let i = 0; i < size; i++) {
      bytes[this.end + (big ? size - 1 - i : i)] = left;
      left >>>= 8;
    }
    if (left !== 0) giveUp();
    this.end += size;
  }
  #words(low: number, high: number, big: boolean): void {
    this.#word(big ? high : low, 4, big);
    this.#word(big ? low : high, 4, big);
  }

  /** The halves of the 64-bit number read last. */
  #low = 0;
  #high = 0;
  /** `"0x…"` */
  #hex(): void {
    const { text } = this;
    this.expect(QUOTE);
    this.expect(0x30);
    this.expect(0x78);
    const first = this.at;
    let low = 0;
    let high = 0;
    for (let digit = HEX[text[this.at]!]!; digit >= 0; digit = HEX[text[++this.at]!]!) {
      high = (high << 4) | (low >>> 28);
      low = (low << 4) | digit;
    }
    if (this.at === first || this.at > first + 16) giveUp();
    this.expect(QUOTE);
    this.#low = low >>> 0;
    this.#high = high >>> 0;
  }
  #hex64(big: boolean): void {
    this.#hex();
    this.#words(this.#low, this.#high, big);
  }

  #bits({ members, ranges, size, big }: Value): void {
    const { text } = this;
    let low = 0;
    let high = 0;
    let last = -1;
    let seen = 0;
    this.expect(OPEN);
    if (text[this.at] === CLOSE) this.at++;
    else
      for (;;) {
        const member = this.name(members!);
        this.expect(COLON);
        if (member.index <= last) giveUp();
        last = member.index;
        if (member.kind === "rest") {
          this.#hex();
          low |= this.#low;
          high |= this.#high;
        } else {
          const { low: at, width } = member;
          let value = 1;
          if (member.kind === "flag") this.#true();
          else {
            if (text[this.at] === QUOTE) value = this.name(member.names!);
            else {
              value = this.#decimal();
              if ((width < 32 && value >>> width !== 0) || member.named.has(value)) giveUp();
            }
            seen++;
          }
          if (at >= 32) high |= value << (at - 32);
          else {
            low |= value << at;
            if (at + width > 32) high |= value >>> (32 - at);
          }
        }
        const next = text[this.at++];
        if (next === CLOSE) break;
        if (next !== COMMA) giveUp();
      }
    if (seen !== ranges) giveUp();
    if (size === 8) this.#words(low >>> 0, high >>> 0, big);
    else if (high !== 0) giveUp();
    else this.#word(low >>> 0, size, big);
  }
  #true(): void {
    const { text, at } = this;
    if (text[at] !== 0x74 || text[at + 1] !== 0x72 || text[at + 2] !== 0x75 || text[at + 3] !== 0x65) giveUp();
    this.at = at + 4;
  }

  #guid(): void {
    this.room(16);
    const { text, bytes, end } = this;
    const from = this.at + 1;
    if (text[from - 1] !== QUOTE || text[from + 8] !== 0x2d || text[from + 13] !== 0x2d || text[from + 18] !== 0x2d || text[from + 23] !== 0x2d) giveUp();
    let all = 0;
    for (let i = 0; i < 16; i++) {
      const digits = from + GUID_DIGITS[i]!;
      const value = (HEX[text[digits]!]! << 4) | HEX[text[digits + 1]!]!;
      all |= value;
      bytes[end + i] = value;
    }
    if (all < 0 || text[from + 36] !== QUOTE) giveUp();
    this.at = from + 37;
    this.end = end + 16;
  }

  /** Read a string of hex digits, two for each byte. @throws Unusual */
  digits(): void {
    this.expect(QUOTE);
    const { text, bytes } = this;
    let { at, end } = this;
    for (; text[at] !== QUOTE; at += 2) {
      const value = (HEX[text[at]!]! << 4) | HEX[text[at + 1]!]!;
      if (value < 0 || end === bytes.length) giveUp();
      bytes[end++] = value;
    }
    this.at = at + 1;
    this.end = end;
  }

  /** A string of Latin-1 characters, padded with zeros. */
  #text(size: number): void {
    this.room(size);
    this.expect(QUOTE);
    const { text, bytes } = this;
    let { at, end } = this;
    const stop = end + size;
    for (let code = text[at]!; code !== QUOTE; code = text[at]!) {
      if (end === stop || !(code >= 0x20)) giveUp();
      at++;
      if (code === BACKSLASH) {
        const letter = text[at++]!;
        code = ESCAPES[letter]!;
        if (code < 0) {
          if (letter !== 0x75 || text[at] !== 0x30 || text[at + 1] !== 0x30) giveUp();
          code = (HEX[text[at + 2]!]! << 4) | HEX[text[at + 3]!]!;
          if (code < 0) giveUp();
          at += 4;
        }
      } else if (code >= 0x80) {
        // The UTF-8 of characters from 0x80 to 0xff.
        const next = text[at++]!;
        if ((code !== 0xc2 && code !== 0xc3) || (next & 0xc0) !== 0x80) giveUp();
        code = ((code & 3) << 6) | (next & 0x3f);
      }
      bytes[end++] = code;
    }
    bytes.fill(0, end, stop);
    this.at = at + 1;
    this.end = stop;
  }

  #timestamp(): void {
    const to = this.#closing();
    if (to - this.at > LONGEST_TIMESTAMP) giveUp();
    const known = timestampBytes(String.fromCharCode(...this.text.subarray(this.at, to))) ?? giveUp();
    this.room(known.length);
    this.bytes.set(known, this.end);
    this.at = to + 1;
    this.end += known.length;
  }
}
