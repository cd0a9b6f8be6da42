/** The hardware error source table. */
import { type Encodable, hex, initially, list, oneOf, type Parsed, ref, sequence, struct, u8, u16, u32, u64, variant } from "../layout/index.ts";
import { GenericAddress } from "./generic-address.ts";
import { Notification } from "./notification.ts";
import { TableHeader } from "./table-header.ts";

/** Error source types (ACPI 6.5 table 18.3 and following). */
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

const type = oneOf(2, "Error source type", SOURCE_TYPE);
const sourceId = u16("Unique among the sources");
/** Value of `relatedSourceId` for a source that stands alone. */
export const NO_RELATED_SOURCE = 0xffff;

const ghesFields = {
  type,
  sourceId,
  relatedSourceId: initially(u16("Source this one is an alternative to; 65535 for none"), NO_RELATED_SOURCE),
  flags: initially(hex(u8("Reserved since ACPI 5.0")), 0),
  enabled: initially(u8("1 when the source is to be enabled"), 1),
  recordsToPreallocate: initially(u32("Error records the operating system should allocate"), 1),
  maxSectionsPerRecord: initially(u32("Sections in one error record at most"), 1),
  maxRawDataLength: initially(u32("Bytes of raw data in one error status block at most"), 0),
  errorStatusAddress: GenericAddress,
  notification: Notification,
  errorStatusBlockLength: u32("Bytes reserved for the error status block"),
} as const;

/** The error status address names a register that holds the address of the error status block. */
export const GenericHardwareErrorSource = struct("Generic Hardware Error Source", 64, "ACPI 6.5 18.3.2.7", ghesFields);
export const GenericHardwareErrorSourceV2 = struct("Generic Hardware Error Source version 2", 92, "ACPI 6.5 18.3.2.8", {
  ...ghesFields,
  readAckRegister: GenericAddress,
  readAckPreserve: u64("Bits of the read ack register to keep"),
  readAckWrite: u64("Bits of the read ack register to set"),
});

export const ErrorSource = variant("type", "Error source", {
  genericHardwareError: GenericHardwareErrorSource,
  genericHardwareErrorV2: GenericHardwareErrorSourceV2,
});

export const Hest = sequence("Hardware Error Source Table", "ACPI 6.5 18.3.2", {
  header: TableHeader,
  sourceCount: u32("Number of error sources"),
  sources: list(ErrorSource, "Error sources back to back", ref("sourceCount")),
});
export type Hest = Parsed<typeof Hest>;
export type HestInput = Encodable<typeof Hest>;
