/** What taking an exception does to a processor: vector, saved state and the registers software finds afterwards (Arm ARM D1.3). */
import { hexNumber } from "../layout/index.ts";
import { type EXCEPTION_CLASS, fieldsOf, MODE, maskOf, ProcessorState, SystemControl, SystemControl2, shiftOf, wordOf } from "./registers.ts";
import { buildEsr, esrFromVsesr, esrSummary } from "./syndrome.ts";

export type Level = "EL0" | "EL1" | "EL2" | "EL3";
export type TargetLevel = Exclude<Level, "EL0">;
export type ExceptionKind = "synchronous" | "irq" | "fiq" | "serror";

/** Offset of the vector's group, by where the exception comes from. */
export const VECTOR_GROUP = { currentSp0: 0x000, currentSpx: 0x200, lowerAarch64: 0x400, lowerAarch32: 0x600 } as const;
/** Offset within the group, by the kind of exception. */
export const VECTOR_KIND = { synchronous: 0x000, irq: 0x080, fiq: 0x100, serror: 0x180 } as const;

/** Registers of one processor by name: PC, PSTATE, VBAR_EL1, SCTLR_EL1, … What is not there is not known. */
export type Registers = Record<string, bigint | undefined>;

/** One register as software finds it after an exception. */
export interface RegisterWrite {
  readonly register: string;
  /** Undefined when the value cannot be known. */
  readonly value: bigint | undefined;
  /** What the value means, or why it is not known. */
  readonly words: string;
}

/** An exception given to a guest: every register it sets, and what could not be known. */
export interface Injection {
  readonly exception: "data abort" | "instruction abort" | "SError";
  /** False when it only waits for the guest to unmask SErrors. */
  readonly taken: boolean;
  /** Level of the guest that takes it. */
  readonly target: TargetLevel;
  /** Where the guest goes on; undefined while pending. */
  readonly vector?: { readonly offset: number; readonly address: bigint | undefined };
  readonly registers: readonly RegisterWrite[];
  /** What could not be known, as sentences. */
  readonly unknown: readonly string[];
}

const MODES = new Map<number, Level>(Object.entries(MODE).map(([name, value]) => [value, name.slice(0, 3).toUpperCase() as Level]));
const stateMask = (field: string) => maskOf(ProcessorState, field);
const AARCH32 = stateMask("aarch32");
const MODE_MASK = stateMask("mode") | AARCH32;
const AARCH32_USER = 0x10n;
/** PSTATE.A: SErrors are masked. */
export const SERROR_MASKED = stateMask("a");

/** The exception level a PSTATE value belongs to: EL0 for AArch32 user mode, EL1 for the other AArch32 modes. */
export function levelOf(pstate: bigint): Level {
  if ((pstate & AARCH32) !== 0n) return (pstate & MODE_MASK) === AARCH32_USER ? "EL0" : "EL1";
  return MODES.get(Number((pstate & stateMask("mode")) >> shiftOf(ProcessorState, "mode"))) ?? "EL1";
}

/** Offset from VBAR of the vector taken. @param pstate of the interrupted program. */
export function vectorOffset(pstate: bigint, target: TargetLevel, kind: ExceptionKind): number {
  const mode = Number(pstate & MODE_MASK);
  const handler = MODE[`${target.toLowerCase()}h` as keyof typeof MODE];
  const group = mode === handler ? "currentSpx" : (mode | 1) === handler ? "currentSp0" : (pstate & AARCH32) !== 0n ? "lowerAarch32" : "lowerAarch64";
  return VECTOR_GROUP[group] + VECTOR_KIND[kind];
}

/** The vector by levels alone, for AArch64 and its own stack pointer. */
export const vectorOffsetByLevel = (interrupted: Level, target: TargetLevel, kind: ExceptionKind): number =>
  VECTOR_GROUP[interrupted === target ? "currentSpx" : "lowerAarch64"] + VECTOR_KIND[kind];

/**
 * PSTATE of a handler (Arm ARM D1.3.1; Linux 7.2 KVM enter_exception64 behaviour): condition flags and DIT kept,
 * D, A, I and F set, PAN set unless SCTLR_ELx.SPAN, SSBS from SCTLR_ELx.DSSBS, TCO set where memory tagging exists.
 */
export function handlerState(pstate: bigint, target: TargetLevel, sctlr: bigint, memoryTagging = false): bigint {
  const keep = ["n", "z", "c", "v", "dit", "pan"].reduce((mask, name) => mask | stateMask(name), 0n);
  let state = (pstate & keep) | wordOf(ProcessorState, { d: true, a: true, i: true, f: true, mode: `${target.toLowerCase()}h` as keyof typeof MODE });
  if ((sctlr & maskOf(SystemControl, "span")) === 0n) state |= stateMask("pan");
  if ((sctlr & maskOf(SystemControl, "dssbs")) !== 0n) state |= stateMask("ssbs");
  if (memoryTagging) state |= stateMask("tco");
  return state;
}

export interface Entry {
  readonly target: TargetLevel;
  readonly kind: ExceptionKind;
  readonly exception: Injection["exception"];
  readonly esr: bigint;
  /** FAR_ELx: an address, `unknown` with the reason, or nothing for an exception that does not write it. */
  readonly far?: { readonly address: bigint } | { readonly unknown: string };
  readonly memoryTagging?: boolean;
}

/** Let a processor take an exception. @returns what it sets; `registers` itself is not changed. */
export function enterException(registers: Registers, entry: Entry): Injection {
  const { target } = entry;
  const writes: RegisterWrite[] = [];
  const unknown: string[] = [];
  const set = (register: string, value: bigint | undefined, words: string) => {
    writes.push({ register, value, words });
    if (value === undefined) unknown.push(`${register}: ${words}`);
  };
  set(`ESR_${target}`, entry.esr, esrSummary(entry.esr));
  if (entry.far !== undefined) {
    if ("address" in entry.far) set(`FAR_${target}`, entry.far.address, "address of the access");
    else set(`FAR_${target}`, undefined, entry.far.unknown);
  }
  const { PC: pc, PSTATE: pstate } = registers;
  set(`ELR_${target}`, pc, pc === undefined ? "the interrupted PC is not known" : "the interrupted instruction: ERET runs it again");
  set(`SPSR_${target}`, pstate, pstate === undefined ? "the interrupted PSTATE is not known" : `the interrupted state, ${levelOf(pstate)}`);
  if (pstate === undefined) {
    set("PC", undefined, "the vector depends on the interrupted PSTATE");
    return { exception: entry.exception, taken: true, target, registers: writes, unknown };
  }
  const offset = vectorOffset(pstate, target, entry.kind);
  const vbar = registers[`VBAR_${target}`];
  const address = vbar === undefined ? undefined : vbar + BigInt(offset);
  set("PC", address, address === undefined ? `VBAR_${target} is not known; the vector is at +${hexNumber(offset)}` : `VBAR_${target} + ${hexNumber(offset)}`);
  const sctlr = registers[`SCTLR_${target}`];
  set(
    "PSTATE",
    sctlr === undefined ? undefined : handlerState(pstate, target, sctlr, entry.memoryTagging),
    sctlr === undefined ? `PAN and SSBS depend on SCTLR_${target}, which is not known` : `${target}h, D, A, I and F masked`,
  );
  return { exception: entry.exception, taken: true, target, vector: { offset, address }, registers: writes, unknown };
}

/** Put what an injection sets into a register file; registers that cannot be known become undefined. */
export function applyInjection(registers: Registers, injection: Injection): void {
  for (const { register, value } of injection.registers) registers[register] = value;
}

export interface AbortOptions {
  readonly abort: "data" | "instruction";
  readonly target: TargetLevel;
  /** Faulting virtual address; without it FnV is set and FAR holds nothing of use. */
  readonly address?: bigint;
  /** Default: external abort, not on a table walk. */
  readonly status?: "externalAbort" | `externalAbortWalkL${"Minus1" | 0 | 1 | 2 | 3}`;
  /** Synchronous error type. Default: recoverable, which encodes as 0. */
  readonly set?: "recoverable" | "restartable" | "uncontainable";
  readonly ea?: boolean;
  readonly write?: boolean;
  /** Bits of the syndrome beside these. */
  readonly iss?: bigint;
  /** SCTLR2_ELx.EASE: the abort arrives at the SError vector. */
  readonly asSError?: boolean;
  readonly memoryTagging?: boolean;
}

/**
 * Give a guest a synchronous external abort with a syndrome of its own making, the way a monitor does that writes
 * the guest's registers itself. Without an address ESR is what QEMU injects: 0x92000410 from EL0, 0x96000410 from EL1.
 */
export function injectAbort(registers: Registers, options: AbortOptions): Injection {
  const { abort, target, address } = options;
  const status = options.status ?? "externalAbort";
  const lower = registers["PSTATE"] === undefined ? undefined : levelOf(registers["PSTATE"]) !== target;
  const ec = `${abort}Abort${lower === false ? "Current" : "Lower"}` as keyof typeof EXCEPTION_CLASS;
  const common = {
    ec,
    il: true,
    set: options.set ?? "recoverable",
    fsc: status,
    ...(options.ea && { ea: true }),
    // On a table walk the architecture always provides the address; there FnV is RES0.
    ...(address === undefined && status === "externalAbort" && { fnv: true }),
  } as const;
  const own = abort === "data" ? buildEsr("dataAbort", { ...common, ...(options.write && { wnr: true }) }) : buildEsr("instructionAbort", common);
  const esr = own | (options.iss ?? 0n);
  const injection = enterException(registers, {
    target,
    kind: options.asSError ? "serror" : "synchronous",
    exception: `${abort} abort`,
    esr,
    far:
      address === undefined
        ? { unknown: `the faulting address is not known; ${common.fnv ? "FnV tells the guest" : "on a table walk nothing can tell the guest"}` }
        : { address },
    ...(options.memoryTagging !== undefined && { memoryTagging: options.memoryTagging }),
  });
  return lower === undefined
    ? { ...injection, unknown: [...injection.unknown, `ESR_${target}.EC: the interrupted level is not known, a lower one is assumed`] }
    : injection;
}

/**
 * A virtual SError as the hardware delivers it: taken at once when PSTATE.A is clear, else left pending
 * in HCR_EL2.VSE with its syndrome in VSESR_EL2.
 */
export function injectVirtualSError(registers: Registers, vsesr: bigint, target: TargetLevel = "EL1", unmaskable = false): Injection {
  const pstate = registers["PSTATE"];
  if (pstate !== undefined && (unmaskable || (pstate & SERROR_MASKED) === 0n))
    return enterException(registers, { target, kind: "serror", exception: "SError", esr: esrFromVsesr(vsesr) });
  return {
    exception: "SError",
    taken: false,
    target,
    registers: [
      { register: "VSESR_EL2", value: vsesr, words: "syndrome the guest will find in ESR_EL1" },
      { register: "HCR_EL2.VSE", value: 1n, words: "a virtual SError is pending" },
    ],
    unknown: pstate === undefined ? ["whether the guest masks SErrors: PSTATE is not known, so it is left pending"] : [],
  };
}

/** Whether SCTLR2_ELx.EASE sends synchronous external aborts to the SError vector (FEAT_DoubleFault2). */
export const abortsAsSErrors = (sctlr2: bigint | undefined): boolean => ((sctlr2 ?? 0n) & maskOf(SystemControl2, "ease")) !== 0n;
/** Whether SCTLR2_ELx.NMEA lets SErrors through PSTATE.A (FEAT_DoubleFault2). */
export const serrorsUnmaskable = (sctlr2: bigint | undefined): boolean => ((sctlr2 ?? 0n) & maskOf(SystemControl2, "nmea")) !== 0n;
/** The fields of a PSTATE or SPSR_ELx value. */
export const stateFields = (pstate: bigint) => fieldsOf(ProcessorState, pstate);
