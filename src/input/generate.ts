/**
 * Random values that fit a layout: enumerations take values that have names, bit fields known bits, reserved bytes
 * are zero, counts and lengths say what is there. The same seed gives the same bytes.
 */
import { buildErrorStatusBlock } from "../acpi/status-block.ts";
import { RecordHeader, SectionDescriptor } from "../cper/record.ts";
import { buildRecord } from "../cper/record-codec.ts";
import {
  amountOf,
  bitRange,
  type ChoiceNode,
  EncodeError,
  encode,
  type FixedNode,
  isFixed,
  type Kind,
  type Node,
  type NodeOf,
  type Ref,
  type Root,
  type SectionType,
  timestampText,
} from "../layout/index.ts";
import { namesByNumber } from "../layout/values.ts";

type Values = Record<string, unknown>;

/** A small deterministic generator of numbers (Tommy Ettinger's mulberry32). */
export class Dice {
  #state: number;

  constructor(seed: number) {
    this.#state = seed >>> 0;
  }
  /** 32 random bits. */
  word(): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0;
    let t = this.#state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return (t ^ (t >>> 14)) >>> 0;
  }
  /** A whole number from 0 up to, not including, `end`. */
  below(end: number): number {
    return Math.floor((this.word() / 2 ** 32) * end);
  }
  chance(odds: number): boolean {
    return this.word() < odds * 2 ** 32;
  }
  pick<T>(items: readonly T[]): T {
    return items[this.below(items.length)]!;
  }
  bytes(count: number): Uint8Array {
    return Uint8Array.from({ length: count }, () => this.word() >>> 24);
  }
}

/** Items of a list and bytes of a blob whose number the layout leaves open, at most. */
const MOST_ITEMS = 3;
const MOST_BYTES = 24;
const LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789 _-";

/** Numbers people would write: often small, sometimes anything. */
const number = (dice: Dice, bits: number): number => {
  const width = dice.chance(0.5) ? Math.min(bits, 8) : bits;
  return width === 32 ? dice.word() : dice.below(2 ** width);
};

const FIXED: { readonly [K in FixedNode["kind"]]: (node: NodeOf<K>, dice: Dice) => unknown } = {
  uint: (node, dice) => (node.size === 8 ? (BigInt(dice.chance(0.5) ? 0 : dice.word()) << 32n) | BigInt(dice.word()) : number(dice, node.size * 8)),
  enum: (node, dice) => dice.pick(Object.keys(node.names)),
  bits: (node, dice) => {
    const out: Values = {};
    for (const [name, member] of Object.entries(node.members)) {
      const [, width] = bitRange(member);
      if (typeof member === "number") {
        if (dice.chance(0.5)) out[name] = true;
      } else out[name] = "names" in member ? dice.pick(Object.keys(member.names)) : number(dice, width);
    }
    return out;
  },
  guid: (_node, dice) => [8, 4, 4, 4, 12].map((digits) => Array.from({ length: digits }, () => dice.below(16).toString(16)).join("")).join("-"),
  text: (node, dice) =>
    Array.from({ length: 1 + dice.below(node.size) }, () => LETTERS[dice.below(LETTERS.length)])
      .join("")
      .trimEnd(),
  timestamp: (_node, dice) => {
    const digits = (end: number) =>
      Number(
        String(dice.below(end))
          .replace(/^(\d)$/, "0$1")
          .replace(/^(\d)(\d)$/, (_, tens, ones) => String(tens * 16 + Number(ones))),
      );
    const day = digits(28);
    return timestampText(Uint8Array.from([digits(60), digits(60), digits(24), dice.below(2), day === 0 ? 1 : day, 1 + dice.below(9), digits(38), 0x20]));
  },
  bytes: (node, dice) => dice.bytes(node.size),
  reserved: () => undefined,
  array: (node, dice) => Array.from({ length: node.count }, () => fixed(node.item, dice)),
  struct: (node, dice) => Object.fromEntries(Object.entries(node.fields).map(([name, field]) => [name, fixed(field, dice)])),
};
const fixed = (node: FixedNode, dice: Dice): unknown => (FIXED[node.kind] as (node: FixedNode, dice: Dice) => unknown)(node, dice);

/** The node a reference names, through structures; for a member of a bit field the bit field and the member. */
function targetOf(root: Root, reference: Ref): { readonly node: Node; readonly member?: string } | undefined {
  let at: Node | undefined = root;
  for (const key of reference.path.split(".")) {
    if (at?.kind === "bits") return { node: at, member: key };
    at = at && "fields" in at ? (at.fields as Record<string, Node>)[key] : undefined;
  }
  return at && { node: at };
}

/** Write `value` where a reference points. */
function assign(values: Values, reference: Ref, value: unknown): void {
  const path = reference.path.split(".");
  const owner = path.slice(0, -1).reduce((at, key) => at[key] as Values, values);
  owner[path.at(-1)!] = value;
}

/** Largest amount a referenced field can say. */
function mostOf(root: Root, reference: Ref): number {
  const target = targetOf(root, reference);
  if (!target) return 0;
  const { node, member } = target;
  const bits = member !== undefined && node.kind === "bits" ? bitRange(node.members[member]!)[1] : "size" in node ? node.size * 8 : 0;
  return Math.min(reference.most ?? Number.MAX_SAFE_INTEGER, (2 ** Math.min(bits, 32) - 1) * reference.scale + reference.bias);
}

/** Make a count or length say `amount`; false when its scale cannot. */
function say(root: Root, values: Values, reference: Ref, amount: number): boolean {
  if (reference.scale === 0) return amount === reference.bias;
  const raw = (amount - reference.bias) / reference.scale;
  const target = targetOf(root, reference);
  if (!target || !Number.isInteger(raw) || raw < 0 || amount > mostOf(root, reference)) return false;
  const { node, member } = target;
  const single = member !== undefined && node.kind === "bits" && typeof node.members[member] === "number";
  if (node.kind === "enum") {
    const name = namesByNumber(node.names).get(raw);
    assign(values, reference, name ?? raw);
  } else assign(values, reference, single ? raw === 1 : node.kind === "uint" && node.size === 8 ? BigInt(raw) : raw);
  return true;
}

/** A value for what a variable field holds; the fields it depends on are set to match. */
const VARIABLE: { readonly [K in Exclude<Kind, FixedNode["kind"]>]: (node: NodeOf<K>, dice: Dice, root: Root, values: Values) => unknown } = {
  sequence: (node, dice) => generate(node, dice),
  variant: (node, dice) => {
    const key = dice.pick(Object.keys(node.cases));
    const layout = node.cases[key]!;
    const tag = (layout.fields as Record<string, Node>)[node.tag]!;
    return { ...generate(layout, dice), [node.tag]: tag.kind === "enum" ? key : Number(key) };
  },
  list: (node, dice, root, values) => {
    if (node.count?.most !== undefined) return Array.from({ length: amountOf(node.count, values) }, () => element(node.item, dice, root, values));
    const most = node.count ? Math.min(MOST_ITEMS, mostOf(root, node.count)) : MOST_ITEMS;
    const items = Array.from({ length: dice.below(most + 1) }, () => element(node.item, dice, root, values));
    if (node.count) say(root, values, node.count, items.length);
    return items.length > 0 ? items : undefined;
  },
  choice: (node, dice, root, values) => {
    const key = chosen(node, dice, root, values);
    return key === undefined ? undefined : generate(node.cases[key]!, dice);
  },
  window: (node, dice, root, values) => {
    // Not every size can be said, nor does every one fit the field: nothing at all always does.
    for (let attempt = 0; attempt < 8; attempt++) {
      const value = element(node.item, dice, root, values);
      if (value !== undefined && say(root, values, node.length, sizeOf(node.item, value, values))) return value;
    }
    say(root, values, node.length, Math.max(0, node.length.bias));
    return undefined;
  },
  blob: (node, dice, root, values) => {
    if (node.until) {
      // What lies at that offset follows at once.
      say(root, values, node.until, lengthSoFar(root, values, node));
      return undefined;
    }
    const most = node.length ? Math.min(MOST_BYTES, mostOf(root, node.length)) : MOST_BYTES;
    const value = dice.bytes(dice.below(most + 1));
    if (!node.length || say(root, values, node.length, value.length)) return value.length > 0 ? value : undefined;
    say(root, values, node.length, Math.max(0, node.length.bias));
    return undefined;
  },
  padding: () => undefined,
};
const element = (node: Node, dice: Dice, root: Root, values: Values): unknown =>
  isFixed(node) ? fixed(node, dice) : (VARIABLE[node.kind] as (node: Node, dice: Dice, root: Root, values: Values) => unknown)(node, dice, root, values);

/** Pick a case and make the field it depends on name it. */
function chosen(node: ChoiceNode, dice: Dice, root: Root, values: Values): string | undefined {
  const target = targetOf(root, node.on);
  const key = dice.pick(Object.keys(node.cases));
  if (!target) return undefined;
  const { node: on, member } = target;
  const named =
    on.kind === "enum" ||
    on.kind === "guid" ||
    (member !== undefined && on.kind === "bits" && typeof on.members[member] === "object" && "names" in (on.members[member] as object));
  assign(values, node.on, named ? key : on.kind === "uint" && on.size === 8 ? BigInt(key) : Number(key));
  return key;
}

/** Bytes that a value takes: what the encoder makes of it. */
function sizeOf(item: Node, value: unknown, values: Values): number {
  if (item.kind === "list") return (value as unknown[]).reduce<number>((sum, one) => sum + sizeOf(item.item, one, {}), 0);
  if (item.kind === "variant") {
    const key = String((value as Values)[item.tag]);
    return sizeOf(item.cases[key]!, value, values);
  }
  if (item.kind === "choice") {
    const key = String(item.on.path.split(".").reduce((at, name) => at[name] as Values, values));
    return sizeOf(item.cases[key]!, value, values);
  }
  return encode(item as never, value as never).length;
}

/** Bytes of the fields before a node. */
function lengthSoFar(root: Root, values: Values, node: Node): number {
  const fields = Object.entries(root.fields) as [string, Node][];
  const before = fields.slice(
    0,
    fields.findIndex(([, field]) => field === node),
  );
  const known = before.filter(([name]) => values[name] !== undefined).map(([name]) => [name, values[name]]);
  return encode({ ...root, kind: "sequence", fields: Object.fromEntries(before) } as never, Object.fromEntries(known) as never).length;
}

/** A random value of a layout. */
export function generate(layout: { readonly kind: "struct" | "sequence" }, dice: Dice): Values {
  const root = layout as Root;
  const values: Values = {};
  const fields = Object.entries(root.fields) as [string, Node][];
  for (const [name, field] of fields) if (isFixed(field)) values[name] = fixed(field, dice);
  for (const [name, field] of fields) {
    if (isFixed(field)) continue;
    const value = element(field, dice, root, values);
    if (value !== undefined) values[name] = value;
  }
  return values;
}

export type GeneratedForm = "record" | "block" | "section";

/**
 * One random record, error status block or bare section with these sections in it.
 * @throws EncodeError when a layout contradicts itself, which none of the package's does.
 */
export function generateBytes(form: GeneratedForm, types: readonly SectionType[], dice: Dice): Uint8Array {
  const sections = types.map((type) => ({ type, body: body(type, dice) }));
  if (form === "section") {
    if (sections.length !== 1) throw new EncodeError("section", "only one section can stand by itself");
    return sections[0]!.body;
  }
  if (form === "block") {
    const severity = dice.pick(["recoverable", "fatal", "corrected", "none"] as const);
    return buildErrorStatusBlock(
      severity,
      sections.map(({ type, body }) => ({
        header: { sectionType: dice.pick(type.guids), errorSeverity: severity, ...(dice.chance(0.5) && { fruText: "DIMM A1" }) },
        body,
      })),
    );
  }
  const header = generate(RecordHeader, dice);
  for (const name of ["signature", "signatureEnd", "revision", "sectionCount", "recordLength"]) delete header[name];
  return buildRecord(
    header as never,
    sections.map(({ type, body }) => {
      const descriptor = generate(SectionDescriptor, dice);
      for (const name of ["sectionOffset", "sectionLength", "revision"]) delete descriptor[name];
      return { descriptor: { ...descriptor, sectionType: dice.pick(type.guids) } as never, body };
    }),
  );
}

/** A random body; types for one length only get exactly that. */
function body(type: SectionType, dice: Dice): Uint8Array {
  for (;;) {
    const bytes = encode(type.layout as never, generate(type.layout, dice) as never);
    if (type.length === undefined || bytes.length === type.length) return bytes;
  }
}
