/** ARM processor error section (UEFI 2.11 N.2.4.4). */
import {
  bits,
  blob,
  choice,
  type Encodable,
  hex,
  initially,
  list,
  oneOf,
  orZero,
  type Parsed,
  padding,
  ref,
  reserved,
  type SectionType,
  sequence,
  struct,
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
import { TRANSACTION_TYPE } from "./ia32x64.ts";

/**
 * The type byte is kept as the number it is: three encodings of it are in circulation, and nothing in the
 * record tells which its writer followed (`armErrorKinds`). The layout of the error information follows the
 * type, so it stays a number too; `ArmCacheError`, `ArmTlbError` and `ArmBusError` read it.
 */
export const ArmErrorInfo = struct("ARM Processor Error Information", 32, "UEFI 2.11 N.2.4.4.1", {
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
});
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
const TLB_OPERATION = {
  generic: [0, "generic error"],
  genericRead: 1,
  genericWrite: 2,
  dataRead: 3,
  dataWrite: 4,
  instructionFetch: 5,
  prefetch: 6,
  localManagement: [7, "local management operation"],
  externalManagement: [8, "external management operation"],
} as const;
const CACHE_OPERATION = {
  generic: [0, "generic error"],
  genericRead: 1,
  genericWrite: 2,
  dataRead: 3,
  dataWrite: 4,
  instructionFetch: 5,
  prefetch: 6,
  eviction: 7,
  snooping: [8, "snooping (of this cache by another agent)"],
  snooped: [9, "snooped (by this processor of another cache)"],
  management: 10,
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

export const ArmCacheError = struct("ARM Cache Error", 8, "UEFI 2.11 N.2.4.4.1, ARM Cache Error Structure", {
  validation: bits(2, "Which parts hold data", VALIDATION),
  details: bits(2, "What the cache reported", detailFields(CACHE_OPERATION)),
  reserved: reserved(4),
});
export const ArmTlbError = struct("ARM TLB Error", 8, "UEFI 2.11 N.2.4.4.1, ARM TLB Error Structure", {
  validation: bits(2, "Which parts hold data", VALIDATION),
  details: bits(2, "What the translation look-aside buffer reported", detailFields(TLB_OPERATION)),
  reserved: reserved(4),
});
export const ArmBusError = struct("ARM Bus Error", 8, "UEFI 2.11 N.2.4.4.1, ARM Bus Error Structure", {
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

export const ArmContext = sequence("ARM Processor Context Information", "UEFI 2.11 N.2.4.4.2", {
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
});
export type ArmContext = Parsed<typeof ArmContext>;

export const ArmProcessor = sequence("ARM Processor Error", "UEFI 2.11 N.2.4.4", {
  validation: bits(4, "Which fields hold data", { mpidr: 0, affinityLevel: 1, runningState: 2, vendorInformation: 3 }),
  errorInfoCount: orZero(u16("Error information structures, at least 1")),
  contextCount: orZero(u16("Context structures")),
  sectionLength: orZero(u32("Bytes of the whole section")),
  affinityLevel: orZero(u8("Affinity level the error is attributed to, 0 to 3")),
  reserved: reserved(3),
  mpidr: orZero(u64("MPIDR_EL1 of the processor")),
  midr: orZero(u64("MIDR_EL1 of the processor")),
  runningState: bits(4, "Whether the processor runs", { running: 0 }),
  psciState: orZero(validBy(hex(u32("PSCI state of a processor that does not run")), "runningState")),
  errorInfos: list(ArmErrorInfo, "Processor error information", ref("errorInfoCount")),
  contexts: list(ArmContext, "Processor context", ref("contextCount")),
  vendorInformation: blob("The vendor's own, to the end of the section"),
});
export type ArmProcessor = Parsed<typeof ArmProcessor>;
export type ArmProcessorInput = Encodable<typeof ArmProcessor>;

export const armProcessor: SectionType = {
  guids: ["e19e3d16-bc11-11e4-9caa-c2051d5d46b0"],
  name: "armProcessor",
  title: "ARM Processor Error",
  layout: ArmProcessor,
};
