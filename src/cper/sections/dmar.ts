/** DMA remapping error sections (UEFI 2.11 N.2.11). */
import {
  array,
  bits,
  bytes,
  type Encodable,
  hex,
  hexNumber,
  oneOf,
  orZero,
  type Parsed,
  reserved,
  type SectionType,
  struct,
  text,
  u8,
  u16,
  u64,
  valueLabel,
} from "../../layout/index.ts";
import { phrase, requesterAddress } from "./words.ts";

export const DMAR_FAULT_REASON = {
  domainTableEntryNotPresent: [1, "domain mapping table entry is not present"],
  domainTableEntryInvalid: [2, "invalid domain mapping table entry"],
  domainTableAccessError: [3, "access to the domain mapping table failed"],
  domainTableReservedBit: [4, "reserved bit set in the domain mapping table"],
  addressBeyondWidth: [5, "address beyond the device address width"],
  invalidAccess: [6, "invalid read or write access"],
  invalidDeviceRequest: 7,
  translationTableAccessError: [8, "access to the address translation table failed"],
  translationTableReservedBit: [9, "reserved bit set in the address translation table"],
  illegalCommand: [10, "illegal command error"],
  commandBufferAccessError: [11, "access to the command buffer failed"],
} as const;

export const DmarGeneric = struct("DMAr Generic Error", 32, "UEFI 2.11 N.2.11.1", () => ({
  requesterId: orZero(hex(u16("Bus, device and function of the fault"))),
  segment: orZero(hex(u16("PCI segment of the device"))),
  faultReason: oneOf(1, "Why the access failed", DMAR_FAULT_REASON),
  // Some writers (EDK2's header, libcper) have these two the other way round.
  accessType: orZero(oneOf(1, "Direction, as the specification numbers it", { write: [0, "DMA write"], read: [1, "DMA read"] })),
  addressType: orZero(oneOf(1, "Kind of request", { untranslated: [0, "untranslated request"], translation: [1, "translation request"] })),
  architecture: oneOf(1, "Architecture of the remapping unit", { vtd: [1, "VT-d"], iommu: [2, "IOMMU"] }),
  deviceAddress: orZero(u64("Device virtual address of the faulted request")),
  reserved: reserved(16),
}));
export type DmarGeneric = Parsed<typeof DmarGeneric>;
export type DmarGenericInput = Encodable<typeof DmarGeneric>;

const PAGE_TABLE = {
  pageTableLevel6: orZero(u64("Page table entry of level 6")),
  pageTableLevel5: orZero(u64("Page table entry of level 5")),
  pageTableLevel4: orZero(u64("Page table entry of level 4")),
  pageTableLevel3: orZero(u64("Page table entry of level 3")),
  pageTableLevel2: orZero(u64("Page table entry of level 2")),
  pageTableLevel1: orZero(u64("Page table entry of level 1")),
};

const VTD_GLOBAL = {
  compatibilityFormatInterrupt: 23,
  interruptRemapTablePointer: 24,
  interruptRemapping: 25,
  queuedInvalidation: 26,
  writeBufferFlush: 27,
  advancedFaultLogging: 28,
  faultLog: 29,
  rootTablePointer: 30,
  translation: 31,
} as const;

const VtdFaultRecord = struct("VT-d Fault Record", 16, "Intel VT-d 4.1, 11.4.13", () => ({
  faultInformation: orZero(u64("Page of the fault in bits 63:12")),
  source: bits(8, "Origin and reason", {
    sourceId: [0, 16],
    type2: 28,
    privilegeMode: 29,
    executePermission: 30,
    pasidPresent: 31,
    faultReason: [32, 8],
    pasid: [40, 20],
    addressType: [60, 2],
    type1: 62,
    fault: 63,
  }),
}));
export const VtdDmar = struct("VT-d DMAr Error", 144, "UEFI 2.11 N.2.11.2; registers as in Intel VT-d 4.1 chapter 11", () => ({
  version: bits(1, "Version register", { minor: [0, 4], major: [4, 4] }),
  revision: orZero(u8("Revision of the remapping reporting structure")),
  oemId: orZero(text(6, "OEM id of that structure")),
  capability: bits(8, "Capability register", {
    domains: [0, 3],
    advancedFaultLogging: 3,
    writeBufferFlush: 4,
    protectedLowMemory: 5,
    protectedHighMemory: 6,
    cachingMode: 7,
    adjustedGuestAddressWidths: [8, 5],
    maximumGuestAddressWidth: [16, 6],
    zeroLengthRead: 22,
    faultRecordingOffset: [24, 10],
    secondLevelLargePages: [34, 4],
    pageSelectiveInvalidation: 39,
    faultRecordingRegisters: [40, 8],
    maximumAddressMask: [48, 6],
    drainWrites: 54,
    drainReads: 55,
    firstLevelOneGigabytePages: 56,
    postedInterrupts: 59,
    firstLevelFiveLevels: 60,
    enhancedSetInterruptRemapPointer: 62,
    enhancedSetRootTablePointer: 63,
  }),
  extendedCapability: bits(8, "Extended capability register", {
    coherency: 0,
    queuedInvalidation: 1,
    deviceTlb: 2,
    interruptRemapping: 3,
    extendedInterruptMode: 4,
    passThrough: 6,
    snoopControl: 7,
    iotlbOffset: [8, 10],
    maximumHandleMask: [20, 4],
    memoryType: 25,
    nestedTranslation: 26,
    pageRequest: 29,
    executeRequest: 30,
    supervisorRequest: 31,
    noWriteFlag: 33,
    extendedAccessedFlag: 34,
    pasidSize: [35, 5],
    pasid: 40,
    deviceTlbInvalidationThrottle: 41,
    pageRequestDrain: 42,
    scalableMode: 43,
    virtualCommand: 44,
    secondStageAccessedDirty: 45,
    secondStageTranslation: 46,
    firstStageTranslation: 47,
    scalableModeWalkCoherency: 48,
    ridPasid: 49,
    performanceMonitoring: 51,
    abortDma: 52,
    ridPrivilege: 53,
  }),
  globalCommand: bits(4, "Global command register", VTD_GLOBAL),
  globalStatus: bits(4, "Global status register", VTD_GLOBAL),
  faultStatus: bits(4, "Fault status register", {
    primaryFaultOverflow: 0,
    primaryPendingFault: 1,
    advancedFaultOverflow: 2,
    advancedPendingFault: 3,
    invalidationQueueError: 4,
    invalidationCompletionError: 5,
    invalidationTimeOutError: 6,
    pageRequestOverflow: 7,
    faultRecordIndex: [8, 8],
  }),
  reserved: reserved(12),
  faultRecord: orZero(VtdFaultRecord),
  rootEntry: orZero(bytes(16, "Root table entry of the requester")),
  contextEntry: orZero(bytes(16, "Context table entry of the requester")),
  ...PAGE_TABLE,
}));
export type VtdDmar = Parsed<typeof VtdDmar>;
export type VtdDmarInput = Encodable<typeof VtdDmar>;

const IOMMU_EVENT = {
  illegalDeviceTableEntry: 1,
  ioPageFault: [2, "I/O page fault"],
  deviceTableHardwareError: 3,
  pageTableHardwareError: 4,
  illegalCommand: 5,
  commandHardwareError: 6,
  iotlbInvalidateTimeOut: [7, "IOTLB invalidation time-out"],
  invalidDeviceRequest: 8,
  invalidPprRequest: [9, "invalid PPR request"],
  eventCounterZero: 10,
} as const;
const IommuEventLogEntry = struct("IOMMU Event Log Entry", 16, "AMD 48882, 2.5", () => ({
  event: bits(8, "What happened; bits 59:32 depend on the event", {
    deviceId: [0, 16],
    pasidHigh: [16, 4],
    detail: [32, 28],
    code: {
      at: [60, 4],
      names: IOMMU_EVENT,
    },
  }),
  address: orZero(u64("Address of the event")),
}));
export const IommuDmar = struct("IOMMU DMAr Error", 144, "UEFI 2.11 N.2.11.3; registers as in AMD I/O Virtualization Technology (48882)", () => ({
  revision: orZero(u8("Revision of the IOMMU specification")),
  reserved1: reserved(7),
  control: bits(8, "Control register", {
    iommuEnable: 0,
    htTunnelTranslation: 1,
    eventLog: 2,
    eventInterrupt: 3,
    completionWaitInterrupt: 4,
    invalidationTimeOut: [5, 3],
    passPostedWrite: 8,
    responsePassPostedWrite: 9,
    coherent: 10,
    isochronous: 11,
    commandBuffer: 12,
    peripheralPageLog: 13,
    peripheralPageInterrupt: 14,
    peripheralPageRequest: 15,
    guestTranslation: 16,
    guestApic: 17,
  }),
  status: bits(8, "Status register", {
    eventLogOverflow: 0,
    eventLogInterrupt: 1,
    completionWaitInterrupt: 2,
    eventLogRunning: 3,
    commandBufferRunning: 4,
    peripheralPageLogOverflow: 5,
    peripheralPageLogInterrupt: 6,
    peripheralPageLogRunning: 7,
    guestLogRunning: 8,
    guestLogOverflow: 9,
    guestLogInterrupt: 10,
  }),
  reserved2: reserved(8),
  eventLogEntry: orZero(IommuEventLogEntry),
  reserved3: reserved(16),
  deviceTableEntry: orZero(array(4, u64("Eight bytes of the entry"), "Device table entry of the requester")),
  ...PAGE_TABLE,
}));
export type IommuDmar = Parsed<typeof IommuDmar>;
export type IommuDmarInput = Encodable<typeof IommuDmar>;

/** Fault reasons of legacy and common kind (Intel VT-d 4.1, table 28). */
const VTD_FAULT_REASON: Readonly<Record<number, string>> = {
  1: "root entry is not present",
  2: "context entry is not present",
  3: "context entry is invalid",
  4: "address beyond the address width",
  5: "no write permission",
  6: "no read permission",
  7: "page table entry could not be read",
  8: "root table could not be read",
  9: "context table could not be read",
  10: "reserved bit set in the root entry",
  11: "reserved bit set in the context entry",
  12: "reserved bit set in a page table entry",
  13: "translation request is blocked",
  14: "address in the interrupt range",
  32: "interrupt request with a reserved bit set",
  33: "interrupt index beyond the table",
  34: "interrupt remapping entry is not present",
  35: "interrupt remapping table could not be read",
  36: "reserved bit set in the interrupt remapping entry",
  37: "compatibility format interrupt is blocked",
  38: "interrupt source is not the one allowed",
};
const vtdRequest = (type1: boolean | undefined, type2: boolean | undefined) =>
  type1 ? (type2 ? "atomic request" : "read request") : type2 ? "page request" : "write request";

export const dmarGeneric: SectionType = {
  guids: ["5b51fef7-c79d-4434-8f1b-aa62de3e2c64"],
  name: "dmarGeneric",
  title: "DMA remapping error",
  layout: DmarGeneric,
  summary: (body: DmarGeneric) =>
    phrase(
      body.faultReason === undefined ? undefined : valueLabel(DMAR_FAULT_REASON, body.faultReason),
      body.requesterId === undefined ? undefined : `requester ${requesterAddress(body.requesterId, body.segment ?? 0)}`,
      body.accessType === undefined ? undefined : valueLabel(DmarGeneric.fields.accessType.names, body.accessType),
      body.deviceAddress === undefined ? undefined : `device address ${hexNumber(body.deviceAddress)}`,
      body.architecture === undefined ? undefined : valueLabel(DmarGeneric.fields.architecture.names, body.architecture),
    ),
};
export const vtdDmar: SectionType = {
  guids: ["71761d37-32b2-45cd-a7d0-b0fedd93e8cf"],
  name: "vtdDmar",
  title: "VT-d DMA remapping error",
  layout: VtdDmar,
  summary: (body: VtdDmar) => {
    const { source, faultInformation } = body.faultRecord ?? {};
    return phrase(
      source ? (VTD_FAULT_REASON[source.faultReason ?? 0] ?? `fault reason ${hexNumber(source.faultReason ?? 0)}`) : undefined,
      source && `requester ${requesterAddress(source.sourceId ?? 0)}`,
      source && vtdRequest(source.type1, source.type2),
      faultInformation === undefined ? undefined : `address ${hexNumber(faultInformation & ~0xfffn)}`,
      source?.pasidPresent ? `PASID ${hexNumber(source.pasid ?? 0)}` : undefined,
    );
  },
};
export const iommuDmar: SectionType = {
  guids: ["036f84e1-7f37-428c-a79e-575fdfaa84ec"],
  name: "iommuDmar",
  title: "IOMMU DMA remapping error",
  layout: IommuDmar,
  summary: (body: IommuDmar) => {
    const { event, address } = body.eventLogEntry ?? {};
    return phrase(
      event && valueLabel(IOMMU_EVENT, event.code ?? 0),
      event && `device ${requesterAddress(event.deviceId ?? 0)}`,
      address === undefined ? undefined : `address ${hexNumber(address)}`,
    );
  },
};
