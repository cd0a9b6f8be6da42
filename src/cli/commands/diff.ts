/** `apei diff`: where two files differ, by the names of their fields. */
import { differences } from "../../input/difference.ts";
import { documentsOf } from "../../input/document.ts";
import { type Json, printable } from "../../layout/index.ts";
import { readInput } from "../files.ts";
import { type Command, EXIT } from "../io.ts";
import { registryWith } from "../section-modules.ts";

/** Characters of a value that are shown; whole lists and objects can be long. */
const SHOWN = 100;
const shown = (value: Json): string => {
  const text = printable(typeof value === "string" ? value : JSON.stringify(value));
  return text.length > SHOWN ? `${text.slice(0, SHOWN)}… (${text.length} characters)` : text;
};

export const command: Command = {
  builder: (args) =>
    args
      .positional("first", { type: "string", demandOption: true, describe: "one file; - is standard input" })
      .positional("second", { type: "string", demandOption: true, describe: "the other" })
      .option("as", { type: "string", conflicts: "section", describe: "take both for this format instead of recognising them" })
      .option("section", { type: "string", describe: "both are bare bodies of a section: its name or GUID" })
      .option("sections", { type: "string", array: true, describe: "module that adds section types of its own" })
      .option("json", { type: "boolean", describe: "a list of path, first and second" })
      .example("apei diff before.bin after.txt", "a record and a hex dump of another"),
  handler: async (args, io) => {
    const documents = documentsOf(await registryWith((args["sections"] as string[] | undefined) ?? [], io));
    const options = { as: args["as"] as string | undefined, section: args["section"] as string | undefined };
    const names = [args["first"] as string, args["second"] as string] as const;
    const inputs = [await readInput(names[0], io), await readInput(names[1], io)] as const;
    const [first, second] = inputs.map((input) => documents.read(input, options)) as unknown as [
      ReturnType<typeof documents.read>,
      ReturnType<typeof documents.read>,
    ];
    for (const [i, { took }] of [first, second].entries()) io.stderr.write(`apei: ${names[i]}: taken for ${took}, ${inputs[i]!.length} bytes\n`);
    const found = differences(first, second);
    if (args["json"]) io.stdout.write(`${JSON.stringify(found, null, 2)}\n`);
    else
      for (const { path, first: before, second: after } of found)
        io.stdout.write(
          before === undefined
            ? `+ ${path}: ${shown(after!)}\n`
            : after === undefined
              ? `- ${path}: ${shown(before)}\n`
              : `~ ${path}: ${shown(before)} → ${shown(after)}\n`,
        );
    return found.length > 0 ? EXIT.findings : EXIT.fine;
  },
};
