/** The library example in the README does what it says. */
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import * as apei from "../../src/index.ts";

const file = (path: string) => fileURLToPath(new URL(path, import.meta.url));

test("the example runs", () => {
  const text = readFileSync(file("../../README.md"), "utf8");
  const code = [...text.matchAll(/```ts\n([\s\S]*?)```/g)].map((match) => match[1]!).find((example) => example.includes("readDocument"))!;
  const [imports, ...rest] = code.trim().split("\n");
  const names = /import \{ (.*) \} from "apei";/.exec(imports!)![1]!.split(", ");
  const said: unknown[] = [];
  const body = new Function("bytes", "console", ...names, `${rest.join("\n")}\nreturn changed;`);
  const bytes = new Uint8Array(readFileSync(file("./wrapped/record.bin")));
  const changed = body(
    bytes,
    { log: (...words: unknown[]) => said.push(words.join(" ")) },
    ...names.map((name) => new Map<string, unknown>(Object.entries(apei)).get(name)),
  ) as Uint8Array;
  expect(said[0]).toBe("common platform error record");
  expect(said[1]).toMatch(/^Corrected platform memory error, single-bit ECC, /i);
  // Severity at 12 (UEFI 2.11 N.2.1): corrected is 2, fatal 1. All else is as it was.
  const wanted = bytes.slice();
  wanted[12] = 1;
  expect(changed).toEqual(wanted);
});
