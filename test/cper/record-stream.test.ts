import { describe, expect, test } from "vitest";
import { findRecordStart, isRecordStart, nextPiece, soundRecordEnd } from "../../src/cper/record-stream.ts";

/** A record of `length` bytes whose header says `said`. */
function record(length: number, said = length): Uint8Array {
  const bytes = new Uint8Array(length).fill(0x11);
  bytes.set([0x43, 0x50, 0x45, 0x52, 1, 1, 0xff, 0xff, 0xff, 0xff, 0, 0]);
  new DataView(bytes.buffer).setUint32(20, said, true);
  return bytes;
}
const join = (...parts: Uint8Array[]) => Uint8Array.from(parts.flatMap((part) => [...part]));
const pieces = (input: Uint8Array) => {
  const out: [string, number, string?][] = [];
  for (let at = 0; at < input.length; ) {
    const piece = nextPiece(input, at, input.length, true);
    out.push(piece.problem ? [piece.kind, piece.end - at, piece.problem] : [piece.kind, piece.end - at]);
    at = piece.end;
  }
  return out;
};

describe("a stream of records", () => {
  test("back to back", () =>
    expect(pieces(join(record(200), record(128), record(300)))).toEqual([
      ["record", 200],
      ["record", 128],
      ["record", 300],
    ]));
  test("junk before, between and after", () =>
    expect(pieces(join(new Uint8Array(7), record(200), new Uint8Array(30).fill(0x43), record(128), new Uint8Array(3)))).toEqual([
      ["junk", 7, "these bytes belong to no record"],
      ["record", 200],
      ["junk", 30, "these bytes belong to no record"],
      ["record", 128],
      ["junk", 3, "these bytes belong to no record"],
    ]));
  test("a record that lost bytes ends where the next begins", () =>
    expect(pieces(join(record(150, 200), record(128)))).toEqual([
      ["record", 150, "another record starts 150 bytes into this one, which says it is 200 bytes long"],
      ["record", 128],
    ]));
  test("a record inside a record is left alone", () => {
    const outer = record(400);
    outer.set(record(128), 200);
    expect(pieces(join(outer, record(128)))).toEqual([
      ["record", 400],
      ["record", 128],
    ]);
  });
  test("lengths that cannot be", () => {
    expect(pieces(join(record(200, 5), record(128)))).toEqual([
      ["record", 200, "the record says it is 5 bytes long"],
      ["record", 128],
    ]);
    expect(pieces(record(200, 0xffffffff))).toEqual([["record", 200, "the record says it is 4294967295 bytes long"]]);
    expect(pieces(record(200, 300))).toEqual([["record", 200, "the stream ends after 200 of the record's 300 bytes"]]);
    expect(pieces(record(200).slice(0, 60))).toEqual([["record", 60, "the stream ends inside the record header"]]);
  });
  test("waits for what decides", () => {
    expect(nextPiece(record(200), 0, 150, false).kind).toBe("more");
    expect(nextPiece(join(record(200), record(200)), 0, 205, false).kind).toBe("more");
    expect(nextPiece(join(record(200), record(200)), 0, 210, false)).toEqual({ kind: "record", end: 200 });
    expect(nextPiece(new Uint8Array(100), 0, 100, false).kind).toBe("more");
  });
  test("pieces without a known end are cut at the same place, however much has arrived", () => {
    const junk = new Uint8Array(100);
    expect(nextPiece(junk, 0, 72, false, 64).kind).toBe("more");
    expect(nextPiece(junk, 0, 73, false, 64)).toMatchObject({ kind: "junk", end: 64 });
    expect(nextPiece(junk, 0, 100, true, 64)).toMatchObject({ kind: "junk", end: 64 });
    expect(nextPiece(junk, 64, 100, true, 64)).toMatchObject({ kind: "junk", end: 100 });
    expect(nextPiece(join(junk.slice(0, 64), record(128)), 0, 192, false, 64)).toMatchObject({ kind: "junk", end: 64 });
    expect(nextPiece(join(junk.slice(0, 63), record(128)), 0, 191, false, 64)).toMatchObject({ kind: "junk", end: 63 });
    expect(nextPiece(record(300, 5), 0, 250, false, 200)).toMatchObject({ kind: "record", end: 200, problem: "the record says it is 5 bytes long" });
  });
  test("a sound record is told from all others", () => {
    const end = (input: Uint8Array, at = 0) => soundRecordEnd(new DataView(input.buffer), at, input.length);
    expect(end(join(record(200), record(128)))).toBe(200);
    expect(end(join(record(200), record(128)), 200)).toBe(-1);
    expect(end(join(record(200), record(128).slice(0, 9)))).toBe(-1);
    expect(end(join(record(200), record(128).slice(0, 10)))).toBe(200);
    expect(end(join(record(150, 200), record(128)))).toBe(-1);
    expect(end(join(record(200, 5), record(128)))).toBe(-1);
    expect(end(new Uint8Array(300))).toBe(-1);
    expect(end(record(60))).toBe(-1);
  });
  test("starts are found", () => {
    expect(isRecordStart(record(128), 0)).toBe(true);
    expect(findRecordStart(join(new Uint8Array(5).fill(0x43), record(128)), 0)).toBe(5);
    expect(findRecordStart(new Uint8Array(50).fill(0x43), 0)).toBe(-1);
  });
});
