/**
 * Processor contexts without padding. The specification pads each context structure to 16 bytes, and Linux
 * reads them so; libcper and QEMU's decoder write and read them back to back. Nothing in a section says which
 * it is: the layouts follow the specification, and this is the other reading.
 */
import { blob, encode, fieldTrees, type Layout, list, type Parsed, parse, ref, type SequenceNode, sequence, type Tree, u16 } from "../../layout/index.ts";

interface Context {
  readonly contextType?: string | number;
  readonly trailing?: Uint8Array;
}
export interface BackToBack<C> {
  readonly contexts: readonly C[];
  /** What follows the last context. */
  readonly rest: Uint8Array;
  readonly tree: Tree | undefined;
}

/** Whether every context is of a known kind and none is cut short. */
const plausible = (contexts: readonly Context[] | undefined, count: number): boolean =>
  contexts !== undefined && contexts.length === count && contexts.every((context) => typeof context.contextType === "string" && context.trailing === undefined);

/** A reader of a section's contexts without padding: `layout` has the list `contexts`, and nothing but raw bytes after it. */
export function backToBackReader<L extends Layout<unknown, "required", { readonly kind: "struct" | "sequence" }>, C extends Context>(
  layout: L,
  context: Layout<C>,
) {
  const { name } = context as unknown as SequenceNode;
  const fields = () => {
    const { padding: _padding, ...others } = (context as unknown as SequenceNode).fields;
    return others as never;
  };
  const Contexts = sequence("Contexts", "UEFI 2.11 N.2.4, without padding", () => ({
    count: u16("Context structures"),
    contexts: list(sequence(name, "without padding", fields), "Processor context", ref("count")),
    rest: blob("What follows"),
  }));
  const read = (body: Parsed<L>, count: number): BackToBack<C> => {
    const { contexts: _contexts, vendorInformation: _vendor, trailing: _trailing, ...before } = body as Record<string, unknown>;
    const whole = encode(layout, body as never);
    const from = encode(layout, before as never).length;
    const bytes = new Uint8Array(2 + whole.length - from);
    bytes[0] = count & 255;
    bytes[1] = count >> 8;
    bytes.set(whole.subarray(from), 2);
    const value = parse(Contexts, bytes);
    return {
      contexts: (value.contexts ?? []) as unknown as C[],
      rest: value.rest ?? new Uint8Array(0),
      tree: fieldTrees(Contexts, value).find(({ label }) => label === "contexts"),
    };
  };
  /** The reading as lines, where the specification's makes no sense and this one does. */
  const explain = (body: Parsed<L>, count: number): Tree[] => {
    const contexts = (body as { contexts?: readonly Context[] }).contexts;
    if (count === 0 || contexts === undefined || plausible(contexts, count)) return [];
    const other = read(body, count);
    if (!plausible(other.contexts, count) || !other.tree) return [];
    return [{ ...other.tree, label: "contexts read back to back", note: "as libcper writes them: the padding the specification asks for is missing" }];
  };
  return { read, explain };
}
