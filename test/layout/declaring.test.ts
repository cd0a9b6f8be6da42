import { describe, expect, test } from "vitest";
import { decode, endingAlso, orZero, ref, sequence, struct, u8, u16, u32, window } from "../../src/layout/index.ts";

describe("fields that are made when they are first asked for", () => {
  test("a declaration makes none, and they are made once for all copies", () => {
    let made = 0;
    const Point = struct("Point", 4, "test", () => {
      made++;
      return { x: u16("X"), y: u16("Y") };
    });
    const shorter = endingAlso(Point, 2);
    const Line = sequence("Line", "test", () => ({ length: u8("Length"), from: orZero(Point), to: window(ref("length"), Point) }));
    expect([Point.size, shorter.ends, Line.kind, made]).toEqual([4, [2], "sequence", 0]);
    expect(decode(Point, Uint8Array.of(1, 0, 2, 0))).toEqual({ x: 1, y: 2 });
    expect(Line.fields.from.initial).toEqual({ x: 0, y: 0 });
    expect(shorter.fields).toBe(Point.fields);
    expect(Line.fields.from.fields).toBe(Point.fields);
    expect(made).toBe(1);
  });

  test("a wrong size is reported at once for fields that are given, else when they are made", () => {
    expect(() => struct("Word", 3, "test", { value: u16("Value") })).toThrow("the fields take 2 bytes, the specification says 3");
    const later = struct("Word", 3, "test", () => ({ value: u16("Value") }));
    expect(() => later.fields).toThrow("the fields take 2 bytes, the specification says 3");
    expect(() => later.fields).toThrow("Word");
  });

  test("so is a reference to no earlier field", () => {
    const wrong = sequence("Wrong", "test", () => ({ part: window(ref("length"), struct("Part", 4, "test", { value: u32("Value") })), length: u8("Length") }));
    expect(() => wrong.fields).toThrow("Wrong.part refers to length, which does not come before it");
  });
});
