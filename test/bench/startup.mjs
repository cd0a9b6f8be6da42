/**
 * What starting costs, as a multiple of `node -e 0`: `node test/bench/startup.mjs [PAIRS]`, 30 by default.
 *
 * Runs of each command alternate with runs of `node -e 0`; shown are the median of the pairs' ratios and the ratio
 * of the two fastest runs, for the time on the clock and for that of the processor (user and system, of the whole
 * process as bash's `time` tells it). On a machine with other work the latter says more.
 */
import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { memoryRecord } from "../../dist/host/memory-record.js";

const root = fileURLToPath(new URL("../../", import.meta.url));
const pairs = Number(process.argv[2] ?? 30);
const folder = mkdtempSync(join(tmpdir(), "apei-startup-"));
const block = join(folder, "block.bin");
writeFileSync(block, memoryRecord({ physicalAddress: 0x12345000n, severity: "recoverable" }));
const record = join(root, "test/input/wrapped/record.bin");
const apei = join(root, "bin/apei.js");
const COMMANDS = {
  "--help": ["--help"],
  "decode, one record": ["decode", record],
  "decode, one status block": ["decode", block],
  "decode --json, one record": ["decode", "--json", record],
};

/** Milliseconds on the clock and of the processor. */
function run(words) {
  const script = 'TIMEFORMAT="%R %U %S"; { time "$@" >/dev/null 2>&1; } 2>&1';
  const [real, user, system] = execFileSync("bash", ["-c", script, "bash", process.execPath, ...words], { encoding: "utf8" })
    .trim()
    .split(" ")
    .map(Number);
  return { wall: real * 1000, cpu: (user + system) * 1000 };
}
const median = (numbers) => numbers.sort((a, b) => a - b)[numbers.length >> 1];
const cell = (text) => String(text).padStart(11);

console.log(`node ${process.version}, ${pairs} pairs`);
console.log("".padEnd(28), ...["wall median", "wall min", "cpu median", "cpu min", "cpu ms", "node -e 0"].map(cell));
for (const [name, words] of Object.entries(COMMANDS)) {
  const rows = [];
  for (let i = 0; i < pairs; i++) rows.push([run(["-e", "0"]), run([apei, ...words])]);
  const least = (which, unit) => Math.min(...rows.map((row) => row[which][unit]));
  const ratios = (unit) => [median(rows.map(([base, own]) => own[unit] / base[unit])), least(1, unit) / least(0, unit)];
  const times = [...ratios("wall"), ...ratios("cpu")].map((ratio) => `${ratio.toFixed(2)}x`);
  console.log(name.padEnd(28), ...[...times, least(1, "cpu").toFixed(0), least(0, "cpu").toFixed(0)].map(cell));
}
rmSync(folder, { recursive: true });
