/** What a room offers for each kind of input it understands; `src/input` holds the list of all. */
import type { Schema, Span } from "./describe.ts";
import type { Finding } from "./errors.ts";
import type { Json } from "./json.ts";
import type { Tree } from "./text.ts";

/**
 * A container: an ACPI table, a record, a status block, a loader script. The laws every format obeys:
 * `encode(parse(bytes))` and `encode(fromJson(toJson(parse(bytes))))` give the bytes back, `spans` tile them.
 */
export interface Format<V = unknown> {
  /** The word for `--as` and for `format` in JSON: lower case, hyphens. */
  readonly name: string;
  readonly title: string;
  /** Whether these bytes carry this format's signature or shape. */
  recognise(input: Uint8Array): boolean;
  /** Never throws on content; what is odd goes to `findings`. */
  parse(input: Uint8Array, findings: Finding[]): V;
  /** Literal: no count, length or checksum is computed. Throws EncodeError. */
  encode(value: V): Uint8Array;
  /** Without the `format` member, which the caller adds. */
  toJson(value: V): { [key: string]: Json };
  /** Throws EncodeError naming the member that is wrong. */
  fromJson(json: { [key: string]: Json }): V;
  /** JSON Schema of what `toJson` returns: an object's `properties`, `required` and so on. Sections are referred to with `SECTION_SCHEMA`. */
  schema(): Schema;
  spans(value: V): Span[];
  /** One line: what happened where, or what this is. */
  summary(value: V): string;
  tree(value: V): readonly Tree[];
}
