/** A scenario on a real machine: the same file as for the model, real firmware, a real kernel, and both compared. */
import { setTimeout as sleep } from "node:timers/promises";
import { Bert } from "../acpi/bert.ts";
import { buildTable } from "../acpi/build-tables.ts";
import type { NotificationName } from "../acpi/notification.ts";
import { ErrorStatusBlockHeader } from "../acpi/status-block.ts";
import { probeHest } from "../guest/hest-probe.ts";
import { linuxBootReport, linuxReport, QEMU_MEMORY_DEVICES } from "../guest/report/report.ts";
import { ErrorSourceDevice, type SourceLocation } from "../host/error-source.ts";
import { inHardwareErrors, inHest, inHestAsQemu, sourcesOf } from "../host/locate.ts";
import { decide, type ErrorAddress, type HostError, type MonitorPolicy } from "../host/monitor.ts";
import { decode, fieldOffset, hexNumber, hexToBytes, UsageError } from "../layout/index.ts";
import type { SourceDescription } from "../loader/description.ts";
import { policyOf, sourcesFor } from "../scenario/machine.ts";
import { recordOf } from "../scenario/record.ts";
import type { Moment, Number64, RecordEvent, Scenario } from "../scenario/schema.ts";
import { type Lane, Timeline, type TimelineEntry } from "../scenario/timeline.ts";
import { errorDeviceOf, eventDeviceTable } from "./event-device.ts";
import { type ExtraTable, realHandOff } from "./hand-off.ts";
import { type ComparedLine, compareLines, differ, isBootLine, isReport, isTableLine, type KernelName, kernelOf, plainLines } from "./kernel-log.ts";
import { ConnectionLost } from "./lines.ts";
import { GuestError, type RealMachine } from "./machine.ts";
import { cannotRaise, EVENT_INTERRUPT, notify } from "./notify.ts";
import type { Platform } from "./platform.ts";
import { versionText } from "./qmp.ts";
import { guestTable, machineTables, PATIENCE, type Patience, type SessionGuest, startGuest, writtenAddress } from "./session.ts";
import { fileLine, printedFiles, pstoreFiles, type StoredFile } from "./store.ts";

export interface RealRunOptions {
  readonly platform: Platform;
  readonly guest: SessionGuest;
  /** A boot error region for the guest. */
  readonly bootErrors?: Uint8Array;
  /** Backing file of an error record store for the guest. */
  readonly store?: { readonly path: string; readonly bytes: Uint8Array };
  /** The machine's own tables, when they are known from an earlier run. */
  readonly base?: readonly Uint8Array[];
  readonly patience?: Patience;
  readonly progress?: (text: string) => void;
}

/** One thing that was predicted and looked at. */
export interface Comparison {
  readonly title: string;
  readonly lines: readonly ComparedLine[];
}
export interface RealRecord extends Comparison {
  readonly source: number;
  readonly block: Uint8Array;
  /** Milliseconds until the guest had acknowledged; absent when it never did. */
  readonly acknowledgedAfter?: number;
  /** Whether it should have. */
  readonly expectedToBeSeen: boolean;
}
export interface RealRunResult {
  readonly name: string;
  readonly qemu: string;
  readonly firmware: string;
  readonly kernel: KernelName;
  readonly timeline: readonly TimelineEntry[];
  readonly boot: readonly Comparison[];
  readonly records: readonly RealRecord[];
  /** Other kernel lines since the guest was up. */
  readonly further: readonly string[];
  readonly outcome: "running" | "panicked" | "ended";
  readonly predictedOutcome: "running" | "panicked";
  /** Parts of the scenario a real machine cannot do. */
  readonly skipped: readonly string[];
  /** All the guest printed. */
  readonly console: string;
  /** Something is not as predicted. */
  readonly differs: boolean;
}

/** fw_cfg name of the boot error region. */
const BOOT_ERRORS = "etc/boot_errors";
/** The kernel prints two reports of a class in so many milliseconds, and drops what it has seen within the other. */
const RATE = { reports: 2, milliseconds: 5_500 } as const;
const SAME_AGAIN = 10_800;
/** Milliseconds within which a report is printed after the acknowledgement, and what may follow it. */
const REPORT = 3_000;
const SETTLE = 300;
/** Records of one burst that are followed. */
const MOST_FOLLOWED = 5;
/** Milliseconds a record that no driver looks for is watched. */
const UNSEEN = 1_500;
const PANIC = 8_000;
const LOOK = 20;
const PANICKED = /Kernel panic - not syncing/;

const big = (value: Number64 | undefined): bigint | undefined => (value === undefined ? undefined : BigInt(value));

/** Run a scenario for real. @throws UsageError when the machine or the guest does not get up. */
export async function runForReal(scenario: Scenario, options: RealRunOptions): Promise<RealRunResult> {
  const { platform, guest, patience = PATIENCE, progress } = options;
  const policy = policyOf(scenario.monitor);
  const sources = scenario.machine?.ras === false ? [] : sourcesFor(scenario.machine, policy);
  for (const { id, notification } of sources) {
    const problem = cannotRaise(notification, platform.architecture);
    if (problem !== undefined && scenario.machine?.sources === undefined)
      throw new UsageError(`source ${id} of the preset: ${problem}; name sources that ${platform.title}'s machine can have under machine.sources`);
  }
  const words = options.store
    ? [
        "-object",
        `memory-backend-file,id=store,mem-path=${options.store.path},size=${options.store.bytes.length},share=on`,
        "-device",
        "acpi-erst,memdev=store",
      ]
    : [];
  let base = options.base;
  if (!base) {
    progress?.(`asking QEMU for the tables of its machine, with ${platform.title}`);
    base = await machineTables(platform, guest, words, patience);
  }
  const files = realHandOff({
    machine: platform.machine(0n).name,
    base,
    sources: sources.map(
      ({ id, notification, version, vector, pollInterval, blockLength }): SourceDescription => ({
        id,
        notification: { type: notification, vector, pollInterval },
        blockLength,
        acknowledge: version === 2,
      }),
    ),
    handOff: policy.handOff === "hardwareErrors" ? "hardwareErrors" : "hest",
    extra: [
      { bytes: eventDeviceTable(EVENT_INTERRUPT[platform.architecture], errorDeviceOf(base)) },
      ...(options.bootErrors ? [bootErrorTable(options.bootErrors)] : []),
    ],
    ...(options.bootErrors && { blobs: new Map([[BOOT_ERRORS, options.bootErrors]]) }),
  });
  const machine = await startGuest({ platform, guest, files, words, patience, ...(progress && { progress }) });
  try {
    return await new RealRun(scenario, policy, machine, options).go(sources.length);
  } catch (error) {
    if (!(error instanceof ConnectionLost)) throw error;
    throw new GuestError([error.message, ...machine.lastLines()].join("\n"));
  } finally {
    await machine.stop();
  }
}

/** A BERT whose region is a blob of its own, which the firmware places. */
export function bootErrorTable(region: Uint8Array): ExtraTable {
  const bytes = buildTable("BERT", { bootErrorRegionLength: region.length, bootErrorRegion: "0x0" });
  return { bytes, pointers: [{ offset: fieldOffset(Bert, "bootErrorRegion"), size: 8, to: { file: BOOT_ERRORS } }] };
}

interface Written {
  readonly at: number;
  readonly corrected: boolean;
  readonly bytes: string;
}

class RealRun {
  readonly #scenario: Scenario;
  readonly #policy: MonitorPolicy;
  readonly #machine: RealMachine;
  readonly #options: RealRunOptions;
  readonly #patience: Patience;
  readonly #timeline: Timeline;
  readonly #kernel: KernelName;
  readonly #start = Date.now();
  readonly #records: RealRecord[] = [];
  readonly #skipped: string[] = [];
  readonly #writtenBefore: Written[] = [];
  #device!: ErrorSourceDevice;
  #located: readonly SourceLocation[] = [];
  #bound: ReadonlySet<number> = new Set();
  #handedOff = false;
  #reports = 0;
  /** The block as it was written last, and where the guest's output was before. */
  #written: Uint8Array = new Uint8Array(0);
  #before = 0;
  #fatal = false;
  #ended = false;

  constructor(scenario: Scenario, policy: MonitorPolicy, machine: RealMachine, options: RealRunOptions) {
    this.#scenario = scenario;
    this.#policy = policy;
    this.#machine = machine;
    this.#options = options;
    this.#patience = options.patience ?? PATIENCE;
    this.#timeline = new Timeline(() => Date.now() - this.#start);
    this.#kernel = kernelOf(machine.output);
  }

  get #architecture() {
    return this.#options.platform.architecture;
  }
  #say(from: Lane, to: Lane | undefined, what: string, text: string, bad = false): void {
    this.#timeline.add(from, to, what, text, bad ? { bad: true } : {});
  }

  async go(sourceCount: number): Promise<RealRunResult> {
    const upTo = this.#machine.output.length;
    const boot = this.#compareBoot(sourceCount > 0);
    if (sourceCount > 0) await this.#handOff(sourceCount);
    for (const moment of [...this.#scenario.events].sort((a, b) => a.at - b.at)) {
      if (this.#ended || !this.#machine.running) break;
      const early = this.#start + moment.at - Date.now();
      if (early > 0) await sleep(early);
      await this.#happen(moment);
    }
    const console = this.#machine.output;
    const panicked = PANICKED.test(console);
    const outcome = panicked ? "panicked" : this.#ended || !this.#machine.running ? "ended" : "running";
    const predictedOutcome = this.#fatal ? "panicked" : "running";
    return {
      name: this.#scenario.name,
      qemu: versionText(this.#machine.version),
      firmware: this.#options.platform.title,
      kernel: this.#kernel,
      timeline: this.#timeline.entries,
      boot,
      records: this.#records,
      further: plainLines(console.slice(upTo)).filter((line) => line.trim() !== "" && !isReport(line)),
      outcome,
      predictedOutcome,
      skipped: this.#skipped,
      console,
      differs:
        boot.some(({ lines }) => differ(lines)) ||
        this.#records.some(({ lines, expectedToBeSeen, acknowledgedAfter }) => differ(lines) || expectedToBeSeen !== (acknowledgedAfter !== undefined)) ||
        (outcome !== predictedOutcome && !(outcome === "ended" && this.#ended)),
    };
  }

  // ---- the guest has started ----

  #compareBoot(hasSources: boolean): Comparison[] {
    const lines = plainLines(this.#machine.output);
    const out: Comparison[] = [];
    const hest = guestTable(this.#machine, "HEST");
    if (hest) {
      const probed = probeHest(hest, { architecture: this.#architecture, version: this.#kernel.version });
      this.#bound = new Set(probed.sources.filter(({ bound }) => bound).map(({ id }) => id));
      out.push({ title: "the error source table", lines: compareLines(probed.messages, lines.filter(isTableLine)) });
    } else if (hasSources) out.push({ title: "the error source table", lines: [{ kind: "missing", text: "ACPI: HEST" }] });
    if (this.#options.bootErrors) {
      const kernel = { version: this.#kernel.version, architecture: this.#architecture, memoryDevices: QEMU_MEMORY_DEVICES };
      out.push({ title: "the errors of the boot before", lines: compareLines(linuxBootReport(this.#options.bootErrors, kernel), lines.filter(isBootLine)) });
    }
    const { store } = this.#options;
    if (store && this.#options.guest.shell) {
      const list = (files: readonly StoredFile[]) => files.map(fileLine).sort();
      out.push({ title: "the files of its store", lines: compareLines(list(pstoreFiles(store.bytes)), list(printedFiles(this.#machine.output))) });
    }
    return out;
  }

  async #handOff(count: number): Promise<void> {
    const { memory } = this.#machine;
    const address = await writtenAddress(this.#machine);
    this.#handedOff = address !== 0n;
    if (!this.#handedOff) this.#say("firmware", "monitor", "failed", "the firmware has written no address back", true);
    else this.#say("firmware", "monitor", "handOff", `${hexNumber(address)} written back`);
    const described = sourcesFor(this.#scenario.machine, this.#policy);
    const blockLength = described[0]?.blockLength ?? 0;
    const hardwareErrors = this.#policy.handOff === "hardwareErrors";
    // The kernel's copy of the table and the one the address names agree: both were linked by the same firmware.
    const table = guestTable(this.#machine, "HEST");
    if (this.#handedOff)
      this.#located = hardwareErrors
        ? described.map(({ id, notification, vector, pollInterval }) => ({
            id,
            block: 0n,
            blockLength,
            notification: { type: notification, vector, pollInterval } as SourceLocation["notification"] & object,
          }))
        : sourcesOf(memory, address);
    if (table === undefined) this.#say("guest", undefined, "failed", "the guest's kernel has found no HEST", true);
    this.#device = new ErrorSourceDevice({
      memory,
      locate: !this.#handedOff
        ? () => ({ message: "the firmware has written no address back" })
        : hardwareErrors
          ? inHardwareErrors(memory, address, count, blockLength)
          : this.#policy.walk === "qemu"
            ? inHestAsQemu(memory, address, blockLength)
            : inHest(memory, address),
      policy: this.#policy.recording,
      report: ({ kind, text, block }) => {
        if (kind === "written" && block) this.#written = block;
        this.#say("monitor", kind === "written" ? "memory" : undefined, kind, text, kind === "refused" || kind === "dropped");
      },
    });
  }

  // ---- things happen ----

  async #happen(moment: Moment): Promise<void> {
    if (moment.sigbus) {
      const { code, inRam, physicalAddress, virtualAddress, addressLsb } = moment.sigbus;
      const address: ErrorAddress = { physical: big(physicalAddress), virtual: big(virtualAddress), lsb: addressLsb };
      await this.#handle({ kind: "sigbus", code, address, ...(inRam !== undefined && { inRam }) });
    } else if (moment.seaExit?.claimedByHost) {
      this.#skipped.push(`seaExit at ${moment.at} ms: the host's own firmware has it, so it never gets to a monitor`);
    } else if (moment.seaExit) {
      const { guestPhysicalAddress, guestVirtualAddress } = moment.seaExit;
      await this.#handle({ kind: "seaExit", address: { physical: big(guestPhysicalAddress), virtual: big(guestVirtualAddress) } });
    } else if (moment.record) await this.#userRecord(moment.record, moment.at);
    else if (moment.guestWrites?.address !== undefined) {
      const { address, bytes } = moment.guestWrites;
      this.#machine.memory.write(BigInt(address), hexToBytes(bytes)!);
      this.#say("guest", "memory", "guestWrites", `${bytes.length / 2} bytes at ${hexNumber(BigInt(address))}`);
    } else {
      const [name = "event"] = Object.keys(moment).filter((key) => key !== "at");
      this.#skipped.push(`${name} at ${moment.at} ms: a real guest does as it likes`);
    }
  }

  async #userRecord(event: RecordEvent, at: number): Promise<void> {
    const block = recordOf(event);
    if (!block) throw new UsageError(`event at ${at} ms: a record needs a block, sections or a memory error`);
    await this.#handle({ kind: "record", block, source: event.source, notification: event.notification }, event.times);
  }

  /** @param times how many of it come at once. */
  async #handle(error: HostError, times = 1): Promise<void> {
    const decision = decide(this.#policy, error, {
      ras: this.#scenario.machine?.ras !== false,
      handedOff: this.#handedOff,
      sources: this.#located.flatMap(({ id, notification }) =>
        notification && typeof notification.type === "string" ? [{ id, notification: notification.type as NotificationName }] : [],
      ),
      interruptsMasked: false,
      architecture: this.#architecture,
    });
    for (const message of decision.messages) this.#say("monitor", undefined, "message", message, true);
    for (const consequence of decision.consequences) this.#say("monitor", undefined, "consequence", consequence);
    if (decision.machineCheck)
      this.#skipped.push(
        `machine check for ${hexNumber(decision.machineCheck.address)}: its report comes from the processor's driver, of which nothing is predicted`,
      );
    if (decision.record) await this.#record(decision.record.source, decision.record.block, decision.notification, times);
    if (decision.end) {
      this.#ended = true;
      this.#say("monitor", undefined, decision.end, "the monitor would end the machine here", true);
    }
  }

  async #record(source: number, block: Uint8Array, notification: NotificationName | undefined, times: number): Promise<void> {
    await this.#pace(block);
    this.#before = this.#machine.output.length;
    const outcomes = Array.from({ length: times }, () => this.#device.record(source, block));
    if (outcomes[0] !== "written") {
      this.#records.push({ title: `source ${source}: not written`, source, block, lines: [], expectedToBeSeen: false });
      return;
    }
    await this.#follow(source, notification);
    const waiting = () => this.#device.state.get(source)?.queue ?? [];
    for (let followed = 1; waiting().length > 0 && this.#machine.running; followed++) {
      if (followed === MOST_FOLLOWED) {
        this.#skipped.push(`${waiting().length} more waiting records of source ${source}: ${followed} were followed`);
        return;
      }
      await this.#pace(waiting()[0]!.block);
      this.#before = this.#machine.output.length;
      if (this.#device.service().length === 0) return;
      await this.#follow(source, notification);
    }
  }

  /** Raise the notification of the record that was written last, and see what the guest does. */
  async #follow(source: number, notification: NotificationName | undefined): Promise<void> {
    const mark = this.#before;
    const block = this.#written;
    const written = Date.now();
    const place = this.#located.find(({ id }) => id === source);
    const type = notification ?? (place?.notification?.type as NotificationName | undefined) ?? "polled";
    const vector = place?.notification?.vector ?? 0;
    const raised = await notify(this.#machine, type, vector);
    this.#say("controller", raised === undefined ? undefined : "guest", "raised", raised ?? cannotRaise(type, this.#architecture)!, raised === undefined);
    const neverPolled = type === "polled" && (place?.notification?.pollInterval ?? 0) === 0;
    const seen = raised !== undefined && !neverPolled && this.#bound.has(source);
    const predicted = seen
      ? linuxReport(block, {
          version: this.#kernel.version,
          architecture: this.#architecture,
          sequence: this.#reports + 1,
          source,
          memoryDevices: QEMU_MEMORY_DEVICES,
          ...(place && { blockLength: place.blockLength }),
        })
      : [];
    const fatal = seen && isFatal(block);
    this.#fatal ||= fatal;
    const acknowledgedAfter = await this.#watch(source, written, seen, fatal, predicted.length, mark);
    const printed = plainLines(this.#machine.output.slice(mark)).filter(isReport);
    this.#reports += new Set(printed.flatMap((line) => /^\{([0-9]+)\}/.exec(line)?.[1] ?? [])).size;
    // What no driver reads does not count for the kernel's limits.
    if (seen) this.#writtenBefore.push({ at: Date.now(), corrected: isCorrected(block), bytes: String(block) });
    this.#records.push({
      title: `source ${source}, ${block.length} bytes`,
      source,
      block,
      lines: compareLines(predicted, printed),
      // A kernel that dies over a record acknowledges nothing.
      expectedToBeSeen: seen && !fatal,
      ...(acknowledgedAfter !== undefined && !fatal && { acknowledgedAfter }),
    });
  }

  /** Two reports of a class in five seconds are printed, and the same one not twice in ten: wait for the kernel's patience. */
  async #pace(block: Uint8Array): Promise<void> {
    const bytes = String(block);
    const ofClass = this.#writtenBefore.filter((before) => before.corrected === isCorrected(block));
    const same = this.#writtenBefore.findLast((before) => before.bytes === bytes);
    const until = Math.max(
      (ofClass.at(-RATE.reports)?.at ?? Number.NEGATIVE_INFINITY) + RATE.milliseconds,
      (same?.at ?? Number.NEGATIVE_INFINITY) + SAME_AGAIN,
    );
    if (until <= Date.now()) return;
    this.#options.progress?.("waiting until the kernel prints again");
    await sleep(until - Date.now());
  }

  async #watch(source: number, written: number, seen: boolean, fatal: boolean, lines: number, mark: number): Promise<number | undefined> {
    if (fatal) {
      await this.#machine.poll(() => (PANICKED.test(this.#machine.output.slice(mark)) ? true : undefined), PANIC);
      await Promise.race([this.#machine.ended, sleep(SETTLE)]);
      const panicked = PANICKED.test(this.#machine.output);
      this.#say("guest", undefined, panicked ? "panic" : "fault", panicked ? "the kernel panics, as it should" : "the kernel should have panicked", !panicked);
      return undefined;
    }
    const limit = written + (seen ? this.#patience.acknowledge : UNSEEN);
    let after: number | undefined;
    for (;;) {
      if (this.#device.isFree(source)) {
        after = Date.now() - written;
        break;
      }
      if (Date.now() >= limit || !this.#machine.running) break;
      await sleep(LOOK);
    }
    if (after !== undefined) this.#say("guest", "memory", "acknowledged", `source ${source} acknowledged after ${after} ms`);
    else
      this.#say(
        "guest",
        undefined,
        "withheld",
        `source ${source} is not acknowledged${seen ? ` within ${this.#patience.acknowledge / 1000} s` : ", as predicted"}`,
        seen,
      );
    await this.#machine.poll(() => (plainLines(this.#machine.output.slice(mark)).filter(isReport).length >= lines ? true : undefined), seen ? REPORT : 0);
    await sleep(SETTLE);
    return after;
  }
}

const severityOf = (block: Uint8Array) => (block.length >= ErrorStatusBlockHeader.size ? decode(ErrorStatusBlockHeader, block).errorSeverity : undefined);
const isFatal = (block: Uint8Array): boolean => severityOf(block) === "fatal";
const isCorrected = (block: Uint8Array): boolean => severityOf(block) === "corrected";
