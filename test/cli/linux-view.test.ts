/** `decode --format linux` against what real kernels printed, from the file to the lines. */
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { apei } from "../support/cli.ts";
import { hex } from "../support/hex.ts";
import { describeShared, SHARED, shared, sharedText } from "../support/shared.ts";

const REPORTS = "guest/oracle/report";
const textOf = (bytes: Uint8Array) => Buffer.from(bytes).toString("latin1").trimEnd();

describeShared("blocks that say odd things", () => {
  test.each([
    ...["sev-4-2", "sev-2-4", "sev-10002-2", "sev-ffffffff-ffffffff", "status-ffffffff", "status-80000000", "zero-entries-2"].map((name) => `x86-7.2-${name}`),
    "arm64-6.1-zero",
  ])("%s", async (name) => {
    const arm = name.startsWith("arm64");
    const words = arm ? ["--kernel", "6.1", "--arch", "arm64"] : ["--path", "bert"];
    const { bytes, err } = await apei(["decode", "--format", "linux", ...words, join(SHARED, REPORTS, `${name}.bin`)]);
    expect(err).toContain("taken for generic error status block");
    expect((await apei(["decode", "--json", join(SHARED, REPORTS, `${name}.bin`)])).out).toContain('"format": "status-block"');
    expect(textOf(bytes)).toBe(
      sharedText(REPORTS, `${name}.log`)
        .trimEnd()
        .replace(/^\{\d+\}/gm, "{1}"),
    );
  });
});

describeShared("a boot error region", () => {
  const region = () => shared("guest/blocks/iii-11.1-seabios-tcg-cloud7.2-two-blocks.blk");
  /** The log has the kernel's messages twice. */
  const printed = () => {
    const lines = sharedText("guest/logs/22-iii-11.1-seabios-tcg-two-blocks.txt").split("\n");
    const messages = lines.map((line) => line.replace(/^ *\[ *[\d.]+\] /, "")).filter((line) => /^(\[Hardware Error\]|BERT): /.test(line));
    return messages.slice(0, messages.indexOf("BERT: Total records found: 2") + 1);
  };
  /** ACPI 6.5 table 18.2: length of the region at 36, its address at 40. */
  const table = (length: number) => {
    const bytes = hex`42455254 30000000 01 00 453245545354 45324554 41424c45 01000000 45324520 01000000 00000000 0000001000000000`;
    new DataView(bytes.buffer).setUint32(36, length, true);
    return bytes;
  };
  test("behind its table, as far as the table says", async () => {
    const blocks = region();
    const { out } = await apei(["decode", "--format", "linux", "-"], Buffer.concat([table(blocks.length), blocks]));
    expect(out.trimEnd().split("\n")).toEqual(printed());
    const short = await apei(["decode", "--format", "linux", "-"], Buffer.concat([table(16), blocks]));
    expect(short.out).toBe("BERT: [Firmware Bug]: table invalid.\n");
  });
  test("by itself, when it is said to be one", async () => {
    const { out } = await apei(["decode", "--format", "linux", "--path", "bert", "-"], region());
    expect(out.trimEnd().split("\n")).toEqual(printed());
  });
});

describeShared("memory modules by their SMBIOS handle", () => {
  const file = join(SHARED, REPORTS, "x86-6.1-mem-type09.bin");
  const handle = /DMI handle: (0x[0-9a-f]+)/;
  test("are named where a memory section has the handle", async () => {
    const unnamed = (await apei(["decode", "--format", "linux", file])).out;
    const { out } = await apei(["decode", "--format", "linux", "--dimm", `${handle.exec(unnamed)?.[1]}=BANK 0,DIMM A1`, file]);
    // cper.c: "DIMM location: %s %s"
    expect(out).toBe(unnamed.replace(/not present\. DMI handle: 0x[0-9a-f]+/, "BANK 0 DIMM A1"));
  });
});

describe("options that make no sense", () => {
  test.each([
    [["--format", "linux", "--dimm", "DIMM 0"], '--dimm: "DIMM 0" is not HANDLE=BANK,DEVICE'],
    [["--format", "linux", "--dimm", "0x10000=A,B"], "is not HANDLE=BANK,DEVICE"],
    [["--dimm", "1=A,B"], "--dimm makes sense only with --format linux"],
  ])("%j", async (words, message) => {
    const { exit, err } = await apei(["decode", "-", ...words], hex`10000000 00000000 00000000 00000000 02000000`);
    expect([exit, err]).toEqual([2, expect.stringContaining(message)]);
  });
  test("an empty block is said to be one", async () => {
    const { exit, out, err } = await apei(["decode", "-", "--format", "linux", "--as", "status-block"], new Uint8Array(64));
    expect([exit, out]).toEqual([0, ""]);
    expect(err).toContain("Linux takes it for an empty block and prints nothing");
  });
  test("what no kernel takes for a block", async () => {
    expect(await apei(["decode", "-", "--format", "linux"], new Uint8Array(3))).toMatchObject({ exit: 2, out: "" });
  });
});
