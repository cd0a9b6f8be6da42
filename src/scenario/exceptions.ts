/**
 * Errors the physical processor notices: every one is routed by the delivery engine, so that the timeline says who
 * takes it, at which vector, with which registers, and where ERET leads.
 */
import { canAlwaysTell, type Delivery, decideDelivery, judgeFirmware, type Situation } from "../arm64/delivery.ts";
import { enterException, type Injection, type Level, type TargetLevel } from "../arm64/exception-entry.ts";
import { buildEsr, decodeEsr, disrFromEsr, type Esr, encodeEsr, esrFromDisr, esrProblems, serrorVerdict } from "../arm64/syndrome.ts";
import { type OperatingSystem, SYSTEMS } from "../guest/operating-system.ts";
import { hexNumber, UsageError } from "../layout/index.ts";
import type { HostNotification } from "./host-kernel.ts";
import type { Hypervisor } from "./hypervisor.ts";
import { FIRMWARE_WORDS, firmwareAction, type ProcessorErrorEvent } from "./language/arm64.ts";
import type { Messenger } from "./messenger.ts";
import { injectionData, injectionWords, type Processor } from "./processor.ts";
import { recordOf } from "./record.ts";
import type { Moment, SeaExitEvent } from "./schema.ts";
import type { Stage } from "./stage.ts";
import type { Lane } from "./timeline.ts";

/** An error that could not be told yet: the hardware or the firmware waits for software that can take it. */
interface Waiting {
  readonly vcpu: number;
  readonly error: ProcessorErrorEvent;
}

const article = (words: Delivery["returnsTo"]) => `the ${words}`;
const SYNCHRONIZED = { no: "nothing synchronised it", esb: "an ESB synchronised it", iesb: "IESB synchronised it" } as const;

/** What processors of a run notice, and how it reaches whoever is told. */
export class Exceptions {
  readonly #stage: Stage;
  readonly #messenger: Messenger;
  readonly #hypervisor: Hypervisor;
  /** A guest's abort that is taken to EL2 goes to the monitor. */
  readonly #toMonitor: (exit: SeaExitEvent) => void;
  /** Errors that wait for their processor to unmask SErrors. */
  #waiting: Waiting[] = [];

  constructor(stage: Stage, messenger: Messenger, hypervisor: Hypervisor, toMonitor: (exit: SeaExitEvent) => void) {
    this.#stage = stage;
    this.#messenger = messenger;
    this.#hypervisor = hypervisor;
    this.#toMonitor = toMonitor;
  }

  /** The lane of firmware at EL3: on a physical machine it stands where a monitor would. */
  get #firmware(): Lane {
    return this.#stage.physical ? "monitor" : "el3";
  }
  /** Level the kernel that reads the records runs at. */
  get #systemLevel(): TargetLevel {
    return this.#stage.guest.level ?? "EL1";
  }
  #laneOf(level: TargetLevel): Lane {
    return level === "EL3" ? this.#firmware : level === this.#systemLevel ? "guest" : "kernel";
  }
  /** The processor notices an error. @throws UsageError for one that cannot come about. */
  notice(error: ProcessorErrorEvent, met: "first" | "again" | "at last" = "first"): void {
    const stage = this.#stage;
    const vcpu = error.vcpu ?? 0;
    const processor = stage.processor(vcpu);
    if (processor.nested)
      throw new UsageError(`event at ${stage.agenda.now} ms: processorError: of a guest with a hypervisor level of its own only what KVM gives it is modelled`);
    checkSyndrome(error, stage);
    const situation = this.#situation(processor, error);
    if (situation.synchronized === "iesb" && !situation.osUsesIesb)
      throw new UsageError(`event at ${stage.agenda.now} ms: ${stage.system.name} does not set SCTLR_ELx.IESB: nothing synchronises errors when it is entered`);
    const decision = decideDelivery(situation);
    if (decision.impossible !== undefined) throw new UsageError(`event at ${stage.agenda.now} ms: ${decision.impossible}`);
    const { interrupted } = situation;
    const first = this.#syndrome(error, situation, decision.takenBy ?? decision.at);
    const kind = error.exception === "sea" ? "synchronous external abort" : "SError";
    const severity = error.exception === "sea" ? "" : `, ${serrorVerdict(first).words}`;
    const masked = error.exception === "sea" ? "" : situation.masked ? ", PSTATE.A set" : ", PSTATE.A clear";
    const how = error.exception === "sea" ? "" : `; ${SYNCHRONIZED[situation.synchronized]}`;
    const again = { first: "", again: "met again: ", "at last": "no longer held back: " }[met];
    const entered = situation.enteredFrom === undefined ? interrupted : `${interrupted}, on an interrupt's entry from ${situation.enteredFrom}`;
    const where = interrupted === "EL2" && !stage.physical ? `the processor of vCPU ${vcpu}` : `${stage.unit} ${vcpu}`;
    stage.say("hardware", undefined, "error", `${again}${kind} on ${where} at ${entered}${masked}${severity}${how}`, {
      data: { vcpu, interrupted, esr: hexNumber(first) },
    });
    const whose = decision.reasons.at(-1)!;
    const [routing, ...rest] = decision.reasons.slice(0, -1);
    if (decision.takenBy === "EL3") {
      this.#say("hardware", this.#firmware, this.#enter(processor, error, situation, "EL3", first, decision), routing);
      for (const reason of rest) stage.say(this.#firmware, undefined, "decision", reason);
    } else for (const reason of [routing!, ...rest]) stage.say("hardware", undefined, "decision", reason);
    stage.say("hardware", undefined, "attribution", `${decision.belongsToIsCertain ? "" : "perhaps "}an error of ${decision.belongsTo}: ${whose}`, {
      data: { belongsTo: decision.belongsTo, certain: decision.belongsToIsCertain },
    });
    if (decision.takenBy === "EL3") this.#judge(error, situation);
    const source = decision.takenBy === "EL3" ? this.#record(error, decision, met) : undefined;
    this.#deliver(vcpu, error, situation, decision, source);
  }

  #situation({ state }: Processor, error: ProcessorErrorEvent): Situation {
    const { ea = false, amo = false, tge = false, tea = false, vhe = false, hasEl2, hasEl3 } = state.routing ?? {};
    const { lastResort } = this.#stage.scenario.machine ?? {};
    return {
      interrupted: state.level ?? "EL0",
      error: error.exception === "sea" ? "synchronous" : "asynchronous",
      // Taking an interrupt masks SErrors; EL0 takes none.
      masked: state.serrorMasked === true || (error.enteredFrom !== undefined && state.level !== undefined && state.level !== "EL0"),
      synchronized: error.synchronizedBy ?? "no",
      osUsesIesb: this.#systemAt(state.level ?? "EL0", tge).iesb,
      ...{ ea, amo, tge, tea, vhe },
      ...(hasEl2 !== undefined && { hasEl2 }),
      ...(hasEl3 !== undefined && { hasEl3 }),
      ...(error.enteredFrom && { enteredFrom: error.enteredFrom }),
      ...(error.needsSei !== undefined && { needsSei: error.needsSei }),
      ...(lastResort && { lastResort }),
    };
  }

  /** ESR of the level that takes it: an abort's class says whether it came from a lower level. */
  #syndrome(error: ProcessorErrorEvent, { interrupted, synchronized }: Situation, at: Level): bigint {
    const given = error.esr === undefined ? undefined : BigInt(error.esr);
    if (error.exception === "serror")
      return (
        given ??
        buildEsr("serror", {
          ec: "serror",
          il: true,
          aet: error.severity ?? "restartable",
          dfsc: "asynchronous",
          ...(synchronized === "iesb" && { iesb: true }),
        })
      );
    const esr =
      given ?? encodeEsr("dataAbort", { ec: "dataAbortLower", il: true, fsc: "externalAbort", ...(error.virtualAddress === undefined && { fnv: true }) });
    return withLevel(decodeEsr(esr), interrupted !== at);
  }

  /** What taking the exception sets. */
  #enter(processor: Processor, error: ProcessorErrorEvent, situation: Situation, target: TargetLevel, esr: bigint, { returnsTo }: Delivery): Taken {
    const abort = error.exception === "sea";
    const injection = enterException(processor.physical(situation.enteredFrom), {
      target,
      kind: abort ? "synchronous" : "serror",
      exception: abort ? (decodeEsr(esr).form === "instructionAbort" ? "instruction abort" : "data abort") : "SError",
      esr,
      ...(abort && { far: faultAddress(error, esr) }),
    });
    // Where the ERET of EL3 leads is the firmware's choice.
    return { injection, returnsTo: `${target === "EL3" ? "" : "ERET goes back to "}${article(returnsTo)}`, esr };
  }
  #say(from: Lane, to: Lane, { injection, returnsTo }: Taken, why?: string): void {
    this.#stage.say(
      from,
      to,
      "taken",
      `${why === undefined ? `${injection.target} takes the ${injection.exception}` : why}: ${injectionWords(injection, returnsTo)}`,
      {
        data: { target: injection.target, ...injectionData(injection) },
      },
    );
  }

  #judge({ firmware = [] }: ProcessorErrorEvent, situation: Situation): void {
    for (const name of firmware) {
      const { allowed, reason } = judgeFirmware(situation, firmwareAction(name));
      this.#stage.say(this.#firmware, undefined, allowed ? "allowed" : "refused", `${FIRMWARE_WORDS[name]}: ${allowed ? "" : "refused: "}${reason}`, {
        ...(!allowed && { bad: true }),
      });
    }
  }

  /** The record goes to whoever is told: here only the modelled kernel has sources. @returns the source it was written for. */
  #record(error: ProcessorErrorEvent, { at }: Delivery, met: string): number | undefined {
    const stage = this.#stage;
    const block = error.record && recordOf(error.record);
    if (!block) return undefined;
    if (!stage.physical || at !== this.#systemLevel) {
      this.#recordForHost(error, block, met);
      return undefined;
    }
    const wanted = error.record?.source;
    const source = wanted ?? stage.subjects[0]?.source;
    if (source === undefined) return undefined;
    if (met !== "first" && stage.device.isUnread(source)) {
      stage.say(this.#firmware, undefined, "record", `source ${source}: its record lies in memory already`);
      return source;
    }
    const outcome = stage.device.record(source, block, { vcpu: error.vcpu ?? 0, notification: undefined, faultAddress: undefined });
    return outcome === "written" ? source : undefined;
  }

  /** Where there is a hypervisor it is its kernel whose sources firmware fills: what becomes of its guests is its business. */
  #recordForHost(error: ProcessorErrorEvent, block: Uint8Array, met: string): void {
    const { host } = this.#stage;
    const notification = hostNotification(error);
    if (met !== "first" && host.hasUnread(notification)) {
      this.#stage.say(this.#firmware, undefined, "record", `the ${this.#stage.hostName}'s record lies in memory already`);
      return;
    }
    host.record(notification, block);
    if (notification === "sei")
      this.#stage.say("kernel", undefined, "consequence", "Linux looks at no source that notifies by SError: what it does depends on the syndrome alone");
  }
  /** The host's kernel asks its sources about an abort. @returns whether one had a record. */
  #hostClaims(error: ProcessorErrorEvent): boolean {
    const stage = this.#stage;
    if (error.record === undefined || !stage.host.hasUnread("sea")) return false;
    const claimed = stage.host.claim();
    if (stage.host.panicked) stage.ended = true;
    return claimed;
  }

  #deliver(vcpu: number, error: ProcessorErrorEvent, situation: Situation, decision: Delivery, source: number | undefined): void {
    const stage = this.#stage;
    const { at, how, takenBy, returnsTo } = decision;
    const actor: Lane = takenBy === "EL3" ? this.#firmware : "hardware";
    const firmware = this.#firmware;
    switch (how) {
      case "exception":
      case "emulated": {
        const taken = this.#enter(stage.processor(vcpu), error, situation, at, this.#syndrome(error, situation, at), decision);
        if (how === "emulated") stage.say(firmware, undefined, "firmware", decision.firmware.slice(1).join("; "));
        this.#say(actor, this.#laneOf(at), taken);
        this.#taken(vcpu, error, situation, decision, taken.esr);
        break;
      }
      case "deferred": {
        const disr = disrFromEsr(this.#syndrome(error, situation, at));
        stage.say(
          actor,
          this.#laneOf(readerOf(situation, at)),
          "deferred",
          `DISR_EL1 = ${hexNumber(disr)}: A and the syndrome; execution goes on at ${article(returnsTo)}`,
          { data: { DISR_EL1: hexNumber(disr) } },
        );
        if (takenBy === "EL3" && situation.synchronized === "iesb") stage.say(firmware, undefined, "consequence", this.#canTell(situation).reason);
        this.#readDisr(vcpu, readerOf(situation, at), disr);
        break;
      }
      case "pending":
        this.#waiting.push({ vcpu, error });
        stage.say("hardware", undefined, "pending", "it waits in the processor; nothing can take it back");
        break;
      case "otherNotification":
        stage.say(firmware, undefined, "firmware", `DISR_EL1 stays clear; ERET goes back to ${article(returnsTo)}`);
        if (source !== undefined) this.#messenger.notify(source, { vcpu, notification: undefined, faultAddress: undefined });
        else if (error.record !== undefined && stage.hostAccounts !== undefined) {
          stage.say(firmware, "kernel", "raised", `an interrupt of the ${stage.hostName}'s hardware error device`);
          stage.host.interrupt();
          if (stage.host.panicked) stage.ended = true;
        }
        break;
      case "lastResort":
        this.#lastResort(vcpu, error, situation, decision, source);
    }
  }

  /** Whose kernel runs at a level, or under a program: that of the scenario's guest, or the Linux of the host. */
  #systemAt(level: "EL0" | "EL1" | "EL2", tge: boolean): OperatingSystem {
    const kernel = level === "EL0" ? (tge ? "EL2" : "EL1") : level;
    return this.#laneOf(kernel) === "guest" ? this.#stage.system : SYSTEMS.linux;
  }
  /** Whether firmware can always tell the kernel of an SError. */
  #canTell({ interrupted, tge }: Situation) {
    const { name, iesb } = this.#systemAt(interrupted, tge);
    return canAlwaysTell({ name, iesbAtEveryChange: iesb });
  }

  #lastResort(vcpu: number, error: ProcessorErrorEvent, situation: Situation, decision: Delivery, source: number | undefined): void {
    const stage = this.#stage;
    const verdict = this.#canTell(situation);
    if (!verdict.always) stage.say(this.#firmware, undefined, "consequence", verdict.reason, { bad: true });
    switch (decision.lastResort) {
      case "reboot":
        this.#reboot(error);
        break;
      case "tellAnotherProcessor": {
        const other = stage.vcpus.findIndex((_, index) => index !== vcpu);
        if (other < 0 || source === undefined) {
          stage.say(this.#firmware, undefined, "consequence", "there is no other processor to tell, or no source to tell of", { bad: true });
          break;
        }
        stage.say(
          this.#firmware,
          undefined,
          "firmware",
          `${this.#stage.unit} ${vcpu} goes on at ${article(decision.returnsTo)}; ${this.#stage.unit} ${other} is told`,
        );
        this.#messenger.notify(source, { vcpu: other, notification: undefined, faultAddress: undefined });
        break;
      }
      default:
        this.#waiting.push({ vcpu, error });
        stage.say(this.#firmware, undefined, "firmware", `ERET to ${article(decision.returnsTo)}; the interrupted software knows nothing yet`, { bad: true });
    }
  }

  /** The record of a physical machine's error is what the kernel finds when it starts again; a host takes its guests along. */
  #reboot({ record }: ProcessorErrorEvent): void {
    const stage = this.#stage;
    const say = (text: string, bad = false) => stage.say(this.#firmware, undefined, "reboot", text, { ...(bad && { bad }) });
    if (!stage.physical) {
      stage.ended = true;
      say("the host is reset, and the machine is gone", true);
      return;
    }
    const block = record && recordOf(record);
    const kept = block !== undefined && stage.platform.keepForBoot(block);
    say(kept ? "the record is left in the boot error region" : "there is no boot error region with room for a record: nobody will know why", !kept);
    this.reset();
  }

  /** The machine is reset: nothing waits any more, and everything starts again. */
  reset(): void {
    this.#waiting = [];
    this.#stage.reset();
    this.#messenger.reset();
  }

  /** Software has the exception: what it makes of it. */
  #taken(vcpu: number, error: ProcessorErrorEvent, { interrupted, tge }: Situation, { at, takenBy }: Delivery, esr: bigint): void {
    const stage = this.#stage;
    const { state } = stage.processor(vcpu);
    if (this.#laneOf(at) === "guest") {
      if (error.exception === "serror") stage.kernel.serror(esr);
      else stage.kernel.notify("sea", 0, { user: interrupted === "EL0", interruptsMasked: state.interruptsMasked === true }).finish();
      return;
    }
    if (tge && interrupted === "EL0" && error.exception === "sea") {
      const claimed = takenBy === "EL3" && this.#hostClaims(error);
      if (stage.ended) return;
      const fate = claimed ? "and its fate hangs on the record" : "which gets SIGBUS";
      stage.say("kernel", undefined, "verdict", `with HCR_EL2.TGE no guest runs: the abort is that of a program of the host, ${fate}`);
      return;
    }
    if (tge || interrupted === "EL2") {
      this.#ownError(esr, error.exception);
      return;
    }
    if (error.exception === "sea") {
      const claimedByHost = takenBy === "EL3" && this.#hostClaims(error);
      if (stage.ended) return;
      if (stage.physical) {
        const words = claimedByHost
          ? "the hypervisor's sources explain the abort of what runs under it"
          : "no source of the hypervisor's explains the abort of what runs under it: that is for its monitor to deal with, as in a virtual machine";
        stage.say("kernel", undefined, "verdict", words, { ...(!claimedByHost && { bad: true }) });
        return;
      }
      this.#toMonitor({
        vcpu,
        esr: hexNumber(esr),
        claimedByHost,
        ...(error.virtualAddress !== undefined && { guestVirtualAddress: error.virtualAddress }),
        ...(error.physicalAddress !== undefined && { guestPhysicalAddress: error.physicalAddress }),
      });
      return;
    }
    const verdict = serrorVerdict(esr);
    const fatal = verdict.kvm === "hostPanic";
    stage.say("kernel", undefined, "verdict", `SError, ${verdict.words}: ${verdict.kvmWords}`, { ...(fatal && { bad: true }) });
    if (fatal) stage.ended = true;
    // KVM's own syndrome: what the host's said of levels and walks means nothing to the guest.
    if (verdict.kvm === "guestSError") this.#hypervisor.setEvents({ vcpu, serrorPending: true }, "kernel");
  }

  /** An error of the kernel at EL2 or of its programs. */
  #ownError(esr: bigint, exception: ProcessorErrorEvent["exception"]): void {
    const stage = this.#stage;
    const { linux, words, linuxWords } = serrorVerdict(esr);
    const dies = exception === "sea" || linux === "panic";
    stage.say(
      "kernel",
      undefined,
      "verdict",
      exception === "sea"
        ? "the abort is the kernel's own: it asks firmware only about those of programs and guests, and dies"
        : `SError, ${words}: the kernel ${linuxWords}`,
      { ...(dies && { bad: true }) },
    );
    if (dies) stage.ended = true;
  }

  #readDisr(vcpu: number, reader: TargetLevel, disr: bigint): void {
    const stage = this.#stage;
    const lane = this.#laneOf(reader);
    const esr = esrFromDisr(disr);
    if (lane === "guest" && !stage.system.readsDisr) {
      stage.say(lane, undefined, "consequence", `${stage.system.name} never looks into DISR_EL1: the error stays there, and nobody knows`, { bad: true });
      return;
    }
    stage.say(lane, undefined, "disr", `${this.#stage.unit} ${vcpu} reads DISR_EL1 ${hexNumber(disr)}, clears it and makes of it ESR ${hexNumber(esr)}`, {
      data: { DISR_EL1: hexNumber(disr), ESR: hexNumber(esr) },
    });
    if (lane === "guest") stage.kernel.serror(esr);
    else this.#ownError(esr, "serror");
  }

  /** How a guest's abort gets to the monitor's host. */
  abortWords(vcpu: number): string {
    const { state, kvm, nested } = this.#stage.processor(vcpu);
    const said = state.level ?? "EL0";
    // KVM runs a guest's hypervisor at EL1.
    const level = nested && said === "EL2" ? "EL1" : said;
    const tea = state.routing?.tea ?? kvm.machine.hostRas;
    const { takenBy, vectorOffset } = decideDelivery({
      ...{ interrupted: level, error: "synchronous", vhe: true, masked: false, ea: false, amo: true, tge: false, tea, synchronized: "no" },
    });
    const route = takenBy === "EL2" && tea ? `taken to EL2 at VBAR_EL2 + ${hexNumber(vectorOffset ?? 0)} (HCR_EL2.TEA)` : "taken to EL2";
    return `abort on vCPU ${vcpu} at ${said}${said === level ? "" : " of its own, which is the processor's EL1"}, ${route}`;
  }

  // ---- what software does ----

  /** A processor's state changed: what waited for it may be taken now. */
  changed(vcpu: number): void {
    const stage = this.#stage;
    const { state } = stage.processor(vcpu);
    if (state.serrorMasked) return;
    const mine = this.#waiting.filter((waiting) => waiting.vcpu === vcpu);
    this.#waiting = this.#waiting.filter((waiting) => waiting.vcpu !== vcpu);
    for (const { error } of mine) {
      const { synchronizedBy: _was, enteredFrom: _from, firmware: _tried, ...rest } = error;
      this.notice(rest, state.routing?.ea ? "again" : "at last");
    }
    this.#hypervisor.unmasked(vcpu);
  }

  /** Software executes an ESB. */
  synchronize({ vcpu = 0 }: NonNullable<Moment["esb"]>): void {
    const stage = this.#stage;
    const { state } = stage.processor(vcpu);
    const lane = state.level === "EL2" ? this.#laneOf("EL2") : "guest";
    stage.say(lane, undefined, "esb", `${stage.unit} ${vcpu} executes an ESB`);
    const waiting = this.#waiting.find((candidate) => candidate.vcpu === vcpu);
    if (waiting) {
      this.#waiting = this.#waiting.filter((candidate) => candidate !== waiting);
      this.notice({ ...waiting.error, synchronizedBy: "esb" }, state.routing?.ea ? "again" : "at last");
      return;
    }
    if (!this.#hypervisor.synchronize(vcpu)) stage.say(lane, undefined, "disr", "nothing was pending: DISR_EL1 reads 0x0");
  }
}

interface Taken {
  readonly injection: Injection;
  readonly returnsTo: string;
  readonly esr: bigint;
}

/** By which of the host's sources firmware tells of an error. */
const hostNotification = ({ exception, needsSei }: ProcessorErrorEvent): HostNotification =>
  exception === "sea" ? "sea" : needsSei === false ? "gsiv" : "sei";

/** What hardware would not give is a mistake of the scenario. @throws UsageError */
function checkSyndrome({ exception, esr }: ProcessorErrorEvent, { agenda }: Stage): void {
  const wrong = (reason: string) => new UsageError(`event at ${agenda.now} ms: processorError${reason}`);
  if (esr === undefined) return;
  const { form, value } = decodeEsr(BigInt(esr));
  const isAbort = form === "dataAbort" || form === "instructionAbort";
  const isSerror = form === "serror" || form === "implementationDefinedSError";
  if (exception === "sea" ? !isAbort : !isSerror)
    throw wrong(`.esr: ${hexNumber(value)} is not the syndrome of ${exception === "sea" ? "an abort" : "an SError"}`);
  const [problem] = esrProblems(value);
  if (problem) throw wrong(`.esr: no hardware gives ${hexNumber(value)}: ${problem.reason}`);
}

/** FAR of an abort: FnV in the syndrome says that there is none. */
function faultAddress({ virtualAddress }: ProcessorErrorEvent, esr: bigint): { readonly address: bigint } | { readonly unknown: string } {
  const { form, fields } = decodeEsr(esr);
  if ((form === "dataAbort" || form === "instructionAbort") && fields.fnv) return { unknown: "FnV tells that it is not known" };
  return virtualAddress === undefined ? { unknown: "the scenario does not say" } : { address: BigInt(virtualAddress) };
}

/** Whose software looks into DISR_EL1: that of the level which ran, or for EL0 of its kernel. */
const readerOf = ({ interrupted }: Situation, at: TargetLevel): TargetLevel => (interrupted === "EL0" ? at : interrupted);

/** The same abort with the class for a lower level or for the same one. */
function withLevel(esr: Esr, lower: boolean): bigint {
  const suffix = lower ? "Lower" : "Current";
  if (esr.form === "dataAbort") return encodeEsr("dataAbort", { ...esr.fields, ec: `dataAbort${suffix}` });
  if (esr.form === "instructionAbort") return encodeEsr("instructionAbort", { ...esr.fields, ec: `instructionAbort${suffix}` });
  return esr.value;
}
