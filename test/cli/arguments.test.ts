import { describe, expect, test } from "vitest";
import { Arguments } from "../../src/cli/arguments.ts";
import { readArguments } from "../../src/cli/read-arguments.ts";
import { readThroughYargs } from "../../src/cli/yargs.ts";
import { apei } from "../support/cli.ts";

const wanted = () =>
  new Arguments()
    .positional("file", { type: "string", demandOption: true, describe: "what to read" })
    .positional("more", { type: "string", array: true, describe: "what else" })
    .option("out", { type: "string", alias: "o", describe: "where to" })
    .option("block-length", { type: "number", default: 4096, describe: "bytes" })
    .option("kind", { type: "string", choices: ["one", "two"], describe: "which" })
    .option("only", { type: "string", array: true, describe: "these" })
    .option("force", { type: "boolean", describe: "do it", conflicts: "kind" })
    .option("place", { type: "string", describe: "there", implies: "out" })
    .check((args) => args["file"] !== "never" || "never is never right");

const row = { usage: "do <file> [more..]", summary: "do it" };
/** The fast lane and yargs itself must agree wherever the fast lane has an answer. */
const lanes: readonly [string, typeof readArguments][] = [
  ["without yargs", readArguments],
  ["through yargs", readThroughYargs],
];

describe.each(lanes)("arguments %s", (_name, read) => {
  test("positionals, options in all their spellings, defaults", async () => {
    expect(await read(row, wanted(), ["a", "--out=b", "c", "--block-length", "12", "--only", "x", "--only=y", "d"])).toMatchObject({
      file: "a",
      more: ["c", "d"],
      out: "b",
      "block-length": 12,
      blockLength: 12,
      only: ["x", "y"],
    });
    expect(await read(row, wanted(), ["-o", "b", "-"])).toMatchObject({ file: "-", out: "b", "block-length": 4096 });
    if (read === readArguments) expect(await read(row, wanted(), ["--", "--out"])).toMatchObject({ file: "--out" });
    // An address above 2^53 stays what it was.
    expect(await read(row, wanted(), ["a", "-o", "b", "--place", "0x8000000000000001"])).toMatchObject({ place: "0x8000000000000001" });
    expect(Object.keys((await read(row, wanted(), ["a"])) as object).sort()).toEqual(["block-length", "blockLength", "file"]);
    expect(await read(row, wanted(), ["a", "--no-force"])).toMatchObject({ force: false });
  });
  test.each<[string[], RegExp]>([
    [[], /Not enough non-option arguments/],
    [["a", "--ou", "b"], /Unknown argument: ou; did you mean --out\?/],
    [["a", "--out"], /Not enough arguments following: out/],
    [["a", "--out", "b", "--out", "c"], /--out is given twice/],
    [["a", "--block-length", "many"], /--block-length: wants a number/],
    [["a", "--kind", "three"], /Argument: kind, Given: "three", Choices: "one", "two"/],
    [["a", "--force", "--kind", "one"], /Arguments force and kind are mutually exclusive/],
    [["a", "--place", "x"], /place -> out/],
    [["never"], /never is never right/],
  ])("%j is refused", async (words, message) => {
    await expect(read(row, wanted(), words)).rejects.toThrow(message);
  });
  test("one word too many", async () => {
    const one = { usage: "do [file]", summary: "do it" };
    await expect(read(one, new Arguments().positional("file", { type: "string", describe: "f" }), ["a", "b"])).rejects.toThrow("Unknown argument: b");
  });
  test("help names everything", async () => {
    const text = await read(row, wanted(), ["--help"]);
    for (const word of ["apei do <file> [more..]", "--block-length", "[default: 4096]", '[choices: "one", "two"]', "-o, --out", "what to read", "Exit codes"])
      expect(text).toContain(word);
  });
});

describe("apei", () => {
  test("lists its commands, and says what one takes", async () => {
    expect((await apei(["--help"])).out).toMatch(/decode <files\.\.>.*\n[\s\S]*Exit codes: 0 fine/);
    const help = await apei(["decode", "--help"]);
    expect(help).toMatchObject({ exit: 0, err: "" });
    expect(help.out).toContain("--section");
    expect((await apei(["help", "decode"])).out).toBe(help.out);
  });
  test("without a command, or with a wrong one, it fails with a reason", async () => {
    expect(await apei([])).toMatchObject({ exit: 2, out: "", err: expect.stringContaining("name a command") });
    expect((await apei(["--nothing"])).exit).toBe(2);
  });
});
