/** The fixed parts of a common platform error record. */
import { SECTION_FLAGS } from "../acpi/status-block.ts";
import {
  bits,
  bytes,
  type Decoded,
  type Encodable,
  guid,
  hex,
  initially,
  oneOf,
  reserved,
  struct,
  text,
  timestamp,
  u16,
  u32,
  u64,
  ZERO_GUID,
} from "../layout/index.ts";
import { CREATORS, ERROR_SOURCES, NOTIFICATION_TYPES } from "./guids.ts";

/** Severity of records, sections and, with `none` for `informational`, of error status blocks (UEFI 2.11 N.2.1). */
export const SEVERITY = { recoverable: 0, fatal: 1, corrected: 2, informational: 3 } as const;

export const RecordHeader = struct("Record Header", 128, "UEFI 2.11 N.2.1", () => ({
  signature: initially(text(4, "Record signature"), "CPER"),
  revision: initially(hex(u16("Minor revision in the low byte, major in the high byte")), 0x0101),
  signatureEnd: initially(hex(u32("Always ffffffff")), 0xffffffff),
  sectionCount: u16("Number of section descriptors"),
  severity: oneOf(4, "Severity of the whole record", SEVERITY),
  validation: bits(4, "Which optional fields hold data", { platformId: 0, timestamp: 1, partitionId: 2 }),
  recordLength: u32("Bytes of the record: header, descriptors and sections"),
  timestamp: initially(timestamp("When the error was recorded"), "none"),
  platformId: initially(guid("The platform the error occurred on", ERROR_SOURCES), ZERO_GUID),
  partitionId: initially(guid("The software partition"), ZERO_GUID),
  creatorId: initially(guid("Who created the record", CREATORS), ZERO_GUID),
  notificationType: initially(guid("How the error was signalled", NOTIFICATION_TYPES), ZERO_GUID),
  recordId: initially(u64("Unique among the records of the creator"), 0n),
  flags: bits(4, "Record flags; bits from 3 on are Windows'", {
    recovered: 0,
    previousError: 1,
    simulated: 2,
    deviceDriver: 3,
    criticalEvent: 4,
    persistPfn: 5,
    sectionsTruncated: 6,
    recoveryInProgress: 7,
    throttle: 8,
  }),
  persistenceInformation: initially(bytes(8, "Used by the record's keeper, opaque to others"), new Uint8Array(8)),
  reserved: reserved(12),
}));
export type RecordHeader = Decoded<typeof RecordHeader>;

export const SectionDescriptor = struct("Section Descriptor", 72, "UEFI 2.11 N.2.2", () => ({
  sectionOffset: u32("Bytes from the start of the record header to the section body"),
  sectionLength: u32("Bytes of the section body"),
  revision: initially(hex(u16("Minor revision in the low byte, major in the high byte")), 0x0100),
  validation: bits(1, "Which optional fields hold data", { fruId: 0, fruText: 1 }),
  reserved: reserved(1),
  flags: bits(4, "Section flags", SECTION_FLAGS),
  sectionType: guid("Names the layout of the section body"),
  fruId: initially(guid("Identity of the field replaceable unit"), ZERO_GUID),
  severity: oneOf(4, "Severity of this section", SEVERITY),
  fruText: initially(text(20, "Name of the field replaceable unit"), ""),
}));
export type SectionDescriptor = Decoded<typeof SectionDescriptor>;
export type SectionDescriptorInput = Encodable<typeof SectionDescriptor>;
