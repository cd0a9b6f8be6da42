/** `apei decode`: any file people have, in words, as JSON, as a hex dump, or as other programs would show it. */
import { ErrorStatusBlockHeader } from "../../acpi/status-block.ts";
import { looksLikeText } from "../../input/charset.ts";
import { type Document, documentsOf } from "../../input/document.ts";
import { parseNumber, printable, type Tree, treeLines, UsageError } from "../../layout/index.ts";
import type { Args } from "../arguments.ts";
import { readInput } from "../files.ts";
import { type Command, EXIT, type Io } from "../io.ts";
import { registryWith } from "../section-modules.ts";

/** What writes one document as lines. */
interface View {
  lines(document: Document, args: Args): Iterable<string>;
  /** Every character stands for one byte. */
  readonly latin1?: boolean;
}
const wordsView: View = {
  *lines({ format, value, findings }) {
    yield printable(format.summary(value));
    for (const tree of format.tree(value)) yield* treeLines(tree);
    if (findings.length > 0) yield* treeLines(findingsTree(findings));
  },
};
/** Views by the word for `--format`, loaded when they are asked for. */
const VIEWS: Readonly<Record<string, () => Promise<View>>> = {
  text: async () => wordsView,
  hex: async () => ({ lines: (await import("../hex-view.ts")).hexView }),
  linux: async () => ({ lines: (await import("../linux-view.ts")).linuxView, latin1: true }),
  asl: async () => ({ lines: (await import("../asl-view.ts")).aslView }),
};
/** Formats of the bulk decoder, which reads records only and needs no more memory for more of them. */
const BULK = ["ndjson", "csv", "parquet"] as const;
type Bulk = (typeof BULK)[number];

const findingsTree = (findings: Document["findings"]): Tree => ({
  label: "findings",
  children: findings.map(({ path, offset, message }) => ({ label: `${path} at 0x${offset.toString(16)}`, text: message })),
});

const isBlockSized = (input: Uint8Array) => input.length >= ErrorStatusBlockHeader.size && !looksLikeText(input);

const latin1 = (text: string): Uint8Array => Uint8Array.from(text, (letter) => letter.charCodeAt(0));

/** Characters of lines gathered before they are written. */
const GATHERED = 1 << 16;
/** Write lines as they are made, no faster than they are read; returns how many there were. */
async function writeLines(lines: Iterable<string>, encode: (text: string) => string | Uint8Array, io: Io): Promise<number> {
  let count = 0;
  let text = "";
  for (const line of lines) {
    if (text.length > GATHERED) {
      await new Promise<void>((resolve, reject) => io.stdout.write(encode(text), (error) => (error ? reject(error) : resolve())));
      text = "";
    }
    text += `${line}\n`;
    count++;
  }
  if (text !== "") io.stdout.write(encode(text));
  return count;
}

/** `--json`, `--hex` and `--ndjson` are short for `--format`. */
function formatOf(args: Args): string {
  const named = (["json", "hex", "ndjson"] as const).filter((name) => args[name] === true);
  const given = args["format"] as string | undefined;
  if (named.length > 1 || (named.length === 1 && given !== undefined && given !== named[0]))
    throw new UsageError(`${[...named.map((name) => `--${name}`), ...(given === undefined ? [] : ["--format"])].join(" and ")} cannot be given together`);
  return named[0] ?? given ?? "text";
}

/** A byte offset such as 4096 or 0x1000. @throws UsageError */
function offsetOf(text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  const offset = Number(parseNumber(text) ?? Number.NaN);
  if (!Number.isSafeInteger(offset)) throw new UsageError(`--from: ${JSON.stringify(text)} is no offset`);
  return offset;
}

/** More threads than any machine has use for. */
const MOST_JOBS = 256;
function jobsOf(jobs: number): number {
  if (!Number.isInteger(jobs) || jobs < 1 || jobs > MOST_JOBS) throw new UsageError(`--jobs: ${jobs} is no number of threads from 1 to ${MOST_JOBS}`);
  return jobs;
}

async function inBulk(format: Bulk, files: readonly string[], args: Args, io: Io): Promise<number> {
  const { decodeBulk } = await import("../bulk-files.ts");
  const list = (name: string) => (args[name] as string[] | undefined)?.flatMap((words) => words.split(","));
  return decodeBulk(
    files,
    {
      format,
      select: list("select"),
      where: args["where"] as string[] | undefined,
      jobs: jobsOf(args["jobs"] as number),
      strict: args["strict"] === true,
      from: offsetOf(args["from"] as string | undefined),
      sections: (args["sections"] as string[] | undefined) ?? [],
      out: args["out"] as string | undefined,
    },
    io,
  );
}

export const command: Command = {
  builder: (args) =>
    args
      .positional("files", { type: "string", array: true, demandOption: true, describe: "files to read; - is standard input" })
      .option("format", { type: "string", choices: [...Object.keys(VIEWS), "json", ...BULK], describe: "how to show it; default text" })
      .option("json", { type: "boolean", describe: "JSON, from which encode makes the same bytes again" })
      .option("hex", { type: "boolean", describe: "hex dump that names every byte" })
      .option("as", { type: "string", conflicts: "section", describe: "take the input for this format instead of recognising it" })
      .option("section", { type: "string", describe: "the input is the bare body of a section: its name or GUID" })
      .option("sections", { type: "string", array: true, describe: "module that adds section types of its own" })
      .option("kernel", { type: "string", choices: ["7.2", "6.1"], default: "7.2", describe: "with --format linux: which kernel" })
      .option("arch", { type: "string", choices: ["x86", "arm64"], default: "x86", describe: "with --format linux: for which architecture" })
      .option("path", {
        type: "string",
        choices: ["ghes", "bert"],
        default: "ghes",
        describe: "with --format linux: found at run time or in the boot error region",
      })
      .option("dimm", {
        type: "string",
        array: true,
        describe: "with --format linux: HANDLE=BANK,DEVICE names the memory module that SMBIOS gives this handle",
      })
      .option("ndjson", { type: "boolean", describe: "one line of JSON for each record, however many there are" })
      .option("select", { type: "string", array: true, describe: "with ndjson, csv, parquet: only these columns, separated by commas" })
      .option("where", { type: "string", array: true, describe: "with ndjson, csv, parquet: only records like this, such as severity=fatal" })
      .option("jobs", { type: "number", default: 1, describe: "with ndjson, csv, parquet: threads" })
      .option("from", { type: "string", describe: "with ndjson, csv, parquet: pass over this many bytes of each input" })
      .option("strict", { type: "boolean", describe: "with ndjson, csv, parquet: stop at the first damage" })
      .option("out", { type: "string", describe: "with ndjson, csv, parquet: file to write" })
      .example("apei decode record.bin", "what happened, then every field")
      .example("apei decode event.xml --json", "the records of a Windows event log")
      .example("apei decode body.bin --section platformMemory --hex", "a section by itself, byte by byte")
      .example("apei decode block.bin --format linux --arch arm64", "the lines Linux would print")
      .example("apei decode --ndjson --where severity=fatal dump.bin", "millions of records, one a line"),
  handler: async (args, io) => {
    const files = args["files"] as string[];
    const format = formatOf(args);
    if ((BULK as readonly string[]).includes(format)) {
      for (const name of ["as", "section", "dimm"])
        if (args[name] !== undefined) throw new UsageError(`--${name} makes no sense with --format ${format}, which reads records`);
      return inBulk(format as Bulk, files, args, io);
    }
    for (const name of ["select", "where", "strict", "from", "out", "jobs"])
      if (args[name] !== undefined && !(name === "jobs" && args[name] === 1))
        throw new UsageError(`--${name} makes sense only with --format ${BULK.join(", ")}`);
    if (args["dimm"] !== undefined && format !== "linux") throw new UsageError("--dimm makes sense only with --format linux");
    const documents = documentsOf(await registryWith((args["sections"] as string[] | undefined) ?? [], io));
    const view = await VIEWS[format]?.();
    let exit: number = EXIT.fine;
    const list: object[] = [];
    for (const file of files) {
      const input = await readInput(file, io);
      const wanted = { as: args["as"] as string | undefined, section: args["section"] as string | undefined };
      let document = documents.read(input, wanted);
      // The kernel takes anything for a block: what it would complain about is worth knowing.
      if (format === "linux" && document.format.name === "raw" && wanted.as === undefined && isBlockSized(input))
        document = documents.read(input, { as: "status-block" });
      const { findings, took } = document;
      if (findings.length > 0) exit = EXIT.findings;
      if (!view) {
        list.push({
          input: { file, bytes: input.length, took, ...(findings.length > 0 && { findings }) },
          ...documents.toJson(document),
        });
        continue;
      }
      io.stderr.write(`apei: ${file}: taken for ${took}, ${input.length} bytes\n`);
      const count = await writeLines(view.lines(document, args), view.latin1 ? latin1 : (text) => text, io);
      if (count === 0 && format === "linux") io.stderr.write(`apei: ${file}: Linux takes it for an empty block and prints nothing\n`);
    }
    if (!view) io.stdout.write(`${JSON.stringify(files.length === 1 ? list[0] : list, null, 2)}\n`);
    return exit;
  },
};
