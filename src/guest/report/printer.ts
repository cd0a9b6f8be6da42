/** Lines as the kernel's printk and print_hex_dump make them (Linux lib/hexdump.c and kernel/printk behaviour). */
import type { Memory } from "./view.ts";
import { ANYTHING } from "./words.ts";

/** A report stops after this many lines: lengths that lie would otherwise have the kernel dump gigabytes. */
const MOST_LINES = 65_536;
/** Bytes the log level takes before the prefix: they count where the kernel breaks lines. */
const LEVEL = 2;
const BREAK = 80;
const ROW = 16;

/** Printable in the C locale: the kernel dumps everything else as a dot. */
const printable = (byte: number) => (byte >= 0x20 && byte < 0x7f ? String.fromCharCode(byte) : ".");
/** Hexadecimal digits, at least `width` of them. */
export const digits = (value: number | bigint, width = 1): string => value.toString(16).padStart(width, "0");

/** `0x` and 16 digits, as `%#018llx` prints. */
export const hex64 = (value: bigint): string => `0x${digits(value, 16)}`;

/** Collects the lines of one report. */
export class Printer {
  readonly lines: string[] = [];

  get full(): boolean {
    return this.lines.length >= MOST_LINES;
  }

  /** One message. What has line feeds comes out as several lines, of which only the first has the prefix. */
  line(text: string): void {
    if (!this.full) this.lines.push(...text.split("\n"));
  }

  /** The words of the bits that are set, on as many lines as 80 columns ask for. */
  bits(prefix: string, bits: number, words: readonly string[]): void {
    let text = "";
    words.forEach((word, bit) => {
      if (((bits >>> bit) & 1) === 0) return;
      if (text !== "" && LEVEL + text.length + word.length + 2 > BREAK) {
        this.line(text);
        text = "";
      }
      text = text === "" ? prefix + word : `${text}, ${word}`;
    });
    if (text !== "") this.line(text);
  }

  /**
   * A hex dump, 16 bytes a line in little-endian groups; a last line that is no whole number of groups is in bytes.
   * @param characters whether the bytes follow as characters.
   */
  dump(prefix: string, memory: Memory, at: number, length: number, groupSize: 4 | 8, characters: boolean): void {
    for (let done = 0; done < length && !this.full; done += ROW) {
      const count = Math.min(ROW, length - done);
      if (!memory.isKnown(at + done + count)) {
        this.line(`${prefix}${digits(done, 8)}: ${ANYTHING}`);
        continue;
      }
      const size = count % groupSize === 0 ? groupSize : 1;
      const groups: string[] = [];
      for (let i = 0; i < count; i += size) {
        const group = at + done + i;
        groups.push(digits(size === 8 ? memory.wide(group) : memory.number(group, size), size * 2));
      }
      let text = groups.join(" ");
      if (characters) {
        text = text.padEnd(ROW * 2 + ROW / size + 1);
        for (let i = 0; i < count; i++) text += printable(memory.byte(at + done + i));
      }
      this.line(`${prefix}${digits(done, 8)}: ${text}`);
    }
  }
}
