import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { check } from "../../src/check/check.ts";
import { describeShared, shared, sharedNames } from "../support/shared.ts";

/** Each line: table, severity, rule, field, and why the finding is true. Notes are not listed. */
const golden = readFileSync(fileURLToPath(new URL("real-tables.tsv", import.meta.url)), "utf8")
  .trimEnd()
  .split("\n")
  .map((line) => line.split("\t"));

describeShared("tables of real machines and generators", () => {
  const found = ["fwts", "hackintosh", "linuxhw", "other", "qemu", "surface"]
    .map((room) => `corpus/acpi-${room}`)
    .flatMap((folder) =>
      sharedNames(folder, (name) => name.endsWith(".bin")).flatMap((name) =>
        check([{ file: name, bytes: shared(folder, name) }])
          .findings.filter(({ severity }) => severity !== "note")
          .map(({ severity, rule, path }) => [name, severity, rule, path]),
      ),
    );
  test("have the known findings and no others", () => {
    expect(found).toEqual(golden.map((row) => row.slice(0, 4)));
  });
  test("every known finding has a reason", () => {
    for (const row of golden) expect(row[4]?.length, row.join(" ")).toBeGreaterThan(10);
  });
});

describeShared("tables and hand-offs of QEMU", () => {
  const machines = sharedNames("captures", (name) => /^(q35|virt)/.test(name));
  test.each(machines)("%s: no error and no warning", (machine) => {
    const inputs = [`captures/${machine}`, `captures/${machine}/tables`].flatMap((folder) =>
      sharedNames(folder, (name) => /^etc_|\.dat$/.test(name)).map((name) => ({ file: `${folder}/${name}`, bytes: shared(folder, name) })),
    );
    const { findings, kernels } = check(inputs);
    expect(findings.filter(({ severity }) => severity !== "note")).toEqual([]);
    for (const kernel of kernels) expect(kernel.sources.every(({ bound }) => bound)).toBe(true);
    expect(kernels.length).toBe(machine.includes("-ras-") ? 2 : 0);
  });
});
