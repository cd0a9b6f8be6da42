/** Machines whose linked memory was recorded, and scripts spoilt on purpose. */
import { describe, expect, test } from "vitest";
import { boot } from "../../src/firmware/boot.ts";
import { bytesToHex } from "../../src/layout/index.ts";
import { type Entry, UnknownCommand } from "../../src/loader/commands.ts";
import { FILE, type FwCfgFile } from "../../src/loader/fw-cfg.ts";
import { encodeScript, type LoaderScript, parseScript } from "../../src/loader/script.ts";
import { describeShared, shared, sharedNames, sharedText } from "../support/shared.ts";
import { caseFiles, type OracleFirmware, outcomes, VMCOREINFO } from "./oracle.ts";

const pathOf = (name: string): string => [...Object.values(FILE)].find((path) => path.replaceAll("/", "_") === name) ?? name;
const WRITABLE: readonly string[] = [FILE.hardwareErrorsAddress, FILE.hestAddress, FILE.vmgenidAddress];

function linkedFiles(name: string): Map<string, FwCfgFile> {
  const names = sharedNames(`captures/${name}`, (file) => file.startsWith("fwcfg_"));
  return new Map(
    names.map((file) => {
      const path = pathOf(file.slice("fwcfg_".length));
      const bytes = shared("captures", name, file);
      return [path, WRITABLE.includes(path) ? { bytes: new Uint8Array(bytes.length), writable: true } : { bytes }];
    }),
  );
}

describeShared("linked memory", () => {
  const names = sharedNames("captures", (name) => name.startsWith("linked-"));
  const firmwareOf = (name: string) => /seabios|ovmf|aavmf/.exec(name)![0] as OracleFirmware;

  test.each(names)("%s, at the recorded places", (name) => {
    const recorded = JSON.parse(sharedText("captures", name, "addresses.json")) as Record<string, string>;
    const placements = new Map(Object.entries(recorded).map(([file, address]) => [file, BigInt(address)]));
    for (const options of [{ placements }, {}]) {
      const result = boot(linkedFiles(name), { firmware: firmwareOf(name), ...options });
      expect(result.state).toBe("acpi");
      for (const [file, address] of placements) {
        const ram = shared("captures", name, `ram_${file.replaceAll("/", "_")}`);
        // Left alone, the models put every blob where the firmware did.
        expect(result.placements.get(file)?.address, file).toBe(address);
        expect(Buffer.from(result.memory.read(address, ram.length)).equals(Buffer.from(ram)), file).toBe(true);
      }
      for (const file of WRITABLE) {
        const written = linkedFiles(name).get(file);
        if (written) expect(bytesToHex(result.device.file(file)!)).toBe(bytesToHex(shared("captures", name, `fwcfg_${file.replaceAll("/", "_")}`)));
      }
    }
  });

  test("EDK2 installs the tables of the blob", () => {
    const signatures = (name: string) => boot(linkedFiles(name), { firmware: firmwareOf(name) }).tables.map((table) => table.signature);
    expect(signatures("linked-virt-ras-aavmf-11.1")).toEqual(["FACP", "DSDT", "APIC", "PPTT", "GTDT", "MCFG", "SPCR", "DBG2", "HEST", "IORT"]);
    expect(signatures("linked-q35-erst-vmgenid-ovmf-11.1")).toEqual(["FACP", "DSDT", "FACS", "APIC", "ERST", "SSDT", "HPET", "MCFG", "WAET"]);
  });
});

const NONE = { unused: undefined } as const;
const pointer = (sourceFile: string, offset: number, size: number): Entry => ({
  command: "addPointer",
  destinationFile: FILE.tables,
  sourceFile,
  offset,
  size,
  ...NONE,
});
const allocate = (file: string, alignment: number): Entry => ({ command: "allocate", file, alignment, zone: "high", ...NONE });
const put = (script: LoaderScript, at: number, entry: Entry): LoaderScript => ({ ...script, entries: script.entries.toSpliced(at, 0, entry) });
const change = (script: LoaderScript, at: number, edit: object): LoaderScript => ({
  ...script,
  entries: script.entries.with(at, { ...script.entries[at]!, ...edit } as Entry),
});

/** What the recorded runs did to a good script; `size` is the size of the tables. */
const SPOILT: Record<string, (script: LoaderScript, size: number, hest: number) => LoaderScript> = {
  "bad-pointer-src": (script) => put(script, 5, pointer("etc/nonexistent", 0, 8)),
  "pointer-oob": (script, size) => put(script, 5, pointer(FILE.tables, size + 4, 8)),
  "checksum-oob": (script, size) => put(script, 5, { command: "addChecksum", file: FILE.tables, checksumOffset: size + 100, start: 0, length: 36, ...NONE }),
  "alloc-align0": (script) => change(script, 2, { alignment: 3 }),
  "alloc-missing-file": (script) => put(script, 0, allocate("etc/does-not-exist", 8)),
  "double-alloc": (script) => put(script, 3, allocate(FILE.tables, 64)),
  "pointer-before-alloc": (script) => ({
    entries: [pointer(FILE.tables, 36, 4), script.entries[3]!, ...script.entries.slice(0, 3), ...script.entries.slice(4)],
  }),
  "bad-zone": (script) => change(script, 2, { zone: 7 }),
  "unknown-cmd": (script) => put(script, 3, { command: 0x99, content: new Uint8Array(UnknownCommand.size - 4) }),
  "bad-size3": (script) => put(script, 5, pointer(FILE.tables, 36, 3)),
  "not-multiple-128": (script) => ({ ...script, trailing: Uint8Array.of(1, ...new Uint8Array(23)) }),
  "no-nul-name": (script) => put(script, 3, allocate("x".repeat(56), 8)),
  "bad-checksum-table": (script, _size, hest) => ({
    entries: script.entries.filter((entry) => !(entry.command === "addChecksum" && entry.file === FILE.tables && entry.start === hest)),
  }),
};

function baseline(firmware: OracleFirmware): Map<string, FwCfgFile> {
  return new Map(caseFiles("baseline", firmware, outcomes("baseline")[firmware]!));
}
const withScript = (files: Map<string, FwCfgFile>, edit: (script: LoaderScript) => LoaderScript) =>
  files.set(FILE.script, { bytes: encodeScript(edit(parseScript(files.get(FILE.script)!.bytes))) });

describeShared("spoilt scripts", () => {
  const lines = sharedText("guest/logs", "25-corrupt-summary.txt")
    .split("\n")
    .filter((line) => line.trim() !== "");
  const runs = lines.map((line) => /^(\w+) (\S+): (booted|HANG); RSDP=(\d) HEST=(\d) .* wp=(\w+)$/.exec(line)!.slice(1));

  test("there are 39", () => {
    expect(runs.length).toBe(39);
  });
  test.each(runs)("%s: %s", (firmware, name, _booted, rsdp, hest, writtenPointer) => {
    const files = baseline(firmware as OracleFirmware);
    const tables = Buffer.from(files.get(FILE.tables)!.bytes);
    withScript(files, (script) => SPOILT[name!]!(script, tables.length, tables.indexOf("HEST")));
    const result = boot(files, { firmware: firmware as OracleFirmware });
    expect(result.rsdpAddress !== undefined).toBe(rsdp !== "0");
    const seen = result.tables.some((table) => table.signature === "HEST");
    expect(seen).toBe(hest !== "0");
    const written = result.device.file(VMCOREINFO)!.slice(8);
    expect(new DataView(written.buffer).getBigUint64(0, true)).toBe(BigInt(writtenPointer!));
  });
});

describeShared("write pointers into files that take none", () => {
  const READ_ONLY = "etc/smbios/smbios-tables";
  const aim = (firmware: OracleFirmware, file: string, extra?: FwCfgFile) => {
    const files = baseline(firmware);
    if (extra) files.set(file, extra);
    withScript(files, (script) => ({
      entries: script.entries.map((entry) => (entry.command === "writePointer" ? { ...entry, destinationFile: file, destinationOffset: 0 } : entry)),
    }));
    return boot(files, { firmware });
  };

  // guest/logs/24-wp-summary.txt
  test("a read-only file: SeaBIOS does not notice, EDK2 hangs", () => {
    const bytes = new Uint8Array(64);
    expect(aim("seabios", READ_ONLY, { bytes }).state).toBe("acpi");
    expect(aim("seabios", READ_ONLY, { bytes }).device.file(READ_ONLY)).toEqual(bytes);
    expect(aim("ovmf", READ_ONLY, { bytes }).state).toBe("stuck");
    expect(aim("aavmf", READ_ONLY, { bytes }).state).toBe("stuck");
  });
  test("a missing file: SeaBIOS skips the entry, EDK2 takes everything back", () => {
    expect(aim("seabios", "etc/no_such_addr").state).toBe("acpi");
    expect(aim("ovmf", "etc/no_such_addr").state).toBe("noAcpi");
    expect(aim("aavmf", "etc/no_such_addr").state).toBe("noAcpi");
  });
  test("a writable file takes the address", () => {
    const file = { bytes: new Uint8Array(8), writable: true };
    expect(bytesToHex(aim("seabios", "etc/smi/requested-features", file).device.file("etc/smi/requested-features")!)).toBe("e0f7ff0f00000000");
    expect(bytesToHex(aim("ovmf", "etc/smi/requested-features", file).device.file("etc/smi/requested-features")!)).toBe("00a0ee0f00000000");
  });
});

describeShared("the F-segment of SeaBIOS", () => {
  // Measured with SeaBIOS 1.16.2: beside an RSDP of 20 bytes a blob of 1,216 fits and one of 1,232 does not.
  test.each([
    [1216, "done"],
    [1232, "refused"],
  ] as const)("%d bytes beside the RSDP: %s", (size, outcome) => {
    const files = baseline("seabios").set("etc/extra", { bytes: new Uint8Array(size) });
    withScript(files, (script) => put(script, 1, { ...allocate("etc/extra", 16), zone: "fSegment" } as Entry));
    expect(boot(files, { firmware: "seabios" }).trace[1]!.outcome).toBe(outcome);
  });
});

describe("suspend to RAM", () => {
  test.skipIf(sharedNames("captures").length === 0)("SeaBIOS writes pointers again in reverse, OVMF in order where S3 is allowed, AAVMF never", () => {
    const states = (enabled: boolean) => ({ bytes: Uint8Array.of(128, 0, 0, enabled ? 129 : 1, 2, 0) });
    const order = (firmware: OracleFirmware, enabled = true) => {
      const files = new Map(caseFiles("wp-twice", firmware, outcomes("wp-twice")[firmware]!));
      files.set("etc/system-states", states(enabled));
      const result = boot(files, { firmware });
      const values = result.writtenPointers.map((pointer) => pointer.value);
      return { first: values[0], second: values[1], again: result.resume().map((pointer) => pointer.value), file: result.device.file(VMCOREINFO)! };
    };
    const bios = order("seabios");
    expect(bios.again).toEqual([bios.second, bios.first]);
    // Both go to the same place: after resume the host holds the other one.
    expect(new DataView(bios.file.buffer).getBigUint64(8, true)).toBe(bios.first);
    const efi = order("ovmf");
    expect(efi.again).toEqual([efi.first, efi.second]);
    expect(order("ovmf", false).again).toEqual([]);
    expect(order("aavmf").again).toEqual([]);
  });
});
