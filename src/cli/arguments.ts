/**
 * What commands take, said once. yargs reads the words, complains and writes the help from that; loading it takes
 * longer than decoding a record, so that a line with nothing to complain about is read without it.
 */

import { parseArgs } from "node:util";
import { nearestName } from "../layout/nearest.ts";

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

/** The last line of every help. */
export const EXIT_CODES = "Exit codes: 0 fine, 1 done with findings, 2 not done (usage, files, unusable input).";

/** A command as it stands in the list of commands. */
export interface Usage {
  /** Name and positionals: `<file>` must be there, `[file]` may, `<files..>` is one or more. */
  readonly usage: string;
  readonly summary: string;
}

/**
 * Read the words after a command's name.
 * @returns the values, or the text of the help that was asked for.
 * @throws UsageError naming what is wrong.
 */
export async function readArguments(row: Usage, wanted: Arguments, words: readonly string[]): Promise<Args | string> {
  return plainly(wanted, words) ?? (await import("./yargs.ts")).readThroughYargs(row, wanted, words);
}

/** The values of a line that needs no help and no complaint; undefined for any other. */
function plainly(wanted: Arguments, words: readonly string[]): Args | undefined {
  const types = Object.fromEntries(
    [...wanted.named].map(([name, { type, alias, array }]) => [
      name,
      { type: type === "boolean" ? ("boolean" as const) : ("string" as const), ...(alias !== undefined && { short: alias }), ...(array && { multiple: true }) },
    ]),
  );
  let line: ReturnType<typeof parseArgs>;
  try {
    line = parseArgs({ args: [...words], options: types, allowPositionals: true, tokens: true });
  } catch {
    return undefined;
  }
  const values: Record<string, unknown> = { ...line.values };
  const seen = (line.tokens ?? []).flatMap((token) => (token.kind === "option" ? [token.name] : []));
  if (seen.some((name, i) => !wanted.named.get(name)?.array && seen.indexOf(name) !== i)) return undefined;
  let at = 0;
  for (const [name, { array, demandOption }] of wanted.positionals) {
    const given = array ? line.positionals.slice(at) : line.positionals.slice(at, at + 1);
    at += given.length;
    if (given.length > 0) values[name] = array ? given : given[0];
    else if (demandOption) return undefined;
  }
  if (at < line.positionals.length) return undefined;
  for (const [name, { type, choices, demandOption, conflicts, implies, default: initial }] of [...wanted.named, ...wanted.positionals]) {
    const value = values[name];
    if (value === undefined) {
      if (demandOption) return undefined;
      if (initial !== undefined) values[name] = initial;
      continue;
    }
    const strings = Array.isArray(value) ? (value as string[]) : [value as string];
    if (choices && !strings.every((word) => choices.includes(word))) return undefined;
    if ([...list(conflicts)].some((other) => seen.includes(other) || values[other] !== undefined)) return undefined;
    if ([...list(implies)].some((other) => values[other] === undefined)) return undefined;
    if (type === "number") {
      const numbers = strings.map((word) => (word.trim() === "" ? Number.NaN : Number(word)));
      if (!numbers.every(Number.isFinite)) return undefined;
      values[name] = Array.isArray(value) ? numbers : numbers[0];
    }
  }
  for (const name of Object.keys(values)) values[camel(name)] = values[name];
  return wanted.checks.every((condition) => condition(values) === true) ? values : undefined;
}

/** `; did you mean --json?` when one of the names is nearly the one that was given. */
export function nearest(given: string, names: readonly string[], prefix = "--"): string {
  const best = nearestName(given, names);
  return best === undefined ? "" : `; did you mean ${prefix}${best}?`;
}
