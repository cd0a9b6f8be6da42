/** The single structures inside a document, through wrappings and containers. */
import type { Content } from "./content.ts";

interface Holder {
  readonly parts?: readonly { readonly content?: Content }[];
}
/** What a container or wrapping holds, in order; undefined for a single structure. */
export const partsOf = (value: unknown): Holder["parts"] => {
  const parts = typeof value === "object" && value !== null ? (Array.isArray(value) ? value : (value as Holder).parts) : undefined;
  return Array.isArray(parts) && parts.length > 0 && parts.every((part) => typeof part === "object" && part !== null && ("content" in part || "filler" in part))
    ? (parts as Holder["parts"])
    : undefined;
};

/** The structures a content is made of, in order; itself when it holds no others. */
export function* leavesOf(content: Content): Generator<Content> {
  const parts = partsOf(content.value);
  if (!parts) yield content;
  else for (const part of parts) if (part.content) yield* leavesOf(part.content);
}
