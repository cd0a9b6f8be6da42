/** Every format this package reads, in the order in which they are tried: those with a signature first. */
import { statusBlockFormat } from "../acpi/status-block.ts";
import { injectionFormats, tableFormats } from "../acpi/table-format.ts";
import { cperFormat } from "../cper/record-codec.ts";
import { wheaEventFormat, wheaSystemLogFormat } from "../cper/whea-event/format.ts";
import type { Format, SectionRegistry } from "../layout/index.ts";
import { fwCfgDirectoryFormat } from "../loader/fw-cfg.ts";
import { tableLoaderFormat } from "../loader/script.ts";

/** All formats for a set of section types, in the order in which they are tried. */
export const formatsFor = (registry: SectionRegistry): readonly Format[] => [
  cperFormat(registry),
  wheaEventFormat,
  wheaSystemLogFormat,
  ...tableFormats,
  ...injectionFormats,
  tableLoaderFormat,
  fwCfgDirectoryFormat,
  statusBlockFormat(registry),
];
