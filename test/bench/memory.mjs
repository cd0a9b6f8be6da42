/**
 * Peak memory of `decode --ndjson` on a long pipe: `node test/bench/memory.mjs [GIGABYTES]`, 4 by default.
 * Linux only: the peak is read from /proc.
 */
import { spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("../../", import.meta.url));
const shared = process.env.APEI_SHARED ?? `${root}../shared/`;
const corpus = readFileSync(`${shared}/corpus/libcper/generated-24000.bin`);
const wanted = Number(process.argv[2] ?? 4) * 2 ** 30;
const child = spawn(process.execPath, [`${root}bin/apei.js`, "decode", "--ndjson", "-"], { stdio: ["pipe", "ignore", "inherit"] });
let peak = 0;
const look = setInterval(() => {
  try {
    peak = Math.max(peak, Number(/VmHWM:\s+(\d+)/.exec(readFileSync(`/proc/${child.pid}/status`, "utf8"))?.[1] ?? 0));
  } catch {
    // The process has just ended.
  }
}, 50);
const start = process.hrtime.bigint();
let given = 0;
while (given < wanted) {
  given += corpus.length;
  if (!child.stdin.write(corpus)) await new Promise((resolve) => child.stdin.once("drain", resolve));
}
child.stdin.end();
await new Promise((resolve) => child.once("exit", resolve));
clearInterval(look);
const seconds = Number(process.hrtime.bigint() - start) / 1e9;
console.log(`${(given / 2 ** 30).toFixed(2)} GiB in ${seconds.toFixed(1)} s, peak resident ${(peak / 1024).toFixed(0)} MB`);
