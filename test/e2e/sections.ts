/** Random blocks of every section Linux knows, and two it dumps. */
import { buildErrorStatusBlock } from "../../src/acpi/status-block.ts";
import { sectionTypes } from "../../src/cper/registry.ts";
import { type Dice, generate } from "../../src/input/generate.ts";
import { encode, type SectionType } from "../../src/layout/index.ts";

const NAMES = [
  "processorGeneric",
  "ia32x64Processor",
  "armProcessor",
  "platformMemory",
  "pcie",
  "firmwareErrorRecordReference",
  "cxlProtocol",
  "cxlGeneralMedia",
  "pciBus",
  "dmarGeneric",
] as const;
export const LINUX_SECTIONS: readonly SectionType[] = NAMES.map((name) => sectionTypes.byName(name)!);

const body = (type: SectionType, dice: Dice): Uint8Array => encode(type.layout as never, generate(type.layout, dice) as never);
export const blockOf = (chosen: readonly SectionType[], dice: Dice, severity: "corrected" | "recoverable"): Uint8Array =>
  buildErrorStatusBlock(
    severity,
    chosen.map((type) => ({ header: { sectionType: type.guids[0]!, errorSeverity: severity, fruText: "DIMM A1" }, body: body(type, dice) })),
  );
