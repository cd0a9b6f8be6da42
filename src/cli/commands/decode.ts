/** `apei decode`: any file people have, in words, as JSON or as an annotated hex dump. */
import { documentsOf } from "../../input/document.ts";
import { type Finding, type Tree, treeLines } from "../../layout/index.ts";
import { readInput } from "../files.ts";
import { hexView } from "../hex-view.ts";
import { type Command, EXIT } from "../io.ts";
import { registryWith } from "../section-modules.ts";

export const command: Command = {
  builder: (args) =>
    args
      .positional("files", { type: "string", array: true, demandOption: true, describe: "files to read; - is standard input" })
      .option("as", { type: "string", describe: "take the input for this format instead of recognising it" })
      .option("section", { type: "string", conflicts: "as", describe: "the input is the bare body of a section: its name or GUID" })
      .option("sections", { type: "string", array: true, describe: "module that adds section types of its own" })
      .option("json", { type: "boolean", conflicts: "hex", describe: "JSON, from which encode makes the same bytes again" })
      .option("hex", { type: "boolean", describe: "hex dump that names every byte" }),
  handler: async (args, io) => {
    const files = args["files"] as string[];
    const documents = documentsOf(await registryWith((args["sections"] as string[] | undefined) ?? []));
    let exit: number = EXIT.fine;
    const list: object[] = [];
    for (const file of files) {
      const input = await readInput(file, io);
      const document = documents.read(input, { as: args["as"] as string | undefined, section: args["section"] as string | undefined });
      const { findings, took, format, value } = document;
      if (findings.length > 0) exit = EXIT.findings;
      if (args["json"]) {
        list.push({
          input: { file, bytes: input.length, took, ...(findings.length > 0 && { findings: findings.map((finding) => ({ ...finding })) }) },
          ...documents.toJson(document),
        });
        continue;
      }
      io.stderr.write(`apei: ${file}: taken for ${took}, ${input.length} bytes\n`);
      const lines: string[] = [];
      if (args["hex"]) lines.push(...hexView(document));
      else {
        lines.push(format.summary(value), ...format.tree(value).flatMap((tree) => treeLines(tree)));
        if (findings.length > 0) lines.push(...treeLines(findingsTree(findings)));
      }
      io.stdout.write(`${lines.join("\n")}\n`);
    }
    if (args["json"]) io.stdout.write(`${JSON.stringify(files.length === 1 ? list[0] : list, null, 2)}\n`);
    return exit;
  },
};

const findingsTree = (findings: readonly Finding[]): Tree => ({
  label: "findings",
  children: findings.map(({ path, offset, message }) => ({ label: `${path} at 0x${offset.toString(16)}`, text: message })),
});
