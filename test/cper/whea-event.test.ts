import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { WheaEvent, WheaSystemLogRecord, wheaEventFormat, wheaSystemLogFormat } from "../../src/cper/whea-event/format.ts";
import { WHEA_EVENTS } from "../../src/cper/whea-event/payloads.ts";
import { WheaErrorSource } from "../../src/cper/whea-event/source.ts";
import { type Finding, type Format, type Json, type Root, treeLines } from "../../src/layout/index.ts";
import { hex } from "../support/hex.ts";
import { lawsOf } from "../support/laws.ts";
import { describeShared, shared, sharedNames } from "../support/shared.ts";

const payloads = Object.entries(WHEA_EVENTS).flatMap(([name, event]) => ("payload" in event ? ([[name, event.payload as unknown as Root]] as const) : []));

/** An entry with these 8 + n bytes: id and payload. */
function entry(id: number, payload: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(32 + payload.length);
  const view = new DataView(bytes.buffer);
  bytes.set(hex`57 68 4c 67  01 00 00 00`);
  view.setUint32(8, bytes.length, true);
  bytes.set(hex`4b 52 4e 4c`, 16);
  view.setUint32(20, id, true);
  view.setUint32(24, 2, true);
  view.setUint32(28, payload.length, true);
  bytes.set(payload, 32);
  return bytes;
}

function read<V>(format: Format<V>, bytes: Uint8Array) {
  const findings: Finding[] = [];
  const value = format.parse(bytes, findings);
  expect(format.recognise(bytes)).toBe(true);
  expect(format.encode(value)).toEqual(bytes);
  expect(format.encode(format.fromJson(JSON.parse(JSON.stringify(format.toJson(value))) as { [key: string]: Json }))).toEqual(bytes);
  let at = 0;
  for (const span of format.spans(value)) {
    expect(span.offset, span.path).toBe(at);
    at += span.size;
  }
  expect(at).toBe(bytes.length);
  const lines = format
    .tree(value)
    .flatMap((tree) => treeLines(tree))
    .map((line) => line.trim());
  expect(`${format.summary(value)}\n${lines.join("\n")}`).not.toMatch(/undefined|NaN|\[object/);
  return { value, findings, lines, summary: format.summary(value) };
}
const event = (bytes: Uint8Array) => read(wheaEventFormat, bytes);

lawsOf(
  [
    ["event", WheaEvent],
    ["system log record", WheaSystemLogRecord],
    ["error source", WheaErrorSource],
  ],
  { runs: 8, seeds: [entry(0x80000012, new Uint8Array(8)), entry(0x80000035, new Uint8Array(17))] },
);

describe("payloads", () => {
  // Bytes by the compiler, packed; 0x80000000 plus the id.
  const SIZES: Readonly<Record<number, number>> = {
    4: 8,
    5: 8,
    6: 10,
    7: 16,
    8: 19,
    9: 42,
    10: 2,
    11: 16,
    14: 134,
    15: 20,
    16: 16,
    17: 8,
    18: 8,
    19: 73,
    20: 101,
    21: 40,
    22: 8,
    25: 12,
    26: 64,
    27: 16,
    28: 16,
    33: 48,
    35: 8,
    36: 72,
    37: 64,
    38: 65,
    39: 32,
    40: 1,
    41: 20,
    48: 18,
    49: 2,
    50: 8,
    53: 17,
    65: 4,
    67: 4,
    70: 20,
    71: 25,
    72: 24,
    73: 12,
    74: 12,
    75: 4,
    76: 20,
    77: 4,
    78: 4,
    83: 32,
    84: 16,
    88: 24,
    90: 20,
    100: 28,
    101: 16,
    102: 4,
    104: 4,
    105: 4,
    107: 256,
    108: 24,
    111: 337,
    262160: 256,
  };
  test("sizes", () => {
    const mine = Object.fromEntries(
      payloads.flatMap(([name, layout]) => (layout.kind === "struct" ? [[WHEA_EVENTS[name as keyof typeof WHEA_EVENTS].id - 0x80000000, layout.size]] : [])),
    );
    expect(mine).toEqual(SIZES);
  });
  test("of the right size leave nothing over and find nothing odd", () => {
    for (const [id, size] of Object.entries(SIZES)) {
      const { value, findings } = event(entry(0x80000000 + Number(id), new Uint8Array(size)));
      expect(findings, id).toEqual([]);
      expect(value.payload, id).not.toBeInstanceOf(Uint8Array);
    }
  });
  test("of random bytes survive", () => {
    fc.assert(
      fc.property(fc.constantFrom(...Object.values(WHEA_EVENTS)), fc.uint8Array({ maxLength: 400 }), ({ id }, payload) => void event(entry(id, payload))),
      { numRuns: 200, seed: 5 },
    );
  });
  test("an event that is not known keeps its payload", () => {
    const { value, findings, summary } = event(entry(0x80000022, Uint8Array.of(1, 2, 3)));
    expect(value).toMatchObject({ id: 0x80000022, payload: Uint8Array.of(1, 2, 3) });
    expect(findings).toEqual([]);
    expect(summary).toContain("event 0x80000022");
  });
  test("the data of an earlier stop, by length", () => {
    expect(event(entry(0x8000002a, hex`0f`)).lines).toContain("interrupt level: 15");
    expect(event(entry(0x8000002a, hex`01 00 01`)).lines).toEqual(
      expect.arrayContaining(["form: multiple", "owner: yes", "recursion: no", "recovery owner: yes"]),
    );
    expect(event(entry(0x8000002a, hex`2a 00 00 00 01`)).lines).toEqual(expect.arrayContaining(["form: phase 2", "boot id: 42", "success: yes"]));
    expect(event(entry(0x8000002a, hex`01 01 05 00 02 00 00 00`)).lines).toEqual(expect.arrayContaining(["form: phase 1", "entries: 5", "dump policy: 2"]));
  });
  test("crash dump errors with and without the status of the I/O", () => {
    expect(event(entry(0x80000067, hex`01 00 00 00 01 00 00 c0`)).findings).toEqual([]);
    expect(event(entry(0x80000067, hex`01 00 00 00 01 00 00 c0 02 00 00 c0`)).value.payload).toMatchObject({ ioStatus: [{ status: 0xc0000002 }] });
  });
  test("golden: an error in a bank", () => {
    const { value, summary } = event(entry(0x8000000f, hex`03 00 00 00  07 00 00 00  92 00 01 01 40 00 00 9c  01 00 00 00`));
    expect(value.payload).toMatchObject({ processor: 3, bank: 7, bankStatus: 0x9c00004001010092n, errorSourceType: "correctedMachineCheck" });
    expect(summary).toBe(
      "Windows WHEA event (information): machine check found in a bank, logged by the kernel, processor 3, bank 7, bank status 0x9c00004001010092, error source type corrected machine check",
    );
  });
});

test("an error source with more banks than the first form holds", () => {
  // 1868 bytes: 40 of header, then 24 + 64 * 28 for a machine check, and 12 more.
  const descriptor = new Uint8Array(1868);
  const view = new DataView(descriptor.buffer);
  view.setUint32(0, 1868, true);
  view.setUint32(36, 1 << 3, true); // version 2
  descriptor[40 + 3] = 40; // banks in use
  for (let i = 0; i < 64; i++) descriptor[40 + 24 + 28 * i] = i;
  const { value, findings } = event(entry(0x8000000c, Uint8Array.of(...descriptor, 0, 0, 0, 0, 1)));
  expect(findings).toEqual([]);
  const { descriptor: read_, removed } = value.payload as unknown as {
    descriptor: { source: { moreBanks: { number: number }[]; rest: Uint8Array } };
    removed: string;
  };
  expect(removed).toBe("yes");
  expect(read_.source.moreBanks.map(({ number }) => number)).toEqual([32, 33, 34, 35, 36, 37, 38, 39]);
  expect(read_.source.rest).toHaveLength(24 * 28 + 12);
});

test("system log record", () => {
  const bytes = new Uint8Array(20 + 264);
  bytes.set(hex`4f 53 53 52  01 00 00 00  1c 01 00 00  02 00 00 00  08 01 00 00  01 00 00 00`); // OSSR, machine check, 264 bytes, version 1
  bytes[20 + 36] = 5;
  const { findings, summary } = read(wheaSystemLogFormat, bytes);
  expect(findings).toEqual([]);
  expect(summary).toBe("Windows system event log record, machine check, bank 5, nothing logged, processor 0");
});

describeShared("real entries", () => {
  test.each(sharedNames("corpus/whea-event", (name) => name.endsWith(".bin")))("%s: nothing is odd, words have no holes", (name) => {
    const { findings, value } = event(shared("corpus/whea-event", name));
    expect(findings).toEqual([]);
    expect(value.type).toBe("information");
    expect(value.flags).toEqual({ etw: true });
  });
  test("values", () => {
    const of = (name: string) => event(shared("corpus/whea-event", `ralish-Event${name}.bin`));
    expect(of("CmciRestart").value.payload).toEqual({ attempts: 1, attemptLimit: 3000, errorsFound: 0, errorLimit: 20000 });
    expect(of("GenericErrMemMap").value.payload).toEqual({ reason: "Error_Status_block_register", physicalAddress: 0x63547018n, length: 0x1000n });
    expect(of("ProcessEINJ").value.payload).toMatchObject({ error: "", tableValid: "yes", beginOperation: 1, getExecuteTimings: 0 });
    expect(of("AerNotGrantedToOs").value.payload).toBeUndefined();
    const { sources } = of("WheaInit1").value.payload as unknown as {
      sources: { descriptor: { type: string; state: string; length: number; source: object } }[];
    };
    // As the record's own test names them: device driver, machine check, corrected machine check, NMI, boot without more.
    expect(sources.map(({ descriptor }) => descriptor.type)).toEqual(["deviceDriver", "machineCheck", "correctedMachineCheck", "nmi", "boot"]);
    expect(sources.every(({ descriptor }) => descriptor.state === "started" && descriptor.length === 972)).toBe(true);
    expect(sources[0]!.descriptor.source).toMatchObject({
      sourceId: "83c1603c-1552-48a7-87d1-14d9467d7765",
      creatorId: "57217c8d-5e66-44fb-8033-9b74cacedf5b",
    });
    expect(sources[1]!.descriptor.source).toMatchObject({ enabled: "yes", bankCount: 6 });
    expect(sources[2]!.descriptor.source).toMatchObject({ notification: { type: "polled", length: 28, pollInterval: 60000 } });
  });
});
