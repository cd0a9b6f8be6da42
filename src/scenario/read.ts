/** From the text of a scenario file to a scenario, with errors a person understands. */
import type { ErrorObject, ValidateFunction } from "ajv";
import { GUID_PATTERN, parseJson, UsageError } from "../layout/index.ts";
import { meant } from "./meant.ts";
import { SCENARIO_SCHEMA, type Scenario } from "./schema.ts";

/** Mistakes named at once at most. */
const MOST = 8;
/** Members named at most where one is not known. */
const MOST_NAMES = 24;

let compiled: Promise<ValidateFunction> | undefined;
const validator = (): Promise<ValidateFunction> =>
  (compiled ??= import("ajv/dist/2020.js").then(({ Ajv2020 }) => new Ajv2020({ strict: false, verbose: true, allErrors: true }).compile(SCENARIO_SCHEMA)));

/** @throws UsageError with a line for each member that is wrong. */
export async function readScenario(text: string): Promise<Scenario> {
  const json: unknown = parseJson(text);
  const accepts = await validator();
  if (accepts(json)) return json as Scenario;
  const lines = [...new Set(relevant(accepts.errors ?? []).map(sentence))];
  throw new UsageError([...lines.slice(0, MOST), ...(lines.length > MOST ? [`and ${lines.length - MOST} more`] : [])].join("\n"));
}

/** How far a value is from an alternative when it is itself of another kind or of no known name; what is wrong inside it counts less. */
const WEIGHT: Readonly<Record<string, number>> = { type: 100, enum: 20, const: 20, additionalProperties: 3 };
const INSIDE: Readonly<Record<string, number>> = { enum: 3, const: 3, additionalProperties: 3 };

const distance = ({ keyword, instancePath }: ErrorObject, choice: ErrorObject): number =>
  (instancePath === choice.instancePath ? WEIGHT : INSIDE)[keyword] ?? 1;

/** Of alternatives only what is wrong by the one that fits best. */
function relevant(errors: readonly ErrorObject[]): readonly ErrorObject[] {
  const choices = errors.filter(({ keyword }) => keyword === "anyOf");
  const inside = (error: ErrorObject, choice: ErrorObject) =>
    error !== choice && error.schemaPath.startsWith(`${choice.schemaPath}/`) && error.instancePath.startsWith(choice.instancePath);
  const outermost = choices.filter((choice) => !choices.some((other) => inside(choice, other)));
  const plain = errors.filter((error) => error.keyword !== "anyOf" && !outermost.some((choice) => inside(error, choice)));
  const chosen = outermost.flatMap((choice) => {
    const branches = new Map<string, ErrorObject[]>();
    for (const error of errors.filter((candidate) => inside(candidate, choice))) {
      const branch = error.schemaPath.slice(choice.schemaPath.length + 1).split("/")[0]!;
      branches.set(branch, [...(branches.get(branch) ?? []), error]);
    }
    const weights = [...branches.values()].map((own) => ({ own, weight: own.reduce((sum, error) => sum + distance(error, choice), 0) }));
    const [best] = weights.sort((a, b) => a.weight - b.weight);
    return best ? relevant(best.own) : [choice];
  });
  return [...plain, ...chosen];
}

const suggestion = (given: unknown, names: readonly string[]): string => {
  const name = meant(given, names);
  return name === undefined ? "" : `; did you mean ${name}?`;
};

function sentence({ instancePath, keyword, params, data, message, parentSchema }: ErrorObject): string {
  const path = instancePath
    .slice(1)
    .replaceAll(/\/([0-9]+)/g, "[$1]")
    .replaceAll("/", ".");
  const where = path === "" ? "the scenario" : path;
  const shown = JSON.stringify(data);
  const member = (name: unknown) => `${path === "" ? "" : `${path}.`}${name}`;
  switch (keyword) {
    case "additionalProperties": {
      const name = params["additionalProperty"] as string;
      const known = Object.keys((parentSchema as { readonly properties?: object }).properties ?? {}).filter((other) => other !== "$schema");
      const list = known.length > 0 && known.length <= MOST_NAMES ? `; there are ${known.join(", ")}` : "";
      return `${member(name)}: there is no such member here${suggestion(name, known) || list}`;
    }
    case "required":
      return `${member(params["missingProperty"])}: missing`;
    case "enum": {
      const allowed = params["allowedValues"] as readonly unknown[];
      return `${where}: ${shown} is none of ${allowed.join(", ")}${suggestion(data, allowed.map(String))}`;
    }
    case "const":
      return `${where}: only ${JSON.stringify(params["allowedValue"])} can be said here`;
    case "minProperties":
    case "maxProperties":
      return `${where}: an event has its time in "at" and exactly one thing that happens`;
    case "maximum":
      return params["limit"] === Number.MAX_SAFE_INTEGER
        ? `${where}: ${shown} is too large for a JSON number: write it as text such as "0x8000000000000001"`
        : `${where}: ${message}`;
    case "pattern":
      if (params["pattern"] === GUID_PATTERN) return `${where}: ${shown} is not a GUID such as 75a574e3-5052-4b29-8a8e-be2c6490b89d`;
      return `${where}: ${shown} is not a ${String(params["pattern"]).includes("0x") ? 'number such as 4096 or "0x12345000" of at most 64 bits' : "string of hex digits, two for each byte"}`;
    default:
      return `${where}: ${message}`;
  }
}
