import { describe, expect, test } from "vitest";
import { Arguments, helpText, parseArguments } from "../../src/cli/arguments.ts";
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

describe("arguments", () => {
  test("positionals, options in all their spellings, defaults", () => {
    expect(parseArguments(wanted(), ["a", "--out=b", "c", "--block-length", "12", "--only", "x", "--only=y", "d", "--no-force"])).toEqual({
      file: "a",
      more: ["c", "d"],
      out: "b",
      "block-length": 12,
      blockLength: 12,
      only: ["x", "y"],
      force: false,
    });
    expect(parseArguments(wanted(), ["-o", "b", "-"])).toMatchObject({ file: "-", out: "b", "block-length": 4096 });
    expect(parseArguments(wanted(), ["--", "--out"])).toMatchObject({ file: "--out" });
    // An address above 2^53 stays what it was.
    expect(parseArguments(wanted(), ["a", "-o", "b", "--place", "0x8000000000000001"])).toMatchObject({ place: "0x8000000000000001" });
  });
  test.each<[string[], string]>([
    [[], "<file> is missing: what to read"],
    [["a", "--ou", "b"], "there is no option --ou; did you mean --out?"],
    [["a", "--out"], "--out wants a value"],
    [["a", "--out", "b", "--out", "c"], "--out is given twice"],
    [["a", "--block-length", "many"], '--block-length: "many" is no number'],
    [["a", "--kind", "three"], '--kind: "three" is none of one, two'],
    [["a", "--force", "--kind", "one"], "--force and --kind cannot be given together"],
    [["a", "--place", "x"], "--place makes sense only with --out"],
    [["a", "--force=maybe"], "--force takes no value"],
    [["never"], "never is never right"],
  ])("%j is refused", (words, message) => {
    expect(() => parseArguments(wanted(), words)).toThrow(message);
  });
  test("one word too many", () => {
    expect(() => parseArguments(new Arguments().positional("file", { type: "string", describe: "f" }), ["a", "b"])).toThrow('"b" is one word too many');
  });
  test("help names everything", () => {
    const text = helpText("do <file> [more..]", "do it", wanted());
    for (const word of ["<file>", "--block-length <number>", "(default 4096)", "--kind <one|two>", "-o, --out", "may be given several times"])
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
