/**
 * Notification controllers: how word of a new record reaches the guest, for every type HEST knows. What differs
 * between the types is a row of a table; the controller that works from a row is the same for all.
 */
import type { NotificationName } from "../acpi/notification.ts";

/** Something the guest or its machine must have. */
export const NEED = {
  pollInterval: "a poll interval above zero in HEST",
  interruptRoute: "a GSIV the guest can route to an interrupt handler",
  localVector: "a handler on the local interrupt controller's vector",
  hedDevice: "a hardware error device (PNP0C33) in the DSDT and its driver",
  generalEvents: "a generic event device whose event notifies the hardware error device",
  sciHandler: "ACPI events enabled, so that an SCI is looked at",
  nmiHandler: "an NMI handler that asks the error sources",
  correctedInterrupt: "a CMCI handler that reads the machine check banks",
  machineCheck: "machine checks enabled (CR4.MCE)",
  arm64: "an arm64 processor",
  x86: "an x86 processor",
  abortHandler: "a synchronous abort handler that asks firmware for records",
  serrorVector: "the RAS extension, so that the SError carries a syndrome the guest can read",
  eventRegistered: "the software delegated exception registered and enabled, with a non-zero event number",
} as const;
export type Need = keyof typeof NEED;

/** When a notification that was raised gets to the guest. */
type Arrival = "nextPoll" | "now";
/** What can hold it back on a vCPU. */
type Mask = "interrupts" | "serror" | "events" | "nothing";

export interface NotificationKind {
  readonly arrival: Arrival;
  readonly maskedBy: Mask;
  readonly needs: readonly Need[];
  /** How it gets there, for people. */
  readonly words: string;
}

/** The twelve types of ACPI 6.5 table 18.14. */
export const NOTIFICATION_KIND: Readonly<Record<NotificationName, NotificationKind>> = {
  polled: { arrival: "nextPoll", maskedBy: "interrupts", needs: ["pollInterval"], words: "a timer looks at the block" },
  externalInterrupt: { arrival: "now", maskedBy: "interrupts", needs: ["interruptRoute"], words: "an interrupt of its own" },
  localInterrupt: { arrival: "now", maskedBy: "interrupts", needs: ["x86", "localVector"], words: "a local interrupt" },
  sci: { arrival: "now", maskedBy: "interrupts", needs: ["sciHandler", "hedDevice"], words: "the system control interrupt" },
  nmi: { arrival: "now", maskedBy: "nothing", needs: ["x86", "nmiHandler"], words: "a non-maskable interrupt" },
  cmci: { arrival: "now", maskedBy: "interrupts", needs: ["x86", "correctedInterrupt"], words: "a corrected machine check interrupt" },
  mce: { arrival: "now", maskedBy: "nothing", needs: ["x86", "machineCheck"], words: "a machine check exception" },
  gpioSignal: { arrival: "now", maskedBy: "interrupts", needs: ["hedDevice", "generalEvents"], words: "an event of the generic event device" },
  sea: { arrival: "now", maskedBy: "nothing", needs: ["arm64", "abortHandler"], words: "a synchronous external abort" },
  sei: { arrival: "now", maskedBy: "serror", needs: ["arm64", "serrorVector"], words: "an SError interrupt" },
  gsiv: { arrival: "now", maskedBy: "interrupts", needs: ["interruptRoute", "hedDevice"], words: "an interrupt of the hardware error device" },
  sdei: { arrival: "now", maskedBy: "events", needs: ["arm64", "eventRegistered"], words: "a software delegated exception" },
};

/** What a vCPU holds back at the moment. */
export interface Masks {
  readonly interrupts?: boolean;
  readonly serror?: boolean;
  readonly events?: boolean;
}

/** One source's notification, as HEST describes it. */
export interface Subject {
  readonly source: number;
  readonly type: NotificationName;
  /** GSIV or event number. */
  readonly vector: number;
  /** Milliseconds. */
  readonly pollInterval: number;
}

export interface Signal extends Subject {
  readonly vcpu: number;
}

export type Raised =
  | { readonly state: "delivered" }
  /** Held until the guest's timer looks, or until the vCPU unmasks. */
  | { readonly state: "pending"; readonly until: "nextPoll" | "unmasked" }
  /** It never arrives: the record stays where it is, unseen. */
  | { readonly state: "undeliverable"; readonly missing: readonly Need[] };

export interface ControllerOptions {
  /** What the guest and its machine have. */
  readonly has: ReadonlySet<Need>;
  /** What a vCPU masks now. */
  readonly masks: (vcpu: number) => Masks;
  /** The guest is told. */
  readonly deliver: (signal: Signal) => void;
}

/** The controller of one notification type. */
export class NotificationController {
  readonly type: NotificationName;
  readonly kind: NotificationKind;
  /** Raised so far, and what became of it: `raised` is the sum of the others. */
  readonly counts = { raised: 0, delivered: 0, coalesced: 0, undeliverable: 0, pending: 0 };
  readonly #options: ControllerOptions;
  readonly #pending = new Map<string, Signal>();

  constructor(type: NotificationName, options: ControllerOptions) {
    this.type = type;
    this.kind = NOTIFICATION_KIND[type];
    this.#options = options;
  }

  /** What stands between this source's notification and the guest. */
  missing(subject: Subject): Need[] {
    return this.kind.needs.filter((need) => {
      if (need === "pollInterval") return subject.pollInterval === 0;
      if (need === "eventRegistered" && subject.vector === 0) return true;
      return !this.#options.has.has(need);
    });
  }

  raise(subject: Subject, vcpu = 0): Raised {
    this.counts.raised++;
    const missing = this.missing(subject);
    if (missing.length > 0) {
      this.counts.undeliverable++;
      return { state: "undeliverable", missing };
    }
    const signal = { ...subject, vcpu };
    if (this.kind.arrival === "now" && !this.#isMasked(vcpu)) {
      this.counts.delivered++;
      this.#options.deliver(signal);
      return { state: "delivered" };
    }
    // A line that is up already cannot go up again: the guest finds all records when it looks.
    const key = `${subject.source}/${vcpu}`;
    if (this.#pending.has(key)) this.counts.coalesced++;
    else {
      this.#pending.set(key, signal);
      this.counts.pending++;
    }
    return { state: "pending", until: this.kind.arrival === "nextPoll" ? "nextPoll" : "unmasked" };
  }

  /** The guest's timer looks at a source (polled), or a vCPU unmasked: deliver what waits. @returns how many were delivered. */
  release(filter: { readonly vcpu?: number; readonly source?: number } = {}): number {
    let delivered = 0;
    for (const [key, signal] of [...this.#pending]) {
      if (filter.vcpu !== undefined && filter.vcpu !== signal.vcpu) continue;
      if (filter.source !== undefined && filter.source !== signal.source) continue;
      if (this.#isMasked(signal.vcpu)) continue;
      this.#pending.delete(key);
      this.counts.pending--;
      this.counts.delivered++;
      delivered++;
      this.#options.deliver(signal);
    }
    return delivered;
  }

  #isMasked(vcpu: number): boolean {
    const { maskedBy } = this.kind;
    return maskedBy !== "nothing" && this.#options.masks(vcpu)[maskedBy] === true;
  }
}
