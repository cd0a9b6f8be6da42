/** `apei schema`: the JSON Schemas of what is written and read. */
import { CONTENT_SCHEMA } from "../../input/content.ts";
import { documentsOf } from "../../input/document.ts";
import { schemas } from "../../input/schemas.ts";
import { UsageError } from "../../layout/index.ts";
import { type Command, EXIT } from "../io.ts";
import { registryWith } from "../section-modules.ts";

const SUFFIX = ".schema.json";
/** Schemas of what people write for other commands. */
const DESCRIPTIONS: Readonly<Record<string, () => Promise<object>>> = {
  "build-description": async () => (await import("../../loader/description.ts")).buildDescriptionSchema,
  scenario: async () => (await import("../../scenario/schema.ts")).SCENARIO_SCHEMA,
};

export const command: Command = {
  builder: (args) =>
    args
      .positional("name", { type: "string", describe: "which schema; without it their names are listed" })
      .option("sections", { type: "string", array: true, describe: "module that adds section types of its own" })
      .example("apei schema section-platform-memory", "the body of a memory section")
      .example(`apei schema ${CONTENT_SCHEMA.replace(SUFFIX, "")}`, "anything that decode --json writes"),
  handler: async (args, io) => {
    const all = schemas(documentsOf(await registryWith((args["sections"] as string[] | undefined) ?? [], io)));
    const name = (args["name"] as string | undefined)?.replace(SUFFIX, "");
    if (name === undefined) {
      io.stdout.write(`${[...[...all.keys()].map((file) => file.replace(SUFFIX, "")), ...Object.keys(DESCRIPTIONS)].join("\n")}\n`);
      return EXIT.fine;
    }
    const schema = all.get(name + SUFFIX)?.() ?? (Object.hasOwn(DESCRIPTIONS, name) ? await DESCRIPTIONS[name]!() : undefined);
    if (!schema) throw new UsageError(`there is no schema ${name}; apei schema lists them`);
    io.stdout.write(`${JSON.stringify(schema, null, 2)}\n`);
    return EXIT.fine;
  },
};
