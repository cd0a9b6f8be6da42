/** A single layout as a format, for structures that stand only in larger files. */
import { encode, type Format, fieldTrees, fromJson, type Json, jsonSchema, parse, type Root, spans, type Tree, toJson } from "../layout/index.ts";

/** Recognises nothing: a container says where such a structure is. */
export const layoutFormat = <V extends object>(
  name: string,
  title: string,
  layout: { readonly kind: "struct" | "sequence"; readonly name: string },
  summary: (value: V) => string,
  tree: (value: V) => readonly Tree[] = (value) => fieldTrees(layout as unknown as Root, value),
): Format<V> => ({
  name,
  title,
  recognise: () => false,
  parse: (input, findings) => parse(layout as never, input, 0, input.length, { findings, path: name }) as V,
  encode: (value) => encode(layout as never, value as never),
  toJson: (value) => toJson(layout, value) as { [key: string]: Json },
  fromJson: (json) => fromJson(layout, json),
  schema: () => jsonSchema(layout),
  spans: (value) => spans(layout, value),
  summary,
  tree,
});
