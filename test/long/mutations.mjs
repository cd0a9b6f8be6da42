/**
 * Random and mutated inputs of every section and wrapping: bytes → decode → JSON text → encode must give the same
 * bytes; the direct ways from bytes to text and back must agree with the ordinary ones, on mutated text too; words,
 * trees and byte maps must not fail; no input may take a second, and memory must stay bounded.
 *
 *   node test/long/mutations.mjs [--count 1000000] [--seed 1] [--jobs 1]
 *
 * Needs a build. Real files are added to the seeds when APEI_SHARED, or ../shared, holds them.
 */
import { existsSync, readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { isMainThread, parentPort, Worker, workerData } from "node:worker_threads";
import { recordReader, recordWriter } from "../../dist/cper/record-json.js";
import { Dice, documentsOf, generateBytes, leavesOf } from "../../dist/index.js";
import { EncodeError, encode, fromJson, JsonReader, JsonWriter, jsonPlan, NoRoom, parse, readPlan, toJson, Unusual } from "../../dist/layout/index.js";

const LONGEST_MILLISECONDS = 1000;
const MOST_MEMORY = 700 * 1024 * 1024;
const LARGEST_SEED = 6000;

// ---- inputs ----

const shared = process.env.APEI_SHARED ?? fileURLToPath(new URL("../../../shared/", import.meta.url));
const wrapped = fileURLToPath(new URL("../input/wrapped/", import.meta.url));

function filesUnder(folder) {
  if (!existsSync(folder)) return [];
  return readdirSync(folder, { recursive: true, encoding: "utf8" })
    .map((name) => join(folder, name))
    .filter((name) => statSync(name).isFile() && statSync(name).size <= LARGEST_SEED && !name.endsWith(".tsv"))
    .map((name) => new Uint8Array(readFileSync(name)));
}

const documents = documentsOf();
const types = [...documents.registry];
const files = [...filesUnder(wrapped), ...filesUnder(join(shared, "corpus")), ...filesUnder(join(shared, "captures"))];
const formats = [...documents.formats].map((format) => format.name);

const ascii = (text) => Uint8Array.from(text, (letter) => letter.charCodeAt(0));
const hexOf = (bytes) => Buffer.from(bytes).toString("hex");
const rows = (bytes, line) => Array.from({ length: Math.ceil(bytes.length / 16) }, (_, i) => line(bytes.subarray(i * 16, i * 16 + 16), i * 16)).join("\n");
const shownAs = (bytes) => Array.from(bytes, (byte) => (byte >= 32 && byte < 127 ? String.fromCharCode(byte) : ".")).join("");
const DRESSES = [
  (bytes) => hexOf(bytes),
  (bytes) => hexOf(bytes).toUpperCase().replace(/../g, "$& ").trim(),
  (bytes) => rows(bytes, (row, at) => `${at.toString(16).padStart(8, "0")}: ${hexOf(row).replace(/.{4}/g, "$& ").trim().padEnd(39)}  ${shownAs(row)}`),
  (bytes) => rows(bytes, (row, at) => `${at.toString(16).padStart(8, "0")}  ${hexOf(row).replace(/../g, "$& ")} |${shownAs(row)}|`),
  (bytes) => `{ ${Array.from(bytes, (byte) => `0x${byte.toString(16)}`.replace(/x(.)$/, "x0$1")).join(", ")} };`,
  (bytes) => hexOf(bytes).replace(/..(?=.)/g, "$&:"),
  (bytes) => Buffer.from(bytes).toString("base64"),
  (bytes) => Buffer.from(bytes).toString("base64").replace(/.{76}/g, "$&\n"),
  (bytes) => `<Event><EventData><Data Name="RawData">${hexOf(bytes).toUpperCase()}</Data></EventData></Event>`,
  (bytes) => JSON.stringify({ Members: [{ DiagnosticDataType: "CPER", DiagnosticData: Buffer.from(bytes).toString("base64") }] }),
  (bytes) =>
    `HEST @ 0x000000007FF00000\n${rows(bytes, (row, at) => `    ${at.toString(16).padStart(4, "0")}: ${hexOf(row).replace(/../g, "$& ").padEnd(48)} ${shownAs(row)}`)}\n\n`,
];

/** A well-formed start: generated, real, or several behind each other. */
function seedOf(dice) {
  const kind = dice.below(10);
  if (kind < 3 && files.length > 0) return dice.pick(files).slice();
  if (kind === 3) return dice.bytes(dice.below(600));
  if (kind === 4) {
    const parts = Array.from({ length: 1 + dice.below(4) }, () => (dice.chance(0.3) ? dice.bytes(dice.below(40)) : seedOf(dice)));
    return new Uint8Array(Buffer.concat(parts)).slice(0, LARGEST_SEED * 2);
  }
  const chosen = Array.from({ length: 1 + dice.below(3) }, () => dice.pick(types));
  return generateBytes(dice.pick(["record", "record", "block"]), chosen, dice);
}

/** Words that counts, lengths and offsets are fond of. */
const ODD = [0, 1, 2, 7, 8, 0x7f, 0x80, 0xff, 0x100, 0x7fff, 0xffff, 0x10000, 0x7fffffff, 0x80000000, 0xfffffffe, 0xffffffff];

function mutate(bytes, dice) {
  let out = bytes;
  const times = dice.below(6);
  for (let i = 0; i < times && out.length > 0; i++) {
    const at = dice.below(out.length);
    switch (dice.below(7)) {
      case 0:
        out[at] ^= 1 << dice.below(8);
        break;
      case 1:
        out[at] = dice.below(256);
        break;
      case 2: {
        const word = dice.pick(ODD);
        const size = dice.pick([1, 2, 4]);
        for (let k = 0; k < size && at + k < out.length; k++) out[at + k] = (word >>> (8 * k)) & 255;
        break;
      }
      case 3:
        out = out.slice(0, at);
        break;
      case 4:
        out = new Uint8Array(Buffer.concat([out.subarray(0, at), dice.bytes(1 + dice.below(20)), out.subarray(at)]));
        break;
      case 5:
        out = new Uint8Array(Buffer.concat([out.subarray(0, at), out.subarray(Math.min(out.length, at + 1 + dice.below(40)))]));
        break;
      default: {
        const from = dice.below(out.length);
        out.copyWithin(at, from, Math.min(out.length, from + dice.below(64)));
      }
    }
  }
  return out;
}

/** The input of one number: the same for the same seed, whatever ran before. */
function inputOf(seed, index) {
  const dice = new Dice((Math.imul(seed, 0x9e3779b1) ^ Math.imul(index + 1, 0x85ebca6b)) >>> 0);
  let bytes = mutate(seedOf(dice), dice);
  if (dice.chance(0.35)) {
    bytes = ascii(dice.pick(DRESSES)(bytes));
    if (dice.chance(0.5)) bytes = mutate(bytes, dice);
  }
  const options = dice.chance(0.1) ? { as: dice.pick(formats) } : dice.chance(0.1) ? { section: dice.pick(types).name } : {};
  return { bytes, options, dice };
}

// ---- one run ----

const isSame = (a, b) => a.length === b.length && Buffer.compare(a, b) === 0;

const writeRecord = recordWriter(documents.registry);
const readRecord = recordReader(documents.registry);
const writer = new JsonWriter();
const reader = new JsonReader();
reader.bytes = new Uint8Array(1 << 20);

/** The text that `write` puts directly; undefined when it leaves that to the ordinary way. */
function writtenDirectly(bytes, write) {
  writer.input = bytes;
  writer.begin();
  try {
    return write() === false ? undefined : Buffer.from(writer.text()).toString();
  } catch (error) {
    if (error instanceof NoRoom) return undefined;
    throw error;
  }
}
/** The bytes that `read` makes of text directly; undefined when it leaves that to the ordinary way. */
function readDirectly(text, read) {
  reader.text = Buffer.from(`${text}\n`);
  reader.at = 0;
  reader.end = 0;
  try {
    return read() === false || reader.at !== reader.text.length - 1 ? undefined : reader.bytes.slice(0, reader.end);
  } catch (error) {
    if (error instanceof Unusual) return undefined;
    throw error;
  }
}
/** Characters that JSON and our spelling of values are fond of. */
const LETTERS = [...'{}[]",:\\0123456789abcdefx-tru.eE \u00e9\u0000'];
function mutateText(text, dice) {
  let out = text;
  for (let i = dice.below(4); i >= 0; i--) {
    const at = dice.below(out.length);
    const kept = dice.below(4) === 0 ? at : at + 1 + dice.below(dice.below(8) === 0 ? 40 : 2);
    const moved = dice.below(out.length);
    out = out.slice(0, at) + (dice.chance(0.2) ? out.slice(moved, moved + dice.below(60)) : dice.chance(0.7) ? dice.pick(LETTERS) : "") + out.slice(kept);
  }
  return out;
}

/**
 * Hold the direct ways to the ordinary ones. @param ordinary from bytes to a value for JSON. @param back from that value
 * to bytes.
 */
function agree(bytes, { write, read, ordinary, back }, dice) {
  const text = JSON.stringify(ordinary(bytes));
  const direct = writtenDirectly(bytes, write);
  if (direct !== undefined && direct !== text) throw new Error(`written directly: ${direct}\nby way of values: ${text}`);
  const again = readDirectly(text, read);
  if (again && !isSame(again, bytes)) throw new Error(`read directly: ${hexOf(again)}\nof ${text}`);
  counts.written += direct === undefined ? 0 : 1;
  counts.read += again ? 1 : 0;
  for (let i = 0; i < 3; i++) {
    const odd = mutateText(text, dice);
    const found = readDirectly(odd, read);
    if (!found) continue;
    counts.odd++;
    let expected;
    try {
      expected = back(JSON.parse(odd));
    } catch (error) {
      if (!(error instanceof EncodeError) && !(error instanceof SyntaxError)) throw error;
    }
    if (!expected || !isSame(expected, found)) throw new Error(`read directly: ${hexOf(found)}\nby way of values: ${expected && hexOf(expected)}\nof ${odd}`);
  }
}
const counts = { written: 0, read: 0, odd: 0 };

/** The direct ways with a body that may be anything, and with every record in a document. */
function checkDirect(bytes, document, dice) {
  const { layout } = dice.pick(types);
  agree(
    bytes.subarray(0, 4000),
    {
      write: () => writer.write(jsonPlan(layout), 0, Math.min(bytes.length, 4000)),
      read: () => reader.struct(readPlan(layout)),
      ordinary: (body) => toJson(layout, parse(layout, body)),
      back: (json) => encode(layout, fromJson(layout, json)),
    },
    dice,
  );
  for (const { format, value } of leavesOf(document)) {
    if (format.name !== "cper") continue;
    const record = format.encode(value);
    agree(
      record,
      {
        write: () => writeRecord(writer, 0, record.length),
        read: () => readRecord(reader),
        ordinary: (all) => format.toJson(format.parse(all, [])),
        back: (json) => format.encode(format.fromJson(json)),
      },
      dice,
    );
  }
}

/** @returns the format of the input. @throws when a law is broken. */
function check({ bytes, options, dice }) {
  const document = documents.read(bytes, options);
  const text = JSON.stringify(documents.toJson(document));
  if (!isSame(documents.encode(JSON.parse(text)), bytes)) throw new Error("encode does not give the same bytes");
  const { format, value } = document;
  let at = 0;
  for (const span of format.spans(value)) {
    if (span.offset !== at) throw new Error(`${span.path} is at 0x${span.offset.toString(16)}, not at 0x${at.toString(16)}`);
    at += span.size;
  }
  if (at !== bytes.length) throw new Error(`the byte map ends at 0x${at.toString(16)} of 0x${bytes.length.toString(16)}`);
  if (/undefined|\[object/.test(format.summary(value))) throw new Error(`summary: ${format.summary(value)}`);
  format.tree(value);
  checkDirect(bytes, document, dice);
  return [format.name, ...[...leavesOf(document)].map((leaf) => leaf.format.name)];
}

function work({ seed, from, to, step }) {
  const seen = {};
  let slowest = 0;
  for (let index = from; index < to; index += step) {
    if ((index - from) % (step * 500) === 0) parentPort.postMessage({ index, memory: process.memoryUsage().rss });
    const input = inputOf(seed, index);
    const start = process.cpuUsage();
    try {
      for (const name of new Set(check(input))) seen[name] = (seen[name] ?? 0) + 1;
    } catch (error) {
      parentPort.postMessage({ failed: `input ${index} ${JSON.stringify(input.options)}: ${error.stack}\n${hexOf(input.bytes).slice(0, 4000)}` });
    }
    // Time on the processor: that of the clock says more about what else the machine does.
    const { user, system } = process.cpuUsage(start);
    const took = (user + system) / 1000;
    if (took > slowest) slowest = took;
    if (took > LONGEST_MILLISECONDS) parentPort.postMessage({ failed: `input ${index} took ${took.toFixed(0)} ms` });
  }
  parentPort.postMessage({ done: true, seen, slowest, counts });
}

async function main() {
  const { values } = parseArgs({
    options: { count: { type: "string", default: "1000000" }, seed: { type: "string", default: "1" }, jobs: { type: "string", default: "1" } },
  });
  const [count, seed, jobs] = [values.count, values.seed, values.jobs].map(Number);
  const start = performance.now();
  const total = {};
  const direct = {};
  let failures = 0;
  let slowest = 0;
  let memory = 0;
  await Promise.all(
    Array.from({ length: jobs }, (_, job) => {
      const worker = new Worker(fileURLToPath(import.meta.url), { workerData: { seed, from: job, to: count, step: jobs } });
      let last = performance.now();
      let index = 0;
      const watch = setInterval(() => {
        // A hang cannot report itself.
        if (performance.now() - last > 60_000) {
          console.error(`no progress after input ${index}`);
          process.exit(1);
        }
      }, 1000);
      return new Promise((resolve, reject) => {
        worker.on("message", (message) => {
          last = performance.now();
          if (message.index !== undefined) {
            index = message.index;
            memory = Math.max(memory, message.memory);
            if (process.stderr.isTTY && index % 10_000 < 500) process.stderr.write(`\r${index}`);
          }
          if (message.failed && failures++ < 10) console.error(message.failed);
          if (message.done) {
            slowest = Math.max(slowest, message.slowest);
            for (const [name, times] of Object.entries(message.counts)) direct[name] = (direct[name] ?? 0) + times;
            for (const [name, times] of Object.entries(message.seen)) total[name] = (total[name] ?? 0) + times;
            clearInterval(watch);
            resolve();
          }
        });
        worker.on("error", reject);
      });
    }),
  );
  if (memory > MOST_MEMORY) {
    console.error(`${(memory / 2 ** 20).toFixed(0)} MiB resident`);
    failures++;
  }
  console.log(
    `${count} inputs, ${failures} failures, ${((performance.now() - start) / 1000).toFixed(0)} s, slowest ${slowest.toFixed(0)} ms, ${(memory / 2 ** 20).toFixed(0)} MiB resident at most`,
  );
  console.log(
    Object.entries(total)
      .sort((a, b) => b[1] - a[1])
      .map(([name, times]) => `${name} ${times}`)
      .join(", "),
  );
  console.log(`directly: ${direct.written} written, ${direct.read} read, ${direct.odd} read of mutated text`);
  process.exitCode = failures > 0 ? 1 : 0;
}

if (isMainThread) await main();
else work(workerData);
