/** A firmware health record that AMI firmware on boards with Intel Z690 and Z790 chipsets reports at boot; inferred from records and ACPI's PHAT table. */
import { blob, bytes, guid, orZero, type Parsed, type SectionType, sequence, u32 } from "../../layout/index.ts";
import { utf16Text } from "./storport.ts";

export const AmiFirmwareHealth = sequence("AMI Firmware Health", "inferred from records; ACPI 6.5 5.2.31.5, firmware health data record", () => ({
  unknown: orZero(bytes(8, "Not known; 07 01 01 00 00 00 00 00 in records, which is no header of a health record")),
  deviceSignature: orZero(guid("What the health is of")),
  deviceDataOffset: u32("Where device data would begin; the end of the section when there is none"),
  devicePath: blob("Device path as UTF-16 text, and device data"),
}));
export type AmiFirmwareHealth = Parsed<typeof AmiFirmwareHealth>;

export const amiFirmwareHealth: SectionType = {
  guids: ["93a41c2f-a09f-e7c2-ac1f-f2488f03eec3"],
  name: "amiFirmwareHealth",
  title: "AMI firmware health",
  layout: AmiFirmwareHealth,
  secondHand: "inferred from records; no definition is public",
  summary: (body: AmiFirmwareHealth) => (body.devicePath ? `informational, device ${utf16Text(body.devicePath)}` : "informational"),
  explain: (body: AmiFirmwareHealth) => (body.devicePath ? [{ label: "device path", text: utf16Text(body.devicePath) }] : []),
};
