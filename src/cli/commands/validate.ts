/** `apei validate`: what is wrong with tables, and what each consumer will do about it. */
import { readdir, stat } from "node:fs/promises";
import { createRequire } from "node:module";
import { join } from "node:path";
import { type CheckInput, check, RULES, ruleById } from "../../check/check.ts";
import { type CheckConfig, CONFIG_NAMES, ignoredRule, isIgnored, parseConfig, profilesOf } from "../../check/config.ts";
import { explainText, failing, jsonReport, junitReport, rulesText, sarifReport, textReport } from "../../check/report.ts";
import { SEVERITIES, type Severity } from "../../check/rule.ts";
import { TABLE_CARRIERS, type TableCarrier } from "../../guest/hest-probe.ts";
import { UsageError } from "../../layout/index.ts";
import { readInput, writeWhole } from "../files.ts";
import { type Command, EXIT, type Io } from "../io.ts";

/** Files of a folder and its folders, sorted; hidden ones are left out. */
async function filesBelow(folder: string): Promise<string[]> {
  const entries = await readdir(folder, { withFileTypes: true });
  const out: string[] = [];
  for (const entry of entries.sort((a, b) => (a.name < b.name ? -1 : 1))) {
    if (entry.name.startsWith(".")) continue;
    if (entry.isDirectory()) out.push(...(await filesBelow(join(folder, entry.name))));
    else if (entry.isFile()) out.push(join(folder, entry.name));
  }
  return out;
}

/** A file is read, a folder walked. */
async function inputsOf(names: readonly string[], io: Io): Promise<{ inputs: CheckInput[]; named: ReadonlySet<string> }> {
  const inputs: CheckInput[] = [];
  const named = new Set<string>();
  for (const name of names) {
    const isFolder = name !== "-" && (await stat(name).catch(() => undefined))?.isDirectory();
    if (!isFolder) named.add(name);
    for (const file of isFolder ? await filesBelow(name) : [name]) inputs.push({ file, bytes: await readInput(file, io) });
  }
  return { inputs, named };
}

/** The configuration that is named, or the one in the current folder. */
async function configOf(name: string | undefined, io: Io): Promise<CheckConfig> {
  for (const file of name === undefined ? CONFIG_NAMES : [name]) {
    const isThere = name !== undefined || (await stat(file).catch(() => undefined))?.isFile();
    if (isThere) return parseConfig(new TextDecoder().decode(await readInput(file, io)), file);
  }
  return {};
}

const split = (words: unknown): string[] => ((words as string[] | undefined) ?? []).flatMap((word) => word.split(","));

export const command: Command = {
  builder: (args) =>
    args
      .positional("files", { type: "string", array: true, describe: "tables, blocks, fw_cfg files or folders of them; - is standard input" })
      .option("profile", { type: "string", array: true, describe: "whose point of view: spec, linux, edk2, seabios, fwts, qemu, iasl; default all" })
      .option("fail-on", { type: "string", choices: [...SEVERITIES].reverse(), describe: "least severity that makes the exit code 1; default error" })
      .option("ignore", { type: "string", array: true, describe: "rule that is not to be reported" })
      .option("config", { type: "string", describe: `configuration file; default ${CONFIG_NAMES.join(" or ")} here` })
      .option("kernel", { type: "string", choices: ["7.2", "6.1"], describe: "version of Linux to predict; default 7.2" })
      .option("arch", { type: "string", choices: ["x86", "arm64"], describe: "architecture to predict for; default by the table" })
      .option("firmware", {
        type: "string",
        choices: TABLE_CARRIERS,
        describe: "what hands the tables to Linux: EDK2 drops some, and what lies behind a table differs; default nothing",
      })
      .option("format", { type: "string", choices: ["text", "json", "sarif", "junit"], describe: "how to report; default text" })
      .option("json", { type: "boolean", conflicts: "format", describe: "the same as --format json" })
      .option("notes", { type: "boolean", describe: "show notes in the text too" })
      .option("out", { type: "string", describe: "write the report to this file" })
      .option("explain", { type: "string", describe: "explain a rule; all lists them", conflicts: "files" })
      .example("apei validate tables/ --profile linux", "what Linux will say, word for word")
      .example("apei validate HEST.dat --format sarif --out apei.sarif", "for code scanning"),
  handler: async (args, io) => {
    const asked = args["explain"] as string | undefined;
    if (asked !== undefined) {
      const rule = ruleById(asked);
      if (!rule && asked !== "all")
        throw new UsageError(`there is no rule ${JSON.stringify(asked)}; apei validate --explain all lists the ${RULES.length} there are`);
      io.stdout.write(rule ? explainText(rule) : rulesText());
      return EXIT.fine;
    }
    const names = (args["files"] as string[] | undefined) ?? [];
    if (names.length === 0) throw new UsageError("name files or folders to check");
    const config = await configOf(args["config"] as string | undefined, io);
    const ignored = [...(config.ignore ?? []), ...split(args["ignore"]).map(ignoredRule)];
    const profiles = args["profile"] === undefined ? config.profiles : profilesOf(split(args["profile"]), "--profile");
    const failOn = ((args["fail-on"] as Severity | undefined) ?? config.failOn ?? "error") as Severity;
    const kernel = (args["kernel"] ?? config.kernel) as "6.1" | "7.2" | undefined;
    const architecture = (args["arch"] ?? config.architecture) as "arm64" | "x86" | undefined;

    const carrier = args["firmware"] as TableCarrier | undefined;

    const { inputs, named } = await inputsOf(names, io);
    const whole = check(inputs, {
      ...(profiles && { profiles }),
      ...(kernel && { kernel }),
      ...(architecture && { architecture }),
      ...(carrier && { carrier }),
    });
    const result = { ...whole, findings: whole.findings.filter((finding) => !isIgnored(finding, ignored)) };
    const stranger = result.unknown.find((file) => named.has(file));
    if (stranger !== undefined) throw new UsageError(`${stranger}: is no ACPI table, status block or fw_cfg file of the hand-off`);
    if (result.inputs.length === 0) throw new UsageError(`${names.join(", ")}: nothing to check in there`);

    const format = args["json"] ? "json" : ((args["format"] as string | undefined) ?? "text");
    const out = args["out"] as string | undefined;
    const version = () => createRequire(import.meta.url)("apei/package.json").version as string;
    const colours = out === undefined && io.stdout.isTTY === true && !io.env["NO_COLOR"];
    const report =
      format === "json"
        ? `${JSON.stringify(jsonReport(result, failOn), null, 2)}\n`
        : format === "sarif"
          ? `${JSON.stringify(sarifReport(result, version()), null, 2)}\n`
          : format === "junit"
            ? junitReport(result, failOn)
            : textReport(result, { colours, notes: args["notes"] === true });
    if (out !== undefined && out !== "-") await writeWhole(out, report);
    else io.stdout.write(report);
    return failing(result, failOn).length > 0 ? EXIT.findings : EXIT.fine;
  },
};
