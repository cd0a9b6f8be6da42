import { describe } from "vitest";
import {
  array,
  bigEndian,
  bits,
  blob,
  bytes,
  choice,
  gap,
  guid,
  list,
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
  variant,
  window,
} from "../../src/layout/index.ts";
import { lawsOf } from "../support/laws.ts";

const Every = struct("Every Fixed Kind", 110, "test", {
  byte: u8("b"),
  word: u16("w"),
  triple: u24("t"),
  long: u32("l"),
  quad: u64("q"),
  bigWord: bigEndian(u16("w")),
  bigTriple: bigEndian(u24("t")),
  bigLong: bigEndian(u32("l")),
  bigQuad: bigEndian(u64("q")),
  kind: oneOf(2, "k", { none: 0, one: 1, far: 0xffff }),
  bigKind: bigEndian(oneOf(4, "k", { none: 0, one: 0x01020304 })),
  flags: bits(8, "f", { first: 0, wide: [30, 6], named: { at: [36, 2], names: { zero: 0, two: 2 } }, last: 63 }),
  small: bits(1, "f", { low: [0, 3] }),
  three: bits(3, "f", { middle: [7, 10], top: 23 }),
  bigFlags: bigEndian(bits(4, "f", { bottom: 0, half: [16, 16] })),
  id: guid("g"),
  name: text(6, "n"),
  at: timestamp("t"),
  raw: bytes(5, "r"),
  zero: reserved(3),
  pair: array(2, struct("Pair", 4, "test", { x: u8("x"), gap: reserved(1), y: u16("y") }), "p"),
  words: array(3, u16("w"), "w"),
  end: reserved(1),
});
const Item = sequence("Item", "test", {
  kind: oneOf(1, "k", { numbers: 1, pair: 2 }),
  size: u8("s"),
  hole: reserved(1),
  content: window(
    ref("size"),
    choice(ref("kind"), "c", {
      numbers: sequence("Numbers", "test", { numbers: list(struct("N", 2, "test", { n: u16("n") }), "n") }),
      pair: struct("P", 4, "test", { a: u16("a"), zero: reserved(2) }),
    }),
  ),
  fill: padding(4),
});
const Variable = sequence("Variable", "test", {
  head: bits(2, "h", { count: [0, 3], lengthWords: [3, 4] }),
  zero: reserved(1),
  items: list(Item, "i", ref("head.count")),
  middle: u16("m"),
  words: window(ref("head.lengthWords", { scale: 2 }), list(struct("W", 2, "test", { w: u16("w") }), "w")),
  tail: blob("t", ref("middle", { bias: -3 })),
  last: reserved(2),
});
const Offsets = sequence("Offsets", "test", {
  first: u8("offset of the pair"),
  second: u8("offset of the numbers, 0 for none"),
  before: gap(ref("first")),
  pair: struct("P", 2, "test", { a: u8("a"), b: u8("b") }),
  between: gap(ref("second")),
  numbers: list(
    sequence("Numbers", "test", { count: u8("c"), words: list(struct("W", 2, "test", { w: u16("w") }), "w", ref("count")) }),
    "n",
    ref("second", { most: 1 }),
  ),
});
const Tagged = sequence("Tagged", "test", {
  entries: list(
    variant("type", "v", {
      one: struct("One", 4, "test", { type: oneOf(1, "t", { one: 1, two: 2 }), zero: reserved(1), x: u16("x") }),
      two: sequence("Two", "test", { type: oneOf(1, "t", { one: 1, two: 2 }), length: u8("l"), data: blob("d", ref("length")) }),
    }),
    "e",
  ),
});

describe("laws of the layout language", () => {
  lawsOf(
    [
      ["every fixed kind", Every],
      ["an item with a choice in a window", Item],
      ["counts, windows, padding, blobs", Variable],
      ["offsets", Offsets],
      ["variants", Tagged],
    ],
    { runs: 1000 },
  );
});
