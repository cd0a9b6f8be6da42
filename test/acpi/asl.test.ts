import { describe, expect, test } from "vitest";
import { aslSource } from "../../src/acpi/asl.ts";
import { buildTable } from "../../src/acpi/build-tables.ts";
import { haveIasl, iaslCompile, iaslDisassemble } from "../support/iasl.ts";
import { haveShared, shared, sharedNames } from "../support/shared.ts";

/** iasl writes its own name and revision into every header, and with them another checksum. */
function withoutCreator(table: Uint8Array): Uint8Array {
  const out = table.slice();
  out[9] = 0;
  out.fill(0, 28, 36);
  return out;
}

const TABLE = /(BERT|EINJ|ERST|HEST|RSDT|XSDT).*\.(bin|dat)$/;
const folders = ["captures/tables-good", ...["fwts", "hackintosh", "linuxhw", "other", "qemu", "surface"].map((name) => `corpus/acpi-${name}`)];
const tables = [
  ...folders.flatMap((folder) => sharedNames(folder, (name) => TABLE.test(name)).map((name) => [folder, name] as const)),
  ...["q35-pm-erst-11.1", "virt-aarch64-ras-11.1"].flatMap((machine) =>
    sharedNames(`captures/${machine}/tables`, (name) => TABLE.test(name)).map((name) => [`captures/${machine}/tables`, name] as const),
  ),
];

/** Old AMI tables set two bits of a byte that ACPI 5.0 reserved: iasl compiles them to zero. */
const UNSAYABLE = /fwts-hest-0002|ProLiant-DL165|H8QG6|X8SIL/;

describe.skipIf(!haveShared || !haveIasl)("what iasl compiles from our source", () => {
  test.each(tables)("%s/%s is the table itself", { timeout: 30_000 }, (folder, name) => {
    const table = shared(folder, name);
    if (UNSAYABLE.test(name) && name.includes("HEST")) return expect(() => aslSource(table)).toThrow(/insists on zero in the reserved bits/);
    const { bytes, output } = iaslCompile(aslSource(table));
    if (!bytes) expect.fail(output);
    expect(withoutCreator(bytes)).toEqual(withoutCreator(table));
  });
});

describe.skipIf(!haveShared || !haveIasl)("there and back", () => {
  const good = sharedNames("captures/tables-good", (name) => TABLE.test(name));
  test.each(good)("%s compiled, disassembled and compiled again", { timeout: 30_000 }, (name) => {
    const { bytes: first } = iaslCompile(aslSource(shared("captures/tables-good", name)));
    const { bytes: source } = iaslDisassemble(first!);
    expect(iaslCompile(new TextDecoder("latin1").decode(source)).bytes).toEqual(first);
    expect(iaslCompile(aslSource(first!)).bytes).toEqual(first);
  });
});

describe("source", () => {
  const bert = buildTable("BERT", { header: { oemId: "AB" }, bootErrorRegionLength: 20, bootErrorRegion: "0x1000" });
  test("lines name offset, size, label and value", () => {
    expect(aslSource(bert).split("\n").slice(-3)).toEqual([
      "[024h 0036   4]     Boot Error Region Length : 00000014",
      "[028h 0040   8]    Boot Error Region Address : 0000000000001000",
      "",
    ]);
  });
  test.each([
    ["another table", buildTable("OEM1", { body: "00" }), /OEM1/],
    ["bytes behind", Uint8Array.from([...bert, 1]), /no line for the 1 bytes at 0x30/],
    ["a cut table", bert.slice(0, 40), /cut short|no line/],
    ["text that cannot be quoted", buildTable("BERT", { header: { oemId: 'A"B' }, bootErrorRegionLength: 20, bootErrorRegion: "0x1" }), /no way to write/],
    [
      "reserved bits",
      buildTable("ERST", { entries: [{ action: "endOperation", instruction: "noop", flags: { rest: "0x80" }, registerRegion: { address: "0x1" } }] }),
      /zero in the reserved bits at 0x32/,
    ],
  ] as [string, Uint8Array, RegExp][])("%s is refused", (_what, table, message) => expect(() => aslSource(table)).toThrow(message));
});
