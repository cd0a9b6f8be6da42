/** What the model prints against what real kernels printed for the same blocks, line for line. */
import { describe, expect, test } from "vitest";
import { type KernelVersion, linuxReport } from "../../src/guest/report/report.ts";
import { describeShared, haveShared, shared, sharedText } from "../support/shared.ts";

const ORACLE = "guest/oracle/report";
const latin1 = (bytes: Uint8Array) => Buffer.from(bytes).toString("latin1");
const linesOf = (bytes: Uint8Array) => latin1(bytes).replace(/\n$/, "").split("\n");

/** The kernel reads a byte past these blocks; the next block of the region lay right behind them. */
const READ_PAST: Readonly<Record<string, string>> = {
  "x86-7.2-fw-rev2-len31": "x86-7.2-fw-rev0-len17",
  "x86-6.1-fw-rev2-len31": "x86-6.1-fw-rev0-len17",
};
const blockOf = (name: string) => {
  const next = READ_PAST[name];
  return Buffer.concat([shared(ORACLE, `${name}.bin`), next === undefined ? Buffer.alloc(0) : shared(ORACLE, `${next}.bin`)]);
};

const cases = (haveShared ? sharedText(ORACLE, "manifest.tsv").trimEnd().split("\n") : []).map((row) => {
  const [name = "", version, architecture, path] = row.split("\t");
  return {
    name,
    version: version as KernelVersion,
    architecture: architecture === "arm64" ? ("arm64" as const) : ("x86" as const),
    path: path === "GHES" ? ("ghes" as const) : ("bert" as const),
  };
});

describeShared("recorded reports", () => {
  test("are all there", () => expect(cases).toHaveLength(399));

  for (const group of new Set(cases.map(({ name }) => name.split("-").slice(0, 3).join("-"))))
    describe(group, () => {
      test.each(cases.filter(({ name }) => name.split("-").slice(0, 3).join("-") === group))("$name", ({ name, version, architecture, path }) => {
        const expected = linesOf(shared(ORACLE, `${name}.log`));
        const sequence = Number(/^\{(\d+)\}/.exec(expected[0]!)?.[1] ?? 1);
        expect(linuxReport(blockOf(name), { version, architecture, path, sequence })).toEqual(expected);
      });
    });
});
