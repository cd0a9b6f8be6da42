/** The backing file of QEMU's ERST device: a header with a map of record identifiers, then slots of equal size. */
import { hex, initially, reserved, struct, text, u16, u32, u64 } from "../layout/index.ts";

export const ERST_STORE_MAGIC = "ERSTSTOR";

export const ErstStoreHeader = struct("ERST Storage Header", 24, "QEMU docs/specs/acpi_erst", () => ({
  magic: initially(text(8, "Always ERSTSTOR"), ERST_STORE_MAGIC),
  recordSize: u32("Bytes of a slot, a power of two from 4096 on"),
  storageOffset: u32("Bytes from the start of the file to the first slot for records"),
  version: initially(hex(u16("Version of the layout")), 0x0100),
  reserved: reserved(2),
  recordCount: u32("Slots in use"),
}));
/** The map follows the header: one identifier for each slot of the file, those the header takes included. */
export const ErstStoreSlot = struct("Record Identifier", 8, "QEMU docs/specs/acpi_erst", () => ({
  id: u64("Identifier of the record in this slot; zero for a free one"),
}));

export const REPLACEMENT_MAGIC = "apeiREDO";
/**
 * Ends the unused bytes between the map and the first slot while a record that was put aside replaces another. QEMU
 * does not look there. Half a mark is no mark: the word of magic is stored last.
 */
export const ErstStoreReplacement = struct("ERST Storage Replacement", 24, "this project alone", () => ({
  slot: u32("Slot that gets the record"),
  length: u32("Bytes of the record"),
  sum: hex(u32("FNV-1a of the record's bytes")),
  reserved: reserved(4),
  magic: initially(text(8, "Always apeiREDO"), REPLACEMENT_MAGIC),
}));
