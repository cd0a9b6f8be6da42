/** `apei run`: watch an error travel from the hardware to the guest and back. */
import { UsageError } from "../../layout/index.ts";
import { readScenario } from "../../scenario/read.ts";
import { runJson, runLines } from "../../scenario/report.ts";
import { runScenario } from "../../scenario/runner.ts";
import { sequenceDiagram } from "../../scenario/svg.ts";
import { readInput, writeWhole } from "../files.ts";
import { type Command, EXIT } from "../io.ts";

export const command: Command = {
  builder: (args) =>
    args
      .positional("scenario", { type: "string", demandOption: true, describe: "scenario file; - is standard input" })
      .option("json", { type: "boolean", conflicts: "brief", describe: "the timeline, the records and what became of them as JSON" })
      .option("brief", { type: "boolean", describe: "the timeline without the decoded records" })
      .option("svg", { type: "string", describe: "write a sequence diagram to this file" }),
  handler: async (args, io) => {
    const file = args["scenario"] as string;
    const text = new TextDecoder().decode(await readInput(file, io));
    const scenario = await readScenario(text).catch((error: unknown) => {
      throw error instanceof UsageError ? new UsageError(`${file}: ${error.message}`) : error;
    });
    const result = runScenario(scenario);
    if (args["svg"] !== undefined) await writeWhole(args["svg"] as string, sequenceDiagram(result.name, result.timeline, result.lanes));
    io.stdout.write(args["json"] ? `${JSON.stringify(runJson(result), null, 2)}\n` : `${runLines(result, !args["brief"]).join("\n")}\n`);
    return EXIT.fine;
  },
};
