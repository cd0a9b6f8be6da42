import { describe, expect, test } from "vitest";
import { peek, take } from "../../src/guest/ghes.ts";
import { type Account, ErrorSourceDevice, MESSAGE, type RecordingPolicy, type SourceEvent, type WhenUnacknowledged } from "../../src/host/error-source.ts";
import { inHardwareErrors, inHestAsQemu, LOCATE_MESSAGE } from "../../src/host/locate.ts";
import { memoryRecord, qemuMemoryRecord } from "../../src/host/memory-record.ts";
import { PRESETS } from "../../src/host/monitor.ts";
import { SparseMemory } from "../../src/machine/memory.ts";
import { OpenBus } from "../../src/machine/open-bus.ts";
import { hex } from "../support/hex.ts";
import { ACK, BASE, BLOCK, HEST, POINTER, placeSources } from "./place.ts";

const QEMU_BYTES = hex`
  01 00 00 00              # block status: uncorrectable, no entry count
  00 00 00 00 00 00 00 00  # raw data
  98 00 00 00              # data length 152
  00 00 00 00              # recoverable
  14 11 bc a5 64 6f de 4e b8 63 3e 83 ed 7c 83 b1  # memory section
  00 00 00 00              # recoverable
  00 03 00 00              # revision 3.0, validation, flags
  50 00 00 00              # 80 bytes
  00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00  # FRU id
  00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00  # FRU text
  00 00 00 00 00 00 00 00  # timestamp
  02 40 00 00 00 00 00 00  # valid: physical address, error type
  00 00 00 00 00 00 00 00
  00 d0 ab 50 00 00 00 00  # physical address
  00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00
  00 00 00 00 00 00 00 00  # error type unknown
`;

const policy = (unacknowledged: WhenUnacknowledged, more: Partial<RecordingPolicy> = {}): RecordingPolicy => ({
  unacknowledged,
  stores: "statusLast",
  acknowledgement: "bits",
  ...more,
});
const corrected = (fruText = "DIMM") => memoryRecord({ physicalAddress: 0x1000n, severity: "corrected", errorType: "singleBitEcc", fruText });
const recoverable = (physicalAddress: bigint) => memoryRecord({ physicalAddress, severity: "recoverable" });

function setUp(recording: RecordingPolicy, version: 1 | 2 = 2) {
  const placed = placeSources([{ version }]);
  const events: SourceEvent[] = [];
  const device = new ErrorSourceDevice({ memory: placed.memory, locate: placed.locate, policy: recording, report: (event) => events.push(event) });
  return { ...placed, device, events };
}
const balanced = (account: Readonly<Account>) =>
  account.submitted === account.written + account.waiting + account.refused + account.dropped + account.merged + account.overflowed + account.overwritten;

describe("records", () => {
  test("QEMU's memory error, byte for byte", () => {
    expect(QEMU_BYTES).toHaveLength(172);
    expect(qemuMemoryRecord(0x50abd000n)).toEqual(QEMU_BYTES);
  });
  test("only what is known is marked valid", () => {
    expect(memoryRecord({ severity: "recoverable" }).subarray(92, 100)).toEqual(hex`00 00 00 00 00 00 00 00`);
    // One after the other, with and without what is known: nothing of the one before is left in the next.
    expect(memoryRecord({ physicalAddress: 1n, severity: "recoverable", addressLsb: 0 }).subarray(92, 124)).toEqual(hex`
      06 00 00 00 00 00 00 00  00 00 00 00 00 00 00 00  01 00 00 00 00 00 00 00  ff ff ff ff ff ff ff ff`);
    expect(memoryRecord({ physicalAddress: 2n, severity: "recoverable" }).subarray(92, 124)).toEqual(hex`
      02 00 00 00 00 00 00 00  00 00 00 00 00 00 00 00  02 00 00 00 00 00 00 00  00 00 00 00 00 00 00 00`);
    expect(memoryRecord({ physicalAddress: 3n, severity: "recoverable", addressLsb: 63 }).subarray(108, 124)).toEqual(hex`
      00 00 00 00 00 00 00 00  00 00 00 00 00 00 00 80`);
    const paged = memoryRecord({ physicalAddress: 0x50abd123n, addressLsb: 12, severity: "recoverable" });
    expect(paged.subarray(92, 124)).toEqual(hex`06 00 00 00 00 00 00 00  00 00 00 00 00 00 00 00  00 d0 ab 50 00 00 00 00  00 f0 ff ff ff ff ff ff`);
  });
});

describe("one record, then another", () => {
  test("written whole, read, acknowledged, written again", () => {
    const { device, memory, devices } = setUp(policy({ action: "refuse" }));
    expect(device.record(0, recoverable(0x1000n))).toBe("written");
    expect(memory.readWord(ACK(0), 8)).toBe(0n);
    expect(memory.readWord(BLOCK(0), 4)).toBe(0x11n);
    expect(device.record(0, recoverable(0x2000n))).toBe("refused");
    const report = take({ memory }, devices[0]!);
    expect(report).toMatchObject({ found: "record", address: BLOCK(0), block: recoverable(0x1000n) });
    expect(memory.readWord(BLOCK(0), 4)).toBe(0n);
    expect(memory.readWord(ACK(0), 8)).toBe(1n);
    expect(device.record(0, recoverable(0x2000n))).toBe("written");
    expect(device.account(0)).toEqual({ submitted: 3, written: 2, waiting: 0, refused: 1, dropped: 0, merged: 0, overflowed: 0, overwritten: 0 });
  });
  test("an acknowledge register with a bit offset and neighbours that belong to others", () => {
    const placed = placeSources([{ version: 2, write: 1n, preserve: 0xfen, bitOffset: 8 }]);
    const device = new ErrorSourceDevice({ memory: placed.memory, locate: placed.locate, policy: policy({ action: "refuse" }) });
    placed.memory.writeWord(ACK(0), 8, 0xaaff77n);
    expect(device.record(0, recoverable(0x1000n))).toBe("written");
    expect(placed.memory.readWord(ACK(0), 8)).toBe(0xaafe77n);
    expect(device.record(0, recoverable(0x2000n))).toBe("refused");
    take({ memory: placed.memory }, placed.devices[0]!);
    // The guest keeps what the mask says, which is eight bits here, and sets its own.
    expect(placed.memory.readWord(ACK(0), 8)).toBe(0xff00n);
    expect(device.record(0, recoverable(0x2000n))).toBe("written");
  });
  test("version 1: the cleared block status is all there is", () => {
    const { device, memory, devices } = setUp(policy({ action: "refuse" }), 1);
    expect(device.record(0, recoverable(0x1000n))).toBe("written");
    expect(device.record(0, recoverable(0x2000n))).toBe("refused");
    take({ memory }, devices[0]!);
    expect(device.record(0, recoverable(0x2000n))).toBe("written");
  });
  test("a guest that acknowledges without clearing never sees the new body under the old status", () => {
    const { device, memory, devices } = setUp(policy({ action: "refuse" }));
    device.record(0, recoverable(0x1000n));
    memory.writeWord(ACK(0), 8, 1n);
    expect(device.record(0, recoverable(0x2000n))).toBe("written");
    expect(peek({ memory }, devices[0]!)).toMatchObject({ block: recoverable(0x2000n) });
  });
});

describe("QEMU, version by version", () => {
  const versions = (preset: "qemu-7.2" | "qemu-10.2" | "qemu-11.0") => {
    const memory = new SparseMemory([
      { start: 0n, length: 0x1000n },
      { start: BASE, length: 0x10000n },
    ]);
    placeSources([{ version: 2 }], { memory });
    const lost: string[] = [];
    const bus = new OpenBus(memory, (address, length) => lost.push(`${length} at 0x${address.toString(16)}`));
    const events: string[] = [];
    const locate = preset === "qemu-7.2" ? inHardwareErrors(bus, POINTER(0), 1, 1024) : inHestAsQemu(bus, HEST, 1024);
    const device = new ErrorSourceDevice({ memory: bus, locate, policy: PRESETS[preset].recording, report: ({ text }) => events.push(text) });
    return { memory, device, events, lost };
  };
  test("10.2.0 to 10.2.2 report a source that is not there, and write to address 0", () => {
    const { device, memory, events } = versions("qemu-10.2");
    memory.writeWord(0n, 8, 0x1400_0400n);
    expect(device.record(5, QEMU_BYTES)).toBe("refused");
    expect(memory.read(0n, QEMU_BYTES.length)).toEqual(QEMU_BYTES);
    expect(events).toEqual(["HEST: Source 5 not found. QEMU goes on all the same: the acknowledge register and 172 bytes of record are written to address 0"]);
    expect(device.account(5)).toMatchObject({ submitted: 1, refused: 1, written: 0 });
  });
  test("where address 0 reads as zero, a second error is set: an assertion", () => {
    const { device, events } = versions("qemu-10.2");
    expect(device.record(5, QEMU_BYTES)).toBe("asserted");
    expect(events[0]).toContain("HEST: Source 5 not found.");
    expect(events[0]).toContain("asserts");
    expect(device.account(5)).toMatchObject({ submitted: 1, refused: 1 });
    // A guest that has torn out its table: what is not there reads as zeros, and type 0 is not version 2.
    const gone = new ErrorSourceDevice({
      memory: new OpenBus(new SparseMemory([])),
      locate: inHestAsQemu(new OpenBus(new SparseMemory([])), HEST, 1024),
      policy: PRESETS["qemu-10.2"].recording,
    });
    expect(gone.record(0, QEMU_BYTES)).toBe("asserted");
  });
  test("from 11.0 on it is refused, nothing touched", () => {
    const { device, memory, events } = versions("qemu-11.0");
    memory.writeWord(0n, 8, 1n);
    expect(device.record(5, QEMU_BYTES)).toBe("refused");
    expect(memory.readWord(0n, 8)).toBe(1n);
    expect(events).toEqual(["HEST: Source 5 not found."]);
  });
  test("a pointer of zero: 7.2 cannot find the block, later versions write to address 0", () => {
    const old = versions("qemu-7.2");
    old.memory.writeWord(POINTER(0), 8, 0n);
    old.memory.writeWord(POINTER(1), 8, 1n);
    expect(old.device.record(0, QEMU_BYTES)).toBe("refused");
    expect(old.events).toEqual(["can not find Generic Error Status Block"]);
    const later = versions("qemu-11.0");
    later.memory.writeWord(POINTER(0), 8, 0n);
    expect(later.device.record(0, QEMU_BYTES)).toBe("written");
    expect(later.memory.read(0n, QEMU_BYTES.length)).toEqual(QEMU_BYTES);
  });
  test("a pointer to where nothing is: the record is gone, and nobody notices", () => {
    const { device, memory, lost } = versions("qemu-11.0");
    memory.writeWord(POINTER(0), 8, 0x9_0000_0000n);
    expect(device.record(0, QEMU_BYTES)).toBe("written");
    expect(lost).toEqual(["172 at 0x900000000"]);
  });
});

describe("while the guest has not acknowledged", () => {
  test("refuse says what QEMU says", () => {
    const { device, events } = setUp(PRESETS["qemu-10.2"].recording);
    device.record(0, QEMU_BYTES);
    device.record(0, QEMU_BYTES);
    expect(events.map(({ kind, text }) => [kind, text])).toEqual([
      ["written", "source 0: record of 172 bytes at 0x10003000"],
      ["refused", "OSPM does not acknowledge previous error, so can not record CPER for current error anymore"],
    ]);
  });
  test("queue: in order, and the newest is dropped when full", () => {
    const { device, memory, devices } = setUp(policy({ action: "queue", limit: 2, whenFull: "dropNewest" }));
    const outcomes = [1n, 2n, 3n, 4n].map((n) => device.record(0, recoverable(n << 12n)));
    expect(outcomes).toEqual(["written", "queued", "queued", "dropped"]);
    const seen: (bigint | undefined)[] = [];
    for (let i = 0; i < 3; i++) {
      const report = take({ memory }, devices[0]!);
      seen.push(report.found === "record" ? new DataView(report.block.buffer).getBigUint64(108, true) : undefined);
      device.service();
    }
    expect(seen).toEqual([0x1000n, 0x2000n, 0x3000n]);
    expect(device.account(0)).toMatchObject({ submitted: 4, written: 3, waiting: 0, dropped: 1 });
  });
  test("queue: the oldest is dropped when full, and the next record says that something is missing", () => {
    const { device, memory, devices } = setUp(policy({ action: "queue", limit: 1, whenFull: "dropOldest" }));
    for (const n of [1n, 2n, 3n]) device.record(0, recoverable(n << 12n));
    take({ memory }, devices[0]!);
    expect(device.service()).toEqual([{ source: 0, tag: undefined }]);
    const report = take({ memory }, devices[0]!);
    if (report.found !== "record") expect.fail();
    expect(report.block[108 + 1]).toBe(0x30);
    expect(report.block[20 + 23]).toBe(0x80);
    expect(device.account(0)).toMatchObject({ submitted: 3, written: 2, dropped: 1 });
  });
  test("merge: corrected errors of a kind become one that says so; others wait", () => {
    const { device, memory, devices, events } = setUp(policy({ action: "merge", limit: 4, whenFull: "dropNewest" }));
    const outcomes = [corrected(), corrected(), corrected(), corrected("OTHER"), recoverable(0x5000n)].map((record) => device.record(0, record));
    expect(outcomes).toEqual(["written", "queued", "merged", "queued", "queued"]);
    take({ memory }, devices[0]!);
    device.service();
    const report = take({ memory }, devices[0]!);
    expect(report.found === "record" && report.block[0]).toBe(0x1a);
    expect(device.account(0)).toMatchObject({ submitted: 5, written: 2, merged: 1, waiting: 2 });
    expect(events.filter(({ kind }) => kind === "merged")).toHaveLength(1);
  });
  test("overflow: lost, counted, and flagged in the next record", () => {
    const { device, memory, devices } = setUp(policy({ action: "overflow" }));
    expect([1n, 2n, 3n].map((n) => device.record(0, recoverable(n << 12n)))).toEqual(["written", "overflowed", "overflowed"]);
    take({ memory }, devices[0]!);
    expect(device.record(0, recoverable(0x4000n))).toBe("written");
    const report = take({ memory }, devices[0]!);
    expect(report.found === "record" && report.block[20 + 23]).toBe(0x80);
    device.record(0, recoverable(0x5000n));
    const clean = take({ memory }, devices[0]!);
    expect(clean.found === "record" && clean.block[20 + 23]).toBe(0);
  });
  test.each<WhenUnacknowledged>([
    { action: "refuse" },
    { action: "queue", limit: 3, whenFull: "dropOldest" },
    { action: "queue", limit: 0, whenFull: "dropNewest" },
    { action: "merge", limit: 2, whenFull: "dropOldest" },
    { action: "overflow" },
  ])("nothing disappears without a count: %o", (unacknowledged) => {
    const { device, memory, devices } = setUp(policy(unacknowledged));
    let seed = 7;
    const random = (below: number) => (seed = (seed * 48271) % 0x7fffffff) % below;
    for (let i = 0; i < 500; i++) {
      const what = random(4);
      if (what < 2) device.record(0, random(2) ? corrected(`D${random(2)}`) : recoverable(BigInt(random(1 << 20)) << 12n));
      else if (what === 2) take({ memory }, devices[0]!);
      else device.service();
      expect(balanced(device.account(0))).toBe(true);
    }
    expect(device.account(0).written).toBeGreaterThan(10);
  });
});

describe("records and tables that do not fit", () => {
  test("too long: QEMU's words, nothing touched", () => {
    const { device, memory, events } = setUp(PRESETS["qemu-10.2"].recording);
    const before = memory.read(BLOCK(0), 1024);
    expect(device.record(0, new Uint8Array(1025))).toBe("refused");
    expect(events[0]!.text).toBe("GHES CPER record is too big: 1025");
    expect(MESSAGE.tooBig(1025)).toBe(events[0]!.text);
    expect(memory.read(BLOCK(0), 1024)).toEqual(before);
    expect(memory.readWord(ACK(0), 8)).toBe(1n);
  });
  test("no status, no block, odd address", () => {
    const { device, memory } = setUp(policy({ action: "refuse" }));
    expect(device.record(0, new Uint8Array(40))).toBe("refused");
    expect(device.record(0, new Uint8Array(8))).toBe("refused");
    memory.writeWord(POINTER(0), 8, BLOCK(0) + 1n);
    expect(device.record(0, recoverable(0n))).toBe("refused");
    expect(device.account(0).refused).toBe(3);
  });
  test("QEMU's walk of HEST fails in QEMU's words", () => {
    const { memory } = placeSources([{ version: 2 }, { version: 1 }]);
    expect(inHestAsQemu(memory, HEST, 1024)(0).location?.block).toBe(BLOCK(0));
    expect(inHestAsQemu(memory, HEST, 1024)(1)).toEqual({ message: LOCATE_MESSAGE.type(9) });
    expect(LOCATE_MESSAGE.type(9)).toBe("HEST: type 9 not supported.");
    const two = placeSources([{ version: 2 }, { version: 2 }]);
    expect(inHestAsQemu(two.memory, HEST, 1024)(7)).toEqual({ message: "HEST: Source 7 not found." });
  });
  test("a guest that moves the pointer out of memory gets words, not an exception", () => {
    const { device, memory, events } = setUp(policy({ action: "refuse" }));
    memory.writeWord(POINTER(0), 8, 0xffff_ffff_ffff_f000n);
    expect(device.record(0, recoverable(0n))).toBe("refused");
    expect(events[0]!.text).toContain("no memory at 0xfffffffffffff000");
  });
});

describe("one word for several sources", () => {
  test("each source answers for itself", () => {
    const { memory, devices, locate } = placeSources(
      [
        { version: 2, write: 1n },
        { version: 2, write: 2n },
      ],
      { sharedAcknowledge: true },
    );
    const device = new ErrorSourceDevice({ memory, locate, policy: policy({ action: "refuse" }) });
    expect(device.record(0, recoverable(0x1000n))).toBe("written");
    expect(device.record(1, recoverable(0x2000n))).toBe("written");
    take({ memory }, devices[0]!);
    expect(device.record(1, recoverable(0x3000n))).toBe("refused");
    expect(device.record(0, recoverable(0x3000n))).toBe("written");
  });
  test("a monitor that trusts the word takes another source's stale write for an answer, and says what it overwrote", () => {
    const { memory, locate } = placeSources(
      [
        { version: 2, write: 1n },
        { version: 2, write: 2n },
      ],
      { sharedAcknowledge: true },
    );
    const events: SourceEvent[] = [];
    const trusting = { ...policy({ action: "refuse" }), sharedAcknowledge: "register" } as const;
    const device = new ErrorSourceDevice({ memory, locate, policy: trusting, report: (event) => events.push(event) });
    const stale = memory.readWord(ACK(0), 8);
    expect(device.record(0, recoverable(0x1000n))).toBe("written");
    expect([stale, memory.readWord(ACK(0), 8)]).toEqual([3n, 2n]);
    expect(device.record(0, recoverable(0x2000n))).toBe("refused");
    memory.writeWord(ACK(0), 8, stale | 2n);
    expect(device.record(0, recoverable(0x3000n))).toBe("written");
    expect(events.map(({ kind }) => kind)).toEqual(["written", "refused", "overwritten", "written"]);
    expect(device.account(0)).toMatchObject({ submitted: 3, written: 1, refused: 1, overwritten: 1 });
  });
});

test("a reset gives up what waits, counted and told", () => {
  const { device, events, memory, devices } = setUp(policy({ action: "queue", limit: 4, whenFull: "dropNewest" }));
  for (const n of [1n, 2n, 3n]) device.record(0, recoverable(n << 12n));
  device.reset();
  expect(device.account(0)).toEqual({ submitted: 3, written: 1, waiting: 0, refused: 0, dropped: 2, merged: 0, overflowed: 0, overwritten: 0 });
  expect(events.at(-1)).toMatchObject({ kind: "dropped", text: "source 0: 2 waited for a guest that is gone: given up (2 dropped so far)" });
  take({ memory }, devices[0]!);
  expect(device.service()).toEqual([]);
});
