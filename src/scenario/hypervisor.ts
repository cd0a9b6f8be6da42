/** KVM and its monitor: calls, exits, and the virtual SErrors of guests. */
import { decideVirtualSError, judgeMonitor } from "../arm64/delivery.ts";
import type { Injection } from "../arm64/exception-entry.ts";
import type { SetEventsResult } from "../arm64/kvm-events.ts";
import { encodeEsr, esrFromDisr } from "../arm64/syndrome.ts";
import { hexNumber } from "../layout/index.ts";
import { type KvmExitEvent, MONITOR_WORDS, type SetEventsEvent } from "./language/arm64.ts";
import { CONTAINED, injectionData, injectionWords } from "./processor.ts";
import type { Moment } from "./schema.ts";
import type { Stage } from "./stage.ts";

const ERRNO_NAMES: Readonly<Record<number, string>> = { 8: "ENOEXEC", 22: "EINVAL" };
const EXIT_WORDS = {
  mmio: "an access to a device (KVM_EXIT_MMIO)",
  nisv: "an access without instruction syndrome (KVM_EXIT_ARM_NISV)",
  other: "another reason, such as a signal",
} as const;
/** A data abort of EL0 for an access to a device: a translation fault with nothing else said. */
const DATA_ABORT = encodeEsr("dataAbort", { ec: "dataAbortLower", il: true, fsc: 0x07 });

/** The hypervisor under the guest of a run. */
export class Hypervisor {
  readonly #stage: Stage;

  constructor(stage: Stage) {
    this.#stage = stage;
  }

  /** The monitor asks for an SError in its guest, with a syndrome made for it. */
  giveVirtual(vcpu: number): void {
    const stage = this.#stage;
    const { state, kvm, guestLevel } = stage.processor(vcpu);
    const { amo = true, tge = false } = state.routing ?? {};
    // A level of its own for hypervisors exists in KVM alone: there it is KVM that makes the guest take exceptions to it.
    const decision =
      guestLevel === "EL2" ? undefined : decideVirtualSError({ interrupted: guestLevel, amo, tge, masked: state.serrorMasked === true, esb: false });
    if (decision?.how === "impossible") {
      stage.say("kernel", undefined, "undeliverable", `no virtual SError: ${decision.reasons.join("; ")}`, { bad: true });
      return;
    }
    const syndrome = kvm.machine.hostRas ? { serrorHasEsr: 1, serrorEsr: CONTAINED } : {};
    const result = kvm.setEvents({ serrorPending: 1, ...syndrome }, `vcpu${vcpu}`);
    for (const injection of result.injections) this.#injected(vcpu, injection);
    stage.processor(vcpu).returnFromException();
  }

  /** A vCPU takes SErrors again: what waited for it is taken. */
  unmasked(vcpu: number): void {
    const processor = this.#stage.processor(vcpu);
    const injection = processor.kvm.unmaskSErrors();
    if (injection) this.#virtual(vcpu, injection);
    processor.returnFromException();
  }

  /** A vCPU executes an ESB. @returns whether a virtual SError was pending. */
  synchronize(vcpu: number): boolean {
    const stage = this.#stage;
    const { state, kvm, guestLevel, nested } = stage.processor(vcpu);
    if (!kvm.serrorPending || (state.level === "EL2" && !nested)) return false;
    const interrupted = guestLevel === "EL2" ? "EL1" : guestLevel;
    const decision = decideVirtualSError({ interrupted, amo: true, tge: false, masked: state.serrorMasked === true, esb: true });
    const disr = kvm.synchronizeErrors();
    stage.say("hardware", "guest", "deferred", `${decision.reasons.join("; ")}: DISR_EL1 = ${hexNumber(disr)}`, { data: { DISR_EL1: hexNumber(disr) } });
    const esr = esrFromDisr(disr);
    if (!stage.system.readsDisr) {
      stage.say("guest", undefined, "consequence", `${stage.system.name} never looks into DISR_EL1: the error stays there, and nobody knows`, { bad: true });
      return true;
    }
    stage.say("guest", undefined, "disr", `vCPU ${vcpu} reads DISR_EL1 ${hexNumber(disr)}, clears it and makes of it ESR ${hexNumber(esr)}`);
    kvm.registers["VDISR_EL2"] = 0n;
    stage.kernel.serror(esr);
    return true;
  }

  /** KVM_SET_VCPU_EVENTS. @param by the monitor, or KVM on its own account. */
  setEvents(event: SetEventsEvent, by: "monitor" | "kernel" = "monitor"): void {
    const stage = this.#stage;
    const { vcpu = 0, thread = `vcpu${vcpu}`, serrorPending, serrorEsr, extDabtPending, extIabtPending, extAbtEsr } = event;
    const { kvm } = stage.processor(vcpu);
    const flags = [
      serrorPending && `serror_pending${serrorEsr === undefined ? "" : `, serror_esr ${hexNumber(BigInt(serrorEsr))}`}`,
      extDabtPending && "ext_dabt_pending",
      extIabtPending && "ext_iabt_pending",
      extAbtEsr !== undefined && `ext_abt_esr ${hexNumber(BigInt(extAbtEsr))}`,
    ].filter(Boolean);
    if (by === "monitor")
      stage.say("monitor", "kernel", "setEvents", `KVM_SET_VCPU_EVENTS on vCPU ${vcpu}: ${flags.length === 0 ? "nothing pending" : flags.join(", ")}`);
    const result = kvm.setEvents(
      {
        serrorPending: serrorPending ? 1 : 0,
        serrorHasEsr: serrorEsr === undefined ? 0 : 1,
        serrorEsr: BigInt(serrorEsr ?? 0),
        extDabtPending: extDabtPending ? 1 : 0,
        ...(extIabtPending && { extIabtPending: 1 }),
        ...(extAbtEsr !== undefined && { extAbtHasEsr: 1, extAbtEsr: BigInt(extAbtEsr) }),
      },
      thread,
    );
    if (by === "monitor") this.#answer(result);
    for (const misuse of result.misuse) stage.say("monitor", undefined, "misuse", `programming error: ${misuse}`, { bad: true });
    for (const consequence of result.consequences) stage.say("kernel", undefined, "consequence", consequence);
    for (const injection of result.injections) this.#injected(vcpu, injection);
    stage.processor(vcpu).returnFromException();
  }
  #answer({ result, rule }: SetEventsResult): void {
    const bad = result !== 0;
    this.#stage.say("kernel", "monitor", "returned", bad ? `-${ERRNO_NAMES[-result] ?? -result}: ${rule}` : "0", { ...(bad && { bad: true }) });
  }
  #injected(vcpu: number, injection: Injection): void {
    const stage = this.#stage;
    if (!injection.taken) {
      stage.say("kernel", undefined, "pending", `vCPU ${vcpu} masks SErrors: it waits (${injectionWords(injection)}); it cannot be taken back`);
      return;
    }
    if (injection.exception === "SError") {
      this.#virtual(vcpu, injection);
      return;
    }
    stage.say("kernel", "guest", "delivered", `${injection.exception} on vCPU ${vcpu}: ${injectionWords(injection)}`, {
      data: { vcpu, ...injectionData(injection) },
    });
    const { state, asksFirmware } = stage.processor(vcpu);
    stage.kernel.notify("sea", 0, { user: asksFirmware, interruptsMasked: state.interruptsMasked === true }).finish();
  }

  /** KVM_RUN returned for another reason than an abort. */
  exit({ kind, vcpu = 0, guestVirtualAddress }: KvmExitEvent): void {
    const { kvm } = this.#stage.processor(vcpu);
    const fault = guestVirtualAddress === undefined ? undefined : { esr: DATA_ABORT, far: BigInt(guestVirtualAddress) };
    kvm.returnToMonitor(kind, `vcpu${vcpu}`, fault);
    this.#stage.say(
      "kernel",
      "monitor",
      "exit",
      `KVM_RUN of vCPU ${vcpu} returns: ${EXIT_WORDS[kind]}${fault ? `, at virtual address ${hexNumber(fault.far)}` : ""}`,
    );
  }

  /** The monitor tries something. */
  attempt(does: NonNullable<Moment["monitorTries"]>): void {
    const { allowed, reason } = judgeMonitor({ does, ownsHypervisorRegisters: this.#stage.policy.ownsHypervisor });
    this.#stage.say("monitor", undefined, allowed ? "allowed" : "refused", `${MONITOR_WORDS[does]}: ${allowed ? "" : "refused: "}${reason}`, {
      ...(!allowed && { bad: true }),
    });
  }

  /** A virtual SError is taken by the guest. */
  #virtual(vcpu: number, injection: Injection): void {
    const stage = this.#stage;
    const esr = injection.registers.find(({ register }) => register === `ESR_${injection.target}`)?.value ?? 0n;
    stage.say("kernel", "guest", "delivered", `SError on vCPU ${vcpu}: ${injectionWords(injection)}`, { data: { vcpu, ...injectionData(injection) } });
    stage.kernel.serror(esr);
  }
}
