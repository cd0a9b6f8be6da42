/** Single values as JSON text in a byte buffer: what the programs of `json-program.ts` are made of. */
import { ZERO_GUID } from "./layout.ts";
import { timestampText } from "./timestamp.ts";

/** The growing buffer that JSON text is written into. `at` is its length so far. */
export class JsonSink {
  bytes: Uint8Array;
  view: DataView;
  at = 0;

  readonly #shared: boolean;

  /** @param shared whether other threads are to read what is written. */
  constructor(capacity = 1 << 16, shared = false) {
    this.#shared = shared;
    this.bytes = this.#allocate(capacity);
    this.view = new DataView(this.bytes.buffer);
  }
  #allocate(size: number): Uint8Array {
    return new Uint8Array(this.#shared ? new SharedArrayBuffer(size) : new ArrayBuffer(size));
  }

  /** What has been written so far, not copied: valid until more is written. */
  text(): Uint8Array {
    return this.bytes.subarray(0, this.at);
  }

  /** Make room for `size` more bytes, and for the overshoot of the last store. */
  ensure(size: number): void {
    if (this.at + size + SLACK <= this.bytes.length) return;
    const grown = this.#allocate(Math.max((this.at + size + SLACK) * 2, this.bytes.length * 2));
    grown.set(this.text());
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

  /** Append constant text. */
  literal(text: Literal): void {
    this.ensure(text.length);
    this.at = putLiteral(this.view, this.at, text);
  }

  /** Append the bytes from `start` to `end` as a string of hex digits. */
  hex(input: Uint8Array, start: number, end: number): void {
    this.ensure((end - start) * 2 + 2);
    this.at = putHex(this.bytes, this.view, this.at, input, start, end);
  }

  /** Append text that is already JSON. */
  json(json: string): void {
    this.ensure(json.length * 3);
    this.at += encoder.encodeInto(json, this.bytes.subarray(this.at)).written;
  }
}
/** Constant text is stored in whole words, and some of it before it is known to be wanted. */
const SLACK = 64;
const encoder = new TextEncoder();

/** ASCII text cut into doubles. */
export interface Literal {
  readonly chunks: Float64Array;
  readonly length: number;
}
/** Text that is written as it is, ready to be copied. @throws TypeError when it is not ASCII */
export function literal(text: string): Literal {
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

/** Two bytes as four hex digits, one little-endian store. */
const hex4 = (first: number, second: number): number => HEX2[first]! | (HEX2[second]! << 16);

/** Write a literal at an offset; returns the offset behind it, as all `put` functions do. */
export function putLiteral(view: DataView, at: number, { chunks, length }: Literal): number {
  for (let i = 0; i < chunks.length; i++) view.setFloat64(at + i * 8, chunks[i]!, true);
  return at + length;
}
/** Two decimal digits as one little-endian 16-bit store. */
const DECIMAL2 = Uint16Array.from({ length: 100 }, (_, value) => (48 + Math.trunc(value / 10)) | ((48 + (value % 10)) << 8));

/** An unsigned number of up to 32 bits. */
export function putDecimal(out: Uint8Array, view: DataView, at: number, value: number): number {
  if (value < 10) {
    out[at] = 48 + value;
    return at + 1;
  }
  if (value < 100) {
    view.setUint16(at, DECIMAL2[value]!, true);
    return at + 2;
  }
  const digits = value < 1000 ? 3 : value < 1e4 ? 4 : value < 1e5 ? 5 : value < 1e6 ? 6 : value < 1e7 ? 7 : value < 1e8 ? 8 : value < 1e9 ? 9 : 10;
  let left = value >>> 0;
  let p = at + digits;
  while (left >= 100) {
    const next = (left / 100) >>> 0;
    p -= 2;
    view.setUint16(p, DECIMAL2[left - next * 100]!, true);
    left = next;
  }
  if (left < 10) out[p - 1] = 48 + left;
  else view.setUint16(p - 2, DECIMAL2[left]!, true);
  return at + digits;
}
/** All eight digits of 32 bits. */
function putHex8(view: DataView, at: number, value: number): void {
  view.setUint32(at, hex4(value >>> 24, (value >>> 16) & 255), true);
  view.setUint32(at + 4, hex4((value >>> 8) & 255, value & 255), true);
}
/** Up to eight digits of 32 bits, without leading zeros; all eight are stored. */
function putHex32(view: DataView, at: number, value: number): number {
  const zeros = value === 0 ? 7 : Math.clz32(value) >> 2;
  putHex8(view, at, value << (zeros * 4));
  return at + 8 - zeros;
}
/** A 64-bit number as `"0x…"`. */
export function putHex64(out: Uint8Array, view: DataView, at: number, low: number, high: number): number {
  view.setUint32(at, 0x783022, true); // "0x
  let p = at + 3;
  if (high === 0) p = putHex32(view, p, low);
  else {
    p = putHex32(view, p, high);
    putHex8(view, p, low);
    p += 8;
  }
  out[p] = 34;
  return p + 1;
}
/** Write the bytes from `start` to `end` as a string of hex digits. */
export function putHex(out: Uint8Array, view: DataView, at: number, input: Uint8Array, start: number, end: number): number {
  out[at] = 34;
  let p = at + 1;
  let i = start;
  for (; i + 1 < end; i += 2, p += 4) view.setUint32(p, hex4(input[i]!, input[i + 1]!), true);
  if (i < end) {
    view.setUint16(p, HEX2[input[i]!]!, true);
    p += 2;
  }
  out[p] = 34;
  return p + 1;
}
const NO_GUID = literal(JSON.stringify(ZERO_GUID));
/** Write the 16 bytes at `start` as a GUID in quotes. `words` is a view of the input. */
export function putGuid(out: Uint8Array, view: DataView, at: number, input: Uint8Array, words: DataView, start: number): number {
  const blank = words.getInt32(start, true) | words.getInt32(start + 4, true) | words.getInt32(start + 8, true) | words.getInt32(start + 12, true);
  if (blank === 0) return putLiteral(view, at, NO_GUID);
  out[at] = 34;
  view.setUint32(at + 1, hex4(input[start + 3]!, input[start + 2]!), true);
  view.setUint32(at + 5, hex4(input[start + 1]!, input[start]!), true);
  out[at + 9] = 45;
  view.setUint32(at + 10, hex4(input[start + 5]!, input[start + 4]!), true);
  out[at + 14] = 45;
  view.setUint32(at + 15, hex4(input[start + 7]!, input[start + 6]!), true);
  out[at + 19] = 45;
  view.setUint32(at + 20, hex4(input[start + 8]!, input[start + 9]!), true);
  out[at + 24] = 45;
  view.setUint32(at + 25, hex4(input[start + 10]!, input[start + 11]!), true);
  view.setUint32(at + 29, hex4(input[start + 12]!, input[start + 13]!), true);
  view.setUint32(at + 33, hex4(input[start + 14]!, input[start + 15]!), true);
  out[at + 37] = 34;
  return at + 38;
}
/** What JSON strings have in place of each Latin-1 character, in UTF-8; undefined for those that stand for themselves. */
const ESCAPES = Array.from({ length: 256 }, (_, byte) => {
  const character = String.fromCharCode(byte);
  const text = JSON.stringify(character).slice(1, -1);
  return text === character && byte < 0x80 ? undefined : encoder.encode(text);
});
/** Write padded text of `size` bytes, with JSON's escapes. */
export function putText(out: Uint8Array, at: number, input: Uint8Array, start: number, size: number): number {
  let end = start + size;
  while (end > start && input[end - 1] === 0) end--;
  out[at] = 34;
  let p = at + 1;
  for (let i = start; i < end; i++) {
    const byte = input[i]!;
    const escaped = ESCAPES[byte];
    if (!escaped) out[p++] = byte;
    else for (let k = 0; k < escaped.length; k++) out[p++] = escaped[k]!;
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
export function putTimestamp(out: Uint8Array, view: DataView, at: number, input: Uint8Array, start: number): number {
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
/** Whether all bytes from `start` to `end` are zero. */
export function isBlank(input: Uint8Array, start: number, end: number): boolean {
  for (let i = start; i < end; i++) if (input[i] !== 0) return false;
  return true;
}
