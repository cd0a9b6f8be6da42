/** From the text of a scenario file to a scenario, with errors a person understands. */
import type { ErrorObject, ValidateFunction } from "ajv";
import { NOTIFICATION } from "../acpi/notification.ts";
import { GUID_PATTERN, parseJson, UsageError } from "../layout/index.ts";
import { nearestName } from "../layout/nearest.ts";
import { namesByNumber } from "../layout/values.ts";
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

const NUMBERED = namesByNumber(NOTIFICATION);
/** What specifications, kernels and people call what has another name here. Small letters and digits only. */
const ALSO_CALLED: Readonly<Record<string, readonly string[]>> = {
  busmceerrar: ["actionRequired"],
  ar: ["actionRequired"],
  busmceerrao: ["actionOptional"],
  ao: ["actionOptional"],
  gpa: ["guestPhysicalAddress", "physicalAddress"],
  pa: ["physicalAddress", "guestPhysicalAddress", "address"],
  addr: ["physicalAddress", "guestPhysicalAddress", "address"],
  address: ["physicalAddress", "guestPhysicalAddress"],
  physaddress: ["physicalAddress", "guestPhysicalAddress"],
  physicaladdress: ["guestPhysicalAddress"],
  gva: ["guestVirtualAddress", "virtualAddress"],
  va: ["virtualAddress", "guestVirtualAddress"],
  far: ["virtualAddress", "guestVirtualAddress"],
  virtualaddress: ["guestVirtualAddress"],
  granularity: ["addressLsb"],
  lsb: ["addressLsb"],
  uc: ["uncontainable"],
  ueu: ["unrecoverable"],
  ueo: ["restartable"],
  uer: ["recoverable"],
  ce: ["corrected"],
  correctable: ["corrected"],
  uncorrected: ["recoverable", "fatal"],
  nonfatal: ["recoverable"],
  abort: ["sea"],
  externalabort: ["sea"],
  poll: ["polled"],
  polling: ["polled"],
  gpio: ["gpioSignal"],
  ged: ["gpioSignal"],
  interrupt: ["gsiv", "externalInterrupt"],
  irq: ["gsiv", "externalInterrupt", "vector"],
  gsi: ["vector", "gsiv"],
  interval: ["pollInterval"],
  type: ["notification", "exception", "kind"],
  cpu: ["vcpu", "vcpus"],
  cpus: ["vcpus"],
  processors: ["vcpus"],
  masked: ["interruptsMasked", "serrorMasked"],
  pstatea: ["serrorMasked"],
  thread: ["answeredOn"],
  ack: ["acknowledge", "acknowledges"],
  readack: ["acknowledge"],
  os: ["system"],
  policy: ["monitor"],
  vmm: ["monitor"],
  ras: ["hostRas"],
  serrorhasesr: ["serrorEsr"],
  kvmcaparmseatouser: ["seaToUser"],
};
const plain = (word: string) => word.toLowerCase().replaceAll(/[^a-z0-9]/g, "");

/** Whether one of the words a name is made of is nearly this one. */
const hasWordLike = (name: string, word: string): boolean =>
  name.split(/(?=[A-Z])/).some((part) => part.length > 4 && nearestName(word, [part.toLowerCase()]) !== undefined);

/** Which of the names may have been meant. */
function meant(given: unknown, names: readonly string[]): string | undefined {
  if (typeof given === "number") {
    const name = NUMBERED.get(given);
    return name !== undefined && names.includes(name) && names.includes("polled") ? name : undefined;
  }
  if (typeof given !== "string") return undefined;
  const word = plain(given);
  return (
    names.find((name) => plain(name) === word) ??
    ALSO_CALLED[word]?.find((name) => names.includes(name)) ??
    nearestName(given, names) ??
    (word.length > 3
      ? names.find((name) => plain(name).includes(word) || (name.length > 3 && word.includes(plain(name))) || hasWordLike(name, word))
      : undefined)
  );
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
