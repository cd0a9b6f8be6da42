import { describe, expect, test } from "vitest";
import { check, RULES } from "../../src/check/check.ts";
import type { CheckFinding, Profile } from "../../src/check/rule.ts";
import { haveIasl, iaslCompile, iaslDisassemble } from "../support/iasl.ts";
import { describeShared, haveShared, shared, sharedNames, sharedText } from "../support/shared.ts";

const found = (file: string, bytes: Uint8Array, profile: Profile): readonly CheckFinding[] => check([{ file, bytes }], { profiles: [profile] }).findings;
const reported = (file: string, bytes: Uint8Array) => new Set(found(file, bytes, "fwts").map(({ rule }) => rule));
const errors = (file: string, bytes: Uint8Array, profile: Profile) => found(file, bytes, profile).filter(({ severity }) => severity === "error");

/** The names of failed tests in the test suite's output. */
const failedTests = (text: string): string[] =>
  [...text.matchAll(/FAILED \[\w+\] (\w[\w-]*):|(?:CRITICAL|HIGH|MEDIUM|LOW) (\w[\w-]*): Test/g)].map((match) => (match[1] ?? match[2])!);
const rulesFor = (name: string) => RULES.filter((rule) => rule.fwts?.includes(name)).map((rule) => rule.id);

describeShared("whatever the firmware test suite reports, we report", () => {
  const log = (haveShared ? sharedText("guest/logs/40-fwts-iasl.txt") : "").split("\n").filter((line) => line.includes("fwts rc="));
  const captured = log.map((line) => {
    const [signature, name] = line.split(/\s+/) as [string, string];
    const file = `${signature}-${name.replace(/[()]/g, "_")}`;
    return [file, failedTests(line.slice(0, line.indexOf("| iasl"))), /fwts rc=1 -/.test(line)] as const;
  });
  const fileOf = (name: string) => {
    for (const folder of ["captures/tables-good", "captures/tables-bad"]) {
      const match = sharedNames(folder, (file) => file.startsWith(name) && file.endsWith(".dat")).find(
        (file) => file === `${name}.dat` || file.startsWith(`${name}_`) || name.startsWith(file.slice(0, 12)),
      );
      if (match) return shared(folder, match);
    }
    return undefined;
  };
  test.each(captured)("%s: %j", (name, tests, crashed) => {
    const bytes = fileOf(name) ?? fileOf(name.replace(/_$/, ""));
    if (!bytes) return expect.fail(`no file for ${name}`);
    const mine = reported(`${name}.dat`, bytes);
    for (const failed of tests) expect({ failed, mine: [...mine], covered: rulesFor(failed).some((rule) => mine.has(rule)) }).toMatchObject({ covered: true });
    if (crashed) expect(mine.size).toBeGreaterThan(0);
  });

  const separate = [
    ...sharedNames("corpus/acpi-fwts", (name) => name.endsWith(".fwts.txt")).map((name) => ["corpus/acpi-fwts", name] as const),
    ...sharedNames("guest/oracle/hest", (name) => name.endsWith(".fwts.txt")).map((name) => ["guest/oracle/hest", name] as const),
  ].filter(([folder, name]) => sharedNames(folder).includes(name.replace(/\.fwts\.txt$/, ".bin")));
  test.each(separate)("%s/%s", (folder, name) => {
    const file = name.replace(/\.fwts\.txt$/, ".bin");
    const tests = failedTests(sharedText(folder, name));
    const mine = reported(file, shared(folder, file));
    for (const failed of tests) expect({ failed, mine: [...mine], covered: rulesFor(failed).some((rule) => mine.has(rule)) }).toMatchObject({ covered: true });
    // Only those runs tested the checksum too, and not only one table's own test.
    if (folder.startsWith("guest") && tests.length === 0 && /^rc=0/.test(sharedText(folder, name)))
      expect(errors(file, shared(folder, file), "fwts")).toEqual([]);
  });
});

describe.skipIf(!haveIasl || !haveShared)("whatever iasl rejects, we reject", () => {
  const tables = [
    ...["captures/tables-good", "captures/tables-bad"].flatMap((folder) =>
      sharedNames(folder, (name) => name.endsWith(".dat")).map((name) => [folder, name] as const),
    ),
    ...["other", "linuxhw"].flatMap((room) =>
      sharedNames(`corpus/acpi-${room}`, (name) => /(HEST|BERT|ERST|EINJ)\.bin$/.test(name)).map((name) => [`corpus/acpi-${room}`, name] as const),
    ),
    ...sharedNames("guest/oracle/hest", (name) => /^x86-[^.]*\.bin$/.test(name))
      .filter((_, i) => i % 4 === 0)
      .map((name) => ["guest/oracle/hest", name] as const),
  ];
  test.each(tables)("%s/%s", { timeout: 30_000 }, (folder, name) => {
    const bytes = shared(folder, name);
    const { bytes: source, output } = iaslDisassemble(bytes);
    const text = source ? new TextDecoder("latin1").decode(source) : "";
    const compiled = source ? iaslCompile(text) : undefined;
    const rejects = !compiled?.bytes || /Unknown HEST subtable/.test(output + text);
    const mine = errors(name, bytes, "iasl").map(({ rule }) => rule);
    if (rejects) expect(mine, compiled?.output ?? output).not.toEqual([]);
    // Older versions write zero into reserved fields without a word.
    else expect(mine.filter((rule) => rule !== "reserved-not-zero")).toEqual([]);
  });
});

describe("rules", () => {
  test("have an id of their own and say who minds", () => {
    expect(new Set(RULES.map((rule) => rule.id)).size).toBe(RULES.length);
    for (const rule of RULES) {
      expect(rule.id).toMatch(/^[a-z0-9-]+$/);
      expect(Object.keys(rule.consumers).length, rule.id).toBeGreaterThan(0);
      expect(rule.explain.length, rule.id).toBeGreaterThan(20);
    }
  });
});
