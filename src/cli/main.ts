/** The command line: which commands there are, and what becomes of their errors. */
import yargs from "yargs";
import { DecodeError, EncodeError, UsageError } from "../layout/errors.ts";
import { type Command, EXIT, type Io } from "./io.ts";

interface Row {
  /** yargs command string. */
  readonly usage: string;
  readonly summary: string;
  readonly load: () => Promise<{ readonly command: Command }>;
}

const COMMANDS: readonly Row[] = [];

/**
 * Run the command line.
 * @param argv the words after the program's name.
 * @returns the exit code: 0 fine, 1 done with findings, 2 not done.
 */
export async function main(argv: readonly string[], io: Io): Promise<number> {
  let exit: number = EXIT.fine;
  let asked = false;
  const wanted = argv.find((word) => !word.startsWith("-"));
  const parser = yargs([...argv])
    .scriptName("apei")
    .usage("$0 <command>\n\nBuild, decode, check and rehearse ACPI Platform Error Interfaces.")
    .strict()
    .exitProcess(false)
    .version(false)
    .help()
    .alias("help", "h")
    .epilogue("Exit codes: 0 fine, 1 done with findings, 2 not done (usage, files, unusable input).");
  for (const row of COMMANDS) {
    const name = row.usage.split(" ")[0]!;
    const loaded = name === wanted ? (await row.load()).command : undefined;
    parser.command(
      row.usage,
      row.summary,
      (y) => loaded?.builder(y) ?? y,
      async (args) => {
        asked = true;
        exit = await loaded!.handler(args as never, io);
      },
    );
  }
  try {
    const text = await new Promise<string>((resolve, reject) => {
      // With a callback yargs hands over help texts instead of printing them.
      parser
        .demandCommand(1, "name a command")
        .parse([...argv], {}, (error: Error | undefined, _args: unknown, output: string) => (error ? reject(usage(error, output)) : resolve(output)));
    });
    if (text !== "") io.stdout.write(`${text}\n`);
    else if (!asked) return EXIT.failed;
    return exit;
  } catch (error) {
    if (error instanceof UsageError || error instanceof DecodeError || error instanceof EncodeError) {
      io.stderr.write(`apei: ${error.message}\n`);
      return EXIT.failed;
    }
    throw error;
  }
}

const usage = (error: Error, output: string): Error =>
  output === "" || error instanceof DecodeError || error instanceof EncodeError || error instanceof UsageError ? error : new UsageError(error.message);
