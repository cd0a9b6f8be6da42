/**
 * How long decoding takes, stage by stage and section type by section type. Run `npm run bench`.
 *
 * The yardstick is V8's own JSON.stringify on the same machine in the same run, so that ratios hold anywhere:
 * of libcper's decode of the first 2,400 generated records where the captures are there, of our own values
 * otherwise.
 *
 * APEI_SHARED    folder of the captures (default: ../shared)
 * LIBCPER_BENCH  program that prints libcper's microseconds a record for a file, to be compared with
 */
import { execFileSync } from "node:child_process";
import { Batcher, batchConverter } from "../../dist/bulk/batch.js";
import { lineEncoder } from "../../dist/bulk/lines.js";
import { RecordHeader, SectionDescriptor } from "../../dist/cper/record.js";
import { sectionTypes } from "../../dist/cper/registry.js";
import { documentsOf } from "../../dist/index.js";
import { fieldOffset, guidText, JsonSink, JsonWriter, jsonPlan, parse, toJson } from "../../dist/layout/index.js";
import { bytes, charactersEach, corpus, ns, records, row, time, us, view, yardstick } from "./corpus.mjs";

/** Bytes of the corpus taken at a time, as from a file. */
const CHUNK = 1 << 17;

const COUNT = fieldOffset(RecordHeader, "sectionCount");
const BODY = fieldOffset(SectionDescriptor, "sectionOffset");
const BODY_LENGTH = fieldOffset(SectionDescriptor, "sectionLength");
const TYPE = fieldOffset(SectionDescriptor, "sectionType");
const bodies = new Map();
for (const at of records)
  for (let i = 0; i < view.getUint16(at + COUNT, true); i++) {
    const descriptor = at + RecordHeader.size + i * SectionDescriptor.size;
    const from = at + view.getUint32(descriptor + BODY, true);
    const length = view.getUint32(descriptor + BODY_LENGTH, true);
    const name = sectionTypes.byGuid(guidText(bytes, descriptor + TYPE), length)?.name ?? "unknown";
    if (!bodies.has(name)) bodies.set(name, []);
    bodies.get(name).push([from, from + length]);
  }

const stringify = yardstick();
console.log(`node ${process.version}; ${records.length} records, ${(bytes.length / records.length).toFixed(0)} bytes each`);
row("JSON.stringify, the yardstick", us(stringify), `${charactersEach()} chars`);

// ---- stages ----
console.log("\nStages, a record");
const batches = () => {
  const batcher = new Batcher();
  return Array.from({ length: Math.ceil(bytes.length / CHUNK) }, (_, i) => {
    const chunk = bytes.subarray(i * CHUNK, (i + 1) * CHUNK);
    const buffer = new Uint8Array(CHUNK * 2);
    const rest = batcher.begin(buffer);
    buffer.set(chunk, rest);
    const batch = batcher.end(buffer, rest + chunk.length, (i + 1) * CHUNK >= bytes.length);
    return { ...batch, ends: batch.ends.slice() };
  });
};
row("finding records", ns(time(records.length, batches)));
const writer = new JsonWriter();
writer.input = bytes;
const direct = (layout, places) => {
  const plan = jsonPlan(layout);
  return time(places.length, () => {
    for (const [from, to] of places) {
      writer.begin();
      writer.write(plan, from, to);
    }
  });
};
const convert = batchConverter({ format: "ndjson" }, sectionTypes);
const stream = batches();
const sink = new JsonSink();
let written = 0;
const whole = time(records.length, () => {
  written = 0;
  for (const batch of stream) written += convert(batch, sink).bytes.length;
});
row("bytes to NDJSON, in memory", us(whole), `${(whole / stringify).toFixed(2)} ×`, `${(written / records.length).toFixed(0)} chars`);
row(
  "  header",
  ns(
    direct(
      RecordHeader,
      records.map((at) => [at, at + RecordHeader.size]),
    ),
  ),
);
row(
  "  descriptor",
  ns(
    direct(
      SectionDescriptor,
      records.map((at) => [at + RecordHeader.size, at + RecordHeader.size + SectionDescriptor.size]),
    ),
  ),
);

const text = Buffer.concat([...stream.map((batch) => convert(batch, new JsonSink()).bytes)]);
const encode = lineEncoder(documentsOf());
const back = new JsonSink(bytes.length + 1024);
const encoding = time(records.length, () => {
  back.at = 0;
  for (let from = 0, to = text.indexOf(10); to >= 0; from = to + 1, to = text.indexOf(10, from)) encode(text, from, to, back);
});
if (Buffer.compare(back.text(), bytes) !== 0) throw new Error("encoding does not give the same bytes");
row("NDJSON to bytes, in memory", us(encoding), `${(encoding / stringify).toFixed(2)} ×`);

console.log("\nSection bodies: straight to JSON text, against values and JSON.stringify");
for (const [name, places] of [...bodies].sort((a, b) => b[1].length - a[1].length)) {
  const type = sectionTypes.byName(name);
  if (!type) continue;
  const ordinary = time(places.length, () => {
    for (const [from, to] of places.slice(0, 200)) JSON.stringify(toJson(type.layout, parse(type.layout, bytes, from, to)));
  });
  row(`  ${name} (${places.length})`, ns(direct(type.layout, places)), ns((ordinary * places.length) / Math.min(200, places.length)));
}

if (process.env.LIBCPER_BENCH) {
  const libcper = Number(execFileSync(process.env.LIBCPER_BENCH, [corpus], { encoding: "utf8" }).trim()) * 1000;
  row("libcper, binary to JSON text", us(libcper), `${(libcper / whole).toFixed(1)} × ours`);
}
