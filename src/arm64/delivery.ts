/**
 * Who takes an error on arm64, and how the operating system comes to know of it: the routing of the hardware
 * (Arm ARM D1.3.5 and the ESB operation) and, where EL3 takes errors first, what its firmware may do with them.
 */
import { hexNumber } from "../layout/index.ts";
import { type Level, type TargetLevel, vectorOffsetByLevel } from "./exception-entry.ts";

/** What firmware does when it can tell the interrupted software nothing. */
export type LastResort = "retry" | "reboot" | "tellAnotherProcessor";
export interface Situation {
  /** Level the processor ran at when the error was noticed; with IESB on an exception's entry, the level entered. */
  readonly interrupted: "EL0" | "EL1" | "EL2";
  /** A synchronous external abort, or an SError. */
  readonly error: "synchronous" | "asynchronous";
  /** HCR_EL2.E2H: the kernel of the host runs at EL2. */
  readonly vhe: boolean;
  /** PSTATE.A: SErrors are masked. */
  readonly masked: boolean;
  /** SCR_EL3.EA. */
  readonly ea: boolean;
  /** HCR_EL2.AMO, of consequence for SErrors. */
  readonly amo: boolean;
  /** HCR_EL2.TGE. */
  readonly tge: boolean;
  /** HCR_EL2.TEA, of consequence for synchronous aborts. */
  readonly tea: boolean;
  /** What made the processor notice: an ESB instruction, the implicit one of IESB at a change of level, or nothing. */
  readonly synchronized: "no" | "esb" | "iesb";
  /** With IESB on an exception's entry: the level the exception came from. */
  readonly enteredFrom?: Level;
  /** Whether the platform has EL3, EL2. Default: both. */
  readonly hasEl3?: boolean;
  readonly hasEl2?: boolean;
  /** Whether the error must reach the operating system as an SError. Default true. */
  readonly needsSei?: boolean;
  /** Default: retry. */
  readonly lastResort?: LastResort;
  /** Whether the operating system has IESB set, so that every change of level synchronises errors, as Linux has. */
  readonly osUsesIesb?: boolean;
}

export interface Delivery {
  /**
   * - `exception`: the hardware takes it to `at`;
   * - `emulated`: EL3 takes it, then makes `at` take it;
   * - `deferred`: the syndrome is in DISR_EL1, put there by the hardware or by EL3;
   * - `pending`: it waits until `at` can take it;
   * - `lastResort`: EL3 took it and cannot tell;
   * - `otherNotification`: EL3 took it, an interrupt or polling tells.
   */
  readonly how: "exception" | "emulated" | "deferred" | "pending" | "lastResort" | "otherNotification";
  /** Level that the hardware interrupts; undefined when it interrupts nobody. */
  readonly takenBy: TargetLevel | undefined;
  /** Level below EL3 that is told, or would be. */
  readonly at: "EL1" | "EL2";
  /** Offset from VBAR of `at` for `exception` and `emulated`. */
  readonly vectorOffset?: number;
  /** Offset from VBAR_EL3 when EL3 takes it first. */
  readonly firmwareVectorOffset?: number;
  /** What runs after the last ERET. */
  readonly returnsTo: "interrupted instruction" | "ESB" | "entered vector" | "instruction after ESB";
  readonly disr: "unchanged" | "syndrome" | "clear";
  readonly lastResort?: LastResort;
  /** Level whose work the error belongs to. */
  readonly belongsTo: Level;
  /** Whether that is certain: something synchronised errors where that level's work ended. */
  readonly belongsToIsCertain: boolean;
  /** Sentences, in the order of the decisions. */
  readonly reasons: readonly string[];
  /** What EL3 does, step by step. */
  readonly firmware: readonly string[];
  /** Why such a situation cannot come about. */
  readonly impossible?: string;
}

const rank = (level: Level) => Number(level[2]);

/** The level below EL3 that the hardware sends an error to, and why. */
function osTarget(s: Situation): { at: "EL1" | "EL2"; reason: string } {
  if (s.hasEl2 === false) return { at: "EL1", reason: "there is no EL2" };
  if (s.error === "synchronous") {
    if (s.interrupted === "EL2") return { at: "EL2", reason: "an abort is never taken to a lower level" };
    if (s.tge) return { at: "EL2", reason: "HCR_EL2.TGE: all exceptions of EL0 go to EL2" };
    if (s.tea) return { at: "EL2", reason: "HCR_EL2.TEA: external aborts go to EL2" };
    return { at: "EL1", reason: "HCR_EL2.TGE and TEA are clear: EL1 takes its own aborts and those of EL0" };
  }
  if (s.tge) return { at: "EL2", reason: "HCR_EL2.TGE: SErrors go to EL2" };
  if (s.amo) return { at: "EL2", reason: "HCR_EL2.AMO: SErrors go to EL2" };
  return { at: "EL1", reason: "HCR_EL2.TGE and AMO are clear: SErrors go to EL1" };
}

/** Why `at` cannot take an SError now; undefined when it can. */
function maskedBecause(s: Situation, at: "EL1" | "EL2"): string | undefined {
  if (rank(at) < rank(s.interrupted)) return `an SError for ${at} cannot be taken while ${s.interrupted} runs`;
  if (!s.masked) return undefined;
  // PSTATE.A holds for the level that takes the exception, and for EL0 where that level is its kernel's.
  const applies = at === "EL1" || s.interrupted === "EL2" || (s.interrupted === "EL0" && s.vhe && s.tge);
  return applies ? `PSTATE.A masks SErrors for ${at}` : undefined;
}

function impossible(s: Situation): string | undefined {
  if (s.interrupted === "EL1" && s.tge && s.hasEl2 !== false) return "with HCR_EL2.TGE nothing can run at EL1: a return to it is illegal";
  if (s.interrupted === "EL2" && s.hasEl2 === false) return "there is no EL2 to be interrupted";
  if (s.error === "synchronous" && s.synchronized !== "no") return "a synchronous abort needs nothing that synchronises it";
  return undefined;
}

function attribution(s: Situation): { belongsTo: Level; belongsToIsCertain: boolean; reason: string } {
  const own = s.interrupted;
  if (s.error === "synchronous") return { belongsTo: own, belongsToIsCertain: true, reason: `the abort is that of an instruction of ${own}` };
  const from = s.enteredFrom ?? (own === "EL0" ? own : undefined);
  if (s.synchronized === "iesb" && from !== undefined)
    return {
      belongsTo: from,
      belongsToIsCertain: true,
      reason: `IESB synchronised on the entry from ${from}: the error belongs to ${from}${from === own ? "" : `, not to ${own}, which was entered`}`,
    };
  if (s.synchronized === "esb" && s.osUsesIesb)
    return { belongsTo: own, belongsToIsCertain: true, reason: `${own} executed the ESB, and errors of other levels were synchronised when it was entered` };
  if (s.synchronized === "no" && s.osUsesIesb)
    return { belongsTo: own, belongsToIsCertain: true, reason: `errors of other levels were synchronised by IESB when ${own} was entered` };
  return {
    belongsTo: own,
    belongsToIsCertain: false,
    reason:
      s.synchronized === "iesb"
        ? `IESB synchronised, but the level left is not known: ${own} at best, SPSR_${own} tells more`
        : `nothing synchronised errors when ${own} was entered: it may be another level's`,
  };
}

const RETURNS = { no: "interrupted instruction", esb: "ESB", iesb: "entered vector" } as const;
const LAST_RESORT: Readonly<Record<LastResort, string>> = {
  retry: "return and hope that the error is met again when it can be told",
  reboot: "reset the machine: the record is found after boot",
  tellAnotherProcessor: "interrupt another processor, whose software reads the record",
};

/** Decide who takes an error and how the operating system is told. */
export function decideDelivery(s: Situation): Delivery {
  const kind = s.error === "synchronous" ? "synchronous" : "serror";
  const { at, reason } = osTarget(s);
  const reasons: string[] = [];
  const firmware: string[] = [];
  const { reason: whose, ...owner } = attribution(s);
  const cannot = impossible(s);
  // EL0 has no vectors: what IESB synchronised there was noticed before the entry.
  const returnsTo = s.error === "synchronous" || (s.synchronized === "iesb" && s.interrupted === "EL0") ? RETURNS.no : RETURNS[s.synchronized];
  const common = { at, ...owner, reasons, firmware, ...(cannot !== undefined && { impossible: cannot }) };
  const firmwareFirst = s.ea && s.hasEl3 !== false;
  if (s.ea && s.hasEl3 === false) reasons.push("there is no EL3, so there is no SCR_EL3.EA");
  const blocked = s.error === "asynchronous" ? maskedBecause(s, at) : undefined;

  if (!firmwareFirst) {
    reasons.push(reason);
    if (blocked === undefined) {
      const vectorOffset = vectorOffsetByLevel(s.interrupted, at, kind);
      if (s.masked && s.error === "asynchronous") reasons.push(`PSTATE.A of ${s.interrupted} does not mask SErrors for ${at}`);
      reasons.push(`${at} takes it at VBAR_${at} + ${hexNumber(vectorOffset)}`, whose);
      return { ...common, how: "exception", takenBy: at, vectorOffset, returnsTo, disr: "unchanged" };
    }
    reasons.push(blocked);
    if (s.synchronized === "esb") {
      reasons.push("the ESB defers it: syndrome and A into DISR_EL1", whose);
      return { ...common, how: "deferred", takenBy: undefined, returnsTo: "instruction after ESB", disr: "syndrome" };
    }
    if (s.synchronized === "iesb") reasons.push("the implicit ESB does not defer");
    reasons.push(`it stays pending until ${at} can take it`, whose);
    return { ...common, how: "pending", takenBy: undefined, returnsTo, disr: "unchanged" };
  }

  const firmwareVectorOffset = vectorOffsetByLevel(s.interrupted, "EL3", kind);
  const first = { ...common, takenBy: "EL3", firmwareVectorOffset } as const;
  reasons.push(`SCR_EL3.EA: EL3 takes it first, at VBAR_EL3 + ${hexNumber(firmwareVectorOffset)}`);
  if (s.error === "asynchronous" && s.masked) reasons.push("PSTATE.A of a lower level does not mask SErrors for EL3");
  if (s.synchronized === "esb") reasons.push(`an ESB at ${s.interrupted} does not keep SErrors from EL3`);
  firmware.push("write the error record");
  if (s.error === "asynchronous" && s.needsSei === false) {
    reasons.push("the error needs no SError: an interrupt or polling tells", whose);
    firmware.push("clear DISR_EL1", "raise the interrupt, or leave the record to polling", `ERET to the ${returnsTo}`);
    return { ...first, how: "otherNotification", returnsTo, disr: "clear" };
  }
  reasons.push(reason);
  if (blocked === undefined) {
    const vectorOffset = vectorOffsetByLevel(s.interrupted, at, kind);
    if (s.masked && s.error === "asynchronous") reasons.push(`PSTATE.A of ${s.interrupted} does not mask SErrors for ${at}`);
    reasons.push(`EL3 makes ${at} take it at VBAR_${at} + ${hexNumber(vectorOffset)}`, whose);
    firmware.push(
      `ESR_${at} = ESR_EL3${s.error === "synchronous" ? `, its EC for ${s.interrupted === at ? "the same" : "a lower"} level` : ""}`,
      ...(s.error === "synchronous" ? [`FAR_${at} = FAR_EL3`] : []),
      `ELR_${at} = ELR_EL3, so that its ERET goes to the ${returnsTo}`,
      `SPSR_${at} = SPSR_EL3`,
      `SPSR_EL3 = ${at}h with D, A, I and F masked`,
      `ELR_EL3 = VBAR_${at} + ${hexNumber(vectorOffset)}`,
      "ERET",
    );
    return { ...first, how: "emulated", vectorOffset, returnsTo, disr: "unchanged" };
  }
  reasons.push(blocked);
  if (s.synchronized !== "no") {
    reasons.push(`${s.synchronized === "esb" ? "an ESB" : "IESB"} synchronised it, so ${s.interrupted} will look into DISR_EL1`, whose);
    firmware.push("DISR_EL1 = A and the syndrome of ESR_EL3", `ERET to the ${returnsTo}`);
    return { ...first, how: "deferred", returnsTo, disr: "syndrome" };
  }
  const lastResort = s.lastResort ?? "retry";
  reasons.push(
    "nothing synchronised it, so nobody looks into DISR_EL1, and an exception would destroy ELR and SPSR of the masked software",
    s.osUsesIesb
      ? "with IESB at every change of level this is an error of the masked stretch itself: all others can be told"
      : "without IESB at every change of level it may be an error of another level that can no longer be told",
    `last resort: ${LAST_RESORT[lastResort]}`,
    whose,
  );
  firmware.push(LAST_RESORT[lastResort]);
  return { ...first, how: "lastResort", returnsTo, disr: "unchanged", lastResort };
}

/** A virtual SError that a hypervisor made pending with HCR_EL2.VSE. */
export interface VirtualSituation {
  /** Level of the guest that runs. */
  readonly interrupted: "EL0" | "EL1";
  readonly amo: boolean;
  readonly tge: boolean;
  /** PSTATE.A of the guest. */
  readonly masked: boolean;
  /** The guest executes an ESB. */
  readonly esb: boolean;
}
export interface VirtualDelivery {
  readonly how: "exception" | "deferred" | "pending" | "impossible";
  /** Offset from the guest's VBAR_EL1 when it is taken. */
  readonly vectorOffset?: number;
  readonly reasons: readonly string[];
}
/** Decide what becomes of a pending virtual SError: it is the guest's EL1 that takes it, with the syndrome in VSESR_EL2. */
export function decideVirtualSError(s: VirtualSituation): VirtualDelivery {
  if (s.tge) return { how: "impossible", reasons: ["HCR_EL2.TGE: no guest runs, virtual SErrors are off"] };
  if (!s.amo) return { how: "impossible", reasons: ["HCR_EL2.AMO is clear: virtual SErrors are off"] };
  if (!s.masked) {
    const vectorOffset = vectorOffsetByLevel(s.interrupted, "EL1", "serror");
    return { how: "exception", vectorOffset, reasons: [`EL1 takes it at VBAR_EL1 + ${hexNumber(vectorOffset)}, ESR_EL1 from VSESR_EL2`] };
  }
  if (s.esb) return { how: "deferred", reasons: ["PSTATE.A masks it", "the ESB defers it: VSESR_EL2 and A into VDISR_EL2, which the guest reads as DISR_EL1"] };
  return { how: "pending", reasons: ["PSTATE.A masks it", "it stays pending in HCR_EL2.VSE"] };
}

/** Whether firmware at EL3 can always tell an operating system of an SError, and why. */
export function canAlwaysTell(os: { readonly name: string; readonly iesbAtEveryChange: boolean }): { readonly always: boolean; readonly reason: string } {
  return os.iesbAtEveryChange
    ? { always: true, reason: `${os.name} sets IESB: errors are synchronised at every change of level, and a masked one is told through DISR_EL1` }
    : { always: false, reason: `${os.name} does not set IESB: an SError met while it masks them may have no one who looks into DISR_EL1` };
}

// ---- refusals ----

/** What firmware at EL3 may try after it took an error. */
export type FirmwareAction =
  | { readonly does: "emulateException"; readonly at: "EL1" | "EL2"; readonly vectorOffset?: number; readonly returnsTo?: Delivery["returnsTo"] }
  | { readonly does: "writeDisr" | "clearDisr" | "retry" | "reboot" | "tellAnotherProcessor" | "interruptOrPolling" }
  | { readonly does: "changeHcr" | "injectVirtualSError" | "unmaskSErrors" };
export interface Judgement {
  readonly allowed: boolean;
  readonly reason: string;
}
/** What firmware must never do, whatever the situation. */
const FIRMWARE_NEVER = {
  changeHcr: "HCR_EL2 is the hypervisor's: it may hold the routing of a guest that runs, and the hypervisor does not expect it to change",
  injectVirtualSError:
    "a virtual SError from EL3 goes past the hypervisor to whatever guest runs: HCR_EL2.VSE and VSESR_EL2 are the hypervisor's, and so is the choice of guest",
  unmaskSErrors: "software that masks SErrors cannot take an exception: its ELR and SPSR are in use",
} as const;

/** Judge what firmware does about an error it took. */
export function judgeFirmware(situation: Situation, action: FirmwareAction): Judgement {
  const no = (reason: string): Judgement => ({ allowed: false, reason });
  const yes = (reason: string): Judgement => ({ allowed: true, reason });
  const { does } = action;
  if (does === "changeHcr" || does === "injectVirtualSError" || does === "unmaskSErrors") return no(FIRMWARE_NEVER[does]);
  const right = decideDelivery(situation);
  if (right.takenBy !== "EL3") return no("EL3 does not take this error: SCR_EL3.EA is clear");
  const why = right.reasons.at(-2) ?? "";
  switch (does) {
    case "emulateException":
      if (right.how === "otherNotification") return no("the error needs no SError: an interrupt or polling tells");
      if (right.how !== "emulated") return no(`${right.at} cannot take an exception now: ${why}`);
      if (action.at !== right.at) return no(`the exception belongs to ${right.at}: ${osTarget(situation).reason}`);
      if (action.vectorOffset !== undefined && action.vectorOffset !== right.vectorOffset)
        return no(`the vector is at + ${hexNumber(right.vectorOffset!)}, not + ${hexNumber(action.vectorOffset)}`);
      if (action.returnsTo !== undefined && action.returnsTo !== right.returnsTo) return no(`ELR_${right.at} must lead back to the ${right.returnsTo}`);
      return yes(why);
    case "writeDisr":
      return right.how === "deferred"
        ? yes(why)
        : no(
            right.how === "emulated"
              ? `${right.at} can take the exception; a syndrome in DISR_EL1 may never be read`
              : right.how === "otherNotification"
                ? "the error needs no SError: DISR_EL1 stays clear"
                : "nothing synchronised the error: nobody looks into DISR_EL1",
          );
    case "clearDisr":
    case "interruptOrPolling":
      return right.how === "otherNotification" ? yes(why) : no("the error must reach the operating system as an SError");
    default:
      if (right.how !== "lastResort") return no(`the operating system can be told: ${why}`);
      return does === right.lastResort ? yes(LAST_RESORT[does]) : no(`the configured last resort is another: ${LAST_RESORT[right.lastResort!]}`);
  }
}

/** What a monitor may try on behalf of its guest. */
export interface MonitorAction {
  readonly does: "useOwnSyndrome" | "reuseHostSyndrome" | "runGuestFirmware" | "injectVirtualSError";
  /** For a virtual SError: whether HCR_EL2, VSESR_EL2 and VDISR_EL2 are this monitor's and not lent to a nested hypervisor. */
  readonly ownsHypervisorRegisters?: boolean;
}
/** Judge what a monitor does: it is the firmware of its guest, and must not pass on what is not the guest's. */
export function judgeMonitor(action: MonitorAction): Judgement {
  switch (action.does) {
    case "reuseHostSyndrome":
      return {
        allowed: false,
        reason: "the host's syndrome describes an exception to EL2: levels, walks and implementation-defined fields mean nothing to the guest",
      };
    case "runGuestFirmware":
      return { allowed: false, reason: "the monitor is the guest's firmware: guest code that handles errors would run in the middle of the guest's own state" };
    case "injectVirtualSError":
      return action.ownsHypervisorRegisters === true
        ? { allowed: true, reason: "HCR_EL2, VSESR_EL2 and VDISR_EL2 are the monitor's own" }
        : { allowed: false, reason: "HCR_EL2, VSESR_EL2 and VDISR_EL2 are not the monitor's own: the virtual SError would reach another's guest" };
    default:
      return { allowed: true, reason: "the syndrome is made for the guest from what is known" };
  }
}
