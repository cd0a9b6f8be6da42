/** Where the number of an earlier field is found among bytes, for those that walk layouts without making values of them. */
import { type BitMember, bitRange, type ChoiceNode, type FixedNode, type Names, numberOf, type Ref, type Root } from "./layout.ts";
import { memberOf, readWord } from "./values.ts";

/** A field found so far: the step that holds it, bytes from the start of that step, and what it is. */
export interface Found {
  readonly step: number;
  readonly offset: number;
  readonly node: FixedNode;
}

/** The place of a number. A class, as all that such a walk looks at: V8 is fastest with a single shape of object. */
export class Place {
  readonly kind: "word" | "bits" | "guid";
  /** Which step holds the field. */
  readonly step: number;
  /** Bytes from the start of that step. */
  readonly offset: number;
  readonly size: number;
  readonly big: boolean;
  /** For bits: the low bit and width. */
  readonly low: number;
  readonly width: number;
  /** Values that have names. */
  readonly names: Names | undefined;

  constructor(step: number, offset: number, node: FixedNode, member: BitMember | undefined) {
    const [low, width] = member === undefined ? [0, 0] : bitRange(member);
    this.kind = node.kind === "guid" || node.kind === "bits" ? node.kind : "word";
    this.step = step;
    this.offset = offset;
    this.size = node.size;
    this.big = "order" in node && node.order === "big";
    this.low = low;
    this.width = width;
    this.names = node.kind === "enum" ? node.names : typeof member === "object" && "names" in member ? member.names : undefined;
  }
}

/** The place a reference names, among the fields found so far. @throws TypeError when it is no fixed field */
export function placeOf(ref: Ref, found: ReadonlyMap<string, Found>): Place {
  const [head, ...path] = ref.path.split(".");
  const first = found.get(head!);
  if (!first) throw new TypeError(`${ref.path} is not a fixed field`);
  let { offset, node } = first;
  while (node.kind === "struct" && path.length > 0) {
    const wanted = path.shift()!;
    for (const [name, field] of Object.entries(node.fields) as [string, FixedNode][]) {
      if (name === wanted) {
        node = field;
        break;
      }
      offset += field.size;
    }
  }
  return new Place(first.step, offset, node, node.kind === "bits" ? node.members[path[0]!] : undefined);
}

/** The number at a place that is no GUID. @param bases where each step begins in `bytes`. */
export function numberAt({ kind, step, offset, size, big, low, width }: Place, bytes: Uint8Array, bases: readonly number[]): number {
  const at = bases[step]! + offset;
  if (kind === "word") return readWord(bytes, at, size, big);
  if (size < 8) return memberOf(readWord(bytes, at, size, big) | 0, 0, low, width);
  return memberOf(readWord(bytes, at + (big ? 4 : 0), 4, big) | 0, readWord(bytes, at + (big ? 0 : 4), 4, big) | 0, low, width);
}

/** What `make` gives for each case of a choice, by the number or GUID at the place it depends on. */
export function casesOf<T>(node: ChoiceNode, on: Place, make: (layout: Root) => T): ReadonlyMap<number | string, T> {
  return new Map(
    Object.entries(node.cases).map(([name, layout]): [number | string, T] => {
      if (on.kind === "guid") return [name, make(layout)];
      const named = on.names?.[name];
      // A single bit decodes to true or to nothing.
      return [name === "true" ? 1 : named === undefined ? Number(name) : numberOf(named), make(layout)];
    }),
  );
}
