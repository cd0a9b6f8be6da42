/** What can be said about a layout without running it: byte map and JSON Schema. */
import { choiceKey, variantOf } from "./encode.ts";
import { type BitMember, bitRange, isFixed, type Kind, type Node, type NodeOf, type Root } from "./layout.ts";
import { TIMESTAMP_PATTERN } from "./timestamp.ts";
import { GUID_PATTERN } from "./values.ts";

/** One named run of bytes. */
export interface Span {
  readonly path: string;
  readonly offset: number;
  readonly size: number;
  /** The leaf's node; undefined for trailing bytes. */
  readonly node: Node | undefined;
  readonly value: unknown;
}

type Values = Record<string, unknown>;
const join = (path: string, name: string) => (path === "" ? name : name.startsWith("[") ? path + name : `${path}.${name}`);

/**
 * Every leaf of a decoded value with its byte range, in order: together they tile the bytes the value came from.
 * Without a value, the leaves of a fixed structure.
 */
export function spans(layout: { readonly kind: "struct" | "sequence" }, value?: object, path = "", offset = 0): Span[] {
  const out: Span[] = [];
  walkFields(layout as Root, value as Values | undefined, path, offset, out);
  return out;
}

function walkFields(node: Root, value: Values | undefined, path: string, start: number, out: Span[]): number {
  let at = start;
  const cut = value?.["trailing"] !== undefined;
  for (const [name, field] of Object.entries(node.fields)) {
    const item = value?.[name];
    if (value && item === undefined && (cut || (isFixed(field) ? field.kind !== "reserved" : field.kind !== "padding"))) continue;
    at = walkNode(field, item, join(path, name), at, out, value ?? {}, node, start);
  }
  const trailing = value?.["trailing"] as Uint8Array | undefined;
  if (trailing && trailing.length > 0) {
    out.push({ path: join(path, "trailing"), offset: at, size: trailing.length, node: undefined, value: trailing });
    at += trailing.length;
  }
  return at;
}

function walkNode(node: Node, value: unknown, path: string, at: number, out: Span[], siblings: Values, root: Root | undefined, start: number): number {
  const leaf = (size: number) => {
    if (size > 0) out.push({ path, offset: at, size, node, value });
    return at + size;
  };
  switch (node.kind) {
    case "struct":
    case "sequence":
      return walkFields(node, value as Values | undefined, path, at, out);
    case "variant":
      return walkFields(variantOf(node, value), value as Values, path, at, out);
    case "array":
      for (let i = 0; i < node.count; i++) at = walkNode(node.item, (value as unknown[] | undefined)?.[i], `${path}[${i}]`, at, out, {}, undefined, at);
      return at;
    case "list":
      (value as unknown[]).forEach((item, i) => {
        at = walkNode(node.item, item, `${path}[${i}]`, at, out, {}, undefined, at);
      });
      return at;
    case "window":
      return walkNode(node.item, value, path, at, out, siblings, root, start);
    case "choice":
      if (value instanceof Uint8Array) return leaf(value.length);
      return walkFields(node.cases[choiceKey(node, siblings, root)]!, value as Values, path, at, out);
    case "blob":
      return leaf((value as Uint8Array).length);
    case "padding":
      return leaf(value === undefined ? (node.to - ((at - start) % node.to)) % node.to : (value as Uint8Array).length);
    default:
      return leaf(node.size);
  }
}

// ---- JSON Schema ----

/** A JSON Schema (2020-12) or a part of one. */
export type Schema = Record<string, unknown>;
const HEX64: Schema = { type: "string", pattern: "^0x[0-9a-fA-F]{1,16}$" };
/** Bytes as hex digits: any number of them, or exactly `size`. */
export const hexBytes = (size?: number): Schema => ({ type: "string", pattern: size === undefined ? "^([0-9a-fA-F]{2})*$" : `^([0-9a-fA-F]{2}){${size}}$` });
const uintSchema = (size: number): Schema => (size === 8 ? HEX64 : { type: "integer", minimum: 0, maximum: 2 ** (size * 8) - 1 });
const enumSchema = (names: object, maximum: number): Schema => ({ anyOf: [{ enum: Object.keys(names) }, { type: "integer", minimum: 0, maximum }] });

function memberSchema(member: BitMember): Schema {
  if (typeof member === "number") return { type: "boolean" };
  const maximum = 2 ** bitRange(member)[1] - 1;
  return "names" in member ? enumSchema(member.names, maximum) : { type: "integer", minimum: 0, maximum };
}

const schema: { readonly [K in Kind]: (node: NodeOf<K>) => Schema } = {
  uint: (node) => uintSchema(node.size),
  enum: (node) => enumSchema(node.names, 2 ** (node.size * 8) - 1),
  bits: (node) => ({
    type: "object",
    additionalProperties: false,
    properties: { ...Object.fromEntries(Object.entries(node.members).map(([name, member]) => [name, memberSchema(member)])), rest: HEX64 },
  }),
  guid: () => ({ type: "string", pattern: GUID_PATTERN }),
  text: (node) => ({ type: "string", maxLength: node.size }),
  timestamp: () => ({ type: "string", pattern: TIMESTAMP_PATTERN }),
  bytes: (node) => hexBytes(node.size),
  reserved: (node) => hexBytes(node.size),
  array: (node) => ({ type: "array", items: schemaOf(node.item), minItems: node.count, maxItems: node.count }),
  struct: (node) => objectSchema(node),
  sequence: (node) => objectSchema(node),
  list: (node) => ({ type: "array", items: schemaOf(node.item) }),
  choice: (node) => ({ anyOf: [hexBytes(), ...distinct(Object.values(node.cases)).map(schemaOf)] }),
  variant: (node) => ({ anyOf: distinct(Object.values(node.cases)).map(schemaOf) }),
  window: (node) => schemaOf(node.item),
  blob: () => hexBytes(),
  padding: () => hexBytes(),
};
const distinct = <T>(items: readonly T[]): T[] => [...new Set(items)];

function objectSchema(node: Root): Schema {
  const required = Object.entries(node.fields)
    .filter(([, field]) => isFixed(field) && field.kind !== "reserved" && field.initial === undefined)
    .map(([name]) => name);
  return {
    type: "object",
    title: node.name,
    additionalProperties: false,
    properties: { ...Object.fromEntries(Object.entries(node.fields).map(([name, field]) => [name, schemaOf(field)])), trailing: hexBytes() },
    // A structure that was cut short says so by its `trailing`, even an empty one.
    ...(required.length > 0 && { anyOf: [{ required }, { required: ["trailing"] }] }),
  };
}

const schemaOf = (node: Node): Schema => ({ description: node.doc, ...(schema[node.kind] as (node: Node) => Schema)(node) });

/** JSON Schema (2020-12 vocabulary) of a layout's JSON form. */
export const jsonSchema = (layout: { readonly kind: "struct" | "sequence" }): Schema => schemaOf(layout as Root);
