/**
 * Values to JSON and back. Numbers up to 32 bits are JSON numbers, 64-bit ones `"0x…"` strings, bytes hex
 * strings, enumerations names (or the number), bit fields objects with `rest`. Fields come in wire order,
 * `trailing` last; zero reserved bytes and empty lists are left out.
 */

import { choiceKey, variantOf } from "./encode.ts";
import { EncodeError, UsageError } from "./errors.ts";
import type { BitsNode, Kind, Node, NodeOf, Root } from "./layout.ts";
import { bytesToHex, hexNumber, hexToBytes } from "./values.ts";

export type Json = null | boolean | number | string | Json[] | { [key: string]: Json };
type Values = Record<string, unknown>;

/** The value of a JSON text. @throws UsageError, which names `file` where one is given, for what is not JSON. */
export function parseJson(text: string, file?: string): Json {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new UsageError(`${file === undefined ? "" : `${file}: `}is not JSON: ${(error as Error).message}`);
  }
}

const project: { readonly [K in Kind]: (node: NodeOf<K>, value: unknown, siblings: Values, root: Root | undefined) => Json } = {
  uint: (node, value) => (node.size === 8 ? hexNumber(value as bigint) : (value as number)),
  enum: (_node, value) => value as Json,
  bits: (_node, value) => {
    const out: Record<string, Json> = {};
    for (const [name, member] of Object.entries(value as Values))
      if (member !== undefined) out[name] = name === "rest" ? hexNumber(member as bigint) : (member as Json);
    return out;
  },
  guid: (_node, value) => value as Json,
  text: (_node, value) => value as Json,
  timestamp: (_node, value) => value as Json,
  bytes: (_node, value) => bytesToHex(value as Uint8Array),
  reserved: (_node, value) => bytesToHex(value as Uint8Array),
  array: (node, value) => (value as unknown[]).map((item) => projectNode(node.item, item)),
  struct: (node, value) => projectFields(node, value as Values),
  sequence: (node, value) => projectFields(node, value as Values),
  list: (node, value) => (value as unknown[]).map((item) => projectNode(node.item, item)),
  choice: (node, value, siblings, root) => {
    if (value instanceof Uint8Array) return bytesToHex(value);
    const found = node.cases[choiceKey(node, siblings, root)];
    if (!found) throw new EncodeError("", `no layout for ${node.on.path} ${choiceKey(node, siblings, root)}`);
    return projectFields(found, value as Values);
  },
  variant: (node, value) => projectFields(variantOf(node, value), value as Values),
  window: (node, value, siblings, root) => projectNode(node.item, value, siblings, root),
  blob: (_node, value) => bytesToHex(value as Uint8Array),
  padding: (_node, value) => bytesToHex(value as Uint8Array),
};

const projectNode = (node: Node, value: unknown, siblings: Values = {}, root?: Root): Json =>
  (project[node.kind] as (typeof project)["choice"])(node as never, value, siblings, root);

function projectFields(node: Root, value: Values): Json {
  const out: Record<string, Json> = {};
  for (const [name, field] of Object.entries(node.fields)) {
    const item = value[name];
    if (item !== undefined) out[name] = projectNode(field, item, value, node);
  }
  if (value["trailing"] !== undefined) out["trailing"] = bytesToHex(value["trailing"] as Uint8Array);
  return out;
}

/** The JSON form of what `decode` or `parse` returned for this layout. */
export const toJson = (layout: { readonly kind: "struct" | "sequence" }, value: object): Json => projectFields(layout as Root, value as Values);

// ---- and back ----

const wrong = (problem: string): never => {
  throw new EncodeError("", problem);
};
const said = (json: Json): string => (json === null ? "null" : Array.isArray(json) ? "a list" : typeof json === "object" ? "an object" : JSON.stringify(json));

/** A 64-bit number from `"0x…"`, from decimal digits or from a JSON number that is exact. */
function bigintFromJson(json: Json): bigint {
  if (typeof json === "number" && Number.isSafeInteger(json) && json >= 0) return BigInt(json);
  if (typeof json === "string" && /^(0x[0-9a-fA-F]{1,16}|[0-9]{1,20})$/.test(json)) return BigInt(json);
  return wrong(`${said(json)} is not a number such as "0x12345000"`);
}
function bytesFromJson(json: Json): Uint8Array {
  const bytes = typeof json === "string" ? hexToBytes(json) : wrong(`${said(json)} is not a string of hex digits`);
  return bytes ?? wrong("is not a string of hex digits, two for each byte");
}
const isObject = (json: Json | undefined): json is { [key: string]: Json } => typeof json === "object" && json !== null && !Array.isArray(json);

/** Up to 32 bits: a number, or a string such as "0x1f". */
function numberFromJson(json: Json): number {
  if (typeof json === "number") return json;
  const value = Number(bigintFromJson(json));
  return Number.isSafeInteger(value) ? value : wrong(`${said(json)} is too large`);
}

const restore: { readonly [K in Kind]: (node: NodeOf<K>, json: Json, siblings: Values, root: Root | undefined) => unknown } = {
  uint: (node, json) => (node.size === 8 ? bigintFromJson(json) : numberFromJson(json)),
  enum: (node, json) => (typeof json === "string" && !Object.hasOwn(node.names, json) && /^(0x[0-9a-fA-F]+|[0-9]+)$/.test(json) ? numberFromJson(json) : json),
  bits: (node, json) => (isObject(json) ? restoreBits(node, json) : wrong(`${said(json)} is not an object of bits`)),
  guid: (_node, json) => (typeof json === "string" ? json.toLowerCase() : json),
  text: (_node, json) => json,
  timestamp: (_node, json) => json,
  bytes: (node, json) => exactly(node.size, json),
  reserved: (node, json) => exactly(node.size, json),
  array: (node, json) => (Array.isArray(json) ? json.map((item, i) => at(`[${i}]`, () => restoreNode(node.item, item))) : wrong(`${said(json)} is not a list`)),
  struct: (node, json) => restoreFields(node, json),
  sequence: (node, json) => restoreFields(node, json),
  list: (node, json) => (Array.isArray(json) ? json.map((item, i) => at(`[${i}]`, () => restoreNode(node.item, item))) : wrong(`${said(json)} is not a list`)),
  choice: (node, json, siblings, root) => {
    if (typeof json === "string") return bytesFromJson(json);
    const key = choiceKey(node, siblings, root);
    return restoreFields(node.cases[key] ?? wrong(`${node.on.path} is ${key}, for which no layout is known: only a string of hex digits can be given`), json);
  },
  variant: (node, json) => restoreFields(variantOf(node, json), json),
  window: (node, json, siblings, root) => restoreNode(node.item, json, siblings, root),
  blob: (_node, json) => bytesFromJson(json),
  padding: (_node, json) => bytesFromJson(json),
};

function exactly(size: number, json: Json): Uint8Array {
  const bytes = bytesFromJson(json);
  return bytes.length === size ? bytes : wrong(`wants exactly ${size} bytes (${size * 2} hex digits), not ${bytes.length}`);
}

function restoreBits(_node: BitsNode, json: { [key: string]: Json }): Values {
  const out: Values = {};
  for (const [name, member] of Object.entries(json)) out[name] = name === "rest" ? at(name, () => bigintFromJson(member)) : member;
  return out;
}

function at<T>(name: string, body: () => T): T {
  try {
    return body();
  } catch (error) {
    throw error instanceof EncodeError ? error.within(name) : error;
  }
}

const restoreNode = (node: Node, json: Json, siblings: Values = {}, root?: Root): unknown =>
  (restore[node.kind] as (typeof restore)["choice"])(node as never, json, siblings, root);

function restoreFields(node: Root, json: Json): Values {
  if (!isObject(json)) return wrong(`${said(json)} is not an object, a ${node.name} is wanted`);
  for (const name of Object.keys(json))
    if (name !== "trailing" && !Object.hasOwn(node.fields, name)) throw new EncodeError(name, `the ${node.name} has no such field`);
  const out: Values = {};
  for (const [name, field] of Object.entries(node.fields)) {
    const item = json[name];
    if (item === undefined) continue;
    // A reference may point at a field that was left to its initial value.
    const siblings = field.kind === "choice" || field.kind === "window" ? { ...initialsOf(node), ...out } : out;
    out[name] = at(name, () => restoreNode(field, item, siblings, node));
  }
  if (json["trailing"] !== undefined) out["trailing"] = at("trailing", () => bytesFromJson(json["trailing"]!));
  return out;
}

function initialsOf(node: Root): Values {
  const out: Values = {};
  for (const [name, field] of Object.entries(node.fields)) if (field.initial !== undefined) out[name] = field.initial;
  return out;
}

/**
 * The value for `encode` from its JSON form.
 * @throws EncodeError naming the member that is wrong.
 */
export const fromJson = (layout: { readonly kind: "struct" | "sequence"; readonly name: string }, json: Json): never =>
  at(layout.name, () => restoreFields(layout as Root, json)) as never;
