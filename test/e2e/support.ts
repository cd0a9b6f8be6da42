/** What the suites on real machines share: which firmwares there are, the guest, the tables of each machine. */
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect } from "vitest";
import { debianGuest } from "../../src/qemu/debian-guest.ts";
import { debianMachine } from "../../src/qemu/debian-machine.ts";
import { findProgram } from "../../src/qemu/machine.ts";
import { type Platform, platformAt, type RealFirmware } from "../../src/qemu/platform.ts";
import { realRunLines } from "../../src/qemu/report.ts";
import { type RealRunOptions, type RealRunResult, runForReal } from "../../src/qemu/run.ts";
import { defaultGuest, machineTables, type SessionGuest } from "../../src/qemu/session.ts";
import { readScenario } from "../../src/scenario/read.ts";
import type { Scenario } from "../../src/scenario/schema.ts";

export const FIRMWARES = ["seabios", "ovmf", "aavmf"] as const satisfies readonly RealFirmware[];

/** What is installed, with the kernel of Debian 12; or QEMU, firmware and kernel of Debian's newest. */
export type Target = RealFirmware | `${RealFirmware}@sid`;
/** Runs the suites of the installed programs with those of a release instead. */
const RELEASE = process.env["APEI_E2E_RELEASE"];

interface Ready {
  readonly platform: Platform;
  readonly guest: SessionGuest;
}
const ready = new Map<Target, Ready | string>();

async function prepare(target: Target): Promise<Ready | string> {
  const [firmware, release = RELEASE] = target.split("@") as [RealFirmware, string?];
  const work = mkdtempSync(join(tmpdir(), "apei-e2e-"));
  try {
    const platform = platformAt(firmware, release === undefined ? {} : await debianMachine(release, process.env, console.warn));
    await findProgram(platform.program, platform.packages);
    await platform.start(work);
    return { platform, guest: await defaultGuest(await debianGuest(platform.architecture, process.env, console.warn, release)) };
  } catch (error) {
    return (error as Error).message;
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}
for (const target of FIRMWARES.flatMap((firmware): Target[] => [firmware, `${firmware}@sid`])) {
  const state = await prepare(target);
  ready.set(target, state);
  if (typeof state === "string") console.warn(`${target} is skipped: ${state}`);
}

/** A suite that needs this machine; skipped, with a message above, where it or its guest cannot be had. */
export const describeOn = (target: Target) => describe.skipIf(typeof ready.get(target) === "string");
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
