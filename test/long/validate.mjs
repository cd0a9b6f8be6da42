/**
 * Mutated tables through the checks and all reports: findings, never an exception, none of it slow.
 *
 *   node test/long/validate.mjs [--count 200000] [--seed 1]
 *
 * Needs a build. Real tables are added to the seeds when APEI_SHARED, or ../shared, holds them.
 */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { acpi, buildTable, check, jsonReport, junitReport, sarifReport, textReport } from "../../dist/index.js";

const LONGEST_MILLISECONDS = 1000;
const LARGEST_SEED = 4000;
const { values } = parseArgs({ options: { count: { type: "string", default: "200000" }, seed: { type: "string", default: "1" } } });
const shared = process.env.APEI_SHARED ?? fileURLToPath(new URL("../../../shared/", import.meta.url));

const seeds = [buildTable("BERT", { bootErrorRegionLength: 64, bootErrorRegion: "0x1000" }), acpi.qemuErst(0xfebfe000n)];
for (const folder of ["captures/tables-good", "captures/tables-bad", "corpus/acpi-other", "corpus/acpi-linuxhw", "corpus/acpi-fwts", "guest/oracle/hest"]) {
  if (!existsSync(join(shared, folder))) continue;
  for (const name of readdirSync(join(shared, folder)))
    if (/\.(dat|bin)$/.test(name)) {
      const bytes = new Uint8Array(readFileSync(join(shared, folder, name)));
      if (bytes.length <= LARGEST_SEED) seeds.push(bytes);
    }
}

/** Small, fast and the same everywhere (mulberry32). */
let state = Number(values.seed) >>> 0;
const random = (below) => {
  state = (state + 0x6d2b79f5) >>> 0;
  let t = Math.imul(state ^ (state >>> 15), state | 1);
  t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
  return ((t ^ (t >>> 14)) >>> 0) % below;
};
const ODD = [0, 1, 2, 0x7f, 0x80, 0xff];

const count = Number(values.count);
let longest = 0;
let findings = 0;
for (let i = 0; i < count; i++) {
  let bytes = seeds[random(seeds.length)].slice();
  for (let changes = random(6); changes > 0 && bytes.length > 4; changes--)
    bytes[4 + random(bytes.length - 4)] = random(2) ? ODD[random(ODD.length)] : random(256);
  if (random(5) === 0) bytes = bytes.slice(0, random(bytes.length + 1));
  if (random(10) === 0 && bytes.length >= 8) new DataView(bytes.buffer).setUint32(4, random(3) === 0 ? 0xffffffff : random(bytes.length * 2), true);
  const from = performance.now();
  try {
    const result = check([{ file: "t.dat", bytes }]);
    findings += result.findings.length;
    textReport(result, { colours: true, notes: true });
    junitReport(result, "warning");
    JSON.stringify([jsonReport(result, "error"), sarifReport(result, "0")]);
  } catch (error) {
    console.error(`mutation ${i} of seed ${values.seed}: ${Buffer.from(bytes).toString("hex")}`);
    throw error;
  }
  const took = performance.now() - from;
  if (took > longest) longest = took;
  if (took > LONGEST_MILLISECONDS) {
    console.error(`mutation ${i} of seed ${values.seed} took ${Math.round(took)} ms: ${Buffer.from(bytes).toString("hex")}`);
    process.exitCode = 1;
  }
}
console.log(`${count} mutations of ${seeds.length} tables: ${findings} findings, longest ${Math.round(longest)} ms`);
