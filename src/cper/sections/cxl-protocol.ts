/** CXL protocol error section (UEFI 2.11 N.2.13). */
import {
  array,
  bits,
  blob,
  choice,
  type Encodable,
  fieldLabel,
  hex,
  hexNumber,
  initially,
  oneOf,
  orZero,
  type Parsed,
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
  valueLabel,
  window,
} from "../../layout/index.ts";
import { PcieCapability } from "./pcie-capability.ts";
import { flagWords, known, pciAddress, pciIds, phrase } from "./words.ts";

export const CXL_AGENT_TYPE = {
  rcd: [0, "CXL restricted device (RCiEP)"],
  rchDownstreamPort: [1, "CXL restricted host downstream port"],
  device: [2, "CXL device"],
  logicalDevice: [3, "CXL logical device"],
  fmLogicalDevice: [4, "CXL logical device managed by the fabric manager"],
  rootPort: [5, "CXL root port"],
  downstreamSwitchPort: [6, "CXL downstream switch port"],
  upstreamSwitchPort: [7, "CXL upstream switch port"],
} as const;

export const CxlAgentAddress = struct("CXL Agent Address", 8, "UEFI 2.11 N.2.13", () => ({
  function: orZero(hex(u8("Function"))),
  device: orZero(hex(u8("Device"))),
  bus: orZero(hex(u8("Bus"))),
  segment: orZero(hex(u16("Segment"))),
  reserved: reserved(3),
}));
export const CxlRcrbAddress = struct("CXL RCRB Address", 8, "UEFI 2.11 N.2.13", () => ({ rcrbBase: u64("Base address of the root complex register block") }));

/** Bits of the CXL uncorrectable error status, mask and severity registers (CXL 3.1, 8.2.4.17.1). */
export const CXL_UNCORRECTABLE_ERROR = {
  cacheDataParity: 0,
  cacheAddressParity: 1,
  cacheByteEnableParity: 2,
  cacheDataEcc: 3,
  memoryDataParity: 4,
  memoryAddressParity: 5,
  memoryByteEnableParity: 6,
  memoryDataEcc: 7,
  reinitThreshold: 8,
  reservedEncodingViolation: 9,
  poisonReceived: 10,
  receiverOverflow: 11,
  internalError: 14,
  ideTransmitError: 15,
  ideReceiveError: 16,
} as const;
/** Bits of the CXL correctable error status and mask registers (CXL 3.1, 8.2.4.17.4). */
export const CXL_CORRECTABLE_ERROR = {
  cacheDataEcc: 0,
  memoryDataEcc: 1,
  crcThreshold: 2,
  retryThreshold: 3,
  cachePoisonReceived: 4,
  memoryPoisonReceived: 5,
  physicalLayerError: 6,
} as const;

export const CxlRasCapability = struct("CXL RAS Capability", 88, "CXL 3.1, 8.2.4.17", () => ({
  uncorrectableStatus: bits(4, "Uncorrectable errors that occurred", CXL_UNCORRECTABLE_ERROR),
  uncorrectableMask: bits(4, "Uncorrectable errors that are not reported", CXL_UNCORRECTABLE_ERROR),
  uncorrectableSeverity: bits(4, "Uncorrectable errors that are fatal", CXL_UNCORRECTABLE_ERROR),
  correctableStatus: bits(4, "Correctable errors that occurred", CXL_CORRECTABLE_ERROR),
  correctableMask: bits(4, "Correctable errors that are not reported", CXL_CORRECTABLE_ERROR),
  control: bits(4, "Error capabilities and control", { firstErrorPointer: [0, 6], multipleHeaderRecordingCapable: 9, poisonEnabled: 13 }),
  headerLog: orZero(array(16, hex(u32("Four bytes of the header, the first in bits 31:24")), "Header of the message that caused the first error")),
}));

/** Ids of CXL designated vendor-specific capabilities, vendor 1e98 (CXL 3.1, table 8-2). */
const CXL_DVSEC_ID = {
  device: [0, "PCIe DVSEC for CXL devices"],
  nonCxlFunctionMap: [2, "non-CXL function map"],
  portExtensions: [3, "CXL extensions for ports"],
  gpfPort: [4, "global persistent flush, ports"],
  gpfDevice: [5, "global persistent flush, devices"],
  flexBusPort: [7, "PCIe DVSEC for Flex Bus port"],
  registerLocator: 8,
  mld: [9, "multi-logical device"],
  testCapability: [10, "PCIe DVSEC for test capability"],
} as const;

export const CxlDvsec = sequence("CXL DVSEC", "PCI Express 6.2, 7.9.6; CXL 3.1, 8.1", () => ({
  capabilityHeader: bits(4, "Extended capability header", { id: [0, 16], version: [16, 4], next: [20, 12] }),
  vendorHeader: bits(4, "Designated vendor-specific header 1", { vendorId: [0, 16], revision: [16, 4], length: [20, 12] }),
  dvsecId: oneOf(2, "Designated vendor-specific header 2", CXL_DVSEC_ID),
  registers: blob("Registers of the capability"),
}));

const addressed = { rcd: CxlAgentAddress, device: CxlAgentAddress, logicalDevice: CxlAgentAddress, fmLogicalDevice: CxlAgentAddress };
const ports = { rootPort: CxlAgentAddress, downstreamSwitchPort: CxlAgentAddress, upstreamSwitchPort: CxlAgentAddress };

const CxlDeviceId = struct("CXL Device Id", 16, "UEFI 2.11 N.2.13", () => ({
  vendorId: orZero(hex(u16("Vendor"))),
  deviceId: orZero(hex(u16("Device"))),
  subsystemVendorId: orZero(hex(u16("Subsystem vendor"))),
  subsystemId: orZero(hex(u16("Subsystem"))),
  classCode: orZero(hex(u16("Class and subclass"))),
  slot: bits(2, "Slot", { number: [3, 13] }),
  reserved: reserved(4),
}));
export const CxlProtocol = sequence("CXL Protocol Error", "UEFI 2.11 N.2.13", () => ({
  validation: bits(8, "Which fields hold data", {
    agentType: 0,
    agentAddress: 1,
    deviceId: 2,
    serialNumber: 3,
    capability: 4,
    dvsec: 5,
    errorLog: 6,
  }),
  agentType: oneOf(1, "Who detected the error", CXL_AGENT_TYPE),
  reserved1: reserved(7),
  // Eight bytes whatever the agent is: the length does not depend on the field it has to name.
  agentAddress: window(
    ref("agentType", { scale: 0, bias: 8 }),
    choice(ref("agentType"), "Where the agent is", { ...addressed, ...ports, rchDownstreamPort: CxlRcrbAddress }),
  ),
  deviceId: orZero(CxlDeviceId),
  serialNumber: orZero(u64("Device serial number")),
  capability: orZero(PcieCapability),
  dvsecLength: orZero(u16("Bytes of the DVSEC")),
  errorLogLength: orZero(u16("Bytes of the error log")),
  reserved2: reserved(4),
  dvsec: initially(window(ref("dvsecLength"), CxlDvsec), undefined as never),
  errorLog: initially(window(ref("errorLogLength"), CxlRasCapability), undefined as never),
}));
export type CxlProtocol = Parsed<typeof CxlProtocol>;
export type CxlProtocolInput = Encodable<typeof CxlProtocol>;

type RasCapability = Parsed<typeof CxlRasCapability>;
const addressWords = (address: NonNullable<CxlProtocol["agentAddress"]>): string => {
  if (address instanceof Uint8Array) return "";
  return "rcrbBase" in address ? `register block ${hexNumber(address.rcrbBase ?? 0n)}` : pciAddress(address as Parsed<typeof CxlAgentAddress>);
};
/** The errors a CXL RAS capability holds, in words: "memory data ECC (fatal)". */
export function cxlErrors(log: Parsed<typeof CxlRasCapability>): string[] {
  const severity = log.uncorrectableSeverity as Readonly<Record<string, unknown>> | undefined;
  const words = (status: object | undefined, kind: (name: string) => string) =>
    Object.entries(status ?? {})
      .filter(([name, set]) => set === true && name !== "rest")
      .map(([name]) => `${fieldLabel(name)} (${kind(name)})`);
  return [...words(log.uncorrectableStatus, (name) => (severity?.[name] === true ? "fatal" : "non-fatal")), ...words(log.correctableStatus, () => "corrected")];
}

export const cxlProtocol: SectionType = {
  guids: ["80b9efb4-52b5-4de3-a777-68784b771048"],
  name: "cxlProtocol",
  title: "CXL protocol error",
  layout: CxlProtocol,
  summary: (body: CxlProtocol) =>
    phrase(
      known(body, "agentType", body.agentType, (value) => valueLabel(CXL_AGENT_TYPE, value)),
      known(body, "agentAddress", body.agentAddress, addressWords),
      known(body, "deviceId", body.deviceId, (value) => `(${pciIds(value)})`),
      known(body, "serialNumber", body.serialNumber, (value) => `serial number ${hexNumber(value)}`),
      known(body, "errorLog", body.errorLog as RasCapability | undefined, (value) => cxlErrors(value).join(", ")),
    ),
  explain: (body: CxlProtocol) => {
    const log = body.errorLog as RasCapability | undefined;
    if (!body.validation?.errorLog || !log) return [];
    const children: Tree[] = cxlErrors(log).map((text) => ({ label: "error", text }));
    const first = Object.entries(CXL_UNCORRECTABLE_ERROR).find(([, bit]) => bit === log.control?.firstErrorPointer)?.[0];
    if (flagWords(log.uncorrectableStatus).length > 0) {
      if (first !== undefined) children.push({ label: "first error", text: fieldLabel(first) });
      if (log.headerLog?.some((word) => word !== 0))
        children.push({ label: "header log", text: log.headerLog.map((word) => word.toString(16).padStart(8, "0")).join(" ") });
    }
    return [{ label: "CXL RAS capability", children }];
  },
};
