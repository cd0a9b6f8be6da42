/** Firmware error record reference section (UEFI 2.11 N.2.10). */
import {
  blob,
  choice,
  type Encodable,
  guid,
  hexNumber,
  oneOf,
  orZero,
  type Parsed,
  ref,
  reserved,
  type SectionType,
  sequence,
  u8,
  u64,
  valueLabel,
} from "../../layout/index.ts";
import { phrase } from "./words.ts";

export const FIRMWARE_RECORD_TYPE = {
  ipfSal: [0, "IPF SAL error record"],
  socType1: [1, "SoC firmware error record type 1 (crash log)"],
  socType2: [2, "SoC firmware error record type 2"],
} as const;

const Extension = sequence("Firmware Error Record Extension", "UEFI 2.11 N.2.10", () => ({
  recordGuid: orZero(guid("Names the record, and its layout for SoC type 2")),
  record: blob("The vendor's record"),
}));

export const FirmwareErrorRecordReference = sequence(
  "Firmware Error Record Reference",
  "UEFI 2.11 N.2.10; the specification's table gives 7 bytes to the reserved field, of which 6 fit",
  () => ({
    errorRecordType: oneOf(1, "Kind of the firmware's record", FIRMWARE_RECORD_TYPE),
    revision: u8("Revision of this header: 0 ends after the record id, 2 is the present one"),
    reserved: reserved(6),
    recordId: orZero(u64("Identifies the record in revision 0; null from revision 1 on")),
    extension: choice(ref("revision"), "What follows the record id", { 0: Extension, 1: Extension, 2: Extension }),
  }),
);
export type FirmwareErrorRecordReference = Parsed<typeof FirmwareErrorRecordReference>;
export type FirmwareErrorRecordReferenceInput = Encodable<typeof FirmwareErrorRecordReference>;

export const firmwareErrorRecordReference: SectionType = {
  guids: ["81212a96-09ed-4996-9471-8d729c8e69ed"],
  name: "firmwareErrorRecordReference",
  title: "Firmware error record reference",
  layout: FirmwareErrorRecordReference,
  summary: (body: FirmwareErrorRecordReference) => {
    const { extension } = body;
    const guid = extension && !(extension instanceof Uint8Array) ? extension.recordGuid : undefined;
    const size = extension && !(extension instanceof Uint8Array) ? extension.record?.length : undefined;
    return phrase(
      body.errorRecordType === undefined ? undefined : valueLabel(FIRMWARE_RECORD_TYPE, body.errorRecordType),
      body.revision === 0 && body.recordId !== undefined ? `record id ${hexNumber(body.recordId)}` : undefined,
      body.errorRecordType === "socType2" && guid !== undefined ? `record ${guid}` : undefined,
      size ? `${size} bytes of the vendor's` : undefined,
    );
  },
};
