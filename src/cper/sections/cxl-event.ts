/** CXL component event sections (UEFI 2.11 N.2.14): one GUID for each kind of event record, one frame for all. */
import {
  bits,
  blob,
  bytes,
  type Decoded,
  type Encodable,
  hex,
  hexNumber,
  initially,
  type Names,
  oneOf,
  orZero,
  ownLength,
  type Parsed,
  reserved,
  type SectionType,
  sequence,
  struct,
  type Tree,
  u8,
  u16,
  u24,
  u32,
  u64,
  valueLabel,
} from "../../layout/index.ts";
import { flagWords, known, pciAddress, pciIds, phrase } from "./words.ts";

const CxlComponentId = struct("CXL Component Id", 12, "UEFI 2.11 N.2.14", () => ({
  vendorId: orZero(hex(u16("Vendor"))),
  deviceId: orZero(hex(u16("Device"))),
  function: orZero(hex(u8("Function"))),
  device: orZero(hex(u8("Device"))),
  bus: orZero(hex(u8("Bus"))),
  segment: orZero(hex(u16("Segment"))),
  slot: bits(2, "Slot", { number: [3, 13] }),
  reserved: reserved(1),
}));
/** The fields before the event record (UEFI 2.11 N.2.14). */
const FRAME = {
  length: ownLength("Bytes of the whole section"),
  validation: bits(8, "Which fields hold data", { deviceId: 0, serialNumber: 1, event: 2 }),
  deviceId: orZero(CxlComponentId),
  serialNumber: orZero(u64("Device serial number")),
};

const SEVERITIES = { informational: 0, warning: 1, failure: 2, fatal: 3 } as const;

/** The common event record without the GUID that names its kind: that is the section type (CXL 3.2, 8.2.10.2.1). */
export const CxlEventHeader = struct("CXL Common Event Record", 32, "CXL 3.2, 8.2.10.2.1", () => ({
  recordLength: initially(u8("Bytes of the event record with its GUID, 128"), 128),
  flags: bits(3, "Event record flags", {
    severity: { at: [0, 2], names: SEVERITIES },
    permanentCondition: 2,
    maintenanceNeeded: 3,
    performanceDegraded: 4,
    hardwareReplacementNeeded: 5,
    maintenanceSubclassValid: 6,
    logicalDeviceIdValid: 7,
    headIdValid: 8,
  }),
  handle: orZero(u16("Handle of the event record")),
  relatedHandle: orZero(u16("Handle of a related event record, 0 for none")),
  timestamp: orZero(u64("Nanoseconds since 1970")),
  maintenanceClass: orZero(
    oneOf(1, "Maintenance operation class", { none: 0, postPackageRepair: [1, "post package repair"], memorySparing: 2, deviceBuiltInTest: 3 }),
  ),
  maintenanceSubclass: orZero(u8("Maintenance operation subclass")),
  logicalDeviceId: orZero(u16("Logical device the event concerns")),
  headId: orZero(u8("Head of a multi-headed device")),
  reserved: reserved(11),
}));

/** The device's own address, in units of 64 bytes: the low bits are flags (`cxlAddressFlags`). */
const physicalAddress = () => orZero(u64("Device physical address in bits 63:6; bit 0 volatile memory, bit 1 not repairable"));

const MEMORY_EVENT_DESCRIPTOR = { uncorrectable: 0, thresholdEvent: 1, poisonListOverflow: 2 } as const;
const TRANSACTION_TYPE = {
  unknown: 0,
  hostRead: 1,
  hostWrite: 2,
  hostScanMedia: 3,
  hostInjectPoison: 4,
  internalMediaScrub: 5,
  internalMediaManagement: 6,
  internalErrorCheckScrub: [7, "internal media error check scrub"],
  initialization: [8, "media initialization"],
} as const;
const THRESHOLD_FLAGS = { multipleMediaComponents: 0, exceedsProgrammableThreshold: 1 } as const;
const GENERAL_MEDIA_SUBTYPE = {
  notReported: 0,
  internalDatapathError: 1,
  mediaLinkCommandTrainingError: 2,
  mediaLinkControlTrainingError: 3,
  mediaLinkDataTrainingError: 4,
  mediaLinkCrcError: [5, "media link CRC error"],
} as const;
const componentId = () => orZero(bytes(16, "Component identifier: PLDM or the vendor's"));

export const CxlGeneralMediaEvent = struct("CXL General Media Event", 112, "CXL 3.2, 8.2.10.2.1.1", () => ({
  header: orZero(CxlEventHeader),
  physicalAddress: physicalAddress(),
  descriptor: bits(1, "Memory event descriptor", MEMORY_EVENT_DESCRIPTOR),
  eventType: orZero(
    oneOf(1, "Kind of event", {
      eccError: [0, "media ECC error"],
      invalidAddress: 1,
      datapathError: 2,
      teStateViolation: [3, "TE state violation"],
      scrubError: [4, "scrub media ECC error"],
      counterExpiration: [5, "advanced programmable corrected memory error counter expiration"],
      ckidViolation: [6, "CKID violation"],
    }),
  ),
  transactionType: orZero(oneOf(1, "What was going on", TRANSACTION_TYPE)),
  validation: bits(2, "Which of the fields below hold data", { channel: 0, rank: 1, device: 2, componentId: 3, pldmComponentId: 4 }),
  channel: orZero(u8("Channel")),
  rank: orZero(u8("Rank")),
  device: orZero(hex(u24("Devices in the rank, a mask"))),
  componentId: componentId(),
  thresholdFlags: bits(1, "Corrected memory error threshold event", THRESHOLD_FLAGS),
  correctedCount: orZero(u24("Corrected memory errors at the event")),
  subtype: orZero(oneOf(1, "More of the kind of event", GENERAL_MEDIA_SUBTYPE)),
  reserved: reserved(41),
}));

export const CxlDramEvent = struct("CXL DRAM Event", 112, "CXL 3.2, 8.2.10.2.1.2", () => ({
  header: orZero(CxlEventHeader),
  physicalAddress: physicalAddress(),
  descriptor: bits(1, "Memory event descriptor", MEMORY_EVENT_DESCRIPTOR),
  eventType: orZero(
    oneOf(1, "Kind of event", {
      eccError: [0, "media ECC error"],
      scrubError: [1, "scrub media ECC error"],
      invalidAddress: 2,
      datapathError: 3,
      teStateViolation: [4, "TE state violation"],
      counterExpiration: [5, "advanced programmable corrected memory error counter expiration"],
      ckidViolation: [6, "CKID violation"],
    }),
  ),
  transactionType: orZero(oneOf(1, "What was going on", TRANSACTION_TYPE)),
  validation: bits(2, "Which of the fields below hold data", {
    channel: 0,
    rank: 1,
    nibbleMask: 2,
    bankGroup: 3,
    bank: 4,
    row: 5,
    column: 6,
    correctionMask: 7,
    componentId: 8,
    pldmComponentId: 9,
    subChannel: 10,
  }),
  channel: orZero(u8("Channel")),
  rank: orZero(u8("Rank")),
  nibbleMask: orZero(hex(u24("Nibbles of the bus in error"))),
  bankGroup: orZero(u8("Bank group")),
  bank: orZero(u8("Bank")),
  row: orZero(u24("Row")),
  column: orZero(u16("Column")),
  correctionMask: orZero(bytes(32, "Bits in error in the burst")),
  componentId: componentId(),
  subChannel: orZero(u8("Sub-channel")),
  thresholdFlags: bits(1, "Corrected volatile memory error threshold event", THRESHOLD_FLAGS),
  correctedCount: orZero(u24("Corrected volatile memory errors at the event")),
  subtype: orZero(oneOf(1, "More of the kind of event", GENERAL_MEDIA_SUBTYPE)),
  reserved: reserved(1),
}));

export const CxlHealthInfo = struct("CXL Device Health Information", 18, "CXL 3.2, 8.2.10.9.3.1", () => ({
  healthStatus: bits(1, "Health", { maintenanceNeeded: 0, performanceDegraded: 1, hardwareReplacementNeeded: 2, memoryCapacityDegraded: 3 }),
  mediaStatus: orZero(
    oneOf(1, "Media", {
      normal: 0,
      notReady: 1,
      writePersistencyLost: 2,
      allDataLost: 3,
      writePersistencyLossOnPowerLoss: [4, "write persistency loss in the event of power loss"],
      writePersistencyLossOnShutdown: [5, "write persistency loss in event of shutdown"],
      writePersistencyLossImminent: 6,
      allDataLossOnPowerLoss: [7, "all data loss in the event of power loss"],
      allDataLossOnShutdown: [8, "all data loss in the event of shutdown"],
      allDataLossImminent: 9,
    }),
  ),
  additionalStatus: bits(1, "More of the state", {
    lifeUsed: { at: [0, 2], names: { normal: 0, warning: 1, critical: 2 } },
    temperature: { at: [2, 2], names: { normal: 0, warning: 1, critical: 2 } },
    volatileErrorsExceeded: 4,
    persistentErrorsExceeded: 5,
  }),
  lifeUsed: orZero(u8("Life used in percent, 255 when not known")),
  temperature: orZero(u16("Degrees Celsius, signed; 7fff when not known")),
  dirtyShutdowns: orZero(u32("Dirty shutdowns")),
  correctedVolatileErrors: orZero(u32("Corrected errors in volatile memory")),
  correctedPersistentErrors: orZero(u32("Corrected errors in persistent memory")),
}));

export const CxlMemoryModuleEvent = struct("CXL Memory Module Event", 112, "CXL 3.2, 8.2.10.2.1.3", () => ({
  header: orZero(CxlEventHeader),
  eventType: orZero(
    oneOf(1, "Kind of event", {
      healthStatusChange: 0,
      mediaStatusChange: 1,
      lifeUsedChange: 2,
      temperatureChange: 3,
      dataPathError: 4,
      lsaError: [5, "label storage area error"],
      unrecoverableInternalSidebandBusError: 6,
      memoryMediaFruError: [7, "memory media FRU error"],
      powerManagementFault: 8,
    }),
  ),
  health: orZero(CxlHealthInfo),
  validation: bits(2, "Which of the fields below hold data", { componentId: 0, pldmComponentId: 1 }),
  componentId: componentId(),
  subtype: orZero(
    oneOf(1, "More of the kind of event", {
      notReported: 0,
      invalidConfigData: 1,
      unsupportedConfigData: 2,
      unsupportedMemoryMediaFru: [3, "unsupported memory media FRU"],
    }),
  ),
  reserved: reserved(42),
}));

export const CxlMemorySparingEvent = struct("CXL Memory Sparing Event", 112, "CXL 3.2, 8.2.10.2.1.4", () => ({
  header: orZero(CxlEventHeader),
  maintenanceClass: orZero(u8("Repeats the header's")),
  maintenanceSubclass: orZero(u8("Repeats the header's")),
  flags: bits(1, "Flags", { queryResources: 0, hardSparing: 1, deviceInitiated: 2 }),
  result: orZero(u8("Result of the operation, 0 for success")),
  validation: bits(2, "Which of the fields below hold data", {
    channel: 0,
    rank: 1,
    nibbleMask: 2,
    bankGroup: 3,
    bank: 4,
    row: 5,
    column: 6,
    componentId: 7,
    pldmComponentId: 8,
    subChannel: 9,
  }),
  reserved1: reserved(6),
  resourcesAvailable: orZero(u16("Sparing resources still available")),
  channel: orZero(u8("Channel")),
  rank: orZero(u8("Rank")),
  nibbleMask: orZero(hex(u24("Nibbles of the bus"))),
  bankGroup: orZero(u8("Bank group")),
  bank: orZero(u8("Bank")),
  row: orZero(u24("Row")),
  column: orZero(u16("Column")),
  componentId: componentId(),
  subChannel: orZero(u8("Sub-channel")),
  reserved2: reserved(37),
}));

const otherEvent = (title: string) =>
  sequence(title, "UEFI 2.11 N.2.14; the data as the CXL specification defines it", () => ({
    ...FRAME,
    event: orZero(CxlEventHeader),
    data: blob("Data of this kind of event"),
  }));

export const CxlGeneralMedia = sequence("CXL General Media Event Section", "UEFI 2.11 N.2.14", () => ({ ...FRAME, event: orZero(CxlGeneralMediaEvent) }));
export const CxlDram = sequence("CXL DRAM Event Section", "UEFI 2.11 N.2.14", () => ({ ...FRAME, event: orZero(CxlDramEvent) }));
export const CxlMemoryModule = sequence("CXL Memory Module Event Section", "UEFI 2.11 N.2.14", () => ({ ...FRAME, event: orZero(CxlMemoryModuleEvent) }));
export const CxlMemorySparing = sequence("CXL Memory Sparing Event Section", "UEFI 2.11 N.2.14", () => ({ ...FRAME, event: orZero(CxlMemorySparingEvent) }));
export const CxlPhysicalSwitch = otherEvent("CXL Physical Switch Event Section");
export const CxlVirtualSwitch = otherEvent("CXL Virtual Switch Event Section");
export const CxlMldPort = otherEvent("CXL MLD Port Event Section");
export const CxlDynamicCapacity = otherEvent("CXL Dynamic Capacity Event Section");
export type CxlGeneralMedia = Parsed<typeof CxlGeneralMedia>;
export type CxlGeneralMediaInput = Encodable<typeof CxlGeneralMedia>;
export type CxlDram = Parsed<typeof CxlDram>;
export type CxlDramInput = Encodable<typeof CxlDram>;
export type CxlMemoryModule = Parsed<typeof CxlMemoryModule>;
export type CxlMemoryModuleInput = Encodable<typeof CxlMemoryModule>;
export type CxlMemorySparing = Parsed<typeof CxlMemorySparing>;
export type CxlMemorySparingInput = Encodable<typeof CxlMemorySparing>;
export type CxlOtherEvent = Parsed<typeof CxlPhysicalSwitch>;
export type CxlOtherEventInput = Encodable<typeof CxlPhysicalSwitch>;

interface Framed {
  readonly validation?: object | undefined;
  readonly deviceId?: { vendorId?: number; deviceId?: number; segment?: number; bus?: number; device?: number; function?: number } | undefined;
  readonly serialNumber?: bigint | undefined;
}
type Header = Partial<Decoded<typeof CxlEventHeader>>;

/** What every event tells: the device, then what only its kind does, then what is asked for. */
const eventWords = <E>(
  body: Framed,
  event: E | undefined,
  header: (event: E) => Header | undefined,
  words: (event: E) => readonly (string | undefined)[],
): string =>
  phrase(
    known(body, "event", event, (value) => phrase(...words(value))),
    known(body, "event", event && header(event), ({ flags = {} }) => phrase(valueLabel(SEVERITIES, flags.severity ?? 0), ...flagWords(flags))),
    known(body, "deviceId", body.deviceId, (value) => `device ${pciAddress(value)} (${pciIds(value)})`),
    known(body, "serialNumber", body.serialNumber, (value) => `serial number ${hexNumber(value)}`),
  );
const headerTrees = ({ timestamp = 0n }: Header): Tree[] =>
  // Nanoseconds past the end of year 9999 are no time anyone meant.
  timestamp > 0n && timestamp < 253402300800000000000n ? [{ label: "event time", text: new Date(Number(timestamp / 1000000n)).toISOString() }] : [];
const addressWords = (address: bigint | undefined): string | undefined =>
  address === undefined
    ? undefined
    : phrase(`device physical address ${hexNumber(address & ~0x3fn)}`, address & 1n ? "volatile" : "persistent", address & 2n ? "not repairable" : undefined);
const placeWords = (event: {
  validation?: object;
  channel?: number;
  rank?: number;
  bankGroup?: number;
  bank?: number;
  row?: number;
  column?: number;
  subChannel?: number;
}) => [
  known(event, "channel", event.channel, (value) => `channel ${value}`),
  known(event, "subChannel", event.subChannel, (value) => `sub-channel ${value}`),
  known(event, "rank", event.rank, (value) => `rank ${value}`),
  known(event, "bankGroup", event.bankGroup, (value) => `bank group ${value}`),
  known(event, "bank", event.bank, (value) => `bank ${value}`),
  known(event, "row", event.row, (value) => `row ${value}`),
  known(event, "column", event.column, (value) => `column ${value}`),
];
type MediaEvent = Partial<Decoded<typeof CxlGeneralMediaEvent>> | Partial<Decoded<typeof CxlDramEvent>>;
const mediaWords = (event: MediaEvent, types: Names) => [
  event.eventType === undefined ? undefined : valueLabel(types, event.eventType),
  event.transactionType === undefined || event.transactionType === "unknown" ? undefined : `during ${valueLabel(TRANSACTION_TYPE, event.transactionType)}`,
  flagWords(event.descriptor).join(", "),
  addressWords(event.physicalAddress),
  ...placeWords(event),
];
const explainHeader = (body: { event?: { header?: Header } | undefined }) => headerTrees(body.event?.header ?? {});
const otherSection = (guids: readonly string[], name: string, title: string, layout: typeof CxlPhysicalSwitch): SectionType => ({
  guids,
  name,
  title,
  layout,
  summary: (body: CxlOtherEvent) =>
    eventWords(
      body,
      body.event,
      (event) => event,
      () => [],
    ),
  explain: (body: CxlOtherEvent) => headerTrees(body.event ?? {}),
});

const SECOND_HAND = "event data as Linux include/cxl/event.h and drivers/cxl/core/trace.h have it; the CXL specification could not be read";

export const cxlGeneralMedia: SectionType = {
  guids: ["fbcd0a77-c260-417f-85a9-088b1621eba6"],
  name: "cxlGeneralMedia",
  title: "CXL general media event",
  layout: CxlGeneralMedia,
  secondHand: SECOND_HAND,
  summary: (body: CxlGeneralMedia) =>
    eventWords(
      body,
      body.event,
      (event) => event.header,
      (event) => mediaWords(event, CxlGeneralMediaEvent.fields.eventType.names),
    ),
  explain: explainHeader,
};
export const cxlDram: SectionType = {
  guids: ["601dcbb3-9c06-4eab-b8af-4e9bfb5c9624"],
  name: "cxlDram",
  title: "CXL DRAM event",
  layout: CxlDram,
  secondHand: SECOND_HAND,
  summary: (body: CxlDram) =>
    eventWords(
      body,
      body.event,
      (event) => event.header,
      (event) => mediaWords(event, CxlDramEvent.fields.eventType.names),
    ),
  explain: explainHeader,
};
export const cxlMemoryModule: SectionType = {
  // The second is how one of QEMU's scripts spells the first.
  guids: ["fe927475-dd59-4339-a586-79bab113b774", "fe927475-dd59-4339-a586-79bab113bc74"],
  name: "cxlMemoryModule",
  title: "CXL memory module event",
  layout: CxlMemoryModule,
  secondHand: SECOND_HAND,
  summary: (body: CxlMemoryModule) =>
    eventWords(
      body,
      body.event,
      (event) => event.header,
      (event) => [
        event.eventType === undefined ? undefined : valueLabel(CxlMemoryModuleEvent.fields.eventType.names, event.eventType),
        event.health && phrase(...flagWords(event.health.healthStatus)),
        event.health?.mediaStatus === undefined ? undefined : `media ${valueLabel(CxlHealthInfo.fields.mediaStatus.names, event.health.mediaStatus)}`,
        event.health?.temperature === undefined || event.health.temperature === 0x7fff ? undefined : `${(event.health.temperature << 16) >> 16} °C`,
      ],
    ),
  explain: explainHeader,
};
export const cxlMemorySparing: SectionType = {
  guids: ["e71f3a40-2d29-4092-8a39-4d1c966c7c65"],
  name: "cxlMemorySparing",
  title: "CXL memory sparing event",
  layout: CxlMemorySparing,
  secondHand: SECOND_HAND,
  summary: (body: CxlMemorySparing) =>
    eventWords(
      body,
      body.event,
      (event) => event.header,
      (event) => [
        flagWords(event.flags).join(", "),
        event.result === undefined ? undefined : event.result === 0 ? "successful" : `result ${hexNumber(event.result)}`,
        event.resourcesAvailable === undefined ? undefined : `${event.resourcesAvailable} spares left`,
        ...placeWords(event),
      ],
    ),
  explain: explainHeader,
};
export const cxlPhysicalSwitch = otherSection(["77cf9271-9c02-470b-9fe4-bc7b75f2da97"], "cxlPhysicalSwitch", "CXL physical switch event", CxlPhysicalSwitch);
// The second GUID is how libcper spells the first.
export const cxlVirtualSwitch = otherSection(
  ["40d26425-3396-4c4d-a5da-3d472a63af25", "40d26425-3396-4c4d-a5da-3d47263af425"],
  "cxlVirtualSwitch",
  "CXL virtual switch event",
  CxlVirtualSwitch,
);
export const cxlMldPort = otherSection(["8dc44363-0c96-4710-b7bf-04bb99534c3f"], "cxlMldPort", "CXL MLD port event", CxlMldPort);
export const cxlDynamicCapacity = otherSection(
  ["ca95afa7-f183-4018-8c2f-95268e101a2a"],
  "cxlDynamicCapacity",
  "CXL dynamic capacity event",
  CxlDynamicCapacity,
);
