/**
 * Text with data in it, split so that both come back unchanged: the data as bytes, the text as a template.
 *
 * In a template `$` begins a hole: a count, then a letter that says how the data is written there.
 *
 * | Hole | Stands for |
 * |---|---|
 * | `$4x`, `$4X` | hex digits, lower or upper case, two for each byte |
 * | `$8w`, `$8W` | hex digits of one little-endian word |
 * | `$16a` | as many bytes, shown once more as characters, a dot for what cannot be printed |
 * | `$64b` | base64 characters; `-` and `_` for `+` and `/` with `$64u` |
 * | `$32/16r` | 32 bytes that are not written because they repeat the 16 before them |
 * | `$$` | a dollar sign |
 */
import { bytesToHex, EncodeError, hexNumber } from "../layout/index.ts";

/** A stretch of text that is data. */
export interface Run {
  readonly start: number;
  readonly end: number;
  /** Upper case is found out by looking at the digits. */
  readonly kind: "hex" | "word" | "characters" | "base64" | "repeat";
  /** Repeat only: bytes left out, and bytes of a row. */
  readonly size?: number;
  readonly row?: number;
}

const BASE64 = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
const CODES = new Map<string, number>([...BASE64, "-", "_"].map((letter, i) => [letter, i < 64 ? i : i - 2]));

/** Bytes as base64 without padding. */
export function toBase64(bytes: Uint8Array): string {
  let out = "";
  for (let i = 0; i < bytes.length; i += 3) {
    const word = (bytes[i]! << 16) | ((bytes[i + 1] ?? 0) << 8) | (bytes[i + 2] ?? 0);
    out += BASE64[word >> 18]! + BASE64[(word >> 12) & 63]!;
    if (i + 1 < bytes.length) out += BASE64[(word >> 6) & 63]!;
    if (i + 2 < bytes.length) out += BASE64[word & 63]!;
  }
  return out;
}
/** The inverse of `toBase64`, either alphabet: undefined for other letters, an impossible length or stray bits at the end. */
export function fromBase64(text: string): Uint8Array | undefined {
  const last = text.length % 4;
  if (last === 1) return undefined;
  const out = new Uint8Array(Math.floor((text.length * 3) / 4));
  let at = 0;
  let word = 0;
  for (let i = 0; i < text.length; i++) {
    const code = CODES.get(text[i]!);
    if (code === undefined) return undefined;
    word = (word << 6) | code;
    if (i % 4 === 3) {
      out[at++] = word >> 16;
      out[at++] = (word >> 8) & 255;
      out[at++] = word & 255;
      word = 0;
    }
  }
  if (last === 2) out[at++] = word >> 4;
  if (last === 3) {
    out[at++] = word >> 10;
    out[at++] = (word >> 2) & 255;
  }
  const stray = last === 2 ? word & 15 : last === 3 ? word & 3 : 0;
  return stray === 0 ? out : undefined;
}

/** How dumps show a byte beside its digits. */
export const shownCharacter = (byte: number): string => (byte >= 0x20 && byte < 0x7f ? String.fromCharCode(byte) : ".");

/** Turn text from `from` to the end of its data into a template. Runs must be in order and must not overlap. */
export function makeTemplate(text: string, runs: readonly Run[], from = 0): string {
  const out: string[] = [];
  let at = from;
  for (const run of runs) {
    out.push(text.slice(at, run.start).replaceAll("$", "$$$$"));
    const data = text.slice(run.start, run.end);
    if (run.kind === "repeat") out.push(`$${run.size}/${run.row}r`);
    else if (run.kind === "characters") out.push(`$${data.length}a`);
    else if (run.kind === "base64") out.push(`$${data.length}${/[-_]/.test(data) ? "u" : "b"}`);
    else if (run.kind === "word") out.push(`$${data.length}${/[A-F]/.test(data) ? "W" : "w"}`);
    else {
      // A change of case within a run begins a new hole.
      for (const part of data.match(/[0-9]*[a-f][0-9a-f]*|[0-9]*[A-F][0-9A-F]*|[0-9]+/g) ?? []) out.push(`$${part.length}${/[A-F]/.test(part) ? "X" : "x"}`);
    }
    at = run.end;
  }
  return out.join("");
}

/** A literal stretch, or a hole. */
type Piece = string | { readonly kind: string; readonly count: number; readonly row: number };

function piecesOf(template: string): Piece[] {
  const out: Piece[] = [];
  let at = 0;
  const literal = (end: number) => {
    const text = template.slice(at, end);
    if (text.includes("$")) throw new EncodeError("template", "has a $ that begins no hole: a dollar sign is written $$");
    if (text !== "") out.push(text);
  };
  for (const match of template.matchAll(/\$(?:\$|([0-9]{1,9})(?:\/([0-9]{1,9}))?([xXwWabur]))/g)) {
    literal(match.index);
    at = match.index + match[0].length;
    out.push(match[3] === undefined ? "$" : { kind: match[3], count: Number(match[1]), row: Number(match[2] ?? 0) });
  }
  literal(template.length);
  return out;
}

/**
 * The text of a template with `bytes` written into its holes.
 * @throws EncodeError when the template has more or less room than there are bytes, or is none.
 */
export function fillTemplate(template: string, bytes: Uint8Array): string {
  const hex = bytesToHex(bytes);
  let base64: string | undefined;
  /** Next hex digit, next byte to show as a character, next base64 letter. */
  let digit = 0;
  let shown = 0;
  let letter = 0;
  const take = (end: number, have: number) => {
    if (end > have)
      throw new EncodeError("content", `has ${bytes.length} bytes, the template has room for more: adapt the template, or encode the content alone`);
    return end;
  };
  const write: { readonly [kind: string]: (count: number, row: number) => string } = {
    x: (count) => hex.slice(digit, (digit = take(digit + count, hex.length))),
    X: (count) => hex.slice(digit, (digit = take(digit + count, hex.length))).toUpperCase(),
    w: (count) => (hex.slice(digit, (digit = take(digit + count, hex.length))).match(/../g) ?? []).reverse().join(""),
    W: (count) => write["w"]!(count, 0).toUpperCase(),
    a: (count) => Array.from(bytes.subarray(shown, (shown = take(shown + count, bytes.length))), shownCharacter).join(""),
    b: (count) => (base64 ??= toBase64(bytes)).slice(letter, (letter = take(letter + count, base64.length))),
    u: (count) => write["b"]!(count, 0).replaceAll("+", "-").replaceAll("/", "_"),
    r: (count, row) => {
      const from = digit / 2;
      for (let i = from; i < take(from + count, bytes.length); i++)
        if (row <= 0 || row > i || bytes[i] !== bytes[i - row])
          throw new EncodeError("content", `byte ${hexNumber(i)} should repeat the row above, which the template leaves out`);
      digit += count * 2;
      shown += count;
      return "";
    },
  };
  const text = piecesOf(template)
    .map((piece) => (typeof piece === "string" ? piece : write[piece.kind]!(piece.count, piece.row)))
    .join("");
  if (base64 === undefined ? digit < hex.length : letter < base64.length)
    throw new EncodeError("content", `has ${bytes.length} bytes, the template has no room for all of them: adapt the template, or encode the content alone`);
  return text;
}
