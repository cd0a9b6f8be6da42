/** Values to bytes, literally: what is given is what is written. Counts, lengths and checksums are the builders' work. */
import { EncodeError } from "./errors.ts";
import {
  type BitMember,
  bitRange,
  type ChoiceNode,
  type Encodable,
  type EnumNode,
  isFixed,
  type Kind,
  type Layout,
  lookUp,
  type Names,
  type Node,
  type NodeOf,
  numberOf,
  type Root,
  type StructNode,
  type VariantNode,
} from "./layout.ts";
import { timestampBytes } from "./timestamp.ts";
import { guidBytes, namesByNumber } from "./values.ts";

type Values = Record<string, unknown>;

/** A buffer that grows; everything is written front to back. */
class Writer {
  bytes: Uint8Array;
  view: DataView;
  length = 0;

  constructor(capacity: number) {
    this.bytes = new Uint8Array(capacity);
    this.view = new DataView(this.bytes.buffer);
  }

  /** Reserve `size` zero bytes and return their offset. */
  claim(size: number): number {
    const at = this.length;
    this.length += size;
    if (this.length > this.bytes.length) {
      const grown = new Uint8Array(Math.max(this.length, this.bytes.length * 2));
      grown.set(this.bytes.subarray(0, at));
      this.bytes = grown;
      this.view = new DataView(grown.buffer);
    }
    return at;
  }

  append(bytes: Uint8Array): void {
    const at = this.claim(bytes.length);
    this.bytes.set(bytes, at);
  }
}

const wrong = (problem: string): never => {
  throw new EncodeError("", problem);
};
const shown = (value: unknown): string => (typeof value === "string" ? JSON.stringify(value) : typeof value === "object" ? "an object" : String(value));

function putWord(out: Writer, node: { size: number; order?: "big" }, value: unknown): void {
  const size = node.size;
  const little = node.order !== "big";
  const limit = 2 ** (size * 8);
  if (
    typeof value === "bigint"
      ? value < 0n || value >= 1n << BigInt(size * 8)
      : !(Number.isSafeInteger(value) && (value as number) >= 0 && (value as number) < limit)
  )
    wrong(typeof value === "bigint" || typeof value === "number" ? `${value} does not fit in ${size} bytes` : `${shown(value)} is not a number`);
  const at = out.claim(size);
  if (size === 8) out.view.setBigUint64(at, BigInt(value as number | bigint), little);
  else {
    const number = Number(value);
    if (size === 4) out.view.setUint32(at, number, little);
    else if (size === 2) out.view.setUint16(at, number, little);
    else if (size === 1) out.view.setUint8(at, number);
    else for (let i = 0; i < size; i++) out.bytes[at + (little ? i : size - 1 - i)] = Math.floor(number / 2 ** (8 * i)) & 255;
  }
}

function enumNumber(names: Names, value: unknown): unknown {
  if (typeof value !== "string") return value;
  const entry = Object.hasOwn(names, value) ? names[value] : undefined;
  return entry === undefined ? wrong(`${JSON.stringify(value)} is none of ${Object.keys(names).join(", ")}`) : numberOf(entry);
}

function memberNumber(member: BitMember, value: unknown): bigint {
  const number = typeof member === "object" && "names" in member ? enumNumber(member.names, value) : value;
  if (typeof number === "boolean") return number ? 1n : 0n;
  if (typeof number !== "bigint" && !Number.isSafeInteger(number)) wrong(`${shown(value)} is not a number`);
  return BigInt(number as number | bigint);
}

function bitsWord(members: Readonly<Record<string, BitMember>>, value: unknown): bigint {
  if (typeof value !== "object" || value === null) wrong(`${shown(value)} is not an object of bits`);
  const given = value as Values;
  let word = 0n;
  for (const [name, part] of Object.entries(given)) {
    if (part === undefined) continue;
    if (name === "rest") {
      if (typeof part !== "bigint" && !Number.isSafeInteger(part)) throw new EncodeError("rest", `${shown(part)} is not a number`);
      word |= BigInt(part as bigint);
      continue;
    }
    const member = Object.hasOwn(members, name) ? members[name] : undefined;
    if (member === undefined) throw new EncodeError(name, `no such bit; there are ${Object.keys(members).join(", ")}`);
    const [low, width] = bitRange(member);
    let number: bigint;
    try {
      number = memberNumber(member, part);
    } catch (error) {
      throw error instanceof EncodeError ? error.within(name) : error;
    }
    if (number < 0n || number >> BigInt(width) !== 0n) throw new EncodeError(name, `${number} does not fit in ${width} bits`);
    word |= number << BigInt(low);
  }
  return word;
}

const put: { readonly [K in Kind]: (out: Writer, node: NodeOf<K>, value: unknown, siblings: Values, root: Root | undefined, start: number) => void } = {
  uint: (out, node, value) => putWord(out, node, value),
  enum: (out, node, value) => putWord(out, node, enumNumber(node.names, value)),
  bits: (out, node, value) => {
    const word = bitsWord(node.members, value);
    putWord(out, node, word);
  },
  guid: (out, _node, value) => out.append((typeof value === "string" ? guidBytes(value) : undefined) ?? wrong(`${shown(value)} is not a GUID`)),
  text: (out, node, value) => {
    if (typeof value !== "string") return wrong(`${shown(value)} is not text`);
    if (value.length > node.size) wrong(`text of ${value.length} characters does not fit in ${node.size} bytes`);
    const at = out.claim(node.size);
    for (let i = 0; i < value.length; i++) {
      const code = value.charCodeAt(i);
      if (code > 255) wrong(`${JSON.stringify(value[i])} does not fit in a byte`);
      out.bytes[at + i] = code;
    }
  },
  timestamp: (out, _node, value) => out.append((typeof value === "string" ? timestampBytes(value) : undefined) ?? wrong(`${shown(value)} is not a timestamp`)),
  bytes: (out, node, value) => {
    if (!(value instanceof Uint8Array) || value.length !== node.size) wrong(`wants exactly ${node.size} bytes`);
    out.append(value as Uint8Array);
  },
  reserved: (out, node, value) => {
    if (value === undefined) out.claim(node.size);
    else put.bytes(out, { ...node, kind: "bytes" }, value, {}, undefined, 0);
  },
  array: (out, node, value) => {
    if (!Array.isArray(value) || value.length !== node.count) return wrong(`wants exactly ${node.count} items`);
    value.forEach((item, i) => {
      write(out, `[${i}]`, node.item, item);
    });
  },
  struct: (out, node, value) => putFields(out, node, value),
  sequence: (out, node, value) => putFields(out, node, value),
  list: (out, node, value) => {
    if (value === undefined) return;
    if (!Array.isArray(value)) return wrong("wants a list");
    value.forEach((item, i) => {
      write(out, `[${i}]`, node.item, item);
    });
  },
  choice: (out, node, value, siblings, root) => {
    if (value === undefined) return;
    if (value instanceof Uint8Array) out.append(value);
    else {
      const key = choiceKey(node, siblings, root);
      putFields(out, node.cases[key] ?? wrong(`${node.on.path} is ${key}, for which no layout is known: only raw bytes can be written`), value);
    }
  },
  variant: (out, node, value) => putFields(out, variantOf(node, value), value),
  window: (out, node, value, siblings, root, start) => {
    if (value !== undefined) (put[node.item.kind] as (typeof put)["choice"])(out, node.item as never, value, siblings, root, start);
  },
  blob: (out, _node, value) => {
    if (value === undefined) return;
    if (!(value instanceof Uint8Array)) wrong("wants bytes");
    out.append(value as Uint8Array);
  },
  padding: (out, node, value, _siblings, _root, start) => {
    if (value === undefined) out.claim((node.to - ((out.length - start) % node.to)) % node.to);
    else put.blob(out, { kind: "blob", doc: node.doc }, value, {}, undefined, start);
  },
};

/** The case key of a choice: the name of an enumeration even when it was given as a number. */
export function choiceKey(node: ChoiceNode, siblings: Values, root: Root | undefined): string {
  const value = lookUp(node.on, siblings);
  let at: Node | undefined = root;
  for (const key of node.on.path.split(".")) at = at && "fields" in at ? (at.fields as Record<string, Node>)[key] : undefined;
  if (at?.kind === "enum" && typeof value === "number") return namesByNumber(at.names).get(value) ?? String(value);
  return String(at?.kind === "guid" ? (value as string).toLowerCase() : value);
}

/** The layout of a variant's value, by its tag field. */
export function variantOf(node: VariantNode, value: unknown): Root {
  const given = (value as Values | null)?.[node.tag];
  for (const [key, layout] of Object.entries(node.cases)) {
    const tag = layout.fields[node.tag] as EnumNode | StructNode;
    const number = tag.kind === "enum" ? numberOf(tag.names[key] ?? Number(key)) : Number(key);
    if (given === key || given === number) return layout;
  }
  throw new EncodeError(node.tag, `${shown(given)} is none of ${Object.keys(node.cases).join(", ")}`);
}

function putFields(out: Writer, node: Root, value: unknown): void {
  if (typeof value !== "object" || value === null || Array.isArray(value) || value instanceof Uint8Array) wrong(`wants an object, a ${node.name}`);
  const given = value as Values;
  for (const name of Object.keys(given))
    if (name !== "trailing" && !Object.hasOwn(node.fields, name)) throw new EncodeError(name, `the ${node.name} has no such field`);
  const cutShort = given["trailing"] !== undefined;
  const start = out.length;
  const values: Values = {};
  let missing: string | undefined;
  for (const [name, field] of Object.entries(node.fields) as [string, Node][]) {
    let item = given[name];
    if (item === undefined) {
      if (cutShort) {
        if (isFixed(field)) missing ??= name;
        continue;
      }
      item = field.initial;
      if (item === undefined && isFixed(field) && field.kind !== "reserved") throw new EncodeError(name, "missing");
    }
    if (missing !== undefined) throw new EncodeError(missing, `missing, while ${name} after it is given`);
    values[name] = item;
    write(out, name, field, item, values, node, start);
  }
  if (given["trailing"] !== undefined) write(out, "trailing", { kind: "blob", doc: "" }, given["trailing"]);
}

function write(out: Writer, name: string, node: Node, value: unknown, siblings: Values = {}, root?: Root, start = 0): void {
  try {
    (put[node.kind] as (typeof put)["choice"])(out, node as never, value, siblings, root, start);
  } catch (error) {
    throw error instanceof EncodeError ? error.within(name) : error;
  }
}

/**
 * Write a structure or sequence, every field range-checked.
 * @throws EncodeError naming the field that cannot be stored.
 */
export function encode<N extends Layout<unknown, "required", { readonly kind: "struct" | "sequence" }>>(layout: N, value: Encodable<N>): Uint8Array {
  const node = layout as unknown as Root;
  const out = new Writer(node.kind === "struct" ? node.size : 256);
  write(out, node.name, node, value);
  return out.bytes.slice(0, out.length);
}
