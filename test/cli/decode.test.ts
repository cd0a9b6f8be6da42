import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import { apei } from "../support/cli.ts";
import { testFolder } from "../support/folder.ts";
import { hex } from "../support/hex.ts";

/** A record as UEFI 2.11 N.2 lays it out: one platform memory section of the old 73 bytes. */
const RECORD = hex`
  43504552 0101 ffffffff 0100 02000000 02000000 11010000  # signature, revision, end, 1 section, corrected, timestamp valid, 273 bytes
  0100120005070320                                        # 2003-07-05 12:00:01, see the digits: seconds first
  00000000000000000000000000000000 00000000000000000000000000000000
  00000000000000000000000000000000 00000000000000000000000000000000
  0100000000000000 00000000 0000000000000000 000000000000000000000000
  c8000000 49000000 0003 02 00 01000000 1411bca5646fde4eb8633e83ed7c83b1   # offset 200, 73 bytes, FRU text valid, primary, platform memory
  00000000000000000000000000000000 02000000 43707530000000000000000000000000000000 00
  0240000000000000 0000000000000000 0050341200000000 0000000000000000      # valid: address, type; address 0x12345000
  0000 0000 0000 0000 0000 0000 0000 0000 0000000000000000 0000000000000000 0000000000000000
  02                                                       # single-bit ECC
`;
const wrapped = fileURLToPath(new URL("../input/wrapped/", import.meta.url));
const folder = testFolder();
const file = (name: string, content: Uint8Array | string) => {
  writeFileSync(join(folder, name), content);
  return join(folder, name);
};

describe("decode and encode", () => {
  test("one line first, then the tree; what it was taken for on stderr", async () => {
    const { exit, out, err } = await apei(["decode", file("record.bin", RECORD)]);
    expect(out.split("\n")[0]).toMatch(/^Corrected platform memory error, single-bit ECC, physical address 0x12345000, FRU 'Cpu0'$/i);
    expect(out).toMatch(/\nsection 0: Platform memory error\n/i);
    expect(err).toMatch(/record\.bin: taken for common platform error record, 273 bytes/);
    expect(exit).toBe(0);
  });
  test("a section whose layout is second-hand says so, in a record, in a block and alone", async () => {
    const gb10 = hex`4b3f1e3c 1a1e df43 af28 59820e958e3c`; // 3c1e3f4b-1e1a-43df-af28-59820e958e3c
    const record = RECORD.slice();
    record.set(gb10, 144); // UEFI 2.11 N.2.2: descriptor + 16
    expect((await apei(["decode", "-"], record)).out).toMatch(/\nsection 0: MediaTek\/NVIDIA GB10 error \(layout from second-hand sources\)\n/);
    const block = hex`
      12000000 00000000 00000000 4c000000 02000000   # corrected, 1 entry of 76 bytes
      4b3f1e3c1a1edf43af2859820e958e3c 02000000 0003 00 00 04000000 00000000000000000000000000000000 0000000000000000000000000000000000000000 0000000000000000
      01020304
    `;
    expect((await apei(["decode", "-"], block)).out).toMatch(/\ndata entry 0: MediaTek\/NVIDIA GB10 error \(layout from second-hand sources\)\n/);
    expect((await apei(["decode", "-", "--section", "gb10"], hex`01020304`)).out).toMatch(/\nsection: MediaTek\/NVIDIA GB10 error \(layout from second-hand/);
  });
  test("control characters of a record do not reach the terminal", async () => {
    const bytes = RECORD.slice();
    bytes.set([0x1b, 0x5b, 0x32, 0x4a], 252); // FRU text (UEFI 2.11 N.2.2: descriptor + 52) that would clear the screen
    for (const words of [[], ["--hex"]]) expect((await apei(["decode", "-", ...words], bytes)).out).not.toContain("\u001b");
  });
  test("JSON back to the same bytes, from standard input to a file", async () => {
    const { out } = await apei(["decode", "-", "--json"], RECORD);
    expect(JSON.parse(out).input).toMatchObject({ file: "-", bytes: 273, took: "common platform error record" });
    const target = join(folder, "again.bin");
    expect(await apei(["encode", "-", "--out", target], out)).toMatchObject({ exit: 0, out: "" });
    expect(new Uint8Array(readFileSync(target))).toEqual(RECORD);
  });
  test("lines of JSON and back", async () => {
    const { out, err } = await apei(["decode", "-", "--ndjson"], Uint8Array.from([...RECORD, ...RECORD]));
    expect(out.trimEnd().split("\n")).toHaveLength(2);
    expect(err).toContain("2 records");
    expect((await apei(["encode", "-", "--ndjson"], out)).bytes).toEqual(Uint8Array.from([...RECORD, ...RECORD]));
  });
  test("the lines Linux prints", async () => {
    const { out } = await apei(["decode", "-", "--format", "linux"], RECORD);
    expect(out).toContain("physical_address: 0x0000000012345000");
    expect((await apei(["decode", join(wrapped, "hest.bin"), "--format", "linux"])).err).toContain(
      "Linux reports error status blocks and records, not hardware error source table",
    );
  });
  test.runIf(process.platform === "linux")("a folder that cannot be made", async () => {
    const { out } = await apei(["decode", "-", "--json"], RECORD);
    expect(await apei(["encode", "-", "--out", "/proc/none/again.bin"], out)).toMatchObject({
      exit: 2,
      err: expect.stringContaining("/proc/none/again.bin: "),
    });
  });
  test("several files make a list", async () => {
    const one = file("one.bin", RECORD);
    expect(JSON.parse((await apei(["decode", one, one, "--json"])).out)).toHaveLength(2);
  });
  test("every byte once in the hex view", async () => {
    const { out } = await apei(["decode", file("record.bin", RECORD), "--hex"]);
    const bytes = out
      .split("\n")
      .flatMap((line) => /^[0-9a-f]{4,} {2}((?:[0-9a-f]{2} )*[0-9a-f]{2})(?: |$)/.exec(line)?.[1]?.split(" ") ?? [])
      .map((pair) => Number.parseInt(pair, 16));
    expect(new Uint8Array(bytes)).toEqual(RECORD);
    expect(out).toContain("sections[0].body.physicalAddress = 0x12345000");
  });
  test("a bare section by name or GUID", async () => {
    const body = file("body.bin", RECORD.slice(200));
    for (const name of ["platformMemory", "A5BC1114-6F64-4EDE-B863-3E83ED7C83B1"])
      expect((await apei(["decode", body, "--section", name])).out).toMatch(/^Platform memory error: single-bit ECC, physical address 0x12345000/i);
  });
  test("unknown bytes are raw, and say so", async () => {
    const { exit, out } = await apei(["decode", file("noise.bin", new Uint8Array([1, 2, 3]))]);
    expect(exit).toBe(1);
    expect(out).toContain("no known format");
  });
  test.each<[string[], RegExp]>([
    [["decode", "/nowhere/at/all"], /\/nowhere\/at\/all: no such file/],
    [["decode", "-", "--as", "nothing"], /nothing is no known format; there are .*cper/],
    [["decode", "-", "--section", "nothing"], /nothing is neither a GUID nor a section type; there are .*platformMemory/],
    [["decode"], /Not enough non-option arguments|files/],
    [["decode", "-", "--jsn"], /jsn/],
    [["schema", "nothing"], /there is no schema nothing/],
  ])("%j fails with a reason", async (argv, message) => {
    const { exit, err, out } = await apei(argv);
    expect(exit).toBe(2);
    expect(err).toMatch(message);
    expect(out).toBe("");
  });
});

describe("encode names what is wrong", () => {
  const wrong = async (path: readonly (string | number)[], value: unknown): Promise<string> => {
    const json = JSON.parse((await apei(["decode", "-", "--json"], RECORD)).out) as Record<string | number, unknown>;
    const owner = path.slice(0, -1).reduce((at, name) => at[name] as Record<string | number, unknown>, json);
    if (value === undefined) delete owner[path.at(-1)!];
    else owner[path.at(-1)!] = value;
    const { exit, err } = await apei(["encode", "-", "--out", join(folder, "never.bin")], JSON.stringify(json));
    expect(exit).toBe(2);
    return err;
  };
  const body = ["sections", 0, "body"] as const;
  test.each<[string, (string | number)[], unknown, string]>([
    ["a misspelt member", ["header", "severty"], 1, "header.severty: the Record Header has no such member"],
    ["a name that is none", ["header", "severity"], "bad", 'header.severity: "bad" is none of recoverable, fatal, corrected, informational'],
    ["a missing member", ["sections", 0, "descriptor", "sectionOffset"], undefined, "sections[0].descriptor.sectionOffset: missing"],
    ["a number too large", ["header", "sectionCount"], 65536, "header.sectionCount: 65536 is above 65535, the most that fits"],
    ["a wrong type", [...body, "node"], "x", 'sections[0].body.node: "x" is no integer'],
    ["64 bits as a number that may be rounded", [...body, "physicalAddress"], 5, "sections[0].body.physicalAddress: 5 is no string"],
    ["an unknown format", ["format"], "elf", 'format: "elf" is none of'],
    ["an unknown bit", [...body, "validation", "nothing"], true, "sections[0].body.validation.nothing: "],
  ])("%s", async (_name, path, value, message) => {
    expect(await wrong(path, value)).toContain(message);
  });
  test("text that is not JSON", async () => {
    expect((await apei(["encode", "-"], "{")).err).toMatch(/-: is not JSON/);
  });
});

describe("options that make no sense together", () => {
  test.each([
    [["--ndjson", "--section", "platformMemory"], "--section makes no sense with --format ndjson"],
    [["--format", "csv", "--as", "cper"], "--as makes no sense with --format csv"],
    [["--jobs", "2"], "--jobs makes sense only with --format ndjson, csv, parquet"],
    [["--where", "severity=fatal"], "--where makes sense only with --format ndjson, csv, parquet"],
    [["--ndjson", "--jobs", "0"], "--jobs: 0 is no number of threads from 1 to 256"],
    [["--ndjson", "--from", "-1"], '--from: "-1" is no offset'],
  ])("%j are refused", async (words, message) => {
    const { exit, err, out } = await apei(["decode", "-", ...words]);
    expect(err).toContain(message);
    expect(exit).toBe(2);
    expect(out).toBe("");
  });
});
