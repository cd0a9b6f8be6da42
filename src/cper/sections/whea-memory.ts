/** Windows' memory sections: address translation by vendor, page summaries, ranges (WDK ntddk.h). */
import {
  bits,
  blob,
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
  text,
  u8,
  u16,
  u32,
  u64,
} from "../../layout/index.ts";
import { ErrorStatus } from "./error-status.ts";

const TRANSLATION = {
  firmwareTranslated: 0,
  firmwareTranslationFailed: 1,
  firmwareTranslationUnsupported: 2,
  plugInTranslated: 3,
  plugInTranslationFailed: 4,
  plugInTranslationUnsupported: 5,
} as const;
const translation = bits(8, "How the address was translated: by platform runtime mechanism firmware or by a plug-in", TRANSLATION);

/** `name value` for the valid fields that are given. */
function validParts(value: object, names: Readonly<Record<string, string>>): string[] {
  const body = value as Readonly<Record<string, unknown>>;
  const valid = (body["validation"] ?? {}) as Readonly<Record<string, unknown>>;
  return Object.entries(names).flatMap(([name, words]) => {
    const value = body[name];
    if (!valid[name] || value === undefined) return [];
    return [`${words} ${typeof value === "bigint" ? hexNumber(value) : String(value)}`];
  });
}

export const WheaMemoryIntel = struct("Windows Memory Extension for Intel", 166, "WDK ntddk.h, WHEA_MEMORY_ERROR_EXT_SECTION_INTEL", () => ({
  flags: translation,
  validation: bits(8, "Which fields hold data", {
    memoryKind: 0,
    systemAddress: 1,
    spareSystemAddress: 2,
    devicePhysicalAddress: 3,
    channelAddress: 4,
    rankAddress: 5,
    processorSocketId: 6,
    memoryControllerId: 7,
    targetId: 8,
    logicalChannelId: 9,
    channelId: 10,
    subChannelId: 11,
    physicalRankId: 12,
    dimmSlotId: 13,
    dimmRankId: 14,
    bank: 15,
    bankGroup: 16,
    row: 17,
    column: 18,
    lockstepRank: 19,
    lockstepPhysicalRank: 20,
    lockstepBank: 21,
    lockstepBankGroup: 22,
    chipSelect: 23,
    node: 24,
    chipId: 25,
  }),
  memoryKind: orZero(oneOf(4, "Kind of memory", { undefined: [0, "not given"], far: [1, "far memory"], near: [2, "near memory"], hbm: [3, "HBM"] })),
  systemAddress: orZero(u64("System physical address")),
  spareSystemAddress: orZero(u64("System physical address of the spare")),
  devicePhysicalAddress: orZero(u64("Device physical address")),
  channelAddress: orZero(u64("Address within the channel")),
  rankAddress: orZero(u64("Address within the rank")),
  processorSocketId: orZero(u8("Processor socket")),
  memoryControllerId: orZero(u8("Memory controller")),
  targetId: orZero(u8("Target")),
  logicalChannelId: orZero(u8("Logical channel")),
  channelId: orZero(u8("Channel")),
  subChannelId: orZero(u8("Sub-channel")),
  physicalRankId: orZero(u8("Physical rank")),
  dimmSlotId: orZero(u8("DIMM slot")),
  dimmRankId: orZero(u8("Rank of the DIMM")),
  bank: orZero(u8("Bank")),
  bankGroup: orZero(u8("Bank group")),
  row: orZero(u32("Row")),
  column: orZero(u32("Column")),
  lockstepRank: orZero(u8("Lockstep rank")),
  lockstepPhysicalRank: orZero(u8("Lockstep physical rank")),
  lockstepBank: orZero(u8("Lockstep bank")),
  lockstepBankGroup: orZero(u8("Lockstep bank group")),
  chipSelect: orZero(u8("Chip select")),
  node: orZero(u8("Node")),
  chipId: orZero(u8("Chip")),
  reserved: reserved(40),
  reservedAfter: reserved(40),
}));
export type WheaMemoryIntel = Parsed<typeof WheaMemoryIntel>;

export const WheaMemoryAmd = struct("Windows Memory Extension for AMD", 133, "WDK ntddk.h, WHEA_MEMORY_ERROR_EXT_SECTION_AMD", () => ({
  flags: translation,
  validation: bits(8, "Which fields hold data", {
    systemAddress: 0,
    normalizedAddress: 1,
    instanceId: 2,
    socketId: 3,
    chipSelect: 4,
    bankGroup: 5,
    bankAddress: 6,
    row: 7,
    column: 8,
    rankMultiplier: 9,
    subChannel: 10,
    channel: 11,
  }),
  systemAddress: orZero(u64("System physical address")),
  normalizedAddress: orZero(u64("Address within the memory controller")),
  instanceId: orZero(u64("Instance id of the memory controller's machine-check bank")),
  socketId: orZero(u8("Processor socket")),
  chipSelect: orZero(u8("Chip select")),
  bankGroup: orZero(u8("Bank group")),
  bankAddress: orZero(u8("Bank address")),
  row: orZero(u32("Row")),
  column: orZero(u16("Column")),
  rankMultiplier: orZero(u8("Rank multiplier")),
  subChannel: orZero(u8("Sub-channel")),
  channel: orZero(u8("Channel")),
  reserved: reserved(40),
  reservedAfter: reserved(40),
}));
export type WheaMemoryAmd = Parsed<typeof WheaMemoryAmd>;

const CorrectableMemory = struct("Memory Correctable Error Count", 24, "WDK ntddk.h, MEMORY_CORRECTABLE_ERROR_SUMMARY", () => ({
  validation: bits(8, "Which fields hold data", { socketId: 0, channelId: 1, dimmSlot: 2, correctableErrorCount: 3 }),
  socketId: orZero(u32("Processor socket")),
  channelId: orZero(u32("Channel")),
  dimmSlot: orZero(u32("DIMM slot")),
  correctableErrorCount: orZero(u32("Corrected errors")),
}));
export const WheaMemoryCorrectableSummary = sequence(
  "Windows Memory Correctable Error Summary",
  "WDK ntddk.h, WHEA_MEMORY_CORRECTABLE_ERROR_SUMMARY_SECTION",
  () => ({
    version: u16("Version"),
    count: u16("Memory modules that follow"),
    modules: list(CorrectableMemory, "Memory modules", ref("count")),
  }),
);
export type WheaMemoryCorrectableSummary = Parsed<typeof WheaMemoryCorrectableSummary>;

const PageRange = struct("Page Range", 24, "WDK ntddk.h, WHEA_PMEM_PAGE_RANGE", () => ({
  startingPage: u64("First page frame number"),
  pageCount: u64("Pages"),
  markedBad: u64("One bit a page: marked bad"),
}));
export const WheaPersistentMemory = sequence("Windows Persistent Memory Error", "WDK ntddk.h, WHEA_PMEM_ERROR_SECTION", () => ({
  validation: bits(8, "Which fields hold data", { errorStatus: 0, nfitHandle: 1, locationInfo: 2 }),
  locationInfo: orZero(text(64, "Where the module is")),
  errorStatus: ErrorStatus,
  nfitHandle: orZero(hex(u32("NFIT device handle"))),
  pageRangeCount: orZero(u32("Page ranges that follow, at most 50")),
  pageRanges: list(PageRange, "Page ranges", ref("pageRangeCount")),
}));
export type WheaPersistentMemory = Parsed<typeof WheaPersistentMemory>;

const CxlDeviceInfo = struct("CXL Device", 72, "WDK ntddk.h, WHEA_MEMORY_RANGE device information; UEFI 2.11 N.2.14 device id", () => ({
  vendorId: orZero(hex(u16("PCI vendor"))),
  deviceId: orZero(hex(u16("PCI device"))),
  functionNumber: orZero(u8("Function")),
  deviceNumber: orZero(u8("Device")),
  busNumber: orZero(u8("Bus")),
  segmentNumber: orZero(u16("Segment")),
  slotNumber: orZero(u16("Slot")),
  reserved: reserved(1),
  reservedBeforeSerial: reserved(12),
  serialNumber: orZero(u64("Serial number")),
  reservedAfter: reserved(40),
}));
const MemoryRange = struct("Memory Range", 16, "WDK ntddk.h, WHEA_MEMORY_RANGE", () => ({
  start: u64("System physical address"),
  length: u64("Bytes"),
}));
export const WheaMemoryRange = sequence("Windows Memory Ranges", "WDK ntddk.h, WHEA_MEMORY_RANGE_ERROR_SECTION", () => ({
  validation: bits(8, "Which fields hold data", { version: 0, deviceInfo: 1, deviceType: 2, rangeCount: 3, ranges: 4 }),
  version: orZero(u32("Version: 1")),
  deviceInfo: orZero(CxlDeviceInfo),
  deviceType: orZero(oneOf(1, "Kind of device", { cxl: [0, "CXL"] })),
  reserved: reserved(1),
  rangeCount: orZero(u16("Ranges that follow")),
  ranges: list(MemoryRange, "Ranges of memory", ref("rangeCount")),
}));
export type WheaMemoryRange = Parsed<typeof WheaMemoryRange>;

export const WheaPlatformExtendedRas = sequence("Windows Platform Extended RAS", "WDK ntddk.h, WHEA_PLATFORM_EXTENDED_RAS_SECTION", () => ({
  flag: hex(u32("Flag")),
  dimmLocation: hex(u32("Location of the DIMM")),
  dataLength: u64("Bytes of data"),
  data: blob("The platform's data", ref("dataLength")),
}));
export type WheaPlatformExtendedRas = Parsed<typeof WheaPlatformExtendedRas>;

const plural = (count: number, word: string) => `${count} ${word}${count === 1 ? "" : "s"}`;

export const wheaMemorySections: readonly SectionType[] = [
  {
    guids: ["e16edb28-6113-4263-a41d-e53f8de78751"],
    name: "wheaMemoryIntel",
    title: "Windows memory extension for Intel",
    layout: WheaMemoryIntel,
    summary: (body: WheaMemoryIntel) =>
      [
        body.flags?.firmwareTranslated || body.flags?.plugInTranslated ? "address translated" : "address not translated",
        ...validParts(body, {
          systemAddress: "physical address",
          processorSocketId: "socket",
          memoryControllerId: "controller",
          channelId: "channel",
          dimmSlotId: "DIMM slot",
          dimmRankId: "rank",
          bankGroup: "bank group",
          bank: "bank",
          row: "row",
          column: "column",
        }),
      ].join(", "),
  },
  {
    guids: ["0d3a4a3b-774a-4c72-95e2-152d43180374"],
    name: "wheaMemoryAmd",
    title: "Windows memory extension for AMD",
    layout: WheaMemoryAmd,
    summary: (body: WheaMemoryAmd) =>
      [
        body.flags?.firmwareTranslated || body.flags?.plugInTranslated ? "address translated" : "address not translated",
        ...validParts(body, {
          systemAddress: "physical address",
          socketId: "socket",
          channel: "channel",
          subChannel: "sub-channel",
          chipSelect: "chip select",
          bankGroup: "bank group",
          bankAddress: "bank",
          row: "row",
          column: "column",
        }),
      ].join(", "),
  },
  {
    guids: ["0e36c93e-ca15-4a83-ba8a-cbe80f7f0017"],
    name: "wheaMemoryCorrectableSummary",
    title: "Windows memory correctable error summary",
    layout: WheaMemoryCorrectableSummary,
    summary: (body: WheaMemoryCorrectableSummary) =>
      [
        plural(body.modules?.length ?? 0, "memory module"),
        ...(body.modules ?? []).map((module) =>
          validParts(module, { socketId: "socket", channelId: "channel", dimmSlot: "slot", correctableErrorCount: "corrected errors" }).join(" "),
        ),
      ].join(", "),
  },
  {
    guids: ["81687003-dbfd-4728-9ffd-f0904f97597d"],
    name: "wheaPersistentMemory",
    title: "Windows persistent memory error",
    layout: WheaPersistentMemory,
    summary: (body: WheaPersistentMemory) =>
      [
        body.validation?.locationInfo && body.locationInfo ? `'${body.locationInfo}'` : "",
        body.validation?.nfitHandle && body.nfitHandle !== undefined ? `NFIT handle ${hexNumber(body.nfitHandle)}` : "",
        plural(body.pageRanges?.length ?? 0, "page range"),
        ...(body.pageRanges?.slice(0, 1) ?? []).map((range) => `first page ${hexNumber(range.startingPage)}`),
      ]
        .filter((part) => part !== "")
        .join(", "),
  },
  {
    guids: ["cc245308-61d5-4356-a707-25172ec2f5ea"],
    name: "wheaMemoryRange",
    title: "Windows memory ranges",
    layout: WheaMemoryRange,
    summary: (body: WheaMemoryRange) =>
      [
        plural(body.ranges?.length ?? 0, "range"),
        ...(body.ranges ?? []).slice(0, 4).map((range) => `${hexNumber(range.start)} + ${hexNumber(range.length)}`),
      ].join(", "),
  },
  {
    guids: ["c6749ac0-16fb-4868-b976-65a61299834f"],
    name: "wheaPlatformExtendedRas",
    title: "Windows platform extended RAS",
    layout: WheaPlatformExtendedRas,
    summary: (body: WheaPlatformExtendedRas) => `DIMM location ${hexNumber(body.dimmLocation ?? 0)}, ${body.data?.length ?? 0} bytes of data`,
  },
];
