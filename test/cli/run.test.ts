import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import { apei } from "../support/cli.ts";
import { testFolder } from "../support/folder.ts";

const sample = fileURLToPath(new URL("../../samples/memory-error.json", import.meta.url));
const folder = testFolder();

describe("run", () => {
  test("the sample: a timeline, what became of the errors, the decoded records", async () => {
    const { exit, out } = await apei(["run", sample]);
    expect(exit).toBe(0);
    expect(out).toContain("source 0: record of 172 bytes at 0x");
    expect(out).toContain("ESR_EL1 0x92000410, FAR_EL1 not valid (FnV)");
    expect(out).toContain("source 0: not acknowledged: record waits as number 1");
    expect(out).toContain("source 0: 2 errors: 2 written\noutcome: the guest goes on");
    expect(out).toContain("    error data\n      validation: physical address, memory error type\n      physical address: 0x48a2d000");
    expect((await apei(["run", sample, "--brief"])).out).not.toContain("error data\n");
  });
  test("JSON", async () => {
    const json = JSON.parse((await apei(["run", sample, "--json"])).out);
    expect(json).toMatchObject({ outcome: "running", isolatedPages: ["0x48a2d", "0x49b3e"], accounts: { 0: { submitted: 2, written: 2 } } });
    expect(json.records[0].block.entries[0].body.physicalAddress).toBe("0x48a2d000");
    expect(json.timeline.find(({ what }: { what: string }) => what === "delivered").data).toMatchObject({
      type: "sea",
      vcpu: 0,
      ESR_EL1: "0x92000410",
      FAR_EL1: null,
    });
  });
  test("a drawing, whole or not at all", async () => {
    const file = join(folder, "run.svg");
    await apei(["run", sample, "--svg", file]);
    expect(readFileSync(file, "utf8")).toMatch(/^<svg [\s\S]*<\/svg>\n$/);
    const missing = await apei(["run", join(folder, "none.json"), "--svg", join(folder, "no.svg")]);
    expect(missing.exit).toBe(2);
    expect(readdirSync(folder)).toEqual(["run.svg"]);
  });
  test("errors name file and member", async () => {
    const { exit, err } = await apei(["run", "-"], '{"name":"x","events":[{"at":1,"sigbus":{"code":"required"}}]}');
    expect(exit).toBe(2);
    expect(err).toContain('-: events[0].sigbus.code: "required" is none of actionRequired, actionOptional');
  });
});
