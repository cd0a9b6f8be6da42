/** Syndromes: what ESR_ELx, VSESR_EL2, DISR_EL1 and VDISR_EL2 say, how one becomes the other, and what must not be written to them. */
import { bitRange, EncodeError, fieldLabel, hexNumber, type StructNode, type Tree, valueLabel } from "../layout/index.ts";
import {
  DataAbortSyndrome,
  Disr,
  EXCEPTION_CLASS,
  FAULT_STATUS,
  fieldsOf,
  ImplementationDefinedDisr,
  ImplementationDefinedSErrorSyndrome,
  ImplementationDefinedVsesr,
  InstructionAbortSyndrome,
  knownMask,
  maskOf,
  membersOf,
  OtherSyndrome,
  type RegisterFields,
  SErrorSyndrome,
  shiftOf,
  Vsesr,
  wordOf,
} from "./registers.ts";

/** The forms a syndrome takes; which one applies is said by EC and, for an SError, by IDS. */
export const ESR_FORMS = {
  dataAbort: DataAbortSyndrome,
  instructionAbort: InstructionAbortSyndrome,
  serror: SErrorSyndrome,
  implementationDefinedSError: ImplementationDefinedSErrorSyndrome,
  other: OtherSyndrome,
} as const;
export type EsrForm = keyof typeof ESR_FORMS;
export type EsrFields<F extends EsrForm = EsrForm> = RegisterFields<(typeof ESR_FORMS)[F]>;
/** A decoded ESR_ELx; `fields` belongs to `form`. */
export type Esr = { readonly [F in EsrForm]: { readonly form: F; readonly value: bigint; readonly fields: EsrFields<F> } }[EsrForm];

/** A syndrome without an exception class, told apart by IDS. */
export const VSESR_FORMS = { architected: Vsesr, implementationDefined: ImplementationDefinedVsesr } as const;
export const DISR_FORMS = { architected: Disr, implementationDefined: ImplementationDefinedDisr } as const;
export type SErrorForm = keyof typeof VSESR_FORMS;
type Decoded<T extends Record<SErrorForm, unknown>> = {
  readonly [F in SErrorForm]: { readonly form: F; readonly value: bigint; readonly fields: RegisterFields<T[F]> };
}[SErrorForm];
export type VsesrValue = Decoded<typeof VSESR_FORMS>;
export type DisrValue = Decoded<typeof DISR_FORMS>;

/** What the processor implements. */
export interface Features {
  /** FEAT_RAS: without it SET and AET are RES0. */
  readonly ras: boolean;
  /** FEAT_RASv2: WU, WnRV and WnR of an SError. */
  readonly rasV2?: boolean;
}
/** A processor with the RAS extension. */
export const RAS: Features = { ras: true, rasV2: true };

/** Bits that are wrong, and why. */
export interface Problem {
  /** Field name, or `reserved` for bits of no field. */
  readonly field: string;
  readonly bits: bigint;
  readonly reason: string;
}

const EC = maskOf(SErrorSyndrome, "ec");
const EC_SHIFT = shiftOf(SErrorSyndrome, "ec");
const IDS = maskOf(SErrorSyndrome, "ids");
const IL = maskOf(SErrorSyndrome, "il");
const DEFERRED = maskOf(Disr, "a");
/** ISS: the low 25 bits, IDS included. */
export const ISS_MASK = maskOf(OtherSyndrome, "iss");
/** Bits of VSESR_EL2 that are not RES0: IDS and the 24 bits of syndrome. */
export const VSESR_MASK = IDS | maskOf(ImplementationDefinedVsesr, "implementationDefined");

const formOf = (esr: bigint): EsrForm => {
  switch (Number((esr & EC) >> EC_SHIFT)) {
    case EXCEPTION_CLASS.dataAbortLower[0]:
    case EXCEPTION_CLASS.dataAbortCurrent[0]:
      return "dataAbort";
    case EXCEPTION_CLASS.instructionAbortLower[0]:
    case EXCEPTION_CLASS.instructionAbortCurrent[0]:
      return "instructionAbort";
    case EXCEPTION_CLASS.serror[0]:
      return (esr & IDS) === 0n ? "serror" : "implementationDefinedSError";
    default:
      return "other";
  }
};

/** Read an ESR_ELx value. Any 64 bits decode; `encodeEsr` gives the same value back. */
export function decodeEsr(esr: bigint): Esr {
  const form = formOf(esr);
  return { form, value: esr, fields: fieldsOf(ESR_FORMS[form], esr) } as Esr;
}
/** Write an ESR_ELx value, literally. @throws EncodeError for values that do not fit their field. */
export const encodeEsr = <F extends EsrForm>(form: F, fields: EsrFields<F>): bigint => wordOf(ESR_FORMS[form], fields as never);

/** Read VSESR_EL2. */
export function decodeVsesr(vsesr: bigint): VsesrValue {
  const form: SErrorForm = (vsesr & IDS) === 0n ? "architected" : "implementationDefined";
  return { form, value: vsesr, fields: fieldsOf(VSESR_FORMS[form], vsesr) } as VsesrValue;
}
/** Read DISR_EL1 or VDISR_EL2. */
export function decodeDisr(disr: bigint): DisrValue {
  const form: SErrorForm = (disr & IDS) === 0n ? "architected" : "implementationDefined";
  return { form, value: disr, fields: fieldsOf(DISR_FORMS[form], disr) } as DisrValue;
}

// ---- what must not be written ----

interface Rule {
  readonly field: string;
  readonly wrong: (fields: Readonly<Record<string, unknown>>, features: Features) => boolean;
  readonly reason: string;
}
const status = (fields: Readonly<Record<string, unknown>>): number => {
  const name = fields["fsc"];
  return typeof name === "string" ? FAULT_STATUS[name as keyof typeof FAULT_STATUS][0] : (name as number);
};
const present = (value: unknown): boolean => value !== undefined && value !== 0 && value !== false;
/** Whether a fault status code is a synchronous external abort, on a table walk or not. */
export const isExternalAbort = (fsc: number): boolean => fsc === 0x10 || (fsc >= 0x13 && fsc <= 0x17);
/** Whether a fault status code is a synchronous parity or ECC error, on a table walk or not. */
export const isParityError = (fsc: number): boolean => fsc === 0x18 || (fsc >= 0x1b && fsc <= 0x1f);
/** Whether a fault status code is an external abort or parity error met while walking translation tables. */
export const isOnTableWalk = (fsc: number): boolean => (fsc >= 0x13 && fsc <= 0x17) || (fsc >= 0x1b && fsc <= 0x1f);

/** Whether bits 12:11 are SET: for other faults they can mean something else. */
const hasErrorType = (fsc: number) => isExternalAbort(fsc) || isParityError(fsc);
const ABORT_RULES: readonly Rule[] = [
  {
    field: "set",
    wrong: (f, features) => !features.ras && hasErrorType(status(f)) && f["set"] !== "recoverable",
    reason: "SET is RES0 without the RAS extension",
  },
  { field: "set", wrong: (f, features) => features.ras && status(f) === 0x10 && f["set"] === 1, reason: "SET 1 is reserved" },
  {
    field: "set",
    wrong: (f, features) => features.ras && hasErrorType(status(f)) && f["set"] !== "recoverable" && status(f) !== 0x10,
    reason: "SET is RES0 unless FSC is 0x10, an external abort not on a table walk",
  },
  { field: "fnv", wrong: (f) => f["fnv"] === true && status(f) !== 0x10, reason: "FnV is RES0 unless FSC is 0x10, an external abort not on a table walk" },
  { field: "ea", wrong: (f) => f["ea"] === true && !isExternalAbort(status(f)), reason: "EA is RES0 for anything but an external abort" },
  { field: "fsc", wrong: (f, features) => features.ras && isParityError(status(f)), reason: "FSC of a parity error is reserved with the RAS extension" },
  { field: "fsc", wrong: (f) => typeof f["fsc"] === "number", reason: "FSC is reserved" },
];
/** Fields of a data abort that describe the instruction and hold nothing without ISV. */
const ACCESS_FIELDS = ["sas", "sse", "srt", "sf"] as const;
const ACCESS_RULES: readonly Rule[] = ACCESS_FIELDS.map((field) => ({
  field,
  wrong: (f) => f["isv"] !== true && present(f[field]) && f[field] !== "byte",
  reason: `${field.toUpperCase()} is RES0 without ISV`,
}));
const SERROR_RULES: readonly Rule[] = [
  { field: "aet", wrong: (f, features) => !features.ras && f["aet"] !== "uncontainable", reason: "AET is RES0 without the RAS extension" },
  { field: "aet", wrong: (f) => f["dfsc"] !== "asynchronous" && f["aet"] !== "uncontainable", reason: "AET is RES0 unless DFSC is 0x11" },
  { field: "aet", wrong: (f) => f["dfsc"] === "asynchronous" && typeof f["aet"] === "number", reason: "AET is a reserved value" },
  { field: "ea", wrong: (f) => f["ea"] === true && f["dfsc"] !== "asynchronous", reason: "EA is RES0 unless DFSC is 0x11" },
  { field: "iesb", wrong: (f) => f["iesb"] === true && f["dfsc"] !== "asynchronous", reason: "IESB is RES0 unless DFSC is 0x11" },
  { field: "dfsc", wrong: (f) => typeof f["dfsc"] === "number", reason: "DFSC is reserved" },
  ...(["wu", "wnrv", "wnr"] as const).map((field) => ({
    field,
    wrong: (f: Readonly<Record<string, unknown>>, features: Features) => !features.rasV2 && present(f[field]),
    reason: `${field === "wu" ? "WU" : field === "wnr" ? "WnR" : "WnRV"} is RES0 without version 2 of the RAS extension`,
  })),
];
const length: Rule = { field: "il", wrong: (f) => f["il"] !== true, reason: "IL is 1 for aborts and SErrors" };
const RULES: Readonly<Record<EsrForm, readonly Rule[]>> = {
  dataAbort: [...ABORT_RULES, ...ACCESS_RULES, { ...length, wrong: (f) => f["il"] !== true && f["isv"] !== true }],
  instructionAbort: [...ABORT_RULES, length],
  serror: [...SERROR_RULES, length],
  implementationDefinedSError: [length],
  other: [],
};

/** Bits by number, highest first: `63:32, 25`. */
export function bitList(mask: bigint): string {
  const runs: string[] = [];
  for (let high = 63; high >= 0; high--) {
    if (((mask >> BigInt(high)) & 1n) === 0n) continue;
    let low = high;
    while (low > 0 && ((mask >> BigInt(low - 1)) & 1n) === 1n) low--;
    runs.push(high === low ? `${high}` : `${high}:${low}`);
    high = low;
  }
  return runs.join(", ");
}

function problemsOf(layout: StructNode, name: string, word: bigint, fields: object, rules: readonly Rule[], features: Features): Problem[] {
  const out: Problem[] = [];
  const reserved = word & ~knownMask(layout);
  if (reserved !== 0n) out.push({ field: "reserved", bits: reserved, reason: `${name} bits ${bitList(reserved)} are RES0` });
  for (const rule of rules)
    if (rule.wrong(fields as Record<string, unknown>, features)) out.push({ field: rule.field, bits: maskOf(layout, rule.field), reason: rule.reason });
  return out;
}
const node = (layout: unknown): StructNode => layout as StructNode;

/** What in an ESR_ELx value the architecture does not allow. */
export function esrProblems(esr: bigint, features: Features = RAS): Problem[] {
  const { form, fields } = decodeEsr(esr);
  return problemsOf(node(ESR_FORMS[form]), "ESR_ELx", esr, fields, RULES[form], features);
}
/** What in a VSESR_EL2 value the architecture does not allow. */
export function vsesrProblems(vsesr: bigint, features: Features = RAS): Problem[] {
  const { form, fields } = decodeVsesr(vsesr);
  return problemsOf(node(VSESR_FORMS[form]), "VSESR_EL2", vsesr, fields, form === "architected" ? SERROR_RULES : [], features);
}
/** What in a DISR_EL1 or VDISR_EL2 value the architecture does not allow. */
export function disrProblems(disr: bigint, features: Features = RAS): Problem[] {
  const { form, fields } = decodeDisr(disr);
  const rules = form === "architected" ? SERROR_RULES : [];
  const out = problemsOf(node(DISR_FORMS[form]), "DISR_EL1", disr, fields, rules, features);
  if ((disr & DEFERRED) === 0n && disr !== 0n) out.push({ field: "a", bits: DEFERRED, reason: "a syndrome without A: no SError was deferred" });
  return out;
}

function refuse(register: string, problems: readonly Problem[]): void {
  const problem = problems[0];
  if (problem) throw new EncodeError(`${register}.${problem.field}`, problem.reason);
}
/**
 * An ESR_ELx value that the architecture allows.
 * @throws EncodeError naming the field and the reason: RES0 bits, reserved values, fields that do not apply.
 */
export function buildEsr<F extends EsrForm>(form: F, fields: EsrFields<F>, features: Features = RAS): bigint {
  const esr = encodeEsr(form, fields);
  if (formOf(esr) !== form) throw new EncodeError("esr.ec", `EC ${hexNumber((esr & EC) >> EC_SHIFT)} does not belong to ${fieldLabel(form)}`);
  refuse("esr", esrProblems(esr, features));
  return esr;
}
/** A VSESR_EL2 value that the architecture allows. @throws EncodeError as `buildEsr` does. */
export function buildVsesr<F extends SErrorForm>(form: F, fields: RegisterFields<(typeof VSESR_FORMS)[F]>, features: Features = RAS): bigint {
  const given = form === "implementationDefined" ? { ...(fields as object), ids: true } : fields;
  const vsesr = wordOf(VSESR_FORMS[form], given as never);
  if (form === "architected" && (vsesr & IDS) !== 0n) throw new EncodeError("vsesr.ids", "IDS says the syndrome is implementation defined");
  refuse("vsesr", vsesrProblems(vsesr, features));
  return vsesr;
}
/** A DISR_EL1 or VDISR_EL2 value that the architecture allows, A included. @throws EncodeError as `buildEsr` does. */
export function buildDisr<F extends SErrorForm>(form: F, fields: RegisterFields<(typeof DISR_FORMS)[F]>, features: Features = RAS): bigint {
  const given = { ...(fields as object), a: true, ...(form === "implementationDefined" && { ids: true }) };
  const disr = wordOf(DISR_FORMS[form], given as never);
  if (form === "architected" && (disr & IDS) !== 0n) throw new EncodeError("disr.ids", "IDS says the syndrome is implementation defined");
  refuse("disr", disrProblems(disr, features));
  return disr;
}

// ---- from one register to another ----

const SERROR_HEAD = (BigInt(EXCEPTION_CLASS.serror[0]) << EC_SHIFT) | IL;
const ARCHITECTED_ISS = knownMask(Vsesr);

/** ESR_EL1 when a virtual SError is taken: the hardware adds EC and IL to VSESR_EL2. */
export const esrFromVsesr = (vsesr: bigint): bigint => SERROR_HEAD | (vsesr & ISS_MASK);
/** VDISR_EL2 when the guest's ESB defers a pending virtual SError. */
export const vdisrFromVsesr = (vsesr: bigint): bigint => DEFERRED | (vsesr & VSESR_MASK);
/** DISR_EL1 for an SError that is deferred: A, IDS and what of the syndrome the register has room for. */
export const disrFromEsr = (esr: bigint): bigint => DEFERRED | ((esr & IDS) === 0n ? esr & ARCHITECTED_ISS : esr & ISS_MASK);
/** ESR as Linux rebuilds it from DISR_EL1 (arch/arm64 disr_to_esr behaviour): EC, and by IDS either AET, EA and DFSC or the whole ISS; IL stays 0. */
export function esrFromDisr(disr: bigint): bigint {
  const kept = (disr & IDS) === 0n ? maskOf(Disr, "aet") | maskOf(Disr, "ea") | maskOf(Disr, "dfsc") : ISS_MASK;
  return (SERROR_HEAD & EC) | (disr & kept);
}

// ---- severity ----

/** How bad an SError is, and what the kernel does. */
export interface SErrorVerdict {
  readonly severity: "uncontainable" | "unrecoverable" | "restartable" | "recoverable" | "corrected" | "reserved" | "uncategorized" | "implementationDefined";
  readonly words: string;
  /** Linux 7.2 arch/arm64 do_serror behaviour. */
  readonly linux: "panic" | "continue";
  readonly linuxWords: string;
  /** What a KVM host does when a guest meets it (Linux 7.2 kvm_handle_guest_serror behaviour). */
  readonly kvm: keyof typeof KVM_WORDS;
  readonly kvmWords: string;
}
const KVM_WORDS = {
  hostPanic: "the host panics: the error may have reached it",
  guestSError: "the guest gets a virtual SError with the implementation-defined syndrome of KVM",
  continue: "the guest continues and is not told",
} as const;
const VERDICTS = {
  uncontainable: { kvm: "hostPanic", words: "uncontainable: the error may have spread anywhere", linux: "panic", linuxWords: "panics" },
  unrecoverable: { kvm: "guestSError", words: "unrecoverable: contained, but the processor's state is lost", linux: "panic", linuxWords: "panics" },
  restartable: {
    kvm: "continue",
    words: "restartable: contained, the interrupted program can go on",
    linux: "continue",
    linuxWords: "continues, in the hope that the error is not met again",
  },
  recoverable: {
    kvm: "guestSError",
    words: "recoverable: contained, software must repair before the program goes on",
    linux: "panic",
    linuxWords: "panics, because it has no recovery for an SError",
  },
  corrected: { kvm: "continue", words: "corrected: no harm was done", linux: "continue", linuxWords: "continues" },
  reserved: { kvm: "hostPanic", words: "a reserved error type", linux: "panic", linuxWords: "panics: a reserved type counts as fatal" },
  uncategorized: { kvm: "hostPanic", words: "uncategorized: nothing is known, so uncontainable is assumed", linux: "panic", linuxWords: "panics" },
  implementationDefined: {
    kvm: "guestSError",
    words: "implementation defined: only the processor's maker knows, so uncontainable is assumed",
    linux: "panic",
    linuxWords: "panics",
  },
} as const satisfies Record<SErrorVerdict["severity"], Omit<SErrorVerdict, "severity" | "kvmWords">>;

/** Severity of an SError. @param syndrome ESR_ELx, VSESR_EL2, DISR_EL1 or VDISR_EL2: only IDS and the low 24 bits are read. */
export function serrorVerdict(syndrome: bigint): SErrorVerdict {
  const { form, fields } = decodeVsesr(syndrome & VSESR_MASK);
  const severity =
    form === "implementationDefined"
      ? "implementationDefined"
      : fields.dfsc !== "asynchronous"
        ? "uncategorized"
        : typeof fields.aet === "string"
          ? fields.aet
          : "reserved";
  return { severity, ...VERDICTS[severity], kvmWords: KVM_WORDS[VERDICTS[severity].kvm] };
}

// ---- words ----

/** Values that encode as 0 and say nothing unless another field gives them meaning. */
const SILENT: Readonly<Record<string, { readonly value: string; readonly unless: (fields: Readonly<Record<string, unknown>>) => boolean }>> = {
  sas: { value: "byte", unless: (f) => f["isv"] === true },
  set: { value: "recoverable", unless: (f) => status(f) === 0x10 },
  aet: { value: "uncontainable", unless: (f) => f["dfsc"] === "asynchronous" },
};
/**
 * The fields of a register value as a tree, most significant first; clear bits are left out.
 * @param whole false for a layout that names only some fields of its register: bits of no field are then not RES0.
 */
export function registerTrees(layout: StructNode, word: bigint, whole = true): Tree[] {
  const fields = fieldsOf(layout, word) as Record<string, unknown>;
  const trees: Tree[] = [];
  for (const [name, member] of Object.entries(membersOf(layout)).sort(([, a], [, b]) => bitRange(b)[0] - bitRange(a)[0])) {
    const value = fields[name];
    const silent = SILENT[name];
    if (silent && value === silent.value && !silent.unless(fields)) continue;
    const label = fieldLabel(name);
    if (value === true) trees.push({ label, text: "1" });
    else if (typeof member === "object" && "names" in member) trees.push({ label, text: valueLabel(member.names, value as string | number) });
    else if (value !== undefined && value !== 0) trees.push({ label, text: hexNumber(value as number) });
  }
  if (fields["rest"] !== undefined) trees.push({ label: "other bits", text: hexNumber(fields["rest"] as bigint), ...(whole && { note: "RES0" }) });
  return trees;
}

/** One line for an ESR_ELx value: class, cause and severity. */
export function esrSummary(esr: bigint): string {
  const decoded = decodeEsr(esr);
  const ec = valueLabel(EXCEPTION_CLASS, decoded.fields.ec as string | number);
  switch (decoded.form) {
    case "dataAbort":
    case "instructionAbort":
      return `${ec}: ${valueLabel(FAULT_STATUS, decoded.fields.fsc as string | number)}`;
    case "serror":
    case "implementationDefinedSError":
      return `${ec}: ${serrorVerdict(esr).words}`;
    default:
      return ec;
  }
}
