/** Reading memory through layouts the way C code reads it through a pointer: no lengths, no presence, just offsets. */
import { bitRange, type Decoded, guidText, isFixed, type Node, parse, type Root, type Span, spans } from "../../layout/index.ts";

type AnyRoot = { readonly kind: "struct" | "sequence"; readonly fields: object };
type FieldOf<L extends AnyRoot> = keyof L["fields"] & string;
type MemberOf<L extends AnyRoot, F extends FieldOf<L>> = Exclude<keyof NonNullable<Decoded<L["fields"][F]>> & string, "rest">;

/** The bytes that are known; those after them read as zero, as fresh memory does. */
export class Memory {
  readonly #bytes: Uint8Array;
  readonly #open: boolean;
  /** @param open nobody knows what lies behind the bytes; else zeros do. */
  constructor(bytes: Uint8Array, open = false) {
    this.#bytes = bytes;
    this.#open = open;
  }
  /** Whether it is known what lies before an address. */
  isKnown(end: number): boolean {
    return !this.#open || end <= this.#bytes.length;
  }
  byte(at: number): number {
    return this.#bytes[at] ?? 0;
  }
  /** Unsigned, little-endian, up to 4 bytes. */
  number(at: number, size: number): number {
    let value = 0;
    for (let i = size - 1; i >= 0; i--) value = value * 256 + this.byte(at + i);
    return value;
  }
  /** Unsigned, little-endian, 8 bytes. */
  wide(at: number): bigint {
    return (BigInt(this.number(at + 4, 4)) << 32n) | BigInt(this.number(at, 4));
  }
  copy(at: number, length: number): Uint8Array {
    const out = new Uint8Array(length);
    if (at >= 0 && at < this.#bytes.length) out.set(this.#bytes.subarray(at, at + length));
    return out;
  }
}

interface Place {
  readonly offset: number;
  readonly size: number;
  readonly node: Node | undefined;
}
interface Plan {
  readonly places: ReadonlyMap<string, Place>;
  /** Bytes to the end of the last field of fixed size, before any list. */
  readonly extent: number;
}
const plans = new WeakMap<object, Plan>();
/** More than the fixed part of any layout. */
const ENOUGH = 1024;

/** Where the fields of a layout lie: those before its first list, whatever the content. */
function planOf(layout: AnyRoot): Plan {
  const known = plans.get(layout);
  if (known) return known;
  // Zeros have no list items and no kind, so that every place found this way holds for all content.
  const leaves: Span[] = spans(layout as never, parse(layout as never, new Uint8Array(ENOUGH)) as object);
  const places = new Map<string, Place>();
  for (const [name, node] of Object.entries((layout as unknown as Root).fields) as [string, Node][]) {
    const own = leaves.filter(({ path }) => path === name || path.startsWith(`${name}.`) || path.startsWith(`${name}[`));
    if (own.length > 0) places.set(name, { offset: own[0]!.offset, size: own.reduce((sum, { size }) => sum + size, 0), node });
  }
  const extent = leaves.reduce((most, { node, offset, size }) => (node && isFixed(node) ? Math.max(most, offset + size) : most), 0);
  const plan = { places, extent };
  plans.set(layout, plan);
  return plan;
}

/** Bytes of the fixed part of a layout. */
export const extentOf = (layout: AnyRoot): number => planOf(layout).extent;

/** The next multiple of `alignment`. */
export const alignUp = (value: number, alignment: number): number => Math.ceil(value / alignment) * alignment;

/** A structure at an address. */
export class View<L extends AnyRoot> {
  readonly memory: Memory;
  readonly layout: L;
  readonly at: number;
  readonly #plan: Plan;
  constructor(memory: Memory, layout: L, at: number) {
    this.memory = memory;
    this.layout = layout;
    this.at = at;
    this.#plan = planOf(layout);
  }

  #place(field: string): Place {
    const place = this.#plan.places.get(field);
    if (!place) throw new TypeError(`${(this.layout as unknown as Root).name} has no ${field} at a fixed offset`);
    return place;
  }
  /** Bytes from the start of the structure. */
  offset(field: FieldOf<L>): number {
    return this.#place(field).offset;
  }
  size(field: FieldOf<L>): number {
    return this.#place(field).size;
  }
  /** Address after the structure's fixed part. */
  get end(): number {
    return this.at + this.#plan.extent;
  }
  /** A word of up to 4 bytes, whatever kind of field it is. */
  number(field: FieldOf<L>): number {
    const { offset, size } = this.#place(field);
    return this.memory.number(this.at + offset, Math.min(size, 4));
  }
  /** A word of 8 bytes. */
  wide(field: FieldOf<L>): bigint {
    return this.memory.wide(this.at + this.#place(field).offset);
  }
  bytes(field: FieldOf<L>): Uint8Array {
    const { offset, size } = this.#place(field);
    return this.memory.copy(this.at + offset, size);
  }
  guid(field: FieldOf<L>): string {
    return guidText(this.bytes(field));
  }
  /** A structure that is a field of this one. */
  inside<F extends FieldOf<L>>(field: F): L["fields"][F] extends AnyRoot ? View<L["fields"][F]> : never {
    const { offset, node } = this.#place(field);
    return new View(this.memory, node as never, this.at + offset) as never;
  }
  /** A member of a bit field, as a number. */
  part<F extends FieldOf<L>>(field: F, member: MemberOf<L, F>): number {
    const { offset, size, node } = this.#place(field);
    const [low, width] = bitRange((node as { members: Record<string, Parameters<typeof bitRange>[0]> }).members[member]!);
    const word = size === 8 ? this.memory.wide(this.at + offset) : BigInt(this.memory.number(this.at + offset, size));
    return Number((word >> BigInt(low)) & ((1n << BigInt(width)) - 1n));
  }
  has<F extends FieldOf<L>>(field: F, member: MemberOf<L, F>): boolean {
    return this.part(field, member) !== 0;
  }
}
