/** A guest that writes anything anywhere in its own memory and registers: the devices answer, and touch only what the guest named. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { ERST_ACTION } from "../../src/acpi/action-entry.ts";
import { RecordHeader } from "../../src/cper/record.ts";
import { einjWindow, type InjectedError } from "../../src/host/einj-device.ts";
import { ErrorSourceDevice, type ErrorSourceOptions, type Locate, type RecordingPolicy } from "../../src/host/error-source.ts";
import { ErstDevice } from "../../src/host/erst-device.ts";
import { type Backend, ErstStorage, emptyStore } from "../../src/host/erst-storage.ts";
import { GENERIC_EVENT_DEVICE, GenericEventDevice } from "../../src/host/event-device.ts";
import { inHardwareErrors, inHest, inHestAsQemu } from "../../src/host/locate.ts";
import { memoryRecord } from "../../src/host/memory-record.ts";
import { MemoryWithDevices } from "../../src/host/mmio.ts";
import { PRESETS } from "../../src/host/monitor.ts";
import { fieldOffset } from "../../src/layout/index.ts";
import { type AccessSize, type GuestMemory, MemoryFault, SparseMemory } from "../../src/machine/memory.ts";
import { OpenBus } from "../../src/machine/open-bus.ts";
import { ACK, BASE, HEST, POINTER, placeSources } from "./place.ts";

const LENGTH = 0x10000;
const END = BASE + BigInt(LENGTH);
/** More for a long search: npm run long:hostile. */
const RUNS = Number(process.env["HOSTILE_RUNS"] ?? 200);
const PATIENCE = 60_000 + 100 * RUNS;
const u64 = fc.bigInt(0n, (1n << 64n) - 1n);
const size = fc.constantFrom<AccessSize>(1, 2, 4, 8);

// ---- the error source device ----

/** Keeps every write that was made. */
class Watched implements GuestMemory {
  readonly inner: GuestMemory;
  readonly writes: (readonly [start: bigint, length: number])[] = [];
  constructor(inner: GuestMemory) {
    this.inner = inner;
  }
  read(address: bigint, length: number) {
    return this.inner.read(address, length);
  }
  readWord(address: bigint, width: AccessSize) {
    return this.inner.readWord(address, width);
  }
  write(address: bigint, bytes: Uint8Array) {
    this.inner.write(address, bytes);
    this.writes.push([address, bytes.length]);
  }
  writeWord(address: bigint, width: AccessSize, value: bigint) {
    this.inner.writeWord(address, width, value);
    this.writes.push([address, width]);
  }
}

const whenFull = fc.constantFrom("dropOldest" as const, "dropNewest" as const);
const anyPolicy: fc.Arbitrary<RecordingPolicy> = fc.record(
  {
    unacknowledged: fc.oneof(
      fc.constantFrom({ action: "refuse" as const }, { action: "overflow" as const }),
      fc.record({ action: fc.constantFrom("queue" as const, "merge" as const), limit: fc.nat(3), whenFull }),
    ),
    stores: fc.constantFrom("statusLast" as const, "ascending" as const),
    acknowledgement: fc.constantFrom("bits" as const, "nonzero" as const),
    sharedAcknowledge: fc.constantFrom("blockStatus" as const, "register" as const),
    lookupFailure: fc.constantFrom("refuse" as const, "addressZero" as const),
    zeroPointer: fc.constantFrom("refuse" as const, "write" as const),
  },
  { requiredKeys: ["unacknowledged", "stores", "acknowledgement"] },
);
const spot = fc.oneof(
  fc.nat(0x200),
  fc.nat(0x40).map((n) => 0x1000 + n),
  fc.nat(0x40).map((n) => 0x2000 + n),
  fc.nat(LENGTH - 8),
);
const word = fc.oneof(u64, fc.bigInt(BASE - 16n, END + 16n), fc.constantFrom(0n, 1n, 2n, 0xffff_ffff_ffff_ffffn));
const blocks = [memoryRecord({ physicalAddress: 0x1000n, severity: "corrected" }), memoryRecord({ physicalAddress: 0x2000n, severity: "recoverable" })];
const step = fc.oneof(
  { weight: 3, arbitrary: fc.record({ poke: spot, size, value: word }) },
  {
    weight: 3,
    arbitrary: fc.record({
      record: fc.oneof(fc.nat(3), fc.nat(0xffff)),
      bytes: fc.oneof(fc.constantFrom(...blocks), fc.uint8Array({ maxLength: 1200 })),
    }),
  },
  { weight: 1, arbitrary: fc.constantFrom({ does: "service" as const }, { does: "reset" as const }, { does: "look" as const }) },
);

describe("the error source device", () => {
  const LOCATES: readonly ((memory: GuestMemory) => Locate)[] = [
    (memory) => inHest(memory, HEST),
    (memory) => inHestAsQemu(memory, HEST, 1024),
    (memory) => inHardwareErrors(memory, POINTER(0), 3, 1024),
    (memory) => inHardwareErrors(memory, POINTER(0), 1, 1024),
  ];
  const presets: readonly RecordingPolicy[] = Object.values(PRESETS).map(({ recording }) => recording);
  const setting = fc.record({
    policy: fc.oneof(anyPolicy, fc.constantFrom(...presets)),
    how: fc.nat(LOCATES.length - 1),
  });

  test.each([
    ["registers of their own", false],
    ["one register for all, at bit offsets", true],
  ])(
    "%s: random memory and records never make it throw, and it writes nowhere but to the block and register of the source",
    (_, shared) => {
      fc.assert(
        fc.property(setting, fc.boolean(), fc.array(step, { maxLength: 40 }), ({ policy, how }, open, steps) => {
          const sources = [{ bitOffset: 0 }, { bitOffset: 8 }, { version: 1 as const }].map((source, i) => ({
            version: 2 as const,
            ...(shared ? { preserve: 0xfen } : {}),
            ...source,
            bitOffset: shared ? 8 * i : 0,
          }));
          const { memory: plain } = placeSources(sources, { sharedAcknowledge: shared });
          const memory = new Watched(open ? new OpenBus(plain) : plain);
          const locate = LOCATES[how]!(memory);
          const device = new ErrorSourceDevice({ memory, locate, policy });
          const mayTouch = (ids: readonly number[]) => {
            const places: (readonly [bigint, number])[] = policy.lookupFailure === "addressZero" ? [[0n, 1024]] : [];
            for (const id of ids) {
              let location: ReturnType<Locate>["location"];
              try {
                location = locate(id).location;
              } catch (error) {
                expect(error).toBeInstanceOf(MemoryFault);
              }
              if (location) places.push([location.block, location.blockLength]);
              if (location?.acknowledge) places.push([location.acknowledge.register.address, 8]);
            }
            return places;
          };
          for (const action of steps) {
            if ("poke" in action) {
              plain.writeWord(BASE + BigInt(action.poke), action.size, BigInt.asUintN(action.size * 8, action.value));
              continue;
            }
            const places = mayTouch("record" in action ? [action.record] : [...device.state.keys()]);
            memory.writes.length = 0;
            if ("record" in action) device.record(action.record, action.bytes);
            else if (action.does === "service") device.service();
            else if (action.does === "reset") device.reset();
            else for (const id of [0, 1, 2, 9]) [device.isFree(id), device.isUnread(id)];
            for (const [start, length] of memory.writes) {
              const inside = places.some(([from, most]) => start >= from && start + BigInt(length) <= from + BigInt(most));
              if (!inside) expect.fail(`${length} bytes written at 0x${start.toString(16)}`);
            }
          }
          for (const { account, queue } of device.state.values()) {
            const { submitted, ...parts } = account;
            expect(Object.values(parts).reduce((sum, count) => sum + count, 0)).toBe(submitted);
            expect(account.waiting).toBe(queue.length);
          }
        }),
        { numRuns: RUNS, seed: 5 },
      );
    },
    PATIENCE,
  );

  test("memory that is not there is a MemoryFault of the memory, never of the device", () => {
    const { memory } = placeSources([{ version: 2 }]);
    expect(() => memory.readWord(0n, 8)).toThrow(MemoryFault);
    const options: ErrorSourceOptions = { memory, locate: inHest(memory, 0n), policy: PRESETS["qemu-11.0"].recording };
    expect(new ErrorSourceDevice(options).record(0, new Uint8Array(172))).toBe("refused");
    memory.writeWord(POINTER(0), 8, 0xffff_ffff_ffff_fff0n);
    expect(new ErrorSourceDevice({ ...options, locate: inHest(memory, HEST) }).record(0, new Uint8Array(172).fill(1))).toBe("refused");
    memory.writeWord(ACK(0), 8, 0n);
  });
});

// ---- registers and buffers of all devices, as they lie in the guest's address space ----

/** Fails when a store is asked for anything outside itself. */
class Walled implements Backend {
  readonly bytes: Uint8Array;
  constructor(bytes: Uint8Array) {
    this.bytes = bytes;
  }
  get size() {
    return this.bytes.length;
  }
  #check(offset: number, length: number) {
    if (!Number.isInteger(offset) || offset < 0 || offset + length > this.bytes.length) throw new Error(`${length} bytes at ${offset} of the store`);
  }
  read(offset: number, length: number) {
    this.#check(offset, length);
    return this.bytes.slice(offset, offset + length);
  }
  write(offset: number, bytes: Uint8Array) {
    this.#check(offset, bytes.length);
    this.bytes.set(bytes, offset);
  }
}

describe("devices in the address space", () => {
  const RAM = { start: BASE, length: 0x8000n };
  // Window to window, window to RAM, and a hole.
  const PLACES = { events: GENERIC_EVENT_DEVICE.base, einj: BASE - 0x300n, registers: BASE + 0x8000n, exchange: BASE + 0x8010n };
  const machine = () => {
    const injected: InjectedError[] = [];
    const backend = new Walled(emptyStore(0x6000, 4096));
    const erst = new ErstDevice(new ErstStorage(backend), PLACES.exchange);
    const einj = einjWindow({
      base: PLACES.einj,
      isMemory: (address) => address >= RAM.start && address < RAM.start + RAM.length,
      inject: (error) => injected.push(error),
    });
    const events = new GenericEventDevice();
    const memory = new MemoryWithDevices(new SparseMemory([RAM]), [
      { start: PLACES.events, device: events.window },
      { start: PLACES.einj, device: einj },
      { start: PLACES.registers, device: erst.registers },
      { start: PLACES.exchange, device: erst.exchange },
    ]);
    return { memory, backend, erst, events, injected };
  };
  const near = (start: bigint, length: number) => fc.integer({ min: -8, max: length + 8 }).map((n) => start + BigInt(n));
  const address = fc.oneof(
    { weight: 4, arbitrary: near(PLACES.registers, 16) },
    { weight: 3, arbitrary: near(PLACES.exchange, 4096) },
    { weight: 3, arbitrary: near(PLACES.einj, 0x300) },
    { weight: 1, arbitrary: near(PLACES.events, 4) },
    { weight: 1, arbitrary: near(RAM.start, 0x8000) },
    { weight: 1, arbitrary: u64 },
  );
  const value = fc.oneof(fc.bigInt(0n, 0x20n), fc.constantFrom(0x9cn, 0x9an, 0n, 0xffff_ffff_ffff_ffffn, BASE + 0x1000n), u64);
  const access = fc.record({ address, size, value, block: fc.option(fc.uint8Array({ minLength: 1, maxLength: 300 }), { freq: 6 }), write: fc.boolean() });
  const operation = fc.record({
    begin: fc.constantFrom<number>(...Object.values(ERST_ACTION)),
    offset: fc.oneof(fc.constantFrom(0n, 3968n, 3969n, 4096n), u64),
    id: fc.oneof(fc.bigInt(0n, 6n), u64),
    length: fc.oneof(fc.constantFrom(127, 128, 4096, 4097, 0xffff_ffff), fc.nat(5000)),
  });

  const reach = (body: () => unknown) => {
    try {
      body();
    } catch (error) {
      if (!(error instanceof MemoryFault)) throw error;
    }
  };
  test(
    "accesses of any size at any place, and operations with anything in their records: nothing throws, nothing is reached beyond",
    () => {
      fc.assert(
        fc.property(fc.array(fc.oneof(access, operation), { maxLength: 60 }), (steps) => {
          const { memory, backend, injected } = machine();
          for (const one of steps) {
            if ("begin" in one) {
              const put = (offset: number, width: AccessSize, word: bigint) => memory.writeWord(PLACES.exchange + BigInt(offset), width, word);
              const start = one.offset < 3968n ? Number(one.offset) : 0;
              put(start + fieldOffset(RecordHeader, "recordLength"), 4, BigInt(one.length));
              put(start + fieldOffset(RecordHeader, "recordId"), 8, one.id);
              for (const [action, word] of [
                [ERST_ACTION.setRecordOffset, one.offset],
                [ERST_ACTION.setRecordIdentifier, one.id],
                [one.begin, one.id],
                [ERST_ACTION.executeOperation, 0x9cn],
              ] as const) {
                memory.writeWord(PLACES.registers + 8n, 8, word);
                memory.writeWord(PLACES.registers, 4, BigInt(action));
              }
              continue;
            }
            const word = BigInt.asUintN(8 * one.size, one.value);
            if (one.block) reach(() => (one.write ? memory.write(one.address, one.block!) : memory.read(one.address, one.block!.length)));
            else reach(() => (one.write ? memory.writeWord(one.address, one.size, word) : memory.readWord(one.address, one.size)));
          }
          const storage = new ErstStorage(backend);
          expect(storage.repairs).toEqual([]);
          expect(storage.count).toBe(storage.ids.length);
          for (const { address: at } of injected) expect(at === undefined || (at >= RAM.start && at < RAM.start + RAM.length)).toBe(true);
        }),
        { numRuns: RUNS, seed: 7 },
      );
    },
    PATIENCE,
  );

  test("an access across the border of a window is made in parts, each where it belongs", () => {
    const { memory, erst, events } = machine();
    memory.writeWord(PLACES.registers + 12n, 8, 0x1122_3344_5566_7788n);
    expect(erst.registers.read(8, 8)).toBe(0x5566_7788_0000_0000n);
    expect(erst.exchange.bytes!.subarray(0, 4)).toEqual(Uint8Array.of(0x44, 0x33, 0x22, 0x11));
    expect(memory.readWord(PLACES.registers + 12n, 8)).toBe(0x1122_3344_5566_7788n);
    memory.write(PLACES.registers - 4n, Uint8Array.of(1, 2, 3, 4, 0, 0, 0, 0));
    expect(memory.readWord(PLACES.registers - 4n, 4)).toBe(0x0403_0201n);
    // Half of it is the event register, half is nothing at all.
    events.raise(GENERIC_EVENT_DEVICE.errorEvent);
    expect(() => memory.readWord(PLACES.events, 8)).toThrow(MemoryFault);
    expect(events.line).toBe(false);
  });
});
