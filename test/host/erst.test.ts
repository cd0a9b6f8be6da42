import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { qemuErst } from "../../src/acpi/build-tables.ts";
import { buildRecord } from "../../src/cper/record-codec.ts";
import { ErstDriver } from "../../src/guest/erst.ts";
import { ERST_REGISTER, ErstDevice } from "../../src/host/erst-device.ts";
import { type Backend, ErstStorage, emptyStore, MemoryBackend } from "../../src/host/erst-storage.ts";
import { MemoryWithDevices } from "../../src/host/mmio.ts";
import { type AccessSize, SparseMemory } from "../../src/machine/memory.ts";
import { hex } from "../support/hex.ts";
import { describeShared, shared } from "../support/shared.ts";

const REGISTERS = 0xfebf_1000n;
const BUFFER = 0xfebf_2000n;
const SIZE = 131072;

function machine(backend: Backend) {
  const storage = new ErstStorage(backend);
  const device = new ErstDevice(storage, BUFFER);
  const ram = new SparseMemory([{ start: 0n, length: 0x100000n }]);
  const memory = new MemoryWithDevices(ram, [
    { start: REGISTERS, device: device.registers },
    { start: BUFFER, device: device.exchange },
  ]);
  return { storage, device, memory, driver: new ErstDriver({ memory }, qemuErst(REGISTERS)) };
}
/** A record as Linux stores them: "ER" in the persistence information. */
const record = (recordId: bigint, bytes = 40, fill = 7) =>
  buildRecord({ severity: "fatal", recordId, persistenceInformation: hex`45 52 00 00 00 00 00 00` }, [
    { descriptor: { severity: "fatal", sectionType: "c197e04e-d545-4a70-9c17-a5549419eb12" }, body: new Uint8Array(bytes).fill(fill) },
  ]);

test("an empty store is what QEMU makes", () => {
  expect(emptyStore(SIZE).subarray(0, 32)).toEqual(hex`45 52 53 54 53 54 4f 52  00 20 00 00  00 20 00 00  00 01 00 00  00 00 00 00  00 00 00 00 00 00 00 00`);
});

describeShared("stores written by a real kernel through QEMU", () => {
  const open = (name: string) => machine(new MemoryBackend(shared("guest/erst", name)));
  test("two records of a panic are read; removing one leaves the very bytes QEMU left", () => {
    const backend = new MemoryBackend(shared("guest/erst/erst-1-after-sysrq-panic.bin"));
    const { driver, storage } = machine(backend);
    expect(storage.repairs).toEqual([]);
    expect(driver.count).toBe(2);
    expect(driver.ids()).toEqual([0x6b0033b100000001n, 0x6b0033b100000002n]);
    expect(driver.read(0x6b0033b100000001n)).toHaveLength(5066);
    expect(driver.read(0x6b0033b100000002n)).toHaveLength(5131);
    expect(driver.clear(0x6b0033b100000001n)).toBe("success");
    expect(Buffer.compare(backend.bytes, shared("guest/erst/erst-2-after-rm.bin"))).toBe(0);
    expect(driver.clear(0x6b0033b100000001n)).toBe("recordNotFound");
  });
  test.each(["erst-1-after-sysrq-panic.bin", "erst-after-mce.bin", "erst-dmesg-uncompressed.bin"])(
    "%s is made again from its records, byte for byte",
    (name) => {
      const real = open(name);
      const backend = new MemoryBackend(emptyStore(SIZE));
      const mine = machine(backend);
      for (const id of real.driver.ids()) expect(mine.driver.write(real.driver.read(id) as Uint8Array)).toBe("success");
      expect(Buffer.compare(backend.bytes, shared("guest/erst", name))).toBe(0);
    },
  );
  test("a store made by a host and read by a real kernel", () => {
    const { driver } = open("erst-host-made.bin");
    expect(driver.ids()).toEqual([0x6b00aabbccdd0001n]);
    expect(driver.read(0x6b00aabbccdd0001n)).toHaveLength(245);
  });
});

describe("operations", () => {
  test("statuses", () => {
    const { driver, memory } = machine(new MemoryBackend(emptyStore(SIZE)));
    expect(driver.rangeAddress).toBe(BUFFER);
    expect(driver.rangeLength).toBe(8192);
    expect(driver.read(1n)).toBe("recordStoreEmpty");
    expect(driver.write(record(0n))).toBe("failed");
    expect(driver.write(record(0xffff_ffff_ffff_ffffn))).toBe("failed");
    expect(driver.write(record(5n))).toBe("success");
    expect(driver.read(6n)).toBe("recordNotFound");
    expect(driver.read(0n)).toEqual(record(5n));
    expect(driver.write(record(5n, 80, 9))).toBe("success");
    expect(driver.read(5n)).toEqual(record(5n, 80, 9));
    expect(driver.count).toBe(1);
    for (let id = 10n; id < 24n; id++) expect(driver.write(record(id))).toBe("success");
    expect(driver.count).toBe(15);
    expect(driver.write(record(99n))).toBe("notEnoughSpace");
    expect(driver.write(record(5n, 60, 1))).toBe("success");
    expect(driver.read(5n)).toEqual(record(5n, 60, 1));
    expect(driver.write(new Uint8Array(8193))).toBe("tooLong");
    // An operation that was never begun, and one without the magic value.
    memory.writeWord(REGISTERS + 8n, 8, 0x9cn);
    memory.writeWord(REGISTERS, 4, 3n);
    memory.writeWord(REGISTERS, 4, 5n);
    memory.writeWord(REGISTERS, 4, 7n);
    expect(memory.readWord(REGISTERS + 8n, 8)).toBe(0n);
    memory.writeWord(REGISTERS, 4, 0x77n);
    memory.writeWord(REGISTERS + 8n, 8, 0x9bn);
    memory.writeWord(REGISTERS, 4, 5n);
    memory.writeWord(REGISTERS, 4, 7n);
    expect(memory.readWord(REGISTERS + 8n, 8)).toBe(0n);
  });
});

/** Stops at the n-th byte of what is written: words of 8 bytes are whole or not there. */
class Failing implements Backend {
  readonly bytes: Uint8Array;
  #left: number;
  constructor(bytes: Uint8Array, left: number) {
    this.bytes = bytes;
    this.#left = left;
  }
  get size() {
    return this.bytes.length;
  }
  read(offset: number, length: number) {
    return this.bytes.slice(offset, offset + length);
  }
  write(offset: number, bytes: Uint8Array) {
    const fits = bytes.length <= 8 ? (this.#left >= bytes.length ? bytes.length : 0) : Math.min(bytes.length, this.#left);
    this.bytes.set(bytes.subarray(0, fits), offset);
    this.#left -= bytes.length;
    if (this.#left < 0) throw new Error("power is gone");
  }
}

describe("a crash at any write", () => {
  const filled = () => {
    const backend = new MemoryBackend(emptyStore(16384 * 2, 4096));
    const storage = new ErstStorage(backend);
    storage.write(record(1n), 1n);
    storage.write(record(2n), 2n);
    return backend.bytes;
  };
  const recordOf = (storage: ErstStorage, id: bigint) => storage.read(id)?.subarray(0, record(id).length);
  const steps = Array.from({ length: 90 }, (_, i) => (i < 40 ? i * 104 : 4090 + i - 40));

  test("while a new record is stored: the old ones are there, the new one is whole or absent", () => {
    const outcomes = new Set<boolean>();
    for (const left of steps) {
      const failing = new Failing(filled(), left);
      try {
        new ErstStorage(failing).write(record(3n), 3n);
      } catch (error) {
        expect((error as Error).message).toBe("power is gone");
      }
      const after = new ErstStorage(new MemoryBackend(failing.bytes));
      expect(recordOf(after, 1n)).toEqual(record(1n));
      expect(recordOf(after, 2n)).toEqual(record(2n));
      const third = recordOf(after, 3n);
      outcomes.add(third !== undefined);
      if (third) expect(third).toEqual(record(3n));
      expect(after.count).toBe(third ? 3 : 2);
      expect(new ErstStorage(new MemoryBackend(failing.bytes)).repairs).toEqual([]);
    }
    expect(outcomes).toEqual(new Set([true, false]));
  });
  test("while a record is replaced: the old or the new one is there, whole, once", () => {
    for (const left of steps) {
      const failing = new Failing(filled(), left);
      try {
        new ErstStorage(failing).write(record(1n, 40, 9), 1n);
      } catch {}
      const after = new ErstStorage(new MemoryBackend(failing.bytes));
      expect(after.ids.filter((id) => id === 1n)).toHaveLength(1);
      expect([record(1n), record(1n, 40, 9)]).toContainEqual(recordOf(after, 1n));
      expect(after.count).toBe(2);
    }
  });
  test("while a record is removed: it is there or not, the others are", () => {
    for (const left of [0, 4, 8, 11, 12]) {
      const failing = new Failing(filled(), left);
      try {
        new ErstStorage(failing).clear(1n);
      } catch {}
      const after = new ErstStorage(new MemoryBackend(failing.bytes));
      expect(recordOf(after, 2n)).toEqual(record(2n));
      expect(after.count).toBe(after.ids.length);
    }
  });
});

describe("a hostile guest", () => {
  const access = fc.record({
    offset: fc.nat(24),
    size: fc.constantFrom<AccessSize>(1, 2, 4, 8),
    value: fc.oneof(fc.bigInt(0n, 0x1fn), fc.constant(0x9cn), fc.bigInt(0n, (1n << 64n) - 1n)),
  });
  test("random accesses never throw and never leave the store unreadable", () => {
    fc.assert(
      fc.property(fc.array(access, { maxLength: 60 }), fc.uint8Array({ maxLength: 200 }), (accesses, junk) => {
        const backend = new MemoryBackend(emptyStore(16384 * 2, 4096));
        const device = new ErstDevice(new ErstStorage(backend), BUFFER);
        for (const [i, byte] of junk.entries()) device.exchange.write(i, 1, BigInt(byte));
        for (const { offset, size, value } of accesses) {
          device.registers.write(offset, size, BigInt.asUintN(size * 8, value));
          device.registers.read(offset, size);
          device.exchange.write(offset * 170, size, BigInt.asUintN(size * 8, value));
        }
        const storage = new ErstStorage(new MemoryBackend(backend.bytes));
        expect(storage.repairs).toEqual([]);
        expect(backend.bytes.subarray(0, 8)).toEqual(hex`45 52 53 54 53 54 4f 52`);
      }),
      { numRuns: 400, seed: 3 },
    );
  });
  test("nothing but its own records comes back to the buffer", () => {
    const backend = new MemoryBackend(emptyStore(16384 * 2, 4096));
    const { device, driver } = machine(backend);
    driver.write(record(1n));
    // A record that claims to be longer than the room behind the chosen offset.
    device.registers.write(ERST_REGISTER.value, 8, 4000n);
    device.registers.write(ERST_REGISTER.action, 4, 4n);
    device.registers.write(ERST_REGISTER.action, 4, 1n);
    device.registers.write(ERST_REGISTER.value, 8, 0x9cn);
    device.registers.write(ERST_REGISTER.action, 4, 5n);
    device.registers.write(ERST_REGISTER.action, 4, 7n);
    expect(device.registers.read(ERST_REGISTER.value, 8)).toBe(3n);
  });
});
