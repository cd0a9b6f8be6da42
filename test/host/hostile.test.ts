/** A guest that writes anything anywhere in its own memory: the device answers in words and touches only what the guest named. */
import fc from "fast-check";
import { expect, test } from "vitest";
import { ErrorSourceDevice, type RecordingPolicy } from "../../src/host/error-source.ts";
import { inHardwareErrors, inHest, inHestAsQemu } from "../../src/host/locate.ts";
import { memoryRecord } from "../../src/host/memory-record.ts";
import { PRESETS } from "../../src/host/monitor.ts";
import { type AccessSize, type GuestMemory, MemoryFault, type SparseMemory } from "../../src/machine/memory.ts";
import { BASE, HEST, POINTER, placeSources } from "./place.ts";

const LENGTH = 0x10000;

/** Fails the test when anything outside is asked for without being refused. */
class Fenced implements GuestMemory {
  readonly inner: SparseMemory;
  outside = 0;
  constructor(inner: SparseMemory) {
    this.inner = inner;
  }
  #note(address: bigint, length: number) {
    if (address < BASE || address + BigInt(length) > BASE + BigInt(LENGTH)) this.outside++;
  }
  read(address: bigint, length: number) {
    const bytes = this.inner.read(address, length);
    this.#note(address, length);
    return bytes;
  }
  write(address: bigint, bytes: Uint8Array) {
    this.inner.write(address, bytes);
    this.#note(address, bytes.length);
  }
  readWord(address: bigint, size: AccessSize) {
    const word = this.inner.readWord(address, size);
    this.#note(address, size);
    return word;
  }
  writeWord(address: bigint, size: AccessSize, value: bigint) {
    this.inner.writeWord(address, size, value);
    this.#note(address, size);
  }
}

const POLICIES: readonly RecordingPolicy[] = [
  PRESETS["qemu-10.2"].recording,
  PRESETS["kvmtool-like"].recording,
  { unacknowledged: { action: "merge", limit: 2, whenFull: "dropOldest" }, stores: "statusLast", acknowledgement: "bits" },
  { unacknowledged: { action: "overflow" }, stores: "statusLast", acknowledgement: "nonzero" },
];
const spot = fc.oneof(
  fc.nat(0x200),
  fc.nat(0x40).map((n) => 0x1000 + n),
  fc.nat(0x40).map((n) => 0x2000 + n),
  fc.nat(LENGTH - 8),
);
const value = fc.oneof(fc.bigInt(0n, (1n << 64n) - 1n), fc.bigInt(BASE - 16n, BASE + BigInt(LENGTH) + 16n), fc.constantFrom(0n, 1n, 0xffff_ffff_ffff_ffffn));
const step = fc.oneof(
  fc.record({ poke: spot, size: fc.constantFrom<AccessSize>(1, 2, 4, 8), value }),
  fc.record({
    record: fc.nat(3),
    bytes: fc.oneof(fc.constant(memoryRecord({ physicalAddress: 0x1000n, severity: "corrected" })), fc.uint8Array({ maxLength: 1200 })),
  }),
  fc.record({ service: fc.constant(true) }),
);

test("random memory, random records", () => {
  fc.assert(
    fc.property(fc.nat(POLICIES.length - 1), fc.nat(2), fc.array(step, { maxLength: 40 }), (which, how, steps) => {
      const { memory: plain } = placeSources([{ version: 2 }, { version: 1 }]);
      const memory = new Fenced(plain as SparseMemory);
      const locate = [inHest(memory, HEST), inHestAsQemu(memory, HEST, 1024), inHardwareErrors(memory, POINTER(0), 2, 1024)][how]!;
      const device = new ErrorSourceDevice({ memory, locate, policy: POLICIES[which]! });
      for (const action of steps) {
        if ("poke" in action) plain.writeWord(BASE + BigInt(action.poke), action.size, BigInt.asUintN(action.size * 8, action.value));
        else if ("record" in action) device.record(action.record, action.bytes);
        else device.service();
      }
      expect(memory.outside).toBe(0);
      for (const { account } of device.state.values()) {
        const { submitted, ...parts } = account;
        expect(Object.values(parts).reduce((sum, count) => sum + count, 0)).toBe(submitted);
      }
    }),
    { numRuns: 600, seed: 5 },
  );
});

test("memory that is not there is a MemoryFault of the memory, never of the device", () => {
  const { memory } = placeSources([{ version: 2 }]);
  expect(() => memory.readWord(0n, 8)).toThrow(MemoryFault);
  const device = new ErrorSourceDevice({ memory, locate: inHest(memory, 0n), policy: PRESETS["qemu-11.0"].recording });
  expect(device.record(0, new Uint8Array(172))).toBe("refused");
});
