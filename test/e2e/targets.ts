/** The machines there are to test on, and what it takes to have them. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { debianGuest } from "../../src/qemu/debian-guest.ts";
import { debianMachine, type MachineFiles } from "../../src/qemu/debian-machine.ts";
import { findProgram } from "../../src/qemu/machine.ts";
import { type Platform, platformAt, type RealFirmware } from "../../src/qemu/platform.ts";
import { defaultGuest, type SessionGuest } from "../../src/qemu/session.ts";

export const FIRMWARES = ["seabios", "ovmf", "aavmf"] as const satisfies readonly RealFirmware[];

/** What is installed, with the kernel of Debian 12; or QEMU, firmware and kernel of Debian's newest. */
export type Target = RealFirmware | `${RealFirmware}@sid`;
/** Runs the suites of the installed programs with those of a release instead. */
const RELEASE = process.env["APEI_E2E_RELEASE"];

export interface Ready {
  readonly platform: Platform;
  readonly guest: SessionGuest;
}
const machines = new Map<string, Promise<MachineFiles>>();
/** Asked for once: where there is no network, that takes its time. */
function machineOf(release: string): Promise<MachineFiles> {
  let machine = machines.get(release);
  if (!machine) machines.set(release, (machine = debianMachine(release, process.env, console.warn)));
  return machine;
}

/** @returns why it cannot be had, when it cannot. */
export async function prepare(target: Target): Promise<Ready | string> {
  const [firmware, release = RELEASE] = target.split("@") as [RealFirmware, string?];
  const work = mkdtempSync(join(tmpdir(), "apei-e2e-"));
  try {
    const platform = platformAt(firmware, release === undefined ? {} : await machineOf(release));
    await findProgram(platform.program, platform.packages);
    await platform.start(work);
    return { platform, guest: await defaultGuest(await debianGuest(platform.architecture, process.env, console.warn, release)) };
  } catch (error) {
    return (error as Error).message;
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}
export const TARGETS: readonly Target[] = FIRMWARES.flatMap((firmware): Target[] => [firmware, `${firmware}@sid`]);
