/** Stored messages beside the console they were said on: gaps, parts too few and too many, dumps and their order. */
import { describe, expect, test } from "vitest";
import { parseRecord } from "../../src/cper/record-codec.ts";
import { messageRecord } from "../../src/guest/pstore.ts";
import { compareDeaths, type Death } from "../../src/qemu/last-words.ts";

const NOW = Math.floor(Date.now() / 1000);
const idOf = (number: number) => (BigInt(NOW) << 32n) | BigInt(number);
const bytes = (text: string) => Uint8Array.from(text, (letter) => letter.charCodeAt(0));
const stored = (number: number, head: string, lines: readonly string[], seconds = NOW) => {
  const record = messageRecord(idOf(number), bytes([head, ...lines, ""].join("\n")), seconds);
  return { id: idOf(number), bytes: record, record: parseRecord(record) };
};
const line = (i: number, text = `message ${i}`) => `[    ${i}.000000] ${text}`;
const END = "Kernel panic - not syncing: sysrq triggered crash";
/** Ten messages and the last one, as the console shows them between a program's. */
const messages = [...Array.from({ length: 10 }, (_, i) => line(i)), `[   10.000000] ${END}`];
const console = ["a program", ...messages, "[   11.000000] Rebooting"].join("\n");
const levelled = (from: number, to?: number) => messages.slice(from, to).map((text) => `<${text.endsWith(END) ? 0 : 6}>${text}`);
const PANIC: Death = { why: "Panic", words: [`<0>${END}`] };
const compare = (records: ReturnType<typeof stored>[], deaths: readonly Death[] = [PANIC], shown = console, full = false) =>
  compareDeaths(records, deaths, shown, NOW, full);

const RIGHT = [
  "Part1 of the last messages, a record as Linux stores them",
  "Part2 of the last messages, a record as Linux stores them",
  "The parts together are what the kernel said, without a gap",
  "The parts are as many as the kernel stores",
  `<0>${END}`,
];

describe("a panic in two parts", () => {
  const parts = [stored(1, "Panic#1 Part1", levelled(6)), stored(2, "Panic#1 Part2", levelled(0, 6))];
  test("as it should be, in whatever order the store has them", () => {
    expect(compare(parts)).toEqual({ predicted: RIGHT, actual: RIGHT });
    expect(compare(parts.toReversed()).actual).toEqual(RIGHT);
  });
  test("a line that is missing between them, or was never said", () => {
    const gap = [parts[0]!, stored(2, "Panic#1 Part2", levelled(0, 5))];
    expect(compare(gap).actual[2]).toBe(`In place of "${line(5)}" the parts have "${line(4)}"`);
    const other = [parts[0]!, stored(2, "Panic#1 Part2", ["<6>[    5.000000] never said"])];
    expect(compare(other).actual[2]).toBe(`In place of "${line(5)}" the parts have "[    5.000000] never said"`);
    expect(compare([stored(1, "Panic#1 Part1", ["<0>[   10.000000] silence"])]).actual[1]).toBe(
      'The console does not show the last message, "[   10.000000] silence"',
    );
  });
  test("too few parts, unless the store is full; too many", () => {
    expect(compare(parts.slice(0, 1)).actual[2]).toMatch(/^The kernel stores 10240 bytes of messages, 1 parts hold \d+$/);
    expect(compare(parts.slice(0, 1), [PANIC], console, true).actual).toEqual([RIGHT[0], RIGHT[2], RIGHT[4]]);
    expect(compare(parts, [PANIC], `Kernel command line: pstore.kmsg_bytes=100\n${console}`).actual[3]).toBe(
      "The kernel stores 100 bytes of messages, the last of 2 parts is one too many",
    );
  });
  test("a console that hides messages says nothing of gaps", () => {
    const hidden = compare(parts, [PANIC], `[    0.000000] Kernel command line: quiet\n${console}`);
    expect(hidden).toEqual({ predicted: [RIGHT[0], RIGHT[1], RIGHT[4]], actual: [RIGHT[0], RIGHT[1], RIGHT[4]] });
  });
  test("odd names, numbers and times", () => {
    const odd = [stored(1, "Oops#1 Part1", levelled(6)), stored(3, "Panic#1 Part2", levelled(0, 6), NOW - 3600)];
    const { actual } = compare(odd);
    expect(actual[0]).toBe('Part1 of the last messages, odd: begins with "Oops#1 Part1"');
    expect(actual[1]).toMatch(/^Part2 of the last messages, odd: stored at .*, identifier 0x[0-9a-f]+00000003$/);
  });
});

test("an oops, then a panic: numbers go on, and what is missing shows", () => {
  const oops: Death = { why: "Oops", words: [] };
  const records = [
    stored(1, "Oops#1 Part1", levelled(4, 8)),
    stored(2, "Oops#1 Part2", levelled(0, 4)),
    stored(3, "Panic#2 Part1", levelled(6)),
    stored(4, "Panic#2 Part2", levelled(0, 6)),
  ];
  const all = [...RIGHT.slice(0, 4), ...RIGHT];
  expect(compare(records, [oops, PANIC])).toEqual({ predicted: all, actual: all });
  expect(compare(records.slice(0, 2), [oops, PANIC])).toEqual({ predicted: [...RIGHT.slice(0, 4), RIGHT[0], ...RIGHT.slice(2)], actual: RIGHT.slice(0, 4) });
});
