/** From the text of a scenario file to a scenario, with errors a person understands. */
import type { ErrorObject, ValidateFunction } from "ajv";
import { GUID_PATTERN, parseJson, UsageError } from "../layout/index.ts";
import { SCENARIO_SCHEMA, type Scenario } from "./schema.ts";

let compiled: Promise<ValidateFunction> | undefined;
const validator = (): Promise<ValidateFunction> =>
  (compiled ??= import("ajv/dist/2020.js").then(({ Ajv2020 }) => new Ajv2020({ strict: false, verbose: true, allErrors: true }).compile(SCENARIO_SCHEMA)));

/** @throws UsageError naming the member that is wrong. */
export async function readScenario(text: string): Promise<Scenario> {
  const json: unknown = parseJson(text);
  const accepts = await validator();
  if (!accepts(json)) throw new UsageError(sentence(deepest(accepts.errors ?? [])));
  return json as Scenario;
}

/** The error furthest inside: of alternatives, it belongs to the one that fits best. */
const deepest = (errors: readonly ErrorObject[]): ErrorObject => {
  const own = errors.filter(({ keyword }) => keyword !== "anyOf");
  const depth = ({ instancePath }: ErrorObject) => instancePath.split("/").length;
  return (own.length > 0 ? own : errors).reduce((best, error) => (depth(error) > depth(best) ? error : best));
};

function sentence({ instancePath, keyword, params, data, message }: ErrorObject): string {
  const path = instancePath
    .slice(1)
    .replaceAll(/\/([0-9]+)/g, "[$1]")
    .replaceAll("/", ".");
  const where = path === "" ? "the scenario" : path;
  const shown = JSON.stringify(data);
  switch (keyword) {
    case "additionalProperties":
      return `${path === "" ? "" : `${path}.`}${params["additionalProperty"]}: there is no such member here`;
    case "required":
      return `${path === "" ? "" : `${path}.`}${params["missingProperty"]}: missing`;
    case "enum":
      return `${where}: ${shown} is none of ${(params["allowedValues"] as unknown[]).join(", ")}`;
    case "minProperties":
    case "maxProperties":
      return `${where}: an event has its time in "at" and exactly one thing that happens`;
    case "pattern":
      if (params["pattern"] === GUID_PATTERN) return `${where}: ${shown} is not a GUID such as 75a574e3-5052-4b29-8a8e-be2c6490b89d`;
      return `${where}: ${shown} is not a ${String(params["pattern"]).includes("0x") ? 'number such as 4096 or "0x12345000" of at most 64 bits' : "string of hex digits, two for each byte"}`;
    default:
      return `${where}: ${message}`;
  }
}
