/** The hardware error source table. */
import {
  bits,
  type Encodable,
  hex,
  initially,
  list,
  oneOf,
  type Parsed,
  ref,
  reserved,
  sequence,
  struct,
  u8,
  u16,
  u32,
  u64,
  variant,
  window,
} from "../layout/index.ts";
import { GenericAddress } from "./generic-address.ts";
import { Notification } from "./notification.ts";
import { TableHeader } from "./table-header.ts";

/** Error source types (ACPI 6.5 table 18.3 and following); 3, 4 and 5 are not defined. */
export const SOURCE_TYPE = {
  machineCheckException: [0, "IA-32 machine check exception"],
  correctedMachineCheck: [1, "IA-32 corrected machine check"],
  nonMaskableInterrupt: [2, "IA-32 non-maskable interrupt"],
  pcieRootPortAer: [6, "PCIe root port AER"],
  pcieDeviceAer: [7, "PCIe device AER"],
  pcieBridgeAer: [8, "PCIe/PCI bridge AER"],
  genericHardwareError: [9, "generic hardware error source"],
  genericHardwareErrorV2: [10, "generic hardware error source version 2"],
  deferredMachineCheck: [11, "IA-32 deferred machine check"],
} as const;
export type SourceTypeName = keyof typeof SOURCE_TYPE;

const type = oneOf(2, "Error source type", SOURCE_TYPE);
const sourceId = u16("Unique among the sources");
/** Value of `relatedSourceId` for a source that stands alone. */
export const NO_RELATED_SOURCE = 0xffff;

const enabled = initially(u8("1 when the source is to be enabled"), 1);
const recordsToPreallocate = initially(u32("Error records the operating system should allocate"), 1);
const maxSectionsPerRecord = initially(u32("Sections in one error record at most"), 1);
const maxRawDataLength = initially(u32("Bytes of raw data in one error status block at most"), 0);

// ---- machine check ----

const machineCheckFlags = bits(1, "Who handles the error first", { firmwareFirst: 0, ghesAssist: 2 });

export const MachineCheckBank = struct("Machine Check Bank", 28, "ACPI 6.5 18.3.2.1.1", () => ({
  bankNumber: u8("Bank"),
  clearStatusOnInitialization: initially(oneOf(1, "Whether to clear the status at start", { clear: 0, keep: 1 }), "clear"),
  statusDataFormat: initially(oneOf(1, "Layout of the status register", { ia32: [0, "IA-32"], intel64: [1, "Intel 64"], amd64: [2, "AMD64"] }), "intel64"),
  reserved: reserved(1),
  controlRegister: initially(hex(u32("MSR of the control register; 0 when it is not to be written")), 0),
  controlInitData: initially(u64("What to write to the control register"), 0n),
  statusRegister: initially(hex(u32("MSR of the status register")), 0),
  addressRegister: initially(hex(u32("MSR of the address register")), 0),
  miscRegister: initially(hex(u32("MSR of the miscellaneous register")), 0),
}));

const bankList = list(MachineCheckBank, "Hardware banks", ref("bankCount"));
const machineCheckStart = { type, sourceId, reserved: reserved(2), flags: machineCheckFlags, enabled, recordsToPreallocate, maxSectionsPerRecord } as const;

export const MachineCheckException = sequence("Machine Check Exception", "ACPI 6.5 18.3.2.1", () => ({
  ...machineCheckStart,
  globalCapabilityInitData: initially(u64("What to write to the machine check global capability register"), 0n),
  globalControlInitData: initially(u64("What to write to the machine check global control register"), 0n),
  bankCount: u8("Number of banks"),
  reservedAfterCount: reserved(7),
  banks: bankList,
}));

const notifiedMachineCheck = {
  ...machineCheckStart,
  notification: Notification,
  bankCount: u8("Number of banks"),
  reservedAfterCount: reserved(3),
  banks: bankList,
} as const;
export const CorrectedMachineCheck = sequence("Corrected Machine Check", "ACPI 6.5 18.3.2.2", notifiedMachineCheck);
export const DeferredMachineCheck = sequence("Deferred Machine Check", "ACPI 6.5 18.3.2.10", notifiedMachineCheck);

export const NonMaskableInterrupt = struct("Non-Maskable Interrupt", 20, "ACPI 6.5 18.3.2.2.2", () => ({
  type,
  sourceId,
  reserved: reserved(4),
  recordsToPreallocate,
  maxSectionsPerRecord,
  maxRawDataLength,
}));

// ---- PCI Express ----

const aerFields = {
  type,
  sourceId,
  reserved: reserved(2),
  flags: bits(1, "Who handles the error first, and for which devices", { firmwareFirst: 0, global: 1 }),
  enabled,
  recordsToPreallocate,
  maxSectionsPerRecord,
  bus: bits(4, "Bus and segment of the device; ignored for global sources", { bus: [0, 8], segment: [8, 16] }),
  device: initially(u16("Device number"), 0),
  function: initially(u16("Function number"), 0),
  deviceControl: initially(hex(u16("Device control bits to set")), 0),
  reservedAfterControl: reserved(2),
  uncorrectableErrorMask: initially(hex(u32("What to write to the uncorrectable error mask register")), 0),
  uncorrectableErrorSeverity: initially(hex(u32("What to write to the uncorrectable error severity register")), 0),
  correctableErrorMask: initially(hex(u32("What to write to the correctable error mask register")), 0),
  advancedErrorCapabilities: initially(hex(u32("What to write to the advanced error capabilities and control register")), 0),
} as const;
export const PcieRootPortAer = struct("PCIe Root Port AER", 48, "ACPI 6.5 18.3.2.4", () => ({
  ...aerFields,
  rootErrorCommand: initially(hex(u32("What to write to the root error command register")), 0),
}));
export const PcieDeviceAer = struct("PCIe Device AER", 44, "ACPI 6.5 18.3.2.5", aerFields);
export const PcieBridgeAer = struct("PCIe/PCI Bridge AER", 56, "ACPI 6.5 18.3.2.6", () => ({
  ...aerFields,
  secondaryUncorrectableErrorMask: initially(hex(u32("What to write to the secondary uncorrectable error mask register")), 0),
  secondaryUncorrectableErrorSeverity: initially(hex(u32("What to write to the secondary uncorrectable error severity register")), 0),
  secondaryAdvancedErrorCapabilities: initially(hex(u32("What to write to the secondary advanced error capabilities and control register")), 0),
}));

// ---- generic ----

const ghesFields = {
  type,
  sourceId,
  relatedSourceId: initially(u16("Source this one is an alternative to; 65535 for none"), NO_RELATED_SOURCE),
  flags: initially(hex(u8("Reserved since ACPI 5.0")), 0),
  enabled,
  recordsToPreallocate,
  maxSectionsPerRecord,
  maxRawDataLength,
  errorStatusAddress: GenericAddress,
  notification: Notification,
  errorStatusBlockLength: u32("Bytes reserved for the error status block"),
} as const;

/** The error status address names a register that holds the address of the error status block. */
export const GenericHardwareErrorSource = struct("Generic Hardware Error Source", 64, "ACPI 6.5 18.3.2.7", ghesFields);
export const GenericHardwareErrorSourceV2 = struct("Generic Hardware Error Source version 2", 92, "ACPI 6.5 18.3.2.8", () => ({
  ...ghesFields,
  readAckRegister: GenericAddress,
  readAckPreserve: u64("Bits of the read ack register to keep"),
  readAckWrite: u64("Bits of the read ack register to set"),
}));

export const ErrorSource = variant("type", "Error source", {
  machineCheckException: MachineCheckException,
  correctedMachineCheck: CorrectedMachineCheck,
  nonMaskableInterrupt: NonMaskableInterrupt,
  pcieRootPortAer: PcieRootPortAer,
  pcieDeviceAer: PcieDeviceAer,
  pcieBridgeAer: PcieBridgeAer,
  genericHardwareError: GenericHardwareErrorSource,
  genericHardwareErrorV2: GenericHardwareErrorSourceV2,
  deferredMachineCheck: DeferredMachineCheck,
});

/** Bytes before the first source: the table header and the source count. */
export const HEST_SOURCES_OFFSET = TableHeader.size + 4;

export const Hest = sequence("Hardware Error Source Table", "ACPI 6.5 18.3.2", () => ({
  header: TableHeader,
  sourceCount: u32("Number of error sources"),
  // An unknown source ends the walk, for sources carry no length: the rest stays in `trailing`.
  sources: window(ref("header.length", { bias: -HEST_SOURCES_OFFSET }), list(ErrorSource, "Error sources back to back", ref("sourceCount"))),
}));
/** The same read up to its Length whatever the count says, as iasl and fwts do. */
export const HestByLength = sequence("Hardware Error Source Table", "ACPI 6.5 18.3.2", () => ({
  header: Hest.fields.header,
  sourceCount: Hest.fields.sourceCount,
  sources: window(ref("header.length", { bias: -HEST_SOURCES_OFFSET }), list(ErrorSource, "Error sources back to back")),
}));
export type Hest = Parsed<typeof Hest>;
export type HestInput = Encodable<typeof Hest>;
