/** How tables are found: the root pointer and the two root tables. */
import {
  choice,
  type Encodable,
  fieldOffset,
  hex,
  initially,
  list,
  type Parsed,
  ref,
  reserved,
  sequence,
  struct,
  text,
  u8,
  u32,
  u64,
  window,
} from "../layout/index.ts";
import { TableHeader } from "./table-header.ts";

export const RSDP_SIGNATURE = "RSD PTR ";

export const RsdpExtension = struct("Root System Description Pointer Extension", 16, "ACPI 6.5 5.2.5.3", () => ({
  length: initially(u32("Bytes of the whole structure"), 36),
  xsdtAddress: u64("Physical address of the XSDT"),
  extendedChecksum: initially(hex(u8("Makes the sum of all 36 bytes zero")), 0),
  reserved: reserved(3),
}));

/** 20 bytes in revision 0, 36 in revision 2. */
export const Rsdp = sequence("Root System Description Pointer", "ACPI 6.5 5.2.5.3", () => ({
  signature: initially(text(8, "Signature"), RSDP_SIGNATURE),
  checksum: initially(hex(u8("Makes the sum of the first 20 bytes zero")), 0),
  oemId: initially(text(6, "Manufacturer"), "APEI"),
  revision: initially(u8("0 for 20 bytes, 2 for 36"), 2),
  rsdtAddress: initially(hex(u32("Physical address of the RSDT")), 0),
  extension: choice(ref("revision"), "Fields of revision 2", { 2: RsdpExtension }),
}));
export type Rsdp = Parsed<typeof Rsdp>;
export type RsdpInput = Encodable<typeof Rsdp>;
const REVISION_0 = fieldOffset(Rsdp, "extension");
/** Offsets and lengths of the two checksums of an RSDP, in bytes. */
export const RSDP_CHECKSUM = { offset: fieldOffset(Rsdp, "checksum"), length: REVISION_0 } as const;
export const RSDP_EXTENDED_CHECKSUM = {
  offset: REVISION_0 + fieldOffset(RsdpExtension, "extendedChecksum"),
  length: REVISION_0 + RsdpExtension.size,
} as const;

const entries = ref("header.length", { bias: -TableHeader.size });

export const Rsdt = sequence("Root System Description Table", "ACPI 6.5 5.2.7", () => ({
  header: TableHeader,
  entries: window(entries, list(struct("RSDT Entry", 4, "ACPI 6.5 5.2.7", { address: hex(u32("Physical address of a table")) }), "Tables")),
}));
export type Rsdt = Parsed<typeof Rsdt>;

export const Xsdt = sequence("Extended System Description Table", "ACPI 6.5 5.2.8", () => ({
  header: TableHeader,
  entries: window(entries, list(struct("XSDT Entry", 8, "ACPI 6.5 5.2.8", { address: u64("Physical address of a table") }), "Tables")),
}));
export type Xsdt = Parsed<typeof Xsdt>;
