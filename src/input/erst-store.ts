/** Backing files of QEMU's ERST device (hw/acpi/erst.c): a header with a map of record identifiers, then slots of equal size. */
import { ERST_STORE_MAGIC, ErstStoreHeader, ErstStoreSlot } from "../acpi/erst-storage.ts";
import { RecordHeader } from "../cper/record.ts";
import { isRecordStart } from "../cper/record-stream.ts";
import { type Format, fieldOffset, hexNumber, list, type Parsed, sequence } from "../layout/index.ts";
import { type Cut, containerFormat } from "./container.ts";
import type { Formats } from "./content.ts";
import { layoutFormat } from "./layout-format.ts";

export const RecordMap = sequence("Record Map", "QEMU docs/specs/acpi_erst", () => ({ slots: list(ErstStoreSlot, "One for each slot of the file") }));

export const erstStoreHeaderFormat = layoutFormat(
  "erst-store-header",
  "ERST storage header",
  ErstStoreHeader,
  (value: Parsed<typeof ErstStoreHeader>) => `ERST storage with slots of ${value.recordSize ?? 0} bytes, ${value.recordCount ?? 0} in use`,
);
const usedSlots = ({ slots = [] }: Parsed<typeof RecordMap>) => slots.map(({ id }, slot) => ({ id, slot })).filter(({ id }) => id !== 0n);
export const erstStoreMapFormat = layoutFormat(
  "erst-store-map",
  "ERST record map",
  RecordMap,
  (value: Parsed<typeof RecordMap>) => `Record map: ${usedSlots(value).length} of ${value.slots?.length ?? 0} slots in use`,
  (value) => usedSlots(value).map(({ id, slot }) => ({ label: `slot ${slot}`, text: `record ${hexNumber(id)}` })),
);

const SMALLEST_SLOT = 4096;
const RECORD_SIZE = fieldOffset(ErstStoreHeader, "recordSize");
const STORAGE_OFFSET = fieldOffset(ErstStoreHeader, "storageOffset");
const RECORD_LENGTH = fieldOffset(RecordHeader, "recordLength");

export const erstStoreFormat = (contents: Formats, record: Format) =>
  containerFormat({
    name: "erst-store",
    title: "backing file of QEMU's ERST device",
    contents,
    recognise: (input) => input.length >= ErstStoreHeader.size && [...ERST_STORE_MAGIC].every((letter, i) => input[i] === letter.charCodeAt(0)),
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
      const mapEnd = ErstStoreHeader.size + slots * ErstStoreSlot.size;
      if (recordSize < SMALLEST_SLOT || storageOffset % recordSize !== 0 || storageOffset < mapEnd || storageOffset > input.length) {
        if (input.length > ErstStoreHeader.size)
          yield {
            end: input.length,
            problem: `slots of ${recordSize} bytes from ${hexNumber(storageOffset)} on do not fit a file of ${input.length} bytes`,
          };
        return;
      }
      yield { end: mapEnd, format: erstStoreMapFormat as Format };
      if (storageOffset > mapEnd) yield { end: storageOffset };
      for (let slot = storageOffset / recordSize; slot < slots; slot++) {
        const start = slot * recordSize;
        const end = start + recordSize;
        const used = view.getBigUint64(ErstStoreHeader.size + slot * ErstStoreSlot.size, true) !== 0n;
        const length = isRecordStart(input, start, end) ? view.getUint32(start + RECORD_LENGTH, true) : 0;
        const fits = length >= RecordHeader.size && length <= recordSize;
        if (fits) yield { end: start + length, format: record, note: used ? `slot ${slot}` : `slot ${slot}, deleted` };
        if (!fits || length < recordSize) yield { end, ...(used && !fits && { problem: `slot ${slot} is in use, but holds no record` }) };
      }
      if (slots * recordSize < input.length) yield { end: input.length, problem: "these bytes form no whole slot" };
    },
  });
