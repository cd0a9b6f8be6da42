/** What builders compute that `encode` does not. */
import type { BitsNode, Root } from "./layout.ts";

/**
 * Set the validation bits of the fields that are given, where the layout has a `validation` field and the
 * value has none. A field whose gates are not its own name sets none of them: which one holds only the
 * caller can know.
 */
export function withValidation<T extends object>(layout: { readonly kind: "struct" | "sequence" }, value: T): T {
  const root = layout as Root;
  const validation = root.fields["validation"] as BitsNode | undefined;
  const given = value as Record<string, unknown>;
  if (validation?.kind !== "bits" || given["validation"] !== undefined) return value;
  const set: Record<string, true> = {};
  for (const name of Object.keys(given)) {
    const gates = root.fields[name]?.gate ?? [name];
    if (gates.includes(name) && given[name] !== undefined && typeof validation.members[name] === "number") set[name] = true;
  }
  return { ...value, validation: set };
}
