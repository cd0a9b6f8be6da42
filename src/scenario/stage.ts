/** Everything that takes part in a run, set up and on one timeline. */
import { type ErrorStatusBlock, ErrorStatusBlockHeader, parseErrorStatusBlock } from "../acpi/status-block.ts";
import { levelOf } from "../arm64/exception-entry.ts";
import { sectionTypes } from "../cper/registry.ts";
import { GuestKernel } from "../guest/kernel.ts";
import { PlainKernel } from "../guest/plain-kernel.ts";
import type { GuestEvent, GuestStep, KernelOptions, SystemModel } from "../guest/steps.ts";
import type { InjectedError } from "../host/einj-device.ts";
import { type Account, ErrorSourceDevice, type Locate, type SourceEvent } from "../host/error-source.ts";
import type { MonitorPolicy } from "../host/monitor.ts";
import { NEED, type Need, type Subject } from "../host/notification.ts";
import { PoisonedPages } from "../host/poisoned-pages.ts";
import { decode, hexNumber, UsageError } from "../layout/index.ts";
import { type GuestMemory, whereMemory } from "../machine/memory.ts";
import { Agenda } from "./agenda.ts";
import type { PlatformDevices } from "./devices.ts";
import { HostKernel } from "./host-kernel.ts";
import { policyOf } from "./machine.ts";
import type { Outside } from "./outside.ts";
import { kvmMachine, Processor } from "./processor.ts";
import type { GuestChoice, Scenario, VcpuState } from "./schema.ts";
import { type BroughtUp, buildMachine } from "./start.ts";
import { type RunningSystem, systemOf } from "./system.ts";
import { type Lane, Timeline, type TimelineEntry } from "./timeline.ts";

/** A record as the guest read it. */
export interface ReadRecord {
  readonly source: number;
  readonly bytes: Uint8Array;
  readonly block: ErrorStatusBlock;
}

const PAGE_SHIFT = 12n;
const WRITES: ReadonlySet<GuestStep> = new Set(["cleared", "acknowledged"]);
const BAD: ReadonlySet<GuestStep> = new Set(["panic", "fault", "killed", "withheld"]);

const ORDER_WORDS = { statusLast: "block status last", ascending: "first byte to last" } as const;
const LOSSES: ReadonlySet<SourceEvent["kind"]> = new Set(["refused", "asserted", "dropped", "overflowed", "overwritten"]);
const lossOf = ({ kind }: SourceEvent): boolean => LOSSES.has(kind);
/** A record may stand for more than one error. */
function several(block: Uint8Array | undefined): string {
  const status = block && block.length >= ErrorStatusBlockHeader.size ? decode(ErrorStatusBlockHeader, block).blockStatus : undefined;
  return status?.multipleCorrectableErrors || status?.multipleUncorrectableErrors ? ", marked as several errors" : "";
}

/** The machine of a scenario after its firmware has run and its kernel has booted. */
export class Stage {
  readonly scenario: Scenario;
  readonly policy: MonitorPolicy;
  readonly agenda = new Agenda();
  readonly timeline = new Timeline(() => this.agenda.now);
  readonly memory: GuestMemory;
  readonly platform: PlatformDevices;
  readonly device: ErrorSourceDevice;
  kernel!: SystemModel;
  /** The sources the monitor knows. */
  subjects: readonly Subject[] = [];
  /** Pages of guest RAM the host has lost. */
  readonly poisoned = new PoisonedPages();
  readonly #ram: GuestMemory;
  readonly #bringUp: () => BroughtUp;
  #locate: Locate | undefined;
  #host: HostKernel | undefined;
  /** There is no monitor: firmware at EL3 stands in its place. */
  readonly physical: boolean;
  readonly vcpus: readonly Processor[];
  readonly records: ReadRecord[] = [];
  /** How the guest behaves; events change it. */
  guest: GuestChoice;
  /** The machine is gone. */
  ended = false;

  /** @param inject what an error injected through EINJ leads to. @throws UsageError, EncodeError for a machine that cannot be. */
  constructor(scenario: Scenario, inject: (error: InjectedError) => void, outside: Outside) {
    const { machine = {} } = scenario;
    this.scenario = scenario;
    this.policy = policyOf(scenario.monitor, machine.kind, machine.architecture);
    this.guest = scenario.guest ?? {};
    this.physical = machine.kind === "physical";
    const kvm = kvmMachine(machine.kvm);
    const late = machine.kvm?.enabled === "afterVcpus";
    const misuses = late || machine.kvm?.enabled === "never" ? [] : [...kvm.enable()];
    const vcpus: readonly VcpuState[] = typeof machine.vcpus === "number" ? Array.from({ length: machine.vcpus }, () => ({})) : (machine.vcpus ?? []);
    this.vcpus = (vcpus.length > 0 ? vcpus : [{}]).map((state) => new Processor(kvm.machine, state, this.physical ? "EL1" : scenario.guest?.level));
    if (late) misuses.push(...kvm.enable());
    for (const misuse of misuses) this.say("monitor", undefined, "misuse", `programming error: ${misuse}`, { bad: true });

    const { platform, ram, memory, hostMemory, bringUp } = buildMachine(scenario, this.policy, this.timeline, inject, outside);
    this.platform = platform;
    this.memory = memory;
    this.#ram = ram;
    this.#bringUp = bringUp;
    this.device = new ErrorSourceDevice({
      memory: hostMemory,
      locate: (id) => this.#locate?.(id) ?? { message: "there are no error sources" },
      policy: this.policy.recording,
      report: (event) => this.#deviceSays(event),
    });
    this.#start();
  }

  /** Firmware or monitor bring the machine up, and a kernel boots. */
  #start(): void {
    const { memory, platform, has } = this;
    const { machine = {} } = this.scenario;
    const { rsdpAddress, tables, locate, subjects } = this.#bringUp();
    this.subjects = subjects;
    this.#locate = locate;
    const { system } = this;
    const linux = system.preset === "linux";
    if (!linux && machine.architecture === "x86") throw new UsageError("guest.system: on x86 only Linux is modelled");
    const spaces = { memory, io: memory };
    const options: KernelOptions = {
      architecture: machine.architecture ?? "arm64",
      interrupt: () => "works",
      ...(has.has("abortHandler") ? {} : { sea: false }),
      ...(has.has("eventRegistered") ? {} : { sdei: false }),
      memoryFailure: system.memoryFailure,
      clock: () => this.agenda.now,
      report: (event) => this.#guestSays(event),
      acknowledges: () => this.guest.acknowledges !== false,
      dwell: (store) => {
        const { acknowledging = 0 } = this.guest;
        if (acknowledging === 0) store();
        else this.later(acknowledging, store);
      },
      died: (why) => platform.keepLastWords(this.kernel, why, this.agenda.now),
    };
    this.kernel = linux ? new GuestKernel(spaces, options) : new PlainKernel(system, spaces, options);
    if (rsdpAddress !== undefined) this.kernel.boot(rsdpAddress);
    // What other systems do with the tables of further devices is not known.
    platform.start(linux ? tables : [], this.kernel);
  }

  /** The machine is reset: RAM keeps what it holds but for the pages that were lost, and everything starts again. */
  reset(): void {
    this.say("monitor", "guest", "reset", "the machine is reset");
    for (const page of this.poisoned.replace(this.#ram))
      this.say("monitor", "memory", "replaced", `page ${hexNumber(page >> PAGE_SHIFT)} gets fresh memory in place of what was lost: it reads as zero`, {
        data: { address: hexNumber(page) },
      });
    this.device.reset();
    this.platform.reset();
    this.guest = this.scenario.guest ?? {};
    for (const [vcpu, processor] of this.vcpus.entries()) this.#resetProcessor(processor, vcpu);
    this.#start();
    for (const processor of this.vcpus) processor.returnFromException();
  }

  /** What the reset does to a processor, as long as there are few of them. */
  #resetProcessor(processor: Processor, vcpu: number): void {
    const pending = processor.reset();
    if (this.scenario.machine?.architecture === "x86") {
      this.say("kernel", undefined, "vcpu", `vCPU ${vcpu} is reset: MCG_STATUS is 0, the machine check banks keep what they hold`);
      return;
    }
    if (this.physical) {
      this.say(
        "hardware",
        undefined,
        "vcpu",
        `processor ${vcpu} is reset: it starts at EL3 with D, A, I and F masked; ESR, FAR, ELR and SPSR have no known value`,
      );
      return;
    }
    const { PC = 0n, PSTATE = 0n } = processor.kvm.registers;
    this.say(
      "kernel",
      undefined,
      "vcpu",
      `vCPU ${vcpu} is reset: PC ${hexNumber(PC)}, ${levelOf(PSTATE)} with D, A, I and F masked (PSTATE ${hexNumber(PSTATE)}), DISR_EL1 clear; ESR, FAR, ELR and SPSR have no known value${pending ? "; the SError that waited is gone" : ""}`,
      { data: { vcpu, PC: hexNumber(PC), PSTATE: hexNumber(PSTATE), pending } },
    );
  }

  /** The operating system that runs. @throws UsageError for one that no model follows. */
  get system(): RunningSystem {
    return systemOf(this.guest);
  }

  /** The host's kernel and its own error sources, from the first record for it on. */
  get host(): HostKernel {
    this.#host ??= new HostKernel({
      clock: () => this.agenda.now,
      wrote: (event) =>
        this.say(
          this.physical ? "monitor" : "el3",
          event.kind === "written" ? "kernel" : undefined,
          event.kind,
          `${this.hostName} ${event.text}${several(event.block)}`,
          {
            ...(lossOf(event) && { bad: true }),
          },
        ),
      did: ({ step, text }) =>
        this.say("kernel", undefined, step, text.replace(/^source /, `${this.hostName} source `), { ...(BAD.has(step) && { bad: true }) }),
    });
    return this.#host;
  }
  /** What the kernel at EL2 is, as seen from here. */
  get hostName(): string {
    return this.physical ? "hypervisor" : "host";
  }
  /** What became of the records of the host's own sources; undefined when there were none. */
  get hostAccounts(): Readonly<Record<number, Readonly<Account>>> | undefined {
    return this.#host && Object.fromEntries([...this.#host.device.state].map(([id, { account }]) => [id, { ...account }]));
  }

  /** Whether a guest physical address is in RAM. */
  isRam(address: bigint): boolean {
    return whereMemory(() => this.#ram.readWord(address, 1)) !== undefined;
  }

  /** Let the guest do something later, unless its machine is reset before. */
  later(milliseconds: number, body: () => void): void {
    const { agenda, kernel } = this;
    agenda.schedule(agenda.now + milliseconds, () => {
      if (this.kernel === kernel) body();
    });
  }

  /** The monitor knows where its sources are. */
  get handedOff(): boolean {
    return this.#locate !== undefined;
  }

  say(from: Lane, to: Lane | undefined, what: string, text: string, more?: Pick<TimelineEntry, "data" | "bad">): void {
    this.timeline.add(from, to, what, text, more);
  }

  /** Sources of the host whose last record nobody has read. */
  get hostUnread(): readonly number[] {
    const device = this.#host?.device;
    return device ? [...device.state.keys()].filter((id) => device.isUnread(id)) : [];
  }

  /** What a processor is called here. */
  get unit(): string {
    return this.physical ? "processor" : "vCPU";
  }

  /** @throws UsageError when there is no such vCPU. */
  processor(vcpu: number): Processor {
    const processor = this.vcpus[vcpu];
    if (!processor) throw new UsageError(`event at ${this.agenda.now} ms: there is no vCPU ${vcpu}`);
    return processor;
  }

  /** What the guest and its machine have for notifications to arrive. */
  get has(): ReadonlySet<Need> {
    const x86 = this.scenario.machine?.architecture === "x86";
    const lacks = new Set<Need>([...(this.guest.lacks ?? []), x86 ? "arm64" : "x86", ...(x86 ? (["abortHandler"] as const) : [])]);
    return new Set((Object.keys(NEED) as Need[]).filter((need) => !lacks.has(need)));
  }

  #deviceSays(event: SourceEvent): void {
    const lost = lossOf(event);
    this.say(
      "monitor",
      event.kind === "written" ? "memory" : undefined,
      event.kind,
      event.kind === "written" ? `${event.text}${several(event.block)}, ${ORDER_WORDS[this.policy.recording.stores]}` : event.text,
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
      this.records.push({ source: event.source ?? 0, bytes: event.block, block: parseErrorStatusBlock(event.block, sectionTypes) });
    this.say("guest", WRITES.has(event.step) ? "memory" : undefined, event.step, `${event.text}${this.#wordNow(event)}`, {
      data: { ...(event.source !== undefined && { source: event.source }), ...(event.address !== undefined && { address: hexNumber(event.address) }) },
      ...(BAD.has(event.step) && { bad: true as const }),
    });
  }

  /** What an acknowledge register reads that several sources share: each must leave the others' bits alone. */
  #wordNow({ step, address }: GuestEvent): string {
    if (step !== "acknowledged" || address === undefined) return "";
    const sharing = this.kernel.devices.filter(({ source }) => source.readAckRegister?.address === address).map(({ id }) => id);
    if (sharing.length < 2) return "";
    const names = `${sharing.slice(0, -1).join(", ")} and ${sharing.at(-1)}`;
    return `, which sources ${names} share: it reads ${hexNumber(this.memory.readWord(address, 8))} now`;
  }
}
