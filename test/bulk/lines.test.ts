/** Lines back to bytes: those of `decode --ndjson` straight from their text, all others by way of values. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { Batcher, batchConverter } from "../../src/bulk/batch.ts";
import { lineEncoder } from "../../src/bulk/lines.ts";
import { RecordHeader } from "../../src/cper/record.ts";
import { recordReader } from "../../src/cper/record-json.ts";
import { sectionTypes } from "../../src/cper/registry.ts";
import { documentsOf } from "../../src/input/document.ts";
import { type Json, JsonReader, JsonSink } from "../../src/layout/index.ts";
import { describeShared, shared } from "../support/shared.ts";

const documents = documentsOf();
const encode = lineEncoder(documents);
function bytesOf(line: string): Uint8Array {
  const text = new TextEncoder().encode(`${line}\n`);
  const sink = new JsonSink(64);
  encode(text, 0, text.length - 1, sink);
  return sink.text().slice();
}
const page = new Uint8Array(1 << 16);
const readRecord = recordReader(sectionTypes, '{"format":"cper",');
/** The bytes that the direct way makes of a line; undefined when it leaves it to the ordinary way. */
function direct(line: string): Uint8Array | undefined {
  const reader = new JsonReader();
  reader.text = new TextEncoder().encode(`${line}\n`);
  reader.bytes = page;
  return readRecord(reader) && reader.at === reader.text.length - 1 ? reader.bytes.slice(0, reader.end) : undefined;
}
function ordinary(line: string): Uint8Array | undefined {
  try {
    return documents.encode(JSON.parse(line) as Json);
  } catch {
    return undefined;
  }
}
function linesOf(input: Uint8Array): string[] {
  const batch = new Batcher().end(input, input.length, true)!;
  return new TextDecoder()
    .decode(batchConverter({ format: "ndjson" }, sectionTypes)(batch, new JsonSink()).bytes)
    .trimEnd()
    .split("\n");
}
/** toEqual compares element by element, far slower than what is tested. */
const same = (actual: Uint8Array | undefined, expected: Uint8Array) => {
  if (!actual || Buffer.compare(actual, expected) !== 0) expect(actual).toEqual(expected);
};
/** The same values, members in another order. */
const shuffled = (json: Json): Json =>
  Array.isArray(json)
    ? json.map(shuffled)
    : typeof json === "object" && json !== null
      ? Object.fromEntries(
          Object.entries(json)
            .reverse()
            .map(([name, value]) => [name, shuffled(value)]),
        )
      : json;

describe("a line", () => {
  test.each(["", " ", "\t\r", '{"format":"problem","offset":5,"problem":"cut short"}'])("that holds nothing gives nothing: %j", (line) =>
    expect(bytesOf(line).length).toBe(0),
  );
  test("of junk gives its bytes", () => {
    expect(bytesOf('{"format":"raw","offset":9,"problem":"these bytes belong to no record","bytes":"c0ffee"}\r')).toEqual(Uint8Array.of(0xc0, 0xff, 0xee));
  });
  test.each([
    ["{", "is not JSON"],
    ["[]", "is not an object"],
    ["{}", "format: missing"],
    ['{"format":"cper"}', "header: missing"],
    ['{"format":"raw","bytes":"0"}', "bytes: is not a string of hex digits"],
  ])("%s is refused", (line, message) => expect(() => bytesOf(line)).toThrow(message));
});

describeShared("lines of records", () => {
  const input = shared("corpus/libcper/generated-24000.bin").slice(0, 60_000);
  const view = new DataView(input.buffer);
  const records: Uint8Array[] = [];
  for (let at = 0; at + RecordHeader.size < input.length; at += view.getUint32(at + 20, true))
    if (at + view.getUint32(at + 20, true) <= input.length) records.push(input.slice(at, at + view.getUint32(at + 20, true)));
  const lines = records.map((record) => linesOf(record)[0]!);

  test("are read straight from their text", () => {
    for (const [i, record] of records.entries()) same(direct(lines[i]!), record);
  });
  test("give the same bytes in any order and spelling", () => {
    for (const [i, record] of records.entries()) {
      const other = JSON.stringify(shuffled(JSON.parse(lines[i]!) as Json), undefined, 1).replaceAll("\n", " ");
      expect(direct(other)).toBeUndefined();
      same(bytesOf(other), record);
      same(bytesOf(`${lines[i]}\r`), record);
    }
  });
  test("with errors in them are not read directly, unless they mean those bytes", () => {
    const letters = fc.constantFrom(...'{}[]",:\\0123456789abcdefx-u.E é\u0000');
    fc.assert(
      fc.property(fc.nat(lines.length - 1), fc.array(fc.tuple(fc.nat(3000), letters, fc.nat(2)), { minLength: 1, maxLength: 3 }), (which, changes) => {
        let line = lines[which]!;
        for (const [place, letter, kept] of changes) {
          const at = place % line.length;
          line = line.slice(0, at) + letter + line.slice(at + kept);
        }
        const found = direct(line);
        if (found) same(ordinary(line), found);
      }),
      { numRuns: 1500, seed: 5 },
    );
  });
  test("of records cut anywhere, and of what is between them, give all bytes back", () => {
    for (const record of records.slice(0, 3))
      for (let cut = 1; cut < record.length; cut += 7) {
        const stream = Uint8Array.from([...record.subarray(0, cut), ...records[5]!, 1, 2, 3, ...record]);
        same(Uint8Array.from(linesOf(stream).flatMap((line) => [...bytesOf(line)])), stream);
      }
  });
});
