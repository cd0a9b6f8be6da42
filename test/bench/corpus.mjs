/** What the benchmarks of the bulk decoder have in common: the corpus, the yardstick, and how results are shown. */
import { existsSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { gunzipSync } from "node:zlib";
import { RecordHeader } from "../../dist/cper/record.js";
import { cperFormat } from "../../dist/cper/record-codec.js";
import { fieldOffset } from "../../dist/layout/index.js";

export const root = fileURLToPath(new URL("../../", import.meta.url));
const shared = process.env.APEI_SHARED ?? `${root}../shared/`;
export const corpus = `${shared}/corpus/libcper/generated-24000.bin`;
if (!existsSync(corpus)) {
  console.error(`${corpus} is not there: name the folder of the captures in APEI_SHARED`);
  process.exit(2);
}
export const bytes = new Uint8Array(readFileSync(corpus));
export const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);

const LENGTH = fieldOffset(RecordHeader, "recordLength");
/** Where each record begins. */
export const records = [];
for (let at = 0; at < bytes.length; at += view.getUint32(at + LENGTH, true)) records.push(at);

export const median = (numbers) => numbers.sort((a, b) => a - b)[numbers.length >> 1];
/** Median nanoseconds for each of `count` things that `body` does, over nine runs after three that warm up. */
export function time(count, body) {
  const runs = [];
  for (let run = 0; run < 12; run++) {
    const start = process.hrtime.bigint();
    body();
    if (run >= 3) runs.push(Number(process.hrtime.bigint() - start) / count);
  }
  return median(runs);
}
export const row = (label, ...cells) => console.log(label.padEnd(34), ...cells.map((cell) => String(cell).padStart(12)));
export const ns = (value) => `${value.toFixed(0)} ns`;
export const us = (value) => `${(value / 1000).toFixed(2)} µs`;

const reference = `${shared}/corpus/libcper/generated-first-2400.libcper.jsonl.gz`;
const objects = existsSync(reference)
  ? gunzipSync(readFileSync(reference))
      .toString("utf8")
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line))
  : records.slice(0, 2400).map((at) => cperFormat().toJson(cperFormat().parse(bytes.subarray(at, at + view.getUint32(at + LENGTH, true)), [])));
/** Length of the text of all objects of the yardstick. */
let characters = 0;
/** Nanoseconds that JSON.stringify takes for one of the objects. */
export const yardstick = () =>
  time(objects.length, () => {
    characters = 0;
    for (const object of objects) characters += JSON.stringify(object).length;
  });
export const charactersEach = () => (characters / objects.length).toFixed(0);
