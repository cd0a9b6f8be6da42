/** `apei generate`: random but well-formed records, blocks or sections for testing whatever reads them. */
import { documentsOf } from "../../input/document.ts";
import { Dice, type GeneratedForm, generateBytes } from "../../input/generate.ts";
import { sectionTypeOf } from "../../input/section.ts";
import { UsageError } from "../../layout/index.ts";
import { writeBinary } from "../files.ts";
import { type Command, EXIT } from "../io.ts";
import { registryWith } from "../section-modules.ts";

export const command: Command = {
  builder: (args) =>
    args
      .option("section", { type: "string", array: true, describe: "section in each of them, by name or GUID; without it any one section" })
      .option("seed", { type: "number", default: 1, describe: "the same seed gives the same bytes" })
      .option("count", { type: "number", default: 1, describe: "how many" })
      .option("form", { type: "string", choices: ["record", "block", "section"], default: "record", describe: "records, error status blocks or bare sections" })
      .option("out", { type: "string", describe: "file to write; without it standard output, unless that is a terminal" })
      .option("sections", { type: "string", array: true, describe: "module that adds section types of its own" })
      .example("apei generate --section platformMemory --section pcie --count 100 --out records.bin", "a hundred records of two sections"),
  handler: async (args, io) => {
    const { registry } = documentsOf(await registryWith((args["sections"] as string[] | undefined) ?? [], io));
    const all = [...registry];
    const wanted = (args["section"] as string[] | undefined)
      ?.flatMap((words) => words.split(","))
      .map((name) => {
        const type = sectionTypeOf(name, registry);
        if (!type) throw new UsageError(`--section: ${name} is no section type; there are ${all.map((one) => one.name).join(", ")}`);
        return type;
      });
    const { seed, count, form } = args as { seed: number; count: number; form: GeneratedForm };
    if (!Number.isSafeInteger(seed) || seed < 0 || seed >= 2 ** 32) throw new UsageError("--seed is a whole number below 2^32");
    if (!Number.isSafeInteger(count) || count < 1 || count > 10_000_000) throw new UsageError("--count is a whole number from 1 to 10,000,000");
    if (form === "section" && wanted?.length !== 1) throw new UsageError("--form section wants one --section");
    const dice = new Dice(seed);
    const parts = Array.from({ length: count }, () => generateBytes(form, wanted ?? [dice.pick(all)], dice));
    await writeBinary(args["out"] as string | undefined, Buffer.concat(parts), io);
    return EXIT.fine;
  },
};
