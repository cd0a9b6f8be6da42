/** The store whose registers are memory: the same as QEMU's device behind them, whoever looks when. */
import fc from "fast-check";
import { expect, test } from "vitest";
import { qemuErst } from "../../src/acpi/build-tables.ts";
import { buildRecord } from "../../src/cper/record-codec.ts";
import { ErstDriver } from "../../src/guest/erst.ts";
import { ErstDevice } from "../../src/host/erst-device.ts";
import { ErstMailbox, mailboxErst } from "../../src/host/erst-mailbox.ts";
import { ErstStorage, emptyStore, MemoryBackend } from "../../src/host/erst-storage.ts";
import { MemoryWithDevices } from "../../src/host/mmio.ts";
import { type AccessSize, SparseMemory } from "../../src/machine/memory.ts";
import { hex } from "../support/hex.ts";

const BASE = 0x1_0000n;
const storage = (bytes = emptyStore(0x6000, 4096)) => ({ bytes, storage: new ErstStorage(new MemoryBackend(bytes)) });

/** The mailbox looks when the guest reads the word it waits for. */
function machine() {
  const { bytes, storage: store } = storage();
  const mailbox = new ErstMailbox(store);
  const ram = new SparseMemory([{ start: 0n, length: 0x10_0000n }]);
  ram.write(BASE, mailbox.image);
  const memory = {
    read: (address: bigint, length: number) => ram.read(address, length),
    write: (address: bigint, content: Uint8Array) => ram.write(address, content),
    writeWord: (address: bigint, size: AccessSize, value: bigint) => ram.writeWord(address, size, value),
    readWord: (address: bigint, size: AccessSize) => {
      if (address === BASE) mailbox.service(ram, BASE);
      return ram.readWord(address, size);
    },
  };
  return { bytes, mailbox, ram, driver: new ErstDriver({ memory }, mailboxErst(BASE)) };
}
function qemu() {
  const { bytes, storage: store } = storage();
  const device = new ErstDevice(store, 0xfec1_0000n);
  const memory = new MemoryWithDevices(new SparseMemory([]), [
    { start: 0xfec0_0000n, device: device.registers },
    { start: 0xfec1_0000n, device: device.exchange },
  ]);
  return { bytes, driver: new ErstDriver({ memory }, qemuErst(0xfec0_0000n)) };
}
const record = (id: number, fill: number) =>
  buildRecord({ severity: "fatal", recordId: BigInt(id) }, [
    { descriptor: { severity: "fatal", sectionType: "c197e04e-d545-4a70-9c17-a5549419eb12" }, body: new Uint8Array(40).fill(fill) },
  ]);

test("the table, entry by entry", () => {
  // Registers: command 0, operation 8, offset 10h, identifier 18h, status 20h, next 28h, count 30h, length 38h, attributes 40h, timings 48h, zero 50h, range 58h; buffer 1000h.
  const entry = (action: number, instruction: number, register: number, value = 0n) => {
    const bytes = new Uint8Array(32);
    const view = new DataView(bytes.buffer);
    bytes.set([action, instruction, 0, 0, 0, 64, 0, 4]);
    view.setBigUint64(8, BASE + BigInt(register), true);
    view.setBigUint64(16, value, true);
    view.setBigUint64(24, 0xffff_ffff_ffff_ffffn, true);
    return [...bytes];
  };
  const [read, readValue, write, writeValue, load1, stall] = [0, 1, 2, 3, 5, 0xd];
  expect([...mailboxErst(BASE).subarray(48)]).toEqual(
    [
      entry(0, writeValue, 8, 0n),
      entry(1, writeValue, 8, 1n),
      entry(2, writeValue, 8, 2n),
      entry(0xb, writeValue, 8, 0xbn),
      entry(3, writeValue, 8, 3n),
      entry(4, write, 0x10),
      entry(5, load1, 0x50),
      entry(5, writeValue, 0, 1n),
      entry(5, stall, 0, 1n),
      entry(6, readValue, 0, 1n),
      entry(7, read, 0x20),
      entry(8, load1, 0x50),
      entry(8, writeValue, 0, 2n),
      entry(8, stall, 0, 2n),
      entry(8, read, 0x28),
      entry(9, write, 0x18),
      entry(0xa, read, 0x30),
      entry(0xe, read, 0x38),
      entry(0xf, read, 0x40),
      entry(0x10, read, 0x48),
      entry(0xd, writeValue, 0x58, BASE + 0x1000n),
    ].flat(),
  );
  expect(mailboxErst(BASE).subarray(36, 48)).toEqual(hex`30 00 00 00  00 00 00 00  15 00 00 00`);
});

test("any sequence of a driver's operations: the same answers and the same bytes as from QEMU's device", () => {
  const operation = fc.oneof(
    fc.record({ kind: fc.constant("write" as const), id: fc.integer({ min: 0, max: 6 }), fill: fc.nat(255) }),
    fc.record({ kind: fc.constantFrom("read" as const, "clear" as const), id: fc.integer({ min: 0, max: 6 }) }),
    fc.record({ kind: fc.constantFrom("ids" as const, "count" as const) }),
  );
  fc.assert(
    fc.property(fc.array(operation, { maxLength: 25 }), (operations) => {
      const ours = machine();
      const theirs = qemu();
      expect(ours.driver.rangeAddress).toBe(BASE + 0x1000n);
      expect(ours.driver.rangeLength).toBe(theirs.driver.rangeLength);
      for (const step of operations) {
        const run = ({ driver }: { readonly driver: ErstDriver }) =>
          step.kind === "write"
            ? driver.write(record(step.id, step.fill))
            : step.kind === "read"
              ? driver.read(BigInt(step.id))
              : step.kind === "clear"
                ? driver.clear(BigInt(step.id))
                : driver[step.kind];
        const value = (answer: unknown) => (typeof answer === "function" ? undefined : answer);
        expect(value(run(ours))).toEqual(value(run(theirs)));
        if (step.kind === "ids") expect(ours.driver.ids()).toEqual(theirs.driver.ids());
      }
      expect(Buffer.compare(ours.bytes, theirs.bytes)).toBe(0);
    }),
    { numRuns: 150, seed: 5 },
  );
});

test("a hostile guest: any words in the registers, and nothing throws or is touched outside", () => {
  fc.assert(
    fc.property(
      fc.array(
        fc.record({
          offset: fc.integer({ min: 0, max: 11 }).map((n) => BigInt(8 * n)),
          value: fc.oneof(fc.bigInt(0n, 12n), fc.constantFrom(3968n, 3969n, 0xffff_ffff_ffff_ffffn), fc.bigInt(0n, (1n << 64n) - 1n)),
          buffer: fc.option(fc.uint8Array({ minLength: 128, maxLength: 300 }), { freq: 4 }),
        }),
        { maxLength: 60 },
      ),
      (writes) => {
        const { ram, mailbox, bytes } = machine();
        for (const { offset, value, buffer } of writes) {
          ram.writeWord(BASE + offset, 8, value);
          if (buffer) ram.write(BASE + 0x1000n, buffer);
          mailbox.service(ram, BASE);
          expect(ram.readWord(BASE, 8)).toBe(0n);
        }
        expect(ram.read(0n, Number(BASE)).every((byte) => byte === 0)).toBe(true);
        expect(ram.read(BASE + 0x2000n, 0x1000).every((byte) => byte === 0)).toBe(true);
        expect(new ErstStorage(new MemoryBackend(bytes)).repairs).toEqual([]);
      },
    ),
    { numRuns: 200, seed: 6 },
  );
});
