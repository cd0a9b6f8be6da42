/** Platform memory error section (UEFI 2.11 N.2.5). */
import { bits, type Encodable, hexNumber, initially, oneOf, type Parsed, type SectionType, struct, u16, u64, validBy, valueLabel } from "../../layout/index.ts";
import { ErrorStatus } from "./error-status.ts";

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

export const PlatformMemory = struct("Platform Memory Error", 80, "UEFI 2.11 N.2.5", {
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
  physicalAddress: initially(u64("Physical address of the error"), 0n),
  physicalAddressMask: initially(u64("Bits of the address that are meaningful"), 0n),
  node: initially(u16("Node in a multi-node system"), 0),
  card: initially(u16("Card"), 0),
  module: initially(u16("Module or rank"), 0),
  bank: initially(validBy(u16("Bank, or bank address in bits 7:0 and bank group in bits 15:8"), "bank", "bankGroup", "bankAddress"), 0),
  device: initially(u16("Device on the module"), 0),
  row: initially(validBy(u16("Row, bits 15:0"), "row", "extendedRow"), 0),
  column: initially(u16("Column"), 0),
  bitPosition: initially(u16("Bit within the word"), 0),
  requestorId: initially(u64("Device that asked for the access"), 0n),
  responderId: initially(u64("Device that answered it"), 0n),
  targetId: initially(u64("Intended target"), 0n),
  memoryErrorType: initially(oneOf(1, "Kind of error", MEMORY_ERROR_TYPE), "unknown"),
  extended: validBy(bits(1, "More row bits and chip", { row: [0, 2], chipIdentification: [5, 3] }), "extendedRow", "chipIdentification"),
  rankNumber: initially(u16("Rank"), 0),
  cardHandle: initially(u16("SMBIOS type 16 handle of the memory array"), 0),
  moduleHandle: initially(u16("SMBIOS type 17 handle of the memory device"), 0),
});
export type PlatformMemory = Parsed<typeof PlatformMemory>;
export type PlatformMemoryInput = Encodable<typeof PlatformMemory>;

export const platformMemory: SectionType = {
  guids: ["a5bc1114-6f64-4ede-b863-3e83ed7c83b1"],
  name: "platformMemory",
  title: "Platform Memory Error",
  layout: PlatformMemory,
  summary: (body: PlatformMemory) => {
    const valid = body.validation ?? {};
    const parts: string[] = [];
    if (valid.memoryErrorType && body.memoryErrorType !== undefined) parts.push(valueLabel(MEMORY_ERROR_TYPE, body.memoryErrorType));
    if (valid.physicalAddress && body.physicalAddress !== undefined) parts.push(`physical address ${hexNumber(body.physicalAddress)}`);
    for (const name of ["node", "card", "module", "bank", "device", "row", "column"] as const)
      if (valid[name] && body[name] !== undefined) parts.push(`${name} ${body[name]}`);
    return parts.join(", ");
  },
};
