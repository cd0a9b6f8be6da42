import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { buildTable } from "../../src/acpi/build-tables.ts";
import { fixChecksum } from "../../src/acpi/table-header.ts";
import { type CheckInput, check, fwCfgNameOf } from "../../src/check/check.ts";
import { describeShared, shared, sharedNames } from "../support/shared.ts";

const rules = (inputs: readonly CheckInput[], least: readonly string[] = ["error", "warning"]) =>
  check(inputs)
    .findings.filter(({ severity }) => least.includes(severity))
    .map(({ rule, path }) => `${rule} ${path}`);

const hest = (notification: object, more: object = {}) => ({
  file: "HEST.dat",
  bytes: buildTable("HEST", {
    sources: [{ type: "genericHardwareError", sourceId: 0, errorStatusAddress: { address: "0x1000" }, notification, errorStatusBlockLength: 1024, ...more }],
  } as never),
});
/** A DSDT of one device with this id, as iasl packs it: Device (X) { Name (_HID, EISAID) }. */
const dsdt = (id: readonly number[]) => ({
  file: "DSDT.dat",
  bytes: buildTable("DSDT", { body: `5b820f5844455630085f4849440c${id.map((byte) => byte.toString(16).padStart(2, "0")).join("")}` }),
});
const PNP0C33 = [0x41, 0xd0, 0x0c, 0x33];
const PNP0C0C = [0x41, 0xd0, 0x0c, 0x0c];

describe("tables against each other", () => {
  test.each(["sci", "gpioSignal", "gsiv"])("%s wants an error device", (type) => {
    expect(rules([hest({ type }), dsdt(PNP0C0C)])).toEqual(["hest-error-device sources[0].notification.type"]);
    expect(rules([hest({ type }), dsdt(PNP0C33)])).toEqual([]);
    expect(rules([hest({ type })])).toEqual([]);
  });
  test("an SDEI source wants an SDEI table, where the whole system is given", () => {
    const madt = { file: "APIC.dat", bytes: buildTable("APIC", { body: "00" }) };
    const sdei = { file: "SDEI.dat", bytes: buildTable("SDEI", {}) };
    const source = hest({ type: "sdei", vector: 804 });
    expect(rules([source, madt]).filter((rule) => !rule.startsWith("linux"))).toEqual(["hest-sdei-table sources[0].notification.type"]);
    expect(rules([source, madt, sdei])).toEqual([]);
    expect(rules([source])).toEqual(["linux-source-dropped sources[0]"]);
  });
  test("a boot error region has the length of its table and whole blocks", () => {
    const bert = { file: "BERT.dat", bytes: buildTable("BERT", { bootErrorRegionLength: 64, bootErrorRegion: "0x1000" }) };
    const region = new Uint8Array(64);
    expect(rules([bert, { file: "data/BERT", bytes: region }])).toEqual([]);
    region.set([1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x40, 0x1f], 0);
    expect(rules([bert, { file: "data/BERT", bytes: region }])).toEqual(["bert-region blocks[0]"]);
    expect(rules([bert, { file: "data/BERT", bytes: new Uint8Array(32) }])).toEqual(["bert-region bootErrorRegionLength"]);
  });
  test("a status block must fit what its source allows", () => {
    const block = new Uint8Array(2000);
    new DataView(block.buffer).setUint32(0, 0x12, true);
    new DataView(block.buffer).setUint32(12, 1980, true);
    block.fill(0x11, 20, 36);
    expect(rules([hest({ type: "polled", pollInterval: 1000 }), { file: "error.bin", bytes: block }])).toEqual(["block-too-long block.header.dataLength"]);
  });
});

describe("names of fw_cfg files", () => {
  test.each([
    ["out/etc/acpi/tables", "etc/acpi/tables"],
    ["capture/etc_acpi_tables", "etc/acpi/tables"],
    ["fwcfg_etc_hardware_errors", "etc/hardware_errors"],
    ["fwcfg_etc_table-loader.bin", "etc/table-loader"],
    ["etc_other", undefined],
    ["HEST.dat", undefined],
  ])("%s", (path, name) => expect(fwCfgNameOf(path)).toBe(name));
});

describeShared("a hand-off", () => {
  const folder = "captures/virt-aarch64-ras-11.1";
  const files = () => new Map(sharedNames(folder, (name) => name.startsWith("etc_")).map((name) => [name, shared(folder, name)]));
  const check1 = (change: (files: Map<string, Uint8Array>) => void) => {
    const all = files();
    change(all);
    return rules([...all].map(([file, bytes]) => ({ file, bytes })));
  };
  const hestAt = (tables: Uint8Array) => Buffer.from(tables).indexOf("HEST");

  test("as QEMU made it", () => expect(check1(() => {})).toEqual([]));
  test("an acknowledge word of zero", () => {
    expect(check1((all) => all.get("etc_hardware_errors")!.fill(0, 16, 24))).toEqual(["hest-acknowledge-initial sources[0].readAckRegister"]);
  });
  test("two sources with one block", () => {
    expect(check1((all) => all.get("etc_hardware_errors")!.copyWithin(8, 0, 8))).toEqual(["hest-block-overlap sources[1].errorStatusAddress"]);
  });
  test("a source QEMU cannot step over", () => {
    const found = check1((all) => {
      const tables = all.get("etc_acpi_tables")!;
      tables[hestAt(tables) + 40] = 9;
    });
    expect(found).toContain("hest-lookup sources[0].type");
  });
  test("a block that goes beyond the blob", () => {
    expect(check1((all) => new DataView(all.get("etc_hardware_errors")!.buffer).setBigUint64(8, 2000n, true))).toContain(
      "hest-pointer-outside sources[1].errorStatusBlockLength",
    );
  });
  test("a status register aimed past the blob, and one off by four", () => {
    expect(
      check1((all) => {
        const tables = all.get("etc_acpi_tables")!;
        new DataView(tables.buffer).setBigUint64(hestAt(tables) + 40 + 24, 4n, true);
      }),
    ).toContain("hest-pointer-alignment sources[0].errorStatusAddress.address");
  });
  test("a script cut inside an entry", () => {
    expect(check1((all) => all.set("etc_table-loader", all.get("etc_table-loader")!.slice(0, -5)))).toEqual(expect.arrayContaining(["loader-no-acpi entries"]));
  });
  test("a pointer of three bytes", () => {
    const found = check1((all) => {
      const script = all.get("etc_table-loader")!;
      for (let at = 0; at < script.length; at += 128) if (script[at] === 2) script[at + 120] = 3;
    });
    expect(found.some((rule) => rule.startsWith("loader-edk2 entries["))).toBe(true);
    expect(found).toContain("loader-no-acpi entries");
  });
  test("a file that is never allocated is unsafe whatever one boot shows", () => {
    const found = check1((all) => {
      const script = all.get("etc_table-loader")!;
      for (let at = 0; at < script.length; at += 128)
        if (script[at] === 1 && Buffer.from(script.subarray(at + 4, at + 23)).toString() === "etc/hardware_errors") script.fill(0, at, at + 128);
    });
    expect(found.some((rule) => rule.startsWith("loader-unsafe"))).toBe(true);
  });
  test("names with something behind their NUL", () => {
    expect(
      check1((all) => {
        const script = all.get("etc_table-loader")!;
        for (let at = 0; at < script.length; at += 128) if (script[at] === 4) script.fill(0xa5, at + 40, at + 59);
      }),
    ).toEqual([]);
  });
  test("mutated scripts and blobs: findings, never an exception", () => {
    const names = ["etc_table-loader", "etc_hardware_errors", "etc_acpi_rsdp"];
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.nat(2), fc.nat(4480), fc.nat(255)), { minLength: 1, maxLength: 4 }), (changes) => {
        check1((all) => {
          for (const [which, at, value] of changes) {
            const bytes = all.get(names[which]!)!;
            bytes[at % bytes.length] = value;
          }
        });
      }),
      { numRuns: 30, seed: 3 },
    );
  });
  test("a table nobody points at", () => {
    const found = check1((all) => {
      const tables = all.get("etc_acpi_tables")!;
      const at = hestAt(tables);
      const script = all.get("etc_table-loader")!;
      // The root table's pointer to HEST is the one whose place holds HEST's offset.
      for (let entry = 0; entry < script.length; entry += 128) {
        const offset = new DataView(script.buffer).getUint32(entry + 116, true);
        if (
          script[entry] === 2 &&
          script[entry + 120] === 8 &&
          offset + 8 <= tables.length &&
          new DataView(tables.buffer).getBigUint64(offset, true) === BigInt(at)
        )
          new DataView(tables.buffer).setBigUint64(offset, 0n, true);
      }
    });
    expect(found).toContain("table-unreachable header");
  });
});

test("a checksum repaired by hand is no finding", () => {
  const bert = buildTable("BERT", { bootErrorRegionLength: 64, bootErrorRegion: "0x1000" });
  bert[36] = 128;
  expect(rules([{ file: "BERT.dat", bytes: bert }])).toEqual(["header-checksum header.checksum"]);
  expect(rules([{ file: "BERT.dat", bytes: fixChecksum(bert) }])).toEqual([]);
});

test("a file of several tables is taken apart", () => {
  const bad = buildTable("BERT", { bootErrorRegionLength: 4, bootErrorRegion: "0x1000" });
  const good = buildTable("OEM1", { body: "00" });
  const { findings } = check([{ file: "all.dat", bytes: Uint8Array.from([...good, 0, 0, 0, ...bad, ...new Uint8Array(100)]) }]);
  expect(findings.filter(({ severity }) => severity === "error").map(({ file, rule, offset }) => [file, rule, offset])).toEqual([
    ["all.dat (BERT)", "bert-region-length", 36],
  ]);
  expect(rules([{ file: "padded.dat", bytes: Uint8Array.from([...good, 0, 0]) }])).toEqual(["header-trailing trailing"]);
});
