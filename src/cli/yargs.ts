/** The slow lane of the command line: help, complaints and unusual lines, all by yargs. */
import yargs from "yargs";
import { UsageError } from "../layout/errors.ts";
import { type Args, type Arguments, EXIT_CODES, nearest, type Usage } from "./arguments.ts";

const WIDTH = 100;
const capital = (text: string) => `${text.charAt(0).toUpperCase()}${text.slice(1)}.`;
/**
 * Read the words after a command's name with everything yargs has to say about them.
 * @returns the values, or the text of the help that was asked for. @throws UsageError
 */
export async function readThroughYargs({ usage, summary }: Usage, wanted: Arguments, words: readonly string[]): Promise<Args | string> {
  const [name, ...positionals] = usage.split(" ");
  const parser = yargs([])
    .scriptName(`apei ${name}`)
    .locale("en")
    .exitProcess(false)
    .showHelpOnFail(false)
    .version(false)
    .help()
    .alias("help", "h")
    .wrap(WIDTH)
    .epilogue(EXIT_CODES)
    .strict()
    // One word for each time an option of several values is given, so that `--only a FILE` is no list of two.
    .parserConfiguration({ "greedy-arrays": false });
  parser.command(["$0", ...positionals].join(" "), capital(summary), (command) => {
    for (const [positional, { type, describe, choices, default: initial }] of wanted.positionals)
      command.positional(positional, { type, describe, ...(choices && { choices }), ...(initial !== undefined && { default: initial }) });
    for (const [option, { array, ...rest }] of wanted.named)
      command.option(option, { ...rest, ...(array && { array: true, requiresArg: true }), ...(rest.type !== "boolean" && { requiresArg: true }) } as never);
    for (const [line, meaning] of wanted.examples) command.example(line, meaning);
    command.check((values) => {
      for (const [option, { type, array }] of wanted.named) {
        const value = values[option];
        if (value !== undefined && !array && Array.isArray(value)) throw new UsageError(`--${option} is given twice`);
        if (type === "number" && [value].flat().some((one) => Number.isNaN(one))) throw new UsageError(`--${option}: wants a number`);
      }
      for (const condition of wanted.checks) {
        const verdict = condition(values);
        if (verdict !== true) throw new UsageError(verdict);
      }
      return true;
    }, false);
    return command;
  });
  return new Promise((resolve, reject) => {
    parser.parse([...words], {}, (error: Error | undefined, values: Args, output: string) => {
      if (error) reject(error instanceof UsageError ? error : new UsageError(complaint(error.message, wanted, words)));
      else if (output !== "") resolve(output);
      else resolve(tidied(values, wanted));
    });
  });
}

/** What yargs says; of several complaints an unknown option goes first, with what it may have been meant for. */
function complaint(message: string, wanted: Arguments, words: readonly string[]): string {
  const options = words.slice(0, words.includes("--") ? words.indexOf("--") : undefined).map((word) => /^--(?:no-)?([a-z][^=]*)/.exec(word)?.[1]);
  const unknown = options.find((option) => option !== undefined && !wanted.named.has(option));
  return unknown === undefined ? message : `Unknown argument: ${unknown}${nearest(unknown, [...wanted.named.keys()])}`;
}

/** Without yargs' own members; a list that was not given is absent, and `-` is a word (yargs makes it an empty one). */
function tidied(values: Args, wanted: Arguments): Args {
  const { _: __, $0: ___, ...out } = values as Record<string, unknown>;
  for (const [name, value] of Object.entries(out)) if (Array.isArray(value) && value.length === 0) delete out[name];
  for (const [name] of wanted.positionals) {
    const value = out[name];
    if (value === "") out[name] = "-";
    else if (Array.isArray(value)) out[name] = value.map((word) => (word === "" ? "-" : word));
  }
  return out;
}
