/**
 * Words of a command line to named values. A command says once which options it takes; parsing, checking and
 * help all come from that. (A general argument library costs more start-up time than decoding a record does.)
 */
import { parseArgs } from "node:util";
import { UsageError } from "../layout/errors.ts";

export interface Option {
  /** Addresses are strings: a number would lose bits above 2^53. */
  readonly type: "string" | "boolean" | "number";
  readonly describe: string;
  /** May be given several times: the value is a list. For the last positional: takes all words that are left. */
  readonly array?: boolean;
  /** One letter, used as `-x`. */
  readonly alias?: string;
  readonly default?: unknown;
  readonly choices?: readonly string[];
  readonly demandOption?: boolean;
  /** Options that make no sense beside this one. */
  readonly conflicts?: string | readonly string[];
  /** Options without which this one makes no sense. */
  readonly implies?: string | readonly string[];
}
/** Values by name, as declared and in camelCase. */
export interface Args {
  readonly [name: string]: unknown;
}

/** What a command takes; the methods can be chained. */
export class Arguments {
  readonly positionals: [name: string, option: Option][] = [];
  readonly named = new Map<string, Option>();
  readonly examples: (readonly [command: string, meaning: string])[] = [];
  readonly checks: ((args: Args) => true | string)[] = [];

  /** A word without a dash; positionals are taken in the order in which they are declared. */
  positional(name: string, option: Option): this {
    this.positionals.push([name, option]);
    return this;
  }
  option(name: string, option: Option): this {
    this.named.set(name, option);
    return this;
  }
  options(options: Readonly<Record<string, Option>>): this {
    for (const [name, option] of Object.entries(options)) this.option(name, option);
    return this;
  }
  example(command: string, meaning: string): this {
    this.examples.push([command, meaning]);
    return this;
  }
  /** A condition on the whole: `true`, or what is wrong. */
  check(condition: (args: Args) => true | string): this {
    this.checks.push(condition);
    return this;
  }
}

const camel = (name: string) => name.replace(/-([a-z0-9])/g, (_, letter: string) => letter.toUpperCase());
const list = (names: string | readonly string[] | undefined): readonly string[] => (names === undefined ? [] : typeof names === "string" ? [names] : names);

/**
 * Read the words after a command's name.
 * @throws UsageError naming the option that is wrong.
 */
export function parseArguments(wanted: Arguments, words: readonly string[]): Args {
  const named = new Map([...wanted.named, ["help", { type: "boolean", describe: "" } satisfies Option]]);
  const byAlias = new Map([...named].flatMap(([name, option]) => (option.alias === undefined ? [] : [[option.alias, name]])));
  byAlias.set("h", "help");
  const { tokens } = parseArgs({
    args: [...words],
    strict: false,
    tokens: true,
    options: Object.fromEntries(
      [...named, ...[...byAlias].map(([alias, name]) => [alias, named.get(name)!] as const)].map(([name, option]) => [
        name,
        { type: option.type === "boolean" ? ("boolean" as const) : ("string" as const) },
      ]),
    ),
  });
  const values: Record<string, unknown> = {};
  const loose: string[] = [];
  for (const token of tokens) {
    if (token.kind === "positional") loose.push(token.value);
    if (token.kind !== "option") continue;
    const name = byAlias.get(token.name) ?? token.name;
    const option = named.get(name);
    const negated = option === undefined && name.startsWith("no-") ? name.slice(3) : undefined;
    if (negated !== undefined && named.get(negated)?.type === "boolean") values[negated] = false;
    else if (!option) throw new UsageError(`there is no option ${token.rawName}${nearest(name, [...named.keys()])}`);
    else {
      const value = optionValue(token.rawName, option, token.value);
      if (option.array) values[name] = [...((values[name] as unknown[]) ?? []), value];
      else if (option.type !== "boolean" && values[name] !== undefined) throw new UsageError(`${token.rawName} is given twice`);
      else values[name] = value;
    }
  }
  if (values["help"] === true) return { help: true };
  place(wanted, loose, values);
  for (const [name, option] of [...wanted.named, ...wanted.positionals]) {
    if (values[name] === undefined && option.default !== undefined) values[name] = option.default;
    else if (values[name] === undefined) {
      if (option.demandOption && wanted.named.has(name)) throw new UsageError(`--${name} is missing: ${option.describe}`);
      continue;
    } else {
      for (const other of list(option.conflicts))
        if (values[other] !== undefined && wanted.named.get(other)?.default === undefined)
          throw new UsageError(`--${name} and --${other} cannot be given together`);
      for (const other of list(option.implies)) if (values[other] === undefined) throw new UsageError(`--${name} makes sense only with --${other}`);
    }
    values[camel(name)] = values[name];
  }
  for (const condition of wanted.checks) {
    const verdict = condition(values);
    if (verdict !== true) throw new UsageError(verdict);
  }
  return values;
}

/** Give loose words to the positionals, in order. */
function place(wanted: Arguments, loose: readonly string[], values: Record<string, unknown>): void {
  let at = 0;
  for (const [name, option] of wanted.positionals) {
    if (option.array) {
      const rest = loose.slice(at).map((word) => optionValue(name, option, word));
      if (rest.length === 0 && option.demandOption) throw new UsageError(`<${name}> is missing: ${option.describe}`);
      if (rest.length > 0) values[name] = rest;
      at = loose.length;
    } else if (at < loose.length) values[name] = optionValue(name, option, loose[at++]);
    else if (option.demandOption) throw new UsageError(`<${name}> is missing: ${option.describe}`);
  }
  if (at < loose.length) throw new UsageError(`${JSON.stringify(loose[at])} is one word too many`);
}

function optionValue(name: string, option: Option, word: string | undefined): unknown {
  if (option.type === "boolean") {
    if (word === undefined || word === "true") return true;
    if (word === "false") return false;
    throw new UsageError(`${name} takes no value`);
  }
  if (word === undefined) throw new UsageError(`${name} wants a value: ${option.describe}`);
  if (option.choices && !option.choices.includes(word)) throw new UsageError(`${name}: ${JSON.stringify(word)} is none of ${option.choices.join(", ")}`);
  if (option.type === "string") return word;
  const number = Number(word);
  if (word.trim() === "" || !Number.isFinite(number)) throw new UsageError(`${name}: ${JSON.stringify(word)} is no number`);
  return number;
}

/** `; did you mean --json?` when one of the names is nearly the one that was given. */
export function nearest(given: string, names: readonly string[], prefix = "--"): string {
  let best: string | undefined;
  let least = 3;
  for (const name of names) {
    const distance = editDistance(given, name);
    if (distance < least) [best, least] = [name, distance];
  }
  return best === undefined ? "" : `; did you mean ${prefix}${best}?`;
}
function editDistance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, i) => i);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) next.push(Math.min(row[j]! + 1, next[j - 1]! + 1, row[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1)));
    row = next;
  }
  return row[b.length]!;
}

// ---- help ----

const WIDTH = 100;
/** Rows of two columns, the second wrapped. */
export function columns(rows: readonly (readonly [left: string, right: string])[]): string[] {
  const left = Math.min(34, Math.max(0, ...rows.map(([word]) => word.length)) + 2);
  return rows.flatMap(([word, text]) => {
    const lines = wrap(text, WIDTH - left - 2);
    const head =
      word.length + 2 > left
        ? [`  ${word}`, ...lines.map((line) => `  ${" ".repeat(left)}${line}`)]
        : lines.map((line, i) => `  ${(i === 0 ? word : "").padEnd(left)}${line}`);
    return head.map((line) => line.trimEnd());
  });
}
function wrap(text: string, width: number): string[] {
  const out: string[] = [];
  let line = "";
  for (const word of text.split(" ")) {
    if (line !== "" && line.length + 1 + word.length > width) {
      out.push(line);
      line = word;
    } else line = line === "" ? word : `${line} ${word}`;
  }
  return [...out, line];
}

/** What `--help` says about a command. */
export function helpText(usage: string, summary: string, wanted: Arguments): string {
  const option = ([name, { alias, type, choices, array, describe, default: initial }]: readonly [string, Option]): readonly [string, string] => [
    `${alias === undefined ? "" : `-${alias}, `}--${name}${type === "boolean" ? "" : ` <${choices ? choices.join("|") : type === "number" ? "number" : "text"}>`}`,
    `${describe}${array ? " (may be given several times)" : ""}${initial === undefined || initial === false ? "" : ` (default ${String(initial)})`}`,
  ];
  const out = [`apei ${usage}`, "", capital(summary)];
  if (wanted.positionals.length > 0) out.push("", ...columns(wanted.positionals.map(([name, { describe }]) => [`<${name}>`, describe])));
  if (wanted.named.size > 0) out.push("", "Options:", ...columns([...wanted.named].map(option)));
  if (wanted.examples.length > 0) out.push("", "Examples:", ...columns(wanted.examples));
  return out.join("\n");
}
const capital = (text: string) => `${text.charAt(0).toUpperCase()}${text.slice(1)}.`;
