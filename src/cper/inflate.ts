/** Deflate streams (RFC 1951), for what kernels compress before they store it; in a browser as well as elsewhere. */

/** Canonical Huffman code: symbols by length, and how many there are of each length. */
interface Huffman {
  readonly counts: Uint16Array;
  readonly symbols: Uint16Array;
}
const LONGEST_CODE = 15;

function huffman(lengths: ArrayLike<number>): Huffman {
  const counts = new Uint16Array(LONGEST_CODE + 1);
  for (let i = 0; i < lengths.length; i++) counts[lengths[i]!]!++;
  counts[0] = 0;
  const next = new Uint16Array(LONGEST_CODE + 2);
  for (let i = 1; i <= LONGEST_CODE; i++) next[i + 1] = next[i]! + counts[i]!;
  const symbols = new Uint16Array(lengths.length);
  for (let i = 0; i < lengths.length; i++) if (lengths[i] !== 0) symbols[next[lengths[i]!]!++] = i;
  return { counts, symbols };
}

// RFC 1951 3.2.5: base values and extra bits of lengths (from symbol 257 on) and distances.
const LENGTH_EXTRA = [0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3, 4, 4, 4, 4, 5, 5, 5, 5, 0];
const DISTANCE_EXTRA = [0, 0, 0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7, 8, 8, 9, 9, 10, 10, 11, 11, 12, 12, 13, 13];
function bases(extra: readonly number[], first: number): readonly number[] {
  let base = first;
  const out: number[] = [];
  for (const bits of extra) {
    out.push(base);
    base += 2 ** bits;
  }
  return out;
}
const LENGTH_BASE = bases(LENGTH_EXTRA, 3).with(28, 258);
const DISTANCE_BASE = bases(DISTANCE_EXTRA, 1);
/** RFC 1951 3.2.7: the order in which the lengths of the length code are given. */
const CODE_ORDER = [16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15];
interface Codes {
  readonly literals: Huffman;
  readonly distances: Huffman;
}
let fixed: Codes | undefined;
/** RFC 1951 3.2.6; made when the first stream needs them. */
const fixedCodes = (): Codes =>
  (fixed ??= {
    literals: huffman(Array.from({ length: 288 }, (_, i) => (i < 144 ? 8 : i < 256 ? 9 : i < 280 ? 7 : 8))),
    distances: huffman(new Array(30).fill(5)),
  });

/** Thrown and caught in here only: the stream is damaged or ends early. */
class Damaged extends Error {}

/** Memory nobody asked for is not taken: text that expands further than this is cut. */
const MOST = 16 * 1024 * 1024;

export interface Inflated {
  readonly bytes: Uint8Array;
  /** Whether the stream ended where it should; if not, `bytes` is what could be read before the damage. */
  readonly complete: boolean;
}

/**
 * Expand a raw deflate stream, or one with the two-byte zlib header (RFC 1950; the checksum behind is not looked at).
 * Never throws.
 * @param most bytes to expand to at most.
 */
export function inflate(input: Uint8Array, most = MOST): Inflated {
  const isZlib = input.length >= 2 && (input[0]! & 15) === 8 && (input[0]! * 256 + input[1]!) % 31 === 0 && (input[1]! & 32) === 0;
  const plain = expand(input, 0, most);
  return isZlib && !plain.complete ? expand(input, 2, most) : plain;
}

function expand(input: Uint8Array, start: number, most: number): Inflated {
  let at = start;
  let held = 0;
  let holding = 0;
  let out = new Uint8Array(Math.min(most, Math.max(1024, input.length * 4)));
  let length = 0;

  const bits = (count: number): number => {
    while (holding < count) {
      if (at >= input.length) throw new Damaged();
      held |= input[at++]! << holding;
      holding += 8;
    }
    const value = held & ((1 << count) - 1);
    held >>>= count;
    holding -= count;
    return value;
  };
  const symbol = ({ counts, symbols }: Huffman): number => {
    let code = 0;
    let first = 0;
    let index = 0;
    for (let size = 1; size <= LONGEST_CODE; size++) {
      code |= bits(1);
      const count = counts[size]!;
      if (code - count < first) return symbols[index + code - first]!;
      index += count;
      first = (first + count) << 1;
      code <<= 1;
    }
    throw new Damaged();
  };
  const put = (byte: number): void => {
    if (length >= most) throw new Damaged();
    if (length === out.length) {
      const grown = new Uint8Array(Math.min(most, out.length * 2));
      grown.set(out);
      out = grown;
    }
    out[length++] = byte;
  };
  const copyStored = (): void => {
    held = 0;
    holding = 0;
    if (at + 4 > input.length) throw new Damaged();
    const size = input[at]! | (input[at + 1]! << 8);
    if (size !== (~(input[at + 2]! | (input[at + 3]! << 8)) & 0xffff)) throw new Damaged();
    at += 4;
    for (let i = 0; i < size; i++) {
      if (at >= input.length) throw new Damaged();
      put(input[at++]!);
    }
  };
  const readCodes = () => {
    const literals = bits(5) + 257;
    const distances = bits(5) + 1;
    const given = bits(4) + 4;
    const sizes = new Uint8Array(CODE_ORDER.length);
    for (let i = 0; i < given; i++) sizes[CODE_ORDER[i]!] = bits(3);
    const code = huffman(sizes);
    const lengths = new Uint8Array(literals + distances);
    for (let i = 0; i < lengths.length; ) {
      const value = symbol(code);
      if (value < 16) {
        lengths[i++] = value;
        continue;
      }
      if (value === 16 && i === 0) throw new Damaged();
      const repeated = value === 16 ? lengths[i - 1]! : 0;
      const times = value === 16 ? 3 + bits(2) : value === 17 ? 3 + bits(3) : 11 + bits(7);
      if (i + times > lengths.length) throw new Damaged();
      lengths.fill(repeated, i, (i += times));
    }
    return { literals: huffman(lengths.subarray(0, literals)), distances: huffman(lengths.subarray(literals)) };
  };
  const copyCoded = ({ literals, distances }: Codes): void => {
    for (;;) {
      const value = symbol(literals);
      if (value < 256) put(value);
      else if (value === 256) return;
      else {
        const kind = value - 257;
        if (kind >= LENGTH_BASE.length) throw new Damaged();
        const size = LENGTH_BASE[kind]! + bits(LENGTH_EXTRA[kind]!);
        const far = symbol(distances);
        if (far >= DISTANCE_BASE.length) throw new Damaged();
        const distance = DISTANCE_BASE[far]! + bits(DISTANCE_EXTRA[far]!);
        if (distance > length) throw new Damaged();
        for (let i = 0; i < size; i++) put(out[length - distance]!);
      }
    }
  };

  try {
    for (let last = 0; last === 0; ) {
      last = bits(1);
      const kind = bits(2);
      if (kind === 0) copyStored();
      else if (kind === 1) copyCoded(fixedCodes());
      else if (kind === 2) copyCoded(readCodes());
      else throw new Damaged();
    }
    return { bytes: out.slice(0, length), complete: true };
  } catch (error) {
    if (!(error instanceof Damaged)) throw error;
    return { bytes: out.slice(0, length), complete: false };
  }
}
