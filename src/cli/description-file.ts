/** JSON written by people: read, checked against a schema, its mistakes named where they are. */
import type { ErrorObject } from "ajv";
import { parseJson, UsageError } from "../layout/index.ts";
import { nearest } from "./arguments.ts";
import { readInput } from "./files.ts";
import type { Io } from "./io.ts";

/** Mistakes named at once at most. */
const MOST = 8;

/** Read a description. @throws UsageError with a line for each mistake. */
export async function readDescription<T>(file: string, schema: object, io: Io): Promise<T> {
  const json = parseJson(new TextDecoder().decode(await readInput(file, io)), file);
  const { Ajv2020 } = await import("ajv/dist/2020.js");
  const validate = new Ajv2020({ strict: false, allErrors: true, verbose: true }).compile(schema);
  if (validate(json)) return json as T;
  const sentences = [...new Set(leaves(validate.errors ?? []).map(sentence))];
  const shown = sentences.slice(0, MOST).map((line) => `${file}: ${line}`);
  if (sentences.length > MOST) shown.push(`${file}: and ${sentences.length - MOST} more`);
  throw new UsageError(shown.join("\n"));
}

/** Of a choice between alternatives only what the best fitting one finds wrong: the error deepest inside. */
function leaves(errors: readonly ErrorObject[]): readonly ErrorObject[] {
  const choices = errors.filter((error) => error.keyword === "oneOf");
  const inside = (error: ErrorObject, choice: ErrorObject) =>
    error !== choice && error.schemaPath.startsWith(choice.schemaPath) && error.instancePath.startsWith(choice.instancePath);
  const outermost = choices.filter((choice) => !choices.some((other) => inside(choice, other)));
  const plain = errors.filter((error) => error.keyword !== "oneOf" && error.keyword !== "propertyNames" && !outermost.some((choice) => inside(error, choice)));
  return [
    ...plain,
    ...outermost.map((choice) => {
      const own = errors.filter((error) => inside(error, choice) && error.keyword !== "oneOf");
      const deep = Math.max(...own.map((error) => error.instancePath.length));
      const deepest = own.filter((error) => error.instancePath.length === deep);
      // Of alternatives at the same depth, the ones of the value's own type say more than the ones that want another.
      return deepest.length > 0 && (deep > choice.instancePath.length || deepest.some((error) => error.keyword !== "type"))
        ? (deepest.find((error) => error.keyword !== "type" && error.keyword !== "enum") ?? deepest[0]!)
        : choice;
    }),
  ];
}

const pathOf = (pointer: string): string =>
  pointer
    .split("/")
    .slice(1)
    .map((name) => name.replaceAll("~1", "/").replaceAll("~0", "~"))
    .map((name, i) => (/^[0-9]+$/.test(name) ? `[${name}]` : i === 0 ? name : `.${name}`))
    .join("");

const said = (value: unknown): string => {
  const text = JSON.stringify(value) ?? "nothing";
  return text.length > 60 ? `${text.slice(0, 60)}…` : text;
};
const suggestion = (word: unknown, among: readonly string[]): string => (typeof word === "string" ? nearest(word, among, "") : "");

function sentence(error: ErrorObject): string {
  const { keyword, params, data, parentSchema } = error;
  const path = pathOf(error.instancePath);
  const what = path === "" ? "the description" : path;
  const member = (name: unknown) => (path === "" ? `${name}` : `${path}.${name}`);
  switch (keyword) {
    case "required":
      return `${member(params["missingProperty"])}: missing`;
    case "additionalProperties": {
      const name = params["additionalProperty"] as string;
      const known = Object.keys((parentSchema as { properties?: object }).properties ?? {});
      return `${member(name)}: there is no such key${suggestion(name, known) || `; known are ${known.join(", ")}`}`;
    }
    case "enum": {
      const allowed = (params["allowedValues"] as unknown[]).map(String);
      return `${what}: ${said(data)} is none of ${allowed.join(", ")}${suggestion(data, allowed)}`;
    }
    case "type":
      return `${what}: ${said(data)} is no ${[params["type"]].flat().join(" or ")}`;
    case "minimum":
      return `${what}: ${said(data)} is below ${params["limit"]}, the least allowed`;
    case "maximum":
      return (params["limit"] as number) === Number.MAX_SAFE_INTEGER
        ? `${what}: ${said(data)} is too large for a JSON number: write it as text such as "0x8000000000000001"`
        : `${what}: ${said(data)} is above ${params["limit"]}, the most allowed`;
    case "pattern":
      if (typeof data === "string" && /^0x[0-9a-f]{17,}$/i.test(data)) return `${what}: ${said(data)} has more than 64 bits`;
      return `${what}: ${said(data)} is not ${(params["pattern"] as string).startsWith("^0x") ? 'a number such as "0x12345000"' : "of the wanted characters"}`;
    case "minLength":
    case "maxLength":
      return `${what}: ${said(data)} has ${keyword === "minLength" ? "fewer" : "more"} than ${params["limit"]} characters`;
    case "minItems":
      return `${what}: is empty`;
    default:
      return `${what}: ${said(data)} is not ${(parentSchema as { description?: string } | undefined)?.description?.toLowerCase() ?? `allowed here (${error.message})`}`;
  }
}
