/** A scenario on a real machine: the same file as for the model, real firmware, a real kernel, and both compared. */

import { setTimeout as sleep } from "node:timers/promises";
import type { NotificationName } from "../acpi/notification.ts";
import type { InjectedError } from "../host/einj-device.ts";
import { decide, type ErrorAddress, type HostError, type MonitorPolicy } from "../host/monitor.ts";
import { hexNumber, hexToBytes } from "../layout/index.ts";
import { whereMemory } from "../machine/memory.ts";
import { missingRecords } from "../scenario/error-store.ts";
import { type InjectionEvent, injectedError, triggerWords } from "../scenario/injection.ts";
import { policyOf } from "../scenario/machine.ts";
import { checkRecords, recordOf } from "../scenario/record.ts";
import type { Moment, Number64, RecordEvent, Scenario, StoreEvent } from "../scenario/schema.ts";
import { Timeline, type TimelineEntry } from "../scenario/timeline.ts";
import { MOST_FOLLOWED, PANICKED, type RealRecord, RecordFollower, type Say, watchDeath } from "./follower.ts";
import { inject } from "./injection.ts";
import { type Comparison, differ, isAftermath, isLastWord, isTrouble, type KernelName, plainLines } from "./kernel-log.ts";
import type { Death } from "./last-words.ts";
import { ConnectionLost } from "./lines.ts";
import { GuestError, type RealMachine } from "./machine.ts";
import { type MachineCheck, MachineChecks } from "./machine-checks.ts";
import { eventName, LONGEST_WAIT, notForReal, whyNot } from "./not-for-real.ts";
import { versionText } from "./qmp.ts";
import { PATIENCE } from "./session.ts";
import { crash, isOurs, useStore } from "./shell.ts";
import { compareStart, type StartedMachine, type StartOptions, startMachine } from "./start.ts";
import type { RealStore } from "./store.ts";

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
  readonly predictedOutcome: RealRunResult["outcome"];
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

const big = (value: Number64 | undefined): bigint | undefined => (value === undefined ? undefined : BigInt(value));

/** Run a scenario for real. @throws UsageError when the machine or the guest does not get up. */
export async function runForReal(scenario: Scenario, options: StartOptions): Promise<RealRunResult> {
  checkRecords(scenario);
  const policy = policyOf(scenario.monitor, undefined, scenario.machine?.architecture);
  const started = await startMachine(scenario, policy, options);
  try {
    return await new RealRun(scenario, policy, started, options).go();
  } catch (error) {
    if (!(error instanceof ConnectionLost)) throw error;
    throw new GuestError([error.message, ...started.machine.lastLines()].join("\n"), started.machine.output);
  } finally {
    await started.release();
  }
}

class RealRun {
  readonly #scenario: Scenario;
  readonly #policy: MonitorPolicy;
  readonly #started: StartedMachine;
  readonly #machine: RealMachine;
  readonly #options: StartOptions;
  readonly #timeline: Timeline;
  readonly #start = Date.now();
  readonly #records: RealRecord[] = [];
  readonly #skipped: string[] = [];
  readonly #checks: Comparison[] = [];
  #follower!: RecordFollower;
  #machineChecks: MachineChecks | undefined;
  /** What the guest should have stored its messages over. */
  readonly #deaths: Death[] = [];
  /** Events that were carried out. */
  #done = 0;
  #ended = false;

  constructor(scenario: Scenario, policy: MonitorPolicy, started: StartedMachine, options: StartOptions) {
    this.#scenario = scenario;
    this.#policy = policy;
    this.#started = started;
    this.#machine = started.machine;
    this.#options = options;
    this.#timeline = new Timeline(() => Date.now() - this.#start);
  }

  readonly #say: Say = (from, to, what, text, bad = false) => this.#timeline.add(from, to, what, text, bad ? { bad: true } : {});

  async go(): Promise<RealRunResult> {
    const { kernel, hasSources, store } = this.#started;
    const { platform, guest, patience = PATIENCE, progress } = this.#options;
    const upTo = this.#machine.output.length;
    const { comparisons: boot, bound } = compareStart(this.#started, guest);
    this.#follower = await RecordFollower.meet({
      scenario: this.#scenario,
      policy: this.#policy,
      machine: this.#machine,
      kernel,
      hasSources,
      bound,
      patience,
      say: this.#say,
      ...(progress && { progress }),
    });
    this.#skipped.push(...notForReal(this.#scenario, platform.title));
    for (const moment of [...this.#scenario.events].sort((a, b) => a.at - b.at)) {
      if (this.#ended || !this.#machine.running) {
        this.#skipped.push(`${eventName(moment)}: the machine is gone`);
        continue;
      }
      const early = this.#start + moment.at - Date.now();
      if (early > LONGEST_WAIT) {
        this.#skipped.push(`${eventName(moment)}: that is too late to wait for`);
        continue;
      }
      if (early > 0) await sleep(early);
      await this.#takeInjected();
      if (await this.#happen(moment)) this.#done++;
    }
    await this.#takeInjected();
    if (store) this.#compareLeft(store);
    const console = this.#machine.output;
    const panicked = PANICKED.test(console);
    const outcome = panicked ? "panicked" : this.#ended || !this.#machine.running ? "ended" : "running";
    const predictedOutcome = this.#deaths.some(({ why }) => why === "Panic") ? "panicked" : this.#ended ? "ended" : "running";
    // A guest that panics or resets ends its machine, and QEMU with it, in peace.
    const { ending } = this.#machine;
    if (outcome === "ended" && ending !== undefined) this.#say("monitor", undefined, "ended", `QEMU has ended: ${ending}`, true);
    this.#compareTrouble(plainLines(console.slice(upTo)).filter(isTrouble));
    return {
      name: this.#scenario.name,
      qemu: versionText(this.#machine.version),
      firmware: platform.title,
      kernel,
      timeline: this.#timeline.entries,
      boot,
      records: this.#records,
      checks: this.#checks,
      ...(store && { store: store.content }),
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
        outcome !== predictedOutcome,
    };
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
    } else if (moment.record) await this.#userRecord(moment.record);
    else if (moment.erst) await this.#tell(eventName(moment), () => this.#useStore(moment.erst!));
    else if (moment.inject) await this.#tell(eventName(moment), () => this.#inject(moment.inject!));
    else if (moment.crash) await this.#tell(eventName(moment), () => this.#crash());
    else if (moment.guestWrites?.address !== undefined) {
      const { address, bytes } = moment.guestWrites;
      const written = whereMemory(() => {
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
    const { check, lastWords } = await crash(this.#machine, (mark) => watchDeath(this.#machine, mark, this.#say));
    this.#checks.push(check);
    this.#deaths.push({ why: "Panic", words: lastWords });
  }

  async #useStore(event: StoreEvent): Promise<string | undefined> {
    const { store } = this.#started;
    const done = store ? await useStore(this.#machine, store, event) : "the machine has no error record store";
    if (typeof done === "string") return done;
    this.#checks.push(done);
    this.#say("guest", "controller", event.operation, `${done.title[0]!.toLowerCase()}${done.title.slice(1)}`);
    return undefined;
  }

  /** Somebody at the guest's console injects an error; what becomes of it comes back as a record. */
  async #inject(event: InjectionEvent): Promise<string | undefined> {
    const { served, kernel } = this.#started;
    if (!this.#scenario.machine?.injection || !served) return "the machine has no EINJ (machine.injection)";
    const { check, injected } = await inject(this.#machine, served, event, kernel.version, this.#say);
    this.#checks.push(check);
    await this.#takeInjected(injected);
    return undefined;
  }
  /** Errors the guest has injected lead to records; a guest that is not ours may do so by itself. */
  async #takeInjected(injected: readonly InjectedError[] = this.#started.served?.takeInjected() ?? []): Promise<void> {
    for (const error of injected) {
      this.#say("controller", "monitor", "injected", triggerWords(error));
      await this.#handle(injectedError(error, this.#policy));
    }
  }

  /** A kernel in trouble says so at any time; what was looked at beside a record is not said twice. */
  #compareTrouble(said: readonly string[]): void {
    const known = new Set([...this.#records, ...this.#checks].flatMap(({ lines }) => lines.map(({ text }) => text)));
    const rest = said.filter((line) => !known.has(line));
    if (rest.length > 0) this.#checks.push({ title: "What the kernel should not say", lines: rest.map((text) => ({ kind: "unexpected", text })) });
  }

  #compareLeft(store: RealStore): void {
    this.#checks.push(store.compareLeft(this.#deaths, this.#machine.output));
    const missing = missingRecords(this.#scenario.machine?.errorStore, store.content);
    if (missing.length > 0) this.#checks.push({ title: "What should be there", lines: missing.map((text) => ({ kind: "missing", text })) });
  }

  async #userRecord(event: RecordEvent): Promise<void> {
    const block = recordOf(event)!;
    await this.#handle({ kind: "record", block, source: event.source, notification: event.notification }, event.times);
  }

  /** @param times how many of it come at once. */
  async #handle(error: HostError, times = 1): Promise<void> {
    const decision = decide(this.#policy, error, {
      ras: this.#scenario.machine?.ras !== false,
      handedOff: this.#follower.handedOff,
      sources: this.#follower.subjects.map(({ source, type }) => ({ id: source, notification: type })),
      interruptsMasked: false,
      architecture: this.#options.platform.architecture,
    });
    for (const message of decision.messages) this.#say("monitor", undefined, "message", message, true);
    for (const consequence of decision.consequences) this.#say("monitor", undefined, "consequence", consequence);
    if (decision.machineCheck) await this.#machineCheck(decision.machineCheck);
    if (decision.record) await this.#record(decision.record.source, decision.record.block, decision.notification, times);
    if (decision.end) {
      this.#ended = true;
      this.#say("monitor", undefined, decision.end, "the monitor would end the machine here", true);
    }
  }

  async #machineCheck(machineCheck: MachineCheck): Promise<void> {
    this.#machineChecks ??= new MachineChecks(this.#machine, this.#options.guest.shell, this.#say);
    const given = await this.#machineChecks.give(machineCheck);
    if (typeof given === "string") {
      this.#skipped.push(`machine check for ${hexNumber(machineCheck.address)}: ${given}`);
      return;
    }
    this.#checks.push(given.check);
    if (given.ended) this.#ended = true;
    if (given.death) this.#deaths.push(given.death);
  }

  async #record(source: number, block: Uint8Array, notification: NotificationName | undefined, times: number): Promise<void> {
    const { records, left, deaths } = await this.#follower.follow(source, block, notification, times);
    this.#records.push(...records);
    this.#deaths.push(...deaths);
    if (left > 0) this.#skipped.push(`${left} more waiting records of source ${source}: ${MOST_FOLLOWED} were followed`);
  }
}
