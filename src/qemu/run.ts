/** A scenario on a real machine: the same file as for the model, real firmware, a real kernel, and both compared. */
import { setTimeout as sleep } from "node:timers/promises";
import type { NotificationName } from "../acpi/notification.ts";
import { ErrorStatusBlockHeader } from "../acpi/status-block.ts";
import { blockTotal } from "../guest/ghes.ts";
import { probeHest } from "../guest/hest-probe.ts";
import { PANIC_OVER_RECORD } from "../guest/kernel.ts";
import { type AftermathOptions, linuxAftermath } from "../guest/report/aftermath.ts";
import { linuxReport, QEMU_MEMORY_DEVICES } from "../guest/report/report.ts";
import { ErrorSourceDevice } from "../host/error-source.ts";
import { decide, type ErrorAddress, type HostError, type MonitorPolicy } from "../host/monitor.ts";
import type { Subject } from "../host/notification.ts";
import { concatBytes, decode, hexNumber, hexToBytes, UsageError } from "../layout/index.ts";
import { MemoryFault } from "../machine/memory.ts";
import { BOOT_ERRORS, bootErrorRegion, bootErrorTable } from "../scenario/boot-errors.ts";
import { missingRecords, storeBytes } from "../scenario/error-store.ts";
import { policyOf, sourcePart, sourcesFor } from "../scenario/machine.ts";
import { type Outside, readerOf } from "../scenario/outside.ts";
import { recordOf } from "../scenario/record.ts";
import type { Moment, Number64, RecordEvent, Scenario, StoreEvent } from "../scenario/schema.ts";
import { sourcesBehind } from "../scenario/start.ts";
import { type Lane, Timeline, type TimelineEntry } from "../scenario/timeline.ts";
import { compareBootErrors } from "./boot-errors.ts";
import { errorDeviceOf, eventDeviceTable } from "./event-device.ts";
import { realHandOff } from "./hand-off.ts";
import {
  type Comparison,
  compareLines,
  differ,
  isAftermath,
  isLastWord,
  isReport,
  isTableLine,
  type KernelName,
  kernelOf,
  memoryOf,
  plainLines,
} from "./kernel-log.ts";
import { ConnectionLost } from "./lines.ts";
import { GuestError, type RealMachine } from "./machine.ts";
import { eventName, notForReal, whyNot } from "./not-for-real.ts";
import { cannotRaise, EVENT_INTERRUPT, notify } from "./notify.ts";
import type { Platform } from "./platform.ts";
import { versionText } from "./qmp.ts";
import { guestTable, machineTables, PATIENCE, type Patience, type SessionGuest, startGuest, writtenAddress } from "./session.ts";
import { crash, isOurs, useStore } from "./shell.ts";
import { RealStore } from "./store.ts";
import { keepTables, keptTables, tableFile } from "./table-cache.ts";

export interface RealRunOptions extends Outside {
  readonly platform: Platform;
  readonly guest: SessionGuest;
  /** The machine's own tables, when they are known from an earlier run. */
  readonly base?: readonly Uint8Array[];
  /** Folder in which they are kept from run to run. */
  readonly cache?: string;
  readonly patience?: Patience;
  readonly progress?: (text: string) => void;
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
  /** What else was looked at, in order. */
  readonly checks: readonly Comparison[];
  /** What is left in the error record store. */
  readonly store?: Uint8Array;
  /** Other kernel lines since the guest was up. */
  readonly further: readonly string[];
  readonly outcome: "running" | "panicked" | "ended";
  readonly predictedOutcome: "running" | "panicked";
  /** Parts of the scenario a real machine cannot do. */
  readonly skipped: readonly string[];
  /** Events that were carried out, and all there are. */
  readonly done: number;
  readonly events: number;
  /** All the guest printed. */
  readonly console: string;
  /** Something is not as predicted. */
  readonly differs: boolean;
}

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
const LOOK = 20;
const NOTHING = new Uint8Array(0);
/** Milliseconds until a kernel that should die says so, and until its machine has ended then. */
const PANIC = 15_000;
const DEATH = 15_000;
const TABLE = "What the kernel says about the error source table";
const PANICKED = /Kernel panic - not syncing/;

const big = (value: Number64 | undefined): bigint | undefined => (value === undefined ? undefined : BigInt(value));

/** Run a scenario for real. @throws UsageError when the machine or the guest does not get up. */
export async function runForReal(scenario: Scenario, options: RealRunOptions): Promise<RealRunResult> {
  const { platform, guest, patience = PATIENCE, progress } = options;
  const policy = policyOf(scenario.monitor);
  const { machine: choice = {} } = scenario;
  if (choice.kind === "physical") throw new UsageError("the scenario is about a physical machine: QEMU is none");
  const sources = choice.ras === false ? [] : sourcesFor(choice, policy);
  for (const { id, notification } of sources) {
    const problem = cannotRaise(notification, platform.architecture);
    if (problem !== undefined && choice.sources === undefined)
      throw new UsageError(`source ${id} of the preset: ${problem}; name sources that ${platform.title}'s machine can have under machine.sources`);
  }
  const region = choice.bootErrors && bootErrorRegion(choice.bootErrors, readerOf(options));
  const bert = region && bootErrorTable(region);
  const stored = platform.architecture === "x86" ? storeBytes(choice.errorStore, options) : undefined;
  const store = stored && (await RealStore.open(stored));
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
    const files = realHandOff({
      machine: platform.machine(0n).name,
      base,
      sources: errorSources,
      handOff,
      extra: [{ bytes: eventDeviceTable(EVENT_INTERRUPT[platform.architecture], errorDeviceOf(base)) }, ...(bert ? [bert] : [])],
      ...(bert && { blobs: new Map([[BOOT_ERRORS, bert.blob]]) }),
    });
    const machine = await startGuest({ platform, guest, files, words, patience, ...(progress && { progress }) });
    try {
      return await new RealRun(scenario, policy, machine, options, store, region).go(sources.length > 0);
    } catch (error) {
      if (!(error instanceof ConnectionLost)) throw error;
      throw new GuestError([error.message, ...machine.lastLines()].join("\n"));
    } finally {
      await machine.stop();
    }
  } finally {
    await store?.release();
  }
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
  readonly #checks: Comparison[] = [];
  readonly #store: RealStore | undefined;
  readonly #region: Uint8Array | undefined;
  readonly #writtenBefore: Written[] = [];
  #device!: ErrorSourceDevice;
  /** What the drivers' copies hold, by source: a shorter block leaves the end of a longer one. */
  readonly #copies = new Map<number, Uint8Array>();
  #surroundings: Pick<AftermathOptions, "isMemory" | "hasFunction"> = {};
  #subjects: readonly Subject[] = [];
  #bound: ReadonlySet<number> = new Set();
  #handedOff = false;
  #reports = 0;
  /** The block as it was written last, and where the guest's output was before. */
  #written: Uint8Array = new Uint8Array(0);
  /** The same as the driver copies it: its lengths may lead behind it. */
  #copied: Uint8Array = new Uint8Array(0);
  #before = 0;
  /** What the guest should store of its messages; absent as long as it should live. */
  #lastWords: readonly string[] | undefined;
  /** Events that were carried out. */
  #done = 0;
  #ended = false;

  constructor(
    scenario: Scenario,
    policy: MonitorPolicy,
    machine: RealMachine,
    options: RealRunOptions,
    store: RealStore | undefined,
    region: Uint8Array | undefined,
  ) {
    this.#store = store;
    this.#region = region;
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

  async go(hasSources: boolean): Promise<RealRunResult> {
    const upTo = this.#machine.output.length;
    const boot = this.#compareBoot(hasSources);
    if (hasSources) await this.#handOff();
    await this.#lookAround();
    this.#skipped.push(...notForReal(this.#scenario, this.#options.platform));
    for (const moment of [...this.#scenario.events].sort((a, b) => a.at - b.at)) {
      if (this.#ended || !this.#machine.running) {
        this.#skipped.push(`${eventName(moment)}: the machine is gone`);
        continue;
      }
      const early = this.#start + moment.at - Date.now();
      if (early > 0) await sleep(early);
      if (await this.#happen(moment)) this.#done++;
    }
    if (this.#store) this.#compareLeft(this.#store);
    const console = this.#machine.output;
    const panicked = PANICKED.test(console);
    const outcome = panicked ? "panicked" : this.#ended || !this.#machine.running ? "ended" : "running";
    const predictedOutcome = this.#lastWords ? "panicked" : "running";
    return {
      name: this.#scenario.name,
      qemu: versionText(this.#machine.version),
      firmware: this.#options.platform.title,
      kernel: this.#kernel,
      timeline: this.#timeline.entries,
      boot,
      records: this.#records,
      checks: this.#checks,
      ...(this.#store && { store: this.#store.content }),
      further: plainLines(console.slice(upTo)).filter((line) => line.trim() !== "" && !isLastWord(line) && !isAftermath(line) && !isOurs(this.#machine, line)),
      outcome,
      predictedOutcome,
      skipped: this.#skipped,
      done: this.#done,
      events: this.#scenario.events.length,
      console,
      differs:
        [...boot, ...this.#checks].some(({ lines }) => differ(lines)) ||
        this.#records.some(({ lines, expectedToBeSeen, acknowledgedAfter }) => differ(lines) || expectedToBeSeen !== (acknowledgedAfter !== undefined)) ||
        (outcome !== predictedOutcome && !(outcome === "ended" && this.#ended)),
    };
  }

  // ---- the guest has started ----

  /** What of the machine decides what the kernel makes of records. */
  async #lookAround(): Promise<void> {
    const functions = await this.#machine.pciFunctions();
    const { regions } = this.#machine.memory;
    this.#surroundings = {
      isMemory: memoryOf(this.#machine.output) ?? ((address) => regions.some(({ start, length }) => address >= start && address < start + length)),
      hasFunction: (name) => functions.has(name),
    };
  }

  #compareBoot(hasSources: boolean): Comparison[] {
    const lines = plainLines(this.#machine.output);
    const out: Comparison[] = [];
    const hest = guestTable(this.#machine, "HEST");
    if (hest) {
      const probed = probeHest(hest, { architecture: this.#architecture, version: this.#kernel.version });
      this.#bound = new Set(probed.sources.filter(({ bound }) => bound).map(({ id }) => id));
      out.push({ title: TABLE, lines: compareLines(probed.messages, lines.filter(isTableLine)) });
    } else if (hasSources) out.push({ title: TABLE, lines: [{ kind: "missing", text: "ACPI: HEST" }] });
    if (this.#region) out.push(...compareBootErrors(this.#machine, this.#region, this.#kernel.version));
    if (this.#store) out.push(...this.#store.compareStart(this.#machine.output, this.#kernel.version, this.#options.guest.shell));
    return out;
  }

  async #handOff(): Promise<void> {
    const { memory } = this.#machine;
    const address = await writtenAddress(this.#machine);
    this.#handedOff = address !== 0n;
    if (!this.#handedOff) this.#say("firmware", "monitor", "failed", "the firmware has written no address back", true);
    else this.#say("firmware", "monitor", "handOff", `${hexNumber(address)} written back`);
    const found = this.#handedOff ? sourcesBehind(memory, address, this.#scenario.machine, this.#policy) : undefined;
    this.#subjects = found?.subjects ?? [];
    // The kernel's copy of the table and the one the address names agree: both were linked by the same firmware.
    const table = guestTable(this.#machine, "HEST");
    if (table === undefined) this.#say("guest", undefined, "failed", "the guest's kernel has found no HEST", true);
    this.#device = new ErrorSourceDevice({
      memory,
      locate: found?.locate ?? (() => ({ message: "the firmware has written no address back" })),
      policy: this.#policy.recording,
      report: ({ kind, text, source, block, address }) => {
        if (kind === "written" && block && address !== undefined) {
          this.#written = block;
          this.#copied = this.#asRead(block, address, this.#blockLength(source) ?? block.length);
        }
        this.#say("monitor", kind === "written" ? "memory" : undefined, kind, text, kind === "refused" || kind === "dropped");
      },
    });
  }

  #blockLength(source: number): number | undefined {
    return sourcesFor(this.#scenario.machine, this.#policy).find(({ id }) => id === source)?.blockLength;
  }
  /** As many bytes as a block says it has and its source has room for; its status the guest may have cleared already. */
  #asRead(block: Uint8Array, address: bigint, room: number): Uint8Array {
    const length = block.length < ErrorStatusBlockHeader.size ? 0 : Math.min(blockTotal(block), room);
    if (length <= block.length) return block;
    const bytes = inMemory(() => this.#machine.memory.read(address, length));
    bytes?.set(block);
    return bytes ?? block;
  }

  // ---- things happen ----

  /** @returns whether it was carried out, as far as it can be. */
  async #happen(moment: Moment): Promise<boolean> {
    const before = this.#skipped.length;
    const why = whyNot(moment);
    if (why !== undefined) this.#skipped.push(`${eventName(moment)}: ${why}`);
    else if (moment.sigbus) {
      const { code, inRam, physicalAddress, virtualAddress, addressLsb } = moment.sigbus;
      const address: ErrorAddress = { physical: big(physicalAddress), virtual: big(virtualAddress), lsb: addressLsb };
      await this.#handle({ kind: "sigbus", code, address, ...(inRam !== undefined && { inRam }) });
    } else if (moment.seaExit) {
      const { guestPhysicalAddress, guestVirtualAddress } = moment.seaExit;
      await this.#handle({ kind: "seaExit", address: { physical: big(guestPhysicalAddress), virtual: big(guestVirtualAddress) } });
    } else if (moment.record) await this.#userRecord(moment.record, moment.at);
    else if (moment.erst) await this.#tell(eventName(moment), () => this.#useStore(moment.erst!));
    else if (moment.crash) await this.#tell(eventName(moment), () => this.#crash());
    else if (moment.guestWrites?.address !== undefined) {
      const { address, bytes } = moment.guestWrites;
      const written = inMemory(() => {
        this.#machine.memory.write(BigInt(address), hexToBytes(bytes)!);
        return true;
      });
      if (written) this.#say("guest", "memory", "guestWrites", `${bytes.length / 2} bytes at ${hexNumber(BigInt(address))}`);
      else this.#skipped.push(`${eventName(moment)}: there is no RAM at ${hexNumber(BigInt(address))}, and registers are not written from outside`);
    }
    return this.#skipped.length === before;
  }

  /** Have our guest's shell do something. @param act says why it cannot. */
  async #tell(name: string, act: () => Promise<string | undefined>): Promise<void> {
    const why = this.#options.guest.shell ? await act() : "only the default guest takes commands";
    if (why !== undefined) this.#skipped.push(`${name}: ${why}`);
  }

  /** Somebody at the guest's console makes its kernel crash. */
  async #crash(): Promise<undefined> {
    const { check, lastWords } = await crash(this.#machine, (mark) => this.#panics(mark));
    this.#checks.push(check);
    this.#lastWords = lastWords;
  }

  async #useStore(event: StoreEvent): Promise<string | undefined> {
    const done = this.#store ? await useStore(this.#machine, this.#store, event) : "the machine has no error record store";
    if (typeof done === "string") return done;
    this.#checks.push(done);
    this.#say("guest", "controller", event.operation, `${done.title[0]!.toLowerCase()}${done.title.slice(1)}`);
    return undefined;
  }

  #compareLeft(store: RealStore): void {
    this.#checks.push(store.compareLeft(this.#lastWords));
    const missing = missingRecords(this.#scenario.machine?.errorStore, store.content);
    if (missing.length > 0) this.#checks.push({ title: "What should be there", lines: missing.map((text) => ({ kind: "missing", text })) });
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
      sources: this.#subjects.map(({ source, type }) => ({ id: source, notification: type })),
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
    const copied = this.#copied;
    const written = Date.now();
    const subject = this.#subjects.find((candidate) => candidate.source === source);
    const blockLength = this.#blockLength(source);
    const type = notification ?? subject?.type ?? "polled";
    const vector = subject?.vector ?? 0;
    const raised = await notify(this.#machine, type, vector);
    this.#say("controller", raised === undefined ? undefined : "guest", "raised", raised ?? cannotRaise(type, this.#architecture)!, raised === undefined);
    const neverPolled = type === "polled" && (subject?.pollInterval ?? 0) === 0;
    const seen = raised !== undefined && !neverPolled && this.#bound.has(source);
    const predicted = seen
      ? linuxReport(copied, {
          version: this.#kernel.version,
          architecture: this.#architecture,
          sequence: this.#reports + 1,
          source,
          memoryDevices: QEMU_MEMORY_DEVICES,
          behind: this.#copies.get(source)?.subarray(copied.length) ?? NOTHING,
          ...(blockLength !== undefined && { blockLength }),
        })
      : [];
    const after = seen
      ? linuxAftermath(copied, { version: this.#kernel.version, architecture: this.#architecture, notification: type, source, ...this.#surroundings })
      : [];
    const fatal = seen && isFatal(block);
    if (fatal) {
      predicted.push(PANIC_OVER_RECORD);
      this.#lastWords = predicted.map((line) => `<0>${line}`);
    }
    const acknowledgedAfter = await this.#watch(source, written, seen, fatal, predicted.length + after.length, mark);
    const said = plainLines(this.#machine.output.slice(mark));
    const printed = said.filter(isLastWord);
    this.#reports += new Set(printed.flatMap((line) => /^\{([0-9]+)\}/.exec(line)?.[1] ?? [])).size;
    if (seen) this.#copies.set(source, concatBytes([copied, this.#copies.get(source)?.subarray(copied.length) ?? NOTHING]));
    // What no driver reads does not count for the kernel's limits.
    if (seen) this.#writtenBefore.push({ at: Date.now(), corrected: isCorrected(block), bytes: String(block) });
    this.#records.push({
      title: `source ${source}, ${block.length} bytes`,
      source,
      block,
      // What it made of the record is said when it is done, in any order.
      lines: [...compareLines(predicted, printed), ...compareLines([...after].sort(), said.filter(isAftermath).sort())],
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

  /** Wait for the kernel's death. */
  async #panics(mark: number): Promise<void> {
    await this.#machine.poll(() => (PANICKED.test(this.#machine.output.slice(mark)) ? true : undefined), PANIC);
    const panicked = PANICKED.test(this.#machine.output);
    // It stores its messages, then the machine ends.
    await Promise.race([this.#machine.ended, sleep(panicked ? DEATH : SETTLE)]);
    this.#say("guest", undefined, panicked ? "panic" : "fault", panicked ? "the kernel panics, as it should" : "the kernel should have panicked", !panicked);
  }

  async #watch(source: number, written: number, seen: boolean, fatal: boolean, lines: number, mark: number): Promise<number | undefined> {
    if (fatal) {
      await this.#panics(mark);
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
    await this.#machine.poll(
      () => (plainLines(this.#machine.output.slice(mark)).filter((line) => isReport(line) || isAftermath(line)).length >= lines ? true : undefined),
      seen ? REPORT : 0,
    );
    await sleep(SETTLE);
    return after;
  }
}

/** The answer, or nothing where there is no memory. */
function inMemory<T>(access: () => T): T | undefined {
  try {
    return access();
  } catch (error) {
    if (error instanceof MemoryFault) return undefined;
    throw error;
  }
}
const severityOf = (block: Uint8Array) => (block.length >= ErrorStatusBlockHeader.size ? decode(ErrorStatusBlockHeader, block).errorSeverity : undefined);
const isFatal = (block: Uint8Array): boolean => severityOf(block) === "fatal";
const isCorrected = (block: Uint8Array): boolean => severityOf(block) === "corrected";
