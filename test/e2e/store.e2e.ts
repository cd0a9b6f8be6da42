/** The error record store: what the host puts in is read by a real guest, what a dying guest leaves is read by the host. */
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { messageText } from "../../src/guest/pstore.ts";
import { consoleLines } from "../../src/qemu/kernel-log.ts";
import { printedFiles } from "../../src/qemu/store.ts";
import { storedRecords } from "../../src/scenario/error-store.ts";
import type { Scenario } from "../../src/scenario/schema.ts";
import { apei } from "../support/cli.ts";
import { describeOn, expectPredicted, runOn, scenarioSample } from "./support.ts";

const samplePath = (name: string) => fileURLToPath(new URL(`../../samples/scenarios/${name}`, import.meta.url));
const LINUX = "75a574e3-5052-4b29-8a8e-be2c6490b89d";

describeOn("seabios@sid")("the error record store of a newer machine and kernel", () => {
  test.each(["error-store-read-by-guest.json", "guest-panic-stored.json"])("%s", async (name) => {
    const result = await runOn("seabios@sid", await scenarioSample(name));
    expectPredicted(result);
    expect(result.done).toBe(result.events);
  });
  test("the machine check a kernel dies of is stored before its messages", async () => {
    const result = await runOn("seabios@sid", {
      name: "machine check stored",
      monitor: "qemu-10.2",
      machine: { architecture: "x86", ras: false, vendor: "amd", errorStore: {} },
      events: [{ at: 0, sigbus: { code: "actionRequired", physicalAddress: "0x8000000" } }],
    });
    expectPredicted(result);
    const [first, ...rest] = storedRecords(result.store!);
    expect(first!.record.sections[0]!.body!.value).toMatchObject({ bank: 9, status: 0xbc00080000000000n, globalStatus: 7n, address: 0x8000000n, cpuVendor: 2 });
    expect(rest.length).toBeGreaterThan(0);
  });
});

describeOn("seabios")("the error record store", () => {
  test("the sample: made by the host, read and cleared by the guest", async () => {
    const result = await runOn("seabios", await scenarioSample("error-store-read-by-guest.json"));
    expectPredicted(result);
    expect(result.skipped).toEqual([]);
    const [messages, machineCheck] = printedFiles(result.console);
    expect(new TextDecoder().decode(messages!.bytes)).toContain("out of luck");
    expect(machineCheck!.name).toMatch(/^mce-erst-/);
    expect(storedRecords(result.store!).map(({ id }) => id)).toEqual([0x6a00000000000002n, 0x1dc5a1b2c3d4e5f6n]);
  });

  test("the sample: a panic is stored, decoded here, and read by the next guest", async () => {
    const folder = mkdtempSync(join(tmpdir(), "apei-e2e-"));
    try {
      const path = join(folder, "store.bin");
      const ran = await apei(["qemu", "run", samplePath("guest-panic-stored.json"), "--erst", path]);
      expect(ran.exit, `${ran.out}${ran.err}`).toBe(0);
      const { out, exit } = await apei(["decode", path]);
      expect(exit).toBeLessThan(2);
      expect(out).toMatch(/<3>\[.*\{1\}\[Hardware Error\]: event severity: recoverable/);
      expect(out).toMatch(/<0>\[.*Kernel panic - not syncing: sysrq triggered crash/);

      const store = new Uint8Array(readFileSync(path));
      const next: Scenario = { name: "the next boot", machine: { architecture: "x86", ras: false, errorStore: {} }, events: [] };
      const second = await runOn("seabios", next, { store });
      expectPredicted(second);
      const texts = storedRecords(store).map(({ record }) => messageText(record.sections[0]!.body!));
      expect(printedFiles(second.console).map(({ bytes }) => Buffer.from(bytes).toString("latin1"))).toEqual(texts);
      expect(texts[0]).toMatch(/^Panic#1 Part1\n/);
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  });

  test("an oops and a panic are stored one after the other, each as a whole", async () => {
    const result = await runOn("seabios", {
      name: "oops, then panic",
      monitor: { preset: "qemu-10.2", recording: { stores: "statusLast" } },
      machine: { architecture: "x86", sources: [{ id: 0, notification: "polled", pollInterval: 100 }], errorStore: {} },
      events: [
        { at: 0, record: { source: 0, severity: "recoverable", sections: [{ kind: "pcie", body: { deviceId: { device: 31, function: 2 }, aer: {} } }] } },
        { at: 1, crash: true },
      ],
    });
    expectPredicted(result);
    const heads = storedRecords(result.store!).map(({ record }) => messageText(record.sections[0]!.body!)!.split("\n", 1)[0]);
    expect(heads).toEqual(expect.arrayContaining(["Oops#1 Part1", "Panic#2 Part1"]));
  });

  test("a fatal record ends the guest; the report is in what it stores, beside what was there", async () => {
    const result = await runOn("seabios", {
      name: "fatal",
      monitor: { preset: "qemu-10.2", recording: { stores: "statusLast" } },
      machine: {
        architecture: "x86",
        sources: [{ id: 0, notification: "polled", pollInterval: 100 }],
        errorStore: { records: [{ id: 7, text: "written by the host\n" }] },
      },
      events: [{ at: 0, record: { source: 0, memory: { severity: "fatal", physicalAddress: "0x2000000", errorType: "multiBitEcc" } } }],
    });
    expectPredicted(result);
    expect(result.outcome).toBe("panicked");
    const [old, fresh] = storedRecords(result.store!);
    expect(old!.id).toBe(7n);
    // What was stored is what was printed: the kernel's last lines, each with a level before it.
    const stored = messageText(fresh!.record.sections[0]!.body!)!.split("\n").slice(1, -1);
    const printed = consoleLines(result.console).filter((line) => /^\[ *\d+\.\d{6}\] /.test(line));
    expect(printed.slice(-stored.length)).toEqual(stored.map((line) => line.replace(/^<\d+>/, "")));
  });

  test("odd records: of others, of no known type, damaged, without content", async () => {
    const damaged = "55".repeat(40);
    const text = (words: string) => ({ text: Buffer.from(words).toString("hex") });
    const result = await runOn("seabios", {
      name: "odd records",
      machine: {
        architecture: "x86",
        ras: false,
        errorStore: {
          recordSize: 4096,
          size: 0x20000,
          records: [
            { id: 1, text: "plain\n" },
            { id: 2, creatorId: "cf07c4bd-b789-4e18-b3c4-1f732cb57131", sections: [{ kind: "linuxMessages", body: text("of another\n") }] },
            { id: 3, sections: [{ kind: "platformMemory", body: {} }] },
            { id: 4, sections: [{ kind: "linuxCompressedMessages", body: { compressed: damaged } }] },
            {
              id: 5,
              creatorId: LINUX,
              sections: [
                { kind: "linuxMessages", body: text("two\n") },
                { kind: "platformMemory", body: {} },
              ],
            },
            { id: 6, sections: [{ kind: "linuxMessages", body: text("") }] },
            { id: 7, text: "behind the end\n" },
          ],
        },
      },
      events: [],
    });
    expectPredicted(result);
    expect(printedFiles(result.console).map(({ name }) => name)).toEqual(["dmesg-erst-1", "dmesg-erst-4.enc.z", "dmesg-erst-5", "unknown-erst-3"]);
  });
});
