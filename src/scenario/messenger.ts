/** How the guest of a run is told of a record: notifications, the exceptions behind them, and the guest's timers. */
import type { NotificationName } from "../acpi/notification.ts";
import type { Injection } from "../arm64/exception-entry.ts";
import type { Handling } from "../guest/kernel.ts";
import { ERROR_NOTIFICATION, GENERIC_EVENT_DEVICE } from "../host/event-device.ts";
import { NEED, NOTIFICATION_KIND, NotificationController, type Signal } from "../host/notification.ts";
import { hexNumber, UsageError } from "../layout/index.ts";
import type { Hypervisor } from "./hypervisor.ts";
import { injectionData, injectionWords, type Processor } from "./processor.ts";
import type { Stage } from "./stage.ts";

/** Whom to tell, and how, once a record is written. */
export interface Notice {
  readonly vcpu: number;
  readonly notification: NotificationName | undefined;
  readonly faultAddress: bigint | undefined;
  /** How an exit for an external abort is answered. */
  readonly answer?: "data" | "instruction" | undefined;
  /** The thread that answers it; default: the vCPU's own. */
  readonly thread?: string | undefined;
}
/** Whatever notifies the error device: its driver looks at all sources of these kinds. */
const TOGETHER: ReadonlySet<NotificationName> = new Set(["sci", "gpioSignal", "gsiv"]);
const PLAIN_NOTICE: Notice = { vcpu: 0, notification: undefined, faultAddress: undefined };

/** Brings notifications to the guest and keeps what has to wait. */
export class Messenger {
  readonly #stage: Stage;
  readonly #hypervisor: Hypervisor;
  readonly #controllers = new Map<NotificationName, NotificationController>();
  /** What is told with the notification that is being raised. */
  #notice: Notice = PLAIN_NOTICE;
  /** Whether an abort was given since somebody last asked. */
  #answered = false;

  constructor(stage: Stage, hypervisor: Hypervisor) {
    this.#stage = stage;
    this.#hypervisor = hypervisor;
    this.#startTimers();
  }

  /** The machine was reset: nothing is pending, and another kernel has booted. */
  reset(): void {
    this.#controllers.clear();
    this.#startTimers();
  }

  /** The kernel that has just booted looks at its polled sources from now on. */
  #startTimers(): void {
    for (const { source, milliseconds } of this.#stage.kernel.timers) this.#poll(source, milliseconds);
  }

  /** Whether the guest was given an abort since the last call. */
  takeAnswered(): boolean {
    const answered = this.#answered;
    this.#answered = false;
    return answered;
  }

  /** Raise a source's notification. */
  notify(source: number, notice: Notice): void {
    const stage = this.#stage;
    const { vcpu, notification } = notice;
    const own = stage.subjects.find((subject) => subject.source === source);
    const type = notification ?? own?.type;
    if (!type) {
      stage.say("monitor", undefined, "unheard", `source ${source} has no notification the monitor knows: the record waits unseen`, { bad: true });
      return;
    }
    if (stage.physical && type === "sei")
      throw new UsageError(`event at ${stage.agenda.now} ms: an SError of a physical machine is noticed by its processor: say it as a processorError`);
    const subject = { source, type, vector: own?.vector ?? 0, pollInterval: own?.pollInterval ?? 0 };
    const controller = this.#controller(type);
    const { words } = NOTIFICATION_KIND[type];
    if (type === "gpioSignal") stage.platform.events.raise(GENERIC_EVENT_DEVICE.errorEvent);
    stage.say("monitor", "controller", "raised", `source ${source} has a record: ${words}${subject.vector > 0 ? ` (${subject.vector})` : ""}`, {
      data: { source, type },
    });
    this.#notice = notice;
    const raised = controller.raise(subject, vcpu);
    if (raised.state === "pending" && raised.until === "unmasked") stage.say("controller", undefined, "pending", `${stage.unit} ${vcpu} masks it: it waits`);
    if (raised.state === "pending" && raised.until === "nextPoll") stage.say("controller", undefined, "pending", "the next poll will find it");
    if (raised.state === "undeliverable")
      stage.say(
        "controller",
        undefined,
        "undeliverable",
        `it cannot arrive, the record waits unseen: the guest lacks ${raised.missing.map((need) => NEED[need]).join("; ")}`,
        { bad: true },
      );
  }

  /** A vCPU unmasked: deliver what waits for it. */
  release(vcpu: number): void {
    for (const controller of this.#controllers.values()) controller.release({ vcpu });
  }

  #controller(type: NotificationName): NotificationController {
    let controller = this.#controllers.get(type);
    if (!controller) {
      controller = new NotificationController(type, {
        has: this.#stage.has,
        masks: (vcpu) => {
          const { interruptsMasked = false, eventsMasked = false } = this.#stage.processor(vcpu).state;
          // A masked SError waits in the hypervisor's registers, not in a controller.
          return { interrupts: interruptsMasked, events: eventsMasked };
        },
        deliver: (signal) => this.#deliver(signal),
      });
      this.#controllers.set(type, controller);
    }
    return controller;
  }

  #deliver({ type, source, vector, vcpu }: Signal): void {
    const stage = this.#stage;
    const processor = stage.processor(vcpu);
    const { state } = processor;
    const level = processor.guestLevel;
    if (type === "sea") {
      const injection = this.#abort(processor, vcpu);
      stage.say("controller", "guest", "delivered", `${injection.exception} on vCPU ${vcpu} at ${level}: ${injectionWords(injection)}`, {
        data: { type, vcpu, ...injectionData(injection) },
      });
    } else if (type === "sei") {
      this.#hypervisor.giveVirtual(vcpu);
      return;
    } else {
      stage.say("controller", "guest", "delivered", `${NOTIFICATION_KIND[type].words}, on ${stage.unit} ${vcpu}`, { data: { type, vcpu, vector } });
      if (type === "gpioSignal" && stage.platform.events.line) this.#readEvents();
    }
    const handling = stage.kernel.notify(type, type === "polled" ? source : vector, {
      user: processor.asksFirmware,
      interruptsMasked: state.interruptsMasked === true,
    });
    if (handling.records === 0 && !stage.kernel.devices.some(({ id }) => id === source))
      stage.say("guest", undefined, "unread", `source ${source}: no driver is bound, so nobody reads the record`, { bad: true });
    else if (handling.records === 0 && !stage.kernel.panicked && this.#isOverheard(source, type))
      stage.say("guest", undefined, "unread", `source ${source}: nobody looks at it for this notification: the record lies unread`, { bad: true });
    processor.returnFromException();
    this.#finishLater(handling);
  }

  /** Whether a source is bound to another notification than the one that came. */
  #isOverheard(source: number, type: NotificationName): boolean {
    const own = this.#stage.kernel.devices.find(({ id }) => id === source)?.notification;
    return own !== undefined && own !== type && !(TOGETHER.has(own) && TOGETHER.has(type)) && this.#stage.device.isUnread(source);
  }

  /** The guest's interrupt handler asks the event device what happened, and AML notifies the error device. */
  #readEvents(): void {
    const { base } = GENERIC_EVENT_DEVICE;
    const events = this.#stage.memory.readWord(base, 4);
    this.#stage.say(
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
    const stage = this.#stage;
    const { answer, faultAddress, thread = `vcpu${vcpu}` } = this.#notice;
    this.#answered = true;
    const machine = processor.kvm.machine;
    const capability = answer === "instruction" ? "KVM_CAP_ARM_INJECT_EXT_IABT" : "KVM_CAP_ARM_INJECT_EXT_DABT";
    if (answer !== undefined && faultAddress !== undefined && machine.checkExtension(capability)) {
      const result = processor.kvm.setEvents(answer === "instruction" ? { extIabtPending: 1 } : { extDabtPending: 1 }, thread);
      for (const misuse of result.misuse) stage.say("monitor", undefined, "misuse", misuse, { bad: true });
      const [injection] = result.injections;
      if (injection) return injection;
    } else if (answer !== undefined) {
      const { exit } = processor.kvm;
      // KVM does not see who writes registers; the vCPU's state is its thread's all the same.
      if (exit !== undefined && exit.thread !== thread)
        stage.say("monitor", undefined, "misuse", `the exit came on thread ${exit.thread}, it is answered on ${thread}`, { bad: true });
      stage.say(
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
    const delay = this.#stage.guest.handling ?? 0;
    if (delay === 0 || handling.records === 0) handling.finish();
    else this.#stage.later(delay, () => handling.finish());
  }

  #poll(source: number, milliseconds: number): void {
    const { agenda, kernel, vcpus } = this.#stage;
    this.#stage.later(milliseconds, () => {
      if (kernel.panicked) return;
      const told = this.#controllers.get("polled")?.release({ source }) ?? 0;
      // The timer looks whether anybody raised something or not.
      if (told === 0 && vcpus[0]?.state.interruptsMasked !== true) this.#finishLater(kernel.notify("polled", source));
      // The timer runs for ever: it is followed only as long as something else is going to happen.
      if (!agenda.isEmpty || this.#controllers.get("polled")?.counts.pending) this.#poll(source, milliseconds);
    });
  }
}
