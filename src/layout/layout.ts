/**
 * The layout language. A layout is plain data, one tree per structure, and every interpreter in this
 * folder (decode, encode, JSON, byte map, schema, reference table) reads that one tree.
 *
 * Fixed nodes have a `size` in bytes. Variable nodes (sequence, list, choice, variant, window, blob,
 * padding) take their extent from fields decoded before them and from the bytes that are left; reading
 * them never fails: what does not fit stays in `trailing`.
 */

export type WordSize = 1 | 2 | 3 | 4 | 8;
/** A bit number, a `[low, width]` range, or a range with named values. */
export type BitMember = number | readonly [low: number, width: number] | { readonly at: readonly [low: number, width: number]; readonly names: Names };
/** Value by name; a pair adds the words shown to people (default: the name, split at capitals). */
export type Names = Readonly<Record<string, number | readonly [value: number, label: string]>>;

interface Common {
  readonly doc: string;
  /** What the encoder writes when a builder leaves the field out. */
  readonly initial?: unknown;
  /** Members of the structure's `validation` field that say whether this field holds data; default: the member named like the field. */
  readonly gate?: readonly string[];
  /** What a builder computes for this number from the whole structure: its bytes, or what makes its 32-bit words sum to zero. */
  readonly fills?: "length" | "sum32";
}
interface Word extends Common {
  readonly size: WordSize;
  readonly order?: "big";
}
export interface UintNode extends Word {
  readonly kind: "uint";
  /** The base people read this number in. */
  readonly base: 10 | 16;
}
export interface EnumNode extends Word {
  readonly kind: "enum";
  readonly size: 1 | 2 | 3 | 4;
  readonly names: Names;
}
export interface BitsNode extends Word {
  readonly kind: "bits";
  readonly members: Readonly<Record<string, BitMember>>;
}
export interface GuidNode extends Common {
  readonly kind: "guid";
  readonly size: 16;
  /** Words shown beside known values, by lower-case GUID. */
  readonly names?: Readonly<Record<string, string>>;
}
export interface TextNode extends Common {
  readonly kind: "text";
  readonly size: number;
}
/** Eight bytes of date and time in whichever of the known encodings the writer chose. */
export interface TimestampNode extends Common {
  readonly kind: "timestamp";
  readonly size: 8;
}
export interface BytesNode extends Common {
  readonly kind: "bytes";
  readonly size: number;
}
/** Bytes that should be zero: absent from the value when they are. */
export interface ReservedNode extends Common {
  readonly kind: "reserved";
  readonly size: number;
}
export interface ArrayNode extends Common {
  readonly kind: "array";
  readonly size: number;
  readonly item: FixedNode;
  readonly count: number;
}
export interface StructNode extends Common {
  readonly kind: "struct";
  readonly size: number;
  readonly name: string;
  /** Sizes at which earlier revisions of the specification end it: so short, it is whole. */
  readonly ends?: readonly number[];
  readonly fields: Readonly<Record<string, FixedNode>>;
}
export type FixedNode = UintNode | EnumNode | BitsNode | GuidNode | TextNode | TimestampNode | BytesNode | ReservedNode | ArrayNode | StructNode;

/** A number read from an earlier field of the same sequence: `value * scale + bias`, never below zero nor above `most`. */
export interface Ref {
  /** Field name, or a dotted path into a structure or bit field. */
  readonly path: string;
  readonly scale: number;
  readonly bias: number;
  /** For a field whose mere presence counts: an offset that is 0 when there is nothing. */
  readonly most?: number;
}
/** Fields in wire order; fixed ones and variable ones may alternate. */
export interface SequenceNode extends Common {
  readonly kind: "sequence";
  readonly name: string;
  readonly fields: Readonly<Record<string, Node>>;
}
/** Items back to back: `count` of them, or as many as fit. */
export interface ListNode extends Common {
  readonly kind: "list";
  readonly item: StructNode | SequenceNode | VariantNode;
  readonly count?: Ref;
}
/** The layout of the bytes that are left, chosen by an earlier field; without a case they stay raw. */
export interface ChoiceNode extends Common {
  readonly kind: "choice";
  readonly on: Ref;
  /** Keyed by enum name, decimal number or GUID. */
  readonly cases: Readonly<Record<string, StructNode | SequenceNode>>;
}
/** A structure that names its own layout in one of its first fields. */
export interface VariantNode extends Common {
  readonly kind: "variant";
  /** The field that tells the cases apart: in every case an enum or uint at the same offset. */
  readonly tag: string;
  readonly cases: Readonly<Record<string, StructNode | SequenceNode>>;
}
/** At most `length` bytes, read as `item`; what the item leaves stays in its `trailing`. */
export interface WindowNode extends Common {
  readonly kind: "window";
  readonly length: Ref;
  readonly item: StructNode | SequenceNode | ChoiceNode | ListNode;
}
/** Raw bytes: `length` of them, or those before offset `until` from the start of the sequence, or all that are left. */
export interface BlobNode extends Common {
  readonly kind: "blob";
  readonly length?: Ref;
  readonly until?: Ref;
}
/** Bytes up to the next multiple of `to`, counted from the start of the sequence. */
export interface PaddingNode extends Common {
  readonly kind: "padding";
  readonly to: number;
}
export type VariableNode = SequenceNode | ListNode | ChoiceNode | VariantNode | WindowNode | BlobNode | PaddingNode;

export type Node = FixedNode | VariableNode;
export type Kind = Node["kind"];
export type NodeOf<K extends Kind> = Extract<Node, { kind: K }>;
/** What can stand on its own: a structure of fixed size, or a sequence. */
export type Root = StructNode | SequenceNode;

const FIXED: ReadonlySet<Kind> = new Set<FixedNode["kind"]>(["uint", "enum", "bits", "guid", "text", "timestamp", "bytes", "reserved", "array", "struct"]);
/** Whether a node always takes the same number of bytes. */
export const isFixed = (node: Node): node is FixedNode => FIXED.has(node.kind);

// ---- types of values ----

type Need = "required" | "optional";
/** A node that decodes to `T`; `Need` says whether a builder may leave the field out. `~types` never exists at run time. */
export type Layout<T, W extends Need = "required", N = Node> = N & {
  readonly "~types"?: { readonly value: T; readonly need: W };
};
type Facts<N> = N extends { readonly "~types"?: infer F } ? NonNullable<F> : never;
type Value<N> = Facts<N> extends { readonly value: infer T } ? T : never;
type IsOptional<N> = Facts<N> extends { readonly need: "optional" } ? true : false;
type Flat<T> = { [K in keyof T]: T[K] } & {};
type AnyLayout<N = Node> = Layout<unknown, Need, N>;

interface FixedFields {
  readonly [name: string]: AnyLayout<FixedNode>;
}
interface AnyFields {
  readonly [name: string]: AnyLayout;
}
type Values<F extends AnyFields> = Flat<{ -readonly [K in keyof F]: Value<F[K]> }>;

/** Bytes after what the layout describes, or after the last whole field of a structure cut short. */
export interface Trailing {
  trailing?: Uint8Array;
}
export type Struct<F extends FixedFields> = Layout<Values<F>, "required", Omit<StructNode, "fields"> & { readonly fields: F }>;
export type Sequence<F extends AnyFields> = Layout<Partial<Values<F>> & Trailing, "required", Omit<SequenceNode, "fields"> & { readonly fields: F }>;

/** What `decode` returns for a fixed layout. */
export type Decoded<N> = Value<N>;
/** What `parse` returns: the same, but any field may be missing where the bytes ended early. */
export type Parsed<N> = Partial<Value<N>> & Trailing;
/** What `encode` accepts: fields with an initial value may be left out, at any depth. */
export type Encodable<N> = N extends { readonly kind: "struct" | "sequence"; readonly fields: infer F extends AnyFields }
  ? Flat<
      { -readonly [K in keyof F as IsOptional<F[K]> extends true ? never : K]: Encodable<F[K]> } & {
        -readonly [K in keyof F as IsOptional<F[K]> extends true ? K : never]?: Encodable<F[K]> | undefined;
      } & Trailing
    >
  : N extends { readonly kind: "list"; readonly item: infer I }
    ? Encodable<I>[]
    : Value<N>;

type Uint<S extends WordSize> = S extends 8 ? bigint : number;
type NameOf<E> = (keyof E & string) | number;
type MemberValue<M> = M extends number ? boolean : M extends { readonly names: infer E } ? NameOf<E> : number;
type BitsValue<B extends Readonly<Record<string, BitMember>>> = Flat<{ -readonly [K in keyof B]?: MemberValue<B[K]> } & { rest?: bigint }>;

// ---- constructors ----

const leaf = <T, N extends Node, W extends Need = "required">(node: N): Layout<T, W, N> => node as Layout<T, W, N>;

/** A property that is made when it is first asked for. */
function lazily(make: () => unknown): PropertyDescriptor {
  let made: unknown;
  return { configurable: true, enumerable: true, get: () => (made ??= make()) };
}
/** A copy of a node with other properties; fields that are not made yet are not made for it. */
const changed = <N>(node: { readonly kind: Kind }, changes: object): N =>
  (node.kind === "struct" || node.kind === "sequence"
    ? Object.defineProperties({}, { ...Object.getOwnPropertyDescriptors(node), ...Object.getOwnPropertyDescriptors(changes) })
    : { ...node, ...changes }) as N;

/** Give a field an initial value, so that builders may leave it out. */
export const initially = <T, N extends Node>(node: Layout<T, Need, N>, initial: T): Layout<T, "optional", N> => changed(node, { initial });
/** What zero bytes decode to. */
function zeroOf(node: FixedNode): unknown {
  switch (node.kind) {
    case "uint":
      return node.size === 8 ? 0n : 0;
    case "enum":
      return Object.keys(node.names).find((name) => numberOf(node.names[name]!) === 0) ?? 0;
    case "bits":
      return {};
    case "guid":
      return ZERO_GUID;
    case "text":
      return "";
    case "timestamp":
      return "none";
    case "bytes":
      return new Uint8Array(node.size);
    case "reserved":
      return undefined;
    case "array":
      return Array.from({ length: node.count }, () => zeroOf(node.item));
    case "struct":
      return Object.fromEntries(Object.entries(node.fields).map(([name, field]) => [name, zeroOf(field)]));
  }
}
/** Let builders leave this field out: it is zero then. */
export function orZero<F extends FixedFields>(node: Struct<F>): Layout<Values<F>, "optional", Omit<StructNode, "fields"> & { readonly fields: F }>;
export function orZero<T, N extends FixedNode>(node: Layout<T, Need, N>): Layout<T, "optional", N>;
export function orZero(node: FixedNode): FixedNode {
  if (node.kind !== "struct") return { ...node, initial: zeroOf(node) };
  return Object.defineProperty(
    changed<FixedNode>(node, {}),
    "initial",
    lazily(() => zeroOf(node)),
  );
}
/** Show this number in hexadecimal. 64-bit numbers always are. */
export const hex = <T, W extends Need>(node: Layout<T, W, UintNode>): Layout<T, W, UintNode> => ({ ...node, base: 16 }) as Layout<T, W, UintNode>;
/** Name the validation bits that make this field valid, where the bit is not named like the field. */
export const validBy = <T, W extends Need, N extends Node>(node: Layout<T, W, N>, ...members: string[]): Layout<T, W, N> => changed(node, { gate: members });
/** A number that holds the size of the structure it stands in: builders compute it. */
export const ownLength = (doc: string) => leaf<number, UintNode, "optional">({ kind: "uint", size: 4, doc, base: 10, initial: 0, fills: "length" });
/** A number that makes the 32-bit words of the structure it stands in sum to zero: builders compute it. */
export const ownSum = (doc: string) => leaf<number, UintNode, "optional">({ kind: "uint", size: 4, doc, base: 16, initial: 0, fills: "sum32" });
/** Store this word most significant byte first (fw_cfg does). */
export const bigEndian = <T, W extends Need, N extends UintNode | EnumNode | BitsNode>(node: Layout<T, W, N>): Layout<T, W, N> =>
  ({ ...node, order: "big" }) as Layout<T, W, N>;

const uint =
  <S extends WordSize>(size: S) =>
  (doc: string) =>
    leaf<Uint<S>, UintNode>({ kind: "uint", size, doc, base: size === 8 ? 16 : 10 });
/** Unsigned little-endian integers. Up to 32 bits they are numbers, 64 bits are bigint. */
export const u8 = uint(1);
export const u16 = uint(2);
export const u24 = uint(3);
export const u32 = uint(4);
export const u64 = uint(8);
/** A mixed-endian GUID: the first three groups little-endian (UEFI 2.11 appendix A). */
export const guid = (doc: string, names?: Readonly<Record<string, string>>) => leaf<string, GuidNode>({ kind: "guid", size: 16, doc, ...(names && { names }) });
/** Text of fixed size, NUL padded; every byte value survives as its Latin-1 character. */
export const text = (size: number, doc: string) => leaf<string, TextNode>({ kind: "text", size, doc });
/** An 8-byte timestamp (UEFI 2.11 table N.1 and the variants met in the field; see `timestamp.ts`). */
export const timestamp = (doc: string) => leaf<string, TimestampNode>({ kind: "timestamp", size: 8, doc });
/** Opaque bytes. */
export const bytes = (size: number, doc: string) => leaf<Uint8Array, BytesNode>({ kind: "bytes", size, doc });
/** Bytes that should be zero. */
export const reserved = (size: number, doc = "Reserved, zero") => leaf<Uint8Array | undefined, ReservedNode, "optional">({ kind: "reserved", size, doc });
/** An enumeration; unknown values stay numbers. */
export const oneOf = <const E extends Names>(size: 1 | 2 | 3 | 4, doc: string, names: E) => leaf<NameOf<E>, EnumNode>({ kind: "enum", size, doc, names });
/** A bit field. Single bits are booleans, present when set; ranges are numbers or names; unknown bits are kept in `rest`. */
export const bits = <const B extends Readonly<Record<string, BitMember>>>(size: WordSize, doc: string, members: B) => {
  const taken = new Uint8Array(64);
  for (const name of Object.keys(members)) {
    const [low, width] = bitRange(members[name]!);
    let fits = low + width <= size * 8 && width <= 32;
    for (let bit = low; fits && bit < low + width; bit++) {
      fits = taken[bit] === 0;
      taken[bit] = 1;
    }
    if (!fits) throw new TypeError(`bit member ${name} is outside the word or overlaps another`);
  }
  return leaf<BitsValue<B>, BitsNode, "optional">({ kind: "bits", size, doc, members, initial: {} });
};
/** A fixed number of equal items. */
export const array = <T, N extends FixedNode>(count: number, item: Layout<T, Need, N>, doc: string) =>
  leaf<T[], ArrayNode>({ kind: "array", size: count * item.size, doc, item, count });

/** Fields by name, or a function that makes them when they are first asked for: declaring a layout costs nothing then. */
type Given<F> = F | (() => F);
function withFields<F extends object>(node: object, given: Given<F>, checked: (fields: F) => F): object {
  if (typeof given !== "function") return { ...node, fields: checked(given) };
  return Object.defineProperty(
    node,
    "fields",
    lazily(() => checked(given())),
  );
}

/**
 * Declare a structure of fixed size, fields in wire order.
 * @param size bytes, as the specification says; a disagreement with the fields throws when they are made.
 * @param doc the document and section that defines it.
 * @param fields a function for what is declared when a module loads: most layouts are not needed by most runs.
 */
export function struct<const F extends FixedFields>(name: string, size: number, doc: string, fields: Given<F>): Struct<F> {
  return withFields({ kind: "struct", size, doc, name }, fields, (made) => {
    let sum = 0;
    for (const field of Object.values(made)) sum += field.size;
    if (sum !== size) throw new TypeError(`${name}: the fields take ${sum} bytes, the specification says ${size}`);
    return made;
  }) as Struct<F>;
}

/** Name the sizes at which earlier revisions of the specification end a structure. */
export const endingAlso = <F extends FixedFields>(node: Struct<F>, ...sizes: number[]): Struct<F> => changed(node, { ends: sizes });

/** Refer to an earlier field of the sequence for a count, a length or a choice. */
export const ref = (path: string, change: { scale?: number; bias?: number; most?: number } = {}): Ref => ({
  path,
  scale: change.scale ?? 1,
  bias: change.bias ?? 0,
  ...(change.most !== undefined && { most: change.most }),
});
/**
 * Declare a structure of variable size: fields in wire order, each fixed or variable.
 * @param fields a function for what is declared when a module loads; a reference to no earlier field throws when they are made.
 */
export function sequence<const F extends AnyFields>(name: string, doc: string, fields: Given<F>): Sequence<F> {
  return withFields({ kind: "sequence", doc, name }, fields, (made) => {
    const seen = new Set<string>();
    for (const [field, node] of Object.entries(made)) {
      for (const reference of refsOf(node as Node)) {
        const head = reference.path.split(".")[0]!;
        if (!seen.has(head)) throw new TypeError(`${name}.${field} refers to ${reference.path}, which does not come before it`);
      }
      seen.add(field);
    }
    return made;
  }) as Sequence<F>;
}
/** Items back to back: `count` of them, or as many as fit. */
export const list = <T, N extends StructNode | SequenceNode | VariantNode>(item: Layout<T, Need, N>, doc: string, count?: Ref) =>
  leaf<T[], Omit<ListNode, "item"> & { readonly item: N }, "optional">({
    kind: "list",
    doc,
    item,
    initial: [],
    ...(count && { count }),
  } as never);
/** The layout of the remaining bytes by an earlier field; raw bytes where no case fits. */
export const choice = <const C extends Readonly<Record<string, AnyLayout<Root>>>>(on: Ref, doc: string, cases: C) =>
  leaf<Parsed<C[keyof C]> | Uint8Array, ChoiceNode>({ kind: "choice", doc, on, cases: cases as never });
/** A structure that names its own layout in the field `tag`. */
export const variant = <const C extends Readonly<Record<string, AnyLayout<Root>>>>(tag: string, doc: string, cases: C) =>
  leaf<Value<C[keyof C]>, VariantNode>({ kind: "variant", doc, tag, cases: cases as never });
/** At most `length` bytes, read as `item`. */
export const window = <T, W extends Need, N extends WindowNode["item"]>(length: Ref, item: Layout<T, W, N>) =>
  leaf<T, Omit<WindowNode, "item"> & { readonly item: N }, W>({
    kind: "window",
    doc: item.doc,
    length,
    item,
    ...("initial" in item && { initial: item.initial }),
  } as never);
/** Raw bytes: `length` of them, or all that are left. */
export const blob = (doc: string, length?: Ref) =>
  leaf<Uint8Array, BlobNode, "optional">({ kind: "blob", doc, initial: new Uint8Array(0), ...(length && { length }) });
/** The bytes before what lies at an offset from the start of the sequence: none when it follows at once, or lies further front. */
export const gap = (until: Ref) =>
  leaf<Uint8Array, BlobNode, "optional">({ kind: "blob", doc: `Bytes before ${until.path}`, initial: new Uint8Array(0), until });
/** Bytes up to the next multiple of `to` from the start of the sequence. */
export const padding = (to: number) => leaf<Uint8Array, PaddingNode, "optional">({ kind: "padding", doc: `Padding to a multiple of ${to} bytes`, to });

// ---- what every interpreter needs ----

/** Low bit and width of a bit member. */
export const bitRange = (member: BitMember): readonly [low: number, width: number] =>
  typeof member === "number" ? [member, 1] : "names" in member ? member.at : member;

/** Number of an enumeration's entry. */
export const numberOf = (entry: Names[string]): number => (typeof entry === "number" ? entry : entry[0]);

/** Bytes from the start of a layout to one of its fields. @throws TypeError when a variable field comes before it. */
export function fieldOffset<F extends AnyFields>(layout: { readonly name: string; readonly fields: F }, name: keyof F & string): number {
  let at = 0;
  for (const [field, node] of Object.entries(layout.fields) as [string, Node][]) {
    if (field === name) return at;
    if (!isFixed(node)) break;
    at += node.size;
  }
  throw new TypeError(`${layout.name} has no ${name} at a fixed offset`);
}

/** The GUID that names nothing. */
export const ZERO_GUID = "00000000-0000-0000-0000-000000000000";

/** Bytes of the fixed fields of a layout: all of a struct, the least of a sequence. */
export const fixedSize = (layout: { readonly fields: object }): number =>
  (Object.values(layout.fields) as Node[]).reduce((sum, node) => sum + (isFixed(node) ? node.size : 0), 0);

/** Words that people write otherwise than in lower case. */
const SPELLED: Readonly<Record<string, string>> = Object.fromEntries(
  [
    "ACS",
    "AER",
    "BDF",
    "CPUID",
    "CRC",
    "DLLP",
    "DMWr",
    "DVSEC",
    "ECC",
    "ECRC",
    "IDE",
    "IP",
    "MIDR",
    "MPIDR",
    "MSR",
    "PC",
    "PCRC",
    "PLDM",
    "PSCI",
    "RCRB",
    "TLB",
    "TLP",
  ].map((word) => [word.toLowerCase(), word]),
);
const splitWords = (name: string) =>
  name
    .replace(/([a-z0-9])([A-Z])/g, "$1 $2")
    .toLowerCase()
    .replace(/[a-z]+/g, (word) => SPELLED[word] ?? word);
/** The words shown for a field name: `physicalAddress` is "physical address". */
export const fieldLabel = splitWords;
/** The words shown for an enumeration's value; unknown values are "unknown (n)". */
export function valueLabel(names: Names, value: string | number): string {
  if (typeof value === "number") return `unknown (${value})`;
  const entry = names[value];
  return entry === undefined || typeof entry === "number" ? splitWords(value) : entry[1];
}

/** The references by which a field of a sequence takes its extent. */
export function refsOf(node: Node): Ref[] {
  switch (node.kind) {
    case "list":
      return node.count ? [node.count] : [];
    case "choice":
      return [node.on];
    case "window":
      return [node.length, ...(node.item.kind === "choice" || node.item.kind === "list" ? refsOf(node.item) : [])];
    case "blob":
      return [node.length, node.until].filter((reference) => reference !== undefined);
    default:
      return [];
  }
}

/** Read what a reference names from the values decoded so far: undefined where that field is missing. */
export function lookUp(reference: Ref, values: Readonly<Record<string, unknown>>): unknown {
  let value: unknown = values;
  for (const key of reference.path.split(".")) {
    if (typeof value !== "object" || value === null) return undefined;
    value = (value as Record<string, unknown>)[key];
  }
  return value;
}
/** The same as a count or length; bits that are clear count as 0, bigints are clamped to the safe range. */
export function amountOf(reference: Ref, values: Readonly<Record<string, unknown>>): number {
  const value = lookUp(reference, values);
  const number = typeof value === "bigint" ? Number(value) : typeof value === "number" ? value : value === true ? 1 : 0;
  return Math.max(0, Math.min(reference.most ?? Number.MAX_SAFE_INTEGER, number * reference.scale + reference.bias));
}

/** The number a variant case stands for: its key is an entry of the tag's enumeration, or the number itself. */
export function variantTag(node: VariantNode): { readonly offset: number; readonly size: WordSize; readonly byNumber: ReadonlyMap<number, Root> } {
  let offset = -1;
  let size: WordSize = 1;
  const byNumber = new Map<number, Root>();
  for (const [key, layout] of Object.entries(node.cases)) {
    let at = 0;
    for (const [name, field] of Object.entries(layout.fields)) {
      if (name === node.tag) {
        if ((field.kind !== "enum" && field.kind !== "uint") || (offset >= 0 && (offset !== at || size !== field.size)))
          throw new TypeError(`${layout.name}: ${node.tag} is not the same word in every case`);
        offset = at;
        size = field.size;
        const named = field.kind === "enum" ? field.names[key] : undefined;
        byNumber.set(named === undefined ? Number(key) : numberOf(named), layout);
        break;
      }
      if (!isFixed(field)) throw new TypeError(`${layout.name}: ${node.tag} comes after a variable field`);
      at += field.size;
    }
  }
  if (offset < 0) throw new TypeError(`no case has a field ${node.tag}`);
  return { offset, size, byNumber };
}
