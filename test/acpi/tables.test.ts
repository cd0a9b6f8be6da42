import { describe, expect, test } from "vitest";
import { EinjEntry, ErstEntry } from "../../src/acpi/action-entry.ts";
import { Bert } from "../../src/acpi/bert.ts";
import { Einj, SetErrorTypeWithAddress, TriggerTable, VendorErrorTypeExtension } from "../../src/acpi/einj.ts";
import { Erst } from "../../src/acpi/erst.ts";
import { GenericAddress } from "../../src/acpi/generic-address.ts";
import {
  CorrectedMachineCheck,
  GenericHardwareErrorSource,
  GenericHardwareErrorSourceV2,
  Hest,
  MachineCheckException,
  NonMaskableInterrupt,
  PcieBridgeAer,
  PcieDeviceAer,
  PcieRootPortAer,
} from "../../src/acpi/hest.ts";
import { Notification } from "../../src/acpi/notification.ts";
import { Rsdp, Rsdt, Xsdt } from "../../src/acpi/root-tables.ts";
import { AcpiTable, acpiTableFormat, injectionFormats, rsdpFormat, tableFormats } from "../../src/acpi/table-format.ts";
import { TableHeader } from "../../src/acpi/table-header.ts";
import { encode, type Finding, type Json, parse, toJson } from "../../src/layout/index.ts";
import { hex } from "../support/hex.ts";
import { lawsOf } from "../support/laws.ts";
import { describeShared, shared, sharedNames } from "../support/shared.ts";

const realTables = ["acpi-fwts", "acpi-hackintosh", "acpi-linuxhw", "acpi-other", "acpi-qemu", "acpi-surface"].flatMap((folder) =>
  sharedNames(`corpus/${folder}`, (name) => name.endsWith(".bin")).map((name) => [`corpus/${folder}`, name] as const),
);
const capturedTables = sharedNames("captures", (name) => !name.startsWith("linked-")).flatMap((name) =>
  [`captures/${name}`, `captures/${name}/tables`].flatMap((folder) =>
    sharedNames(folder, (file) => file.endsWith(".dat") || file === "etc_acpi_rsdp").map((file) => [folder, file] as const),
  ),
);
const oracleTables = sharedNames("guest/oracle/hest", (name) => name.endsWith(".bin")).map((name) => ["guest/oracle/hest", name] as const);

function roundTrip(bytes: Uint8Array): Finding[] {
  const format = tableFormats.find((candidate) => candidate.recognise(bytes)) ?? acpiTableFormat;
  const findings: Finding[] = [];
  const value = format.parse(bytes, findings);
  expect(format.encode(value)).toEqual(bytes);
  const json = JSON.parse(JSON.stringify(format.toJson(value))) as { [key: string]: Json };
  expect(format.encode(format.fromJson(json))).toEqual(bytes);
  let at = 0;
  for (const span of format.spans(value)) {
    expect(span.offset, span.path).toBe(at);
    at += span.size;
  }
  expect(at).toBe(bytes.length);
  expect(format.summary(value)).not.toMatch(/undefined|\[object/);
  return findings;
}

describe("laws", () => {
  const seeds = [...realTables, ...capturedTables].filter(([, name]) => /HEST|EINJ|ERST|XSDT|RSDT/.test(name)).map(([folder, name]) => shared(folder, name));
  const seedsOf = (signature: string) => seeds.filter((seed) => seed.length < 1000 && String.fromCharCode(...seed.subarray(0, 4)) === signature).slice(0, 2);
  const fixed = [
    ["table header", TableHeader],
    ["generic address", GenericAddress],
    ["notification", Notification],
    ["machine check exception", MachineCheckException],
    ["corrected machine check", CorrectedMachineCheck],
    ["NMI", NonMaskableInterrupt],
    ["root port", PcieRootPortAer],
    ["device", PcieDeviceAer],
    ["bridge", PcieBridgeAer],
    ["GHES", GenericHardwareErrorSource],
    ["GHESv2", GenericHardwareErrorSourceV2],
    ["ERST entry", ErstEntry],
    ["EINJ entry", EinjEntry],
    ["set error type with address", SetErrorTypeWithAddress],
    ["vendor extension", VendorErrorTypeExtension],
    ["trigger table", TriggerTable],
    ["BERT", Bert],
    ["RSDP", Rsdp],
    ["any table", AcpiTable],
  ] as const;
  lawsOf(fixed, { runs: 40 });
  lawsOf([["HEST", Hest]], { runs: 40, seeds: seedsOf("HEST") });
  lawsOf([["ERST", Erst]], { runs: 40, seeds: seedsOf("ERST") });
  lawsOf([["EINJ", Einj]], { runs: 40, seeds: seedsOf("EINJ") });
  lawsOf([["RSDT", Rsdt]], { runs: 40, seeds: seedsOf("RSDT") });
  lawsOf([["XSDT", Xsdt]], { runs: 40, seeds: seedsOf("XSDT") });
});

describeShared("real, captured and recorded tables round-trip", () => {
  test.each([...realTables, ...capturedTables, ...oracleTables])("%s/%s", (folder, name) => {
    const bytes = shared(folder, name);
    if (bytes.length >= 36) roundTrip(bytes);
  });
});

describe("root pointers", () => {
  const short = hex`
    52 53 44 20 50 54 52 20   # "RSD PTR "
    bc                        # checksum
    42 4f 43 48 53 20         # "BOCHS "
    00                        # revision 0
    34 12 fe 07               # RSDT at 07fe1234`;
  test("20 bytes, revision 0", () => {
    const findings: Finding[] = [];
    const value = rsdpFormat.parse(short, findings) as Rsdp;
    expect(value).toEqual({ signature: "RSD PTR ", checksum: 0xbc, oemId: "BOCHS ", revision: 0, rsdtAddress: 0x07fe1234 });
    expect(rsdpFormat.encode(value)).toEqual(short);
    expect(findings.map((finding) => finding.path)).toEqual(["rsdp.checksum"]);
  });
  test("36 bytes, revision 2", () => {
    const long = hex`
      52 53 44 20 50 54 52 20   # "RSD PTR "
      00                        # checksum
      42 4f 43 48 53 20         # "BOCHS "
      02                        # revision 2
      00 00 00 00               # no RSDT
      24 00 00 00               # 36 bytes
      78 56 34 12 01 00 00 00   # XSDT at 1_12345678
      00                        # extended checksum
      00 00 00                  # reserved`;
    const value = parse(Rsdp, long);
    expect(value.extension).toEqual({ length: 36, xsdtAddress: 0x1_1234_5678n, extendedChecksum: 0 });
    expect(encode(Rsdp, value as never)).toEqual(long);
  });
});

describe("injection structures", () => {
  const trigger = hex`
    10 00 00 00  00 00 00 00  30 00 00 00  01 00 00 00   # header of 16 bytes, 48 in all, one entry
    ff 03 00 00  00 40 00 04  00 10 00 00 00 00 00 00    # trigger error: write register value, memory 0x1000
    01 00 00 00 00 00 00 00  ff ff ff ff ff ff ff ff     # value, mask`;
  test("a trigger table says what it is", () => {
    const format = injectionFormats.find((candidate) => candidate.recognise(trigger))!;
    expect(format.name).toBe("einj-trigger-table");
    const value = format.parse(trigger, []) as TriggerTable;
    expect(value.entries?.[0]).toMatchObject({ action: "triggerError", instruction: "writeRegisterValue", registerRegion: { address: 0x1000n }, value: 1n });
    expect(format.encode(value)).toEqual(trigger);
    for (const other of [trigger.slice(0, -1), trigger.slice(0, 16), new Uint8Array(48)]) expect(format.recognise(other)).toBe(false);
  });
  test.each(injectionFormats.map((format) => [format.name, format] as const))("%s has a line and a tree for any bytes", (_name, format) => {
    for (const bytes of [trigger, new Uint8Array(0), new Uint8Array(60).fill(0x18)]) {
      const value = format.parse(bytes, []);
      expect(format.summary(value)).not.toMatch(/undefined|\[object/);
      expect(format.tree(value)).toHaveLength(1);
      expect(format.encode(format.fromJson(JSON.parse(JSON.stringify(format.toJson(value)))))).toEqual(bytes);
    }
  });

  test("set error type with address and an EINJv2 extension", () => {
    const bytes = hex`
      08 00 00 40               # memory correctable, EINJv2 supported
      00 00 00 00               # no vendor extension
      0a 00 00 00               # memory address valid, EINJv2 extension
      00 00 00 00               # APIC id
      00 10 00 00 00 00 00 00   # memory address 0x1000
      00 f0 ff ff ff ff ff ff   # mask
      00 19 02 01               # segment 1, bus 2, device 3, function 1
      28 00 00 00 01 00 01 00   # extension: 40 bytes, revision 1, one component
      11 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00
      22 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00`;
    expect(toJson(SetErrorTypeWithAddress, parse(SetErrorTypeWithAddress, bytes))).toEqual({
      errorType: { memoryCorrectable: true, einjv2Supported: true },
      vendorExtensionOffset: 0,
      flags: { memoryAddressValid: true, einjv2Extension: true },
      apicId: 0,
      memoryAddress: "0x1000",
      memoryAddressRange: "0xfffffffffffff000",
      pcieSbdf: { function: 1, device: 3, bus: 2, segment: 1 },
      extension: {
        length: 40,
        revision: 1,
        componentCount: 1,
        components: [{ componentId: "11".padEnd(32, "0"), componentSyndrome: "22".padEnd(32, "0") }],
      },
    });
  });
});
