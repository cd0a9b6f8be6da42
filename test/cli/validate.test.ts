import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, describe, expect, test } from "vitest";
import { buildTable } from "../../src/acpi/build-tables.ts";
import { apei } from "../support/cli.ts";
import { testFolder } from "../support/folder.ts";

const folder = testFolder();
const put = (name: string, bytes: Uint8Array | string) => {
  writeFileSync(join(folder, name), bytes);
  return join(folder, name);
};
/** Files that are there before all tests. */
const files = new Map<string, Uint8Array | string>();
const given = (name: string, bytes: Uint8Array | string) => {
  files.set(name, bytes);
  return join(folder, name);
};
beforeAll(() => {
  for (const [name, bytes] of files) put(name, bytes);
});
const bert = buildTable("BERT", { bootErrorRegionLength: 4, bootErrorRegion: "0x1000" });
const bad = given("BERT.dat", bert);
const odd = given("odd.dat", buildTable("BERT", { header: { revision: 7 }, bootErrorRegionLength: 4096, bootErrorRegion: "0x1000" }));
const good = given("good.dat", buildTable("BERT", { bootErrorRegionLength: 4096, bootErrorRegion: "0x1000" }));
const sea = given(
  "HEST.dat",
  buildTable("HEST", {
    sources: [
      {
        type: "genericHardwareErrorV2",
        sourceId: 0,
        errorStatusAddress: { address: "0x1000" },
        notification: { type: "sea" },
        errorStatusBlockLength: 1024,
        readAckRegister: { address: "0x1008" },
        readAckPreserve: "0xfffffffffffffffe",
        readAckWrite: "0x1",
      },
    ],
  }),
);

describe("exit codes", () => {
  test.each([
    [[good], 0],
    [[bad], 1],
    [[odd], 0],
    [[odd, "--fail-on", "warning"], 1],
    [[bad, "--ignore", "bert-region-length"], 0],
    [[bad, "--profile", "seabios,edk2"], 0],
    [[bad, "--profile", "spec", "--profile", "linux"], 1],
    [[], 2],
    [[join(folder, "missing.dat")], 2],
    [[given("text.txt", "hello")], 2],
    [[bad, "--profile", "windows"], 2],
    [[bad, "--ignore", "nonsense"], 2],
    [["--explain", "nonsense"], 2],
    [["--explain", "hest-count"], 0],
  ] as [string[], number][])("%j", async (words, code) => {
    const { exit, err } = await apei(["validate", ...words]);
    expect({ exit, err: code === 2 ? err.startsWith("apei: ") : err }).toEqual({ exit: code, err: code === 2 ? true : "" });
  });
});

describe("what is said", () => {
  test("standard input", async () => {
    const { out, exit } = await apei(["validate", "-"], bert);
    expect(out).toContain("-\n  error BERT at 0x24, bootErrorRegionLength");
    expect(exit).toBe(1);
  });
  test("the kernel's own words", async () => {
    const { out } = await apei(["validate", sea, "--profile", "linux"]);
    expect(out).toContain(
      `Linux 7.2 on arm64, ${sea}:\n  HEST: Table parsing has been initialized.\n  GHES: Failed to enable APEI firmware first mode.\n  # GHES.0: driver bound\n`,
    );
    const x86 = await apei(["validate", sea, "--profile", "linux", "--arch", "x86", "--kernel", "6.1"]);
    expect(x86.out).toContain("Linux 6.1 on x86");
    expect(x86.out).toContain("  GHES: Generic hardware error source: 0 notified via SEA is not supported\n");
    expect(x86.exit).toBe(1);
  });
  test("EDK2 drops a table with a wrong checksum before Linux sees it", async () => {
    const bytes = new Uint8Array(readFileSync(sea));
    bytes[9] = (bytes[9]! + 1) & 255;
    const broken = put("broken.dat", bytes);
    expect((await apei(["validate", broken, "--profile", "linux", "--firmware", "aavmf"])).out).toContain("(finds no HEST and says nothing)");
    expect((await apei(["validate", broken, "--profile", "linux", "--firmware", "seabios"])).out).toContain(
      "ACPI BIOS Warning (bug): Incorrect checksum in table [HEST]",
    );
  });
  test("an acpidump text is taken apart", async () => {
    const row = (at: number) => {
      const part = bert.subarray(at, at + 16);
      const hex = Array.from(part, (byte) => byte.toString(16).toUpperCase().padStart(2, "0")).join(" ");
      return `    ${at.toString(16).toUpperCase().padStart(4, "0")}: ${hex}  ${String.fromCharCode(...part).replace(/[^ -~]/g, ".")}`;
    };
    const text = `BERT @ 0x0000000000000000\n${[0, 16, 32].map(row).join("\n")}\n\n`;
    const { out, exit } = await apei(["validate", put("machine.acpidump", text)]);
    expect(out).toContain("error BERT at 0x24, bootErrorRegionLength");
    expect(exit).toBe(1);
  });
  test("JSON holds findings, verdicts and counts", async () => {
    const { out } = await apei(["validate", bad, sea, "--json"]);
    const json = JSON.parse(out);
    expect(json).toMatchObject({ failOn: "error", failed: true, counts: { error: 1 }, inputs: [{ kind: "BERT" }, { kind: "HEST" }] });
    expect(json.kernels[0]).toMatchObject({ enabled: true, sources: [{ id: 0, bound: true }] });
  });
  test("a folder is walked; what is nothing known is passed over", async () => {
    mkdirSync(join(folder, "sub", "inner"), { recursive: true });
    put("sub/inner/B.dat", bert);
    put("sub/readme.txt", "hello");
    const { out } = await apei(["validate", join(folder, "sub")]);
    expect(out).toContain("readme.txt: not a table");
    expect(out).toContain("1 input checked: 1 error");
    mkdirSync(join(folder, "empty"));
    expect((await apei(["validate", join(folder, "empty")])).err).toContain("nothing to check in there");
  });
  test("reports go to a file", async () => {
    const file = join(folder, "apei.sarif");
    const { out, exit } = await apei(["validate", bad, "--format", "sarif", "--out", file]);
    expect([out, exit]).toEqual(["", 1]);
    expect(JSON.parse(readFileSync(file, "utf8")).runs[0].results).toHaveLength(1);
    expect((await apei(["validate", bad, "--format", "junit"])).out).toContain('failures="1"');
  });
  test("a configuration file", async () => {
    const config = put("config.json", JSON.stringify({ failOn: "warning", ignore: [{ rule: "bert-region-length", file: "BERT.dat", reason: "on purpose" }] }));
    expect((await apei(["validate", bad, "--config", config])).exit).toBe(0);
    expect((await apei(["validate", odd, "--config", config])).exit).toBe(1);
    expect((await apei(["validate", odd, "--config", config, "--fail-on", "error"])).exit).toBe(0);
    expect((await apei(["validate", bad, "--config", put("broken.json", '{"ignroe":[]}')])).err).toContain('no member "ignroe" is known');
  });
  test("all rules are listed", async () => {
    const { out } = await apei(["validate", "--explain", "all"]);
    expect(out.split("\n").length).toBeGreaterThan(40);
    expect(out).toContain("hest-count                   The source count is wrong");
  });
});
