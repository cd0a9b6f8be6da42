/**
 * Every sample scenario on a real QEMU: npm run long:scenarios
 * Each has to be as predicted (exit code 0), or to say why nothing of it can be done (2). Words: [part of a name], then
 * further words for `apei qemu run`, such as --release sid.
 */
import { spawnSync } from "node:child_process";
import { readdirSync } from "node:fs";
import { fileURLToPath } from "node:url";

const [part = "", ...words] = process.argv.slice(2);
const root = fileURLToPath(new URL("../../", import.meta.url));
const files = ["samples/scenarios", "samples/qemu"].flatMap((folder) =>
  readdirSync(`${root}${folder}`)
    .filter((name) => name.endsWith(".json") && name.includes(part))
    .map((name) => `${folder}/${name}`),
);
/** What a run that could not be done has to say. */
const REASONS = /nothing of what happens then can be done on a real machine|the scenario is about a physical machine|cannot raise/;
const counts = { "as predicted": 0, "in part": 0, "not done": 0, wrong: 0 };
for (const file of files) {
  const { status, stdout, stderr } = spawnSync(process.execPath, ["bin/apei.js", "qemu", "run", file, ...words], {
    cwd: root,
    encoding: "utf8",
    timeout: 300_000,
  });
  const verdict =
    status === 0 ? (/^not done: /m.test(stdout) ? "in part" : "as predicted") : status === 2 && REASONS.test(`${stdout}${stderr}`) ? "not done" : "wrong";
  counts[verdict]++;
  console.log(`${verdict.padEnd(12)} ${file}`);
  if (verdict === "wrong") console.log(`${stdout}\n${stderr}\nexit status ${status}`);
}
console.log(
  Object.entries(counts)
    .map(([verdict, count]) => `${count} ${verdict}`)
    .join(", "),
);
process.exitCode = counts.wrong > 0 ? 1 : 0;
