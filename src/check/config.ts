/** The configuration file of a repository: which profiles count, what fails, and which findings are known. */
import { type Json, parseJson, UsageError } from "../layout/index.ts";
import { RULES } from "./check.ts";
import { isProfile, PROFILES, type Profile, SEVERITIES, type Severity } from "./rule.ts";

/** A finding that is known: by rule, and where that is not enough by file and field. */
export interface Ignored {
  readonly rule: string;
  /** End of the file's name. */
  readonly file?: string;
  /** Beginning of the field path. */
  readonly path?: string;
  /** Why it is left as it is. */
  readonly reason?: string;
}
export interface CheckConfig {
  readonly profiles?: readonly Profile[];
  readonly failOn?: Severity;
  readonly ignore?: readonly Ignored[];
  readonly kernel?: "6.1" | "7.2";
  readonly architecture?: "arm64" | "x86";
}

/** Names under which the configuration is looked for in the current folder. */
export const CONFIG_NAMES = ["apei.config.json", ".apei.json"] as const;

const KERNELS = ["6.1", "7.2"] as const;
const ARCHITECTURES = ["arm64", "x86"] as const;
const MEMBERS = ["profiles", "failOn", "ignore", "kernel", "architecture", "$schema"] as const;
const IGNORED_MEMBERS = ["rule", "file", "path", "reason"] as const;

const oneOf = <T extends string>(value: unknown, names: readonly T[], what: string): T => {
  if (typeof value === "string" && (names as readonly string[]).includes(value)) return value as T;
  throw new UsageError(`${what}: ${JSON.stringify(value)} is none of ${names.join(", ")}`);
};
const ruleId = (value: unknown, what: string): string =>
  oneOf(
    value,
    RULES.map(({ id }) => id),
    what,
  );
/** The names of profiles, each checked. @throws UsageError */
export const profilesOf = (names: readonly unknown[], what: string): Profile[] =>
  names.map((name) => {
    if (typeof name === "string" && isProfile(name)) return name;
    throw new UsageError(`${what}: ${JSON.stringify(name)} is none of ${Object.keys(PROFILES).join(", ")}`);
  });
/** A rule to ignore as a command line names it. @throws UsageError */
export const ignoredRule = (name: string): Ignored => ({ rule: ruleId(name, "--ignore") });

function membersOf(json: Json, known: readonly string[], what: string): { [key: string]: Json } {
  if (typeof json !== "object" || json === null || Array.isArray(json)) throw new UsageError(`${what}: is not an object`);
  for (const name of Object.keys(json))
    if (!known.includes(name)) throw new UsageError(`${what}: no member ${JSON.stringify(name)} is known; there are ${known.join(", ")}`);
  return json;
}
const listOf = (json: Json, what: string): Json[] => {
  if (!Array.isArray(json)) throw new UsageError(`${what}: is not a list`);
  return json;
};

/** Read a configuration. @throws UsageError naming the member that is wrong. */
export function parseConfig(text: string, file: string): CheckConfig {
  const given = membersOf(parseJson(text, file), MEMBERS, file);
  return {
    ...(given["profiles"] !== undefined && { profiles: profilesOf(listOf(given["profiles"], `${file}: profiles`), `${file}: profiles`) }),
    ...(given["failOn"] !== undefined && { failOn: oneOf(given["failOn"], SEVERITIES, `${file}: failOn`) }),
    ...(given["kernel"] !== undefined && { kernel: oneOf(given["kernel"], KERNELS, `${file}: kernel`) }),
    ...(given["architecture"] !== undefined && { architecture: oneOf(given["architecture"], ARCHITECTURES, `${file}: architecture`) }),
    ...(given["ignore"] !== undefined && {
      ignore: listOf(given["ignore"], `${file}: ignore`).map((item, i): Ignored => {
        const what = `${file}: ignore[${i}]`;
        if (typeof item === "string") return { rule: ruleId(item, what) };
        const { rule, ...others } = membersOf(item, IGNORED_MEMBERS, what);
        for (const [name, value] of Object.entries(others)) if (typeof value !== "string") throw new UsageError(`${what}.${name}: is not text`);
        return { rule: ruleId(rule, what), ...others } as Ignored;
      }),
    }),
  };
}

/** Whether a finding is one of those that are known. */
export const isIgnored = (finding: { readonly rule: string; readonly file: string; readonly path: string }, ignored: readonly Ignored[]): boolean =>
  ignored.some(
    ({ rule, file, path }) =>
      rule === finding.rule && (file === undefined || finding.file.endsWith(file)) && (path === undefined || finding.path.startsWith(path)),
  );
