/** CCIX PER log error section (UEFI 2.11 N.2.12). */
import { bits, blob, type Encodable, orZero, ownLength, type Parsed, reserved, type SectionType, sequence, u8 } from "../../layout/index.ts";
import { known, phrase } from "./words.ts";

export const CcixPer = sequence("CCIX PER Log Error", "UEFI 2.11 N.2.12", () => ({
  length: ownLength("Bytes of the whole section"),
  validation: bits(8, "Which fields hold data", { sourceId: 0, portId: 1, perLog: 2 }),
  sourceId: orZero(u8("CCIX agent or device that reported the error")),
  portId: orZero(u8("CCIX port that reported the error")),
  reserved: reserved(2),
  perLog: blob("Protocol error record of CCIX Base Specification 1.0, 7.3.2"),
}));
export type CcixPer = Parsed<typeof CcixPer>;
export type CcixPerInput = Encodable<typeof CcixPer>;

export const ccixPer: SectionType = {
  guids: ["91335ef6-ebfb-4478-a6a6-88b728cf75d7"],
  name: "ccixPer",
  title: "CCIX PER log error",
  layout: CcixPer,
  summary: (body: CcixPer) =>
    phrase(
      known(body, "sourceId", body.sourceId, (value) => `source ${value}`),
      known(body, "portId", body.portId, (value) => `port ${value}`),
      known(body, "perLog", body.perLog, (value) => `${value.length} bytes of log`),
    ),
};
