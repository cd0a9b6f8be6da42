import { expect, test } from "vitest";
import { buildTable } from "../../src/acpi/build-tables.ts";
import { osView } from "../../src/firmware/os-view.ts";
import { readHest } from "../../src/guest/hest.ts";
import { placeDirectly } from "../../src/host/direct-boot.ts";
import { inHest } from "../../src/host/locate.ts";
import { SparseMemory } from "../../src/machine/memory.ts";
import { hex } from "../support/hex.ts";

const RAM = [{ start: 0x4000_0000n, length: 0x1000_0000n }];
const tables = () => ({ DSDT: buildTable("DSDT", { body: "" }), FACP: buildTable("FACP", { header: { revision: 6 }, body: "00".repeat(240) }) });
const SOURCES = [
  { id: 0, notification: "sea" },
  { id: 7, notification: { type: "gsiv", vector: 41 }, blockLength: 0x200 },
] as const;

test("a guest finds the tables, the sources and free blocks", () => {
  const memory = new SparseMemory(RAM);
  const { rsdpAddress, hestAddress, parts } = placeDirectly({ memory, ram: RAM, errorSources: SOURCES, tables: tables() });
  const view = osView(memory, rsdpAddress);
  expect(view.problems).toEqual([]);
  expect(view.tables.map(({ signature, checksumOk }) => [signature, checksumOk])).toEqual([
    ["HEST", true],
    ["FACP", true],
    ["DSDT", true],
  ]);
  expect(view.root?.checksumOk).toBe(true);
  expect(view.tables[0]!.address).toBe(hestAddress);
  const { sources } = readHest(memory, hestAddress!, "arm64");
  expect(sources.map(({ sourceId, errorStatusBlockLength }) => [sourceId, errorStatusBlockLength])).toEqual([
    [0, 0x400],
    [7, 0x200],
  ]);
  const errors = parts.find(({ name }) => name === "hardware errors")!;
  expect(errors.size).toBe(32 + 0x600);
  // Two addresses, two acknowledge registers that say "free", and blocks of zeros.
  expect(memory.readWord(errors.address, 8)).toBe(errors.address + 32n);
  expect(memory.readWord(errors.address + 8n, 8)).toBe(errors.address + 32n + 0x400n);
  expect(memory.read(errors.address + 16n, 24)).toEqual(hex`01 00 00 00 00 00 00 00  01 00 00 00 00 00 00 00  00 00 00 00 00 00 00 00`);
  const { location } = inHest(memory, hestAddress!)(7);
  expect(location?.block).toBe(errors.address + 32n + 0x400n);
  expect(location?.acknowledge?.register.address).toBe(errors.address + 24n);
});

test("nothing overlaps, everything is RAM, and what is named goes where it was named", () => {
  const memory = new SparseMemory(RAM);
  const placements = new Map([
    ["RSDP", 0x4100_0000n],
    ["hardware errors", 0x4200_0000n],
  ]);
  const { rsdpAddress, parts } = placeDirectly({ memory, ram: RAM, errorSources: SOURCES, tables: tables(), placements });
  expect(rsdpAddress).toBe(0x4100_0000n);
  expect(parts.map(({ name }) => name).slice(0, 2)).toEqual(["RSDP", "hardware errors"]);
  for (const [i, part] of parts.entries()) if (i > 0) expect(part.address).toBeGreaterThanOrEqual(parts[i - 1]!.address + BigInt(parts[i - 1]!.size));
  expect(osView(memory, rsdpAddress).problems).toEqual([]);
});

test("tables of one signature: each is placed and listed", () => {
  const memory = new SparseMemory(RAM);
  const secondary = [1, 2, 3].map((n) => buildTable("SSDT", { header: { revision: 2, oemTableId: `PART${n}` }, body: "00".repeat(n) }));
  const placements = new Map([["SSDT 2", 0x4300_0000n]]);
  const { rsdpAddress, parts } = placeDirectly({ memory, ram: RAM, errorSources: SOURCES, tables: { ...tables(), SSDT: secondary }, placements });
  const view = osView(memory, rsdpAddress);
  expect(view.problems).toEqual([]);
  const found = view.tables.filter(({ signature }) => signature === "SSDT");
  expect(found.map(({ bytes, checksumOk }) => [bytes.length, checksumOk])).toEqual([
    [37, true],
    [38, true],
    [39, true],
  ]);
  expect(found[1]!.address).toBe(0x4300_0000n);
  expect(new Set(found.map(({ address }) => address)).size).toBe(3);
  expect(parts.map(({ name }) => name)).toEqual(expect.arrayContaining(["SSDT", "SSDT 2", "SSDT 3"]));
});

test("a machine without error sources has no HEST", () => {
  const memory = new SparseMemory(RAM);
  const booted = placeDirectly({ memory, ram: RAM, tables: tables() });
  expect(booted.hestAddress).toBeUndefined();
  expect(booted.parts.map(({ name }) => name).sort()).toEqual(["DSDT", "FACP", "RSDP", "XSDT"]);
});

test.each([
  ["a place for what there is not", { placements: new Map([["etc/acpi/rsdp", 0x4100_0000n]]) }, "there is no etc/acpi/rsdp to place"],
  ["a place outside RAM", { placements: new Map([["RSDP", 0x1000n]]) }, "RSDP has no room at 0x1000"],
  ["two ids", { errorSources: [SOURCES[0], SOURCES[0]] }, "0 is the id of errorSources[0] already"],
  ["a second DSDT", { tables: { ...tables(), DSDT: [tables().DSDT, tables().DSDT] } }, "DSDT: a machine has one of it, not 2"],
  ["a HEST beside sources", { tables: { ...tables(), HEST: tables().DSDT } }, "HEST: this table is made here"],
  ["a root table", { tables: { ...tables(), XSDT: tables().DSDT } }, "XSDT: this table is made here"],
  ["blocks larger than RAM", { errorSources: [{ ...SOURCES[0], blockLength: 0x2000_0000 }] }, "there is no room for hardware errors"],
])("%s is refused", (_, change, message) => {
  expect(() => placeDirectly({ memory: new SparseMemory(RAM), ram: RAM, errorSources: SOURCES, tables: tables(), ...change })).toThrow(message);
});
