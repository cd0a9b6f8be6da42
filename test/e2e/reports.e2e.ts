/** What the kernel prints for every section, at run time and after a boot, and what it keeps in its store. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { buildErrorStatusBlock } from "../../src/acpi/status-block.ts";
import { buildRecord } from "../../src/cper/record-codec.ts";
import { sectionTypes } from "../../src/cper/registry.ts";
import { ErstStorage, emptyStore, MemoryBackend } from "../../src/host/erst-storage.ts";
import { Dice, generate } from "../../src/input/generate.ts";
import { bytesToHex, encode, type SectionType } from "../../src/layout/index.ts";
import { printedFiles, pstoreFiles } from "../../src/qemu/store.ts";
import { apei } from "../support/cli.ts";
import { describeOn, expectPredicted, runOn, sample } from "./support.ts";

/** Every section Linux knows, and two it dumps. */
const NAMES = [
  "processorGeneric",
  "ia32x64Processor",
  "armProcessor",
  "platformMemory",
  "pcie",
  "firmwareErrorRecordReference",
  "cxlProtocol",
  "cxlGeneralMedia",
  "pciBus",
  "dmarGeneric",
] as const;
const types = [...sectionTypes].filter((type) => (NAMES as readonly string[]).includes(type.name));

const body = (type: SectionType, dice: Dice): Uint8Array => encode(type.layout as never, generate(type.layout, dice) as never);
const blockOf = (chosen: readonly SectionType[], dice: Dice, severity: "corrected" | "recoverable"): Uint8Array =>
  buildErrorStatusBlock(
    severity,
    chosen.map((type) => ({ header: { sectionType: type.guids[0]!, errorSeverity: severity, fruText: "DIMM A1" }, body: body(type, dice) })),
  );

for (const [firmware, seed] of [
  ["seabios", 1],
  ["aavmf", 2],
] as const)
  describeOn(firmware)(`sections on ${firmware}`, () => {
    test("all of them at run time, with random values", async () => {
      expect(types.length).toBe(NAMES.length);
      const dice = new Dice(seed);
      const events = (["corrected", "recoverable", "corrected", "recoverable"] as const).map((severity) => ({
        at: 0,
        record: { source: 0, block: bytesToHex(blockOf(types, dice, severity)) },
      }));
      const result = await runOn(firmware, {
        name: "every section",
        monitor: { preset: "qemu-10.2", walk: "specification", recording: { stores: "statusLast" } },
        machine: { sources: [{ id: 0, notification: "polled", pollInterval: 100, blockLength: 0x8000 }] },
        events,
      });
      expectPredicted(result);
      expect(result.records.every(({ lines }) => lines.length > 60)).toBe(true);
    });

    test("all of them after a boot: five blocks, and more that are skipped", async () => {
      const dice = new Dice(seed + 100);
      const blocks: Uint8Array[] = [];
      // Blocks of a boot error region are printed only when they are shorter than 1024 bytes, and only five.
      for (let from = 0; from < types.length; from += 2) blocks.push(blockOf(types.slice(from, from + 2), dice, "recoverable"));
      blocks.push(blockOf(types.slice(0, 1), dice, "corrected"));
      const bootErrors = new Uint8Array(Buffer.concat([...blocks, Buffer.alloc(64)]));
      const result = await runOn(firmware, { name: "boot errors", machine: { ras: false }, events: [] }, { bootErrors });
      expectPredicted(result);
      expect(result.boot.find(({ title }) => title.includes("boot before"))?.lines.length).toBeGreaterThan(30);
    });
  });

describeOn("seabios")("the error record store", () => {
  test("made by the host, read by the guest; what the guest leaves when it dies is read by the host and by the next guest", async () => {
    const folder = mkdtempSync(join(tmpdir(), "apei-e2e-"));
    try {
      const path = join(folder, "store.bin");
      const bytes = emptyStore(0x20000);
      const messages = [...sectionTypes].find((type) => type.name === "linuxMessages")!;
      const record = buildRecord(
        {
          signature: "CPER",
          signatureEnd: 0xffffffff,
          revision: 0x0100,
          severity: "fatal",
          creatorId: "75a574e3-5052-4b29-8a8e-be2c6490b89d",
          recordId: 0x1234_5678_0000_0001n,
        } as never,
        [
          {
            descriptor: { severity: "fatal", revision: 0x0100, sectionType: messages.guids[0]! } as never,
            body: new TextEncoder().encode("written by the host\n"),
          },
        ],
      );
      new ErstStorage(new MemoryBackend(bytes)).write(record, 0x1234_5678_0000_0001n);
      writeFileSync(path, bytes);

      const first = await runOn("seabios", await sample("fatal.json"), { store: { path, bytes } });
      expectPredicted(first);
      expect(first.outcome).toBe("panicked");
      expect(printedFiles(first.console).map((file) => new TextDecoder().decode(file.bytes))).toEqual(["written by the host\n"]);

      const { out, exit } = await apei(["decode", path]);
      expect(exit).toBeLessThan(2);
      expect(out).toContain("Panic#1 Part1");
      expect(out).toContain("Fatal hardware error");
      const after = new Uint8Array(readFileSync(path));
      expect(pstoreFiles(after).length).toBeGreaterThan(1);

      const second = await runOn("seabios", { name: "next boot", machine: { ras: false }, events: [] }, { store: { path, bytes: after } });
      expectPredicted(second);
      expect(printedFiles(second.console).length).toBe(pstoreFiles(after).length);
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  });
});
