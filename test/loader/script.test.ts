import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { Finding, Format, Json } from "../../src/layout/index.ts";
import { AddChecksum, AddPointer, Allocate, ENTRY_SIZE, UnknownCommand, WritePointer } from "../../src/loader/commands.ts";
import { buildDirectory, Directory, DirectoryEntry, fwCfgDirectoryFormat } from "../../src/loader/fw-cfg.ts";
import { encodeScript, entryText, parseScript, tableLoaderFormat } from "../../src/loader/script.ts";
import { hex } from "../support/hex.ts";
import { lawsOf } from "../support/laws.ts";
import { describeShared, shared, sharedNames, sharedText } from "../support/shared.ts";

lawsOf(
  [
    ["allocate", Allocate],
    ["add pointer", AddPointer],
    ["add checksum", AddChecksum],
    ["write pointer", WritePointer],
    ["unknown command", UnknownCommand],
    ["directory entry", DirectoryEntry],
    ["directory", Directory],
  ],
  { runs: 60 },
);

function roundTrip<V>(format: Format<V>, bytes: Uint8Array): Finding[] {
  const findings: Finding[] = [];
  const value = format.parse(bytes, findings);
  const same = (made: Uint8Array) => expect(Buffer.from(made).equals(bytes)).toBe(true);
  same(format.encode(value));
  same(format.encode(format.fromJson(JSON.parse(JSON.stringify(format.toJson(value))) as { [key: string]: Json })));
  let at = 0;
  for (const span of format.spans(value)) {
    if (span.offset !== at) expect.fail(`${span.path} is at ${span.offset}, not ${at}`);
    at += span.size;
  }
  expect(at).toBe(bytes.length);
  return findings;
}

test("an allocation, byte for byte", () => {
  const bytes = new Uint8Array(ENTRY_SIZE);
  bytes.set(hex`
    01 00 00 00                                              # ALLOCATE
    65 74 63 2f 68 61 72 64 77 61 72 65 5f 65 72 72 6f 72 73 # etc/hardware_errors
  `);
  bytes.set(hex`08 00 00 00 01`, 60); // align 8, zone high
  const entry = { command: "allocate", file: "etc/hardware_errors", alignment: 8, zone: "high", unused: undefined } as const;
  expect(parseScript(bytes)).toEqual({ entries: [entry] });
  expect(encodeScript({ entries: [entry] })).toEqual(bytes);
});

test("any bytes survive as a script", () => {
  fc.assert(
    fc.property(
      fc.array(fc.tuple(fc.nat(6), fc.uint8Array({ minLength: 124, maxLength: 124 })), { maxLength: 4 }),
      fc.uint8Array({ maxLength: 127 }),
      (parts, tail) => {
        const bytes = Uint8Array.from([...parts.flatMap(([command, rest]) => [command, 0, 0, 0, ...rest]), ...tail]);
        roundTrip(tableLoaderFormat, bytes);
      },
    ),
    { numRuns: 200, seed: 3 },
  );
});

test("the directory QEMU would show", () => {
  const bytes = buildDirectory(
    new Map([
      ["etc/b", { bytes: new Uint8Array(0x1234) }],
      ["a", { bytes: new Uint8Array(1) }],
    ]),
  );
  expect(bytes.length).toBe(4 + 2 * 64);
  expect(bytes.slice(0, 13)).toEqual(hex`00 00 00 02  00 00 00 01  00 20  00 00  61`);
  expect(bytes.slice(68, 81)).toEqual(hex`00 00 12 34  00 21  00 00  65 74 63 2f 62`);
});

const captures = sharedNames("captures", (name) => sharedNames(`captures/${name}`).includes("etc_table-loader"));
describeShared("real machines", () => {
  test.each(captures)("%s", (name) => {
    const script = shared("captures", name, "etc_table-loader");
    expect(tableLoaderFormat.recognise(script)).toBe(true);
    expect(roundTrip(tableLoaderFormat, script)).toEqual([]);
    const directory = shared("captures", name, "fw_cfg-directory.bin");
    expect(fwCfgDirectoryFormat.recognise(directory)).toBe(true);
    roundTrip(fwCfgDirectoryFormat, directory);
    // The independent decode names one line for each entry.
    const lines = sharedText("captures", name, "loader.txt").split("\n");
    const entries = parseScript(script).entries.filter((entry) => entry.command !== 0);
    entries.forEach((entry, i) => {
      const words = lines[i]!.split(" ");
      const value = (key: string) => words.find((word) => word.startsWith(`${key}=`))?.slice(key.length + 1);
      switch (entry.command) {
        case "allocate":
          expect([words[0], words[1], value("align"), value("zone")]).toEqual([
            "ALLOCATE",
            entry.file,
            `${entry.alignment}`,
            entry.zone === "high" ? "1" : "2",
          ]);
          break;
        case "addPointer":
          expect([words[0], value("dest"), value("src"), Number(value("off")), Number(value("size"))]).toEqual([
            "ADD_POINTER",
            entry.destinationFile,
            entry.sourceFile,
            entry.offset,
            entry.size,
          ]);
          break;
        case "addChecksum":
          expect([words[0], words[1], Number(value("off")), Number(value("start")), Number(value("len"))]).toEqual([
            "ADD_CHECKSUM",
            entry.file,
            entry.checksumOffset,
            entry.start,
            entry.length,
          ]);
          break;
        case "writePointer":
          expect([words[0], value("dest"), value("src"), Number(value("dstoff")), Number(value("srcoff")), Number(value("size"))]).toEqual([
            "WRITE_POINTER",
            entry.destinationFile,
            entry.sourceFile,
            entry.destinationOffset,
            entry.sourceOffset,
            entry.size,
          ]);
          break;
        default:
          expect.fail(`entry ${i}: ${entryText(entry)}`);
      }
    });
  });

  test("scripts made to be refused", () => {
    for (const name of sharedNames("guest/oracle/loader", (name) => !name.includes(".")))
      roundTrip(tableLoaderFormat, shared("guest/oracle/loader", name, "tl.bin"));
  });
});

describe("what a script says", () => {
  test("in words", () => {
    expect(entryText({ command: "addPointer", destinationFile: "etc/acpi/rsdp", sourceFile: "etc/acpi/tables", offset: 24, size: 8, unused: undefined })).toBe(
      "add the address of etc/acpi/tables to the 8 bytes at 0x18 of etc/acpi/rsdp",
    );
  });
});
