/** Bytes to values. Fixed structures are compiled through binary-parser; variable ones are walked here. */
import { Parser } from "binary-parser";
import { DecodeError, type Finding } from "./errors.ts";
import {
  amountOf,
  type Decoded,
  type FixedNode,
  isFixed,
  type Layout,
  type ListNode,
  lookUp,
  type Node,
  type NodeOf,
  type Parsed,
  type Root,
  type StructNode,
  type VariantNode,
  variantTag,
  type WindowNode,
} from "./layout.ts";
import { timestampText } from "./timestamp.ts";
import { bitSplitter, guidText, isZero, namesByNumber, paddedText, readWord } from "./values.ts";

type FixedKind = FixedNode["kind"];
type Values = Record<string, unknown>;

/** How each kind of node becomes a binary-parser field. Bit fields are split here: its bitN() reads them big-endian. */
const emit: { readonly [K in FixedKind]: (parser: Parser, name: string, node: NodeOf<K>) => Parser } = {
  uint: (parser, name, node) => word(parser, name, node),
  enum: (parser, name, node) => {
    const names = namesByNumber(node.names);
    return word(parser, name, node, (raw: number) => names.get(raw) ?? raw);
  },
  bits: (parser, name, node) => {
    const split = bitSplitter(node.members);
    return node.size === 8
      ? word(parser, name, node, (raw: bigint) => split(Number(BigInt.asUintN(32, raw)) | 0, Number(raw >> 32n) | 0))
      : word(parser, name, node, (raw: number) => split(raw | 0, 0));
  },
  guid: (parser, name, node) => parser.buffer(name, { length: node.size, formatter: (b: Uint8Array) => guidText(b) }),
  text: (parser, name, node) => parser.buffer(name, { length: node.size, formatter: paddedText }),
  timestamp: (parser, name, node) => parser.buffer(name, { length: node.size, formatter: (b: Uint8Array) => timestampText(b) }),
  bytes: (parser, name, node) => parser.buffer(name, { length: node.size, formatter: (b: Uint8Array) => b.slice() }),
  reserved: (parser, name, node) => parser.buffer(name, { length: node.size, formatter: (b: Uint8Array) => (isZero(b) ? undefined : b.slice()) }),
  array: (parser, name, node) => {
    const item = field(new Parser(), "item", node.item);
    return parser.array(name, { type: item, length: node.count, formatter: (items: { item: unknown }[]) => items.map((i) => i.item) });
  },
  struct: (parser, name, node) => parser.nest(name, { type: parserOf(node) }),
};

function word(parser: Parser, name: string, node: { size: number; order?: "big" }, formatter?: (raw: never) => unknown): Parser {
  const big = node.order === "big";
  if (node.size === 3) {
    const read = (b: Uint8Array) => readWord(b, 0, 3, big);
    return parser.buffer(name, { length: 3, formatter: formatter ? (b: Uint8Array) => formatter(read(b) as never) : read });
  }
  const options = (formatter ? { formatter } : {}) as object;
  const end = big ? "be" : "le";
  switch (node.size) {
    case 1:
      return parser.uint8(name, options);
    case 2:
      return parser[`uint16${end}`](name, options);
    case 4:
      return parser[`uint32${end}`](name, options);
    default:
      return parser[`uint64${end}`](name, options);
  }
}

const field = (parser: Parser, name: string, node: FixedNode): Parser =>
  (emit[node.kind] as (parser: Parser, name: string, node: FixedNode) => Parser)(parser, name, node);
const parserOf = (node: StructNode): Parser => Object.entries(node.fields).reduce((parser, [name, node]) => field(parser, name, node), new Parser());

const compiled = new WeakMap<StructNode, Parser>();

function read(node: StructNode, input: Uint8Array, at: number): Values {
  let parser = compiled.get(node);
  if (!parser) {
    // Nesting under one key keeps the value in V8's fast mode: binary-parser deletes keys from its root object.
    parser = new Parser().nest("value", { type: parserOf(node) });
    compiled.set(node, parser);
  }
  return (parser.parse(input.subarray(at, at + node.size)) as { value: Values }).value;
}

/**
 * Read one structure of fixed size.
 * @param offset bytes from the start of `input`.
 * @throws DecodeError when fewer bytes are left than the structure has. Odd content never throws.
 */
export function decode<N extends Layout<unknown, "required", Omit<StructNode, "fields">>>(layout: N, input: Uint8Array, offset = 0): Decoded<N> {
  const node = layout as unknown as StructNode;
  const have = input.length - offset;
  // The one length check that makes binary-parser's silent short reads unreachable.
  if (have < node.size) throw new DecodeError(node.name, offset, `needs ${node.size} bytes, only ${Math.max(have, 0)} left`);
  return read(node, input, offset) as Decoded<N>;
}

/** Where `parse` puts what it noticed. */
export interface ParseContext {
  readonly findings?: Finding[];
  /** Path of the value being parsed, for findings. */
  readonly path?: string;
  /** What to add to offsets in findings: where `input` starts in the whole. */
  readonly base?: number;
}

/**
 * Read as much of a layout as the bytes hold. Never throws on content: what does not fit, and whatever
 * follows, is kept in `trailing`, and every oddity is reported in `context.findings`.
 * @param start first byte of the window; @param end the byte after it.
 */
export function parse<N extends Layout<unknown, "required", { readonly kind: "struct" | "sequence" }>>(
  layout: N,
  input: Uint8Array,
  start = 0,
  end = input.length,
  context: ParseContext = {},
): Parsed<N> {
  return parseWindow(layout as unknown as Root, input, start, end, {
    findings: context.findings ?? [],
    path: context.path ?? (layout as unknown as Root).name,
    base: context.base ?? 0,
  }) as Parsed<N>;
}

interface State {
  readonly findings: Finding[];
  readonly path: string;
  readonly base: number;
}
const report = (state: State, offset: number, message: string) => void state.findings.push({ path: state.path, offset: state.base + offset, message });
const under = (state: State, name: string): State => ({ ...state, path: name.startsWith("[") ? state.path + name : `${state.path}.${name}` });

/** A structure or sequence that owns its window: what it does not use is its `trailing`. */
function parseWindow(node: Root, input: Uint8Array, start: number, end: number, state: State): Values {
  const parts = parseParts(node, input, start, end, state);
  if (parts.complete && parts.next < end) report(state, parts.next, `${end - parts.next} bytes follow the ${node.name}`);
  if (!parts.complete || parts.next < end) keepTrailing(parts, input, end);
  return parts.value;
}

/**
 * Keep what is left as `trailing`. Its presence tells the encoder that fields may be missing, so whatever is
 * left out by convention (zero reserved bytes, zero padding) is spelled out from here on.
 */
function keepTrailing(parts: Parts, input: Uint8Array, end: number): void {
  for (const [name, bytes] of parts.implied()) parts.value[name] ??= bytes;
  parts.value["trailing"] = input.slice(parts.next, end);
}

interface Parts {
  readonly value: Values;
  /** The first byte not used. */
  readonly next: number;
  /** Whether every field was there. */
  readonly complete: boolean;
  /** Fields that were there but left out of the value because zero is understood. */
  readonly implied: () => Iterable<readonly [name: string, bytes: Uint8Array]>;
}

function parseParts(node: Root, input: Uint8Array, start: number, end: number, state: State): Parts {
  const runs: StructNode[] = [];
  let paddings: [string, Uint8Array][] | undefined;
  const implied = function* () {
    for (const run of runs)
      for (const [name, field] of Object.entries(run.fields)) if (field.kind === "reserved") yield [name, new Uint8Array(field.size)] as const;
    yield* paddings ?? [];
  };
  let next = start;
  let value: Values = {};
  for (const step of stepsOf(node)) {
    if (step.fixed) {
      let run = step.fixed;
      const whole = run.size <= end - next;
      if (!whole) run = prefixOf(run, end - next);
      const part = read(run, input, next);
      value = next === start ? part : Object.assign(value, part);
      runs.push(run);
      next += run.size;
      if (!whole) {
        if (node.kind !== "struct" || !node.ends?.includes(end - start))
          report(state, next, `the ${node.name} is cut short: ${next - start} bytes of whole fields, ${end - start} bytes in all`);
        return { value, next, complete: false, implied };
      }
    } else {
      const part = parseVariable(step.node, value, input, start, next, end, under(state, step.name));
      if (part.value !== undefined) value[step.name] = part.value;
      else if (step.node.kind === "padding" && part.next > next) (paddings ??= []).push([step.name, input.slice(next, part.next)]);
      next = part.next;
      if (!part.complete) return { value, next, complete: false, implied };
    }
  }
  return { value, next, complete: true, implied };
}

interface Part {
  readonly value: unknown;
  readonly next: number;
  readonly complete: boolean;
}

function parseVariable(node: Node, values: Values, input: Uint8Array, start: number, at: number, end: number, state: State): Part {
  switch (node.kind) {
    case "list":
      return parseList(node, values, input, at, end, state);
    case "window":
      return parseSized(node, values, input, at, end, state);
    case "choice": {
      if (at === end) return { value: undefined, next: at, complete: true };
      const found = node.cases[String(lookUp(node.on, values))];
      return { value: found ? parseWindow(found, input, at, end, state) : input.slice(at, end), next: end, complete: true };
    }
    case "blob": {
      const length = node.length ? amountOf(node.length, values) : node.until ? Math.max(0, amountOf(node.until, values) - (at - start)) : end - at;
      if (length > end - at) report(state, at, `wants ${length} bytes, only ${end - at} left`);
      const next = Math.min(end, at + length);
      return { value: next > at ? input.slice(at, next) : undefined, next, complete: length <= end - at };
    }
    case "padding": {
      const next = Math.min(end, at + ((node.to - ((at - start) % node.to)) % node.to));
      const wanted = (node.to - ((at - start) % node.to)) % node.to;
      const pad = input.slice(at, next);
      // Whole zero padding is what the encoder writes by itself; anything else is worth carrying.
      return { value: pad.length === wanted && isZero(pad) ? undefined : pad, next, complete: true };
    }
    case "sequence":
      return closed(parseParts(node, input, at, end, state), input, end);
    case "variant": {
      const found = variantCase(node, input, at, end);
      return found ? closed(parseParts(found, input, at, end, state), input, end) : { value: undefined, next: at, complete: false };
    }
    default:
      throw new TypeError(`${node.kind} is not a variable field`);
  }
}

/** A part that was cut short takes all that is left as its own `trailing`. */
function closed(part: Parts, input: Uint8Array, end: number): Parts {
  if (part.complete) return part;
  keepTrailing(part, input, end);
  return { ...part, next: end };
}

function parseList(node: ListNode, values: Values, input: Uint8Array, start: number, end: number, state: State): Part {
  const count = node.count ? amountOf(node.count, values) : Number.POSITIVE_INFINITY;
  const items: unknown[] = [];
  let at = start;
  while (items.length < count && at < end) {
    const item = node.item.kind === "variant" ? variantCase(node.item, input, at, end) : node.item;
    if (!item) {
      report(under(state, `[${items.length}]`), at, `unknown ${node.item.kind === "variant" ? node.item.tag : "item"}: the rest is kept as raw bytes`);
      break;
    }
    if (firstSize(item) > end - at) break;
    const part = closed(parseParts(item, input, at, end, under(state, `[${items.length}]`)), input, end);
    if (part.next === at) break;
    items.push(part.value);
    at = part.next;
  }
  const complete = node.count ? items.length === count : at === end;
  if (node.count && !complete) report(state, at, `${count} items are announced, ${items.length} fit`);
  return { value: items.length > 0 ? items : undefined, next: at, complete };
}

function parseSized(node: WindowNode, values: Values, input: Uint8Array, at: number, end: number, state: State): Part {
  const length = amountOf(node.length, values);
  if (length > end - at) report(state, at, `announces ${length} bytes, only ${end - at} left`);
  const stop = Math.min(end, at + length);
  if (stop === at) return { value: undefined, next: at, complete: length === 0 };
  if (node.item.kind === "list") {
    const part = parseList(node.item, values, input, at, stop, state);
    // What the items leave of the window belongs to nothing: the sequence keeps it with all that follows.
    return { value: part.value, next: part.next, complete: part.next === stop && stop === at + length };
  }
  if (node.item.kind === "choice") return { ...parseVariable(node.item, values, input, at, at, stop, state), complete: stop === at + length };
  return { value: parseWindow(node.item, input, at, stop, state), next: stop, complete: stop === at + length };
}

const tags = new WeakMap<VariantNode, ReturnType<typeof variantTag>>();
/** The layout a variant's tag selects at `at`: undefined for an unknown tag or too few bytes. */
export function variantCase(node: VariantNode, input: Uint8Array, at: number, end: number): Root | undefined {
  let tag = tags.get(node);
  if (!tag) tags.set(node, (tag = variantTag(node)));
  if (tag.offset + tag.size > end - at) return undefined;
  return tag.byNumber.get(readWord(input, at + tag.offset, tag.size));
}

/** A run of fixed fields, compiled as one structure, or one variable field. */
type Step =
  | { readonly fixed: StructNode }
  | { readonly fixed?: undefined; readonly name: string; readonly node: Exclude<Node, { kind: FixedKind }> | StructNode };

const steps = new WeakMap<Root, readonly Step[]>();
/** The fields of a layout as runs of fixed fields and single variable fields. */
export function stepsOf(node: Root): readonly Step[] {
  let known = steps.get(node);
  if (known) return known;
  if (node.kind === "struct") known = [{ fixed: node }];
  else {
    const out: Step[] = [];
    let run: [string, FixedNode][] = [];
    const flush = () => {
      if (run.length === 0) return;
      const fields = Object.fromEntries(run);
      out.push({ fixed: { kind: "struct", name: node.name, doc: node.doc, size: run.reduce((sum, [, f]) => sum + f.size, 0), fields } });
      run = [];
    };
    for (const [name, field] of Object.entries(node.fields)) {
      if (isFixed(field)) run.push([name, field]);
      else {
        flush();
        out.push({ name, node: field });
      }
    }
    flush();
    known = out;
  }
  steps.set(node, known);
  return known;
}

/** Bytes of the fixed fields a layout starts with. */
const firstSize = (node: Root): number => stepsOf(node)[0]?.fixed?.size ?? 0;

const prefixes = new WeakMap<StructNode, Map<number, StructNode>>();
/** The leading fields of a structure that fit whole into `room` bytes. */
function prefixOf(node: StructNode, room: number): StructNode {
  const fields: Record<string, FixedNode> = {};
  let size = 0;
  for (const [name, field] of Object.entries(node.fields)) {
    if (size + field.size > room) break;
    fields[name] = field;
    size += field.size;
  }
  let known = prefixes.get(node);
  if (!known) prefixes.set(node, (known = new Map()));
  let prefix = known.get(size);
  if (!prefix) known.set(size, (prefix = { kind: "struct", name: node.name, doc: node.doc, size, fields }));
  return prefix;
}
