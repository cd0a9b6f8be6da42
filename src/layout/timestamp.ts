/**
 * The 8-byte timestamp of records and data entries: seconds, minutes, hours, flags, day, month, year, century.
 *
 * UEFI 2.11 table N.1 wants BCD; Windows, AMD and AMI firmware write binary, some count the century as an
 * ordinal, Arm's reference firmware mixes both, and Linux pstore stores a count of seconds. Nothing in the
 * field says which, so the century byte decides (13–15 hex binary, 19–21 hex BCD). The text form names the
 * encoding and gives every one of the 2^64 values back exactly.
 */
import { bytesToHex, hexToBytes } from "./values.ts";

type Encoding = "bcd" | "bcd-ordinal" | "binary" | "ordinal" | "mixed";

const isBcd = (byte: number) => (byte & 15) <= 9 && byte >> 4 <= 9;
const fromBcd = (byte: number) => (byte >> 4) * 10 + (byte & 15);
const toBcd = (value: number) => (Math.trunc(value / 10) << 4) | (value % 10);
const two = (value: number) => (value < 10 ? `0${value}` : `${value}`);

const validTime = (second: number, minute: number, hour: number) => second < 60 && minute < 60 && hour < 24;
const validDate = (day: number, month: number, year: number) => day >= 1 && day <= 31 && month >= 1 && month <= 12 && year <= 99;

/** First second taken for a Linux pstore count rather than for noise: March 1973. */
const FIRST_SECONDS = 100_000_000;

/**
 * Eight bytes as text: `2019-07-05T12:00:01`, followed by ` precise`, ` binary`, ` ordinal`, ` bcd-ordinal`,
 * ` mixed` or ` seconds` where that applies; `none` when all zero; `raw ` and 16 hex digits otherwise.
 */
export function timestampText(input: Uint8Array, at = 0): string {
  const second = input[at]!;
  const minute = input[at + 1]!;
  const hour = input[at + 2]!;
  const flags = input[at + 3]!;
  const day = input[at + 4]!;
  const month = input[at + 5]!;
  const year = input[at + 6]!;
  const century = input[at + 7]!;
  if (day === 0 && month === 0 && year === 0 && century === 0) {
    const seconds = second + minute * 0x100 + hour * 0x10000 + flags * 0x1000000;
    if (seconds === 0) return "none";
    if (seconds >= FIRST_SECONDS) return `${new Date(seconds * 1000).toISOString().slice(0, 19)} seconds`;
  } else if (flags <= 1) {
    const precise = flags === 1 ? " precise" : "";
    if (century === 0x13 || century === 0x14 || century === 0x15) {
      if (validTime(second, minute, hour) && validDate(day, month, year))
        return `${century === 0x13 ? 19 : 20}${two(year)}-${two(month)}-${two(day)}T${two(hour)}:${two(minute)}:${two(second)}${precise}${century === 0x15 ? " ordinal" : " binary"}`;
    } else if (century === 0x19 || century === 0x20 || century === 0x21) {
      if (isBcd(day) && isBcd(month) && isBcd(year) && validDate(fromBcd(day), fromBcd(month), fromBcd(year))) {
        const date = `${century === 0x19 ? 19 : 20}${two(fromBcd(year))}-${two(fromBcd(month))}-${two(fromBcd(day))}`;
        const digits = isBcd(second) && isBcd(minute) && isBcd(hour);
        if (digits && validTime(fromBcd(second), fromBcd(minute), fromBcd(hour)))
          return `${date}T${two(fromBcd(hour))}:${two(fromBcd(minute))}:${two(fromBcd(second))}${precise}${century === 0x21 ? " bcd-ordinal" : ""}`;
        if (!digits && century === 0x20 && validTime(second, minute, hour)) return `${date}T${two(hour)}:${two(minute)}:${two(second)}${precise} mixed`;
      }
    }
  }
  return `raw ${bytesToHex(input.subarray(at, at + 8))}`;
}

/** What a timestamp's text looks like, for JSON Schema. */
export const TIMESTAMP_PATTERN =
  "^(none|raw [0-9a-fA-F]{16}|[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}( precise)?( (binary|ordinal|bcd-ordinal|mixed|seconds))?)$";

const TEXT = /^(\d\d)(\d\d)-(\d\d)-(\d\d)T(\d\d):(\d\d):(\d\d)( precise)?(?: (binary|ordinal|bcd-ordinal|mixed|seconds))?$/;

/** The inverse of `timestampText`: undefined when the text is not a timestamp. */
export function timestampBytes(text: string): Uint8Array | undefined {
  if (text === "none") return new Uint8Array(8);
  if (text.startsWith("raw ")) {
    const raw = hexToBytes(text.slice(4));
    return raw?.length === 8 ? raw : undefined;
  }
  const match = TEXT.exec(text);
  if (!match) return undefined;
  const [century, year, month, day, hour, minute, second] = match.slice(1, 8).map(Number) as [number, number, number, number, number, number, number];
  if (!validTime(second, minute, hour) || !validDate(day, month, year)) return undefined;
  const flags = match[8] ? 1 : 0;
  const encoding = (match[9] ?? "bcd") as Encoding | "seconds";
  if (encoding === "seconds") {
    const seconds = Date.parse(`${text.slice(0, 19)}Z`) / 1000;
    if (!(seconds >= FIRST_SECONDS && seconds < 2 ** 32)) return undefined;
    const out = new Uint8Array(8);
    new DataView(out.buffer).setUint32(0, seconds, true);
    return out;
  }
  if (century !== 20 && !(century === 19 && (encoding === "bcd" || encoding === "binary"))) return undefined;
  const time = [second, minute, hour];
  const date = [day, month, year];
  switch (encoding) {
    case "bcd":
      return Uint8Array.from([...time.map(toBcd), flags, ...date.map(toBcd), toBcd(century)]);
    case "bcd-ordinal":
      return Uint8Array.from([...time.map(toBcd), flags, ...date.map(toBcd), 0x21]);
    case "mixed":
      return Uint8Array.from([...time, flags, ...date.map(toBcd), 0x20]);
    case "binary":
      return Uint8Array.from([...time, flags, ...date, century]);
    case "ordinal":
      return Uint8Array.from([...time, flags, ...date, 0x15]);
  }
}
