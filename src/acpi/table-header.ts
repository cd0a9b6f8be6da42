/** What every ACPI table starts with. */
import { type Encodable, fieldOffset, hex, initially, struct, text, u8, u32 } from "../layout/index.ts";

export const TableHeader = struct("Table Header", 36, "ACPI 6.5 5.2.6", () => ({
  signature: text(4, "Table signature"),
  length: u32("Bytes of the whole table"),
  revision: initially(u8("Revision of the table's structure"), 1),
  checksum: initially(hex(u8("Makes the sum of all bytes zero")), 0),
  oemId: initially(text(6, "Manufacturer"), "APEI"),
  oemTableId: initially(text(8, "Manufacturer's name for the table"), "APEI"),
  oemRevision: initially(u32("Manufacturer's revision"), 1),
  creatorId: initially(text(4, "Tool that made the table"), "APEI"),
  creatorRevision: initially(u32("Revision of that tool"), 1),
}));
export type TableHeaderInput = Encodable<typeof TableHeader>;

/** Offset of the checksum byte in every table. */
export const CHECKSUM_OFFSET = fieldOffset(TableHeader, "checksum");

/** Sum of bytes modulo 256; zero for an intact table. */
export function byteSum(input: Uint8Array, start = 0, end = input.length): number {
  let sum = 0;
  for (let i = start; i < end; i++) sum = (sum + input[i]!) & 255;
  return sum;
}

/** Set the byte at `offset` so that the whole of `table` sums to zero (in place). */
export function fixChecksum(table: Uint8Array, offset = CHECKSUM_OFFSET): Uint8Array {
  table[offset] = 0;
  table[offset] = (256 - byteSum(table)) & 255;
  return table;
}
