/** `apei encode`: the bytes of a JSON document. */
import { documentsOf } from "../../input/document.ts";
import { checkDocument } from "../../input/schema-check.ts";
import { parseJson, UsageError } from "../../layout/index.ts";
import { readInput, writeBinary } from "../files.ts";
import { type Command, EXIT } from "../io.ts";
import { registryWith } from "../section-modules.ts";

export const command: Command = {
  builder: (args) =>
    args
      .positional("file", { type: "string", demandOption: true, describe: "JSON as decode --json writes it; - is standard input" })
      .option("out", { type: "string", describe: "file to write; without it standard output, unless that is a terminal" })
      .option("ndjson", { type: "boolean", describe: "lines as decode --ndjson writes them, however many there are" })
      .option("sections", { type: "string", array: true, describe: "module that adds section types of its own" })
      .example("apei encode record.json --out record.bin", "what decode --json has read")
      .example("apei encode --ndjson records.ndjson > records.bin", "what decode --ndjson has read"),
  handler: async (args, io) => {
    const file = args["file"] as string;
    const out = args["out"] as string | undefined;
    const documents = documentsOf(await registryWith((args["sections"] as string[] | undefined) ?? [], io));
    if (args["ndjson"]) return (await import("../bulk-encode.ts")).encodeBulk([file], documents, out, io);
    const json = parseJson(new TextDecoder().decode(await readInput(file, io)), file);
    const problem = await checkDocument(json, documents);
    if (problem !== undefined) throw new UsageError(`${file}: ${problem}`);
    await writeBinary(out, documents.encode(json), io);
    return EXIT.fine;
  },
};
