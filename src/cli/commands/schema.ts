/** `apei schema`: the JSON Schemas of what decode writes and encode reads. */
import { documentsOf } from "../../input/document.ts";
import { schemas } from "../../input/schemas.ts";
import { UsageError } from "../../layout/index.ts";
import { type Command, EXIT } from "../io.ts";
import { registryWith } from "../section-modules.ts";

export const command: Command = {
  builder: (args) =>
    args
      .positional("name", { type: "string", describe: "which schema; without it their names are listed" })
      .option("sections", { type: "string", array: true, describe: "module that adds section types of its own" }),
  handler: async (args, io) => {
    const all = schemas(documentsOf(await registryWith((args["sections"] as string[] | undefined) ?? [])));
    const name = args["name"] as string | undefined;
    if (name === undefined) {
      io.stdout.write(`${[...all.keys()].map((file) => file.replace(/\.json$/, "")).join("\n")}\n`);
      return EXIT.fine;
    }
    const make = all.get(`${name.replace(/\.json$/, "")}.json`);
    if (!make) throw new UsageError(`there is no schema ${name}; apei schema lists them`);
    io.stdout.write(`${JSON.stringify(make(), null, 2)}\n`);
    return EXIT.fine;
  },
};
