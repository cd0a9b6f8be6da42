/** How single values look: hex strings, GUIDs, padded text, bit fields. */
import { type BitMember, bitRange, type Names, numberOf } from "./layout.ts";

const HEX = Array.from({ length: 256 }, (_, byte) => byte.toString(16).padStart(2, "0"));

const HEX_CODES = HEX.map((pair) => [pair.charCodeAt(0), pair.charCodeAt(1)] as const);
/** Bytes from which on text is made of all digits at once: a string grown byte by byte is a chain with a link for each. */
const MANY = 256;
const decoder = new TextDecoder();

/** Bytes as lower-case hex without separators. */
export function bytesToHex(input: Uint8Array): string {
  if (input.length < MANY) {
    let out = "";
    for (let i = 0; i < input.length; i++) out += HEX[input[i]!];
    return out;
  }
  const digits = new Uint8Array(input.length * 2);
  for (let i = 0; i < input.length; i++) {
    const pair = HEX_CODES[input[i]!]!;
    digits[i * 2] = pair[0];
    digits[i * 2 + 1] = pair[1];
  }
  return decoder.decode(digits);
}

/** Values of the characters that are hex digits, by their code. */
const DIGIT_VALUES: readonly (number | undefined)[] = Array.from({ length: 128 }, (_, code) => {
  const value = Number.parseInt(String.fromCharCode(code), 16);
  return Number.isNaN(value) ? undefined : value;
});

/** The inverse of `bytesToHex`: undefined for an odd number of digits or any other character. */
export function hexToBytes(hex: string): Uint8Array | undefined {
  if (hex.length % 2 !== 0) return undefined;
  const out = new Uint8Array(hex.length / 2);
  for (let i = 0; i < out.length; i++) {
    const high = DIGIT_VALUES[hex.charCodeAt(i * 2)];
    const low = DIGIT_VALUES[hex.charCodeAt(i * 2 + 1)];
    if (high === undefined || low === undefined) return undefined;
    out[i] = high * 16 + low;
  }
  return out;
}

/** Byte strings one after the other. */
export function concatBytes(parts: readonly Uint8Array[]): Uint8Array {
  const out = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    out.set(part, at);
    at += part.length;
  }
  return out;
}

/** A number as people write it, decimal or hex after `0x`; undefined for any other text. */
export const parseNumber = (text: string): bigint | undefined => (/^(0x[0-9a-f]+|[0-9]+)$/i.test(text) ? BigInt(text) : undefined);

/** `0x` and the number in hex, no leading zeros. */
export const hexNumber = (value: number | bigint): string => `0x${value.toString(16)}`;

/** Byte order of a mixed-endian GUID: the first three groups are little-endian. */
const GUID_ORDER = [3, 2, 1, 0, 5, 4, 7, 6, 8, 9, 10, 11, 12, 13, 14, 15] as const;
export const GUID_PATTERN = "^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$";
const GUID = new RegExp(GUID_PATTERN);

/** 16 bytes as a lower-case GUID. */
export function guidText(b: Uint8Array, at = 0): string {
  const h = (i: number) => HEX[b[at + i]!]!;
  return `${h(3)}${h(2)}${h(1)}${h(0)}-${h(5)}${h(4)}-${h(7)}${h(6)}-${h(8)}${h(9)}-${h(10)}${h(11)}${h(12)}${h(13)}${h(14)}${h(15)}`;
}

/** The inverse of `guidText`: undefined when the text is not a GUID. */
export function guidBytes(text: string): Uint8Array | undefined {
  if (!GUID.test(text)) return undefined;
  const digits = text.replaceAll("-", "");
  return Uint8Array.from(GUID_ORDER, (i) => Number.parseInt(digits.slice(i * 2, i * 2 + 2), 16));
}

/** Text up to its last non-NUL byte. Latin-1 keeps every byte value, so padded text survives a round trip unchanged. */
export function paddedText(input: Uint8Array): string {
  let end = input.length;
  while (end > 0 && input[end - 1] === 0) end--;
  let out = "";
  for (let i = 0; i < end; i++) out += String.fromCharCode(input[i]!);
  return out;
}

/** Little-endian or big-endian unsigned value of up to 4 bytes. */
export function readWord(input: Uint8Array, at: number, size: number, big = false): number {
  let value = 0;
  for (let i = 0; i < size; i++) value = value * 256 + input[big ? at + i : at + size - 1 - i]!;
  return value;
}

/** Whether all bytes are zero. */
export const isZero = (input: Uint8Array): boolean => {
  for (let i = 0; i < input.length; i++) if (input[i] !== 0) return false;
  return true;
};

/** Name of an enumeration's value, or the number itself. */
export function namesByNumber(names: Names): ReadonlyMap<number, string> {
  return new Map(Object.entries(names).map(([name, entry]) => [numberOf(entry), name]));
}

/** Value of a member by its range; a member may straddle bit 32. */
export function memberOf(low32: number, high32: number, low: number, width: number): number {
  const mask = width === 32 ? 0xffffffff : (1 << width) - 1;
  if (low >= 32) return ((high32 >>> (low - 32)) & mask) >>> 0;
  if (low + width <= 32) return ((low32 >>> low) & mask) >>> 0;
  return ((((low32 >>> low) | (high32 << (32 - low))) >>> 0) & mask) >>> 0;
}

export type BitsRecord = Record<string, boolean | number | string | bigint>;

/**
 * Compile a splitter for the members of a bit field: from the two 32-bit halves of the word to the value.
 * Clear single bits are left out; bits of no member are collected in `rest`.
 */
export function bitSplitter(members: Readonly<Record<string, BitMember>>): (low32: number, high32: number) => BitsRecord {
  let knownLow = 0;
  let knownHigh = 0;
  const flags: { name: string; low: number; high: number }[] = [];
  const plan = Object.entries(members).map(([name, member]) => {
    const [low, width] = bitRange(member);
    const mask = ((1n << BigInt(width)) - 1n) << BigInt(low);
    knownLow |= Number(mask & 0xffffffffn);
    knownHigh |= Number(mask >> 32n);
    const single = typeof member === "number";
    if (single) flags.push({ name, low: low < 32 ? 1 << low : 0, high: low >= 32 ? 1 << (low - 32) : 0 });
    return { name, low, width, single, byNumber: typeof member === "object" && "names" in member ? namesByNumber(member.names) : undefined };
  });
  const restLow = ~knownLow;
  const restHigh = ~knownHigh;
  const onlyFlags = flags.length === plan.length;
  return (low32, high32) => {
    const out: BitsRecord = {};
    if (onlyFlags) {
      if ((low32 | high32) !== 0) for (const flag of flags) if ((low32 & flag.low) !== 0 || (high32 & flag.high) !== 0) out[flag.name] = true;
    } else
      for (const step of plan) {
        const value = memberOf(low32, high32, step.low, step.width);
        if (step.single) {
          if (value !== 0) out[step.name] = true;
        } else out[step.name] = step.byNumber?.get(value) ?? value;
      }
    const low = (low32 & restLow) >>> 0;
    const high = (high32 & restHigh) >>> 0;
    if (low !== 0 || high !== 0) out["rest"] = (BigInt(high) << 32n) | BigInt(low);
    return out;
  };
}
