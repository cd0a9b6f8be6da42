/** A guest on a machine whose tables are ours: from fw_cfg files to a guest that has started and an address that came back. */
import { readFile } from "node:fs/promises";
import { basename } from "node:path";
import { UsageError } from "../layout/index.ts";
import { FILE, type FwCfgFiles } from "../loader/fw-cfg.ts";
import { DEFAULT_RAM } from "../machine/machines.ts";
import { fromLittleEndian } from "../machine/memory.ts";
import type { GuestFiles } from "./debian-guest.ts";
import { POINTER_HOME, tablesOf } from "./hand-off.ts";
import { buildInitramfs, GUEST_SAYS } from "./initramfs.ts";
import { type Guest, RealMachine } from "./machine.ts";
import type { Platform } from "./platform.ts";

export interface SessionGuest extends Guest {
  /** What it prints when it has started. */
  readonly ready: RegExp;
  /** Its console is a shell that can be typed into. */
  readonly shell: boolean;
}

/** The root file system of our own guest. */
export async function guestInitrd({ busybox, injection }: Pick<GuestFiles, "busybox" | "injection">): Promise<Uint8Array> {
  const content = async (path: string) => new Uint8Array(await readFile(path));
  return buildInitramfs(await content(busybox), new Map([[basename(injection), await content(injection)]]));
}

/** Our own guest. */
export async function defaultGuest(files: GuestFiles, append = ""): Promise<SessionGuest> {
  return { kernel: files.kernel, initrd: await guestInitrd(files), append: `rdinit=/init ${append}`, ready: new RegExp(GUEST_SAYS.ready), shell: true };
}

export interface Patience {
  /** Milliseconds until the guest has started. */
  readonly boot: number;
  /** Milliseconds until a record is acknowledged. */
  readonly acknowledge: number;
}
export const PATIENCE: Patience = { boot: 120_000, acknowledge: 10_000 };

export const KERNEL_STARTS = /Linux version /;

/**
 * The tables QEMU itself makes for this machine. Some describe what the firmware programmed, so a firmware has to have
 * run: they are read when the kernel says its first words.
 */
export async function machineTables(platform: Platform, guest: Guest, words: readonly string[] = [], patience = PATIENCE): Promise<readonly Uint8Array[]> {
  const { initrd: _, ...kernel } = guest;
  const machine = await RealMachine.start({
    platform,
    ram: DEFAULT_RAM,
    acpi: true,
    words: [...POINTER_HOME.words, ...words],
    guest: { ...kernel, append: EARLY[platform.architecture] },
  });
  try {
    await machine.waitFor(KERNEL_STARTS, patience.boot, `${platform.title} with QEMU's own tables`);
    await machine.qmp.execute("stop");
    return tablesOf(await machine.fwCfg.files((name) => name === FILE.tables || name === FILE.script));
  } finally {
    await machine.stop();
  }
}
/** Kernel words that make it print from its first moment. */
export const EARLY = { x86: "earlyprintk=serial,ttyS0", arm64: "earlycon=pl011,0x9000000" } as const;

export interface SessionOptions {
  readonly platform: Platform;
  readonly guest: SessionGuest;
  readonly files: FwCfgFiles;
  readonly words?: readonly string[];
  readonly patience?: Patience;
  readonly progress?: (text: string) => void;
  /** Called when the firmware is done, before the kernel looks for its devices. */
  readonly linked?: (machine: RealMachine) => Promise<void>;
}
/** What is printed when the firmware reads fw_cfg no more. */
const FIRMWARE_DONE = /EFI stub: Exiting boot services|Linux version /;

/** Start the machine with these files and wait until the guest is up. The caller stops it. */
export async function startGuest({ platform, guest, files, words = [], patience = PATIENCE, progress, linked }: SessionOptions): Promise<RealMachine> {
  const machine = await RealMachine.start({ platform, ram: DEFAULT_RAM, acpi: false, files, guest, words: [...POINTER_HOME.words, ...words] });
  try {
    progress?.(`${platform.title} and the guest are starting`);
    if (linked) {
      await machine.waitFor(new RegExp(`${FIRMWARE_DONE.source}|${guest.ready.source}`, "m"), patience.boot, "the guest's start");
      await linked(machine);
    }
    await machine.waitFor(guest.ready, patience.boot, "the guest's start");
    return machine;
  } catch (error) {
    await machine.stop();
    throw error;
  }
}

/** What the firmware wrote back; zero when it wrote nothing. @param offset where in the file it goes. */
export async function writtenAddress(machine: RealMachine, offset: number = POINTER_HOME.offset): Promise<bigint> {
  const found = (await machine.fwCfg.list()).find(({ name }) => name === POINTER_HOME.file);
  if (!found) throw new UsageError(`the machine has no ${POINTER_HOME.file}`);
  const bytes = await machine.fwCfg.read(found.key, found.size);
  return fromLittleEndian(bytes.subarray(offset, offset + POINTER_HOME.size));
}

/** A table as the guest's kernel found it, where it said it lies. */
export function guestTable(machine: RealMachine, signature: string): Uint8Array | undefined {
  const found = new RegExp(`ACPI: ${signature} 0x([0-9A-F]+) ([0-9A-F]+)`).exec(machine.output);
  return found ? machine.memory.read(BigInt(`0x${found[1]}`), Number.parseInt(found[2]!, 16)) : undefined;
}
