/** What the suites on real machines share: which firmwares there are, the guest, the tables of each machine. */
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { describe, expect, inject } from "vitest";
import type { Platform } from "../../src/qemu/platform.ts";
import { realRunLines } from "../../src/qemu/report.ts";
import { type RealRunOptions, type RealRunResult, runForReal } from "../../src/qemu/run.ts";
import { machineTables, type SessionGuest } from "../../src/qemu/session.ts";
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

const known = new Map<Target, Promise<readonly Uint8Array[]>>();
/** QEMU's own tables for a machine, asked for once. */
export function baseOf(target: Target): Promise<readonly Uint8Array[]> {
  let tables = known.get(target);
  if (!tables) known.set(target, (tables = machineTables(platformOn(target), guestOn(target))));
  return tables;
}

export const sample = async (name: string): Promise<Scenario> =>
  readScenario(readFileSync(fileURLToPath(new URL(`../../samples/qemu/${name}`, import.meta.url)), "utf8"));

/** One of those that run in the model too. */
export const scenarioSample = async (name: string): Promise<Scenario> =>
  readScenario(readFileSync(fileURLToPath(new URL(`../../samples/scenarios/${name}`, import.meta.url)), "utf8"));

export async function runOn(target: Target, scenario: Scenario, more: Partial<RealRunOptions> = {}): Promise<RealRunResult> {
  // A machine with further devices has tables of its own.
  const base = scenario.machine?.errorStore === undefined ? await baseOf(target) : undefined;
  return runForReal(scenario, { platform: platformOn(target), guest: guestOn(target), ...(base && { base }), ...more });
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
