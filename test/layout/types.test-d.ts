import { expectTypeOf, test } from "vitest";
import { bits, type Decoded, type Encodable, initially, list, oneOf, type Parsed, ref, reserved, sequence, struct, u8, u64 } from "../../src/layout/index.ts";

const Fixed = struct("Fixed", 12, "test", {
  kind: oneOf(1, "k", { a: 0, b: [1, "bee"] }),
  flags: bits(1, "f", { on: 0, level: [1, 2], mode: { at: [3, 2], names: { fast: 1 } } }),
  wide: u64("w"),
  gap: reserved(1),
  small: initially(u8("s"), 7),
});
const Variable = sequence("Variable", "test", { count: u8("c"), items: list(Fixed, "i", ref("count")) });

test("what is read", () => {
  type Value = Decoded<typeof Fixed>;
  expectTypeOf<Value["kind"]>().toEqualTypeOf<"a" | "b" | number>();
  expectTypeOf<Value["wide"]>().toEqualTypeOf<bigint>();
  expectTypeOf<NonNullable<Value["flags"]["on"]>>().toEqualTypeOf<boolean>();
  expectTypeOf<NonNullable<Value["flags"]["mode"]>>().toEqualTypeOf<"fast" | number>();
  expectTypeOf<Parsed<typeof Variable>["items"]>().toEqualTypeOf<Value[] | undefined>();
  expectTypeOf<Parsed<typeof Variable>["trailing"]>().toEqualTypeOf<Uint8Array | undefined>();
});

test("what a builder accepts", () => {
  expectTypeOf({ kind: "a" as const, wide: 1n }).toExtend<Encodable<typeof Fixed>>();
  expectTypeOf({ kind: "a" as const }).not.toExtend<Encodable<typeof Fixed>>();
  expectTypeOf({ count: 1, items: [{ kind: 3, wide: 1n, small: 2 }] }).toExtend<Encodable<typeof Variable>>();
});
