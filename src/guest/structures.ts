/** Questions about layouts that a program working on raw memory asks. */
import { isFixed, type Names, type Node, numberOf, type Root, spans } from "../layout/index.ts";

type AnyRoot = { readonly kind: "struct" | "sequence" };

const offsets = new WeakMap<object, Map<string, number>>();

/** Offset in bytes of a field among the leading fixed fields of a layout. */
export function offsetOf(layout: AnyRoot, field: string): number {
  let known = offsets.get(layout);
  if (!known) {
    known = new Map();
    let at = 0;
    for (const [name, node] of Object.entries((layout as Root).fields) as [string, Node][]) {
      known.set(name, at);
      if (!isFixed(node)) break;
      if (node.kind === "struct") for (const span of spans(node as never, undefined, name, at)) known.set(span.path, span.offset);
      at += node.size;
    }
    offsets.set(layout, known);
  }
  const offset = known.get(field);
  if (offset === undefined) throw new TypeError(`${(layout as Root).name} has no field ${field} at a fixed offset`);
  return offset;
}

/** Bytes of the fixed fields of a layout. */
export const fixedSize = (layout: AnyRoot): number =>
  (Object.values((layout as Root).fields) as Node[]).reduce((sum, node) => sum + (isFixed(node) ? node.size : 0), 0);

/** The number behind a decoded enumeration value. */
export const codeOf = (names: Names, value: string | number): number => (typeof value === "number" ? value : numberOf(names[value]!));
