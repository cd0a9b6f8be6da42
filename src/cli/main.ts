/** The command line: which commands there are, and what becomes of their errors. */
import { DecodeError, EncodeError, UsageError } from "../layout/errors.ts";
import { Arguments, EXIT_CODES, nearest, type Usage } from "./arguments.ts";
import { type Command, EXIT, type Io } from "./io.ts";
import { readArguments } from "./read-arguments.ts";

interface Row extends Usage {
  readonly load: () => Promise<{ readonly command: Command }>;
}

const COMMANDS: readonly Row[] = [
  { usage: "decode <files..>", summary: "show what is in a file: in words, as JSON or as a hex dump", load: () => import("./commands/decode.ts") },
  { usage: "encode <file>", summary: "make the bytes of a JSON document", load: () => import("./commands/encode.ts") },
  { usage: "run <scenario>", summary: "rehearse an error from the hardware to the guest and back", load: () => import("./commands/run.ts") },
  { usage: "qemu <action> [input]", summary: "do the same on a real QEMU: run, inject, capture, fetch", load: () => import("./commands/qemu.ts") },
  { usage: "build <description>", summary: "make the fw_cfg files of a described machine", load: () => import("./commands/build.ts") },
  { usage: "boot <folder>", summary: "run fw_cfg files through SeaBIOS, OVMF and AAVMF", load: () => import("./commands/boot.ts") },
  { usage: "esr <values..>", summary: "say what arm64 syndromes and routing registers mean", load: () => import("./commands/esr.ts") },
  { usage: "generate", summary: "make random but well-formed records", load: () => import("./commands/generate.ts") },
  { usage: "diff <first> <second>", summary: "show where two files differ, by field", load: () => import("./commands/diff.ts") },
  {
    usage: "validate [files..]",
    summary: "check tables and predict what Linux, firmware, fwts and iasl will say",
    load: () => import("./commands/validate.ts"),
  },
  { usage: "schema [name]", summary: "print a JSON Schema, or list them", load: () => import("./commands/schema.ts") },
];

const nameOf = (row: Row) => row.usage.split(" ")[0]!;

const overview = (): string =>
  [
    "apei <command>",
    "",
    "Build, decode, check and rehearse ACPI Platform Error Interfaces.",
    "",
    "Commands:",
    ...COMMANDS.map(({ usage, summary }) => `  ${usage.padEnd(Math.max(...COMMANDS.map((row) => row.usage.length)))}  ${summary}`),
    "",
    "apei <command> --help says what a command takes.",
    EXIT_CODES,
  ].join("\n");

async function run(argv: readonly string[], io: Io): Promise<number> {
  const [wanted, ...words] = argv;
  const say = (text: string) => {
    io.stdout.write(`${text}\n`);
    return EXIT.fine;
  };
  if (wanted === "--help" || wanted === "-h" || (wanted === "help" && words.length === 0)) return say(overview());
  if (wanted === "--version") return say((await import("node:module")).createRequire(import.meta.url)("apei/package.json").version);
  if (wanted === undefined) throw new UsageError("name a command; apei --help lists them");
  const row = COMMANDS.find((one) => nameOf(one) === (wanted === "help" ? words[0] : wanted));
  if (!row) throw new UsageError(`there is no command ${JSON.stringify(wanted)}${nearest(wanted, COMMANDS.map(nameOf), "")}; apei --help lists them`);
  const { command } = await row.load();
  const args = await readArguments(row, command.builder(new Arguments()), wanted === "help" ? ["--help"] : words);
  return typeof args === "string" ? say(args) : command.handler(args, io);
}

/**
 * Run the command line.
 * @param argv the words after the program's name.
 * @returns the exit code: 0 fine, 1 done with findings, 2 not done.
 */
export async function main(argv: readonly string[], io: Io): Promise<number> {
  try {
    return await run(argv, io);
  } catch (error) {
    if (error instanceof UsageError || error instanceof DecodeError || error instanceof EncodeError) {
      io.stderr.write(`apei: ${error.message}\n`);
      return EXIT.failed;
    }
    throw error;
  }
}
