/** Finding records in bytes that hold many of them, with damage in between. */

import { fieldOffset } from "../layout/index.ts";
import { RecordHeader } from "./record.ts";

const SIGNATURE_END = fieldOffset(RecordHeader, "signatureEnd");
const RECORD_LENGTH = fieldOffset(RecordHeader, "recordLength");

/** A record announced to be longer than this is taken for damage: 64 MiB. */
const LONGEST_RECORD = 64 * 1024 * 1024;
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

/**
 * Say what starts at `at`: a record, as long as its header says, or junk up to the next record start. A record
 * whose announced end is followed by neither a record nor the end, while another record starts inside it, was
 * damaged: it ends where that one starts.
 * @param complete whether `end` is the end of the stream, not only of what has arrived.
 */
export function nextPiece(input: Uint8Array, at: number, end: number, complete: boolean): Piece {
  if (!isRecordStart(input, at, end)) {
    const next = findRecordStart(input, at + 1, end);
    if (next >= 0) return { kind: "junk", end: next, problem: "these bytes belong to no record" };
    if (complete) return { kind: "junk", end, problem: "these bytes belong to no record" };
    // The last bytes may be the beginning of a signature.
    const safe = end - SIGNATURE_BYTES;
    return safe > at ? { kind: "junk", end: safe, problem: "these bytes belong to no record" } : { kind: "more", end };
  }
  const have = end - at;
  if (have < RecordHeader.size) return complete ? { kind: "record", end, problem: "the stream ends inside the record header" } : { kind: "more", end };
  const length =
    input[at + RECORD_LENGTH]! + input[at + RECORD_LENGTH + 1]! * 0x100 + input[at + RECORD_LENGTH + 2]! * 0x10000 + input[at + RECORD_LENGTH + 3]! * 0x1000000;
  if (length < RecordHeader.size || length > LONGEST_RECORD) {
    const next = findRecordStart(input, at + 1, end);
    if (next < 0 && !complete && have < LONGEST_RECORD) return { kind: "more", end };
    return { kind: "record", end: next < 0 ? end : next, problem: `the record says it is ${length} bytes long` };
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
