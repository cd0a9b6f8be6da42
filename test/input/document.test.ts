import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { documentsOf } from "../../src/input/document.ts";
import type { Json } from "../../src/layout/index.ts";
import { describeShared, shared, sharedNames } from "../support/shared.ts";

const documents = documentsOf();

/** Any bytes through text JSON and back; spans tile what the document encodes to. */
function roundTrip(bytes: Uint8Array, options = {}) {
  const document = documents.read(bytes, options);
  const json = JSON.parse(JSON.stringify(documents.toJson(document))) as Json;
  expect(Buffer.compare(documents.encode(json), bytes)).toBe(0);
  let at = 0;
  for (const span of document.format.spans(document.value)) {
    // An assertion for each of thousands of spans would take most of the time.
    if (span.offset !== at) expect(span.offset, span.path).toBe(at);
    at += span.size;
  }
  expect(at).toBe(bytes.length);
  expect(document.format.summary(document.value)).not.toMatch(/undefined|\[object/);
  return document;
}

describe("any bytes", () => {
  test("random bytes", () => {
    fc.assert(
      fc.property(
        fc.oneof(
          fc.uint8Array({ maxLength: 300 }),
          fc.string().map((text) => new TextEncoder().encode(text)),
        ),
        (bytes) => {
          roundTrip(bytes);
        },
      ),
      { numRuns: 1000, seed: 20240718 },
    );
  });
  test("no bytes are raw, with a finding", () => {
    const document = roundTrip(new Uint8Array(0));
    expect(document.format.name).toBe("raw");
    expect(document.findings).toHaveLength(1);
  });
  test("every format takes any bytes when told to", () => {
    fc.assert(
      fc.property(
        fc.constantFrom(...[...documents.formats].map((format) => format.name).filter((name) => name !== "section")),
        fc.uint8Array({ maxLength: 400 }),
        (as, bytes) => {
          roundTrip(bytes, { as });
        },
      ),
      { numRuns: 2000, seed: 5 },
    );
  });
});

describeShared("real files", () => {
  const folders: [string, RegExp, string][] = [
    ["corpus/whea-cper", /\.bin$/, "cper"],
    ["corpus/libcper", /\.cper\.bin$/, "cper"],
    ["guest/erst", /\.bin$/, "erst-store"],
  ];
  for (const [folder, pattern, format] of folders)
    test.each(sharedNames(folder, (name) => pattern.test(name)))(`${folder}/%s`, (name) => {
      expect(roundTrip(shared(folder, name)).format.name).toBe(format);
    });
  test.each([
    ["corpus/cper-other/nvidia-pcie-good.pldm.bin", "pldm"],
    ["corpus/cper-other/nvidia-ccplex-bad.pldm.bin", "pldm"],
    ["corpus/cper-other/intel-crashlog-dummy.bert.bin", "stream"],
    ["corpus/ghes-blocks/qemu-arm-cache-error.gesb.bin", "status-block"],
    ["captures/virt-aarch64-ras-11.1/etc_hardware_errors", "hardware-errors"],
    ["captures/virt-aarch64-ras-7.2/etc_hardware_errors", "hardware-errors"],
    ["captures/virt-aarch64-ras-11.1/etc_acpi_tables", "stream"],
    ["captures/virt-aarch64-ras-11.1/etc_table-loader", "table-loader"],
    ["captures/virt-aarch64-ras-11.1/etc_acpi_rsdp", "rsdp"],
    ["captures/virt-aarch64-ras-11.1/fw_cfg-directory.bin", "fw-cfg-directory"],
    ["captures/virt-aarch64-ras-11.1/tables/HEST.dat", "hest"],
    ["corpus/acpi-other/iasl-template.HEST.bin", "hest"],
  ])("%s is %s", (path, format) => {
    expect(roundTrip(shared(path)).format.name).toBe(format);
  });
});
