import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import { apei } from "../support/cli.ts";
import { testFolder } from "../support/folder.ts";

const wrapped = fileURLToPath(new URL("../input/wrapped/", import.meta.url));
const folder = testFolder();
const record = new Uint8Array(readFileSync(join(wrapped, "record.bin")));
const file = (name: string, bytes: Uint8Array) => {
  writeFileSync(join(folder, name), bytes);
  return join(folder, name);
};
const changed = (changes: Readonly<Record<number, number>>) => {
  const out = record.slice();
  for (const [at, byte] of Object.entries(changes)) out[Number(at)] = byte;
  return out;
};

describe("diff", () => {
  test("a record and a hex dump of it are the same", async () => {
    expect(await apei(["diff", join(wrapped, "record.bin"), join(wrapped, "xxd.txt")])).toMatchObject({ exit: 0, out: "" });
  });
  test("changed fields by name", async () => {
    // Severity at 12 (UEFI 2.11 N.2.1), low byte of the physical address at 200 + 16 (N.2.5).
    const other = file("other.bin", changed({ 12: 1, 216: 0x40 }));
    const { exit, out } = await apei(["diff", join(wrapped, "record.bin"), other]);
    expect(exit).toBe(1);
    expect(out).toBe("~ header.severity: corrected → fatal\n~ sections[0].body.physicalAddress: 0x12345000 → 0x12345040\n");
  });
  test("bits that are set on one side only, as JSON", async () => {
    // Bit 0 of the header's validation at 16: platform id.
    const other = file("bits.bin", changed({ 16: 3 }));
    const { out } = await apei(["diff", join(wrapped, "record.bin"), other, "--json"]);
    expect(JSON.parse(out)).toEqual([{ path: "header.validation.platformId", second: true }]);
    expect((await apei(["diff", join(wrapped, "record.bin"), other])).out).toBe("+ header.validation.platformId: true\n");
  });
  test("a record more in the middle", async () => {
    const second = changed({ 96: 2 });
    const one = file("two.bin", Uint8Array.from([...record, ...changed({ 96: 3 })]));
    const two = file("three.bin", Uint8Array.from([...record, ...second, ...changed({ 96: 3 })]));
    const { out } = await apei(["diff", one, two]);
    expect(out.split("\n").filter((line) => line !== "")).toHaveLength(1);
    expect(out).toMatch(/^\+ \[1\]: \{"format":"cper"/);
  });
  test("different formats", async () => {
    const { out } = await apei(["diff", join(wrapped, "record.bin"), join(wrapped, "hest.bin")]);
    expect(out).toContain("~ format: cper → hest\n");
  });
});
