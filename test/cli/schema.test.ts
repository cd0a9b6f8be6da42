import { readdirSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { apei } from "../support/cli.ts";

const folder = fileURLToPath(new URL("../../schemas/", import.meta.url));
const SUFFIX = ".schema.json";

test("without a name every schema of the package is listed, those of what people write too", async () => {
  const { out, exit } = await apei(["schema"]);
  const shipped = readdirSync(folder).map((name) => name.slice(0, -SUFFIX.length));
  expect(out.trimEnd().split("\n").sort()).toEqual(shipped.sort());
  expect(exit).toBe(0);
});
test.each(["scenario", "build-description", "section-platform-memory", "hest", `cper${SUFFIX}`])("%s is printed as it is shipped", async (name) => {
  const { out, exit } = await apei(["schema", name]);
  expect(out).toBe(readFileSync(`${folder}${name.replace(SUFFIX, "")}${SUFFIX}`, "utf8"));
  expect(exit).toBe(0);
});
test("a name that is none", async () => {
  const { err, exit } = await apei(["schema", "toString"]);
  expect(err).toMatch(/there is no schema toString; apei schema lists them/);
  expect(exit).toBe(2);
});
