/** `apei run`: watch an error travel from the hardware to the guest and back. */
import { runJson, runLines } from "../../scenario/report.ts";
import { runScenario } from "../../scenario/runner.ts";
import { sequenceDiagram } from "../../scenario/svg.ts";
import { writeWhole } from "../files.ts";
import { type Command, EXIT } from "../io.ts";
import { keepStore, OUTSIDE_OPTIONS, readScenarioFile } from "../scenario-file.ts";

export const command: Command = {
  builder: (args) =>
    args
      .positional("scenario", { type: "string", demandOption: true, describe: "scenario file; - is standard input" })
      .option("json", { type: "boolean", conflicts: "brief", describe: "the timeline, the records and what became of them as JSON" })
      .option("brief", { type: "boolean", describe: "the timeline without the decoded records" })
      .options(OUTSIDE_OPTIONS)
      .option("svg", { type: "string", describe: "write a sequence diagram to this file" }),
  handler: async (args, io) => {
    const { scenario, outside } = await readScenarioFile(args["scenario"] as string, args, io);
    const result = runScenario(scenario, outside);
    await keepStore(args, result.store);
    if (args["svg"] !== undefined) await writeWhole(args["svg"] as string, sequenceDiagram(result.name, result.timeline, result));
    io.stdout.write(args["json"] ? `${JSON.stringify(runJson(result), null, 2)}\n` : `${runLines(result, !args["brief"]).join("\n")}\n`);
    return result.missing.length > 0 ? EXIT.findings : EXIT.fine;
  },
};
