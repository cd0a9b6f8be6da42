/** `apei esr`: arm64 syndromes and routing registers in words. */
import { bitList, EXPLAINED, explainRegister, RAS } from "../../arm64/index.ts";
import { hexNumber, treeLines, UsageError } from "../../layout/index.ts";
import { type Command, EXIT } from "../io.ts";

const MOST = (1n << 64n) - 1n;

function register(word: string): bigint {
  if (!/^(0x[0-9a-f][0-9a-f_]*|[0-9]+)$/i.test(word)) throw new UsageError(`${word} is not a number such as 0x92000410`);
  const value = BigInt(word.replaceAll("_", ""));
  if (value > MOST) throw new UsageError(`${word} has more than 64 bits`);
  return value;
}

export const command: Command = {
  builder: (args) =>
    args
      .positional("values", { type: "string", array: true, demandOption: true, describe: "register values, such as 0x92000410" })
      .option("as", { type: "string", choices: Object.keys(EXPLAINED), default: "esr", describe: "which register" })
      .option("without-ras", { type: "boolean", describe: "for a processor without the RAS extension" })
      .option("json", { type: "boolean", describe: "JSON" })
      .example("apei esr 0x92000410", "the abort QEMU gives a guest for a memory error")
      .example("apei esr --as vsesr 0x811", "a virtual SError's syndrome"),
  handler: async (args, io) => {
    const features = args["without-ras"] === true ? { ras: false } : RAS;
    const explanations = (args["values"] as string[]).map((word) => explainRegister(args["as"] as string, register(word), features));
    if (args["json"] === true) {
      const documents = explanations.map(({ value, form, summary, fields, severity, problems }) => ({
        value: hexNumber(value),
        form,
        summary,
        fields,
        ...(severity && { severity }),
        problems: problems.map((problem) => ({ ...problem, bits: hexNumber(problem.bits) })),
      }));
      io.stdout.write(`${JSON.stringify(documents.length === 1 ? documents[0] : documents, null, 2)}\n`);
    } else
      for (const { value, summary, trees, severity, problems } of explanations) {
        const lines = [
          `${hexNumber(value)}: ${summary}`,
          ...trees.flatMap((tree) => treeLines(tree, 1)),
          ...(severity ? [`  Linux: ${severity.linuxWords}`, `  KVM, when a guest meets it: ${severity.kvmWords}`] : []),
          ...problems.map((problem) => `  not allowed: ${problem.reason} (bits ${bitList(problem.bits)})`),
        ];
        io.stdout.write(`${lines.join("\n")}\n`);
      }
    return explanations.some(({ problems }) => problems.length > 0) ? EXIT.findings : EXIT.fine;
  },
};
