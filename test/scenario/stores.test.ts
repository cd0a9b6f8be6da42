/** Boot errors and the error record store of a scenario: what is made of their members, and what the modelled guest leaves. */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { messageText } from "../../src/guest/pstore.ts";
import { emptyStore } from "../../src/host/erst-storage.ts";
import { bootErrorRegion } from "../../src/scenario/boot-errors.ts";
import { storeBytes, storedRecords } from "../../src/scenario/error-store.ts";
import { runScenario } from "../../src/scenario/runner.ts";
import type { ErrorStoreChoice, MachineChoice, Scenario } from "../../src/scenario/schema.ts";
import { apei } from "../support/cli.ts";
import { testFolder } from "../support/folder.ts";
import { hex } from "../support/hex.ts";

const nowhere = (): never => {
  throw new Error("no file is read");
};
const scenario = (machine: MachineChoice, events: Scenario["events"] = []): Scenario => ({ name: "x", machine: { ras: false, ...machine }, events });
const store = (choice: ErrorStoreChoice) => storeBytes(choice, {})!;

describe("a boot error region", () => {
  /** An empty block: no status, no data, recoverable. */
  const empty = hex`00000000 00000000 00000000 00000000 00000000`;
  test("is as long as what is given, or as long as is said", () => {
    expect(bootErrorRegion({ region: "0102" }, nowhere)).toEqual(hex`0102`);
    expect(bootErrorRegion({ region: "0102", length: 4 }, nowhere)).toEqual(hex`01020000`);
    expect(bootErrorRegion({ region: "0102", length: 1 }, nowhere)).toEqual(hex`01`);
    expect(bootErrorRegion({ file: "a.bin" }, (path) => (path === "a.bin" ? empty : nowhere()))).toEqual(empty);
    expect(bootErrorRegion({}, nowhere)).toEqual(new Uint8Array(0));
  });
  test("of records is their blocks, one after the other", () => {
    const records = [{ memory: { severity: "corrected" as const } }, { severity: "fatal" as const, sections: [{ kind: "platformMemory", body: {} }] }];
    const region = bootErrorRegion({ records }, nowhere);
    // Two blocks of 20 + 72 + 80 bytes; severities corrected (2) and fatal (1).
    expect(region).toHaveLength(344);
    expect([region[16], region[172 + 16]]).toEqual([2, 1]);
  });
  test.each([
    [{ region: "", file: "a" }, "records, region and file are three ways to say one thing"],
    [{ records: [{}] }, "machine.bootErrors.records[0]: a record needs a block, sections or a memory error"],
    [{ records: [{ sections: [{ kind: "nope", body: {} }] }] }, "machine.bootErrors.records[0].sections[0].kind: there is no section type nope"],
  ])("%j is refused", (choice, message) => {
    expect(() => bootErrorRegion(choice, nowhere)).toThrow(message);
  });

  for (const monitor of ["qemu-10.2", "kvmtool-like"] as const)
    for (const architecture of ["arm64", "x86"] as const)
      test(`is read and cleared by the guest of ${monitor} on ${architecture}`, () => {
        const { kernelLog, timeline } = runScenario({
          ...scenario({ architecture, bootErrors: { records: [{ memory: { severity: "fatal", physicalAddress: "0x1000" } }], length: 400 } }),
          monitor,
        });
        expect(kernelLog).toEqual([
          "BERT: Error records from previous boot:",
          "[Hardware Error]: event severity: fatal",
          "[Hardware Error]:  Error 0, type: fatal",
          "[Hardware Error]:   section_type: memory error",
          "[Hardware Error]:   physical_address: 0x0000000000001000",
          "BERT: Total records found: 1",
        ]);
        expect(timeline.find(({ what }) => what === "bootErrors")?.text).toContain("region of 400 bytes");
      });
});

describe("an error record store", () => {
  test("holds what is given, in order", () => {
    const bytes = store({
      records: [
        { id: 5, text: "a\n", seconds: 0x6b0033b1 },
        { id: "0x6", creatorId: "cf07c4bd-b789-4e18-b3c4-1f732cb57131", sections: [{ kind: "platformMemory", body: {} }] },
      ],
    });
    expect(bytes).toHaveLength(0x20000);
    const [first, second] = storedRecords(bytes);
    // The header Linux writes: revision 1.0, fatal, only the time stamp valid, 202 bytes, seconds, "previous error".
    expect(first!.bytes.subarray(0, 32)).toEqual(hex`43504552 0001 ffffffff 0100 01000000 02000000 ca000000 b133006b 00000000`);
    expect(first!.bytes.subarray(96, 108)).toEqual(hex`0500000000000000 02000000`);
    expect([second!.id, second!.record.header.creatorId, second!.bytes.length]).toEqual([6n, "cf07c4bd-b789-4e18-b3c4-1f732cb57131", 280]);
  });
  test("begins with a file, which is not written; an earlier run's store takes the place of both", () => {
    const file = emptyStore(0x8000, 4096);
    const bytes = storeBytes({ file: "s", records: [{ id: 1, text: "x" }] }, { read: () => file })!;
    expect([bytes.length, storedRecords(bytes).length, storedRecords(file).length]).toEqual([0x8000, 1, 0]);
    expect(storeBytes({ records: [{ id: 1, text: "x" }] }, { store: file })).toEqual(file);
    expect(storeBytes(undefined, {})).toBeUndefined();
  });
  test.each<[ErrorStoreChoice, string]>([
    [{ records: [{ id: 1 }] }, "machine.errorStore.records[0]: a stored record has one of text, sections and record"],
    [{ records: [{ id: 0, text: "" }] }, "machine.errorStore.records[0].id: zero and all ones stand for no record"],
    [{ recordSize: 4096, records: [{ id: 1, text: "x".repeat(4000) }] }, "has 4200 bytes, a slot of the store 4096"],
    [{ size: 16384, recordSize: 4096, records: [1, 2, 3, 4].map((id) => ({ id, text: "x" })) }, "machine.errorStore.records[3]: the store is full"],
    [{ file: "s" }, "s: this scenario names a file, and there is nobody to read it"],
  ])("%j is refused", (choice, message) => {
    expect(() => store(choice)).toThrow(message);
  });

  test("a crash leaves the last messages beside what was there; what must be left is looked for", () => {
    const errorStore = {
      records: [{ id: 9, text: "old\n" }],
      left: [{ id: 9, kind: "linuxMessages", contains: ["old"] }, { contains: ["Panic#1 Part1", "sysrq"] }, { kind: "pcie" }],
    };
    const result = runScenario(scenario({ errorStore }, [{ at: 1500, crash: true }]));
    expect(result.outcome).toBe("panicked");
    expect(result.missing).toEqual(["record, pcie"]);
    const [, fresh] = storedRecords(result.store!);
    // The machine starts at the beginning of 2026: 0x6955b900 seconds since 1970.
    expect(fresh!.id).toBe(0x6955b901_00000001n);
    expect(messageText(fresh!.record.sections[0]!.body!)!.trimEnd().split("\n").slice(-2)).toEqual([
      "<6>[    1.500000] sysrq: Trigger a crash",
      "<0>[    1.500000] Kernel panic - not syncing: sysrq triggered crash",
    ]);
  });
  test("without room nothing is stored, and the kernel dies all the same", () => {
    const records = [1, 2, 3].map((id) => ({ id, text: "x" }));
    const result = runScenario(scenario({ errorStore: { size: 16384, recordSize: 4096, records } }, [{ at: 0, crash: true }]));
    expect(result.timeline.find(({ what }) => what === "lastWords")).toMatchObject({ bad: true });
    expect(storedRecords(result.store!)).toHaveLength(3);
  });
});

describe("apei run", () => {
  const folder = testFolder();
  const at = (name: string) => join(folder, name);

  test("keeps a store from run to run, takes boot errors from a file, and says what is missing", async () => {
    writeFileSync(at("region.bin"), bootErrorRegion({ records: [{ memory: { severity: "corrected" } }] }, nowhere));
    writeFileSync(at("panic.json"), JSON.stringify(scenario({}, [{ at: 0, crash: true }])));
    writeFileSync(at("next.json"), JSON.stringify(scenario({ bootErrors: { file: "region.bin" }, errorStore: { left: [{ kind: "pcie" }] } })));
    const first = await apei(["run", at("panic.json"), "--erst", at("store.bin")]);
    expect([first.exit, first.err]).toEqual([0, ""]);
    const second = await apei(["run", at("next.json"), "--erst", at("store.bin")]);
    expect(second.exit).toBe(1);
    expect(second.out).toContain(`dmesg-erst-${0x6955b900_00000001n}`);
    expect(second.out).toContain("BERT: Total records found: 1");
    expect(second.out).toContain("what should be there and is not:\n  record, pcie");
    await apei(["run", at("panic.json"), "--erst", at("store.bin")]);
    expect(storedRecords(new Uint8Array(readFileSync(at("store.bin")))).map(({ id }) => id)).toEqual([0x6955b900_00000001n, 0x6955b901_00000001n]);
    const third = await apei(["run", at("panic.json"), "--bert", at("region.bin"), "--json"]);
    expect(JSON.parse(third.out).kernelLog).toContain("BERT: Total records found: 1");
  });
  test("refuses a file that is no store, and one that is not there", async () => {
    expect((await apei(["run", at("panic.json"), "--erst", at("panic.json")])).err).toContain("panic.json: the store does not begin with ERSTSTOR");
    writeFileSync(at("missing.json"), JSON.stringify(scenario({ errorStore: { file: "none.bin" } })));
    const { err, exit } = await apei(["run", at("missing.json")]);
    expect([exit, err]).toEqual([2, `apei: ${at("none.bin")}: no such file\n`]);
  });
});
