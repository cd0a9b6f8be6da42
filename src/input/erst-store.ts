/** Backing files of QEMU's ERST device (hw/acpi/erst.c): a header with a map of record identifiers, then slots of equal size. */
import { RecordHeader } from "../cper/record.ts";
import { isRecordStart } from "../cper/record-stream.ts";
import { type Format, fieldOffset, hex, initially, list, type Parsed, reserved, sequence, struct, text, u16, u32, u64 } from "../layout/index.ts";
import { type Cut, containerFormat } from "./container.ts";
import type { Formats } from "./content.ts";
import { layoutFormat } from "./layout-format.ts";

const MAGIC = "ERSTSTOR";
export const ErstStoreHeader = struct("ERST Storage Header", 24, "QEMU docs/specs/acpi_erst", {
  magic: initially(text(8, "Always ERSTSTOR"), MAGIC),
  recordSize: u32("Bytes of a slot, a power of two from 4096 on"),
  storageOffset: u32("Bytes from the start of the file to the first slot for records"),
  version: initially(hex(u16("Version of the layout")), 0x0100),
  reserved: reserved(2),
  recordCount: u32("Slots in use"),
});
const RecordIdentifier = struct("Record Identifier", 8, "QEMU docs/specs/acpi_erst", { id: u64("Identifier of the record in this slot; zero for a free one") });
const RecordMap = sequence("Record Map", "QEMU docs/specs/acpi_erst", { slots: list(RecordIdentifier, "One for each slot of the file") });

export const erstStoreHeaderFormat = layoutFormat(
  "erst-store-header",
  "ERST storage header",
  ErstStoreHeader,
  (value: Parsed<typeof ErstStoreHeader>) => `ERST storage with slots of ${value.recordSize ?? 0} bytes, ${value.recordCount ?? 0} in use`,
);
export const erstStoreMapFormat = layoutFormat("erst-store-map", "ERST record map", RecordMap, ({ slots = [] }: Parsed<typeof RecordMap>) => {
  const used = slots.map((slot, i) => ({ i, id: slot.id })).filter((slot) => slot.id !== 0n);
  return used.length === 0 ? "All slots are free" : used.map(({ i, id }) => `slot ${i} holds record 0x${id.toString(16)}`).join(", ");
});

const SMALLEST_SLOT = 4096;
const RECORD_SIZE = fieldOffset(ErstStoreHeader, "recordSize");
const STORAGE_OFFSET = fieldOffset(ErstStoreHeader, "storageOffset");
const RECORD_LENGTH = fieldOffset(RecordHeader, "recordLength");

export const erstStoreFormat = (contents: Formats, record: Format) =>
  containerFormat({
    name: "erst-store",
    title: "backing file of QEMU's ERST device",
    contents,
    recognise: (input) => input.length >= ErstStoreHeader.size && [...MAGIC].every((letter, i) => input[i] === letter.charCodeAt(0)),
    *cut(input): Generator<Cut> {
      if (input.length < ErstStoreHeader.size) {
        yield { end: input.length, problem: "too short for the storage header" };
        return;
      }
      const view = new DataView(input.buffer, input.byteOffset, input.length);
      const recordSize = view.getUint32(RECORD_SIZE, true);
      const storageOffset = view.getUint32(STORAGE_OFFSET, true);
      yield { end: ErstStoreHeader.size, format: erstStoreHeaderFormat as Format };
      const slots = Math.floor(input.length / recordSize);
      const mapEnd = ErstStoreHeader.size + slots * RecordIdentifier.size;
      if (recordSize < SMALLEST_SLOT || storageOffset % recordSize !== 0 || storageOffset < mapEnd || storageOffset > input.length) {
        if (input.length > ErstStoreHeader.size)
          yield {
            end: input.length,
            problem: `slots of ${recordSize} bytes from 0x${storageOffset.toString(16)} on do not fit a file of ${input.length} bytes`,
          };
        return;
      }
      yield { end: mapEnd, format: erstStoreMapFormat as Format };
      if (storageOffset > mapEnd) yield { end: storageOffset };
      for (let slot = storageOffset / recordSize; slot < slots; slot++) {
        const start = slot * recordSize;
        const end = start + recordSize;
        const used = view.getBigUint64(ErstStoreHeader.size + slot * RecordIdentifier.size, true) !== 0n;
        const length = isRecordStart(input, start, end) ? view.getUint32(start + RECORD_LENGTH, true) : 0;
        const fits = length >= RecordHeader.size && length <= recordSize;
        if (fits) yield { end: start + length, format: record, note: used ? `slot ${slot}` : `slot ${slot}, deleted` };
        if (!fits || length < recordSize) yield { end, ...(used && !fits && { problem: `slot ${slot} is in use, but holds no record` }) };
      }
      if (slots * recordSize < input.length) yield { end: input.length, problem: "these bytes form no whole slot" };
    },
  });
