/**
 * Reading the words of a command line. yargs does it where help is asked for or there is something to complain about;
 * loading it takes longer than decoding a record, so that all other lines are read without it.
 */
import { parseArgs } from "node:util";
import type { Args, Arguments, Usage } from "./arguments.ts";

const camel = (name: string) => name.replace(/-([a-z0-9])/g, (_, letter: string) => letter.toUpperCase());
const list = (names: string | readonly string[] | undefined): readonly string[] => (names === undefined ? [] : typeof names === "string" ? [names] : names);

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
