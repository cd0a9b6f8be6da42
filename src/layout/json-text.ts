/**
 * Single values as JSON text: what the programs of `json-program.ts` are made of.
 *
 * Text is put together on one page of fixed size and goes on from there; constant text lies in one array. V8 compiles
 * the address and length of arrays that never change into the code: a store takes half the instructions of one to
 * memory that is passed around, and the page stays in the first-level cache. They are constants of a function, because
 * those of a module become variables when modules are bundled.
 */
import { ZERO_GUID } from "./layout.ts";
import { timestampText } from "./timestamp.ts";

const encoder = new TextEncoder();

/** A text is too long for the page, or there are too many layouts: there are other ways to make the text. */
export class NoRoom extends Error {}

/** Constant text, ready to be copied. */
export interface Literal {
  readonly place: number;
  readonly length: number;
}

function writers() {
  /** For DataView: least significant byte first. */
  const LITTLE = true;

  // ---- the page ----

  /** Bytes of text that can be put together: far more than any record has that is not mostly raw bytes. */
  const PAGE = 1 << 20;
  /** Where text is put together. */
  const page = new Uint8Array(PAGE);
  const view = new DataView(page.buffer);

  /** Make sure that `size` more bytes fit at `at`. @throws NoRoom */
  function reserve(at: number, size: number): void {
    if (at + size + OVERSHOOT > PAGE) throw new NoRoom("the text is too long");
  }

  // ---- constant text ----

  /**
   * Text that never changes is copied eight bytes at a time, as doubles: ASCII never has the bit pattern of a NaN. What
   * is stored past the end of a piece is overwritten by the next.
   */
  const words = new Float64Array(1 << 16);
  let used = 0;
  const places = new Map<string, number>();
  /** Words copied for every piece, however short: the end of a loop would be mispredicted more dearly. */
  const AT_ONCE = 3;
  const OVERSHOOT = (AT_ONCE + 1) * 8;

  /** Keep a piece of text; returns where it lies. @throws TypeError when it is not ASCII; NoRoom */
  function keep(text: string): number {
    const known = places.get(text);
    if (known !== undefined) return known;
    const bytes = encoder.encode(text);
    if (bytes.some((byte) => byte >= 0x7f)) throw new TypeError(`${text} is not ASCII`);
    const padded = new Uint8Array(Math.ceil(bytes.length / 8) * 8).fill(0x20);
    padded.set(bytes);
    if (used + padded.length / 8 + AT_ONCE > words.length) throw new NoRoom("there are too many layouts");
    places.set(text, used);
    const from = used;
    const bits = new DataView(padded.buffer);
    for (let i = 0; i < padded.length; i += 8) words[used++] = bits.getFloat64(i, LITTLE);
    return from;
  }
  /** Write a piece of kept text; returns the offset behind it, as all `put` functions do. */
  function putPiece(at: number, place: number, length: number): number {
    view.setFloat64(at, words[place]!, LITTLE);
    view.setFloat64(at + 8, words[place + 1]!, LITTLE);
    view.setFloat64(at + 16, words[place + 2]!, LITTLE);
    for (let i = AT_ONCE; i * 8 < length; i++) view.setFloat64(at + i * 8, words[place + i]!, LITTLE);
    return at + length;
  }

  const literal = (text: string): Literal => ({ place: keep(text), length: text.length });
  const putLiteral = (at: number, { place, length }: Literal): number => putPiece(at, place, length);

  // ---- values ----

  /** Two hex digits of a byte as one little-endian 16-bit store. */
  const HEX2 = Uint16Array.from({ length: 256 }, (_, byte) => {
    const digits = byte.toString(16).padStart(2, "0");
    return digits.charCodeAt(0) | (digits.charCodeAt(1) << 8);
  });

  /** Two bytes as four hex digits, one little-endian store. */
  const hex4 = (first: number, second: number): number => HEX2[first]! | (HEX2[second]! << 16);

  /** Two decimal digits as one little-endian 16-bit store. */
  const DECIMAL2 = Uint16Array.from({ length: 100 }, (_, value) => (48 + Math.trunc(value / 10)) | ((48 + (value % 10)) << 8));

  /** An unsigned number of up to 32 bits. */
  function putDecimal(at: number, value: number): number {
    if (value < 10) {
      page[at] = 48 + value;
      return at + 1;
    }
    if (value < 100) {
      view.setUint16(at, DECIMAL2[value]!, LITTLE);
      return at + 2;
    }
    const digits = value < 1000 ? 3 : value < 1e4 ? 4 : value < 1e5 ? 5 : value < 1e6 ? 6 : value < 1e7 ? 7 : value < 1e8 ? 8 : value < 1e9 ? 9 : 10;
    let left = value >>> 0;
    let p = at + digits;
    while (left >= 100) {
      const next = (left / 100) >>> 0;
      p -= 2;
      view.setUint16(p, DECIMAL2[left - next * 100]!, LITTLE);
      left = next;
    }
    if (left < 10) page[p - 1] = 48 + left;
    else view.setUint16(p - 2, DECIMAL2[left]!, LITTLE);
    return at + digits;
  }
  /** All eight digits of 32 bits. */
  function putHex8(at: number, value: number): void {
    view.setUint32(at, hex4(value >>> 24, (value >>> 16) & 255), LITTLE);
    view.setUint32(at + 4, hex4((value >>> 8) & 255, value & 255), LITTLE);
  }
  /** Up to eight digits of 32 bits, without leading zeros; all eight are stored. */
  function putHex32(at: number, value: number): number {
    const zeros = value === 0 ? 7 : Math.clz32(value) >> 2;
    putHex8(at, value << (zeros * 4));
    return at + 8 - zeros;
  }
  /** A 64-bit number as `"0x…"`. */
  function putHex64(at: number, low: number, high: number): number {
    view.setUint32(at, 0x783022, LITTLE); // "0x
    let p = at + 3;
    if (high === 0) p = putHex32(p, low);
    else {
      p = putHex32(p, high);
      putHex8(p, low);
      p += 8;
    }
    page[p] = 34;
    return p + 1;
  }
  /** Write the bytes from `start` to `end` as hex digits. */
  function putDigits(at: number, input: Uint8Array, start: number, end: number): number {
    let p = at;
    let i = start;
    for (; i + 1 < end; i += 2, p += 4) view.setUint32(p, hex4(input[i]!, input[i + 1]!), LITTLE);
    if (i === end) return p;
    view.setUint16(p, HEX2[input[i]!]!, LITTLE);
    return p + 2;
  }
  /** The same as a string. */
  function putHex(at: number, input: Uint8Array, start: number, end: number): number {
    page[at] = 34;
    const p = putDigits(at + 1, input, start, end);
    page[p] = 34;
    return p + 1;
  }
  const NO_GUID = literal(JSON.stringify(ZERO_GUID));
  /** Write the 16 bytes at `start` as a GUID in quotes. `words` is a view of the input. */
  function putGuid(at: number, input: Uint8Array, words: DataView, start: number): number {
    const blank = words.getInt32(start, LITTLE) | words.getInt32(start + 4, LITTLE) | words.getInt32(start + 8, LITTLE) | words.getInt32(start + 12, LITTLE);
    if (blank === 0) return putLiteral(at, NO_GUID);
    page[at] = 34;
    view.setUint32(at + 1, hex4(input[start + 3]!, input[start + 2]!), LITTLE);
    view.setUint32(at + 5, hex4(input[start + 1]!, input[start]!), LITTLE);
    page[at + 9] = 45;
    view.setUint32(at + 10, hex4(input[start + 5]!, input[start + 4]!), LITTLE);
    page[at + 14] = 45;
    view.setUint32(at + 15, hex4(input[start + 7]!, input[start + 6]!), LITTLE);
    page[at + 19] = 45;
    view.setUint32(at + 20, hex4(input[start + 8]!, input[start + 9]!), LITTLE);
    page[at + 24] = 45;
    view.setUint32(at + 25, hex4(input[start + 10]!, input[start + 11]!), LITTLE);
    view.setUint32(at + 29, hex4(input[start + 12]!, input[start + 13]!), LITTLE);
    view.setUint32(at + 33, hex4(input[start + 14]!, input[start + 15]!), LITTLE);
    page[at + 37] = 34;
    return at + 38;
  }
  /** What JSON strings have in place of each Latin-1 character, in UTF-8; undefined for those that stand for themselves. */
  let escapes: readonly (Uint8Array | undefined)[] | undefined;
  const escapesOf = () =>
    Array.from({ length: 256 }, (_, byte) => {
      const character = String.fromCharCode(byte);
      const text = JSON.stringify(character).slice(1, -1);
      return text === character && byte < 0x80 ? undefined : encoder.encode(text);
    });
  /** Write padded text of `size` bytes, with JSON's escapes. */
  function putText(at: number, input: Uint8Array, start: number, size: number): number {
    let end = start + size;
    while (end > start && input[end - 1] === 0) end--;
    page[at] = 34;
    let p = at + 1;
    for (let i = start; i < end; i++) {
      const byte = input[i]!;
      if (byte >= 0x20 && byte < 0x7f && byte !== 0x22 && byte !== 0x5c) page[p++] = byte;
      else {
        const escaped = (escapes ??= escapesOf())[byte];
        if (!escaped) page[p++] = byte;
        else for (let k = 0; k < escaped.length; k++) page[p++] = escaped[k]!;
      }
    }
    page[p] = 34;
    return p + 1;
  }
  function putAscii(at: number, text: string): number {
    page[at] = 34;
    for (let i = 0; i < text.length; i++) page[at + 1 + i] = text.charCodeAt(i);
    page[at + 1 + text.length] = 34;
    return at + 2 + text.length;
  }
  /** Timestamps of no known century, and BCD ones of this, are written digit by digit; the text of the others is made first. */
  function putTimestamp(at: number, input: Uint8Array, start: number): number {
    const century = input[start + 7]!;
    if (!CENTURIES[century]) {
      let p = putLiteral(at, RAW);
      for (let i = start; i < start + 8; i++, p += 2) view.setUint16(p, HEX2[input[i]!]!, LITTLE);
      page[p] = 34;
      return p + 1;
    }
    const minute = input[start + 1]!;
    const month = input[start + 5]!;
    if (century !== 0x20 || input[start + 3]! > 1 || !BCD[input[start]!] || !BCD[minute] || !BCD[input[start + 2]!])
      return putAscii(at, timestampText(input, start));
    const second = input[start]!;
    const hour = input[start + 2]!;
    const day = input[start + 4]!;
    const year = input[start + 6]!;
    if (second > 0x59 || minute > 0x59 || hour > 0x23 || !BCD[day] || !BCD[month] || !BCD[year] || day === 0 || day > 0x31 || month === 0 || month > 0x12)
      return putAscii(at, timestampText(input, start));
    view.setUint32(at, 0x303222, LITTLE); // "20
    view.setUint16(at + 3, HEX2[year]!, LITTLE);
    page[at + 5] = 45;
    view.setUint16(at + 6, HEX2[month]!, LITTLE);
    page[at + 8] = 45;
    view.setUint16(at + 9, HEX2[day]!, LITTLE);
    page[at + 11] = 84;
    view.setUint16(at + 12, HEX2[hour]!, LITTLE);
    page[at + 14] = 58;
    view.setUint16(at + 15, HEX2[minute]!, LITTLE);
    page[at + 17] = 58;
    view.setUint16(at + 18, HEX2[second]!, LITTLE);
    let p = at + 20;
    if (input[start + 3] === 1) p = putLiteral(p, PRECISE);
    page[p] = 34;
    return p + 1;
  }
  const PRECISE = literal(" precise");
  const RAW = literal('"raw ');
  /** Centuries of some encoding, and 0 for those without a date. */
  const CENTURIES = Array.from({ length: 256 }, (_, byte) => [0, 0x13, 0x14, 0x15, 0x19, 0x20, 0x21].includes(byte));
  const BCD = Array.from({ length: 256 }, (_, byte) => (byte & 15) <= 9 && byte >> 4 <= 9);
  /** Whether all bytes from `start` to `end` are zero. */
  function isBlank(input: Uint8Array, start: number, end: number): boolean {
    for (let i = start; i < end; i++) if (input[i] !== 0) return false;
    return true;
  }

  return { page, reserve, keep, putPiece, literal, putLiteral, putDigits, putDecimal, putHex64, putHex, putGuid, putText, putTimestamp, isBlank };
}
const { putDigits, ...made } = writers();
export const { page, reserve, keep, putPiece, literal, putLiteral, putDecimal, putHex64, putHex, putGuid, putText, putTimestamp, isBlank } = made;

// ---- lines ----

/** Bytes made into digits at a time: they fit on the page. */
const PIECE = 1 << 16;

/** A growing buffer that text is gathered in. `at` is its length so far. */
export class JsonSink {
  bytes: Uint8Array;
  at = 0;
  readonly #shared: boolean;

  /** @param shared whether other threads are to read what is written. */
  constructor(capacity = 1 << 16, shared = false) {
    this.#shared = shared;
    this.bytes = this.#allocate(capacity);
  }
  #allocate(size: number): Uint8Array {
    return new Uint8Array(this.#shared ? new SharedArrayBuffer(size) : new ArrayBuffer(size));
  }

  /** What has been written so far, not copied: valid until more is written. */
  text(): Uint8Array {
    return this.bytes.subarray(0, this.at);
  }

  #ensure(size: number): void {
    if (this.at + size <= this.bytes.length) return;
    const grown = this.#allocate(Math.max((this.at + size) * 2, this.bytes.length * 2));
    grown.set(this.text());
    this.bytes = grown;
  }

  /** Append bytes. */
  append(bytes: Uint8Array): void {
    this.#ensure(bytes.length);
    this.bytes.set(bytes, this.at);
    this.at += bytes.length;
  }

  /** Append the bytes from `start` to `end` as a string of hex digits. */
  hex(input: Uint8Array, start: number, end: number): void {
    this.json('"');
    for (let at = start; at < end; at += PIECE) this.append(page.subarray(0, putDigits(0, input, at, Math.min(end, at + PIECE))));
    this.json('"');
  }

  /** Append text that is already JSON. */
  json(json: string): void {
    for (let at = 0; at < json.length; ) {
      this.#ensure(Math.min(json.length - at, PIECE) * 3);
      // Of a long text as much as fits; a pair of surrogates is not torn apart.
      const { read, written } = encoder.encodeInto(at === 0 ? json : json.slice(at), this.bytes.subarray(this.at));
      at += read;
      this.at += written;
    }
  }
}
