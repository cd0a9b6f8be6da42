/** The error injection table and the structures its actions point at. */
import {
  bits,
  bytes,
  choice,
  type Encodable,
  hex,
  initially,
  list,
  type Parsed,
  ref,
  reserved,
  sequence,
  struct,
  u8,
  u16,
  u32,
  u64,
  window,
} from "../layout/index.ts";
import { EinjEntry } from "./action-entry.ts";
import { ENTRIES_OFFSET } from "./erst.ts";
import { TableHeader } from "./table-header.ts";

export const Einj = sequence("Error Injection Table", "ACPI 6.5 18.6.1", () => ({
  header: TableHeader,
  injectionHeaderLength: initially(u32("Bytes of this header: 48 with the table header, 12 without; both are met"), ENTRIES_OFFSET),
  flags: initially(hex(u8("Reserved")), 0),
  reserved: reserved(3),
  entryCount: u32("Number of instruction entries"),
  entries: window(ref("header.length", { bias: -ENTRIES_OFFSET }), list(EinjEntry, "Instruction entries", ref("entryCount"))),
}));
/** The same read up to its Length whatever the count says, as iasl does. */
export const EinjByLength = sequence("Error Injection Table", "ACPI 6.5 18.6.1", () => ({
  ...Einj.fields,
  entries: window(ref("header.length", { bias: -ENTRIES_OFFSET }), list(EinjEntry, "Instruction entries")),
}));
export type Einj = Parsed<typeof Einj>;
export type EinjInput = Encodable<typeof Einj>;

/** What the action "get command status" answers (ACPI 6.5 table 18.32). */
export const EINJ_STATUS = { success: 0, unknownFailure: 1, invalidAccess: 2 } as const;

/** Error types an EINJ can inject (ACPI 6.5 table 18.35). */
export const EINJ_ERROR_TYPE = {
  processorCorrectable: 0,
  processorUncorrectableNonFatal: 1,
  processorUncorrectableFatal: 2,
  memoryCorrectable: 3,
  memoryUncorrectableNonFatal: 4,
  memoryUncorrectableFatal: 5,
  pcieCorrectable: 6,
  pcieUncorrectableNonFatal: 7,
  pcieUncorrectableFatal: 8,
  platformCorrectable: 9,
  platformUncorrectableNonFatal: 10,
  platformUncorrectableFatal: 11,
  cxlCacheCorrectable: 12,
  cxlCacheUncorrectableNonFatal: 13,
  cxlCacheUncorrectableFatal: 14,
  cxlMemCorrectable: 15,
  cxlMemUncorrectableNonFatal: 16,
  cxlMemUncorrectableFatal: 17,
  einjv2Supported: 30,
  vendorDefined: 31,
} as const;

/** Error types of EINJv2, the answer to "EINJv2 get error type". */
export const EINJV2_ERROR_TYPE = { processor: 0, memory: 1, pcie: 2 } as const;

const pcieSbdf = () => bits(4, "PCIe segment, bus, device and function", { function: [8, 3], device: [11, 5], bus: [16, 8], segment: [24, 8] });

export const Einjv2Component = struct("EINJv2 Component", 32, "ACPI 6.5 table 18.37", () => ({
  componentId: bytes(16, "Names the component, by the error type"),
  componentSyndrome: bytes(16, "What to inject there"),
}));

export const Einjv2Extension = sequence("EINJv2 Extension", "ACPI 6.5 table 18.36", () => ({
  length: u32("Bytes of this extension"),
  revision: initially(u16("Revision of the extension"), 1),
  componentCount: u16("Number of components"),
  components: list(Einjv2Component, "Components", ref("componentCount")),
}));

/** What "set error type with address" points at. */
export const SetErrorTypeWithAddress = sequence("Set Error Type With Address", "ACPI 6.5 table 18.34", () => ({
  errorType: bits(4, "Error to inject", EINJ_ERROR_TYPE),
  vendorExtensionOffset: initially(hex(u32("Bytes from here to the vendor extension; 0 for none")), 0),
  flags: bits(4, "Which of the fields below hold data", { apicIdValid: 0, memoryAddressValid: 1, pcieSbdfValid: 2, einjv2Extension: 3 }),
  apicId: initially(u32("Processor to inject into"), 0),
  memoryAddress: initially(u64("Memory address to inject at"), 0n),
  memoryAddressRange: initially(u64("Mask of the address bits that count"), 0n),
  pcieSbdf: pcieSbdf(),
  extension: choice(ref("flags.einjv2Extension"), "EINJv2 extension, or bytes up to the vendor extension", { true: Einjv2Extension }),
}));
export type SetErrorTypeWithAddress = Parsed<typeof SetErrorTypeWithAddress>;

export const VendorErrorTypeExtension = sequence("Vendor Error Type Extension", "ACPI 6.5 table 18.38", () => ({
  length: u32("Bytes of this structure"),
  pcieSbdf: pcieSbdf(),
  vendorId: initially(hex(u16("Vendor")), 0),
  deviceId: initially(hex(u16("Device")), 0),
  revisionId: initially(hex(u8("Revision")), 0),
  reserved: reserved(3),
  specific: window(
    ref("length", { bias: -16 }),
    list(struct("Vendor Word", 4, "vendor defined", { value: hex(u32("Defined by the vendor")) }), "Vendor-defined words"),
  ),
}));

/** What "get trigger error action table" points at. */
export const TriggerTable = sequence("Trigger Error Action Table", "ACPI 6.5 table 18.39", () => ({
  headerLength: initially(u32("Bytes of this header"), 16),
  revision: initially(u32("Revision of the table"), 0),
  tableLength: u32("Bytes of the whole table"),
  entryCount: u32("Number of instruction entries"),
  entries: list(EinjEntry, "Instruction entries", ref("entryCount")),
}));
export type TriggerTable = Parsed<typeof TriggerTable>;

/** Two 32-bit halves of what "get execute operation timings" answers: microseconds, nominal and at most. */
export const ExecuteTimings = struct("Execute Operation Timings", 8, "ACPI 6.5 table 18.24", () => ({
  nominal: u32("Microseconds an operation usually takes"),
  maximum: u32("Microseconds an operation takes at most"),
}));
