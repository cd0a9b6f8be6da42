/** The example in the README does what it says. */
import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import * as apei from "../../src/index.ts";

test("the error source device of the README", () => {
  const readme = readFileSync(new URL("../../README.md", import.meta.url), "utf8");
  const code = readme.slice(readme.indexOf("import { boot, buildHandOff, host }"));
  const body = code.slice(code.indexOf("\n"), code.indexOf("```"));
  const lines: string[][] = [];
  new Function("boot", "buildHandOff", "host", "console", body)(apei.boot, apei.buildHandOff, apei.host, { log: (...words: string[]) => lines.push(words) });
  expect(lines[0]![0]).toBe("written");
  expect(lines[0]![1]).toMatch(/^source 0: record of 172 bytes at 0x4f/);
  expect(lines.at(-1)).toEqual(["written", "queued"]);
});
