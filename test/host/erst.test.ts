import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { qemuErst } from "../../src/acpi/build-tables.ts";
import { ErstStoreReplacement } from "../../src/acpi/erst-storage.ts";
import { buildRecord } from "../../src/cper/record-codec.ts";
import { ErstDriver } from "../../src/guest/erst.ts";
import { ERST_REGISTER, ErstDevice } from "../../src/host/erst-device.ts";
import { type Backend, ErstStorage, emptyStore, MemoryBackend } from "../../src/host/erst-storage.ts";
import { MemoryWithDevices } from "../../src/host/mmio.ts";
import { type AccessSize, SparseMemory } from "../../src/machine/memory.ts";
import { hex } from "../support/hex.ts";
import { lawsOf } from "../support/laws.ts";
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
const makeRecord = (recordId: bigint, bytes: number, fill: number) =>
  buildRecord({ severity: "fatal", recordId, persistenceInformation: hex`45 52 00 00 00 00 00 00` }, [
    { descriptor: { severity: "fatal", sectionType: "c197e04e-d545-4a70-9c17-a5549419eb12" }, body: new Uint8Array(bytes).fill(fill) },
  ]);

const made = new Map<string, Uint8Array>();
const record = (id: bigint, bytes = 40, fill = 7): Uint8Array => {
  const key = `${id} ${bytes} ${fill}`;
  if (!made.has(key)) made.set(key, makeRecord(id, bytes, fill));
  return made.get(key)!;
};
const EMPTY_RECORD = record(1n, 0).length;
const same = (a: Uint8Array | undefined, b: Uint8Array) => a !== undefined && Buffer.compare(a, b) === 0;

lawsOf([["replacement", ErstStoreReplacement]]);

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

describe("registers, as QEMU 7.2 answered over qtest", () => {
  const device = () => machine(new MemoryBackend(emptyStore(16384, 4096))).device.registers;
  const { action, value } = ERST_REGISTER;
  test("halves of the value merge; fewer bytes are taken for a whole half", () => {
    const registers = device();
    registers.write(value, 8, 0x1122_3344_5566_7788n);
    registers.write(value + 4, 4, 0xaabb_ccddn);
    expect(registers.read(value, 8)).toBe(0xaabb_ccdd_5566_7788n);
    registers.write(value, 1, 0x9cn);
    expect(registers.read(value, 8)).toBe(0xaabb_ccdd_0000_009cn);
    registers.write(value + 1, 1, 0xffn);
    registers.write(value + 2, 2, 0xffffn);
    expect(registers.read(value, 8)).toBe(0xaabb_ccdd_0000_009cn);
    // 4 bytes from 10 on: two that name nothing, and two that are taken for the upper half.
    registers.write(value + 2, 4, 0x1234_5678n);
    expect(registers.read(value, 8)).toBe(0x1234_0000_009cn);
    expect(registers.read(value + 2, 4)).toBe(0x1234_0000n);
    expect(registers.read(value + 4, 1)).toBe(0x34n);
  });
  test("an action of any size acts; unknown ones do nothing; the register reads as zero", () => {
    for (const size of [1, 2, 4, 8] as const) {
      const registers = device();
      registers.write(action, size, 0x10n);
      expect(registers.read(value, 8)).toBe((100n << 32n) | 10n);
      expect(registers.read(action, size)).toBe(0n);
      registers.write(action, size, 0x0cn);
      registers.write(action + 4, 4, 0x0en);
      expect(registers.read(value, 8)).toBe((100n << 32n) | 10n);
    }
  });
  test("what was never begun is a write; a reset keeps the value", () => {
    const { device, storage } = machine(new MemoryBackend(emptyStore(16384, 4096)));
    device.exchange.bytes!.set(record(7n));
    device.registers.write(value, 8, 0x9cn);
    device.registers.write(action, 4, 5n);
    expect(storage.ids).toEqual([7n]);
    device.registers.write(value, 8, 0x1234n);
    device.reset();
    expect(device.registers.read(value, 8)).toBe(0x1234n);
    expect(device.exchange.bytes!.subarray(0, 2)).toEqual(hex`43 50`);
  });
  test("reading without an identifier, or a missing one, starts the list of identifiers anew behind the first", () => {
    const { driver, device } = machine(new MemoryBackend(emptyStore(32768, 4096)));
    for (const id of [4n, 9n, 6n]) driver.write(record(id));
    const next = () => {
      device.registers.write(action, 4, 8n);
      return device.registers.read(value, 8);
    };
    expect([next(), next()]).toEqual([4n, 9n]);
    expect(driver.read(77n)).toBe("recordNotFound");
    expect([next(), next(), next(), next()]).toEqual([9n, 6n, 0xffff_ffff_ffff_ffffn, 4n]);
    driver.read(0n);
    expect(next()).toBe(9n);
  });
});

describe("stores as QEMU takes them", () => {
  test("a backend of zeros becomes a store", () => {
    const backend = new MemoryBackend(new Uint8Array(SIZE));
    new ErstStorage(backend);
    expect(same(backend.bytes, emptyStore(SIZE))).toBe(true);
  });
  test.each([
    ["another version", 16, 1],
    ["reserved bytes", 18, 1],
    ["a record size that is no power of two", 9, 0x30],
    ["records in the middle of a slot", 12, 1],
  ])("%s is refused", (_, at, byte) => {
    const bytes = emptyStore(SIZE);
    bytes[at] = byte;
    expect(() => new ErstStorage(new MemoryBackend(bytes))).toThrow(/store/);
  });
  test("a size that is no whole number of slots is refused", () => {
    const bytes = new Uint8Array(SIZE + 4096);
    bytes.set(emptyStore(SIZE));
    expect(() => new ErstStorage(new MemoryBackend(bytes))).toThrow("is not made of slots of 8192 bytes");
  });
  test("without repair the search ends with as many records as the header counts", () => {
    const bytes = emptyStore(32768, 4096);
    const storage = new ErstStorage(new MemoryBackend(bytes));
    for (const id of [1n, 2n, 3n]) storage.write(record(id), id);
    bytes[20] = 2;
    const asFound = new ErstStorage(new MemoryBackend(bytes), { repair: false });
    expect([1n, 2n, 3n].map((id) => asFound.slotOf(id))).toEqual([1, 2, undefined]);
    expect(asFound.repairs).toEqual([]);
    const repaired = new ErstStorage(new MemoryBackend(bytes));
    expect(repaired.repairs).toEqual(["the header counted 2 records, the map has 3"]);
    expect(repaired.slotOf(3n)).toBe(3);
  });
});

/** The power goes at the n-th write, after a part of it: words of 8 bytes are whole or not there. */
class Failing implements Backend {
  readonly bytes: Uint8Array;
  #left: number;
  readonly #part: number;
  constructor(bytes: Uint8Array, writes: number, part: number) {
    this.bytes = bytes;
    this.#left = writes;
    this.#part = part;
  }
  get size() {
    return this.bytes.length;
  }
  read(offset: number, length: number) {
    return this.bytes.slice(offset, offset + length);
  }
  write(offset: number, bytes: Uint8Array) {
    if (this.#left-- > 0) return this.bytes.set(bytes, offset);
    if (bytes.length > 8) this.bytes.set(bytes.subarray(0, Math.floor(this.#part * bytes.length)), offset);
    throw new Error("power is gone");
  }
}

describe("a crash at any write", () => {
  /** Slots of 4096 bytes: one for the header, `free` that are free, and those of the records. */
  const filled = (ids: readonly bigint[], free: number) => {
    const backend = new MemoryBackend(emptyStore(4096 * (1 + ids.length + free), 4096));
    const storage = new ErstStorage(backend);
    for (const id of ids) storage.write(record(id), id);
    return backend.bytes;
  };
  const recordOf = (storage: ErstStorage, id: bigint, length = record(id).length) => storage.read(id)?.subarray(0, length);
  /** Every moment: before the operation's first write, within and after each of them. */
  const crashes = (before: () => Uint8Array, operate: (storage: ErstStorage) => void, after: (bytes: Uint8Array, done: boolean) => void): number => {
    for (let writes = 0; ; writes++) {
      let done = true;
      for (const part of [0, 0.02, 0.5, 0.99]) {
        const failing = new Failing(before(), writes, part);
        try {
          operate(new ErstStorage(failing));
        } catch (error) {
          expect((error as Error).message).toBe("power is gone");
          done = false;
        }
        after(failing.bytes, done);
        expect(new ErstStorage(new MemoryBackend(failing.bytes)).repairs).toEqual([]);
      }
      if (done) return writes;
    }
  };

  test("while a new record is stored: the old ones are there, the new one is whole or absent", () => {
    const outcomes = new Set<boolean>();
    const writes = crashes(
      () => filled([1n, 2n], 4),
      (storage) => storage.write(record(3n), 3n),
      (bytes) => {
        const after = new ErstStorage(new MemoryBackend(bytes));
        expect(same(recordOf(after, 1n), record(1n)) && same(recordOf(after, 2n), record(2n))).toBe(true);
        const third = recordOf(after, 3n);
        outcomes.add(third !== undefined);
        if (third) expect(same(third, record(3n))).toBe(true);
        expect(after.count).toBe(third ? 3 : 2);
      },
    );
    expect(writes).toBe(3);
    expect(outcomes).toEqual(new Set([true, false]));
  });

  const replacement = record(2n, 400, 9);
  test.each([
    ["by way of a free slot behind it", () => filled([1n, 2n, 3n], 1)],
    [
      "by way of a free slot before it",
      () => {
        const bytes = filled([1n, 2n, 3n], 0);
        new ErstStorage(new MemoryBackend(bytes)).clear(1n);
        return bytes;
      },
    ],
    ["by way of the bytes behind the map of a full store", () => filled([1n, 2n, 3n], 0)],
  ])("while a record is replaced %s: the old or the new one is there, whole, once; what QEMU finds is whole too", (_, start) => {
    const others = new ErstStorage(new MemoryBackend(start())).ids.filter((id) => id !== 2n);
    const outcomes = new Set<string>();
    crashes(
      start,
      (storage) => storage.write(replacement, 2n),
      (bytes, done) => {
        const theirs = new ErstStorage(new MemoryBackend(bytes.slice()), { repair: false });
        for (const id of [...others, 2n]) {
          const found = theirs.read(id);
          const whole = (id === 2n ? [record(2n), replacement] : [record(id)]).some((one) => same(found?.subarray(0, one.length), one));
          expect(whole || (id === 2n && found === undefined)).toBe(true);
        }
        const after = new ErstStorage(new MemoryBackend(bytes));
        expect(after.ids.filter((id) => id === 2n)).toHaveLength(1);
        const fresh = same(recordOf(after, 2n, replacement.length), replacement);
        expect(fresh || same(recordOf(after, 2n), record(2n))).toBe(true);
        for (const id of others) expect(same(recordOf(after, id), record(id))).toBe(true);
        expect(after.count).toBe(others.length + 1);
        if (done) expect(fresh).toBe(true);
        outcomes.add(fresh ? "new" : "old");
      },
    );
    expect(outcomes).toEqual(new Set(["old", "new"]));
  });
  test.each([
    ["a free slot", 2],
    ["a full store", 0],
  ])("replaced with %s, the file is that of QEMU: the record in its place, filled up with ff, and nothing else changed", (_, free) => {
    const bytes = filled([1n, 2n, 3n], free);
    bytes.fill(0x5a, 200, 4096);
    const expected = bytes.slice();
    expected.fill(0xff, 2 * 4096, 3 * 4096);
    expected.set(replacement, 2 * 4096);
    new ErstStorage(new MemoryBackend(bytes)).write(replacement, 2n);
    expect(Buffer.compare(bytes, expected)).toBe(0);
  });
  /** A full store of three records of these sizes, and what becomes of the second when it is replaced and power goes. */
  const replaced = (sizes: readonly number[], size: number): readonly string[] => {
    const ids = [1n, 2n, 3n];
    const records = ids.map((id, i) => record(id, sizes[i]! - EMPTY_RECORD));
    const fresh = record(2n, size - EMPTY_RECORD, 9);
    const start = () => {
      const backend = new MemoryBackend(emptyStore(4096 * 4, 4096));
      const storage = new ErstStorage(backend);
      for (const [i, id] of ids.entries()) storage.write(records[i]!, id);
      return backend.bytes;
    };
    const outcomes = new Set<string>();
    crashes(
      start,
      (storage) => storage.write(fresh, 2n),
      (bytes, done) => {
        const after = new ErstStorage(new MemoryBackend(bytes));
        const found = recordOf(after, 2n, 4096);
        outcomes.add(
          found === undefined ? "absent" : same(found.subarray(0, size), fresh) ? "new" : same(found.subarray(0, sizes[1]), records[1]!) ? "old" : "torn",
        );
        for (const i of [0, 2]) expect(same(recordOf(after, ids[i]!, sizes[i]), records[i]!)).toBe(true);
        if (!done) return;
        const expected = start();
        expected.fill(0xff, 2 * 4096, 3 * 4096);
        expected.set(fresh, 2 * 4096);
        expect(Buffer.compare(bytes, expected)).toBe(0);
      },
    );
    return [...outcomes].sort();
  };
  const BEHIND_THE_MAP = 4096 - (24 + 4 * 8) - 24;
  test.each([
    ["behind the map", [4096, 4096, 4096], BEHIND_THE_MAP],
    ["behind the map and behind another record", [4096, 4096, 4000], BEHIND_THE_MAP + 10],
    ["behind the map and behind all others, to the last byte", [4090, 4096, 4070], BEHIND_THE_MAP + 32],
    ["behind the map and at the end of its own slot", [4096, 200, 4096], 4096 - 40],
    ["everywhere", [4095, 4000, 4095], BEHIND_THE_MAP + 2 + 38],
  ])("a full store, and the new record is put aside %s: the old or the new one is there", (_, sizes, size) => {
    expect(replaced(sizes, size)).toEqual(["new", "old"]);
  });
  test.each([
    ["no slot has a byte left", [4096, 4096, 4096], 4096],
    ["one byte too few", [4090, 4096, 4070], BEHIND_THE_MAP + 33],
  ])("a full store in which %s: no order of writes could keep both, so it is absent for a while, never torn", (_, sizes, size) => {
    expect(replaced(sizes, size)).toEqual(["absent", "new", "old"]);
  });
  test("a mark somebody else's writes have overtaken is taken away, and nothing more", () => {
    const bytes = filled([1n, 2n, 3n], 0);
    expect(() => new ErstStorage(new Failing(bytes, 4, 0)).write(replacement, 2n)).toThrow("power is gone");
    expect(Buffer.from(bytes).includes("apeiREDO")).toBe(true);
    // QEMU opens the store next and gives the slot that is free now to another record.
    new ErstStorage(new MemoryBackend(bytes), { repair: false }).write(record(9n), 9n);
    const again = new ErstStorage(new MemoryBackend(bytes));
    expect(again.repairs).toEqual(["the header counted 4 records, the map has 3"]);
    expect(again.ids).toEqual([1n, 9n, 3n]);
    for (const id of again.ids) expect(same(recordOf(again, id), record(id))).toBe(true);
    expect(Buffer.from(bytes).includes("apeiREDO")).toBe(false);
  });
  test("while a record is removed: it is there or not, the others are", () => {
    crashes(
      () => filled([1n, 2n], 1),
      (storage) => storage.clear(1n),
      (bytes) => {
        const after = new ErstStorage(new MemoryBackend(bytes));
        expect(same(recordOf(after, 2n), record(2n))).toBe(true);
        expect(after.count).toBe(after.ids.length);
      },
    );
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
