/** Questions about layouts that a program working on raw memory asks. */
import { isFixed, type Names, type Node, numberOf, type Root } from "../layout/index.ts";

type AnyRoot = { readonly kind: "struct" | "sequence" };

/** Bytes of the fixed fields of a layout. */
export const fixedSize = (layout: AnyRoot): number =>
  (Object.values((layout as Root).fields) as Node[]).reduce((sum, node) => sum + (isFixed(node) ? node.size : 0), 0);

/** The number behind a decoded enumeration value. */
export const codeOf = (names: Names, value: string | number): number => (typeof value === "number" ? value : numberOf(names[value]!));
