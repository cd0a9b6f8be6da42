import { describe, expect, test } from "vitest";
import { Batcher, type BatchOptions, batchConverter, csvHeader } from "../../src/bulk/batch.ts";
import { compileWhere } from "../../src/bulk/where.ts";
import { cperFormat } from "../../src/cper/record-codec.ts";
import { sectionTypes } from "../../src/cper/registry.ts";
import { JsonSink } from "../../src/layout/index.ts";
import { hex } from "../support/hex.ts";
import { describeShared, shared } from "../support/shared.ts";

/** UEFI 2.11 N.2: one corrected platform memory section of 80 bytes. */
const RECORD = hex`
  43 50 45 52  01 01  ff ff ff ff  01 00           # "CPER", revision 1.1, signature end, one section
  02 00 00 00  02 00 00 00  18 01 00 00            # corrected; timestamp valid; 280 bytes
  01 00 12 00 05 07 19 20                          # 2019-07-05 12:00:01
  00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00  # platform id
  00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00  # partition id
  c4 07 cf bd b7 89 18 4b b3 c4 1f 73 2c b5 71 31  # creator
  b1 8b ce 2d d7 bd 0e 45 b9 ad 9c f4 eb d4 f8 90  # notification: CMC
  88 77 66 55 44 33 22 11                          # record id
  00 00 00 00  00 00 00 00 00 00 00 00             # flags, persistence information
  00 00 00 00 00 00 00 00 00 00 00 00              # reserved
  c8 00 00 00  50 00 00 00  00 01  02  00          # body at 200, 80 bytes; revision 1.0; FRU text valid
  01 00 00 00                                      # primary
  14 11 bc a5 64 6f de 4e b8 63 3e 83 ed 7c 83 b1  # platform memory
  00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00  # FRU id
  02 00 00 00                                      # corrected
  41 2c 22 42 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00  # A,"B
  02 40 00 00 00 00 00 00                          # valid: physical address, memory error type
  00 00 00 00 00 00 00 00                          # error status
  00 50 34 12 00 00 00 80                          # physical address 0x8000000012345000
  00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00
  00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00
  02 00 00 00 00 00 00 00                          # single-bit ECC
`;

/** The pieces of chunks as batches: as much as there is each time a chunk has come. */
function* batchesOf(chunks: readonly Uint8Array[]) {
  const batcher = new Batcher();
  for (const [i, chunk] of [...chunks, new Uint8Array(0)].entries()) {
    const buffer = new Uint8Array(chunks.reduce((sum, { length }) => sum + length, 0));
    const rest = batcher.begin(buffer);
    buffer.set(chunk, rest);
    const batch = batcher.end(buffer, rest + chunk.length, i === chunks.length);
    if (batch) yield batch;
  }
}
const convert = (options: BatchOptions, ...chunks: Uint8Array[]) => {
  const converter = batchConverter(options, sectionTypes);
  const results = Array.from(batchesOf(chunks), (batch) => converter(batch, new JsonSink()));
  return { text: results.map(({ bytes }) => new TextDecoder().decode(bytes)).join(""), problems: results.flatMap(({ problems }) => problems), results };
};

describe("lines", () => {
  test("one a record, the same as the record's JSON", () => {
    const { text } = convert({ format: "ndjson" }, RECORD, RECORD);
    const line = JSON.stringify({ format: "cper", ...cperFormat().toJson(cperFormat().parse(RECORD, [])) });
    expect(text).toBe(`${line}\n${line}\n`);
  });
  test.each([300_000, 1_200_000])("of a record with a body of %i bytes", (size) => {
    const record = new Uint8Array(200 + size).fill(0xa7);
    record.set(RECORD.subarray(0, 200));
    record.fill(0x77, 144, 160); // a section type that nobody knows
    const view = new DataView(record.buffer);
    view.setUint32(20, record.length, true);
    view.setUint32(132, size, true);
    const long = JSON.stringify({ format: "cper", ...cperFormat().toJson(cperFormat().parse(record, [])) });
    const short = JSON.stringify({ format: "cper", ...cperFormat().toJson(cperFormat().parse(RECORD, [])) });
    expect(long).toContain(`"body":"${"a7".repeat(size)}"`);
    expect(convert({ format: "ndjson" }, RECORD, record, RECORD).text === `${short}\n${long}\n${short}\n`).toBe(true);
  });
  test("damage is a line with its offset, and its bytes are kept", () => {
    const { text, problems } = convert({ format: "ndjson" }, Uint8Array.from([...RECORD, 1, 2, 3, ...RECORD.slice(0, 250), ...RECORD]));
    const lines = text
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line) as Record<string, unknown>);
    expect(lines.map((line) => line["format"])).toEqual(["cper", "raw", "problem", "cper", "cper"]);
    expect(lines[1]).toEqual({ format: "raw", offset: 280, problem: "these bytes belong to no record", bytes: "010203" });
    expect(problems.map(({ offset }) => offset)).toEqual([280, 283]);
  });
  test("end before the first damage when that is asked for", () => {
    const [first] = convert({ format: "ndjson", strict: true }, Uint8Array.from([...RECORD, ...RECORD, 1, 2, 3, ...RECORD, ...RECORD])).results;
    const line = JSON.stringify({ format: "cper", ...cperFormat().toJson(cperFormat().parse(RECORD, [])) });
    expect(new TextDecoder().decode(first!.bytes)).toBe(`${line}\n${line}\n`);
    expect(first!.problems).toEqual([{ offset: 560, problem: "these bytes belong to no record" }]);
  });
  test("do not depend on how the stream is cut", () => {
    const all = Uint8Array.from([...RECORD, ...RECORD, ...RECORD]);
    const whole = convert({ format: "ndjson" }, all).text;
    for (const size of [1, 7, 128, 279, 281, 300]) {
      const chunks = Array.from({ length: Math.ceil(all.length / size) }, (_, i) => all.slice(i * size, (i + 1) * size));
      expect(convert({ format: "ndjson" }, ...chunks).text).toBe(whole);
    }
  });
});

describe("rows", () => {
  test("CSV quotes what needs it", () => {
    expect(csvHeader({ format: "csv", select: ["severity", "fru_text"] })).toBe("severity,fru_text\n");
    expect(convert({ format: "csv", select: ["record_offset", "time", "section_kind", "fru_text", "physical_address", "record_id"] }, RECORD).text).toBe(
      '0x0,2019-07-05T12:00:01,platformMemory,"A,""B",0x8000000012345000,0x1122334455667788\n',
    );
  });
  test("a line of CSV is never empty", () => {
    expect(convert({ format: "csv", select: ["section.body.trailing"] }, RECORD, RECORD).text).toBe('""\n""\n');
  });
  test("a path reaches any member of the JSON", () => {
    expect(
      convert({ format: "ndjson", select: ["severity", "section.body.physicalAddress", "section.descriptor.flags", "header.sectionCount"] }, RECORD).text,
    ).toBe(
      '{"severity":"corrected","section.body.physicalAddress":"0x8000000012345000","section.descriptor.flags":{"primary":true},"header.sectionCount":1}\n',
    );
  });
  test("a path to a string that looks like JSON gives a string, one to nothing gives null", () => {
    const record = RECORD.slice();
    record.set(new TextEncoder().encode('{"[,'), 180);
    const select = ["section.descriptor.fruText", "section.descriptor.flags.primary", "section.body.constructor", "section.body.physicalAddress.length"];
    expect(convert({ format: "ndjson", select }, record).text).toBe(
      '{"section.descriptor.fruText":"{\\"[,","section.descriptor.flags.primary":true,"section.body.constructor":null,"section.body.physicalAddress.length":null}\n',
    );
    expect(convert({ format: "csv", select }, record).text).toBe('"{""[,",true,,\n');
  });
  test.each([
    ["sverity", 'there is no field "sverity"'],
    ["header.sverity", 'there is no field "header.sverity": a header has signature, '],
    ["section.__proto__", 'there is no field "section.__proto__": a section has descriptor, '],
    ["header", 'there is no field "header"'],
    ["header.", 'there is no field "header."'],
    ["", 'there is no field ""'],
    ["toString", 'there is no field "toString"'],
  ])("the field %s is refused", (name, message) => {
    expect(() => convert({ format: "csv", select: [name] }, RECORD)).toThrow(message);
  });
  test("a field that is named twice is refused", () => {
    expect(() => convert({ format: "csv", select: ["time", "severity", "time"] }, RECORD)).toThrow('the field "time" is named twice');
  });
});

describe("conditions", () => {
  const view = new DataView(RECORD.buffer, RECORD.byteOffset, RECORD.length);
  test.each([
    ["severity=corrected", true],
    ["severity=fatal|recoverable", false],
    ["severity!=2", false],
    ["section=platformMemory", true],
    ["section=A5BC1114-6F64-4EDE-B863-3E83ED7C83B1", true],
    ["section!=platformMemory", false],
    ["time>=2019-07-05", true],
    ["time>2019-07-05", false],
    ["time<=2019", true],
    ["time<2019-07-05T12:00:01", false],
    ["address=0x8000000012345000", true],
    ["address=0x8000000012340000..0x800000001234ffff", true],
    ["address<0x8000000012345000", false],
    ["creator=bdcf07c4-89b7-4b18-b3c4-1f732cb57131", true],
    ["notification=2DCE8BB1-BDD7-450E-B9AD-9CF4EBD4F890", true],
    ["record-id=0x1122334455667788", true],
    ["record-id=1..5", false],
    // Alternatives, and what `!=` means: exactly what `=` does not let through.
    ["section=pcie | platformMemory", true],
    ["time=2018|2019-07", true],
    ["time!=2018|2019-07", false],
    ["address=1|0x8000000012345000|2..5", true],
    ["address!=0x8000000012345000", false],
    ["address!=0x8000000012345001", true],
    ["record-id=1..5|0x1122334455667788", true],
    ["creator=00000000-0000-0000-0000-000000000000|bdcf07c4-89b7-4b18-b3c4-1f732cb57131", true],
    ["notification!=bdcf07c4-89b7-4b18-b3c4-1f732cb57131", true],
  ])("%s is %s", (expression, expected) => {
    expect(compileWhere([expression], sectionTypes)!(RECORD, view, 0, RECORD.length)).toBe(expected);
  });
  test("all must hold", () => {
    expect(compileWhere(["severity=corrected", "time<2000"], sectionTypes)!(RECORD, view, 0, RECORD.length)).toBe(false);
  });
  test.each([
    "sverity=1",
    "severity=bad",
    "section=nothing",
    "time=yesterday",
    "address=x",
    "address=1..",
    "creator=x",
    "severity>1",
    "address<1..2",
    "address=1..2..3",
    "address=2..1",
    "address=1|",
    "time=2019-13",
    "time=2019-07-05T24",
    "time>2018|2019",
    "creator<bdcf07c4-89b7-4b18-b3c4-1f732cb57131",
    "section=toString",
    "severity=toString",
    "address=0x10000000000000000",
  ])("%s is refused", (expression) => {
    expect(() => compileWhere([expression], sectionTypes)).toThrow("--where");
  });
});

describeShared("24,000 generated records", () => {
  test("each is a line, each is kept", () => {
    const { results } = convert({ format: "ndjson" }, shared("corpus/libcper/generated-24000.bin"));
    expect(results.reduce((sum, result) => sum + result.records, 0)).toBe(24000);
    expect(results.flatMap((result) => result.problems)).toEqual([]);
  });
});
