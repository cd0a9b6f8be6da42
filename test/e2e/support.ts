/** What the suites on real machines share: which firmwares there are, the guest, the tables of each machine. */
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { describe, expect, inject } from "vitest";
import type { Platform } from "../../src/qemu/platform.ts";
import { realRunLines } from "../../src/qemu/report.ts";
import { type RealRunResult, runForReal } from "../../src/qemu/run.ts";
import { machineTables, type SessionGuest } from "../../src/qemu/session.ts";
import type { StartOptions } from "../../src/qemu/start.ts";
import { keepTables, keptTables, tableFile } from "../../src/qemu/table-cache.ts";
import { readScenario } from "../../src/scenario/read.ts";
import type { Scenario } from "../../src/scenario/schema.ts";
import { prepare, type Ready, TARGETS, type Target } from "./targets.ts";

export { FIRMWARES, type Target } from "./targets.ts";

const skipped = inject("skipped");
const ready = new Map<Target, Ready | string>();
for (const target of TARGETS) if (!skipped.includes(target)) ready.set(target, await prepare(target));

/** A suite that needs this machine; skipped, with a message before all suites, where it or its guest cannot be had. */
export const describeOn = (target: Target) => describe.skipIf(skipped.includes(target));
export const guestOn = (target: Target): SessionGuest => (ready.get(target) as Ready).guest;
export const platformOn = (target: Target): Platform => (ready.get(target) as Ready).platform;

const cache = inject("tables");
/** QEMU's own tables for a machine, asked for once. */
export async function baseOf(target: Target): Promise<readonly Uint8Array[]> {
  const file = await tableFile(cache, platformOn(target), "");
  const kept = keptTables(file);
  if (kept) return kept;
  const tables = await machineTables(platformOn(target), guestOn(target));
  keepTables(file, tables);
  return tables;
}

export const sample = async (name: string): Promise<Scenario> =>
  readScenario(readFileSync(fileURLToPath(new URL(`../../samples/qemu/${name}`, import.meta.url)), "utf8"));

/** One of those that run in the model too. */
export const scenarioSample = async (name: string): Promise<Scenario> =>
  readScenario(readFileSync(fileURLToPath(new URL(`../../samples/scenarios/${name}`, import.meta.url)), "utf8"));

export async function runOn(target: Target, scenario: Scenario, more: Partial<StartOptions> = {}): Promise<RealRunResult> {
  return runForReal(scenario, { platform: platformOn(target), guest: guestOn(target), cache, ...more });
}

/** Everything is as predicted; if not, what differs is the message. */
export function expectPredicted(result: RealRunResult): void {
  if (result.differs)
    expect.fail(
      realRunLines(result)
        .filter((line) => !line.startsWith("    "))
        .join("\n"),
    );
}
