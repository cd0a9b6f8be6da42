/** Lets the events of a scenario happen on its stage, and says what became of every error. */
import type { InjectedError } from "../host/einj-device.ts";
import type { Account } from "../host/error-source.ts";
import { finishMachineCheck, injectMachineCheck } from "../host/machine-check.ts";
import { type Decision, decide, type HostError } from "../host/monitor.ts";
import { hexNumber, hexToBytes, UsageError } from "../layout/index.ts";
import { type GuestMemory, whereMemory } from "../machine/memory.ts";
import { missingRecords } from "./error-store.ts";
import { Exceptions } from "./exceptions.ts";
import { Hypervisor } from "./hypervisor.ts";
import { injectedError, triggerWords } from "./injection.ts";
import { hasSources } from "./machine.ts";
import { Messenger, type Notice } from "./messenger.ts";
import type { Outside } from "./outside.ts";
import { addressWords, injectionData, injectionWords } from "./processor.ts";
import { checkRecords, recordOf } from "./record.ts";
import type { Moment, Number64, RecordEvent, Scenario } from "./schema.ts";
import { type ReadRecord, Stage } from "./stage.ts";
import { LANES, type LaneNames, PHYSICAL_LANES, type TimelineEntry } from "./timeline.ts";

export interface RunResult {
  readonly name: string;
  /** What the scenario shows. */
  readonly about?: string;
  /** What those who take part are called. */
  readonly lanes: LaneNames;
  readonly timeline: readonly TimelineEntry[];
  /** Records as the guest read them, in order. */
  readonly records: readonly ReadRecord[];
  /** What became of every record handed in, by source. */
  readonly accounts: Readonly<Record<number, Readonly<Account>>>;
  /** The same for the host's own sources, where firmware of the physical machine has written to them. */
  readonly hostAccounts?: Readonly<Record<number, Readonly<Account>>>;
  /** Sources whose last record still lies unread. */
  readonly unread: readonly number[];
  /** The same of the host's own. */
  readonly hostUnread: readonly number[];
  readonly outcome: "running" | "panicked" | "ended";
  readonly isolatedPages: readonly bigint[];
  /** What the guest's kernel printed. */
  readonly kernelLog: readonly string[];
  /** The bytes of the error record store. */
  readonly store?: Uint8Array;
  /** Records that should be in the store and are not, in words. */
  readonly missing: readonly string[];
}

const big = (value: Number64 | undefined): bigint | undefined => (value === undefined ? undefined : BigInt(value));

/** What only an arm64 machine has. */
const ARM64_EVENTS = ["seaExit", "processorError", "esb", "setEvents", "exit", "monitorTries"] as const satisfies readonly (keyof Moment)[];
/** Bytes of a guest's write that are shown. */
const SHOWN_BYTES = 16;
/** Milliseconds between two looks of the monitor at sources that hold waiting records. */
const RECHECK = 10;
/** What happens of its own accord stops here when nothing else is left, milliseconds after the last event. */
const AFTERMATH = 60_000;

/** Run a scenario. @throws UsageError for one that cannot be set up. */
export function runScenario(scenario: Scenario, outside: Outside = {}): RunResult {
  checkRecords(scenario);
  return new Run(scenario, outside).go();
}

/** How an exit for an abort is answered. */
type Answering = Pick<Notice, "answer" | "thread">;

class Run {
  readonly #stage: Stage;
  readonly #messenger: Messenger;
  readonly #hypervisor: Hypervisor;
  readonly #exceptions: Exceptions;
  #rechecking = false;

  constructor(scenario: Scenario, outside: Outside) {
    this.#stage = new Stage(scenario, (error) => this.#injected(error), outside);
    this.#hypervisor = new Hypervisor(this.#stage);
    this.#messenger = new Messenger(this.#stage, this.#hypervisor);
    this.#exceptions = new Exceptions(this.#stage, this.#messenger, this.#hypervisor, (exit) => this.#seaExit(exit, true));
  }

  go(): RunResult {
    const { agenda, scenario, device, platform, timeline, records } = this.#stage;
    for (const moment of scenario.events) agenda.schedule(moment.at, () => this.#happen(moment));
    const last = scenario.events.reduce((most, { at }) => Math.max(most, at), 0);
    agenda.run(scenario.until ?? last + AFTERMATH, () => this.#stage.ended);
    const { kernel } = this.#stage;
    return {
      name: scenario.name,
      ...(scenario.about !== undefined && { about: scenario.about }),
      lanes: this.#stage.physical ? PHYSICAL_LANES : LANES,
      timeline: timeline.entries,
      records,
      accounts: Object.fromEntries([...device.state].map(([id, { account }]) => [id, { ...account }])),
      ...(this.#stage.hostAccounts && { hostAccounts: this.#stage.hostAccounts }),
      unread: [...device.state.keys()].filter((id) => device.isUnread(id)),
      hostUnread: this.#stage.hostUnread,
      outcome: kernel.panicked ? "panicked" : this.#stage.ended ? "ended" : "running",
      isolatedPages: [...kernel.isolatedPages],
      kernelLog: kernel.log,
      ...(platform.storeContent && { store: platform.storeContent }),
      missing: platform.storeContent ? missingRecords(scenario.machine?.errorStore, platform.storeContent) : [],
    };
  }

  #say(...entry: Parameters<Stage["say"]>): void {
    this.#stage.say(...entry);
  }

  // ---- things happen ----

  #happen(moment: Moment): void {
    if (moment.reset) {
      this.#exceptions.reset();
      return;
    }
    if (this.#stage.kernel.panicked) {
      this.#say("guest", undefined, "ignored", "the kernel has panicked: what happens now reaches nobody", { bad: true });
      return;
    }
    const arm = ARM64_EVENTS.find((name) => moment[name] !== undefined);
    if (arm && this.#stage.scenario.machine?.architecture === "x86")
      throw new UsageError(`event at ${this.#stage.agenda.now} ms: ${arm}: only arm64 processors and KVM on arm64 are modelled`);
    if (moment.sigbus) {
      const { code, vcpu = 0, ...where } = moment.sigbus;
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
      const inRam = where.inRam ?? (address.physical === undefined || this.#stage.isRam(address.physical));
      this.#handle({ kind: "sigbus", code, address, inRam }, vcpu);
    }
    if (moment.seaExit) this.#seaExit(moment.seaExit);
    if (moment.record) this.#userRecord(moment.record);
    if (moment.inject) this.#stage.platform.inject(moment.inject);
    if (moment.erst) this.#stage.platform.store(moment.erst);
    if (moment.crash) this.#stage.kernel.crash();
    if (moment.vcpu) this.#changeVcpu(moment.vcpu);
    if (moment.processorError) this.#exceptions.notice(moment.processorError);
    if (moment.esb) this.#exceptions.synchronize(moment.esb);
    if (moment.setEvents) this.#hypervisor.setEvents(moment.setEvents);
    if (moment.exit) this.#hypervisor.exit(moment.exit);
    if (moment.monitorTries) this.#hypervisor.attempt(moment.monitorTries);
    if (moment.guest) {
      if (moment.guest.system !== undefined || moment.guest.level !== undefined)
        throw new UsageError(`event at ${this.#stage.agenda.now} ms: guest: a system that runs stays what it is, and at its level`);
      this.#stage.guest = { ...this.#stage.guest, ...moment.guest };
      if (moment.guest.acknowledges !== undefined)
        this.#say("guest", undefined, "behaviour", moment.guest.acknowledges ? "acknowledges from now on" : "stops acknowledging");
    }
    if (moment.acknowledge) {
      this.#stage.kernel.acknowledge(moment.acknowledge.source);
      this.#service();
    }
    if (moment.guestWrites) this.#guestWrites(moment.guestWrites);
    if (moment.guestReads) this.#guestReads(moment.guestReads);
  }

  /** @param noticed that the processor took it to EL2 was said already. */
  #seaExit({ esr: given, vcpu = 0, claimedByHost = false, answeredOn, answeredWith, ...where }: NonNullable<Moment["seaExit"]>, noticed = false): void {
    const processor = this.#stage.processor(vcpu);
    const virtual = big(where.guestVirtualAddress);
    const physical = big(where.guestPhysicalAddress);
    const { esr, result, exit } = processor.takeAbort({ given: big(given), virtual, physical, claimedByHost, thread: `vcpu${vcpu}` });
    if (!noticed)
      this.#say("hardware", "kernel", "error", `${this.#exceptions.abortWords(vcpu)}: ESR_EL2 ${hexNumber(esr)}`, { data: { esr: hexNumber(esr) } });
    const { kvm } = processor;
    if (!exit) {
      const bad = result.outcome !== "claimed by the host";
      this.#say("kernel", undefined, "kvm", `${result.outcome}: ${result.reasons.join("; ")}`, bad ? { bad: true } : {});
      if (result.outcome !== "SError in the guest") return;
      this.#say("kernel", "guest", "delivered", injectionWords(result.injection), { data: injectionData(result.injection), bad: true });
      if (result.injection.taken) this.#stage.kernel.serror(kvm.registers["ESR_EL1"] ?? 0n);
      return;
    }
    const { address, fetch } = exit;
    this.#say("kernel", "monitor", "seaExit", `KVM_EXIT_ARM_SEA on vCPU ${vcpu}${addressWords(address)}`, { data: { esr: hexNumber(exit.esr) } });
    this.#messenger.takeAnswered();
    this.#handle({ kind: "seaExit", address, fetch }, vcpu, { thread: answeredOn, answer: answeredWith ?? (fetch ? "instruction" : "data") });
    const waits = [...this.#stage.device.state.values()].some(({ queue }) => queue.length > 0);
    if (waits || this.#stage.ended) return;
    // The vCPU runs again: without an answer it is back at the same access.
    const misuses = kvm.run(`vcpu${vcpu}`);
    if (!this.#messenger.takeAnswered()) for (const misuse of misuses) this.#say("kernel", undefined, "misuse", misuse, { bad: true });
  }

  /** An error the guest injected through EINJ. */
  #injected(error: InjectedError): void {
    this.#say("controller", "monitor", "injected", triggerWords(error));
    this.#handle(injectedError(error, this.#stage.policy), 0);
  }

  #userRecord(event: RecordEvent): void {
    const block = recordOf(event)!;
    for (let i = 0; i < (event.times ?? 1); i++) this.#handle({ kind: "record", block, source: event.source, notification: event.notification }, 0);
  }

  #handle(error: HostError, vcpu: number, answering: Answering = {}): void {
    const { state } = this.#stage.processor(vcpu);
    const decision = decide(this.#stage.policy, error, {
      ras: hasSources(this.#stage.scenario.machine, this.#stage.policy),
      handedOff: this.#stage.handedOff,
      sources: this.#stage.subjects.map(({ source, type }) => ({ id: source, notification: type })),
      interruptsMasked: state.interruptsMasked === true,
      architecture: this.#stage.scenario.machine?.architecture ?? "arm64",
    });
    for (const message of decision.messages) this.#say("monitor", undefined, "message", message, { bad: true });
    for (const consequence of decision.consequences) this.#say("monitor", undefined, "consequence", consequence);
    if (decision.poisoned !== undefined && this.#stage.isRam(decision.poisoned)) this.#stage.poisoned.add(decision.poisoned);
    if (decision.record) this.#record(decision, error, vcpu, answering);
    if (decision.machineCheck) this.#machineCheck(decision.machineCheck, vcpu);
    if (decision.end) this.#end(decision.end);
  }

  #record(decision: Decision, error: HostError, vcpu: number, answering: Answering): void {
    const { source, block } = decision.record!;
    const notice: Notice = {
      vcpu,
      notification: decision.notification,
      faultAddress: decision.faultAddress,
      ...answering,
    };
    const required = error.kind === "seaExit" || (error.kind === "sigbus" && error.code === "actionRequired");
    const outcome = this.#stage.device.record(source, block, notice);
    switch (outcome) {
      case "written":
        this.#messenger.notify(source, notice);
        break;
      case "queued":
        if (required) this.#say("monitor", undefined, "stopped", `vCPU ${vcpu} stays stopped until its record is written`);
        this.#recheck();
        break;
      case "merged":
        this.#recheck();
        break;
      case "asserted":
        this.#end("abort");
        break;
      default:
        if (!required) this.#say("monitor", undefined, "consequence", "the guest never hears of this error", { bad: true });
        else if (this.#stage.policy.recordFailure === "continue")
          this.#say("monitor", undefined, "consequence", "the guest is not told, although it waits for this page", { bad: true });
        else {
          this.#say("monitor", undefined, "message", "failed to record the error", { bad: true });
          this.#end(this.#stage.policy.recordFailure);
        }
    }
  }

  #machineCheck({ code, address }: { readonly code: "actionRequired" | "actionOptional"; readonly address: bigint }, vcpu: number): void {
    const states = this.#stage.vcpus.map(({ machineChecks, state }) => Object.assign(machineChecks, { enabled: state.machineChecks !== false }));
    const { outcome, messages, writes } = injectMachineCheck(states, vcpu, { vendor: this.#stage.scenario.machine?.vendor ?? "intel", code, address });
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
    this.#stage.kernel.machineCheck(address, code === "actionRequired");
    for (const write of writes) finishMachineCheck(states[write.vcpu]!);
  }

  #end(how: "exit" | "abort" | "reset"): void {
    if (how === "reset") {
      this.#say("monitor", undefined, how, "triple fault: the monitor resets the machine", { bad: true });
      this.#exceptions.reset();
      return;
    }
    this.#stage.ended = true;
    this.#say("monitor", undefined, how, `${ENDS[how]}: the machine is gone`, { bad: true });
  }

  /** Look again for the sources that hold waiting records, until none is left. */
  #recheck(): void {
    if (this.#rechecking) return;
    this.#rechecking = true;
    this.#stage.agenda.schedule(this.#stage.agenda.now + RECHECK, () => {
      this.#rechecking = false;
      this.#service();
    });
  }
  #service(): void {
    for (const { source, tag } of this.#stage.device.service()) this.#messenger.notify(source, tag as Notice);
    if ([...this.#stage.device.state.values()].some(({ queue }) => queue.length > 0)) this.#recheck();
  }

  #changeVcpu({ id = 0, ...change }: NonNullable<Moment["vcpu"]>): void {
    this.#stage.processor(id).change(change);
    const words = Object.entries(change).map(([name, value]) =>
      typeof value === "object"
        ? Object.entries(value)
            .map(([register, set]) => `${register.toUpperCase()} ${set ? 1 : 0}`)
            .join(", ")
        : typeof value === "string"
          ? `now at ${value}`
          : `${VCPU_WORDS[name as keyof typeof VCPU_WORDS]} ${value ? "on" : "off"}`,
    );
    this.#say("guest", undefined, "vcpu", `${this.#stage.unit} ${id}: ${words.join(", ")}`);
    this.#messenger.release(id);
    this.#exceptions.changed(id);
  }

  /** Where nothing answers, the guest's access aborts; the devices of the machine do not care. */
  #access(body: () => void): void {
    whereMemory(body, (why) => this.#say("guest", undefined, "fault", why, { bad: true }));
  }

  #guestReads({ address, size = 8 }: NonNullable<Moment["guestReads"]>): void {
    const from = BigInt(address);
    const place = this.#stage.platform.wordsAt(from);
    this.#access(() => {
      const value = hexNumber(this.#stage.memory.readWord(from, size));
      this.#say(place ? "controller" : "memory", "guest", "guestReads", `${value} read at ${hexNumber(from)}${place ? `, ${place}` : ""}`);
    });
  }

  #guestWrites(write: NonNullable<Moment["guestWrites"]>): void {
    const bytes = hexToBytes(write.bytes)!;
    const stage = this.#stage;
    const device = (id: number | undefined) => stage.kernel.devices.find((candidate) => candidate.id === id)?.source;
    const pointer = device(write.blockOf)?.errorStatusAddress.address;
    const address =
      big(write.address) ??
      device(write.pointerOf)?.errorStatusAddress.address ??
      device(write.acknowledgeOf)?.readAckRegister?.address ??
      (pointer !== undefined && stage.isRam(pointer) ? stage.memory.readWord(pointer, 8) : undefined);
    if (address === undefined) throw new UsageError(`event at ${this.#stage.agenda.now} ms: the guest has no such place to write to`);
    const owner = write.address === undefined ? (write.pointerOf ?? write.acknowledgeOf ?? write.blockOf) : undefined;
    const kind = write.pointerOf !== undefined ? "status pointer" : write.acknowledgeOf !== undefined ? "acknowledge register" : "status block";
    const register = this.#stage.platform.wordsAt(address, bytes.length > 8 ? undefined : wordOf(bytes));
    const place = register ?? (owner === undefined ? undefined : `the ${kind} of source ${owner}`);
    const what = bytes.length > SHOWN_BYTES ? `${bytes.length} bytes` : write.bytes;
    this.#say("guest", register ? "controller" : "memory", "guestWrites", `writes ${what} at ${hexNumber(address)}${place ? `, ${place}` : ""}`, {
      data: { address: hexNumber(address), bytes: write.bytes },
    });
    this.#access(() => store(this.#stage.memory, address, bytes));
    this.#service();
  }
}

/** A guest's store: one access where there is an instruction for it, as a device notices. */
function store(memory: GuestMemory, address: bigint, bytes: Uint8Array): void {
  const size = bytes.length;
  if (size !== 1 && size !== 2 && size !== 4 && size !== 8) memory.write(address, bytes);
  else memory.writeWord(address, size, wordOf(bytes));
}
const wordOf = (bytes: Uint8Array): bigint => bytes.reduceRight((word, byte) => (word << 8n) | BigInt(byte), 0n);

const ENDS = { exit: "the monitor exits with status 1", abort: "the monitor aborts" } as const;
const VCPU_WORDS = {
  interruptsMasked: "interrupt masking",
  serrorMasked: "SError masking",
  eventsMasked: "event masking",
  machineChecks: "machine checks",
} as const;
