/** Values as a tree of words for people: labels, names, units, and what the validation bits say. */
import { choiceKey, variantOf } from "./encode.ts";
import { type BitsNode, fieldLabel, type Kind, type Names, type Node, type NodeOf, numberOf, type Root, valueLabel, ZERO_GUID } from "./layout.ts";
import { bytesToHex, hexNumber, isZero } from "./values.ts";

/** One line and what hangs below it. */
export interface Tree {
  readonly label: string;
  /** What stands behind the label; absent for a mere heading. */
  readonly text?: string;
  /** A remark in brackets, such as "not valid". */
  readonly note?: string;
  readonly children?: readonly Tree[];
}

/** A text with its first letter in upper case. */
export const capital = (text: string): string => text.charAt(0).toUpperCase() + text.slice(1);

type Values = Record<string, unknown>;
/** Bytes shown in a line before the rest is only counted. */
const SHOWN_BYTES = 32;

const hexLine = (bytes: Uint8Array): string =>
  bytes.length === 0 ? "no bytes" : bytes.length <= SHOWN_BYTES ? bytesToHex(bytes) : `${bytesToHex(bytes.subarray(0, SHOWN_BYTES))}… (${bytes.length} bytes)`;

const bitsText = (node: BitsNode, value: Values): string => {
  const parts = Object.entries(value)
    .filter(([, member]) => member !== undefined)
    .map(([name, member]) => {
      if (name === "rest") return `unknown bits ${hexNumber(member as bigint)}`;
      if (member === true) return fieldLabel(name);
      const declared = node.members[name];
      const text = typeof declared === "object" && "names" in declared ? valueLabel(declared.names, member as string | number) : String(member);
      return `${fieldLabel(name)} ${text}`;
    });
  return parts.length === 0 ? "none" : parts.join(", ");
};

const describe: { readonly [K in Kind]: (label: string, node: NodeOf<K>, value: unknown, siblings: Values, root: Root | undefined) => Tree | undefined } = {
  uint: (label, node, value) => ({ label, text: node.base === 16 ? hexNumber(value as number | bigint) : String(value) }),
  enum: (label, node, value) => ({ label, text: valueLabel(node.names, value as string | number) }),
  bits: (label, node, value) => ({ label, text: bitsText(node, value as Values) }),
  guid: (label, node, value) => {
    const name = node.names?.[(value as string).toLowerCase()];
    return { label, text: value as string, ...(name !== undefined && { note: name }) };
  },
  text: (label, _node, value) => ({ label, text: JSON.stringify(value) }),
  timestamp: (label, _node, value) => ({ label, text: value as string }),
  bytes: (label, _node, value) => ({ label, text: hexLine(value as Uint8Array) }),
  reserved: (label, _node, value) => ({ label, text: hexLine(value as Uint8Array), note: "should be zero" }),
  array: (label, node, value) => items(label, node.item, value as unknown[]),
  struct: (label, node, value) => ({ label, children: fieldTrees(node, value as Values) }),
  sequence: (label, node, value) => ({ label, children: fieldTrees(node, value as Values) }),
  list: (label, node, value) => items(label, node.item, value as unknown[]),
  choice: (label, node, value, siblings, root) =>
    value instanceof Uint8Array
      ? { label, text: hexLine(value) }
      : { label, children: fieldTrees(node.cases[choiceKey(node, siblings, root)]!, value as Values) },
  variant: (label, node, value) => ({ label, children: fieldTrees(variantOf(node, value), value as Values) }),
  window: (label, node, value, siblings, root) => describeNode(label, node.item, value, siblings, root),
  blob: (label, _node, value) => ({ label, text: hexLine(value as Uint8Array) }),
  padding: (label, _node, value) => ({ label, text: hexLine(value as Uint8Array) }),
};

const describeNode = (label: string, node: Node, value: unknown, siblings: Values, root?: Root): Tree | undefined =>
  value === undefined ? undefined : (describe[node.kind] as (typeof describe)["choice"])(label, node as never, value, siblings, root);

/** The words for one leaf of a byte map; undefined for bytes that no field names. */
export const leafText = ({ node, value }: { readonly node: Node | undefined; readonly value: unknown }): string | undefined =>
  node && describeNode("", node, value, {})?.text;

const items = (label: string, node: Node, values: unknown[]): Tree => ({
  label,
  text: `${values.length}`,
  children: folded(values.map((value, i) => describeNode(`[${i}]`, node, value, {})).filter((tree) => tree !== undefined)),
});
/** Equal items in a row from which on they become one line. */
const FEWEST_TO_FOLD = 3;
/** Runs of items that say the same as one line each: `[3] to [23]: 0x0`. */
function folded(trees: readonly Tree[]): readonly Tree[] {
  const out: Tree[] = [];
  for (let i = 0; i < trees.length; ) {
    const first = trees[i]!;
    let end = i + 1;
    if (first.children === undefined && first.note === undefined)
      while (end < trees.length && trees[end]!.text === first.text && trees[end]!.children === undefined && trees[end]!.note === undefined) end++;
    if (end - i >= FEWEST_TO_FOLD) out.push({ ...first, label: `${first.label} to ${trees[end - 1]!.label}` });
    else out.push(...trees.slice(i, end));
    i = end;
  }
  return out;
}

/** Whether the structure's `validation` field vouches for a field; undefined where it says nothing of it. */
export function isVouched(node: Root, value: Values, name: string): boolean | undefined {
  const validation = node.fields["validation"];
  const given = value["validation"] as Values | undefined;
  if (validation?.kind !== "bits" || given === undefined || name === "validation") return undefined;
  const gates = node.fields[name]?.gate ?? [name];
  const known = gates.filter((gate) => Object.hasOwn(validation.members, gate));
  return known.length === 0 ? undefined : known.some((gate) => Boolean(given[gate]));
}

/** Whether a value is what zero bytes decode to, or nothing at all. */
function isBlank(node: Node, value: unknown): boolean {
  if (value === undefined) return true;
  switch (node.kind) {
    case "uint":
      return value === 0 || value === 0n;
    case "enum":
      return isZeroName(node.names, value);
    case "bits":
      return Object.entries(value as Values).every(([name, member]) => {
        const declared = node.members[name];
        return !member || (typeof declared === "object" && "names" in declared && isZeroName(declared.names, member));
      });
    case "guid":
      return value === ZERO_GUID;
    case "text":
      return value === "";
    case "timestamp":
      return value === "none";
    case "bytes":
    case "reserved":
    case "blob":
    case "padding":
      return isZero(value as Uint8Array);
    case "array":
      return (value as unknown[]).every((item) => isBlank(node.item, item));
    case "list":
      return (value as unknown[]).every((item) => isBlank(node.item, item));
    case "struct":
    case "sequence":
      return (value as Values)["trailing"] === undefined && Object.entries(node.fields).every(([name, field]) => isBlank(field, (value as Values)[name]));
    case "window":
      return isBlank(node.item, value);
    case "choice":
      return value instanceof Uint8Array
        ? isZero(value)
        : Object.values(node.cases).some((layout) => looksLike(layout, value as Values) && isBlank(layout, value));
    case "variant":
      return false;
  }
}
const looksLike = (layout: Root, value: Values) => Object.keys(value).every((name) => Object.hasOwn(layout.fields, name));
const isZeroName = (names: Names, value: unknown): boolean => {
  const entry = typeof value === "string" ? names[value] : undefined;
  return value === 0 || (entry !== undefined && numberOf(entry) === 0);
};

/**
 * The fields of a value as trees, in wire order. A field whose validation bit is clear is left out when it is
 * blank, and marked when it is not.
 */
export function fieldTrees(layout: { readonly kind: "struct" | "sequence" }, value: object): Tree[] {
  const node = layout as Root;
  const values = value as Values;
  const out: Tree[] = [];
  for (const [name, field] of Object.entries(node.fields)) {
    const item = values[name];
    const vouched = isVouched(node, values, name);
    if (vouched === false && isBlank(field, item)) continue;
    const tree = describeNode(fieldLabel(name), field, item, values, node);
    if (tree) out.push(vouched === false ? { ...tree, note: "present, but not marked valid" } : tree);
  }
  if (values["trailing"] instanceof Uint8Array && values["trailing"].length > 0)
    out.push({ label: "trailing", text: hexLine(values["trailing"]), note: "not part of the layout" });
  return out;
}

/** Text from a record for a terminal: control characters, which could move its cursor, as `\x1b`. */
export const printable = (text: string): string => text.replace(/\p{Cc}/gu, (letter) => `\\x${letter.charCodeAt(0).toString(16).padStart(2, "0")}`);

/** A tree as indented lines. */
export function treeLines(tree: Tree, depth = 0): string[] {
  const line = `${tree.label}${tree.text === undefined ? "" : `: ${tree.text}`}${tree.note === undefined ? "" : ` (${tree.note})`}`;
  return ["  ".repeat(depth) + printable(line), ...(tree.children ?? []).flatMap((child) => treeLines(child, depth + 1))];
}
