/** The fields of the FADT that firmware reads and patches. */

import { bytes, hex, struct, u32, u64 } from "../layout/index.ts";
import { TableHeader } from "./table-header.ts";

export const FADT_SIGNATURE = "FACP";
export const FadtPointers = struct("FADT up to X_DSDT", 148, "ACPI 6.5 5.2.9", () => ({
  header: TableHeader,
  firmwareControl: hex(u32("Address of the FACS, below 4 GiB")),
  dsdt: hex(u32("Address of the DSDT, below 4 GiB")),
  between: bytes(88, "Fields that hold no address of a table"),
  extendedFirmwareControl: u64("Address of the FACS"),
  extendedDsdt: u64("Address of the DSDT"),
}));
