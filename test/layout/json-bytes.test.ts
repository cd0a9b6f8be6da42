/** The direct way to JSON text on layouts that have what real ones seldom have; equality with the ordinary way is one of the laws. */
import { describe, expect, test } from "vitest";
import {
  array,
  bigEndian,
  bits,
  blob,
  bytes,
  choice,
  guid,
  JsonWriter,
  jsonPlan,
  list,
  NoRoom,
  oneOf,
  padding,
  ref,
  reserved,
  sequence,
  struct,
  text,
  timestamp,
  u8,
  u16,
  u24,
  u32,
  u64,
  window,
} from "../../src/layout/index.ts";
import { lawsOf } from "../support/laws.ts";

const Pair = struct("Pair", 3, "test", { reserved: reserved(1), value: bigEndian(u16("big-endian")) });
const Inside = struct("Inside", 7, "test", { pair: Pair, pairs: array(1, Pair, "list of one"), last: u8("last") });
const Empty = struct("Empty", 0, "test", {});
const Words = struct("Words", 111, "test", {
  reservedFirst: reserved(2),
  inside: Inside,
  nothing: Empty,
  three: u24("three bytes"),
  threeBig: bigEndian(u24("three bytes")),
  big: bigEndian(u64("eight bytes")),
  bigFour: bigEndian(u32("four bytes")),
  sparse: oneOf(4, "far apart", { one: 1, million: 1_000_000 }),
  dense: oneOf(1, "close", { zero: 0, seven: [7, "seven"] }),
  unordered: bits(8, "bits in no order", { high: 63, low: 0, middle: 31, next: 32, second: 1 }),
  straddling: bits(8, "ranges", { range: [28, 8], named: { at: [36, 2], names: { b: 1 } }, wide: [0, 28] }),
  flagsBig: bigEndian(bits(4, "big-endian", { first: 0, last: 31 })),
  flagsBig8: bigEndian(bits(8, "big-endian", { first: 0, last: 63, sparse: { at: [8, 16], names: { many: 5000 } } })),
  all: bits(1, "no bit is left", { low: [0, 4], high: [4, 4] }),
  name: text(8, "text"),
  when: timestamp("time"),
  who: guid("guid"),
  raw: bytes(3, "bytes"),
  numbers: array(3, u16("number"), "numbers"),
  reservedLast: reserved(9),
});
const Tagged = sequence("Tagged", "test", { tag: u8("tag"), body: choice(ref("tag"), "by tag", { 0: Pair, 1: Inside, 2: Empty }) });
const Walked = sequence("Walked", "test", {
  lengths: bits(2, "lengths", { items: [0, 3], bytes: [3, 4], offset: [8, 6] }),
  reserved: reserved(2),
  pairs: list(Pair, "pairs", ref("lengths.items")),
  align: padding(4),
  inside: window(ref("lengths.bytes", { scale: 2 }), Tagged),
  between: u8("fixed in between"),
  items: window(ref("lengths.offset", { bias: -4 }), list(Pair, "as many as fit")),
  rest: blob("rest"),
});

describe("the direct way", () => {
  lawsOf([
    ["words", Words],
    ["inside", Inside],
    ["empty", Empty],
    ["tagged", Tagged],
    ["walked", Walked],
  ]);

  test("goes on behind what was written before, and begins anew", () => {
    const writer = new JsonWriter();
    writer.input = Uint8Array.of(0, 1, 2, 9, 3, 4);
    writer.begin(5);
    writer.write(jsonPlan(Pair), 0, 3);
    const { length } = writer;
    writer.write(jsonPlan(Pair), 3, 6);
    expect(new TextDecoder().decode(writer.text())).toBe('{"value":258}{"reserved":"09","value":772}');
    writer.length = length;
    expect(new TextDecoder().decode(writer.text())).toBe('{"value":258}');
    writer.begin();
    expect(writer.text().length).toBe(0);
  });
  test("says when a text is too long for it", () => {
    const writer = new JsonWriter();
    writer.input = new Uint8Array(600_000).fill(1);
    writer.hex(0, 400_000);
    expect(writer.length).toBe(800_002);
    expect(() => writer.hex(0, 400_000)).toThrow(NoRoom);
    expect(() => writer.write(jsonPlan(Walked), 0, 600_000)).toThrow(NoRoom);
  });
});
