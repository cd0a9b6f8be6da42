/** JSON Schemas of everything documents are made of, by file name. */
import { type Format, jsonSchema, type Schema, sectionSchemaName } from "../layout/index.ts";
import { CONTENT_SCHEMA } from "./content.ts";
import type { Documents } from "./document.ts";

const DIALECT = "https://json-schema.org/draft/2020-12/schema";
export const formatSchemaName = (format: Pick<Format, "name">): string => `${format.name}.json`;

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

/** Schemas by file name, each made when it is asked for: documents, section bodies, any document. */
export function schemas({ formats, registry }: Documents): ReadonlyMap<string, () => Schema> {
  const out = new Map<string, () => Schema>([[CONTENT_SCHEMA, () => contentSchema([...formats])]]);
  for (const format of formats) out.set(formatSchemaName(format), () => documentSchema(format));
  for (const type of registry) out.set(sectionSchemaName(type), () => ({ $schema: DIALECT, $id: sectionSchemaName(type), ...jsonSchema(type.layout) }));
  return out;
}
