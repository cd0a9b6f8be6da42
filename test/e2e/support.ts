/** What the suites on real machines share: which firmwares there are, the guest, the tables of each machine. */
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect } from "vitest";
import { debianGuest } from "../../src/qemu/debian-guest.ts";
import { findProgram } from "../../src/qemu/machine.ts";
import { PLATFORMS, type RealFirmware } from "../../src/qemu/platform.ts";
import { realRunLines } from "../../src/qemu/report.ts";
import { type RealRunOptions, type RealRunResult, runForReal } from "../../src/qemu/run.ts";
import { defaultGuest, machineTables, type SessionGuest } from "../../src/qemu/session.ts";
import { readScenario } from "../../src/scenario/read.ts";
import type { Scenario } from "../../src/scenario/schema.ts";

export const FIRMWARES = ["seabios", "ovmf", "aavmf"] as const satisfies readonly RealFirmware[];

interface Ready {
  readonly guest: SessionGuest;
}
const ready = new Map<RealFirmware, Ready | string>();

async function prepare(firmware: RealFirmware): Promise<Ready | string> {
  const platform = PLATFORMS[firmware];
  const work = mkdtempSync(join(tmpdir(), "apei-e2e-"));
  try {
    await findProgram(platform.program, platform.packages);
    await platform.start(work);
    return { guest: await defaultGuest(await debianGuest(platform.architecture, process.env, console.warn)) };
  } catch (error) {
    return (error as Error).message;
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}
for (const firmware of FIRMWARES) {
  const state = await prepare(firmware);
  ready.set(firmware, state);
  if (typeof state === "string") console.warn(`${firmware} is skipped: ${state}`);
}

/** A suite that needs this firmware; skipped, with a message above, where it or its guest cannot be had. */
export const describeOn = (firmware: RealFirmware) => describe.skipIf(typeof ready.get(firmware) === "string");
export const guestOn = (firmware: RealFirmware): SessionGuest => (ready.get(firmware) as Ready).guest;

const known = new Map<RealFirmware, Promise<readonly Uint8Array[]>>();
/** QEMU's own tables for a firmware's machine, asked for once. */
export function baseOf(firmware: RealFirmware): Promise<readonly Uint8Array[]> {
  let tables = known.get(firmware);
  if (!tables) known.set(firmware, (tables = machineTables(PLATFORMS[firmware], guestOn(firmware))));
  return tables;
}

export const sample = async (name: string): Promise<Scenario> =>
  readScenario(readFileSync(fileURLToPath(new URL(`../../samples/qemu/${name}`, import.meta.url)), "utf8"));

export async function runOn(firmware: RealFirmware, scenario: Scenario, more: Partial<RealRunOptions> = {}): Promise<RealRunResult> {
  // A machine with further devices has tables of its own.
  const base = more.store ? undefined : await baseOf(firmware);
  return runForReal(scenario, { platform: PLATFORMS[firmware], guest: guestOn(firmware), ...(base && { base }), ...more });
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
