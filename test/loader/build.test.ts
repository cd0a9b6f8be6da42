/** Fed with the single tables of a real machine, the builder makes that machine's files. */
import { describe, expect, test } from "vitest";
import { TableHeader } from "../../src/acpi/table-header.ts";
import { decode } from "../../src/layout/index.ts";
import { buildHandOff } from "../../src/loader/build.ts";
import type { BuildDescription } from "../../src/loader/description.ts";
import { FILE } from "../../src/loader/fw-cfg.ts";
import { entryText, parseScript } from "../../src/loader/script.ts";
import { describeShared, shared, sharedNames } from "../support/shared.ts";

const files = (...signatures: string[]) => signatures.map((signature) => (signature === "HEST" ? { hest: true as const } : { file: `${signature}.dat` }));
const SEA = { id: 0, notification: "sea" } as const;
const GPIO = { id: 1, notification: "gpioSignal" } as const;
const VIRT = files("DSDT", "FACP", "APIC", "PPTT", "GTDT", "MCFG", "SPCR", "DBG2", "HEST", "IORT");
/** QEMU 10 and later list the PPTT twice. */
const TWICE = ["FACP", "APIC", "PPTT", "PPTT", "GTDT", "MCFG", "SPCR", "DBG2", "HEST", "IORT"];
const without = <T extends { file?: string; hest?: true }>(list: readonly T[]) => list.filter((table) => !table.hest);

const MACHINES: Record<string, BuildDescription> = {
  "virt-aarch64-ras-7.2": { handOff: "hardwareErrors", errorSources: [SEA], tables: VIRT },
  "virt-10.1-aarch64-ras-11.1": { handOff: "hardwareErrors", errorSources: [SEA], tables: VIRT, root: TWICE },
  "virt-10.2-aarch64-ras-11.1": { handOff: "hest", errorSources: [SEA, GPIO], tables: VIRT, root: TWICE },
  "virt-aarch64-ras-11.1": { handOff: "hest", errorSources: [SEA, GPIO], tables: VIRT, root: TWICE },
  "virt-aarch64-noras-7.2": { tables: without(VIRT) },
  "virt-aarch64-noras-11.1": { tables: without(VIRT), root: TWICE.filter((signature) => signature !== "HEST") },
  "virt-loongarch64-11.1": { machine: "loongarch64", tables: files("FACS", "DSDT", "FACP", "APIC", "PPTT", "SRAT", "SPCR", "MCFG") },
  "q35-pm-7.2": { machine: "q35", tables: files("FACS", "DSDT", "FACP", "APIC", "HPET", "MCFG", "WAET") },
  "q35-pm-11.1": { machine: "q35", tables: files("FACS", "DSDT", "FACP", "APIC", "HPET", "MCFG", "WAET") },
  "q35-pm-erst-11.1": { machine: "q35", tables: files("FACS", "DSDT", "FACP", "APIC", "ERST", "HPET", "MCFG", "WAET") },
};

/** The first byte that differs, with a word on where it lies. */
const difference = (made: Uint8Array, real: Uint8Array): string | undefined => {
  const at = made.findIndex((byte, i) => byte !== real[i]);
  return at < 0 && made.length === real.length
    ? undefined
    : `${made.length} and ${real.length} bytes, first difference at 0x${(at < 0 ? Math.min(made.length, real.length) : at).toString(16)}`;
};

describeShared("machines of QEMU, byte for byte", () => {
  test("every captured machine is built", () => {
    expect(sharedNames("captures", (name) => sharedNames(`captures/${name}`).includes("etc_table-loader"))).toEqual(Object.keys(MACHINES).sort());
  });
  test.each(Object.entries(MACHINES))("%s", (name, description) => {
    const built = buildHandOff(description, (file) => shared("captures", name, "tables", file));
    const script = (bytes: Uint8Array) => parseScript(bytes).entries.map(entryText);
    expect(script(built.files.get(FILE.script)!.bytes)).toEqual(script(shared("captures", name, "etc_table-loader")));
    for (const file of [FILE.script, FILE.tables, FILE.rsdp, FILE.hardwareErrors, FILE.hardwareErrorsAddress, FILE.hestAddress]) {
      const captured = sharedNames(`captures/${name}`).includes(file.replaceAll("/", "_")) ? shared("captures", name, file.replaceAll("/", "_")) : undefined;
      const made = built.files.get(file);
      expect(made === undefined, file).toBe(captured === undefined);
      if (made && captured) expect(difference(made.bytes, captured), file).toBeUndefined();
    }
  });
});

/** The tables of a blob, one after the other. */
function split(blob: Uint8Array): Map<string, Uint8Array> {
  const out = new Map<string, Uint8Array>();
  for (let at = 0; blob[at] !== 0; ) {
    const { signature, length } = decode(TableHeader, blob, at);
    out.set(signature, blob.slice(at, at + length));
    at += length;
  }
  return out;
}

describeShared("a machine with vmgenid and ERST", () => {
  test.each(["linked-q35-erst-vmgenid-seabios-11.1", "linked-q35-erst-vmgenid-ovmf-11.1"])("%s", (name) => {
    const captured = (file: string) => shared("captures", name, `fwcfg_${file.replaceAll("/", "_")}`);
    const tables = split(captured(FILE.tables));
    const vgia = { offset: 0x2603 - 0x25d9, size: 4, to: { file: FILE.vmgenid } } as const;
    const description: BuildDescription = {
      machine: "q35",
      tables: files("FACS", "DSDT", "FACP", "APIC", "ERST", "SSDT", "HPET", "MCFG", "WAET").map((table) =>
        "file" in table && table.file === "SSDT.dat"
          ? { ...table, writePointers: [{ file: FILE.vmgenidAddress, to: { file: FILE.vmgenid, offset: 0x28 } }], pointers: [vgia] }
          : table,
      ),
      files: { [FILE.vmgenid]: { content: "guid", alignment: 4096 } },
    };
    const built = buildHandOff(description, (file) => (file === "guid" ? captured(FILE.vmgenid) : tables.get(file.slice(0, 4))!));
    for (const file of [FILE.script, FILE.tables, FILE.rsdp, FILE.vmgenid])
      expect(difference(built.files.get(file)!.bytes, captured(file)), file).toBeUndefined();
    expect(built.files.get(FILE.vmgenidAddress)).toEqual({ bytes: new Uint8Array(8), writable: true });
  });
});

describe("TPM and NVDIMM", () => {
  const blank = (signature: string, length: number) =>
    new Uint8Array([...new TextEncoder().encode(signature), length, 0, 0, 0, 1, ...new Uint8Array(length - 9)]);
  test("are linked in QEMU's order: blob, pointer, checksum", () => {
    const built = buildHandOff(
      {
        machine: "q35",
        tables: [
          { file: "TPM2", pointers: [{ offset: 68, size: 8, to: { file: FILE.tpmLog } }] },
          { file: "SSDT", pointers: [{ offset: 40, size: 4, to: { file: FILE.nvdimmMemory } }] },
          { file: "NFIT" },
        ],
        files: { [FILE.tpmLog]: { size: 65536 }, [FILE.nvdimmMemory]: { size: 4096, alignment: 4096 } },
      },
      (file) => blank(file, 76),
    );
    const words = parseScript(built.files.get(FILE.script)!.bytes)
      .entries.filter((entry) => entry.command !== 0)
      .map(entryText);
    // hw/acpi/aml-build.c build_tpm2, hw/acpi/nvdimm.c nvdimm_build_ssdt
    expect(words.slice(0, 9)).toEqual([
      "load etc/acpi/rsdp in the F-segment, aligned to 16",
      "load etc/acpi/nvdimm-mem anywhere, aligned to 4096",
      "load etc/tpm/log anywhere, aligned to 1",
      "load etc/acpi/tables anywhere, aligned to 64",
      "add the address of etc/tpm/log to the 8 bytes at 0x44 of etc/acpi/tables",
      "make the 76 bytes at 0x0 of etc/acpi/tables sum to zero by the byte at 0x9",
      "add the address of etc/acpi/nvdimm-mem to the 4 bytes at 0x74 of etc/acpi/tables",
      "make the 76 bytes at 0x4c of etc/acpi/tables sum to zero by the byte at 0x55",
      "make the 76 bytes at 0x98 of etc/acpi/tables sum to zero by the byte at 0xa1",
    ]);
  });
});

describe("error sources", () => {
  const hest = (errorSources: BuildDescription["errorSources"]) => {
    const built = buildHandOff({ errorSources: errorSources!, tables: [{ hest: true }] }, () => new Uint8Array(0));
    const blob = built.files.get(FILE.tables)!.bytes;
    return { built, view: new DataView(blob.buffer, blob.byteOffset + built.hestOffset!) };
  };

  test("registers at fixed addresses need neither blob nor pointers (ACPI 6.5 18.3.2.8)", () => {
    const { built, view } = hest([
      {
        id: 5,
        notification: { type: "externalInterrupt", vector: 42 },
        at: { status: "0x8000000012345678", acknowledge: 4096 },
        acknowledge: { preserve: "0xfffffffffffffff0", write: 9 },
      },
    ]);
    expect(built.files.has(FILE.hardwareErrors)).toBe(false);
    expect(view.getUint32(4, true)).toBe(40 + 92);
    expect(view.getUint32(36, true)).toBe(1);
    expect([view.getUint16(40, true), view.getUint16(42, true), view.getUint16(44, true)]).toEqual([10, 5, 0xffff]);
    expect([view.getUint8(40 + 32), view.getUint8(40 + 33), view.getUint32(40 + 40, true)]).toEqual([1, 28, 42]);
    expect(view.getBigUint64(40 + 24, true)).toBe(0x8000000012345678n);
    expect(view.getBigUint64(40 + 68, true)).toBe(4096n);
    expect([view.getBigUint64(40 + 76, true), view.getBigUint64(40 + 84, true)]).toEqual([0xfffffffffffffff0n, 9n]);
    const words = parseScript(built.files.get(FILE.script)!.bytes).entries.map(entryText);
    expect(words.filter((line) => line.includes(FILE.hardwareErrors))).toEqual([]);
  });

  test("blocks of different lengths follow each other; a source without acknowledgement is of version 1", () => {
    const { built, view } = hest([
      { id: 0, notification: "sea", blockLength: 2048 },
      { id: 1, notification: "polled", acknowledge: false, blockLength: 512 },
    ]);
    const blob = built.files.get(FILE.hardwareErrors)!.bytes;
    const words = new DataView(blob.buffer, blob.byteOffset);
    expect(blob.length).toBe(32 + 2048 + 512);
    expect([0, 8, 16, 24].map((offset) => words.getBigUint64(offset, true))).toEqual([32n, 32n + 2048n, 1n, 1n]);
    expect([view.getUint16(40, true), view.getUint16(40 + 92, true)]).toEqual([10, 9]);
    expect(view.getUint32(4, true)).toBe(40 + 92 + 64);
    expect(view.getUint32(40 + 92 + 60, true)).toBe(512);
  });

  test("two sources with one acknowledge register: pointers to the same word, which holds the bits of both", () => {
    const { built, view } = hest([
      { id: 0, notification: "sea", acknowledge: { write: 1, preserve: "0xfffffffffffffffe" } },
      { id: 1, notification: "polled", acknowledge: { sharedWith: 0, bitOffset: 8, write: 3, preserve: 0 } },
    ]);
    const blob = built.files.get(FILE.hardwareErrors)!.bytes;
    const words = new DataView(blob.buffer, blob.byteOffset);
    expect([16, 24].map((offset) => words.getBigUint64(offset, true))).toEqual([0x301n, 0n]);
    // Generic address: space, width, offset, access size.
    expect([64, 65, 66, 67].map((offset) => view.getUint8(40 + offset))).toEqual([0, 64, 0, 4]);
    expect([64, 65, 66, 67].map((offset) => view.getUint8(40 + 92 + offset))).toEqual([0, 56, 8, 4]);
    expect([view.getBigUint64(40 + 92 + 76, true), view.getBigUint64(40 + 92 + 84, true)]).toEqual([0n, 3n]);
    expect([view.getBigUint64(40 + 68, true), view.getBigUint64(40 + 92 + 68, true)]).toEqual([16n, 16n]);
  });
});

describe("descriptions that cannot be built", () => {
  const table = () => new Uint8Array([...new TextEncoder().encode("TEST"), 36, 0, 0, 0, 1, ...new Uint8Array(27)]);
  test.each([
    ["a source twice", { errorSources: [SEA, SEA], tables: [{ hest: true }] }, "errorSources[1].id: 0 is the id of errorSources[0] already"],
    ["sources without a HEST", { errorSources: [SEA], tables: [{ file: "a" }] }, 'tables: error sources need a place for the HEST: add { "hest": true }'],
    ["two HESTs", { tables: [{ hest: true }, { hest: true }] }, "tables: there can be only one HEST"],
    ["neither file nor HEST", { tables: [{}] }, "tables[0]: has a file or is the HEST, not both and not neither"],
    [
      "a pointer to nothing",
      { tables: [{ file: "a", pointers: [{ offset: 0, size: 8, to: "DSDT" }] }] },
      "tables[0].pointers[0].to: there is no table DSDT before this one",
    ],
    [
      "a pointer outside",
      { tables: [{ file: "a", pointers: [{ offset: 30, size: 8, to: "TEST" }] }] },
      "tables[0].pointers[0].offset: 8 bytes at 30 are outside the table, which has 36",
    ],
    [
      "a file nobody described",
      { tables: [{ file: "a", pointers: [{ offset: 28, size: 8, to: { file: "etc/x" } }] }] },
      "tables[0].pointers[0].to: etc/x is not described under files",
    ],
    [
      "a fixed place without its other half",
      { errorSources: [{ ...SEA, at: { status: 1 } }], tables: [{ hest: true }] },
      "errorSources[0].at.acknowledge: missing: the source is acknowledged, so its register needs an address",
    ],
    [
      "a register shared with nobody",
      { errorSources: [SEA, { ...GPIO, acknowledge: { sharedWith: 1 } }], tables: [{ hest: true }] },
      "errorSources[1].acknowledge.sharedWith: 1 is no other source with an acknowledge register of its own in the file",
    ],
    ["an unknown root", { tables: [{ file: "a" }], root: ["ABCD"] }, "root[0]: there is no table ABCD"],
  ] as [string, BuildDescription, string][])("%s", (_name, description, message) => {
    expect(() => buildHandOff(description, table)).toThrow(message);
  });
});
