/** Follows records into a real guest: one is written, its notification raised, the guest watched, and its words compared. */
import { setTimeout as sleep } from "node:timers/promises";
import type { NotificationName } from "../acpi/notification.ts";
import { type BLOCK_SEVERITY, ErrorStatusBlockHeader } from "../acpi/status-block.ts";
import { blockTotal, headerComplaint } from "../guest/ghes.ts";
import { areHeardAlike, PANIC_OVER_RECORD } from "../guest/kernel.ts";
import { RECOVERY_OOPS } from "../guest/report/aer.ts";
import { type AftermathOptions, linuxAftermath } from "../guest/report/aftermath.ts";
import { linuxReport, QEMU_MEMORY_DEVICES, verdictOn } from "../guest/report/report.ts";
import { ErrorSourceDevice } from "../host/error-source.ts";
import type { MonitorPolicy } from "../host/monitor.ts";
import type { Subject } from "../host/notification.ts";
import { concatBytes, decode, hexNumber } from "../layout/index.ts";
import { whereMemory } from "../machine/memory.ts";
import { sourcesFor } from "../scenario/machine.ts";
import type { Scenario } from "../scenario/schema.ts";
import { sourcesBehind } from "../scenario/start.ts";
import type { Lane } from "../scenario/timeline.ts";
import {
  type Comparison,
  compareLines,
  compareUnordered,
  isAftermath,
  isLastWord,
  isLate,
  isReport,
  type KernelName,
  likely,
  memoryOf,
  plainLines,
  shown,
} from "./kernel-log.ts";
import type { Death } from "./last-words.ts";
import type { RealMachine } from "./machine.ts";
import { LONGEST_POLL } from "./not-for-real.ts";
import { notify } from "./notify.ts";
import { machineChecksOf } from "./processor.ts";
import { guestTable, type Patience, writtenAddress } from "./session.ts";

/** What became of a record. */
export interface RealRecord extends Comparison {
  readonly source: number;
  readonly block: Uint8Array;
  /** Milliseconds until the guest had acknowledged; absent when it never did. */
  readonly acknowledgedAfter?: number;
  /** Whether it should have. */
  readonly expectedToBeSeen: boolean;
}

/** Notes what happens. @param bad whether something was lost, refused or went wrong. */
export type Say = (from: Lane, to: Lane | undefined, what: string, text: string, bad?: boolean) => void;

export interface FollowerOptions {
  readonly scenario: Scenario;
  readonly policy: MonitorPolicy;
  readonly machine: RealMachine;
  readonly kernel: KernelName;
  /** Whether the machine should have error sources. */
  readonly hasSources: boolean;
  /** Sources a driver of the guest has taken. */
  readonly bound: ReadonlySet<number>;
  readonly patience: Patience;
  readonly say: Say;
  readonly progress?: (text: string) => void;
}

export interface Followed {
  readonly records: readonly RealRecord[];
  /** Records that still waited when enough were followed. */
  readonly left: number;
  /** What the guest should have stored its messages over. */
  readonly deaths: readonly Death[];
}

/** The kernel prints two reports of a class in so many milliseconds, and drops what it has seen within the other. */
const RATE = { reports: 2, milliseconds: 5_500 } as const;
const SAME_AGAIN = 10_800;
/** Milliseconds within which a report is printed after the acknowledgement, and what may follow it. */
const REPORT = 15_000;
const SETTLE = 300;
/** Records of one burst that are followed. */
export const MOST_FOLLOWED = 5;
/** Milliseconds a record that no driver looks for is watched. */
const UNSEEN = 1_500;
const LOOK = 20;
const NOTHING = new Uint8Array(0);
/** Milliseconds until a kernel that should die says so, and until its machine has ended then. */
const PANIC = 15_000;
const DEATH = 15_000;
export const PANICKED = /Kernel panic - not syncing/;

/** Wait for the kernel's death. @param mark where in its output to begin. @param later milliseconds until it can know. */
export async function watchDeath(machine: RealMachine, mark: number, say: Say, later = 0): Promise<void> {
  await machine.poll(() => (PANICKED.test(machine.output.slice(mark)) ? true : undefined), PANIC + later);
  const panicked = PANICKED.test(machine.output);
  // It stores its messages, then the machine ends.
  await Promise.race([machine.ended, sleep(panicked ? DEATH : SETTLE)]);
  say("guest", undefined, panicked ? "panic" : "fault", panicked ? "the kernel panics, as it should" : "the kernel should have panicked", !panicked);
}

/** A record that was written: the block, and the same as the driver copies it, since its lengths may lead behind it. */
interface Written {
  readonly block: Uint8Array;
  readonly copied: Uint8Array;
}
/** A record whose fate is awaited. */
interface Watched {
  readonly source: number;
  /** When it was written. */
  readonly written: number;
  /** Whether the guest should acknowledge it, or die over it. */
  readonly answered: boolean;
  readonly fatal: boolean;
  /** Milliseconds until a timer looks. */
  readonly interval: number;
  /** The kernel's lines, and where in its output they should be. */
  readonly expected: readonly string[];
  readonly mark: number;
}
/** What of the machine decides what the kernel makes of records. */
type Surroundings = Pick<AftermathOptions, "isMemory" | "functionOf" | "machineChecks">;

/** A record the kernel has seen. */
interface Seen {
  readonly at: number;
  /** Its class: milder than recoverable. */
  readonly mild: boolean;
  readonly bytes: string;
}

export class RecordFollower {
  readonly #options: FollowerOptions;
  readonly #machine: RealMachine;
  readonly #say: Say;
  readonly #device: ErrorSourceDevice;
  readonly #surroundings: Surroundings;
  /** What the drivers' copies hold, by source: a shorter block leaves the end of a longer one. */
  readonly #copies = new Map<number, Uint8Array>();
  readonly #seenBefore: Seen[] = [];
  /** What can tell the guest of a record; none when no address came back. */
  readonly subjects: readonly Subject[];
  readonly handedOff: boolean;
  /** Reports the kernel has printed. */
  #reports = 0;
  /** Recovery of a PCI function has killed one of the kernel's workers. */
  #recoveryDead = false;
  #written: Written = { block: NOTHING, copied: NOTHING };

  private constructor(options: FollowerOptions, surroundings: Surroundings, address: bigint | undefined) {
    const { scenario, policy, machine, say } = options;
    this.#options = options;
    this.#machine = machine;
    this.#say = say;
    this.#surroundings = surroundings;
    this.handedOff = address !== undefined;
    const found = address === undefined ? undefined : sourcesBehind(machine.memory, address, scenario.machine, policy);
    this.subjects = found?.subjects ?? [];
    this.#device = new ErrorSourceDevice({
      memory: machine.memory,
      locate: found?.locate ?? (() => ({ message: "the firmware has written no address back" })),
      policy: policy.recording,
      report: ({ kind, text, source, block, address: at }) => {
        if (kind === "written" && block && at !== undefined) this.#written = { block, copied: this.#asRead(source, block, at) };
        say("monitor", kind === "written" ? "memory" : undefined, kind, text, kind === "refused" || kind === "dropped");
      },
    });
  }

  /** Take the address the firmware wrote back, and look at what of the machine decides what the kernel makes of records. */
  static async meet(options: FollowerOptions): Promise<RecordFollower> {
    const { machine, hasSources, say } = options;
    let address: bigint | undefined;
    if (hasSources) {
      const written = await writtenAddress(machine);
      if (written === 0n) say("firmware", "monitor", "failed", "the firmware has written no address back", true);
      else {
        address = written;
        say("firmware", "monitor", "handOff", `${hexNumber(written)} written back`);
      }
      // The kernel's copy of the table and the one the address names agree: both were linked by the same firmware.
      if (guestTable(machine, "HEST") === undefined) say("guest", undefined, "failed", "the guest's kernel has found no HEST", true);
    }
    const functions = await machine.pciFunctions();
    const { regions } = machine.memory;
    const machineChecks = await machineChecksOf(machine);
    const surroundings: Surroundings = {
      isMemory: memoryOf(machine.output) ?? ((at: bigint) => regions.some(({ start, length }) => at >= start && at < start + length)),
      functionOf: (name) => functions.get(name),
      ...(machineChecks && { machineChecks }),
    };
    return new RecordFollower(options, surroundings, address);
  }

  /** Write a record and follow it. @param times how many of it come at once. */
  async follow(source: number, block: Uint8Array, notification: NotificationName | undefined, times = 1): Promise<Followed> {
    const records: RealRecord[] = [];
    const deaths: Death[] = [];
    await this.#pace(block);
    let mark = this.#machine.output.length;
    const outcomes = Array.from({ length: times }, () => this.#device.record(source, block));
    if (outcomes[0] !== "written")
      return { records: [{ title: `source ${source}: not written`, source, block, lines: [], expectedToBeSeen: false }], left: 0, deaths };
    const waiting = () => this.#device.state.get(source)?.queue ?? [];
    for (;;) {
      const { record, death } = await this.#followWritten(source, notification, mark);
      records.push(record);
      if (death) deaths.push(death);
      const next = waiting()[0];
      if (next === undefined || !this.#machine.running || records.length === MOST_FOLLOWED) break;
      await this.#pace(next.block);
      mark = this.#machine.output.length;
      if (this.#device.service().length === 0) break;
    }
    const left = records.length === MOST_FOLLOWED && this.#machine.running ? waiting().length : 0;
    return { records, left, deaths };
  }

  /** Raise the notification of the record that was written last, and see what the guest does. */
  async #followWritten(
    source: number,
    notification: NotificationName | undefined,
    mark: number,
  ): Promise<{ readonly record: RealRecord; readonly death?: Death }> {
    const { kernel, bound } = this.#options;
    const { architecture } = this.#machine.platform;
    const { block, copied } = this.#written;
    const written = Date.now();
    const free = this.#device.isFree(source) === true;
    const subject = this.subjects.find((candidate) => candidate.source === source);
    const blockLength = this.#blockLength(source);
    const own = subject?.type ?? "polled";
    const type = notification ?? own;
    const interval = own === "polled" ? (subject?.pollInterval ?? 0) : 0;
    const vector = subject?.vector ?? 0;
    const raised = await notify(this.#machine, type, vector);
    this.#say("controller", raised.done ? "guest" : undefined, "raised", raised.words, !raised.done);
    const told = own === "polled" ? interval > 0 && interval <= LONGEST_POLL : raised.done && areHeardAlike(type, own);
    const seen = told && bound.has(source);
    // Nobody answers to what is empty; as long as it is, a source of version 1 is free.
    const verdict = verdictOn(copied, blockLength);
    const answered = verdict === "empty" ? free : seen;
    const report = seen
      ? linuxReport(copied, {
          version: kernel.version,
          architecture,
          sequence: this.#reports + 1,
          source,
          memoryDevices: QEMU_MEMORY_DEVICES,
          open: true,
          behind: this.#copies.get(source)?.subarray(copied.length) ?? NOTHING,
          ...(blockLength !== undefined && { blockLength }),
        })
      : [];
    const predicted = shown(report);
    const recoveryDead = this.#recoveryDead;
    const after = seen ? linuxAftermath(copied, { version: kernel.version, architecture, notification: own, source, recoveryDead, ...this.#surroundings }) : [];
    const oops = after.includes(RECOVERY_OOPS[architecture]);
    if (oops) this.#recoveryDead = true;
    const fatal = seen && verdict === "record" && isFatal(copied);
    if (fatal) predicted.push(PANIC_OVER_RECORD);
    const acknowledgedAfter = await this.#watch({ source, written, answered, fatal, interval, expected: [...predicted, ...after], mark });
    const said = plainLines(this.#machine.output.slice(mark));
    const printed = said.filter(likely(isLastWord, predicted));
    this.#reports += new Set(printed.flatMap((line) => /^\{([0-9]+)\}/.exec(line)?.[1] ?? [])).size;
    if (seen) {
      // Of what its header spoils no more is copied.
      const bytes =
        headerComplaint(copied, blockLength ?? copied.length) === undefined && verdict !== "empty" ? copied : copied.subarray(0, ErrorStatusBlockHeader.size);
      this.#copies.set(source, concatBytes([bytes, this.#copies.get(source)?.subarray(bytes.length) ?? NOTHING]));
    }
    // What no driver reads does not count for the kernel's limits.
    if (seen) this.#seenBefore.push({ at: Date.now(), mild: isMild(block), bytes: String(copied) });
    const record: RealRecord = {
      title: `source ${source}, ${block.length} bytes${this.#recoveryDead ? "; what the kernel's workers say is left out, since one dies" : ""}`,
      source,
      block,
      // What it made of the record is said when it is done, in any order.
      lines: [
        ...compareLines(predicted, printed),
        ...compareUnordered(
          after,
          said.filter((line) => isAftermath(line) && !(this.#recoveryDead && isLate(line))),
        ),
      ],
      // A kernel that dies over a record acknowledges nothing.
      expectedToBeSeen: answered && !fatal,
      ...(acknowledgedAfter !== undefined && !fatal && { acknowledgedAfter }),
    };
    if (fatal) return { record, death: { why: "Panic", words: predicted.map((line) => `<0>${line}`) } };
    return { record, ...(oops && { death: { why: "Oops", words: [] } }) };
  }

  /** Two reports of a class in five seconds are printed, and the same one not twice in ten: wait for the kernel's patience. */
  async #pace(block: Uint8Array): Promise<void> {
    // What a block leaves out was in another: nobody knows beforehand whether it is the same then.
    const whole = block.length >= ErrorStatusBlockHeader.size && blockTotal(block) <= block.length;
    const own = String(whole ? block.subarray(0, blockTotal(block)) : block);
    const ofClass = this.#seenBefore.filter((before) => before.mild === isMild(block));
    const same = this.#seenBefore.findLast(({ bytes }) => !whole || bytes === own);
    const until = Math.max(
      (ofClass.at(-RATE.reports)?.at ?? Number.NEGATIVE_INFINITY) + RATE.milliseconds,
      (same?.at ?? Number.NEGATIVE_INFINITY) + SAME_AGAIN,
    );
    if (until <= Date.now()) return;
    this.#options.progress?.("waiting until the kernel prints again");
    await sleep(until - Date.now());
  }

  /** @returns milliseconds until it was acknowledged. */
  async #watch({ source, written, answered, fatal, interval, expected, mark }: Watched): Promise<number | undefined> {
    if (fatal) {
      await watchDeath(this.#machine, mark, this.#say, interval);
      return undefined;
    }
    const patience = this.#options.patience.acknowledge + interval;
    const limit = written + (answered ? patience : UNSEEN);
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
        `source ${source} is not acknowledged${answered ? ` within ${patience / 1000} s` : ", as predicted"}`,
        answered,
      );
    const isSaid = likely((line) => isReport(line) || isAftermath(line), expected);
    await this.#machine.poll(
      () => (plainLines(this.#machine.output.slice(mark)).filter(isSaid).length >= expected.length ? true : undefined),
      answered ? REPORT : 0,
    );
    await sleep(SETTLE);
    return after;
  }

  #blockLength(source: number): number | undefined {
    return sourcesFor(this.#options.scenario.machine, this.#options.policy).find(({ id }) => id === source)?.blockLength;
  }
  /** As many bytes as a block says it has and its source has room for; its status the guest may have cleared already. */
  #asRead(source: number, block: Uint8Array, address: bigint): Uint8Array {
    const { size } = ErrorStatusBlockHeader;
    // What is shorter than a header is read with what lies behind it.
    const header = block.length < size ? this.#overlaid(block, address, size) : block;
    const total = blockTotal(header);
    if (total < size) return header;
    const length = Math.min(total, this.#blockLength(source) ?? block.length);
    if (length > header.length) return this.#overlaid(block, address, length);
    // An end that wraps around may lie before that of the data: the rest is what the driver's copy held before.
    const end = Math.min(header.length, size + decode(ErrorStatusBlockHeader, header).dataLength);
    const rest = this.#copies.get(source)?.subarray(length, end) ?? NOTHING;
    return concatBytes([header.subarray(0, length), rest, new Uint8Array(Math.max(0, end - length - rest.length))]);
  }
  #overlaid(block: Uint8Array, address: bigint, length: number): Uint8Array {
    const bytes = whereMemory(() => this.#machine.memory.read(address, length)) ?? new Uint8Array(length);
    bytes.set(block);
    return bytes;
  }
}

const severityOf = (block: Uint8Array) => (block.length >= ErrorStatusBlockHeader.size ? decode(ErrorStatusBlockHeader, block).errorSeverity : undefined);
const isMild = (block: Uint8Array): boolean => MILD.has(severityOf(block));
const MILD: ReadonlySet<unknown> = new Set<keyof typeof BLOCK_SEVERITY>(["corrected", "none"]);
/** A severity without a name is as bad as the worst. */
const isFatal = (block: Uint8Array): boolean => !isMild(block) && severityOf(block) !== "recoverable";
