/** The worked example of a section type from outside the package. */
import { existsSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import { apei } from "../support/cli.ts";
import { testFolder } from "../support/folder.ts";
import { hex } from "../support/hex.ts";

const project = (path: string) => fileURLToPath(new URL(`../../${path}`, import.meta.url));
const module = project("samples/sections/fan-board.mjs");
const text = project("samples/sections/fan-board.hex");
const folder = testFolder();

/** What the sample's text says, from its comments. */
const BODY = hex`
  03 02 46422d320000  # board and readings valid, two readings, "FB-2"
  00 00 1027 03 02 8403
`;

// The sample imports the package by its name, which leads to the built library.
describe.skipIf(!existsSync(project("dist/layout/index.js")) || !existsSync(module))("--sections", () => {
  test("decodes with a section type of one's own, by name and by GUID", async () => {
    for (const section of ["fanBoard", "7F6A2C9E-31D8-4B57-9C0E-5D1A8E44B210"]) {
      const { exit, out } = await apei(["decode", text, "--sections", module, "--section", section]);
      expect(out).toMatch(/^Fan board error: .*900.*FB-2/);
      expect(exit).toBe(0);
    }
  });
  test("encodes with it, generates it, and prints its schema", async () => {
    const body = join(folder, "fan.bin");
    writeFileSync(body, BODY);
    const { out } = await apei(["decode", body, "--sections", module, "--section", "fanBoard", "--json"]);
    expect((await apei(["encode", "-", "--sections", module], out)).bytes).toEqual(BODY);
    expect((await apei(["encode", "-"], out)).err).toContain('"fanBoard" is none of');
    const record = await apei(["generate", "--sections", module, "--section", "fanBoard"]);
    expect((await apei(["decode", "-", "--sections", module], record.bytes)).out).toMatch(/fan board error/i);
    expect(JSON.parse((await apei(["schema", "section-fan-board", "--sections", module])).out).title).toBe("Fan Board Error");
  });
  test("without it the section is unknown, and still comes back", async () => {
    const record = await apei(["generate", "--sections", module, "--section", "fanBoard"]);
    const { out } = await apei(["decode", "-", "--json"], record.bytes);
    expect((await apei(["encode", "-"], out)).bytes).toEqual(record.bytes);
  });
  test("a module without section types, or one that is not there", async () => {
    const empty = join(folder, "empty.mjs");
    writeFileSync(empty, "export const nothing = 1;\n");
    expect((await apei(["decode", text, "--sections", empty])).err).toContain("exports no section type");
    expect((await apei(["decode", text, "--sections", join(folder, "absent.mjs")])).exit).toBe(2);
  });
});
