/** Finding records in bytes that hold many of them, with damage in between. */

import { fieldOffset } from "../layout/index.ts";
import { RecordHeader } from "./record.ts";

const SIGNATURE_END = fieldOffset(RecordHeader, "signatureEnd");
const RECORD_LENGTH = fieldOffset(RecordHeader, "recordLength");

/** A record announced to be longer than this is taken for damage: 16 MiB, of which values take a gigabyte. */
const LONGEST_RECORD = 16 * 1024 * 1024;
/** Bytes that decide whether a record starts here. */
const SIGNATURE_BYTES = SIGNATURE_END + 4;

/** Whether a record header's signature and signature end are at `at`; false too when fewer bytes are left. */
export function isRecordStart(input: Uint8Array, at: number, end = input.length): boolean {
  return (
    at + SIGNATURE_BYTES <= end &&
    input[at] === 0x43 &&
    input[at + 1] === 0x50 &&
    input[at + 2] === 0x45 &&
    input[at + 3] === 0x52 &&
    input[at + SIGNATURE_END] === 0xff &&
    input[at + SIGNATURE_END + 1] === 0xff &&
    input[at + SIGNATURE_END + 2] === 0xff &&
    input[at + SIGNATURE_END + 3] === 0xff
  );
}

/** The next record start at or after `at`, or -1. */
export function findRecordStart(input: Uint8Array, at: number, end = input.length): number {
  for (let i = at; i + SIGNATURE_BYTES <= end; i++) {
    i = input.indexOf(0x43, i);
    if (i < 0 || i + SIGNATURE_BYTES > end) return -1;
    if (isRecordStart(input, i, end)) return i;
  }
  return -1;
}

/** One piece of a stream of records. */
export interface Piece {
  /** `more`: nothing can be said until more bytes come. `junk` belongs to no record. */
  readonly kind: "record" | "junk" | "more";
  /** The byte after the piece. */
  readonly end: number;
  /** What is wrong, for junk and for records cut short. */
  readonly problem?: string;
}

/** "CPER" and the signature end as little-endian words. */
const SIGNATURE = 0x52455043;
/**
 * The end of the record at `at` when nothing is wrong with it and another record follows it; -1 for anything else.
 * What `nextPiece` says of nearly all records, in a fraction of the time.
 */
export function soundRecordEnd(view: DataView, at: number, end: number): number {
  if (at + RecordHeader.size > end || view.getInt32(at, true) !== SIGNATURE || view.getInt32(at + SIGNATURE_END, true) !== -1) return -1;
  const length = view.getUint32(at + RECORD_LENGTH, true);
  const stop = at + length;
  if (length < RecordHeader.size || length > LONGEST_RECORD || stop + SIGNATURE_BYTES > end) return -1;
  return view.getInt32(stop, true) === SIGNATURE && view.getInt32(stop + SIGNATURE_END, true) === -1 ? stop : -1;
}

/**
 * Say what starts at `at`: a record, as long as its header says, or junk up to the next record start. A record
 * whose announced end is followed by neither a record nor the end, while another record starts inside it, was
 * damaged: it ends where that one starts.
 * @param complete whether `end` is the end of the stream, not only of what has arrived.
 * @param most bytes of a piece of which the end is not known, so that a stream has the same pieces however it arrives.
 */
export function nextPiece(input: Uint8Array, at: number, end: number, complete: boolean, most = Number.POSITIVE_INFINITY): Piece {
  /** Where to look for the next record start, and whether those bytes are there. */
  const horizon = Math.min(end, at + most + SIGNATURE_BYTES - 1);
  const enough = complete || end - at >= most + SIGNATURE_BYTES - 1;
  const upTo = (next: number) => (next < 0 ? Math.min(end, at + most) : next);
  if (!isRecordStart(input, at, end)) {
    const next = findRecordStart(input, at + 1, horizon);
    if (next < 0 && !enough) return { kind: "more", end };
    return { kind: "junk", end: upTo(next), problem: "these bytes belong to no record" };
  }
  const have = end - at;
  if (have < RecordHeader.size) return complete ? { kind: "record", end, problem: "the stream ends inside the record header" } : { kind: "more", end };
  const length =
    input[at + RECORD_LENGTH]! + input[at + RECORD_LENGTH + 1]! * 0x100 + input[at + RECORD_LENGTH + 2]! * 0x10000 + input[at + RECORD_LENGTH + 3]! * 0x1000000;
  if (length < RecordHeader.size || length > LONGEST_RECORD) {
    const next = findRecordStart(input, at + 1, horizon);
    if (next < 0 && !enough) return { kind: "more", end };
    return { kind: "record", end: upTo(next), problem: `the record says it is ${length} bytes long` };
  }
  const stop = at + length;
  if (!complete && stop + SIGNATURE_BYTES > end) return { kind: "more", end };
  if (stop === end || (stop < end && (isRecordStart(input, stop, end) || end - stop < SIGNATURE_BYTES))) return { kind: "record", end: stop };
  const inner = findRecordStart(input, at + 1, Math.min(end, stop + SIGNATURE_BYTES - 1));
  if (inner >= 0)
    return { kind: "record", end: inner, problem: `another record starts ${inner - at} bytes into this one, which says it is ${length} bytes long` };
  if (stop > end) return { kind: "record", end, problem: `the stream ends after ${have} of the record's ${length} bytes` };
  return { kind: "record", end: stop };
}
