/** Every format this package reads, in the order in which they are tried: those with a signature first. */
import { statusBlockFormat } from "../acpi/status-block.ts";
import { tableFormats } from "../acpi/table-format.ts";
import { cperFormat } from "../cper/record-codec.ts";
import { sectionTypes } from "../cper/registry.ts";
import type { Format } from "../layout/index.ts";
import { fwCfgDirectoryFormat } from "../loader/fw-cfg.ts";
import { tableLoaderFormat } from "../loader/script.ts";

export const FORMATS: readonly Format[] = [cperFormat(sectionTypes), ...tableFormats, tableLoaderFormat, fwCfgDirectoryFormat, statusBlockFormat(sectionTypes)];
