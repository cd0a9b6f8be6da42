/** The kernel's persistent store: recorded stores, what a real Linux 6.1 made of odd records, last words. */
import { describe, expect, test } from "vitest";
import { buildRecord, parseRecord } from "../../src/cper/record-codec.ts";
import { sectionTypes } from "../../src/cper/registry.ts";
import { lastWords, messageRecord, messageText, mountPstore, pstoreId, readStoredLine, storedLine } from "../../src/guest/pstore.ts";
import { ErstStorage, emptyStore, MemoryBackend } from "../../src/host/erst-storage.ts";
import { StoreDevice, storedRecords } from "../../src/scenario/error-store.ts";
import { hex } from "../support/hex.ts";
import { describeShared, shared } from "../support/shared.ts";

const mount = (bytes: Uint8Array, version: "6.1" | "7.2" = "6.1") => mountPstore(new StoreDevice(bytes, 0x1000_0000n).driver(), version);
const ascii = (text: string) => new TextEncoder().encode(text);
const PSTORE = "75a574e3-5052-4b29-8a8e-be2c6490b89d";
const WINDOWS = "cf07c4bd-b789-4e18-b3c4-1f732cb57131";

function storeOf(records: readonly (readonly [id: bigint, creator: string, section: string, body: Uint8Array])[]): Uint8Array {
  const bytes = emptyStore(0x40000);
  const storage = new ErstStorage(new MemoryBackend(bytes));
  for (const [id, creatorId, name, body] of records)
    storage.write(
      buildRecord({ severity: "fatal", creatorId, recordId: id }, [{ descriptor: { severity: "fatal" }, type: sectionTypes.byName(name)!, body }]),
      id,
    );
  return bytes;
}

describe("what Debian's Linux 6.1 made of a store with odd records", () => {
  /** Raw deflate of "compressed\n", and of a long text, cut. */
  const whole = hex`4bcecf2d284a2d2e4e4de10200`;
  const cut = hex`edc8a10d00200c00300fcf157b0e08c9320c82f379037d0ae56ae6ae19b9aac7`;
  const records = [
    [1n, PSTORE, "linuxMessages", ascii("plain\n")],
    [2n, WINDOWS, "linuxMessages", ascii("other creator\n")],
    [3n, PSTORE, "platformMemory", new Uint8Array(80)],
    [4n, PSTORE, "linuxCompressedMessages", new Uint8Array(40).fill(0x55)],
    [5n, PSTORE, "linuxCompressedMessages", whole],
    [6n, PSTORE, "linuxMachineCheck", new Uint8Array(128).fill(1)],
    [7n, PSTORE, "linuxCompressedMessages", cut],
    [10n, PSTORE, "linuxMessages", ascii("last\n")],
  ] as const;

  test("files and complaints", () => {
    const { files, messages } = mount(storeOf(records));
    expect(files.map(({ name, bytes }) => `${name}: ${bytes.length}`)).toEqual([
      "dmesg-erst-1: 6",
      "unknown-erst-3: 80",
      "dmesg-erst-4.enc.z: 40",
      "dmesg-erst-5: 11",
      "mce-erst-6: 128",
      "dmesg-erst-7.enc.z: 32",
      "dmesg-erst-10: 5",
    ]);
    expect(messages).toEqual(Array(2).fill("pstore: crypto_comp_decompress failed, ret = -22!"));
  });

  test("a record has the seconds of its time as they are, however few", () => {
    for (const [seconds, bytes] of [
      [0, "0000000000000000"],
      [1, "0100000000000000"],
      [0xffff_ffff, "ffffffff00000000"],
    ] as const)
      expect(Buffer.from(messageRecord(1n, ascii("x"), seconds).subarray(24, 32)).toString("hex")).toBe(bytes);
  });

  test("a record that is all header ends the list", () => {
    const bytes = storeOf(records.slice(0, 2));
    const storage = new ErstStorage(new MemoryBackend(bytes));
    storage.write(buildRecord({ severity: "fatal", creatorId: PSTORE, recordId: 9n }, []), 9n);
    storage.write(messageRecord(10n, ascii("not seen\n")), 10n);
    expect(mount(bytes).files.map(({ name }) => name)).toEqual(["dmesg-erst-1"]);
  });
});

describeShared("recorded stores", () => {
  test("of kernels and of a host", () => {
    // The recorded guest listed these files with these sizes.
    const dump = mount(shared("guest", "erst", "erst-1-after-sysrq-panic.bin"), "7.2");
    expect(dump.files.map(({ name, bytes }) => `${name} ${bytes.length}`)).toEqual([
      "dmesg-erst-7710219397360517121 13239",
      "dmesg-erst-7710219397360517122 13317",
    ]);
    expect(new TextDecoder().decode(dump.files[0]!.bytes)).toMatch(/^Panic#1 Part1\n/);
    expect(mount(shared("guest", "erst", "erst-2-after-rm.bin")).files.map(({ name }) => name)).toEqual(["dmesg-erst-7710219397360517122"]);
    expect(mount(shared("guest", "erst", "erst-after-mce.bin")).files.map(({ name }) => name)).toEqual([`mce-erst-${0x6b00344200000001n}`]);
    expect(mount(shared("guest", "erst", "erst-host-made.bin")).files.map(({ name, bytes }) => [name, bytes.length])).toEqual([
      ["dmesg-erst-7710350285630930945", 45],
    ]);
  });

  test("the record of a kernel's uncompressed messages, byte for byte", () => {
    const [first] = storedRecords(shared("guest", "erst", "erst-dmesg-uncompressed.bin"));
    const text = messageText(first!.record.sections[0]!.body!)!;
    const ours = messageRecord(
      first!.id,
      Uint8Array.from(text, (letter) => letter.charCodeAt(0)),
      Number(first!.id >> 32n),
    );
    // The driver marks it when it writes it.
    const marked = ours.slice();
    marked.set(ascii("ER"), 108);
    expect(Buffer.compare(marked, first!.bytes)).toBe(0);
    const lines = text.split("\n").slice(1, -1);
    for (const line of lines) expect(`${storedLine(readStoredLine(line)!)}`.replace(/\n$/, "")).toBe(line);
  });
});

describe("last words", () => {
  const messages = Array.from({ length: 300 }, (_, i) => ({ at: i * 10, level: i % 8, text: `message ${i} ${"x".repeat(40)}` }));
  test("the newest are in the first record, and no record is begun after 10240 bytes", () => {
    const parts = lastWords(messages, "Panic", 8192);
    expect(parts).toHaveLength(2);
    const texts = parts.map((part) => new TextDecoder().decode(part));
    expect(texts.map((text) => text.split("\n")[0])).toEqual(["Panic#1 Part1", "Panic#1 Part2"]);
    expect(texts[0]!.trimEnd().endsWith(`<3>[    2.990000] message 299 ${"x".repeat(40)}`)).toBe(true);
    const first = texts.map((text) => Number(/message (\d+)/.exec(text)![1]));
    expect(texts[1]!.trimEnd().split("\n").at(-1)).toContain(`message ${first[0]! - 1} `);
    for (const part of parts) expect(part.length).toBeLessThanOrEqual(8192 - 200);
  });
  test("identifiers and the form of a record", () => {
    expect(pstoreId(0x6b0033b1, 0)).toBe(0x6b0033b1_00000001n);
    const record = parseRecord(messageRecord(5n, ascii("x"), 0x6b0033b1));
    expect(record.header).toMatchObject({
      revision: 0x100,
      timestamp: "2026-11-20T11:49:05 seconds",
      validation: { timestamp: true },
      flags: { previousError: true },
    });
  });
});
