/** Platform memory error sections (UEFI 2.11 N.2.5 and N.2.6). */
import {
  bits,
  type Encodable,
  endingAlso,
  hexNumber,
  oneOf,
  orZero,
  type Parsed,
  reserved,
  type SectionType,
  struct,
  u8,
  u16,
  u32,
  u64,
  validBy,
  valueLabel,
} from "../../layout/index.ts";
import { ERROR_STATUS_TYPE, ErrorStatus } from "./error-status.ts";
import { known, phrase } from "./words.ts";

/** The fields both memory sections have. */
interface CommonMemory {
  readonly validation?: object | undefined;
  readonly errorStatus?: { readonly type?: string | number } | undefined;
  readonly memoryErrorType?: string | number | undefined;
  readonly physicalAddress?: bigint | undefined;
  readonly node?: number | undefined;
  readonly card?: number | undefined;
  readonly module?: number | undefined;
  readonly bank?: number | undefined;
  readonly column?: number | undefined;
  readonly bitPosition?: number | undefined;
  readonly cardHandle?: number | undefined;
  readonly moduleHandle?: number | undefined;
}
const commonWords = (body: CommonMemory) => [
  known(body, "memoryErrorType", body.memoryErrorType, (value) => (value === "unknown" ? "unknown kind" : valueLabel(MEMORY_ERROR_TYPE, value))),
  known(body, "errorStatus", body.errorStatus?.type, (value) => (value === 0 ? "" : valueLabel(ERROR_STATUS_TYPE, value))),
  known(body, "physicalAddress", body.physicalAddress, (value) => `physical address ${hexNumber(value)}`),
  known(body, "node", body.node, (value) => `node ${value}`),
  known(body, "card", body.card, (value) => `card ${value}`),
  known(body, "module", body.module, (value) => `module ${value}`),
];
const bankWords = (body: CommonMemory) => [
  known(body, "bank", body.bank, (value) => `bank ${value}`),
  known(body, "bankGroup", body.bank, (value) => `bank group ${value >> 8}`),
  known(body, "bankAddress", body.bank, (value) => `bank address ${value & 255}`),
];
const placeWords = (body: CommonMemory) => [
  known(body, "column", body.column, (value) => `column ${value}`),
  known(body, "bitPosition", body.bitPosition, (value) => `bit ${value}`),
];
const handleWords = (body: CommonMemory) => [
  known(body, "cardHandle", body.cardHandle, (value) => `memory array handle ${hexNumber(value)}`),
  known(body, "moduleHandle", body.moduleHandle, (value) => `DIMM handle ${hexNumber(value)}`),
];

/** Kinds of memory errors, shared by both memory sections. */
export const MEMORY_ERROR_TYPE = {
  unknown: 0,
  noError: [1, "no error"],
  singleBitEcc: [2, "single-bit ECC"],
  multiBitEcc: [3, "multi-bit ECC"],
  singleSymbolChipkill: [4, "single-symbol ChipKill ECC"],
  multiSymbolChipkill: [5, "multi-symbol ChipKill ECC"],
  masterAbort: 6,
  targetAbort: 7,
  parityError: 8,
  watchdogTimeout: 9,
  invalidAddress: 10,
  mirrorBroken: 11,
  memorySparing: 12,
  scrubCorrectedError: [13, "scrub corrected error"],
  scrubUncorrectedError: [14, "scrub uncorrected error"],
  physicalMemoryMapOutEvent: [15, "physical memory map-out event"],
} as const;

const PlatformMemoryFields = struct("Platform Memory Error", 80, "UEFI 2.11 N.2.5", () => ({
  validation: bits(8, "Which fields hold data", {
    errorStatus: 0,
    physicalAddress: 1,
    physicalAddressMask: 2,
    node: 3,
    card: 4,
    module: 5,
    bank: 6,
    device: 7,
    row: 8,
    column: 9,
    bitPosition: 10,
    requestorId: 11,
    responderId: 12,
    targetId: 13,
    memoryErrorType: 14,
    rankNumber: 15,
    cardHandle: 16,
    moduleHandle: 17,
    extendedRow: 18,
    bankGroup: 19,
    bankAddress: 20,
    chipIdentification: 21,
  }),
  errorStatus: ErrorStatus,
  physicalAddress: orZero(u64("Physical address of the error")),
  physicalAddressMask: orZero(u64("Bits of the address that are meaningful")),
  node: orZero(u16("Node in a multi-node system")),
  card: orZero(u16("Card")),
  module: orZero(u16("Module or rank")),
  bank: orZero(validBy(u16("Bank, or bank address in bits 7:0 and bank group in bits 15:8"), "bank", "bankGroup", "bankAddress")),
  device: orZero(u16("Device on the module")),
  row: orZero(validBy(u16("Row, bits 15:0"), "row", "extendedRow")),
  column: orZero(u16("Column")),
  bitPosition: orZero(u16("Bit within the word")),
  requestorId: orZero(u64("Device that asked for the access")),
  responderId: orZero(u64("Device that answered it")),
  targetId: orZero(u64("Intended target")),
  memoryErrorType: orZero(oneOf(1, "Kind of error", MEMORY_ERROR_TYPE)),
  extended: validBy(bits(1, "More row bits and chip", { row: [0, 2], chipIdentification: [5, 3] }), "extendedRow", "chipIdentification"),
  rankNumber: orZero(u16("Rank")),
  cardHandle: orZero(u16("SMBIOS type 16 handle of the memory array")),
  moduleHandle: orZero(u16("SMBIOS type 17 handle of the memory device")),
}));
/** Up to UEFI 2.2 the section ended after the kind of error; firmware pads that form to anything short of the next (Windows records, Linux cper.c behaviour). */
export const PlatformMemory = endingAlso(PlatformMemoryFields, 73, 74, 75, 76, 77, 78, 79);
export type PlatformMemory = Parsed<typeof PlatformMemory>;
export type PlatformMemoryInput = Encodable<typeof PlatformMemory>;

export const platformMemory: SectionType = {
  guids: ["a5bc1114-6f64-4ede-b863-3e83ed7c83b1"],
  name: "platformMemory",
  title: "Platform memory error",
  layout: PlatformMemory,
  summary: (body: PlatformMemory) => {
    const { row = 0, extended = {} } = body;
    return phrase(
      ...commonWords(body),
      known(body, "rankNumber", body.rankNumber, (value) => `rank ${value}`),
      ...bankWords(body),
      known(body, "device", body.device, (value) => `device ${value}`),
      body.validation?.extendedRow ? undefined : known(body, "row", body.row, (value) => `row ${value}`),
      known(body, "extendedRow", body.row, () => `row ${(extended.row ?? 0) * 0x10000 + row}`),
      ...placeWords(body),
      known(body, "chipIdentification", extended.chipIdentification, (value) => `chip ${value}`),
      ...handleWords(body),
    );
  },
};

export const PlatformMemory2 = struct("Platform Memory Error 2", 96, "UEFI 2.11 N.2.6", () => ({
  validation: bits(8, "Which fields hold data", {
    errorStatus: 0,
    physicalAddress: 1,
    physicalAddressMask: 2,
    node: 3,
    card: 4,
    module: 5,
    bank: 6,
    device: 7,
    row: 8,
    column: 9,
    rank: 10,
    bitPosition: 11,
    chipIdentification: 12,
    memoryErrorType: 13,
    status: 14,
    requestorId: 15,
    responderId: 16,
    targetId: 17,
    cardHandle: 18,
    moduleHandle: 19,
    bankGroup: 20,
    bankAddress: 21,
  }),
  errorStatus: ErrorStatus,
  physicalAddress: orZero(u64("Physical address of the error")),
  physicalAddressMask: orZero(u64("Bits of the address that are meaningful")),
  node: orZero(u16("Node in a multi-node system")),
  card: orZero(u16("Card")),
  module: orZero(u16("Module or rank")),
  bank: orZero(validBy(u16("Bank, or bank address in bits 7:0 and bank group in bits 15:8"), "bank", "bankGroup", "bankAddress")),
  device: orZero(u32("Device on the module")),
  row: orZero(u32("Row")),
  column: orZero(u32("Column")),
  rank: orZero(u32("Rank")),
  bitPosition: orZero(u32("Bit within the word")),
  chipIdentification: orZero(u8("Chip of a 3D stack")),
  memoryErrorType: orZero(oneOf(1, "Kind of error", MEMORY_ERROR_TYPE)),
  status: bits(1, "Outcome", { uncorrected: 0 }),
  reserved: reserved(1),
  requestorId: orZero(u64("Device that asked for the access")),
  responderId: orZero(u64("Device that answered it")),
  targetId: orZero(u64("Intended target")),
  cardHandle: orZero(u32("SMBIOS type 16 handle of the memory array")),
  moduleHandle: orZero(u32("SMBIOS type 17 handle of the memory device")),
}));
export type PlatformMemory2 = Parsed<typeof PlatformMemory2>;
export type PlatformMemory2Input = Encodable<typeof PlatformMemory2>;

export const platformMemory2: SectionType = {
  guids: ["61ec04fc-48e6-d813-25c9-8daa44750b12"],
  name: "platformMemory2",
  title: "Platform memory 2 error",
  layout: PlatformMemory2,
  summary: (body: PlatformMemory2) =>
    phrase(
      ...commonWords(body),
      known(body, "status", body.status, (value) => (value.uncorrected ? "uncorrected" : "corrected")),
      known(body, "rank", body.rank, (value) => `rank ${value}`),
      ...bankWords(body),
      known(body, "device", body.device, (value) => `device ${value}`),
      known(body, "row", body.row, (value) => `row ${value}`),
      ...placeWords(body),
      known(body, "chipIdentification", body.chipIdentification, (value) => `chip ${value}`),
      ...handleWords(body),
    ),
};
