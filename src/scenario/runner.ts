/** Puts firmware, guest and host on one machine, lets the events of a scenario happen, and keeps the timeline. */
import type { NotificationName } from "../acpi/notification.ts";
import { type ErrorStatusBlock, parseErrorStatusBlock } from "../acpi/status-block.ts";
import type { Injection } from "../arm64/exception-entry.ts";
import { sectionTypes } from "../cper/registry.ts";
import { boot, FIRMWARES } from "../firmware/boot.ts";
import type { Blob } from "../firmware/frame.ts";
import { type GuestEvent, GuestKernel, type GuestStep, type Handling } from "../guest/kernel.ts";
import type { InjectedError } from "../host/einj-device.ts";
import { type Account, ErrorSourceDevice, type Locate, type SourceEvent } from "../host/error-source.ts";
import { ERROR_NOTIFICATION, GENERIC_EVENT_DEVICE } from "../host/event-device.ts";
import { inHardwareErrors, inHest, inHestAsQemu, sourcesOf } from "../host/locate.ts";
import { finishMachineCheck, injectMachineCheck } from "../host/machine-check.ts";
import { memoryRecord } from "../host/memory-record.ts";
import { type Decision, decide, type HostError, type MonitorPolicy } from "../host/monitor.ts";
import { NEED, type Need, NOTIFICATION_KIND, NotificationController, type Signal, type Subject } from "../host/notification.ts";
import { hexNumber, hexToBytes, UsageError } from "../layout/index.ts";
import { FILE } from "../loader/fw-cfg.ts";
import type { FwCfgDevice } from "../machine/fw-cfg-device.ts";
import { q35 } from "../machine/machines.ts";
import { type GuestMemory, SparseMemory } from "../machine/memory.ts";
import { PlatformDevices } from "./devices.ts";
import { machineFiles, policyOf, sourcesFor } from "./machine.ts";
import { addressWords, injectionData, injectionWords, kvmMachine, Processor } from "./processor.ts";
import { recordOf } from "./record.ts";
import type { GuestChoice, Moment, Number64, RecordEvent, Scenario } from "./schema.ts";
import { type Lane, Timeline, type TimelineEntry } from "./timeline.ts";

export { policyOf };

export interface RunResult {
  readonly name: string;
  readonly timeline: readonly TimelineEntry[];
  /** Records as the guest read them, in order. */
  readonly records: readonly { readonly source: number; readonly bytes: Uint8Array; readonly block: ErrorStatusBlock }[];
  /** What became of every record handed in, by source. */
  readonly accounts: Readonly<Record<number, Readonly<Account>>>;
  /** Sources whose last record still lies unread. */
  readonly unread: readonly number[];
  readonly outcome: "running" | "panicked" | "ended";
  readonly isolatedPages: readonly bigint[];
  /** What the guest's kernel printed. */
  readonly kernelLog: readonly string[];
}

const big = (value: Number64 | undefined): bigint | undefined => (value === undefined ? undefined : BigInt(value));

/** Position of the lowest set bit. */
const lowestBit = (mask: bigint): number => (mask & -mask).toString(2).length - 1;

/** Milliseconds between two looks of the monitor at sources that hold waiting records. */
const RECHECK = 10;
/** What happens of its own accord stops here when nothing else is left, milliseconds after the last event. */
const AFTERMATH = 60_000;
/** Things that may happen in one run. */
const MOST_STEPS = 1_000_000;

/** Whom to tell, and how, once a record is written. */
interface Notice {
  readonly vcpu: number;
  readonly notification: NotificationName | undefined;
  readonly faultAddress: bigint | undefined;
  /** How an exit for an external abort is answered. */
  readonly answer?: "data" | "instruction" | undefined;
}
const PLAIN_NOTICE: Notice = { vcpu: 0, notification: undefined, faultAddress: undefined };

interface Due {
  readonly at: number;
  readonly body: () => void;
}

/** Run a scenario. @throws UsageError for one that cannot be set up. */
export function runScenario(scenario: Scenario): RunResult {
  return new Run(scenario).go();
}

class Run {
  readonly #scenario: Scenario;
  readonly #policy: MonitorPolicy;
  readonly #timeline: Timeline;
  readonly #records: RunResult["records"][number][] = [];
  readonly #vcpus: Processor[];
  readonly #controllers = new Map<NotificationName, NotificationController>();
  #now = 0;
  readonly #queue: Due[] = [];
  #ended = false;
  #memory!: GuestMemory;
  #device!: ErrorSourceDevice;
  #kernel!: GuestKernel;
  #guest: GuestChoice;
  #subjects: Subject[] = [];
  #handedOff = false;
  #rechecking = false;
  /** What is told with the notification that is being raised. */
  #notice: Notice = PLAIN_NOTICE;
  #answered = false;
  #answerThread: string | undefined;
  #platform!: PlatformDevices;

  constructor(scenario: Scenario) {
    this.#scenario = scenario;
    this.#policy = policyOf(scenario.monitor);
    this.#timeline = new Timeline(() => this.#now);
    const kvm = kvmMachine(scenario.machine?.kvm);
    const vcpus = scenario.machine?.vcpus ?? [];
    this.#vcpus = (vcpus.length > 0 ? vcpus : [{}]).map((state) => new Processor(kvm, state));
    this.#guest = scenario.guest ?? {};
  }

  go(): RunResult {
    this.#setUp();
    for (const moment of this.#scenario.events) this.#schedule(moment.at, () => this.#happen(moment));
    const last = Math.max(0, ...this.#scenario.events.map(({ at }) => at));
    const until = this.#scenario.until ?? last + AFTERMATH;
    for (let steps = 0; this.#queue.length > 0 && !this.#ended; steps++) {
      if (steps === MOST_STEPS) throw new UsageError(`the run does not come to an end: ${MOST_STEPS} things have happened by ${this.#now} ms`);
      const due = this.#queue.pop()!;
      if (due.at > until) break;
      this.#now = due.at;
      due.body();
    }
    return {
      name: this.#scenario.name,
      timeline: this.#timeline.entries,
      records: this.#records,
      accounts: Object.fromEntries([...(this.#device?.state ?? [])].map(([id, { account }]) => [id, { ...account }])),
      unread: [...(this.#device?.state.keys() ?? [])].filter((id) => this.#device.isUnread(id)),
      outcome: this.#kernel?.panicked ? "panicked" : this.#ended ? "ended" : "running",
      isolatedPages: [...(this.#kernel?.isolatedPages ?? [])],
      kernelLog: this.#kernel?.log ?? [],
    };
  }

  #say(from: Lane, to: Lane | undefined, what: string, text: string, more?: Pick<TimelineEntry, "data" | "bad">): void {
    this.#timeline.add(from, to, what, text, more);
  }
  #schedule(at: number, body: () => void): void {
    // Latest first; of the same time, what was scheduled first is last, where it is taken from.
    let low = 0;
    let high = this.#queue.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.#queue[middle]!.at > at) low = middle + 1;
      else high = middle;
    }
    this.#queue.splice(low, 0, { at, body });
  }

  // ---- the machine starts ----

  #setUp(): void {
    const { machine = {} } = this.#scenario;
    const ras = machine.ras !== false;
    const firmware = machine.firmware ?? "generic";
    const board = machine.architecture === "x86" ? q35() : FIRMWARES[firmware].machine();
    const ram = new SparseMemory(board.ram);
    this.#platform = new PlatformDevices(machine, board.ram, ram, this.#timeline, (error) => this.#injected(error));
    const files = machineFiles(machine, this.#policy, this.#platform.tables);
    const placements = new Map(Object.entries(machine.place ?? {}).map(([name, address]) => [name, BigInt(address)]));
    const booted = boot(files, { firmware, machine: board, memory: ram, placements });
    this.#memory = this.#platform.memory;
    for (const blob of booted.placements.values()) this.#placed(blob);
    if (booted.state !== "acpi") this.#say("firmware", undefined, "failed", `no ACPI: ${booted.failure}`, { bad: true });
    for (const { file, value } of booted.writtenPointers)
      this.#say("firmware", "monitor", "handOff", `${hexNumber(value)} written to ${file}`, { data: { address: hexNumber(value), file } });

    const locate = ras ? this.#locate(booted.device, booted.placements) : undefined;
    this.#handedOff = locate !== undefined;
    this.#device = new ErrorSourceDevice({
      memory: this.#memory,
      locate: locate ?? (() => ({ message: "there are no error sources" })),
      policy: this.#policy.recording,
      report: (event) => this.#deviceSays(event),
    });
    this.#kernel = new GuestKernel(
      { memory: this.#memory, io: this.#memory },
      {
        architecture: machine.architecture ?? "arm64",
        interrupt: () => "works",
        ...(this.#has.has("abortHandler") ? {} : { sea: false }),
        ...(this.#has.has("eventRegistered") ? {} : { sdei: false }),
        clock: () => this.#now,
        report: (event) => this.#guestSays(event),
        acknowledges: () => this.#guest.acknowledges !== false,
      },
    );
    if (booted.rsdpAddress !== undefined) this.#kernel.boot(booted.rsdpAddress);
    this.#platform.start(booted.tables);
    for (const { source, milliseconds } of this.#kernel.timers) this.#poll(source, milliseconds, milliseconds);
  }

  #placed(blob: Blob): void {
    this.#say("firmware", "memory", "placed", `${blob.name}: ${blob.size} bytes at ${hexNumber(blob.address)}`, {
      data: { file: blob.name, address: hexNumber(blob.address), size: blob.size },
    });
  }

  /** The host takes the address from where the firmware wrote it, never from the description it built. */
  #locate(device: FwCfgDevice, placements: ReadonlyMap<string, Blob>): Locate | undefined {
    const sources = sourcesFor(this.#scenario.machine, this.#policy);
    const blockLength = sources[0]?.blockLength ?? 0;
    const written = (file: string): bigint => {
      const bytes = device.file(file);
      return bytes?.length === 8 ? new DataView(bytes.buffer).getBigUint64(0, true) : 0n;
    };
    const subjects = (hest: bigint | undefined) => {
      this.#subjects =
        hest === undefined
          ? sources.map(({ id, notification, vector = 0, pollInterval = 0 }) => ({ source: id, type: notification, vector, pollInterval }))
          : sourcesOf(this.#memory, hest).flatMap(({ id, notification }) =>
              notification && typeof notification.type === "string"
                ? [{ source: id, type: notification.type, vector: notification.vector, pollInterval: notification.pollInterval }]
                : [],
            );
    };
    switch (this.#policy.handOff) {
      case "hardwareErrors": {
        const base = written(FILE.hardwareErrorsAddress);
        if (base === 0n) return undefined;
        this.#say("monitor", undefined, "located", `sources are looked for at ${hexNumber(base)}, from ${FILE.hardwareErrorsAddress}`, {
          data: { address: hexNumber(base) },
        });
        subjects(undefined);
        return inHardwareErrors(this.#memory, base, sources.length, blockLength);
      }
      case "hest": {
        const hest = written(FILE.hestAddress);
        if (hest === 0n) return undefined;
        this.#say("monitor", undefined, "located", `HEST is walked at ${hexNumber(hest)}, from ${FILE.hestAddress}`, { data: { address: hexNumber(hest) } });
        subjects(hest);
        return this.#policy.walk === "qemu" ? inHestAsQemu(this.#memory, hest, blockLength) : inHest(this.#memory, hest);
      }
      case "direct": {
        const hest = written(FILE.hestAddress);
        if (hest === 0n || placements.size === 0) return undefined;
        this.#say("monitor", undefined, "located", `HEST is at ${hexNumber(hest)}, where the loader put it`, { data: { address: hexNumber(hest) } });
        subjects(hest);
        return inHest(this.#memory, hest);
      }
    }
  }

  // ---- things happen ----

  #happen(moment: Moment): void {
    if (this.#kernel.panicked) {
      this.#say("guest", undefined, "ignored", "the kernel has panicked: what happens now reaches nobody", { bad: true });
      return;
    }
    if (moment.sigbus) {
      const { code, vcpu = 0, inRam, ...where } = moment.sigbus;
      const address = { physical: big(where.physicalAddress), virtual: big(where.virtualAddress), lsb: where.addressLsb };
      this.#say(
        "hardware",
        "kernel",
        "error",
        `uncorrected memory error${address.physical === undefined ? "" : ` in the page behind guest address ${hexNumber(address.physical)}`}`,
      );
      this.#say(
        "kernel",
        "monitor",
        "sigbus",
        `SIGBUS, ${code === "actionRequired" ? "action required (the guest touched it)" : "action optional (found by scrubbing)"}${addressWords(address)}`,
      );
      this.#handle({ kind: "sigbus", code, address, ...(inRam !== undefined && { inRam }) }, vcpu);
    }
    if (moment.seaExit) this.#seaExit(moment.seaExit);
    if (moment.record) this.#userRecord(moment.record);
    if (moment.inject) this.#platform.inject(moment.inject);
    if (moment.erst) this.#platform.store(moment.erst);
    if (moment.vcpu) this.#changeVcpu(moment.vcpu);
    if (moment.guest) {
      this.#guest = { ...this.#guest, ...moment.guest };
      if (moment.guest.acknowledges !== undefined)
        this.#say("guest", undefined, "behaviour", moment.guest.acknowledges ? "acknowledges from now on" : "stops acknowledging");
    }
    if (moment.acknowledge) {
      this.#kernel.acknowledge(moment.acknowledge.source);
      this.#service();
    }
    if (moment.guestWrites) this.#guestWrites(moment.guestWrites);
  }

  #seaExit({ esr: given, vcpu = 0, claimedByHost = false, answeredOn, ...where }: NonNullable<Moment["seaExit"]>): void {
    const processor = this.#processor(vcpu);
    const virtual = big(where.guestVirtualAddress);
    const physical = big(where.guestPhysicalAddress);
    const { esr, result, exit } = processor.takeAbort({ given: big(given), virtual, physical, claimedByHost, thread: `vcpu${vcpu}` });
    this.#say("hardware", "kernel", "error", `abort taken from vCPU ${vcpu}, syndrome ${hexNumber(esr)}`, { data: { esr: hexNumber(esr) } });
    const { kvm } = processor;
    if (!exit) {
      const bad = result.outcome !== "claimed by the host";
      this.#say("kernel", undefined, "kvm", `${result.outcome}: ${result.reasons.join("; ")}`, bad ? { bad: true } : {});
      if (result.outcome !== "SError in the guest") return;
      this.#say("kernel", "guest", "delivered", injectionWords(result.injection), { data: injectionData(result.injection), bad: true });
      if (result.injection.taken) this.#kernel.serror(kvm.registers["ESR_EL1"] ?? 0n);
      return;
    }
    const { address, fetch } = exit;
    this.#say("kernel", "monitor", "seaExit", `KVM_EXIT_ARM_SEA on vCPU ${vcpu}${addressWords(address)}`, { data: { esr: hexNumber(exit.esr) } });
    this.#answered = false;
    this.#answerThread = answeredOn;
    this.#handle({ kind: "seaExit", address, fetch }, vcpu);
    const waits = [...this.#device.state.values()].some(({ queue }) => queue.length > 0);
    if (waits || this.#ended) return;
    // The vCPU runs again: without an answer it is back at the same access.
    const misuses = kvm.run(`vcpu${vcpu}`);
    if (!this.#answered) for (const misuse of misuses) this.#say("kernel", undefined, "misuse", misuse, { bad: true });
  }

  /** An error the guest injected through EINJ. */
  #injected({ type, address, mask }: InjectedError): void {
    this.#say("controller", "monitor", "injected", `the trigger was pulled: ${type}`);
    const severity = type.endsWith("Fatal") && !type.endsWith("NonFatal") ? "fatal" : type.endsWith("NonFatal") ? "recoverable" : "corrected";
    const lsb = mask === undefined || mask === 0n ? undefined : lowestBit(mask);
    const block = memoryRecord({
      physicalAddress: address,
      addressLsb: lsb,
      severity,
      errorType: severity === "corrected" ? "singleBitEcc" : "multiBitEcc",
      fruText: "EINJ",
    });
    const notification = this.#policy.actionOptional === "none" ? undefined : this.#policy.actionOptional;
    this.#handle({ kind: "record", block, notification }, 0);
  }

  #userRecord(event: RecordEvent): void {
    const block = recordOf(event);
    if (!block) throw new UsageError(`event at ${this.#now} ms: a record needs a block, sections or a memory error`);
    for (let i = 0; i < (event.times ?? 1); i++) this.#handle({ kind: "record", block, source: event.source, notification: event.notification }, 0);
  }

  #handle(error: HostError, vcpu: number): void {
    const { state } = this.#processor(vcpu);
    const decision = decide(this.#policy, error, {
      ras: this.#scenario.machine?.ras !== false,
      handedOff: this.#handedOff,
      sources: this.#subjects.map(({ source, type }) => ({ id: source, notification: type })),
      interruptsMasked: state.interruptsMasked === true,
      architecture: this.#scenario.machine?.architecture ?? "arm64",
    });
    for (const message of decision.messages) this.#say("monitor", undefined, "message", message, { bad: true });
    for (const consequence of decision.consequences) this.#say("monitor", undefined, "consequence", consequence);
    if (decision.record) this.#record(decision, error, vcpu);
    if (decision.machineCheck) this.#machineCheck(decision.machineCheck, vcpu);
    if (decision.end) this.#end(decision.end);
  }

  #record(decision: Decision, error: HostError, vcpu: number): void {
    const { source, block } = decision.record!;
    const notice: Notice = {
      vcpu,
      notification: decision.notification,
      faultAddress: decision.faultAddress,
      answer: error.kind !== "seaExit" ? undefined : error.fetch ? "instruction" : "data",
    };
    const required = error.kind === "seaExit" || (error.kind === "sigbus" && error.code === "actionRequired");
    const outcome = this.#device.record(source, block, notice);
    switch (outcome) {
      case "written":
        this.#notify(source, notice);
        break;
      case "queued":
        if (required) this.#say("monitor", undefined, "stopped", `vCPU ${vcpu} stays stopped until its record is written`);
        this.#recheck();
        break;
      case "merged":
        this.#recheck();
        break;
      default:
        if (!required) this.#say("monitor", undefined, "consequence", "the guest never hears of this error", { bad: true });
        else if (this.#policy.recordFailure === "continue")
          this.#say("monitor", undefined, "consequence", "the guest is not told, although it waits for this page", { bad: true });
        else {
          this.#say("monitor", undefined, "message", "failed to record the error", { bad: true });
          this.#end(this.#policy.recordFailure);
        }
    }
  }

  #processor(vcpu: number): Processor {
    const processor = this.#vcpus[vcpu];
    if (!processor) throw new UsageError(`event at ${this.#now} ms: there is no vCPU ${vcpu}`);
    return processor;
  }

  #machineCheck({ code, address }: { readonly code: "actionRequired" | "actionOptional"; readonly address: bigint }, vcpu: number): void {
    const states = this.#vcpus.map(({ machineChecks, state }) => Object.assign(machineChecks, { enabled: state.machineChecks !== false }));
    const { outcome, messages, writes } = injectMachineCheck(states, vcpu, { vendor: this.#scenario.machine?.vendor ?? "intel", code, address });
    for (const message of messages) this.#say("monitor", undefined, "message", message, { bad: true });
    for (const write of writes)
      this.#say(
        "monitor",
        "guest",
        "delivered",
        `machine check on vCPU ${write.vcpu}: bank ${write.bank} STATUS ${hexNumber(write.status)}, MCG_STATUS ${hexNumber(write.globalStatus)}${write.address === undefined ? "" : `, ADDR ${hexNumber(write.address)}, MISC ${hexNumber(write.misc ?? 0n)}`}`,
      );
    if (outcome === "reset") this.#end("reset");
    if (outcome !== "injected") return;
    this.#kernel.machineCheck(address, code === "actionRequired");
    for (const write of writes) finishMachineCheck(states[write.vcpu]!);
  }

  #end(how: "exit" | "abort" | "reset"): void {
    this.#ended = true;
    this.#say("monitor", undefined, how, `${ENDS[how]}: the machine is gone`, { bad: true });
  }

  /** Look again for the sources that hold waiting records, until none is left. */
  #recheck(): void {
    if (this.#rechecking) return;
    this.#rechecking = true;
    this.#schedule(this.#now + RECHECK, () => {
      this.#rechecking = false;
      this.#service();
    });
  }
  #service(): void {
    for (const { source, tag } of this.#device.service()) this.#notify(source, tag as Notice);
    if ([...this.#device.state.values()].some(({ queue }) => queue.length > 0)) this.#recheck();
  }

  // ---- the guest is told ----

  get #has(): ReadonlySet<Need> {
    const x86 = this.#scenario.machine?.architecture === "x86";
    const lacks = new Set<Need>([...(this.#guest.lacks ?? []), x86 ? "arm64" : "x86", ...(x86 ? (["abortHandler"] as const) : [])]);
    return new Set((Object.keys(NEED) as Need[]).filter((need) => !lacks.has(need)));
  }

  #controller(type: NotificationName): NotificationController {
    let controller = this.#controllers.get(type);
    if (!controller) {
      controller = new NotificationController(type, {
        has: this.#has,
        masks: (vcpu) => {
          const { interruptsMasked = false, serrorMasked = false, eventsMasked = false } = this.#processor(vcpu).state;
          return { interrupts: interruptsMasked, serror: serrorMasked, events: eventsMasked };
        },
        deliver: (signal) => this.#deliver(signal),
      });
      this.#controllers.set(type, controller);
    }
    return controller;
  }

  #notify(source: number, notice: Notice): void {
    const { vcpu, notification } = notice;
    const own = this.#subjects.find((subject) => subject.source === source);
    const type = notification ?? own?.type;
    if (!type) {
      this.#say("monitor", undefined, "unheard", `source ${source} has no notification the monitor knows: the record waits unseen`, { bad: true });
      return;
    }
    const subject = { source, type, vector: own?.vector ?? 0, pollInterval: own?.pollInterval ?? 0 };
    const controller = this.#controller(type);
    const { words } = NOTIFICATION_KIND[type];
    if (type === "gpioSignal") this.#platform.events.raise(GENERIC_EVENT_DEVICE.errorEvent);
    this.#say("monitor", "controller", "raised", `source ${source} has a record: ${words}${subject.vector > 0 ? ` (${subject.vector})` : ""}`, {
      data: { source, type },
    });
    this.#notice = notice;
    const raised = controller.raise(subject, vcpu);
    if (raised.state === "pending" && raised.until === "unmasked")
      this.#say(
        "controller",
        undefined,
        "pending",
        `vCPU ${vcpu} masks it: it waits${type === "sei" ? ` (${injectionWords(this.#processor(vcpu).serror().injection)}); it cannot be taken back` : ""}`,
      );
    if (raised.state === "pending" && raised.until === "nextPoll") this.#say("controller", undefined, "pending", "the guest's next poll will find it");
    if (raised.state === "undeliverable")
      this.#say(
        "controller",
        undefined,
        "undeliverable",
        `it cannot arrive, the record waits unseen: the guest lacks ${raised.missing.map((need) => NEED[need]).join("; ")}`,
        { bad: true },
      );
  }

  #deliver({ type, source, vector, vcpu }: Signal): void {
    const processor = this.#processor(vcpu);
    const { state } = processor;
    const level = state.level ?? "EL0";
    if (type === "sea") {
      const injection = this.#abort(processor, vcpu);
      this.#say("controller", "guest", "delivered", `${injection.exception} on vCPU ${vcpu} at ${level}: ${injectionWords(injection)}`, {
        data: { type, vcpu, ...injectionData(injection) },
      });
    } else if (type === "sei") {
      const { syndrome, injection } = processor.serror();
      this.#say("controller", "guest", "delivered", `SError on vCPU ${vcpu}: ${injectionWords(injection)}`, {
        data: { type, vcpu, ...injectionData(injection) },
      });
      this.#kernel.serror(syndrome);
      return;
    } else {
      this.#say("controller", "guest", "delivered", `${NOTIFICATION_KIND[type].words}, on vCPU ${vcpu}`, { data: { type, vcpu, vector } });
      if (type === "gpioSignal" && this.#platform.events.line) this.#readEvents();
    }
    const handling = this.#kernel.notify(type, type === "polled" ? source : vector, {
      user: level === "EL0",
      interruptsMasked: state.interruptsMasked === true,
    });
    if (handling.records === 0 && !this.#kernel.devices.some(({ id }) => id === source))
      this.#say("guest", undefined, "unread", `source ${source}: no driver is bound, so nobody reads the record`, { bad: true });
    processor.returnFromException();
    this.#finishLater(handling);
  }

  /** The guest's interrupt handler asks the event device what happened, and AML notifies the error device. */
  #readEvents(): void {
    const { base } = GENERIC_EVENT_DEVICE;
    const events = this.#memory.readWord(base, 4);
    this.#say(
      "guest",
      undefined,
      "events",
      `event register ${hexNumber(base)} reads ${hexNumber(events)}: Notify(${ERROR_NOTIFICATION.device}, ${hexNumber(ERROR_NOTIFICATION.value)})`,
    );
  }

  /**
   * The abort for the guest. An exit is answered through KVM when its address is valid and its class can be asked
   * for; otherwise the monitor writes the registers itself, because KVM would clear FnV.
   */
  #abort(processor: Processor, vcpu: number): Injection {
    const { answer, faultAddress } = this.#notice;
    this.#answered = true;
    const machine = processor.kvm.machine;
    const capability = answer === "instruction" ? "KVM_CAP_ARM_INJECT_EXT_IABT" : "KVM_CAP_ARM_INJECT_EXT_DABT";
    if (answer !== undefined && faultAddress !== undefined && machine.checkExtension(capability)) {
      const result = processor.kvm.setEvents(answer === "instruction" ? { extIabtPending: 1 } : { extDabtPending: 1 }, this.#answerThread ?? `vcpu${vcpu}`);
      for (const misuse of result.misuse) this.#say("monitor", undefined, "misuse", misuse, { bad: true });
      const [injection] = result.injections;
      if (injection) return injection;
    } else if (answer !== undefined) {
      this.#say(
        "monitor",
        undefined,
        "consequence",
        faultAddress === undefined
          ? "the registers are written directly: KVM would leave FnV clear"
          : "the registers are written directly: this kernel offers no such abort",
      );
    }
    return processor.abort(answer ?? "data", faultAddress);
  }

  #finishLater(handling: Handling): void {
    const delay = this.#guest.handling ?? 0;
    if (delay === 0 || handling.records === 0) handling.finish();
    else this.#schedule(this.#now + delay, () => handling.finish());
  }

  #poll(source: number, milliseconds: number, at: number): void {
    this.#schedule(at, () => {
      if (this.#kernel.panicked) return;
      this.#controllers.get("polled")?.release({ source });
      // The timer runs for ever: it is followed only as long as something else is going to happen.
      if (this.#queue.length > 0 || this.#controllers.get("polled")?.counts.pending) this.#poll(source, milliseconds, at + milliseconds);
    });
  }

  #changeVcpu({ id = 0, ...change }: NonNullable<Moment["vcpu"]>): void {
    this.#processor(id).change(change);
    const words = Object.entries(change).map(([name, value]) =>
      typeof value === "string" ? `now at ${value}` : `${VCPU_WORDS[name as keyof typeof VCPU_WORDS]} ${value ? "on" : "off"}`,
    );
    this.#say("guest", undefined, "vcpu", `vCPU ${id}: ${words.join(", ")}`);
    for (const controller of this.#controllers.values()) controller.release({ vcpu: id });
  }

  #guestWrites(write: NonNullable<Moment["guestWrites"]>): void {
    const bytes = hexToBytes(write.bytes)!;
    const device = (id: number) => this.#kernel.devices.find((candidate) => candidate.id === id)?.source;
    const address =
      big(write.address) ??
      (write.pointerOf !== undefined ? device(write.pointerOf)?.errorStatusAddress.address : undefined) ??
      (write.acknowledgeOf !== undefined ? device(write.acknowledgeOf)?.readAckRegister?.address : undefined) ??
      (write.blockOf !== undefined ? this.#memory.readWord(device(write.blockOf)?.errorStatusAddress.address ?? 0n, 8) : undefined);
    if (address === undefined) throw new UsageError(`event at ${this.#now} ms: the guest has no such place to write to`);
    this.#say("guest", "memory", "guestWrites", `${bytes.length} bytes at ${hexNumber(address)}`, {
      data: { address: hexNumber(address), bytes: write.bytes },
    });
    this.#memory.write(address, bytes);
    this.#service();
  }

  // ---- what the parts report ----

  #deviceSays(event: SourceEvent): void {
    const lost = event.kind === "refused" || event.kind === "dropped" || event.kind === "overflowed";
    this.#say(
      "monitor",
      event.kind === "written" ? "memory" : undefined,
      event.kind,
      event.kind === "written" ? `${event.text}, ${this.#policy.recording.stores === "statusLast" ? "block status last" : "first byte to last"}` : event.text,
      {
        data: {
          source: event.source,
          ...(event.address !== undefined && { address: hexNumber(event.address) }),
          ...(event.block && { length: event.block.length }),
        },
        ...(lost && { bad: true as const }),
      },
    );
  }

  #guestSays(event: GuestEvent): void {
    if (event.step === "decoded" && event.block)
      this.#records.push({ source: event.source ?? 0, bytes: event.block, block: parseErrorStatusBlock(event.block, sectionTypes) });
    this.#say("guest", WRITES.has(event.step) ? "memory" : undefined, event.step, event.text, {
      data: { ...(event.source !== undefined && { source: event.source }), ...(event.address !== undefined && { address: hexNumber(event.address) }) },
      ...(BAD.has(event.step) && { bad: true as const }),
    });
  }
}

const ENDS = { exit: "the monitor exits with status 1", abort: "the monitor aborts", reset: "triple fault" } as const;
const VCPU_WORDS = {
  interruptsMasked: "interrupt masking",
  serrorMasked: "SError masking",
  eventsMasked: "event masking",
  machineChecks: "machine checks",
} as const;
const WRITES: ReadonlySet<GuestStep> = new Set(["cleared", "acknowledged"]);
const BAD: ReadonlySet<GuestStep> = new Set(["panic", "fault", "killed", "withheld"]);
