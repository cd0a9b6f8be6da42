/** ARM processor error section (UEFI 2.11 N.2.4.4). */
import {
  bits,
  blob,
  choice,
  decode,
  type Encodable,
  encode,
  hex,
  hexNumber,
  initially,
  type Layout,
  list,
  oneOf,
  orZero,
  ownLength,
  type Parsed,
  padding,
  ref,
  reserved,
  type SectionType,
  sequence,
  struct,
  type Tree,
  u8,
  u16,
  u32,
  u64,
  validBy,
  window,
} from "../../layout/index.ts";
import {
  ArmAarch32El1Registers,
  ArmAarch32El2Registers,
  ArmAarch32GeneralRegisters,
  ArmAarch32SecureRegisters,
  ArmAarch64El1Registers,
  ArmAarch64El2Registers,
  ArmAarch64El3Registers,
  ArmAarch64GeneralRegisters,
  ArmAarch64WideRegisters,
  ArmSystemRegisters,
} from "./arm-registers.ts";
import { backToBackReader } from "./back-to-back.ts";
import { TRANSACTION_TYPE } from "./ia32x64.ts";
import { midrWords, mpidrWords } from "./processor-id.ts";
import { flagWords, known, listed, memberTrees, phrase } from "./words.ts";

/**
 * The type byte is kept as the number it is: three encodings of it are in circulation, and nothing in the
 * record tells which its writer followed (`armErrorKinds`). The layout of the error information follows the
 * type, so it stays a number too; `ArmCacheError`, `ArmTlbError` and `ArmBusError` read it.
 */
export const ArmErrorInfo = struct("ARM Processor Error Information", 32, "UEFI 2.11 N.2.4.4.1", () => ({
  version: orZero(u8("Version of this structure, 0")),
  length: initially(u8("Bytes of this structure"), 32),
  validation: bits(2, "Which fields hold data", {
    multipleError: 0,
    flags: 1,
    errorInformation: 2,
    virtualFaultAddress: 3,
    physicalFaultAddress: 4,
  }),
  errorType: hex(u8("Kind of error, in one of three encodings")),
  multipleError: orZero(u16("0 single error, 1 several, otherwise how many")),
  flags: bits(1, "What is known of the error", { firstErrorCaptured: 0, lastErrorCaptured: 1, propagated: 2, overflow: 3 }),
  errorInformation: orZero(u64("Details, laid out by the kind of error")),
  virtualFaultAddress: orZero(u64("Virtual address of the fault")),
  physicalFaultAddress: orZero(u64("Physical address of the fault")),
}));
export type ArmErrorInfo = Parsed<typeof ArmErrorInfo>;

const VALIDATION = {
  transactionType: 0,
  operation: 1,
  level: 2,
  processorContextCorrupt: 3,
  corrected: 4,
  precisePc: 5,
  restartablePc: 6,
} as const;
const BUS_OPERATION = {
  generic: [0, "generic error"],
  genericRead: 1,
  genericWrite: 2,
  dataRead: 3,
  dataWrite: 4,
  instructionFetch: 5,
  prefetch: 6,
} as const;
const TLB_OPERATION = {
  ...BUS_OPERATION,
  localManagement: [7, "local management operation"],
  externalManagement: [8, "external management operation"],
} as const;
const CACHE_OPERATION = {
  ...BUS_OPERATION,
  eviction: 7,
  snooping: [8, "snooping (of this cache by another agent)"],
  snooped: [9, "snooped (by this processor of another cache)"],
  management: 10,
} as const;
const detailFields = <O extends Readonly<Record<string, number | readonly [number, string]>>>(operations: O) =>
  ({
    transactionType: { at: [0, 2], names: TRANSACTION_TYPE },
    operation: { at: [2, 4], names: operations },
    level: [6, 3],
    processorContextCorrupt: 9,
    corrected: 10,
    precisePc: 11,
    restartablePc: 12,
  }) as const;

export const ArmCacheError = struct("ARM Cache Error", 8, "UEFI 2.11 N.2.4.4.1, ARM Cache Error Structure", () => ({
  validation: bits(2, "Which parts hold data", VALIDATION),
  details: bits(2, "What the cache reported", detailFields(CACHE_OPERATION)),
  reserved: reserved(4),
}));
export const ArmTlbError = struct("ARM TLB Error", 8, "UEFI 2.11 N.2.4.4.1, ARM TLB Error Structure", () => ({
  validation: bits(2, "Which parts hold data", VALIDATION),
  details: bits(2, "What the translation look-aside buffer reported", detailFields(TLB_OPERATION)),
  reserved: reserved(4),
}));
export const ArmBusError = struct("ARM Bus Error", 8, "UEFI 2.11 N.2.4.4.1, ARM Bus Error Structure", () => ({
  validation: bits(2, "Which parts hold data", {
    ...VALIDATION,
    participationType: 7,
    timeOut: 8,
    addressSpace: 9,
    memoryAttributes: 10,
    accessMode: 11,
  }),
  details: bits(2, "What the bus reported; the level is the affinity level of the bus", {
    ...detailFields(BUS_OPERATION),
    participationType: {
      at: [13, 2],
      names: {
        requested: [0, "local processor originated request"],
        responded: [1, "local processor responded to request"],
        observed: [2, "local processor observed"],
        generic: 3,
      },
    },
    timeOut: 15,
  }),
  bus: bits(4, "More of what the bus reported", {
    addressSpace: {
      at: [0, 2],
      names: { externalMemory: [0, "external memory access"], internalMemory: [1, "internal memory access"], device: [3, "device memory access"] },
    },
    memoryAttributes: [2, 9],
    accessMode: { at: [11, 1], names: { secure: 0, normal: 1 } },
  }),
}));

/** The kinds of error the type byte tells apart. */
export type ArmErrorKind = "cache" | "tlb" | "bus" | "microArchitectural";
const KINDS: readonly ArmErrorKind[] = ["cache", "tlb", "bus", "microArchitectural"];
const KIND_WORDS: Readonly<Record<ArmErrorKind, string>> = { cache: "cache", tlb: "TLB", bus: "bus", microArchitectural: "micro-architectural" };

/**
 * The encodings of the type byte in circulation: a number up to UEFI 2.9; bits from bit 1 as UEFI 2.9A and 2.10
 * are implemented by Linux and QEMU's scripts; bits from bit 0 as UEFI 2.11 prints and libcper implements.
 */
export const ARM_TYPE_ENCODINGS = {
  "uefi-2.9": "UEFI 2.9 and before",
  "uefi-2.10": "UEFI 2.10 and Linux",
  "uefi-2.11": "UEFI 2.11",
} as const;
export type ArmTypeEncoding = keyof typeof ARM_TYPE_ENCODINGS;

/** The kinds of error a type byte names in one encoding; undefined when it is no value of that encoding. */
export function armErrorKinds(type: number, encoding: ArmTypeEncoding): readonly ArmErrorKind[] | undefined {
  if (encoding === "uefi-2.9") return KINDS[type] && [KINDS[type]];
  const shift = encoding === "uefi-2.10" ? 1 : 0;
  if (type === 0 || (type & ~(15 << shift)) !== 0) return undefined;
  return KINDS.filter((_, i) => (type >> shift) & (1 << i));
}

/** The type byte for kinds of error in one encoding. @throws TypeError for several kinds where the encoding has only one. */
export function armErrorType(kinds: readonly ArmErrorKind[], encoding: ArmTypeEncoding): number {
  const numbers = kinds.map((kind) => KINDS.indexOf(kind));
  if (encoding !== "uefi-2.9") return numbers.reduce((byte, number) => byte | (1 << (number + (encoding === "uefi-2.10" ? 1 : 0))), 0);
  if (numbers.length !== 1) throw new TypeError("before UEFI 2.9A the type of an ARM processor error is exactly one kind");
  return numbers[0]!;
}

const INFORMATION: Readonly<Partial<Record<ArmErrorKind, typeof ArmCacheError | typeof ArmTlbError | typeof ArmBusError>>> = {
  cache: ArmCacheError,
  tlb: ArmTlbError,
  bus: ArmBusError,
};
const Word64 = struct("Error Information", 8, "UEFI 2.11 N.2.4.4.1", () => ({ value: u64("The field as it is") }));

/** The error information as the structure it is for a kind of error; undefined for micro-architectural errors, whose layout is the vendor's. */
export function armErrorInformation(kind: ArmErrorKind, value: bigint): object | undefined {
  const layout = INFORMATION[kind];
  return layout && decode(layout as typeof ArmCacheError, encode(Word64, { value }));
}
/** The error information word from its structure, such as `{ validation: { level: true }, details: { level: 2 } }`. */
export const armErrorInformationWord = (kind: "cache" | "tlb" | "bus", value: object): bigint =>
  decode(Word64, encode(INFORMATION[kind] as typeof ArmCacheError, value as never)).value;

interface Reading {
  readonly encodings: readonly ArmTypeEncoding[];
  readonly kinds: readonly ArmErrorKind[];
}
/** What the type byte says in each encoding that has it, equal readings together; the most used encoding first. */
function readings(type: number): Reading[] {
  const out = new Map<string, { encodings: ArmTypeEncoding[]; kinds: readonly ArmErrorKind[] }>();
  for (const encoding of ["uefi-2.10", "uefi-2.11", "uefi-2.9"] as const) {
    const kinds = armErrorKinds(type, encoding);
    if (!kinds) continue;
    const key = kinds.join();
    if (out.has(key)) out.get(key)!.encodings.push(encoding);
    else out.set(key, { encodings: [encoding], kinds });
  }
  return [...out.values()];
}
const kindWords = (kinds: readonly ArmErrorKind[]) => `${listed(kinds.map((kind) => KIND_WORDS[kind]))} error`;
const bySource = (reading: Reading) => `by ${listed(reading.encodings.map((encoding) => ARM_TYPE_ENCODINGS[encoding]))}`;

function typeWords(type: number): string {
  const found = readings(type);
  if (found.length === 0) return `error of unknown type ${hexNumber(type)}`;
  if (found.length === 1) return kindWords(found[0]!.kinds);
  return listed(
    found.map((reading) => `${kindWords(reading.kinds)} ${bySource(reading)}`),
    "or",
  );
}

const countWords = (count: number) => (count === 0 ? "" : count === 1 ? "several times" : `${count} times`);

const errorInfoPhrase = (info: ArmErrorInfo): string =>
  phrase(
    info.errorType === undefined ? undefined : typeWords(info.errorType),
    known(info, "multipleError", info.multipleError, countWords),
    known(info, "flags", info.flags, (value) => flagWords(value).join(", ")),
    known(info, "virtualFaultAddress", info.virtualFaultAddress, (value) => `virtual address ${hexNumber(value)}`),
    known(info, "physicalFaultAddress", info.physicalFaultAddress, (value) => `physical address ${hexNumber(value)}`),
  );

/** One heading for each reading of the type, with the error information as that kind lays it out. */
const readingTrees = (info: ArmErrorInfo): Tree[] =>
  readings(info.errorType ?? 0).map((reading) => {
    const [kind] = reading.kinds;
    const layout = reading.kinds.length === 1 ? INFORMATION[kind!] : undefined;
    const value =
      layout && info.validation?.errorInformation && info.errorInformation !== undefined ? armErrorInformation(kind!, info.errorInformation) : undefined;
    return { label: kindWords(reading.kinds), text: bySource(reading), ...(layout && value && { children: memberTrees(layout, value) }) };
  });

export const ARM_CONTEXT_TYPE = {
  aarch32General: [0, "AArch32 general purpose registers"],
  aarch32El1: [1, "AArch32 EL1 context registers"],
  aarch32El2: [2, "AArch32 EL2 context registers"],
  aarch32Secure: [3, "AArch32 secure context registers"],
  aarch64General: [4, "AArch64 general purpose registers"],
  aarch64El1: [5, "AArch64 EL1 context registers"],
  aarch64El2: [6, "AArch64 EL2 context registers"],
  aarch64El3: [7, "AArch64 EL3 context registers"],
  systemRegisters: [8, "miscellaneous system registers"],
  aarch64Wide: [9, "AArch64 128-bit registers"],
} as const;

export const ArmContext = sequence("ARM Processor Context Information", "UEFI 2.11 N.2.4.4.2", () => ({
  version: orZero(u16("Version of this structure, 0")),
  contextType: oneOf(2, "Kind of registers", ARM_CONTEXT_TYPE),
  arraySize: orZero(u32("Bytes of the register array")),
  registers: window(
    ref("arraySize"),
    choice(ref("contextType"), "The register array", {
      aarch32General: ArmAarch32GeneralRegisters,
      aarch32El1: ArmAarch32El1Registers,
      aarch32El2: ArmAarch32El2Registers,
      aarch32Secure: ArmAarch32SecureRegisters,
      aarch64General: ArmAarch64GeneralRegisters,
      aarch64El1: ArmAarch64El1Registers,
      aarch64El2: ArmAarch64El2Registers,
      aarch64El3: ArmAarch64El3Registers,
      systemRegisters: ArmSystemRegisters,
      aarch64Wide: ArmAarch64WideRegisters,
    }),
  ),
  padding: padding(16),
}));
export type ArmContext = Parsed<typeof ArmContext>;

export const ArmProcessor = sequence("ARM Processor Error", "UEFI 2.11 N.2.4.4", () => ({
  validation: bits(4, "Which fields hold data", { mpidr: 0, affinityLevel: 1, runningState: 2, vendorInformation: 3 }),
  errorInfoCount: orZero(u16("Error information structures, at least 1")),
  contextCount: orZero(u16("Context structures")),
  sectionLength: ownLength("Bytes of the whole section"),
  affinityLevel: orZero(u8("Affinity level the error is attributed to, 0 to 3")),
  reserved: reserved(3),
  mpidr: orZero(u64("MPIDR_EL1 of the processor")),
  midr: orZero(u64("MIDR_EL1 of the processor")),
  runningState: bits(4, "Whether the processor runs", { running: 0 }),
  psciState: orZero(validBy(hex(u32("PSCI state of a processor that does not run")), "runningState")),
  errorInfos: list(ArmErrorInfo, "Processor error information", ref("errorInfoCount")),
  contexts: list(ArmContext, "Processor context", ref("contextCount")),
  vendorInformation: blob("The vendor's own, to the end of the section"),
}));
export type ArmProcessor = Parsed<typeof ArmProcessor>;
export type ArmProcessorInput = Encodable<typeof ArmProcessor>;

/** Miscellaneous system registers by the name an assembler takes: `S3_0_C5_C3_1`. */
function systemRegisterTrees(context: ArmContext, index: number): Tree[] {
  if (context.contextType !== "systemRegisters" || !context.registers || context.registers instanceof Uint8Array) return [];
  const { registers = [] } = context.registers as Parsed<typeof ArmSystemRegisters>;
  return [
    {
      label: `context ${index}`,
      children: registers.map(({ encoding = {}, value = 0n }) => ({
        label: `S${2 + (encoding.o0 ?? 0)}_${encoding.op1 ?? 0}_C${encoding.crn ?? 0}_C${encoding.crm ?? 0}_${encoding.op2 ?? 0}`,
        text: hexNumber(value),
      })),
    },
  ];
}

/** The other reading of the contexts: without padding, the way libcper writes them. */
export const armContextsBackToBack = backToBackReader(ArmProcessor, ArmContext as Layout<ArmContext>);

export const armProcessor: SectionType = {
  guids: ["e19e3d16-bc11-11e4-9caa-c2051d5d46b0"],
  name: "armProcessor",
  title: "ARM processor error",
  layout: ArmProcessor,
  summary: (body: ArmProcessor) =>
    phrase(
      ...(body.errorInfos ?? []).map((info) => errorInfoPhrase(info as ArmErrorInfo)),
      known(body, "mpidr", body.mpidr, (value) => `processor ${mpidrWords(value)}`),
      known(body, "affinityLevel", body.affinityLevel, (value) => `affinity level ${value}`),
      known(
        body,
        "runningState",
        body.runningState,
        (value) => (value.running ? undefined : `not running, PSCI state ${hexNumber(body.psciState ?? 0)}`) ?? "",
      ),
    ),
  explain: (body: ArmProcessor) => [
    ...(body.midr === undefined ? [] : [{ label: "processor", text: midrWords(body.midr) }]),
    ...(body.errorInfos ?? []).map((info, i): Tree => {
      const { errorType } = info as ArmErrorInfo;
      return {
        label: `error ${i}, type ${hexNumber(errorType ?? 0)}`,
        text: readings(errorType ?? 0).length === 0 ? "in no known encoding" : "read as",
        children: readingTrees(info as ArmErrorInfo),
      };
    }),
    ...(body.contexts ?? []).flatMap((context, i) => systemRegisterTrees(context as ArmContext, i)),
    ...armContextsBackToBack.explain(body, body.contextCount ?? 0),
  ],
};
