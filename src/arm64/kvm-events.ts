/**
 * KVM_SET_VCPU_EVENTS: what a monitor hands in, the rules in the order the kernel applies them, and what comes of it
 * (Linux 7.2 arch/arm64/kvm behaviour, and two proposals of 2025).
 */
import type { Injection } from "./exception-entry.ts";
import type { Capability, KvmDialect, ProposedSyndromeVcpuEvents, VcpuEvents } from "./kvm-layouts.ts";
import { maskOf } from "./registers.ts";
import { ESR_FORMS, ISS_MASK, VSESR_MASK } from "./syndrome.ts";

/** Errors as KVM returns them. */
export const KVM_ERRNO = { ENOEXEC: 8, EINVAL: 22 } as const;
type Errno = keyof typeof KVM_ERRNO;

export interface SetEventsResult {
  /** What the ioctl returns: 0 or a negative error number. */
  readonly result: number;
  /** The rule that decided. */
  readonly rule: string;
  /** What reached the guest, also when a later rule failed. */
  readonly injections: readonly Injection[];
  /** Programming errors: the kernel does not notice them. */
  readonly misuse: readonly string[];
  /** What follows for the guest, and what could not be known. */
  readonly consequences: readonly string[];
}
/** Events with every field optional; all dialects fit. */
export type Events = VcpuEvents & ProposedSyndromeVcpuEvents;

/** KVM's own SError syndrome: IDS and nothing else. */
export const KVM_DEFAULT_SERROR = maskOf(ESR_FORMS.implementationDefinedSError, "ids");
const nonZero = (bytes: Uint8Array | undefined) => bytes?.some((byte) => byte !== 0) ?? false;

/** What the rules need of a vCPU. */
export interface EventsTarget {
  readonly machine: { readonly dialect: KvmDialect; readonly hostRas: boolean; has(capability: Capability): boolean };
  readonly initialised: boolean;
  readonly serrorPending: boolean;
  injectPendingAbort(call: SetEventsCall, abort: "data" | "instruction"): void;
  injectPendingSError(call: SetEventsCall, esr: bigint): void;
}
/** One call on its way through the rules. */
export interface SetEventsCall {
  readonly vcpu: EventsTarget;
  readonly events: Events;
  readonly thread: string;
  readonly injections: Injection[];
  readonly misuse: string[];
  readonly consequences: string[];
}
interface SetEventsRule {
  readonly words: string;
  /** Default: all. */
  readonly dialects?: readonly KvmDialect[];
  when(call: SetEventsCall): boolean;
  effect?(call: SetEventsCall): void;
  /** Ends the call; without it the next rule is tried. */
  readonly result?: 0 | Errno;
}
const always = () => true;
const PROPOSED: readonly KvmDialect[] = ["proposed", "proposed-syndrome"];
const machine = (call: SetEventsCall) => call.vcpu.machine;

/** The rules of KVM_SET_VCPU_EVENTS in the order they are applied. What one has done stays done when a later one fails. */
export const SET_EVENTS_RULES: readonly SetEventsRule[] = [
  { words: "the vCPU is not initialised", when: (call) => !call.vcpu.initialised, result: "ENOEXEC" },
  { words: "a byte of pad or reserved is not zero", when: ({ events }) => nonZero(events.pad) || nonZero(events.reserved), result: "EINVAL" },
  {
    words: "ext_dabt_pending without KVM_CAP_ARM_INJECT_EXT_DABT: the byte is padding",
    when: (call) => Boolean(call.events.extDabtPending) && !machine(call).has("KVM_CAP_ARM_INJECT_EXT_DABT"),
    result: "EINVAL",
  },
  {
    words: "ext_iabt_pending without KVM_CAP_ARM_INJECT_EXT_IABT: the byte is padding",
    when: (call) => Boolean(call.events.extIabtPending) && !machine(call).has("KVM_CAP_ARM_INJECT_EXT_IABT"),
    result: "EINVAL",
  },
  {
    words: "serror_has_esr or ext_abt_has_esr, but the host has no RAS extension",
    dialects: ["proposed-syndrome"],
    when: (call) => (Boolean(call.events.serrorHasEsr) || Boolean(call.events.extAbtHasEsr)) && !machine(call).hostRas,
    result: "EINVAL",
  },
  {
    words: "serror_esr or ext_abt_esr has bits outside 24:0",
    dialects: ["proposed-syndrome"],
    when: ({ events }) =>
      (Boolean(events.serrorHasEsr) && ((events.serrorEsr ?? 0n) & ~ISS_MASK) !== 0n) ||
      (Boolean(events.extAbtHasEsr) && ((events.extAbtEsr ?? 0n) & ~ISS_MASK) !== 0n),
    result: "EINVAL",
  },
  {
    words: "ext_dabt_pending and ext_iabt_pending at once",
    dialects: PROPOSED,
    when: ({ events }) => Boolean(events.extDabtPending) && Boolean(events.extIabtPending),
    result: "EINVAL",
  },
  {
    words: "ext_dabt_pending: the data abort is injected and committed at once",
    when: ({ events }) => Boolean(events.extDabtPending),
    effect: (call) => call.vcpu.injectPendingAbort(call, "data"),
  },
  {
    words: "ext_iabt_pending: the instruction abort is injected and committed at once",
    dialects: PROPOSED,
    when: ({ events }) => Boolean(events.extIabtPending),
    effect: (call) => call.vcpu.injectPendingAbort(call, "instruction"),
  },
  {
    words: "serror_pending is 0: done, has_esr and esr are not looked at",
    when: ({ events }) => !events.serrorPending,
    effect: (call) => {
      if (call.vcpu.serrorPending) call.consequences.push("the SError that is pending stays pending: it cannot be cancelled");
    },
    result: 0,
  },
  { words: "serror_has_esr, but the host has no RAS extension", when: (call) => Boolean(call.events.serrorHasEsr) && !machine(call).hostRas, result: "EINVAL" },
  {
    words: "serror_esr has bits outside 24:0, which are RES0 in VSESR_EL2",
    when: ({ events }) => Boolean(events.serrorHasEsr) && ((events.serrorEsr ?? 0n) & ~VSESR_MASK) !== 0n,
    result: "EINVAL",
  },
  {
    words: "serror_pending with a syndrome",
    when: ({ events }) => Boolean(events.serrorHasEsr),
    effect: (call) => call.vcpu.injectPendingSError(call, call.events.serrorEsr ?? 0n),
    result: 0,
  },
  {
    words: "serror_pending without a syndrome: KVM takes IDS and nothing else",
    when: always,
    effect: (call) => call.vcpu.injectPendingSError(call, KVM_DEFAULT_SERROR),
    result: 0,
  },
];

/** Let the rules decide about a call. */
export function applySetEvents(call: SetEventsCall): SetEventsResult {
  for (const rule of SET_EVENTS_RULES) {
    if (rule.dialects !== undefined && !rule.dialects.includes(call.vcpu.machine.dialect)) continue;
    if (!rule.when(call)) continue;
    rule.effect?.(call);
    if (rule.result !== undefined) {
      const { injections, misuse, consequences } = call;
      return { result: rule.result === 0 ? 0 : -KVM_ERRNO[rule.result], rule: rule.words, injections, misuse, consequences };
    }
  }
  throw new TypeError("the last rule of KVM_SET_VCPU_EVENTS always decides");
}
