/**
 * How long the whole command takes, from its start to its end, by the clock: for more and more records, into nothing
 * and into a pipe, with one thread and with two. Part of `npm run bench`.
 *
 * The yardstick of `decode.mjs` is measured again before every process, for what else the machine does slows both.
 *
 * APEI_SHARED  folder of the captures (default: ../shared)
 * BENCH_TIMES  sizes for the growth table, as multiples of the corpus (default: 1,10,100)
 */
import { spawn } from "node:child_process";
import { appendFileSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { bytes, median, records, root, row, us, yardstick } from "./corpus.mjs";

const node = process.execPath;
const decoder = (jobs, file = "-") => [`${root}bin/apei.js`, "decode", "--ndjson", "--jobs", String(jobs), file];
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
/** Decode a file of `times` corpora; returns nanoseconds a record by the clock. */
async function decodeFile(file, times, jobs) {
  const start = process.hrtime.bigint();
  const child = spawn(node, decoder(jobs, file), { stdio: "ignore" });
  await new Promise((resolve) => child.once("close", resolve));
  return Number(process.hrtime.bigint() - start) / (records.length * times);
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

console.log(`\nThreads, ${size} × the corpus, to /dev/null: a record with one and with two, and the gain`);
const folder = mkdtempSync(join(tmpdir(), "apei-bench-"));
try {
  const file = join(folder, "records.bin");
  for (let i = 0; i < size; i++) appendFileSync(file, bytes);
  for (const [label, run] of [
    ["a file", (jobs) => decodeFile(file, size, jobs)],
    // Whoever fills the pipe takes part of a processor, too.
    ["a pipe", async (jobs) => (await decode(size, jobs)).each],
  ]) {
    const gains = [];
    for (let pair = 0; pair < 5; pair++) {
      const one = await run(1);
      const two = await run(2);
      gains.push(one / two);
      row(`  from ${label}`, us(one), us(two), `${(one / two).toFixed(2)} ×`);
    }
    row("  median", "", "", `${median(gains).toFixed(2)} ×`);
  }
} finally {
  rmSync(folder, { recursive: true });
}
