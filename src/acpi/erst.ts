/** The error record serialization table: how the operating system stores records in the platform. */
import { bits, type Encodable, initially, list, type Parsed, ref, reserved, sequence, u32, window } from "../layout/index.ts";
import { ErstEntry } from "./action-entry.ts";
import { TableHeader } from "./table-header.ts";

/** Bytes before the first entry of ERST and EINJ: the table header and the 12 bytes after it. */
export const ENTRIES_OFFSET = TableHeader.size + 12;

export const Erst = sequence("Error Record Serialization Table", "ACPI 6.5 18.5.1", () => ({
  header: TableHeader,
  serializationHeaderLength: initially(u32("Bytes of this header: 48 with the table header, 12 without; both are met"), ENTRIES_OFFSET),
  reserved: reserved(4),
  entryCount: u32("Number of instruction entries"),
  entries: window(ref("header.length", { bias: -ENTRIES_OFFSET }), list(ErstEntry, "Instruction entries", ref("entryCount"))),
}));
/** The same read up to its Length whatever the count says, as iasl does. */
export const ErstByLength = sequence("Error Record Serialization Table", "ACPI 6.5 18.5.1", () => ({
  ...Erst.fields,
  entries: window(ref("header.length", { bias: -ENTRIES_OFFSET }), list(ErstEntry, "Instruction entries")),
}));
export type Erst = Parsed<typeof Erst>;
export type ErstInput = Encodable<typeof Erst>;

/** What the action "get command status" answers (ACPI 6.5 table 18.25). */
export const ERST_STATUS = {
  success: 0,
  notEnoughSpace: 1,
  hardwareNotAvailable: 2,
  failed: 3,
  recordStoreEmpty: 4,
  recordNotFound: 5,
} as const;

/** Members of what "get error log address range attributes" answers. */
export const ErstRangeAttributes = bits(8, "Error log address range attributes", { nonVolatile: 1, slow: 2 });
