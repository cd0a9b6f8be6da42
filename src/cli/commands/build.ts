/** `apei build`: the fw_cfg files a described machine hands to its firmware, or one table. */
import { dirname, isAbsolute, join } from "node:path";
import { EncodeError, UsageError } from "../../layout/index.ts";
import { buildHandOff } from "../../loader/build.ts";
import { type BuildDescription, buildDescriptionSchema } from "../../loader/description.ts";
import { handOffProblems, problemText } from "../../loader/rules.ts";
import { readDescription } from "../description-file.ts";
import { readInput, writeBinary } from "../files.ts";
import { writeHandOff } from "../hand-off-folder.ts";
import { type Command, EXIT } from "../io.ts";
import { describedTable } from "../table-description.ts";

export const command: Command = {
  builder: (args) =>
    args
      .positional("description", { type: "string", demandOption: true, describe: "JSON that describes sources and tables, or one table; - is standard input" })
      .option("out", { type: "string", demandOption: true, describe: "folder to write, one file for each fw_cfg file and a manifest; for one table the file" })
      .option("force", { type: "boolean", describe: "write also what a firmware would mishandle" })
      .option("json", { type: "boolean", describe: "say what was written as JSON" }),
  handler: async (args, io) => {
    const file = args["description"] as string;
    const out = args["out"] as string;
    const given = await readInput(file, io);
    const table = describedTable(new TextDecoder().decode(given), file);
    if (table) {
      await writeBinary(out, table.bytes, io);
      const said = { table: table.signature, file: out, size: table.bytes.length };
      if (out !== "-") io.stdout.write(args["json"] ? `${JSON.stringify(said, null, 2)}\n` : `${said.table}: ${said.size} bytes\n`);
      return EXIT.fine;
    }
    const again = { ...io, stdin: once(given) };
    const description = await readDescription<BuildDescription>(file, buildDescriptionSchema, again);
    const folder = file === "-" ? "." : dirname(file);
    const content = new Map<string, Uint8Array>();
    for (const path of pathsOf(description)) content.set(path, await readInput(isAbsolute(path) ? path : join(folder, path), io));
    let built: ReturnType<typeof buildHandOff>;
    try {
      built = buildHandOff(description, (path) => content.get(path)!);
    } catch (error) {
      if (error instanceof EncodeError) throw new UsageError(`${file}: ${error.message}`);
      throw error;
    }
    const { files, tables, hestOffset } = built;
    const problems = handOffProblems(files);
    if (!args["force"] && problems.some((problem) => problem.kind === "mishandled"))
      throw new UsageError([...problems.map((problem) => `${file}: ${problemText(problem)}`), "nothing is written; --force writes it all the same"].join("\n"));
    for (const problem of problems) io.stderr.write(`apei: ${file}: ${problemText(problem)}\n`);
    await writeHandOff(out, files, { tables, ...(hestOffset !== undefined && { hestOffset }) });
    if (args["json"]) {
      const listed = [...files].map(([name, { bytes, writable }]) => ({ name, size: bytes.length, ...(writable && { writable }) }));
      io.stdout.write(`${JSON.stringify({ folder: out, files: listed, tables }, null, 2)}\n`);
    } else for (const [name, { bytes, writable }] of files) io.stdout.write(`${name}: ${bytes.length} bytes${writable ? ", written by the firmware" : ""}\n`);
    return problems.length > 0 ? EXIT.findings : EXIT.fine;
  },
};

/** Standard input that was read before. */
async function* once(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield bytes;
}

/** Every path a description names. */
const pathsOf = (description: BuildDescription): readonly string[] => [
  ...description.tables.flatMap((table) => (table.file === undefined ? [] : [table.file])),
  ...Object.values(description.files ?? {}).flatMap((blob) => (blob.content === undefined ? [] : [blob.content])),
];
