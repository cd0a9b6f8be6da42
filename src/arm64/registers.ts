/**
 * The arm64 system registers that carry or steer errors, as layouts of one 64-bit word each
 * (Arm ARM chapter D24; field positions as Linux 7.2 and KVM use them).
 */
import { type BitMember, bitRange, bits, type Decoded, decode, encode, type Names, type StructNode, struct } from "../layout/index.ts";

type Members = Readonly<Record<string, BitMember>>;

/** A 64-bit register: one word of bits. What no field names lands in `rest`. */
const register = <const B extends Members>(name: string, doc: string, members: B) => struct(name, 8, doc, { bits: bits(8, doc, members) });

/** Exception classes: why an exception was taken. */
export const EXCEPTION_CLASS = {
  unknown: [0x00, "unknown reason"],
  wfx: [0x01, "trapped WFI or WFE"],
  fpAccess: [0x07, "trapped floating-point or SIMD access"],
  illegalState: [0x0e, "illegal execution state"],
  svc64: [0x15, "SVC"],
  hvc64: [0x16, "HVC"],
  smc64: [0x17, "SMC"],
  systemRegister: [0x18, "trapped system register access"],
  instructionAbortLower: [0x20, "instruction abort from a lower exception level"],
  instructionAbortCurrent: [0x21, "instruction abort from the same exception level"],
  pcAlignment: [0x22, "PC alignment fault"],
  dataAbortLower: [0x24, "data abort from a lower exception level"],
  dataAbortCurrent: [0x25, "data abort from the same exception level"],
  spAlignment: [0x26, "SP alignment fault"],
  serror: [0x2f, "SError"],
  breakpointLower: [0x30, "breakpoint from a lower exception level"],
  breakpointCurrent: [0x31, "breakpoint from the same exception level"],
  softwareStepLower: [0x32, "software step from a lower exception level"],
  softwareStepCurrent: [0x33, "software step from the same exception level"],
  watchpointLower: [0x34, "watchpoint from a lower exception level"],
  watchpointCurrent: [0x35, "watchpoint from the same exception level"],
  brk64: [0x3c, "BRK"],
} as const satisfies Names;

/** Fault status codes of data and instruction aborts (DFSC, IFSC). */
export const FAULT_STATUS = {
  addressSizeL0: [0x00, "address size fault, level 0"],
  addressSizeL1: [0x01, "address size fault, level 1"],
  addressSizeL2: [0x02, "address size fault, level 2"],
  addressSizeL3: [0x03, "address size fault, level 3"],
  translationL0: [0x04, "translation fault, level 0"],
  translationL1: [0x05, "translation fault, level 1"],
  translationL2: [0x06, "translation fault, level 2"],
  translationL3: [0x07, "translation fault, level 3"],
  accessFlagL0: [0x08, "access flag fault, level 0"],
  accessFlagL1: [0x09, "access flag fault, level 1"],
  accessFlagL2: [0x0a, "access flag fault, level 2"],
  accessFlagL3: [0x0b, "access flag fault, level 3"],
  permissionL0: [0x0c, "permission fault, level 0"],
  permissionL1: [0x0d, "permission fault, level 1"],
  permissionL2: [0x0e, "permission fault, level 2"],
  permissionL3: [0x0f, "permission fault, level 3"],
  externalAbort: [0x10, "synchronous external abort, not on a table walk"],
  tagCheck: [0x11, "synchronous tag check fault"],
  externalAbortWalkLMinus1: [0x13, "synchronous external abort on a table walk, level -1"],
  externalAbortWalkL0: [0x14, "synchronous external abort on a table walk, level 0"],
  externalAbortWalkL1: [0x15, "synchronous external abort on a table walk, level 1"],
  externalAbortWalkL2: [0x16, "synchronous external abort on a table walk, level 2"],
  externalAbortWalkL3: [0x17, "synchronous external abort on a table walk, level 3"],
  parity: [0x18, "synchronous parity or ECC error, not on a table walk"],
  parityWalkLMinus1: [0x1b, "synchronous parity or ECC error on a table walk, level -1"],
  parityWalkL0: [0x1c, "synchronous parity or ECC error on a table walk, level 0"],
  parityWalkL1: [0x1d, "synchronous parity or ECC error on a table walk, level 1"],
  parityWalkL2: [0x1e, "synchronous parity or ECC error on a table walk, level 2"],
  parityWalkL3: [0x1f, "synchronous parity or ECC error on a table walk, level 3"],
  alignment: [0x21, "alignment fault"],
  tlbConflict: [0x30, "TLB conflict abort"],
  unsupportedAtomic: [0x35, "unsupported exclusive or atomic access"],
} as const satisfies Names;

/** Synchronous error type (SET) of an external abort: how far the processor's state can be trusted. */
export const SYNCHRONOUS_ERROR_TYPE = {
  recoverable: [0, "recoverable (UER)"],
  uncontainable: [2, "uncontainable (UC)"],
  restartable: [3, "restartable (UEO)"],
} as const satisfies Names;

/** Asynchronous error type (AET) of an SError. */
export const ASYNCHRONOUS_ERROR_TYPE = {
  uncontainable: [0, "uncontainable (UC)"],
  unrecoverable: [1, "unrecoverable (UEU)"],
  restartable: [2, "restartable (UEO)"],
  recoverable: [3, "recoverable (UER)"],
  corrected: [6, "corrected (CE)"],
} as const satisfies Names;

/** Fault status codes of an SError. */
export const SERROR_STATUS = {
  uncategorized: [0x00, "uncategorized"],
  asynchronous: [0x11, "asynchronous SError"],
} as const satisfies Names;

const ACCESS_SIZE = { byte: 0, halfword: 1, word: 2, doubleword: 3 } as const satisfies Names;

const head = { ec: { at: [26, 6], names: EXCEPTION_CLASS }, il: 25 } as const;
const abort = {
  set: { at: [11, 2], names: SYNCHRONOUS_ERROR_TYPE },
  fnv: 10,
  ea: 9,
  s1ptw: 7,
  fsc: { at: [0, 6], names: FAULT_STATUS },
} as const;
/** An SError's syndrome in the architected format, as ESR_ELx, VSESR_EL2, DISR_EL1 and VDISR_EL2 share it. */
const architected = {
  wu: [16, 2],
  aet: { at: [10, 3], names: ASYNCHRONOUS_ERROR_TYPE },
  ea: 9,
  wnrv: 7,
  wnr: 6,
  dfsc: { at: [0, 6], names: SERROR_STATUS },
} as const;
const implementationDefined = { ids: 24, implementationDefined: [0, 24] } as const;

export const DataAbortSyndrome = register("ESR_ELx of a data abort", "Arm ARM D24.2, ESR_ELx", {
  hdbssf: 43,
  tnd: 42,
  tagAccess: 41,
  gcs: 40,
  assuredOnly: 39,
  overlay: 38,
  dirtyBit: 37,
  xs: [32, 5],
  ...head,
  isv: 24,
  sas: { at: [22, 2], names: ACCESS_SIZE },
  sse: 21,
  srt: [16, 5],
  sf: 15,
  ar: 14,
  vncr: 13,
  ...abort,
  cm: 8,
  wnr: 6,
});
export const InstructionAbortSyndrome = register("ESR_ELx of an instruction abort", "Arm ARM D24.2, ESR_ELx", { ...head, ...abort });
export const SErrorSyndrome = register("ESR_ELx of an SError", "Arm ARM D24.2, ESR_ELx, IDS 0", { ...head, ids: 24, pfv: 14, iesb: 13, ...architected });
export const ImplementationDefinedSErrorSyndrome = register("ESR_ELx of an SError, implementation defined", "Arm ARM D24.2, ESR_ELx, IDS 1", {
  ...head,
  ...implementationDefined,
});
export const OtherSyndrome = register("ESR_ELx of another exception", "Arm ARM D24.2, ESR_ELx", { iss2: [32, 24], ...head, iss: [0, 25] });

export const Vsesr = register("VSESR_EL2", "Arm ARM D24.2, VSESR_EL2: the syndrome of the next virtual SError", { ids: 24, ...architected });
export const ImplementationDefinedVsesr = register("VSESR_EL2, implementation defined", "Arm ARM D24.2, VSESR_EL2", implementationDefined);
/** DISR_EL1 and, for a guest, VDISR_EL2: the syndrome of an SError that an ESB deferred. */
export const Disr = register("DISR_EL1, VDISR_EL2", "Arm ARM D24.2, DISR_EL1 and VDISR_EL2", { a: 31, ids: 24, ...architected });
export const ImplementationDefinedDisr = register("DISR_EL1, VDISR_EL2, implementation defined", "Arm ARM D24.2, DISR_EL1 and VDISR_EL2", {
  a: 31,
  ...implementationDefined,
});

/** The fields of HCR_EL2 that route errors; everything else is in `rest`. */
export const HypervisorConfiguration = register("HCR_EL2", "Arm ARM D24.2, HCR_EL2: routing of errors", {
  amo: 5,
  vse: 8,
  tge: 27,
  e2h: 34,
  terr: 36,
  tea: 37,
});
export const SecureConfiguration = register("SCR_EL3", "Arm ARM D24.2, SCR_EL3: routing of errors", { ea: 3 });
/** The fields of SCTLR_ELx that matter when an exception is taken. */
export const SystemControl = register("SCTLR_ELx", "Arm ARM D24.2, SCTLR_ELx: synchronisation and entry", { iesb: 21, span: 23, dssbs: 44 });
export const SystemControl2 = register("SCTLR2_ELx", "Arm ARM D24.2, SCTLR2_ELx: FEAT_DoubleFault2", { nmea: 2, ease: 5 });
export const ProcessorFeatures = register("ID_AA64PFR0_EL1", "Arm ARM D24.2, ID_AA64PFR0_EL1", {
  ras: { at: [28, 4], names: { none: 0, v1: [1, "RAS extension v1"], v1p1: [2, "RAS extension v1.1"] } },
});
export const MODE = { el0t: 0x00, el1t: 0x04, el1h: 0x05, el2t: 0x08, el2h: 0x09, el3t: 0x0c, el3h: 0x0d } as const satisfies Names;
/** PSTATE as saved in SPSR_ELx by an exception from AArch64. */
export const ProcessorState = register("SPSR_ELx", "Arm ARM D24.2, SPSR_ELx from AArch64", {
  n: 31,
  z: 30,
  c: 29,
  v: 28,
  tco: 25,
  dit: 24,
  uao: 23,
  pan: 22,
  ss: 21,
  il: 20,
  allint: 13,
  ssbs: 12,
  btype: [10, 2],
  d: 9,
  a: 8,
  i: 7,
  f: 6,
  aarch32: 4,
  mode: { at: [0, 4], names: MODE },
});

/** The fields of a register: single bits are present when set, fields with known values are names. */
export type RegisterFields<L> = Decoded<L> extends { bits: infer B } ? B : never;

/** Every register layout, for tables and laws. */
export const REGISTERS = {
  dataAbort: DataAbortSyndrome,
  instructionAbort: InstructionAbortSyndrome,
  serror: SErrorSyndrome,
  implementationDefinedSError: ImplementationDefinedSErrorSyndrome,
  other: OtherSyndrome,
  vsesr: Vsesr,
  implementationDefinedVsesr: ImplementationDefinedVsesr,
  disr: Disr,
  implementationDefinedDisr: ImplementationDefinedDisr,
  hcr: HypervisorConfiguration,
  scr: SecureConfiguration,
  sctlr: SystemControl,
  sctlr2: SystemControl2,
  pfr0: ProcessorFeatures,
  spsr: ProcessorState,
} as const;

/** Split a register value into its fields; bits of no field are in `rest`. @param word 64 bits. */
export function fieldsOf<L extends { readonly kind: "struct"; readonly name: string }>(layout: L, word: bigint): RegisterFields<L> {
  const bytes = new Uint8Array(8);
  new DataView(bytes.buffer).setBigUint64(0, word, true);
  return (decode(layout as never, bytes) as { bits: RegisterFields<L> }).bits;
}

/** Join fields to a register value, literally: `rest` and reserved values included. @throws EncodeError for values that do not fit. */
export function wordOf<L extends { readonly kind: "struct"; readonly name: string }>(layout: L, fields: RegisterFields<L>): bigint {
  const bytes = encode(layout as never, { bits: fields } as never) as Uint8Array;
  return new DataView(bytes.buffer, bytes.byteOffset).getBigUint64(0, true);
}

/** The fields of a register by name, in the order of the layout. */
export function membersOf(layout: StructNode): Members {
  const node = layout.fields["bits"];
  if (node?.kind !== "bits") throw new TypeError(`${layout.name} is not a register`);
  return node.members;
}
/** Mask of one field of a register. */
export function maskOf(layout: StructNode, field: string): bigint {
  const member = membersOf(layout)[field];
  if (member === undefined) throw new TypeError(`${layout.name} has no field ${field}`);
  const [low, width] = bitRange(member);
  return ((1n << BigInt(width)) - 1n) << BigInt(low);
}
/** Lowest bit of one field of a register. */
export const shiftOf = (layout: StructNode, field: string): bigint => BigInt(bitRange(membersOf(layout)[field]!)[0]);
/** The bits that the fields of a register take; all others are RES0. */
export const knownMask = (layout: StructNode): bigint => Object.keys(membersOf(layout)).reduce((mask, name) => mask | maskOf(layout, name), 0n);
