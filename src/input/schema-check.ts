/** JSON documents against their schemas, with errors a person understands. */
import type { ErrorObject } from "ajv";
import { type Json, type SectionRegistry, sectionSchemaName } from "../layout/index.ts";
import { CONTENT_SCHEMA, isObject } from "./content.ts";
import type { Documents } from "./document.ts";
import { formatSchemaName, schemas } from "./schemas.ts";

/**
 * Check a document's JSON against the schema of its format.
 * @returns what is wrong first, as `sections[0].body.node: …`; undefined when nothing is.
 */
export async function checkDocument(json: Json, documents: Documents): Promise<string | undefined> {
  if (!isObject(json)) return "the document is no object";
  const { Ajv2020 } = await import("ajv/dist/2020.js");
  // The schemas are our own and are used once: neither checking nor polishing them pays.
  const ajv = new Ajv2020({ strict: false, verbose: true, validateSchema: false, code: { optimize: false } });
  const all = schemas(documents);
  // Compiling a schema costs more than checking with it: those that nothing here can need accept anything.
  const wanted = [...namesUsed(json, documents.registry)];
  const used = new Map<string, object>();
  for (let name = wanted.pop(); name !== undefined; name = wanted.pop()) {
    const schema = used.has(name) ? undefined : all.get(name)?.();
    if (!schema) continue;
    used.set(name, schema);
    // A section refers to another only where it always holds it; a record refers to all sections.
    if (name.startsWith("section-")) wanted.push(...[...JSON.stringify(schema).matchAll(/"\$ref":"([^"#]+)"/g)].map((match) => match[1]!));
  }
  for (const name of all.keys()) ajv.addSchema(used.get(name) ?? { $id: name });
  const validate = ajv.getSchema(CONTENT_SCHEMA)!;
  return validate(json) ? undefined : sentence(worst(validate.errors ?? []));
}

/** Schemas that a document's formats and section kinds ask for. */
function namesUsed(json: Json, registry: SectionRegistry): ReadonlySet<string> {
  const out = new Set<string>([CONTENT_SCHEMA]);
  const open: Json[] = [json];
  while (open.length > 0) {
    const value = open.pop()!;
    if (Array.isArray(value)) open.push(...value.filter((item) => typeof item === "object"));
    else if (isObject(value)) {
      if (typeof value["format"] === "string") out.add(formatSchemaName({ name: value["format"] }));
      const type = typeof value["kind"] === "string" ? registry.byName(value["kind"]) : undefined;
      if (type) out.add(sectionSchemaName(type));
      open.push(...Object.values(value).filter((item) => typeof item === "object"));
    }
  }
  return out;
}

const depth = (error: ErrorObject) => error.instancePath.split("/").length;
/** Errors that only say that something further in is wrong. */
const FOLLOWS: ReadonlySet<string> = new Set(["if", "anyOf", "oneOf", "allOf"]);

/** Of all the errors of alternatives the one deepest inside, which is of the alternative that fits best. */
function worst(errors: readonly ErrorObject[]): ErrorObject {
  const own = errors.filter((error) => !FOLLOWS.has(error.keyword));
  return (own.length > 0 ? own : errors).reduce((best, error) => (depth(error) > depth(best) ? error : best));
}

const said = (value: unknown): string => {
  const text = JSON.stringify(value) ?? "nothing";
  return text.length > 60 ? `${text.slice(0, 60)}…` : text;
};
const pathOf = (pointer: string): string =>
  pointer
    .split("/")
    .slice(1)
    .map((name) => name.replaceAll("~1", "/").replaceAll("~0", "~"))
    .map((name, i) => (/^[0-9]+$/.test(name) ? `[${name}]` : i === 0 ? name : `.${name}`))
    .join("");

function sentence(error: ErrorObject): string {
  const { keyword, params, data, parentSchema } = error;
  const path = pathOf(error.instancePath);
  const at = (name: string) => (path === "" ? name : `${path}.${name}`);
  const doc = (parentSchema as { title?: string; description?: string } | undefined)?.title;
  const what = path === "" ? "the document" : path;
  switch (keyword) {
    case "required":
      return `${at(params["missingProperty"])}: missing`;
    case "additionalProperties":
      return `${at(params["additionalProperty"])}: ${doc === undefined ? "there is no such member here" : `the ${doc} has no such member`}`;
    case "enum":
      return `${what}: ${said(data)} is none of ${(params["allowedValues"] as unknown[]).join(", ")}`;
    case "const":
      return `${what}: ${said(data)} is not ${said(params["allowedValue"])}`;
    case "type":
      return `${what}: ${said(data)} is no ${params["type"]}`;
    case "minimum":
    case "maximum":
      return `${what}: ${said(data)} is ${keyword === "minimum" ? "below" : "above"} ${params["limit"]}, the ${keyword === "minimum" ? "least" : "most"} that fits`;
    case "pattern":
      return `${what}: ${said(data)} is not ${PATTERNS.find(([start]) => (params["pattern"] as string).startsWith(start))?.[1] ?? `of the form ${params["pattern"]}`}`;
    case "maxLength":
      return `${what}: ${said(data)} is longer than ${params["limit"]} characters`;
    case "minItems":
    case "maxItems":
      return `${what}: has ${(data as unknown[]).length} items where ${params["limit"]} are wanted`;
    default:
      return `${what}: ${error.message}`;
  }
}

/** Patterns by how they begin, in words. */
const PATTERNS: readonly (readonly [start: string, words: string])[] = [
  ["^0x", 'a number such as "0x12345000"'],
  ["^([0-9a-fA-F]{2})", "a string of hex digits, two for each byte, or not of the right length"],
  ["^[0-9a-fA-F]{8}", "a GUID"],
  ["^(none|raw", "a timestamp such as 2024-03-01T12:00:00"],
];
