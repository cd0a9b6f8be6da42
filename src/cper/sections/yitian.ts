/** Alibaba Yitian's DDR section (rasdaemon behaviour). */
import { array, hex, hexNumber, oneOf, orZero, type Parsed, reserved, type SectionType, struct, u8, u16, u32, valueLabel } from "../../layout/index.ts";

const SOURCE = "rasdaemon non-standard-yitian.h";
const TYPE = { ddr: [0x50, "DDR"] } as const;
const word = (doc: string) => orZero(hex(u32(doc)));
const words = (count: number, doc: string) => orZero(array(count, hex(u32(doc)), doc));

export const YitianDdr = struct("Yitian DDR Error", 128, SOURCE, () => ({
  type: orZero(oneOf(1, "Kind of error", TYPE)),
  subtype: orZero(u8("More of the kind")),
  instance: orZero(hex(u16("Instance"))),
  eccConfiguration0: word("ECCCFG0"),
  eccConfiguration1: word("ECCCFG1"),
  eccStatus: word("ECCSTAT"),
  eccErrorCount: word("ECCERRCNT"),
  correctedAddress: words(2, "Address of the corrected error"),
  correctedSyndrome: words(3, "Syndrome of the corrected error"),
  uncorrectedAddress: words(2, "Address of the uncorrected error"),
  uncorrectedSyndrome: words(3, "Syndrome of the uncorrected error"),
  bitMask: words(3, "Mask of the corrected bits"),
  advancedEccStatus: word("ADVECCSTAT"),
  eccAddressParityStatus: word("ECCAPSTAT"),
  correctedData: words(2, "Data of the corrected error"),
  uncorrectedData: words(2, "Data of the uncorrected error"),
  eccSymbol: word("ECCSYMBOL"),
  countControl: word("Control of the error counters"),
  countStatus: word("Status of the error counters"),
  counts: words(2, "Error counters"),
  reserved: reserved(12),
}));
export type YitianDdr = Parsed<typeof YitianDdr>;

export const yitianDdr: SectionType = {
  guids: ["a6980811-16ea-4e4d-b936-fb00a23ff29c"],
  name: "yitianDdr",
  title: "Yitian DDR error",
  layout: YitianDdr,
  summary: (body: YitianDdr) =>
    [
      body.type === undefined ? "" : valueLabel(TYPE, body.type),
      `subtype ${body.subtype ?? 0}, instance ${hexNumber(body.instance ?? 0)}`,
      body.eccErrorCount === undefined ? "" : `error count register ${hexNumber(body.eccErrorCount)}`,
    ]
      .filter((part) => part !== "")
      .join(", "),
  secondHand: SOURCE,
};
