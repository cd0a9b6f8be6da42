/** What commands take, said once: words are read, help is written and complaints are made by it. */

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

/** The last line of every help. */
export const EXIT_CODES = "Exit codes: 0 fine, 1 done with findings, 2 not done (usage, files, unusable input).";

/** A command as it stands in the list of commands. */
export interface Usage {
  /** Name and positionals: `<file>` must be there, `[file]` may, `<files..>` is one or more. */
  readonly usage: string;
  readonly summary: string;
}

/** `; did you mean --json?` when one of the names is nearly the one that was given. */
export function nearest(given: string, names: readonly string[], prefix = "--"): string {
  const best = nearestName(given, names);
  return best === undefined ? "" : `; did you mean ${prefix}${best}?`;
}
