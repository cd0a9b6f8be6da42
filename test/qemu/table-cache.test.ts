import { readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { buildTable } from "../../src/acpi/build-tables.ts";
import { PLATFORMS, type Platform } from "../../src/qemu/platform.ts";
import { keepTables, keptTables, tableFile } from "../../src/qemu/table-cache.ts";
import { testFolder } from "../support/folder.ts";

const folder = testFolder();
const TABLES = [buildTable("DSDT", { body: "0102" }), buildTable("FACP", { body: "00".repeat(240) })];

describe("tables of a machine", () => {
  test("are kept and found again, in a folder that is made", () => {
    const file = join(folder, "made", "tables");
    expect(keptTables(file)).toBeUndefined();
    keepTables(file, TABLES);
    expect(keptTables(file)).toEqual(TABLES);
    expect(readdirSync(join(folder, "made"))).toEqual(["tables"]);
  });

  test.each([
    ["empty", new Uint8Array(0)],
    ["cut", TABLES[1]!.slice(0, 100)],
    ["no tables", new Uint8Array(64)],
  ])("a file that is %s counts as none", (name, bytes) => {
    const file = join(folder, name);
    writeFileSync(file, bytes);
    expect(keptTables(file)).toBeUndefined();
  });

  test("a cache that cannot be written is none", () => {
    writeFileSync(join(folder, "file"), "");
    expect(() => keepTables(join(folder, "file", "tables"), TABLES)).not.toThrow();
  });

  test("another program, machine or device has tables of its own", async () => {
    const program = join(folder, "qemu");
    writeFileSync(program, "#!/bin/sh\n", { mode: 0o755 });
    const platform: Platform = { ...PLATFORMS.seabios, program };
    const name = () => tableFile(folder, platform, "");
    const first = await name();
    expect(await name()).toBe(first);
    expect(await tableFile(folder, platform, "acpi-erst")).not.toBe(first);
    expect(await tableFile(folder, { ...platform, machineType: "pc" }, "")).not.toBe(first);
    writeFileSync(program, "#!/bin/sh\n# newer\n", { mode: 0o755 });
    expect(await name()).not.toBe(first);
  });
});
