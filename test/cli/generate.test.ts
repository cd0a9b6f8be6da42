import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { apei } from "../support/cli.ts";
import { testFolder } from "../support/folder.ts";

const folder = testFolder();

test("records of the sections that were asked for, the same for the same seed", async () => {
  const words = ["generate", "--section", "platformMemory,processorGeneric", "--count", "5", "--seed", "9"];
  const out = join(folder, "records.bin");
  expect(await apei([...words, "--out", out])).toMatchObject({ exit: 0, out: "", err: "" });
  expect((await apei(words)).bytes).toEqual(new Uint8Array(readFileSync(out)));
  const { out: text } = await apei(["decode", out, "--json"]);
  const json = JSON.parse(text);
  expect(json.parts.map((part: { format: string; sections: { kind: string }[] }) => [part.format, ...part.sections.map((section) => section.kind)])).toEqual(
    Array.from({ length: 5 }, () => ["cper", "platformMemory", "processorGeneric"]),
  );
});
test.each<[string[], RegExp]>([
  [["--section", "nothing"], /nothing is no section type; there are .*platformMemory/],
  [["--count", "0"], /--count is a whole number from 1/],
  [["--seed", "-1"], /--seed is a whole number/],
  [["--count", "many"], /--count: wants a number/],
  [["--form", "section"], /wants one --section/],
])("%j fails with a reason", async (words, message) => {
  expect(await apei(["generate", ...words])).toMatchObject({ exit: 2, err: expect.stringMatching(message) });
});
