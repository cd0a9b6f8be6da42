/** Windows' descriptor of an error source (WDK ntddk.h WHEA_ERROR_SOURCE_DESCRIPTOR). */
import { GenericAddress } from "../../acpi/generic-address.ts";
import { Notification } from "../../acpi/notification.ts";
import {
  array,
  bits,
  blob,
  choice,
  guid,
  hex,
  initially,
  list,
  oneOf,
  orZero,
  type Parsed,
  ref,
  sequence,
  struct,
  u8,
  u16,
  u32,
  u64,
  window,
} from "../../layout/index.ts";
import { ERROR_SOURCE_TYPE } from "../error-source-type.ts";
import { CREATORS, ERROR_SOURCES } from "../guids.ts";
import { yesNo } from "../sections/whea-machine-check.ts";

const SOURCE = "WDK ntddk.h, WHEA_ERROR_SOURCE_DESCRIPTOR";

const descriptorType = initially(
  oneOf(2, "Kind of the fields below", {
    machineCheck: 0,
    correctedMachineCheck: 1,
    nmi: [2, "NMI"],
    ipfMachineCheck: [3, "Itanium machine check"],
    ipfCorrectedMachineCheck: [4, "Itanium corrected machine check"],
    ipfCorrectedPlatformError: [5, "Itanium corrected platform error"],
    aerRootPort: [6, "AER root port"],
    aerEndpoint: [7, "AER endpoint"],
    aerBridge: [8, "AER bridge"],
    generic: 9,
    genericV2: [10, "generic version 2"],
  }),
  "machineCheck",
);
const enabled = yesNo("Whether the source is enabled");
const rest = blob("The rest of the space that all kinds share");
const pointer = (doc: string) => orZero(u64(doc));

const Bank = struct("Machine Check Bank", 28, "WDK ntddk.h, WHEA_XPF_MC_BANK_DESCRIPTOR", () => ({
  number: u8("Bank"),
  clearOnInitialization: yesNo("Whether Windows clears it when it starts"),
  statusDataFormat: orZero(oneOf(1, "Form of the status", { ia32: [0, "IA32"], intel64: [1, "Intel 64"], amd64: [2, "AMD64"] })),
  flags: orZero(hex(u8("Flags"))),
  controlMsr: hex(u32("Control register")),
  statusMsr: hex(u32("Status register")),
  addressMsr: hex(u32("Address register")),
  miscMsr: hex(u32("Misc register")),
  controlValue: u64("What to write to the control register"),
}));
/** Banks of the first form of descriptors; the second has room for 64. */
const BANKS = 32;
const banks = array(BANKS, Bank, "The first 32 banks");
const moreBanks = list(Bank, "Banks in use beyond those", ref("bankCount", { bias: -BANKS }));

const MachineCheck = sequence("Machine Check Source", "WDK ntddk.h, WHEA_XPF_MCE_DESCRIPTOR", () => ({
  descriptorType,
  enabled,
  bankCount: orZero(u8("Banks in use")),
  flags: orZero(hex(u32("Flags"))),
  globalCapability: orZero(u64("MCG_CAP")),
  globalControl: orZero(u64("What to write to MCG_CTL")),
  banks,
  moreBanks,
  rest,
}));
const CorrectedMachineCheck = sequence("Corrected Machine Check Source", "WDK ntddk.h, WHEA_XPF_CMC_DESCRIPTOR", () => ({
  descriptorType,
  enabled,
  bankCount: orZero(u8("Banks in use")),
  reserved: orZero(hex(u32("Reserved"))),
  notification: Notification,
  banks,
  moreBanks,
  rest,
}));
const Nmi = sequence("NMI Source", "WDK ntddk.h, WHEA_XPF_NMI_DESCRIPTOR", () => ({ descriptorType, enabled, rest }));
const Aer = sequence("PCI Express AER Source", "WDK ntddk.h, WHEA_AER_ROOTPORT_DESCRIPTOR, WHEA_AER_ENDPOINT_DESCRIPTOR, WHEA_AER_BRIDGE_DESCRIPTOR", () => ({
  descriptorType,
  enabled,
  reserved: orZero(u8("Reserved")),
  bus: orZero(hex(u32("Bus"))),
  slot: bits(4, "Slot", { device: [0, 5], function: [5, 3] }),
  deviceControl: orZero(hex(u16("Device control"))),
  flags: orZero(hex(u16("Which of the masks are to be used"))),
  uncorrectableErrorMask: orZero(hex(u32("Uncorrectable error mask"))),
  uncorrectableErrorSeverity: orZero(hex(u32("Uncorrectable error severity"))),
  correctableErrorMask: orZero(hex(u32("Correctable error mask"))),
  advancedCapabilities: orZero(hex(u32("Advanced error capabilities and control"))),
  rest: blob("Root port: root error command; bridge: secondary masks and control; then the rest of the space that all kinds share"),
}));
const genericFields = {
  descriptorType,
  reserved: orZero(u8("Reserved")),
  enabled,
  errorStatusBlockLength: orZero(u32("Bytes of the error status block")),
  relatedErrorSourceId: orZero(u32("Source this one is an alternative to")),
  errorStatusAddress: GenericAddress,
  notification: Notification,
} as const;
const Generic = sequence("Generic Source", "WDK ntddk.h, WHEA_GENERIC_ERROR_DESCRIPTOR", () => ({ ...genericFields, rest }));
const GenericV2 = sequence("Generic Source Version 2", "WDK ntddk.h, WHEA_GENERIC_ERROR_DESCRIPTOR_V2", () => ({
  ...genericFields,
  readAckAddress: GenericAddress,
  readAckPreserve: orZero(u64("Bits of the acknowledge register to keep")),
  readAckWrite: orZero(u64("Bits of the acknowledge register to set")),
  rest,
}));
const DeviceDriver = sequence("Device Driver Source", "WDK ntddk.h, WHEA_DEVICE_DRIVER_DESCRIPTOR", () => ({
  descriptorType,
  enabled,
  reserved: orZero(u8("Reserved")),
  sourceId: orZero(guid("The driver's source", ERROR_SOURCES)),
  logTag: orZero(hex(u16("Log tag"))),
  reservedAfterTag: orZero(u16("Reserved")),
  packetLength: orZero(u32("Bytes of a packet")),
  packetCount: orZero(u32("Packets")),
  packetBuffer: pointer("Kernel address of the packets"),
  configuration0: pointer("Kernel address of a driver's function"),
  configuration1: pointer("Kernel address of a driver's function"),
  configuration2: pointer("Kernel address of a driver's function"),
  creatorId: orZero(guid("Creator of its records", CREATORS)),
  partitionId: orZero(guid("Partition of its records")),
  maxSectionDataLength: orZero(u32("Bytes of a section at most")),
  maxSectionsPerRecord: orZero(u32("Sections of a record at most")),
  packetState: pointer("Kernel address of the packets' states"),
  openHandles: orZero(u32("Open handles")),
  rest,
}));

/** Bytes before the fields of the kind, which the length counts. */
const COMMON = 40;

export const WheaErrorSource = sequence("Windows Error Source", SOURCE, () => ({
  length: u32("Bytes of the descriptor: 972, or 1868 with 64 banks"),
  version: u32("Version: 10, 11 for device drivers"),
  type: oneOf(4, "Kind of error source", ERROR_SOURCE_TYPE),
  state: orZero(oneOf(4, "State", { uninitialized: 0, stopped: 1, started: 2, removed: 3, removePending: 4 })),
  maxRawDataLength: orZero(u32("Bytes of raw data at most")),
  preallocatedRecords: orZero(u32("Records set aside")),
  maxSectionsPerRecord: orZero(u32("Sections of a record at most")),
  id: orZero(u32("Error source id")),
  platformId: orZero(hex(u32("Platform's id of the source"))),
  flags: bits(4, "Flags", { firmwareFirst: 0, global: 1, ghesAssist: 2, version2: 3, override: 30, default: 31 }),
  source: window(
    ref("length", { bias: -COMMON }),
    choice(ref("type"), "What only this kind of source has", {
      machineCheck: MachineCheck,
      correctedMachineCheck: CorrectedMachineCheck,
      nmi: Nmi,
      pcie: Aer,
      generic: Generic,
      sciGeneric: Generic,
      genericV2: GenericV2,
      sciGenericV2: GenericV2,
      deviceDriver: DeviceDriver,
    }),
  ),
}));
export type WheaErrorSource = Parsed<typeof WheaErrorSource>;
