/** Captured hand-offs: what QEMU itself makes, read before and after its firmware, and what our models make of it. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { readScenario } from "../../src/scenario/read.ts";
import { apei } from "../support/cli.ts";
import { testFolder } from "../support/folder.ts";
import { describeOn, expectPredicted, runOn } from "./support.ts";

const work = testFolder();
const environment = process.env as Record<string, string>;

describeOn("seabios")("a PC's hand-off", () => {
  test("is captured before and after the firmware, which programs what MCFG tells of", async () => {
    const { out, exit } = await apei(["qemu", "capture", "--firmware", "seabios", "--when", "both", "--out", work, "--json"], "", environment);
    expect(exit).toBe(0);
    const [before, after] = out
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line) as { folder: string; tables: string[] });
    expect(before!.tables).not.toContain("MCFG");
    expect(after!.tables).toEqual(["FACS", "DSDT", "FACP", "APIC", "HPET", "MCFG", "WAET"]);
    const booted = await apei(["boot", after!.folder, "--firmware", "seabios", "--json"]);
    expect(booted.exit).toBe(0);
    expect(JSON.parse(booted.out)).toMatchObject({ state: "acpi", listing: expect.arrayContaining(["MCFG", "WAET"]) });
    const same = join(after!.folder, "etc", "table-loader");
    expect((await apei(["diff", same, same])).exit).toBe(0);
  });
});

describeOn("aavmf")("an arm64 machine with RAS", () => {
  test("hands over QEMU's own HEST, and the firmware has written an address back", async () => {
    const folder = join(work, "ras");
    const { exit } = await apei(["qemu", "capture", "--firmware", "aavmf", "--machine", "virt,ras=on,gic-version=3", "--out", folder], "", environment);
    expect(exit).toBe(0);
    const manifest = JSON.parse(readFileSync(join(folder, "manifest.json"), "utf8")) as { files: Record<string, { writable?: boolean }> };
    const [pointer] = Object.keys(manifest.files).filter((name) => name === "etc/hardware_errors_addr" || name === "etc/acpi_table_hest_addr");
    expect(manifest.files[pointer!]).toMatchObject({ writable: true, size: 8 });
    expect(readFileSync(join(folder, ...pointer!.split("/"))).readBigUInt64LE()).toBeGreaterThan(0x4000_0000n);
    const booted = await apei(["boot", folder, "--firmware", "aavmf", "--json"]);
    expect(JSON.parse(booted.out)).toMatchObject({ state: "acpi", errorSources: [{ id: 0, notification: "sea" }], writtenPointers: [{ file: pointer }] });
  });

  test("the project's first scenario, two pages that go bad, runs for real", async () => {
    const file = fileURLToPath(new URL("../../samples/memory-error.json", import.meta.url));
    const result = await runOn("aavmf", await readScenario(readFileSync(file, "utf8")));
    expectPredicted(result);
    expect(result.records).toHaveLength(2);
    expect(result.records[0]?.lines.at(-1)?.text).toMatch(/^Memory failure: 0x48a2d: recovery action/);
  });

  test("a record of any sections, built from its fields, runs for real", async () => {
    const result = await runOn("aavmf", {
      name: "own sections",
      monitor: { preset: "qemu-10.2", recording: { stores: "statusLast" } },
      events: [
        {
          at: 0,
          record: {
            source: 1,
            severity: "corrected",
            sections: [
              { kind: "platformMemory", fruText: "DIMM 0", body: { physicalAddress: "0x48a2d000", node: 1, memoryErrorType: "singleBitEcc" } },
              { kind: "processorGeneric", body: { processorType: "arm", instructionSet: "a64" } },
            ],
          },
        },
      ],
    });
    expectPredicted(result);
    expect(result.records[0]?.acknowledgedAfter).toBeDefined();
  });
});
