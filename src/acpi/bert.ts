/** The boot error record table: where errors of the previous run lie. */
import { type Encodable, type Parsed, sequence, u32, u64 } from "../layout/index.ts";
import { TableHeader } from "./table-header.ts";

/** The region holds error status blocks back to back, the first empty one ends them. */
export const Bert = sequence("Boot Error Record Table", "ACPI 6.5 18.3.1", () => ({
  header: TableHeader,
  bootErrorRegionLength: u32("Bytes of the boot error region"),
  bootErrorRegion: u64("Physical address of the boot error region"),
}));
export type Bert = Parsed<typeof Bert>;
export type BertInput = Encodable<typeof Bert>;
