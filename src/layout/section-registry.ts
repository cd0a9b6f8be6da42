/** Layouts by GUID: what record sections and data entries carry. The section types themselves are in `src/cper/sections`. */
import { parse } from "./decode.ts";
import { hexBytes, type Schema, type Span, spans } from "./describe.ts";
import { encode } from "./encode.ts";
import { EncodeError, type Finding } from "./errors.ts";
import { fromJson, type Json, toJson } from "./json.ts";
import type { Layout, Root } from "./layout.ts";
import { fieldTrees, type Tree } from "./text.ts";
import { bytesToHex, hexToBytes } from "./values.ts";

/** What a summary may draw on beside the body. */
export interface SectionSetting {
  /** Words such as "Corrected". */
  readonly severity: string;
  /** Name of the field replaceable unit, when valid. */
  readonly fruText?: string;
}

export interface SectionType {
  /** Lower-case GUIDs under which the section is met; the first is the one a builder writes. */
  readonly guids: readonly string[];
  /** For a layout that bodies of exactly this many bytes have, beside another type with the same GUID that has the rest. */
  readonly length?: number;
  /** camelCase name: `kind` in JSON. */
  readonly name: string;
  /** Words for people, such as "Platform Memory Error". */
  readonly title: string;
  /** A structure or sequence; typed loosely so that files outside the package can add theirs. */
  readonly layout: Layout<unknown, "required", { readonly kind: "struct" | "sequence" }>;
  /** What broke where, from the body's valid fields: "single-bit ECC, physical address 0x12345000". Empty when the body says nothing. */
  summary?(body: never): string;
  /** Further lines that interpret the body (registers in words); shown below its fields. */
  explain?(body: never): readonly Tree[];
  /** Where the layout was taken from when the defining document could not be read. */
  readonly secondHand?: string;
}

const keyOf = (guid: string, length?: number) => (length === undefined ? guid.toLowerCase() : `${length} ${guid.toLowerCase()}`);

/** Section types by GUID and by name. */
export class SectionRegistry {
  readonly #byGuid = new Map<string, SectionType>();
  /** Types for one length only, by length and GUID. */
  readonly #byLength = new Map<string, SectionType>();
  readonly #byName = new Map<string, SectionType>();

  constructor(types: Iterable<SectionType> = []) {
    for (const type of types) this.add(type);
  }

  /** Add a section type. @throws TypeError when its name, or its GUID for the same length, is taken by another. */
  add(type: SectionType): this {
    if (this.#byName.has(type.name)) throw new TypeError(`there is a section type ${type.name} already`);
    const types = type.length === undefined ? this.#byGuid : this.#byLength;
    for (const guid of type.guids) {
      const key = keyOf(guid, type.length);
      const taken = types.get(key);
      if (taken) throw new TypeError(`${guid} is ${taken.name} already`);
      types.set(key, type);
    }
    this.#byName.set(type.name, type);
    return this;
  }

  /** The type of a body of `length` bytes; without a length the type that takes any. */
  byGuid(guid: string, length?: number): SectionType | undefined {
    const only = this.#byLength.size > 0 && length !== undefined ? this.#byLength.get(keyOf(guid, length)) : undefined;
    return only ?? this.#byGuid.get(keyOf(guid));
  }

  byName(name: string): SectionType | undefined {
    return this.#byName.get(name);
  }

  [Symbol.iterator](): Iterator<SectionType> {
    return this.#byName.values();
  }
}

/** A section's bytes, understood or raw. */
export interface SectionBody {
  /** Absent for raw bytes. */
  readonly type?: SectionType;
  /** The parsed layout's value, or the raw bytes. */
  readonly value: object | Uint8Array;
}

/** Read a section body of a type, or keep it raw when the type is not known. */
export function parseSectionBody(type: SectionType | undefined, input: Uint8Array, start: number, end: number, findings: Finding[], path: string): SectionBody {
  if (!type) return { value: input.slice(start, end) };
  return { type, value: parse(type.layout, input, start, end, { findings, path }) };
}

/** Write a section body literally. @throws EncodeError */
export const encodeSectionBody = (body: SectionBody): Uint8Array => (body.type ? encode(body.type.layout, body.value as never) : (body.value as Uint8Array));

/** `{ kind, body }` as they stand in JSON: a raw body is hex without a kind. */
export function sectionBodyToJson(body: SectionBody): { [key: string]: Json } {
  if (!body.type) return { body: bytesToHex(body.value as Uint8Array) };
  return { kind: body.type.name, body: toJson(body.type.layout as unknown as Root, body.value) };
}

/** Name of the schema file of a section type's body. */
export const sectionSchemaName = (type: SectionType): string => `section-${type.name.replace(/([a-z0-9])([A-Z])/g, "$1-$2").toLowerCase()}.schema.json`;

/** Schema of the members `kind` and `body` that `sectionBodyToJson` writes; the bodies' own schemas are referred to by file name. */
export const sectionBodySchema = (registry: SectionRegistry): Schema => ({
  properties: {
    kind: { description: "Name of the section type", type: "string", enum: [...registry].map((type) => type.name) },
    body: { description: "Fields of the body, or its bytes as hex digits", anyOf: [hexBytes(), { type: "object" }] },
  },
  allOf: [...registry].map((type) => ({
    if: { properties: { kind: { const: type.name }, body: { type: "object" } }, required: ["kind", "body"] },
    // biome-ignore lint/suspicious/noThenProperty: JSON Schema's own word
    then: { properties: { body: { $ref: sectionSchemaName(type) } } },
  })),
});

/** The inverse of `sectionBodyToJson`; without `kind` an object is read as the type the GUID names. */
export function sectionBodyFromJson(json: { readonly [key: string]: Json }, guid: string | undefined, registry: SectionRegistry): SectionBody {
  const { kind, body } = json;
  if (body === undefined) throw new EncodeError("body", "missing");
  if (typeof body === "string") {
    const raw = hexToBytes(body);
    if (!raw) throw new EncodeError("body", "is not a string of hex digits, two for each byte");
    return { value: raw };
  }
  const type = typeof kind === "string" ? registry.byName(kind) : guid === undefined ? undefined : registry.byGuid(guid);
  if (!type)
    throw new EncodeError(
      kind === undefined ? "body" : "kind",
      kind === undefined ? "no layout is known for this section type: give hex digits" : `${JSON.stringify(kind)} is no known section type`,
    );
  try {
    return { type, value: fromJson(type.layout as unknown as Root, body) };
  } catch (error) {
    throw error instanceof EncodeError ? error.within("body") : error;
  }
}

/** Byte map of a body that starts at `offset`. */
export function sectionBodySpans(body: SectionBody, path: string, offset: number): Span[] {
  if (body.type) return spans(body.type.layout, body.value, path, offset);
  const raw = body.value as Uint8Array;
  return raw.length > 0 ? [{ path, offset, size: raw.length, node: undefined, value: raw }] : [];
}

/** What stands behind the number of a section: its type's title, with a remark where its layout is second-hand. */
export function sectionTitle(type: SectionType | undefined, guid: string): { readonly text: string; readonly note?: string } {
  if (!type) return { text: `unknown type ${guid}` };
  return { text: type.title, ...(type.secondHand !== undefined && { note: "layout from second-hand sources" }) };
}

/** A body in words: its fields and what its type explains, or raw bytes. */
export function sectionBodyTree(body: SectionBody): readonly Tree[] {
  if (!body.type) return [{ label: "raw bytes", text: bytesToHex(body.value as Uint8Array) }];
  return [...fieldTrees(body.type.layout, body.value), ...(body.type.explain?.(body.value as never) ?? [])];
}
