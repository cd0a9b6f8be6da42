/** Finding the bytes in hex text, however it is dressed. Each finder gives the places of its digits, or nothing. */
import { fromBase64, type Run, shownCharacter } from "./template.ts";

/** Data found in a text: where it stands there, and what it says. */
export interface Found {
  readonly runs: readonly Run[];
  readonly bytes: Uint8Array;
}

/** Bytes that rows left out of a dump may add to what is written, for each character of the text. */
const MOST_REPEATED = 64;
/** Characters of a line that are looked at for a row of a dump. */
const LONGEST_ROW = 1024;

const isHex = (code: number) => (code >= 0x30 && code <= 0x39) || (code >= 0x41 && code <= 0x46) || (code >= 0x61 && code <= 0x66);
const isBlank = (code: number) => code === 0x20 || code === 0x09;

/** Collects bytes without knowing how many there will be. */
class Bytes {
  #bytes = new Uint8Array(1024);
  length = 0;

  room(count: number): void {
    if (this.length + count <= this.#bytes.length) return;
    const grown = new Uint8Array(Math.max(this.#bytes.length * 2, this.length + count));
    grown.set(this.#bytes);
    this.#bytes = grown;
  }
  /** Two digits a byte; `word` reads them last byte first. */
  addDigits(text: string, start: number, end: number, word: boolean): void {
    const count = (end - start) / 2;
    this.room(count);
    for (let i = 0; i < count; i++) {
      const at = word ? end - 2 - i * 2 : start + i * 2;
      this.#bytes[this.length + i] = Number.parseInt(text.slice(at, at + 2), 16);
    }
    this.length += count;
  }
  repeat(row: number, count: number): void {
    this.room(count);
    for (let i = 0; i < count; i++) this.#bytes[this.length + i] = this.#bytes[this.length + i - row]!;
    this.length += count;
  }
  at(index: number): number {
    return this.#bytes[index]!;
  }
  cut(length: number): void {
    this.length = length;
  }
  done(): Uint8Array {
    return this.#bytes.slice(0, this.length);
  }
}

interface Line {
  readonly start: number;
  readonly end: number;
}
function* linesOf(text: string, from: number, to: number): Generator<Line> {
  let start = from;
  while (start < to) {
    let end = text.indexOf("\n", start);
    if (end < 0 || end > to) end = to;
    yield { start, end: end > start && text.charCodeAt(end - 1) === 0x0d ? end - 1 : end };
    start = end + 1;
  }
}

/** Groups of hex digits with blanks between, from `at` on. */
function groupsFrom(text: string, at: number, end: number): Line[] {
  const out: Line[] = [];
  let next = at;
  while (next < end && out.length < 256) {
    let start = next;
    while (start < end && isBlank(text.charCodeAt(start))) start++;
    let stop = start;
    while (stop < end && isHex(text.charCodeAt(stop))) stop++;
    if (stop === start || (stop - start) % 2 !== 0) break;
    out.push({ start, end: stop });
    // xxd writes its groups one blank apart; anything but a blank ends them.
    if (stop < end && !isBlank(text.charCodeAt(stop))) break;
    next = stop;
  }
  return out;
}

/**
 * The offset a line begins with, after any words before it: `0000: `, `00000010  `, `[hw]: 00000010: `.
 * After rows were left out (`skipped`), the first number above the one `wanted` will do.
 */
function offsetOf(text: string, line: Line, wanted: number, skipped: boolean): { value: number; end: number } | undefined {
  let above: { value: number; end: number } | undefined;
  for (const match of text.slice(line.start, Math.min(line.end, line.start + LONGEST_ROW)).matchAll(/(?<![0-9A-Za-z])([0-9a-fA-F]{4,16})(:[ \t]*|[ \t]+|$)/g)) {
    const found = { value: Number.parseInt(match[1]!, 16), end: line.start + match.index + match[0].length };
    if (found.value === wanted) return found;
    if (skipped && found.value > wanted) above ??= found;
  }
  return above;
}

/** The line behind the last row that gives only the length, when that ends within the last word. */
function lengthLine(text: string, line: Line, have: number, last: Run | undefined): { value: number; end: number } | undefined {
  if (last?.kind !== "word") return undefined;
  const words = text.slice(line.start, line.end).trim();
  const value = /^[0-9a-fA-F]{4,16}$/.test(words) ? Number.parseInt(words, 16) : have;
  return value < have && have - value < (last.end - last.start) / 2 ? { value, end: line.end } : undefined;
}

/**
 * A dump with an offset before each row, from `from` on: `xxd`, `hexdump -C`, plain `hexdump` and `od -x`
 * (little-endian words: `words`), acpidump, the kernel's own. Lines that do not continue the row before end it.
 */
export function findDump(text: string, words: boolean, from = 0, to = text.length): (Found & { readonly end: number }) | undefined {
  const bytes = new Bytes();
  const runs: Run[] = [];
  let row = 0;
  let squeezed = false;
  let ended = false;
  let end = from;
  const limit = (to - from) * MOST_REPEATED;
  for (const line of linesOf(text, from, to)) {
    if (row > 0 && text.slice(line.start, line.end).trim() === "*") {
      squeezed = true;
      continue;
    }
    const offset = (ended ? undefined : offsetOf(text, line, bytes.length, squeezed)) ?? lengthLine(text, line, bytes.length, runs.at(-1));
    if (!offset) {
      if (row === 0) continue;
      break;
    }
    if (offset.value < bytes.length) {
      // The last word was filled up with zeros: those are the digits in front.
      const last = runs.pop()!;
      runs.push({ ...last, start: last.start + 2 * (bytes.length - offset.value), kind: "word" });
      bytes.cut(offset.value);
      end = line.end;
      break;
    }
    if (offset.value > bytes.length) {
      const missing = offset.value - bytes.length;
      if (bytes.length + missing > limit) break;
      runs.push({ start: line.start, end: line.start, kind: "repeat", size: missing, row });
      bytes.repeat(row, missing);
    }
    squeezed = false;
    const before = bytes.length;
    const groups = groupsFrom(text, offset.end, line.end);
    if (groups.length === 0) {
      if (row === 0) continue;
      end = line.end;
      break;
    }
    const rowRuns = takeRow(text, groups, line.end, bytes, words);
    if (!rowRuns) {
      if (row === 0) continue;
      bytes.cut(before);
      break;
    }
    runs.push(...rowRuns);
    if (row === 0) row = bytes.length;
    end = line.end;
    // Only the last row may be short; the length may follow.
    ended = bytes.length - before < row;
  }
  return bytes.length === 0 ? undefined : { runs, bytes: bytes.done(), end };
}

/** One row: as many of the groups as leave a column of characters that shows the same bytes, or nothing, behind them. */
function takeRow(text: string, groups: readonly Line[], end: number, bytes: Bytes, words: boolean): Run[] | undefined {
  const before = bytes.length;
  const width = groups[0]!.end - groups[0]!.start;
  for (let count = groups.length; count > 0; count--) {
    const taken = groups.slice(0, count);
    if (taken.some((group, i) => group.end - group.start !== width && !(i === count - 1 && group.end - group.start < width))) continue;
    bytes.cut(before);
    for (const group of taken) bytes.addDigits(text, group.start, group.end, words);
    const runs = taken.map(({ start, end: stop }): Run => ({ start, end: stop, kind: words && stop - start > 2 ? "word" : "hex" }));
    const characters = characterColumn(text, taken.at(-1)!.end, end, bytes, before);
    if (characters === "none") return runs;
    if (characters) return [...runs, characters];
  }
  bytes.cut(before);
  return undefined;
}

function characterColumn(text: string, from: number, end: number, bytes: Bytes, before: number): Run | "none" | undefined {
  const rest = text.slice(from, end);
  if (rest.trim() === "") return "none";
  const count = bytes.length - before;
  let shown = "";
  for (let i = 0; i < count; i++) shown += shownCharacter(bytes.at(before + i));
  const at = rest.indexOf(shown);
  if (at < 1 || !/^[ \t]+[|>"']?$/.test(rest.slice(0, at)) || !/^[ \t]*[|<"']?[ \t]*$/.test(rest.slice(at + count))) return undefined;
  return { start: from + at, end: from + at + count, kind: "characters" };
}

/**
 * Digits without offsets: one long string, pairs or words with blanks, commas, colons, semicolons or dashes
 * between, with `0x` or `\x` before or `h` behind, in quotes; comments and everything outside the first pair of braces are passed over.
 */
export function findDigits(text: string, words: boolean): Found | undefined {
  let from = 0;
  let to = text.length;
  const brace = text.indexOf("{");
  if (brace >= 0) {
    const close = text.indexOf("}", brace);
    if (close < 0) return undefined;
    from = brace + 1;
    to = close;
  }
  const bytes = new Bytes();
  const runs: Run[] = [];
  const token =
    /[\s,:;"'()[\]\uFEFF-]+|\/\*[\s\S]*?\*\/|(?:\/\/|#)[^\n]*|(?:0[xX]|\\x)?([0-9a-fA-F]+)(?:[uU]?[lL]{0,2}|h)(?![0-9A-Za-z_])|\\x([0-9a-fA-F]{2})/y;
  token.lastIndex = from;
  const part = to === text.length ? text : text.slice(0, to);
  while (token.lastIndex < to) {
    const match = token.exec(part);
    if (!match) return undefined;
    const digits = match[1] ?? match[2];
    if (digits === undefined) continue;
    if (digits.length % 2 !== 0) return undefined;
    const start = match.index + match[0].indexOf(digits, match[0].startsWith("0x") || match[0].startsWith("0X") || match[0].startsWith("\\x") ? 2 : 0);
    const kind = words && digits.length > 2 && digits.length <= 16 ? "word" : "hex";
    runs.push({ start, end: start + digits.length, kind });
    bytes.addDigits(text, start, start + digits.length, kind === "word");
  }
  return bytes.length === 0 ? undefined : { runs, bytes: bytes.done() };
}

/** Base64, in lines or not, either alphabet, padded or not; nothing else may stand in `[from, to)` but blanks and quotes. */
export function findBase64(text: string, from = 0, to = text.length): Found | undefined {
  const runs: Run[] = [];
  const letters: string[] = [];
  const token = /[\s"'\uFEFF\\]+|([A-Za-z0-9+/_-]+)|=+/y;
  token.lastIndex = from;
  let padded = false;
  while (token.lastIndex < to) {
    const match = token.exec(text);
    if (!match) return undefined;
    if (match[0].startsWith("=")) padded = true;
    if (match[1] === undefined) continue;
    const part = match[1].slice(0, to - match.index);
    if (padded) return undefined;
    runs.push({ start: match.index, end: match.index + part.length, kind: "base64" });
    letters.push(part);
  }
  const all = letters.join("");
  if (/[-_]/.test(all) && /[+/]/.test(all)) return undefined;
  const bytes = fromBase64(all);
  return bytes && bytes.length > 0 ? { runs, bytes } : undefined;
}
