/** JSON Schemas of everything documents are made of, by file name. */
import { type Format, jsonSchema, type Schema, type SectionType, sectionSchemaName } from "../layout/index.ts";
import { CONTENT_SCHEMA } from "./content.ts";
import type { Documents } from "./document.ts";

const DIALECT = "https://json-schema.org/draft/2020-12/schema";
/** File name of a format's schema. */
export const formatSchemaName = (format: Pick<Format, "name">): string => `${format.name}.schema.json`;

/** Schema of a document: a format's own members, `format`, and what readers add for people. */
function documentSchema(format: Format): Schema {
  const own = format.schema() as { required?: string[]; properties: object };
  const { description: _, ...rest } = own as Schema;
  return {
    $schema: DIALECT,
    $id: formatSchemaName(format),
    ...rest,
    title: format.title,
    required: ["format", ...(own.required ?? [])],
    properties: { input: { description: "Where the document came from; not encoded", type: "object" }, format: { const: format.name }, ...own.properties },
  };
}

const contentSchema = (formats: readonly Format[]): Schema => ({
  $schema: DIALECT,
  $id: CONTENT_SCHEMA,
  title: "any document",
  type: "object",
  required: ["format"],
  properties: { format: { enum: formats.map((format) => format.name) } },
  allOf: formats.map((format) => ({
    if: { properties: { format: { const: format.name } }, required: ["format"] },
    // biome-ignore lint/suspicious/noThenProperty: JSON Schema's own word
    then: { $ref: formatSchemaName(format) },
  })),
});

/** Shorter structures are repeated rather than referred to. */
const SHORTEST_SHARED = 400;

/**
 * Structures that a schema repeats, moved to its `$defs`, and those that have a file of their own (`files`, by JSON
 * text) replaced by a reference to it.
 */
function share(schema: Schema, files: ReadonlyMap<string, string>): Schema {
  const count = new Map<string, number>();
  const isShared = (node: object): node is Schema => "title" in node && "properties" in node;
  const visit = (node: unknown): void => {
    if (typeof node !== "object" || node === null) return;
    if (isShared(node) && node !== schema) {
      const text = JSON.stringify(node);
      const times = (count.get(text) ?? 0) + 1;
      count.set(text, times);
      if (times > 1 || files.has(text)) return;
    }
    for (const part of Object.values(node)) visit(part);
  };
  visit(schema);
  const names = new Map<string, string>();
  const definitions: Record<string, Schema> = {};
  const rebuild = (node: unknown): unknown => {
    if (typeof node !== "object" || node === null) return node;
    if (Array.isArray(node)) return node.map(rebuild);
    if (isShared(node) && node !== schema) {
      const text = JSON.stringify(node);
      const file = files.get(text);
      if (file !== undefined) return { $ref: file };
      if (count.get(text)! > 1 && text.length >= SHORTEST_SHARED) {
        let name = names.get(text);
        if (name === undefined) {
          const title = String(node["title"]).replace(/[^A-Za-z0-9]+/g, "-");
          name = title;
          for (let n = 2; definitions[name]; n++) name = `${title}-${n}`;
          names.set(text, name);
          definitions[name] = {};
          definitions[name] = parts(node);
        }
        return { $ref: `#/$defs/${name}` };
      }
    }
    return parts(node);
  };
  const parts = (node: object): Schema => Object.fromEntries(Object.entries(node).map(([name, part]) => [name, rebuild(part)]));
  const out = parts(schema);
  return Object.keys(definitions).length > 0 ? { ...out, $defs: definitions } : out;
}

/** A reader of the schema should know when the defining document was not. */
const secondHand = (type: SectionType): Schema => (type.secondHand === undefined ? {} : { $comment: `Second-hand: ${type.secondHand}` });

/** Schemas by file name, each made when it is asked for: documents, section bodies, any document. */
export function schemas({ formats, registry }: Documents): ReadonlyMap<string, () => Schema> {
  const sections = new Map<string, string>();
  const known = () => {
    if (sections.size === 0) for (const type of registry) sections.set(JSON.stringify(jsonSchema(type.layout)), sectionSchemaName(type));
    return sections;
  };
  const out = new Map<string, () => Schema>([[CONTENT_SCHEMA, () => contentSchema([...formats])]]);
  for (const format of formats) out.set(formatSchemaName(format), () => share(documentSchema(format), known()));
  for (const type of registry)
    out.set(sectionSchemaName(type), () => share({ $schema: DIALECT, $id: sectionSchemaName(type), ...secondHand(type), ...jsonSchema(type.layout) }, known()));
  return out;
}
