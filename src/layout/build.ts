/** What builders compute that `encode` does not. */
import { choiceKey, encode, variantOf } from "./encode.ts";
import type { BitsNode, ChoiceNode, Node, Ref, Root, SequenceNode } from "./layout.ts";

type Values = Record<string, unknown>;

/** The validation bit that giving a field sets: its own, or the only one it has. */
function gateOf(root: Root, name: string): string | undefined {
  const gates = root.fields[name]?.gate ?? [name];
  return gates.includes(name) ? name : gates.length === 1 ? gates[0] : undefined;
}

/**
 * Set the validation bits of the fields that are given, where the layout has a `validation` field and the
 * value has none. A field vouched for by one of several bits, none of them its own, sets none: which one holds
 * only the caller can know.
 */
export function withValidation<T extends object>(layout: { readonly kind: "struct" | "sequence" }, value: T): T {
  const root = layout as Root;
  const validation = root.fields["validation"] as BitsNode | undefined;
  const given = value as Values;
  if (validation?.kind !== "bits" || given["validation"] !== undefined) return value;
  const set: Record<string, true> = {};
  for (const name of Object.keys(given)) {
    const gate = gateOf(root, name);
    if (gate !== undefined && given[name] !== undefined && typeof validation.members[gate] === "number") set[gate] = true;
  }
  return { ...value, validation: set };
}

/**
 * Fill in what a value leaves to its builder, at any depth: counts and lengths that lists, windows and raw
 * bytes refer to, offsets of what lies behind a gap, validation bits, the structure's own length and checksum.
 * What the value gives is left as it is.
 */
export function completed<T extends object>(layout: { readonly kind: "struct" | "sequence" }, value: T): T {
  const root = layout as Root;
  const out: Values = { ...(value as Values) };
  const inBits: [path: string, amount: number][] = [];
  for (const [name, node] of Object.entries(root.fields) as [string, Node][]) {
    out[name] = inner(node, out[name], out, root);
    if (out[name] === undefined) {
      delete out[name];
      continue;
    }
    for (const [reference, amount] of extents(node, name, out, root)) {
      if (reference.scale === 0 || reference.most !== undefined) continue;
      const number = (amount - reference.bias) / reference.scale;
      if (reference.path.includes(".")) inBits.push([reference.path, number]);
      else if ((value as Values)[reference.path] === undefined) out[reference.path] = number;
    }
  }
  const whole = withValidation(root, out) as Values;
  for (const [path, number] of inBits) {
    const [field = "", member = ""] = path.split(".");
    const bits = (whole[field] ?? {}) as Values;
    if (bits[member] === undefined) whole[field] = { ...bits, [member]: number };
  }
  offsets(root, whole, value as Values);
  for (const [name, node] of Object.entries(root.fields))
    if (node.fills !== undefined && (value as Values)[name] === undefined) {
      const bytes = encode(root as never, { ...whole, [name]: 0 } as never);
      whole[name] = node.fills === "length" ? bytes.length : complement32(bytes);
    }
  return whole as T;
}

/** A field's value with its own parts completed. */
function inner(node: Node, value: unknown, siblings: Values, root: Root): unknown {
  if (node.kind === "window" && value === undefined && node.length.scale === 0 && node.item.kind === "choice") return new Uint8Array(node.length.bias);
  if (value === undefined || value === null || value instanceof Uint8Array) return value;
  switch (node.kind) {
    case "struct":
    case "sequence":
      return typeof value === "object" ? completed(node, value) : value;
    case "list":
      return Array.isArray(value) ? value.map((item) => inner(node.item, item, {}, root)) : value;
    case "variant":
      return typeof value === "object" ? completed(variantOf(node, value), value) : value;
    case "window":
      return inner(node.item, value, siblings, root);
    case "choice": {
      const found = node.cases[choiceKey(node, siblings, root)];
      return found && typeof value === "object" ? completed(found, value) : value;
    }
    default:
      return value;
  }
}

/** The references a field takes its extent from, with what they would have to say. */
function* extents(node: Node, name: string, values: Values, root: Root): Generator<readonly [Ref, number]> {
  const value = values[name];
  if (node.kind === "list" && node.count && Array.isArray(value)) yield [node.count, value.length];
  else if (node.kind === "blob" && node.length && value instanceof Uint8Array) yield [node.length, value.length];
  else if (node.kind === "window") {
    const only: SequenceNode = { kind: "sequence", name: root.name, doc: "", fields: { ...siblingsOf(node.item, root), [name]: node } };
    const before: Values = {};
    for (const sibling of Object.keys(only.fields)) if (sibling !== name) before[sibling] = values[sibling];
    const head = encode({ ...only, fields: siblingsOf(node.item, root) } as never, before as never).length;
    yield [node.length, encode(only as never, { ...before, [name]: value } as never).length - head];
    if (node.item.kind === "list") yield* extents(node.item, name, values, root);
  }
}
/** The field that a choice is made on, which encoding it needs. */
function siblingsOf(node: Node, root: Root): Readonly<Record<string, Node>> {
  const name = (node as ChoiceNode).on?.path.split(".")[0];
  const field = name === undefined ? undefined : root.fields[name];
  return name !== undefined && field ? { [name]: field } : {};
}

/** Offsets of what lies behind a gap: where the bytes before end. Zero for a list that is there or not and is not. */
function offsets(root: Root, out: Values, given: Values): void {
  const before: Record<string, Node> = {};
  for (const [name, node] of Object.entries(root.fields) as [string, Node][]) {
    before[name] = node;
    if (node.kind !== "blob" || !node.until || given[node.until.path] !== undefined) continue;
    const path = node.until.path;
    const optional = Object.entries(root.fields).find(([, field]) => field.kind === "list" && field.count?.path === path);
    if (optional && !(out[optional[0]] as unknown[] | undefined)?.length) continue;
    const part: Values = {};
    for (const field of Object.keys(before)) if (out[field] !== undefined) part[field] = out[field];
    out[path] = encode({ kind: "sequence", name: root.name, doc: "", fields: before } as never, part as never).length;
  }
}

/** What the first word must be for the little-endian 32-bit words to sum to zero. */
function complement32(bytes: Uint8Array): number {
  let sum = 0;
  for (let i = 0; i < bytes.length; i++) sum = (sum + bytes[i]! * 2 ** (8 * (i & 3))) % 2 ** 32;
  return (2 ** 32 - sum) % 2 ** 32;
}
