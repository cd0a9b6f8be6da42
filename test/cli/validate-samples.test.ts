import { readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import { check } from "../../src/check/check.ts";
import { parseConfig } from "../../src/check/config.ts";
import { apei } from "../support/cli.ts";
import { testFolder } from "../support/folder.ts";

const folder = testFolder();
const sample = (name: string) => fileURLToPath(new URL(`../../samples/${name}`, import.meta.url));

describe("tables from descriptions", () => {
  test.each([
    ["hest", "HEST", 40 + (48 + 2 * 28) + 48 + 64 + 92],
    ["bert", "BERT", 48],
    ["erst-qemu", "ERST", 912],
    ["einj", "EINJ", 48 + 8 * 32],
  ])("samples/tables/%s.json", async (name, signature, size) => {
    const file = join(folder, `${name}.dat`);
    const { exit, out } = await apei(["build", sample(`tables/${name}.json`), "--out", file]);
    expect([exit, out]).toEqual([0, `${signature}: ${size} bytes\n`]);
    const bytes = new Uint8Array(readFileSync(file));
    expect(bytes.length).toBe(size);
    expect(check([{ file, bytes }]).findings.filter(({ severity }) => severity !== "note")).toEqual([]);
  });
  test("from standard input to standard output", async () => {
    const { bytes } = await apei(["build", "-", "--out", "-"], '{"table":"BERT","bootErrorRegionLength":4096,"bootErrorRegion":"0x1000"}');
    expect(String.fromCharCode(...bytes.subarray(0, 4))).toBe("BERT");
    expect(bytes.length).toBe(48);
  });
  test.each([
    ['{"table":"hest"}', /table: "hest" is no signature/],
    ['{"table":"BERT","bootErrorRegionLenght":1}', /bootErrorRegionLenght: the Boot Error Record Table has no such field/],
    ['{"table":"HEST","sources":[{"type":"genericHardwareError","sourceId":70000}]}', /sources\[0\]/],
  ])("%s is refused", async (text, message) => {
    const { exit, err } = await apei(["build", "-", "--out", join(folder, "none.dat")], text);
    expect(exit).toBe(2);
    expect(err).toMatch(message);
  });
});

test("the sample configuration is one", () => {
  expect(parseConfig(readFileSync(sample("ci/apei.config.json"), "utf8"), "apei.config.json").failOn).toBe("error");
});
test("the sample workflow calls commands and options that exist", async () => {
  const workflow = readFileSync(sample("ci/validate-tables.yml"), "utf8");
  const { out } = await apei(["validate", "--help"]);
  for (const [option] of workflow.matchAll(/--(?:config|format|out)\b/g)) expect(out).toContain(option);
});
