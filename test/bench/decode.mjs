/**
 * How long decoding takes, stage by stage and section type by section type. Run `npm run bench`.
 *
 * The yardstick is V8's own JSON.stringify on the same machine in the same run, so that ratios hold anywhere:
 * of libcper's decode of the first 2,400 generated records where the captures are there, of our own values
 * otherwise. It is measured again beside every process, for a busy machine slows both. Processes are timed by
 * the clock, from their start to their end.
 *
 * APEI_SHARED    folder of the captures (default: ../shared)
 * BENCH_TIMES    sizes for the growth table, as multiples of the corpus (default: 1,10,100)
 * LIBCPER_BENCH  program that prints libcper's microseconds a record for a file, to be compared with
 */
import { execFileSync, spawn } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { gunzipSync } from "node:zlib";
import { Batcher, batchConverter } from "../../dist/bulk/batch.js";
import { RecordHeader, SectionDescriptor } from "../../dist/cper/record.js";
import { cperFormat } from "../../dist/cper/record-codec.js";
import { sectionTypes } from "../../dist/cper/registry.js";
import { fieldOffset, guidText, JsonSink, JsonWriter, jsonPlan, parse, toJson } from "../../dist/layout/index.js";

const root = fileURLToPath(new URL("../../", import.meta.url));
const shared = process.env.APEI_SHARED ?? `${root}../shared/`;
const corpus = `${shared}/corpus/libcper/generated-24000.bin`;
if (!existsSync(corpus)) {
  console.error(`${corpus} is not there: name the folder of the captures in APEI_SHARED`);
  process.exit(2);
}
const bytes = new Uint8Array(readFileSync(corpus));
const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);

/** Bytes of the corpus taken at a time, as from a file. */
const CHUNK = 1 << 17;

const LENGTH = fieldOffset(RecordHeader, "recordLength");
const COUNT = fieldOffset(RecordHeader, "sectionCount");
const BODY = fieldOffset(SectionDescriptor, "sectionOffset");
const BODY_LENGTH = fieldOffset(SectionDescriptor, "sectionLength");
const TYPE = fieldOffset(SectionDescriptor, "sectionType");
const records = [];
const bodies = new Map();
for (let at = 0; at < bytes.length; at += view.getUint32(at + LENGTH, true)) {
  records.push(at);
  for (let i = 0; i < view.getUint16(at + COUNT, true); i++) {
    const descriptor = at + RecordHeader.size + i * SectionDescriptor.size;
    const from = at + view.getUint32(descriptor + BODY, true);
    const length = view.getUint32(descriptor + BODY_LENGTH, true);
    const name = sectionTypes.byGuid(guidText(bytes, descriptor + TYPE), length)?.name ?? "unknown";
    if (!bodies.has(name)) bodies.set(name, []);
    bodies.get(name).push([from, from + length]);
  }
}

const median = (numbers) => numbers.sort((a, b) => a - b)[numbers.length >> 1];
/** Median nanoseconds for each of `count` things that `body` does, over nine runs after three that warm up. */
function time(count, body) {
  const runs = [];
  for (let run = 0; run < 12; run++) {
    const start = process.hrtime.bigint();
    body();
    if (run >= 3) runs.push(Number(process.hrtime.bigint() - start) / count);
  }
  return median(runs);
}
const row = (label, ...cells) => console.log(label.padEnd(34), ...cells.map((cell) => String(cell).padStart(12)));
const ns = (value) => `${value.toFixed(0)} ns`;
const us = (value) => `${(value / 1000).toFixed(2)} µs`;

// ---- the yardstick ----
const reference = `${shared}/corpus/libcper/generated-first-2400.libcper.jsonl.gz`;
const objects = existsSync(reference)
  ? gunzipSync(readFileSync(reference))
      .toString("utf8")
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line))
  : records.slice(0, 2400).map((at) => cperFormat().toJson(cperFormat().parse(bytes.subarray(at, at + view.getUint32(at + LENGTH, true)), [])));
let characters = 0;
const yardstick = () =>
  time(objects.length, () => {
    characters = 0;
    for (const object of objects) characters += JSON.stringify(object).length;
  });
const stringify = yardstick();
console.log(`node ${process.version}; ${records.length} records, ${(bytes.length / records.length).toFixed(0)} bytes each`);
row("JSON.stringify, the yardstick", us(stringify), `${(characters / objects.length).toFixed(0)} chars`);

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
      writer.length = 0;
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

console.log("\nSection bodies: straight to JSON text, against values and JSON.stringify");
for (const [name, places] of [...bodies].sort((a, b) => b[1].length - a[1].length)) {
  const type = sectionTypes.byName(name);
  if (!type) continue;
  const ordinary = time(places.length, () => {
    for (const [from, to] of places.slice(0, 200)) JSON.stringify(toJson(type.layout, parse(type.layout, bytes, from, to)));
  });
  row(`  ${name} (${places.length})`, ns(direct(type.layout, places)), ns((ordinary * places.length) / Math.min(200, places.length)));
}

// ---- whole processes ----
const node = process.execPath;
const decoder = (jobs) => [`${root}bin/apei.js`, "decode", "--ndjson", "--jobs", String(jobs), "-"];
/**
 * Decode `times` corpora that come through a pipe; the lines go to /dev/null, or through another pipe to `cat`.
 * @returns nanoseconds a record by the clock, and what JSON.stringify took just before.
 */
async function decode(times, jobs, piped = false) {
  const before = yardstick();
  const start = process.hrtime.bigint();
  const stdio = ["pipe", "ignore", "ignore"];
  const child = piped ? spawn("sh", ["-c", '"$0" "$@" | cat > /dev/null', node, ...decoder(jobs)], { stdio }) : spawn(node, decoder(jobs), { stdio });
  for (let i = 0; i < times; i++) if (!child.stdin.write(bytes)) await new Promise((resolve) => child.stdin.once("drain", resolve));
  child.stdin.end();
  await new Promise((resolve) => child.once("close", resolve));
  return { each: Number(process.hrtime.bigint() - start) / (records.length * times), before };
}
/** The same several times over: medians. */
async function decodes(runs, ...what) {
  const found = [];
  for (let run = 0; run < runs; run++) found.push(await decode(...what));
  return { each: median(found.map(({ each }) => each)), ratio: median(found.map(({ each, before }) => each / before)) };
}
const sizes = (process.env.BENCH_TIMES ?? "1,10,100").split(",").map(Number);
console.log("\nWhole process, from a pipe to /dev/null, one thread: a record, against JSON.stringify");
for (const times of sizes) {
  const { each, ratio } = await decodes(times >= 1000 ? 1 : times >= 100 ? 3 : 5, times, 1);
  row(`  ${times} × the corpus`, us(each), `${ratio.toFixed(2)} ×`);
}
const size = Math.min(100, Math.max(...sizes));
const piped = await decodes(3, size, 1, true);
row(`  ${size} ×, to a pipe with a reader`, us(piped.each), `${piped.ratio.toFixed(2)} ×`);

console.log(`\nThreads, ${size} × the corpus: a record, against one thread`);
const gains = [];
for (let run = 0; run < 5; run++) {
  const one = await decode(size, 1);
  const two = await decode(size, 2);
  gains.push(one.each / two.each);
  row(`  one, two`, us(one.each), us(two.each), `${(one.each / two.each).toFixed(2)} ×`);
}
row("  median", "", "", `${median(gains).toFixed(2)} ×`);

if (process.env.LIBCPER_BENCH) {
  const libcper = Number(execFileSync(process.env.LIBCPER_BENCH, [corpus], { encoding: "utf8" }).trim()) * 1000;
  row("libcper, binary to JSON text", us(libcper), `${(libcper / whole).toFixed(1)} × ours`);
}
