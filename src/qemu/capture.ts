/** The fw_cfg files of a machine as QEMU makes them, before and after its firmware has run. */
import { setTimeout as sleep } from "node:timers/promises";
import { FILE, type FwCfgFile, type FwCfgFiles } from "../loader/fw-cfg.ts";
import { parseScript } from "../loader/script.ts";
import { DEFAULT_RAM } from "../machine/machines.ts";
import { POINTER_HOME, signatureOf, tablesOf } from "./hand-off.ts";
import { type Guest, RealMachine } from "./machine.ts";
import type { Platform } from "./platform.ts";
import { versionText } from "./qmp.ts";
import { EARLY, KERNEL_STARTS } from "./session.ts";

export interface CaptureOptions {
  readonly platform: Platform;
  /** Value of QEMU's -machine; default: the platform's own. */
  readonly machineType?: string;
  readonly words?: readonly string[];
  /** Its first words say that the firmware is done; without one the firmware gets `wait` milliseconds. */
  readonly guest?: Guest;
  readonly wait?: number;
  /** Milliseconds until the kernel has to start. */
  readonly patience: number;
  /** Read before the first instruction: some tables then describe hardware that nobody has programmed. */
  readonly before?: boolean;
}
export interface Capture {
  readonly qemu: string;
  readonly files: FwCfgFiles;
  /** Signatures of the tables in it, in their order. */
  readonly tables: readonly string[];
}

/** Files that guests write, beside those a script's write-pointers name. */
const WRITABLE: ReadonlySet<string> = new Set([POINTER_HOME.file, "etc/smi/requested-features", "etc/ramfb"]);

/** Option ROMs, and the kernel that was given (since QEMU 11 a file of many megabytes). */
const NOT_OF_MACHINE = /^(genroms|etc\/boot)\//;

/** Capture. @throws UsageError when QEMU does not start or the firmware does not get done. */
export async function capture(options: CaptureOptions): Promise<Capture> {
  const { platform, machineType, words = [], guest, before = false } = options;
  const machine = await RealMachine.start({
    platform: machineType === undefined ? platform : { ...platform, machineType },
    ram: DEFAULT_RAM,
    acpi: true,
    words,
    paused: before,
    ...(guest && !before && { guest: { kernel: guest.kernel, append: EARLY[platform.architecture] } }),
  });
  try {
    if (!before) {
      if (guest) await machine.waitFor(KERNEL_STARTS, options.patience, `the end of ${platform.title}`);
      else await sleep(options.wait ?? 0);
      await machine.qmp.execute("stop");
    }
    const found = await machine.fwCfg.files((name) => !NOT_OF_MACHINE.test(name));
    const script = found.get(FILE.script);
    const writable = new Set(WRITABLE);
    for (const entry of script ? parseScript(script.bytes).entries : []) if (entry.command === "writePointer") writable.add(entry.destinationFile);
    const files = new Map<string, FwCfgFile>([...found].map(([name, { bytes }]) => [name, { bytes, ...(writable.has(name) && { writable: true }) }]));
    return { qemu: versionText(machine.version), files, tables: script ? tablesOf(files).map(signatureOf) : [] };
  } finally {
    await machine.stop();
  }
}
