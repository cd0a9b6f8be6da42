/**
 * Random scenarios on real machines, each compared with its prediction: npm run long:random
 * Words: --firmware seabios,ovmf,aavmf  --release sid  --seed 1  --runs 20  --records 12  --keep FOLDER (scenarios that
 * differ, and what was printed).
 */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { Dice } from "../../src/input/generate.ts";
import { debianGuest } from "../../src/qemu/debian-guest.ts";
import { debianMachine } from "../../src/qemu/debian-machine.ts";
import { cacheFolder } from "../../src/qemu/debian-packages.ts";
import { platformAt, type RealFirmware } from "../../src/qemu/platform.ts";
import { realRunLines } from "../../src/qemu/report.ts";
import { runForReal } from "../../src/qemu/run.ts";
import { defaultGuest } from "../../src/qemu/session.ts";
import { readScenario } from "../../src/scenario/read.ts";
import { randomScenario } from "../support/random-scenario.ts";

const { values } = parseArgs({
  options: {
    firmware: { type: "string", default: "seabios,ovmf,aavmf" },
    release: { type: "string" },
    seed: { type: "string", default: "1" },
    runs: { type: "string", default: "20" },
    records: { type: "string", default: "12" },
    keep: { type: "string" },
  },
});
const { release, keep } = values;
const firmwares = values.firmware.split(",") as RealFirmware[];
const place = release === undefined ? {} : await debianMachine(release, process.env, console.log);
const count = { runs: 0, records: 0, lines: 0, differing: 0 };
for (let i = 0; i < Number(values.runs); i++) {
  const seed = Number(values.seed) + i;
  const firmware = firmwares[i % firmwares.length]!;
  const platform = platformAt(firmware, place);
  const guest = await defaultGuest(await debianGuest(platform.architecture, process.env, console.log, release));
  const name = `random ${seed}, ${platform.title}`;
  const text = JSON.stringify(randomScenario(new Dice(seed), { architecture: platform.architecture, records: Number(values.records) }, name), null, 1);
  const started = Date.now();
  let found: { readonly differs: boolean; readonly lines: readonly string[] };
  try {
    const result = await runForReal(await readScenario(text), { platform, guest, cache: cacheFolder(process.env) });
    const lines = realRunLines(result);
    found = { differs: result.differs, lines };
    count.records += result.records.length;
    count.lines += lines.length;
    if (result.differs && keep !== undefined) {
      mkdirSync(keep, { recursive: true });
      writeFileSync(join(keep, `${firmware}-${seed}.log`), result.console, "latin1");
    }
  } catch (error) {
    found = { differs: true, lines: [(error as Error).stack ?? String(error)] };
  }
  count.runs++;
  console.log(`${found.differs ? "DIFFERS" : "same   "} ${name}, ${((Date.now() - started) / 1000).toFixed(0)} s`);
  if (!found.differs) continue;
  count.differing++;
  if (keep !== undefined) {
    mkdirSync(keep, { recursive: true });
    writeFileSync(join(keep, `${firmware}-${seed}.json`), text);
    writeFileSync(join(keep, `${firmware}-${seed}.txt`), `${found.lines.join("\n")}\n`);
  } else console.log(found.lines.join("\n"));
}
console.log(`${count.runs} scenarios, ${count.records} records, ${count.lines} lines; ${count.differing} differ`);
process.exitCode = count.differing > 0 ? 1 : 0;
