/** From a scenario to a guest that is up: the tables, store and files of its machine, and what the start says of them. */
import { probeHest } from "../guest/hest-probe.ts";
import type { MonitorPolicy } from "../host/monitor.ts";
import { UsageError } from "../layout/index.ts";
import { BOOT_ERRORS, bootErrorRegion, bootErrorTable } from "../scenario/boot-errors.ts";
import { storeBytes } from "../scenario/error-store.ts";
import { namingSources, sourcePart, sourcesFor } from "../scenario/machine.ts";
import { type Outside, readerOf } from "../scenario/outside.ts";
import type { Scenario } from "../scenario/schema.ts";
import { compareBootErrors } from "./boot-errors.ts";
import { errorDeviceOf, eventDeviceTable } from "./event-device.ts";
import { realHandOff, SECOND_HOME } from "./hand-off.ts";
import { compareInjection } from "./injection.ts";
import { type Comparison, compareLines, isTableLine, type KernelName, kernelOf, plainLines } from "./kernel-log.ts";
import type { RealMachine } from "./machine.ts";
import { cannotRaise, EVENT_INTERRUPT } from "./notify.ts";
import type { Platform } from "./platform.ts";
import { vendorWords } from "./processor.ts";
import { REGISTERS, REGISTERS_ADDRESS, ServedDevices, triggerPage } from "./served.ts";
import { guestTable, machineTables, PATIENCE, type Patience, type SessionGuest, startGuest, writtenAddress } from "./session.ts";
import { RealStore } from "./store.ts";
import { keepTables, keptTables, tableFile } from "./table-cache.ts";

export interface StartOptions extends Outside {
  readonly platform: Platform;
  readonly guest: SessionGuest;
  /** The machine's own tables, when they are known from an earlier run. */
  readonly base?: readonly Uint8Array[];
  /** Folder in which they are kept from run to run. */
  readonly cache?: string;
  readonly patience?: Patience;
  readonly progress?: (text: string) => void;
}

/** A machine whose guest is up. */
export interface StartedMachine {
  readonly machine: RealMachine;
  readonly kernel: KernelName;
  /** Whether it should have error sources. */
  readonly hasSources: boolean;
  readonly store?: RealStore;
  /** Devices that are served from outside. */
  readonly served?: ServedDevices;
  /** What was handed over as errors of the boot before. */
  readonly bootErrors?: Uint8Array;
  /** End it, and remove its files. */
  release(): Promise<void>;
}

/** Start the machine of a scenario. @throws UsageError when it cannot be had for real, or its guest does not get up. */
export async function startMachine(scenario: Scenario, policy: MonitorPolicy, options: StartOptions): Promise<StartedMachine> {
  const { machine: choice = {} } = scenario;
  const { platform, guest, patience = PATIENCE, progress } = options;
  if (choice.kind === "physical") throw new UsageError("the scenario is about a physical machine: QEMU is none");
  const sources = choice.ras === false ? [] : sourcesFor(choice, policy);
  for (const { id, notification } of sources) {
    const problem = cannotRaise(notification, platform.architecture);
    if (problem !== undefined && choice.sources === undefined)
      throw new UsageError(`source ${id} of the preset: ${problem}; name sources that ${platform.title}'s machine can have under machine.sources`);
  }
  const region = choice.bootErrors && bootErrorRegion(choice.bootErrors, readerOf(options));
  const bert = region && bootErrorTable(region);
  const stored = storeBytes(choice.errorStore, options);
  // QEMU has an ERST device for x86 machines only.
  const store = stored && (platform.architecture === "x86" ? await RealStore.open(stored) : RealStore.served(stored));
  const own = platform.architecture === "x86" ? undefined : stored;
  const served = choice.injection || own ? new ServedDevices({ injection: choice.injection === true, ...(own && { store: own }) }) : undefined;
  try {
    const words = store?.words ?? [];
    const kept = options.cache === undefined ? undefined : await tableFile(options.cache, platform, store?.device ?? "");
    let base = options.base ?? (kept === undefined ? undefined : keptTables(kept));
    if (!base) {
      progress?.(`asking QEMU for the tables of its machine, with ${platform.title}`);
      base = await machineTables(platform, guest, words, patience);
      if (kept !== undefined) keepTables(kept, base);
    }
    const { handOff = "hest", errorSources = [] } = sourcePart(choice, policy);
    const files = namingSources(() =>
      realHandOff({
        machine: platform.machine(0n).name,
        base,
        sources: errorSources,
        handOff,
        extra: [{ bytes: eventDeviceTable(EVENT_INTERRUPT[platform.architecture], errorDeviceOf(base)) }, ...(bert ? [bert] : []), ...(served?.tables ?? [])],
        blobs: new Map([...(bert ? ([[BOOT_ERRORS, bert.blob]] as const) : []), ...(served ? ([[REGISTERS, served.registers]] as const) : [])]),
        ...(served && { tell: { blob: REGISTERS, file: REGISTERS_ADDRESS } }),
      }),
    );
    const page = choice.injection ? triggerPage(platform) : undefined;
    const linked = served && (async (machine: RealMachine) => served.serve(machine.memory, await writtenAddress(machine, SECOND_HOME), page?.address));
    const started = page === undefined ? guest : { ...guest, append: `${guest.append ?? ""} ${page.word}` };
    const vendor = platform.architecture === "x86" ? vendorFor(scenario, policy) : undefined;
    const machine = await startGuest({
      platform,
      guest: started,
      files,
      words: [...words, ...(vendor ? vendorWords(platform, vendor) : [])],
      patience,
      ...(progress && { progress }),
      ...(linked && { linked }),
    });
    return {
      machine,
      kernel: kernelOf(machine.output),
      hasSources: sources.length > 0,
      ...(store && { store }),
      ...(served && { served }),
      ...(region && { bootErrors: region }),
      release: async () => {
        served?.stop();
        try {
          await machine.stop();
        } finally {
          await store?.release();
        }
      },
    };
  } catch (error) {
    served?.stop();
    await store?.release();
    throw error;
  }
}

/** Whose processor the machine should have, when it matters: the banks of machine checks differ. */
const vendorFor = ({ machine, events }: Scenario, policy: MonitorPolicy) =>
  machine?.vendor ?? (policy.machineChecks && events.some(({ sigbus }) => sigbus) ? "intel" : undefined);

const TABLE = "What the kernel says about the error source table";

export interface ComparedStart {
  readonly comparisons: readonly Comparison[];
  /** Sources a driver of the guest has taken. */
  readonly bound: ReadonlySet<number>;
}

/** What the guest's start says of what it was given. */
export function compareStart({ machine, kernel, hasSources, store, served, bootErrors }: StartedMachine, guest: SessionGuest): ComparedStart {
  const comparisons: Comparison[] = [];
  let bound: ReadonlySet<number> = new Set();
  const hest = guestTable(machine, "HEST");
  if (hest) {
    const probed = probeHest(hest, { architecture: machine.platform.architecture, version: kernel.version });
    bound = new Set(probed.sources.filter((source) => source.bound).map(({ id }) => id));
    comparisons.push({ title: TABLE, lines: compareLines(probed.messages, plainLines(machine.output).filter(isTableLine)) });
  } else if (hasSources) comparisons.push({ title: TABLE, lines: [{ kind: "missing", text: "ACPI: HEST" }] });
  if (bootErrors) comparisons.push(...compareBootErrors(machine, bootErrors, kernel.version));
  if (served?.injection && guest.shell) comparisons.push(...compareInjection(machine.output));
  if (store) comparisons.push(...store.compareStart(machine.output, kernel.version, guest.shell));
  return { comparisons, bound };
}
