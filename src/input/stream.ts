/** Several structures in one file: records back to back with junk between, tables one after another, a BERT with its region. */
import { ErrorDataEntryHeader, ErrorStatusBlockHeader } from "../acpi/status-block.ts";
import { TableHeader } from "../acpi/table-header.ts";
import { RecordHeader } from "../cper/record.ts";
import { isRecordStart, nextPiece } from "../cper/record-stream.ts";
import { type Format, fieldOffset } from "../layout/index.ts";
import { type Cut, containerFormat } from "./container.ts";
import type { Formats } from "./content.ts";
import { onlyByte } from "./filler.ts";

const word = (input: Uint8Array, at: number): number => input[at]! + input[at + 1]! * 0x100 + input[at + 2]! * 0x10000 + input[at + 3]! * 0x1000000;

const LENGTH = fieldOffset(TableHeader, "length");
const OEM_ID = fieldOffset(TableHeader, "oemId");
const OEM_REVISION = fieldOffset(TableHeader, "oemRevision");
/** The firmware ACPI control structure: the one table without a full header. */
const FACS = [0x46, 0x41, 0x43, 0x53];
const SHORTEST_FACS = 64;
const isLetter = (byte: number) => byte >= 0x41 && byte <= 0x5a;
const isDigit = (byte: number) => byte >= 0x30 && byte <= 0x39;
const isPrintable = (byte: number) => byte === 0 || (byte >= 0x20 && byte < 0x7f);

/** The end of the ACPI table that starts at `at`, if one does: a signature, a length that fits, identities that can be read. */
function tableEnd(input: Uint8Array, at: number): number | undefined {
  if (at + TableHeader.size > input.length || !isLetter(input[at]!)) return undefined;
  for (let i = 1; i < LENGTH; i++) if (!isLetter(input[at + i]!) && !isDigit(input[at + i]!)) return undefined;
  const length = word(input, at + LENGTH);
  if (length > input.length - at) return undefined;
  if (FACS.every((byte, i) => input[at + i] === byte)) return length >= SHORTEST_FACS ? at + length : undefined;
  if (length < TableHeader.size) return undefined;
  for (let i = OEM_ID; i < OEM_REVISION; i++) if (!isPrintable(input[at + i]!)) return undefined;
  return at + length;
}

const STATUS = fieldOffset(ErrorStatusBlockHeader, "blockStatus");
const RAW_OFFSET = fieldOffset(ErrorStatusBlockHeader, "rawDataOffset");
const RAW_LENGTH = fieldOffset(ErrorStatusBlockHeader, "rawDataLength");
const DATA_LENGTH = fieldOffset(ErrorStatusBlockHeader, "dataLength");
const SEVERITY = fieldOffset(ErrorStatusBlockHeader, "errorSeverity");
const ENTRY_SEVERITY = fieldOffset(ErrorDataEntryHeader, "errorSeverity");
/** Highest severity that is defined (ACPI 6.5 table 18.11). */
const LAST_SEVERITY = 3;
/** Bits of a block status that have a meaning. */
const STATUS_BITS = 14;

/**
 * The end of the error status block that starts at `at`, if one can: lengths that fit and severities that are
 * defined. Its status may be zero, as it is in boot error regions of real machines.
 */
export function blockEnd(input: Uint8Array, at: number): number | undefined {
  if (at + ErrorStatusBlockHeader.size + ErrorDataEntryHeader.size > input.length) return undefined;
  const dataLength = word(input, at + DATA_LENGTH);
  const dataEnd = at + ErrorStatusBlockHeader.size + dataLength;
  if (word(input, at + STATUS) >>> STATUS_BITS !== 0 || word(input, at + SEVERITY) > LAST_SEVERITY) return undefined;
  if (dataLength < ErrorDataEntryHeader.size || dataEnd > input.length) return undefined;
  if (word(input, at + ErrorStatusBlockHeader.size + ENTRY_SEVERITY) > LAST_SEVERITY) return undefined;
  const rawLength = word(input, at + RAW_LENGTH);
  const rawEnd = at + word(input, at + RAW_OFFSET) + rawLength;
  return rawLength > 0 && rawEnd >= dataEnd && rawEnd <= input.length ? rawEnd : dataEnd;
}

type Kind = "record" | "table" | "block";

/** Where the structures of a stream are. Blocks are looked for only at the start, behind a BERT and behind another block. */
function* structures(input: Uint8Array): Generator<{ readonly start: number; readonly end: number; readonly kind: Kind; readonly problem?: string }> {
  let at = 0;
  let blocks = true;
  while (at < input.length) {
    if (isRecordStart(input, at)) {
      const piece = nextPiece(input, at, input.length, true);
      const shortest = at === 0 && piece.end === input.length ? 0 : RecordHeader.size;
      if (piece.end - at < shortest) {
        // Not even a header: signatures in a row are no records.
        at = piece.end;
        continue;
      }
      yield { start: at, end: piece.end, kind: "record", ...(piece.problem !== undefined && { problem: piece.problem }) };
      at = piece.end;
      blocks = false;
      continue;
    }
    const table = tableEnd(input, at);
    if (table !== undefined) {
      yield { start: at, end: table, kind: "table" };
      blocks = input[at] === 0x42 && input[at + 1] === 0x45 && input[at + 2] === 0x52 && input[at + 3] === 0x54;
      at = table;
      continue;
    }
    const block = blocks ? blockEnd(input, at) : undefined;
    if (block !== undefined) {
      yield { start: at, end: block, kind: "block" };
      at = block;
      continue;
    }
    blocks = false;
    at++;
    // Quickly over what can start neither a record nor a table.
    while (at < input.length && !isLetter(input[at]!)) at++;
  }
}

export interface StreamFormats {
  readonly contents: Formats;
  readonly record: Format;
  readonly block: Format;
}

/** Several structures in one file as a format. */
export const streamFormat = ({ contents, record, block }: StreamFormats) =>
  containerFormat({
    name: "stream",
    title: "several structures in one file",
    contents,
    recognise: (input) => {
      // One structure at the start is that structure, whatever follows it.
      let count = 0;
      for (const { start } of structures(input)) if (start > 0 || ++count > 1) return true;
      return false;
    },
    *cut(input): Generator<Cut> {
      let at = 0;
      const between = (end: number): Cut => {
        const byte = onlyByte(input.subarray(at, end));
        return { end, ...(byte !== 0 && byte !== 0xff && { problem: `${end - at} bytes belong to nothing known` }) };
      };
      for (const { start, end, kind, problem } of structures(input)) {
        if (start > at) yield between(start);
        const format = kind === "record" ? record : kind === "block" ? block : (contents.recognise(input.subarray(start, end)) ?? contents.byName("raw")!);
        yield { end, format, ...(problem !== undefined && { problem }) };
        at = end;
      }
      if (input.length > at) yield between(input.length);
    },
  });
