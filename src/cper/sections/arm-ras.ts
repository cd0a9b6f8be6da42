/** ARM RAS system architecture node section (Arm DEN0085, not part of UEFI appendix N). */
import {
  bits,
  bytes,
  choice,
  type Decoded,
  type Encodable,
  gap,
  guid,
  hex,
  hexNumber,
  list,
  oneOf,
  orZero,
  type Parsed,
  ref,
  reserved,
  type SectionType,
  sequence,
  struct,
  type Tree,
  text,
  u8,
  u16,
  u32,
  u64,
  valueLabel,
  window,
} from "../../layout/index.ts";
import { midrWords, mpidrWords } from "./processor-id.ts";
import { phrase } from "./words.ts";

const SOURCE = "Arm DEN0085 revision 1, as libcper reads it";

export const ARM_RAS_COMPONENT = {
  processor: 0,
  memory: 1,
  smmu: [2, "SMMU"],
  vendor: [3, "vendor defined"],
  gic: [4, "GIC"],
  pcie: [5, "PCIe"],
  proxy: 6,
} as const;

/** Architecturally defined primary error codes (Arm RAS System Architecture, ERR<n>STATUS.SERR). */
export const ARM_RAS_SERR = {
  none: [0, "no error"],
  implementationDefined: 1,
  internalMemory: [2, "data value from internal memory"],
  interruptPin: 3,
  assertionFailure: 4,
  internalDatapath: [5, "error on internal data path"],
  associativeMemory: [6, "data value from associative memory"],
  associativeMemoryAddress: [7, "address or control value from associative memory"],
  tlb: [8, "data value from a TLB"],
  tlbAddress: [9, "address or control value from a TLB"],
  producer: [10, "data value from producer"],
  producerAddress: [11, "address or control value from producer"],
  externalMemory: [12, "data value from external memory"],
  illegalAddress: [13, "illegal address (software fault)"],
  illegalAccess: [14, "illegal access (software fault)"],
  illegalState: [15, "illegal state (software fault)"],
  internalRegister: [16, "data value from internal data register"],
  internalControlRegister: [17, "internal control register value"],
  subordinateError: [18, "error response from completer of access"],
  externalTimeout: [19, "external time-out on interface"],
  internalTimeout: [20, "internal time-out on interface"],
  deferredFromSubordinate: [21, "deferred error from completer not supported at requester"],
  deferredFromManager: [22, "deferred error from requester not supported at completer"],
  deferredPassed: [23, "deferred error from completer passed through"],
  deferredReceived: [24, "deferred error from requester passed through"],
  pcieError: [25, "error recorded by PCIe error logs"],
  addressLookup: [26, "internal address lookup error"],
} as const;

const UNCORRECTED_TYPE = { uncontainable: 0, unrecoverable: 1, latent: [2, "latent or restartable"], signaled: [3, "signaled or recoverable"] } as const;
const CORRECTED_TYPE = { none: 0, transient: 1, notSpecified: [2, "at least one"], persistent: 3 } as const;

export const ArmRasErrorRecord = struct("ARM RAS Error Record", 72, SOURCE, () => ({
  recordIndex: orZero(u32("Index of the record in its node")),
  rasRevision: orZero(hex(u8("RAS extension: revision in bits 7:4, architecture version in bits 3:0"))),
  reserved: reserved(3),
  fr: orZero(u64("ERR<n>FR, feature register")),
  ctlr: orZero(u64("ERR<n>CTLR, control register")),
  status: orZero(
    bits(8, "ERR<n>STATUS, primary status register", {
      serr: { at: [0, 8], names: ARM_RAS_SERR },
      ierr: [8, 8],
      registersValid: 18,
      criticalError: 19,
      uncorrectedType: {
        at: [20, 2],
        names: UNCORRECTED_TYPE,
      },
      poison: 22,
      deferred: 23,
      corrected: { at: [24, 2], names: CORRECTED_TYPE },
      miscellaneousValid: 26,
      overflow: 27,
      errorReported: 28,
      uncorrected: 29,
      valid: 30,
      addressValid: 31,
    }),
  ),
  addr: orZero(u64("ERR<n>ADDR, address register")),
  misc0: orZero(u64("ERR<n>MISC0")),
  misc1: orZero(u64("ERR<n>MISC1")),
  misc2: orZero(u64("ERR<n>MISC2, from RAS revision 1 on")),
  misc3: orZero(u64("ERR<n>MISC3, from RAS revision 1 on")),
}));

const AuxiliaryContext = sequence("ARM RAS Auxiliary Context", SOURCE, () => ({
  length: orZero(u32("Bytes of the context with its registers")),
  scope: bits(1, "Meaning of the addresses", { local: 0 }),
  reserved1: reserved(1),
  registerCount: orZero(u16("Registers")),
  addressSpaceId: orZero(u16("Local address space")),
  reserved2: reserved(6),
  registers: list(
    struct("Memory Mapped Register", 16, SOURCE, { address: u64("Address of the register"), value: u64("Its value") }),
    "Registers",
    ref("registerCount"),
  ),
}));

const AuxiliaryData = sequence("ARM RAS Auxiliary Data", SOURCE, () => ({
  version: orZero(u8("Version of this structure, 1")),
  reserved1: reserved(1),
  contextCount: orZero(u16("Contexts")),
  size: orZero(u32("Bytes of the auxiliary data")),
  keyValueOffset: orZero(u32("Offset of the key-value pairs from the start of the auxiliary data")),
  keyValueCount: orZero(u16("Key-value pairs")),
  reserved2: reserved(2),
  contexts: list(AuxiliaryContext, "Register contexts", ref("contextCount")),
  beforeKeyValues: gap(ref("keyValueOffset")),
  keyValues: list(
    struct("Key-Value Pair", 24, SOURCE, {
      key: guid("What the value is", { "ebb45182-fb03-4bf9-9aca-8613709fd789": "MPAM PARTID" }),
      value: u64("The value"),
    }),
    "Key-value pairs",
    ref("keyValueCount"),
  ),
}));

export const ArmRasNode = sequence("ARM RAS Node Error", SOURCE, () => ({
  revision: orZero(u32("Revision of this structure, 1")),
  componentType: oneOf(1, "Kind of component, as in the AEST table", ARM_RAS_COMPONENT),
  reserved1: reserved(3),
  recordCount: orZero(u32("Error records")),
  recordsOffset: orZero(u16("Offset of the error records")),
  auxiliaryOffset: orZero(u16("Offset of the auxiliary data, 0 for none")),
  instanceFormat: orZero(
    oneOf(1, "How the instance is named", {
      processor: [0, "processor (MPIDR_EL1)"],
      systemAddress: 1,
      localAddress: 2,
      socSpecific: [3, "SoC specific"],
    }),
  ),
  typeFormat: orZero(
    oneOf(1, "How the kind of IP is named", {
      processor: [0, "processor (MIDR_EL1)"],
      smmu: [1, "SMMU (IIDR)"],
      gic: [2, "GIC (IIDR)"],
      peripheral: [3, "peripheral (PIDR)"],
      none: 255,
    }),
  ),
  reserved2: reserved(6),
  instance: window(
    ref("instanceFormat", { scale: 0, bias: 16 }),
    choice(ref("instanceFormat"), "Which instance", {
      processor: struct("ARM RAS Processor Instance", 16, SOURCE, { mpidr: u64("MPIDR_EL1"), reserved: reserved(8) }),
      systemAddress: struct("ARM RAS Address Instance", 16, SOURCE, { address: u64("System physical address"), reserved: reserved(8) }),
      localAddress: struct("ARM RAS Local Instance", 16, SOURCE, {
        addressSpaceId: u64("Local address space of the SoC"),
        baseAddress: u64("Base address in it"),
      }),
      socSpecific: struct("ARM RAS SoC Instance", 16, SOURCE, { identifier: bytes(16, "The SoC's own identifier") }),
    }),
  ),
  type: window(
    ref("typeFormat", { scale: 0, bias: 24 }),
    choice(ref("typeFormat"), "Which kind of IP", {
      processor: struct("ARM RAS Processor Type", 24, SOURCE, { midr: u64("MIDR_EL1"), revidr: u64("REVIDR_EL1"), aidr: u64("AIDR_EL1") }),
      smmu: struct("ARM RAS SMMU Type", 24, SOURCE, { iidr: hex(u32("SMMU_IIDR")), aidr: hex(u32("SMMU_AIDR")), reserved: reserved(16) }),
      gic: struct("ARM RAS GIC Type", 24, SOURCE, { iidr: hex(u32("GICD_IIDR")), aidr: hex(u32("GICD_AIDR")), reserved: reserved(16) }),
      peripheral: struct("ARM RAS Peripheral Type", 24, SOURCE, {
        pidr3: hex(u8("PIDR3")),
        pidr2: hex(u8("PIDR2")),
        pidr1: hex(u8("PIDR1")),
        pidr0: hex(u8("PIDR0")),
        pidr7: hex(u8("PIDR7")),
        pidr6: hex(u8("PIDR6")),
        pidr5: hex(u8("PIDR5")),
        pidr4: hex(u8("PIDR4")),
        reserved: reserved(16),
      }),
    }),
  ),
  userText: orZero(text(16, "Text of the platform")),
  beforeRecords: gap(ref("recordsOffset")),
  records: list(ArmRasErrorRecord, "Error records", ref("recordCount")),
  beforeAuxiliary: gap(ref("auxiliaryOffset")),
  auxiliary: list(AuxiliaryData, "Auxiliary data: one block or none", ref("auxiliaryOffset", { most: 1 })),
}));
export type ArmRasNode = Parsed<typeof ArmRasNode>;
export type ArmRasNodeInput = Encodable<typeof ArmRasNode>;

function instanceWords({ instance }: ArmRasNode): string | undefined {
  if (!instance || instance instanceof Uint8Array) return undefined;
  if ("mpidr" in instance && instance.mpidr !== undefined) return `processor ${mpidrWords(instance.mpidr)}`;
  if ("address" in instance && instance.address !== undefined) return `at ${hexNumber(instance.address)}`;
  if ("baseAddress" in instance && instance.baseAddress !== undefined)
    return `at ${hexNumber(instance.baseAddress)} of address space ${hexNumber(instance.addressSpaceId ?? 0n)}`;
  return undefined;
}
/** The status register in words (Arm RAS System Architecture, ERR<n>STATUS). */
function recordWords({ status = {}, addr }: Partial<Decoded<typeof ArmRasErrorRecord>>): string {
  const serr = status.serr ?? 0;
  return phrase(
    status.uncorrected ? `uncorrected error (${valueLabel(UNCORRECTED_TYPE, status.uncorrectedType ?? 0)})` : undefined,
    status.deferred ? "deferred error" : undefined,
    status.corrected !== undefined && status.corrected !== "none" && status.corrected !== 0
      ? `corrected error (${valueLabel(CORRECTED_TYPE, status.corrected)})`
      : undefined,
    serr === "none" || serr === 0 ? undefined : valueLabel(ARM_RAS_SERR, serr),
    status.poison ? "poison" : undefined,
    status.overflow ? "overflow" : undefined,
    status.addressValid && addr !== undefined ? `address ${hexNumber(addr & 0xffffffffffffffn)}` : undefined,
  );
}

export const armRasNode: SectionType = {
  guids: ["bf32d4d5-b427-4025-8495-8a9e5d4030e4"],
  name: "armRasNode",
  title: "ARM RAS node error",
  layout: ArmRasNode,
  summary: (body: ArmRasNode) =>
    phrase(
      body.componentType === undefined ? undefined : `${valueLabel(ARM_RAS_COMPONENT, body.componentType)} node`,
      instanceWords(body),
      ...(body.records ?? []).filter(({ status }) => status?.valid).map(recordWords),
    ),
  explain: (body: ArmRasNode) => {
    const out: Tree[] = [];
    const { type } = body;
    if (body.typeFormat === "processor" && type && !(type instanceof Uint8Array) && "midr" in type && type.midr !== undefined)
      out.push({ label: "processor", text: midrWords(type.midr) });
    (body.records ?? []).forEach((record, i) => {
      out.push({ label: `error record ${record.recordIndex ?? i}`, text: record.status?.valid ? recordWords(record) : "not valid" });
    });
    return out;
  },
  secondHand: "libcper; Arm DEN0085 could not be read",
};
