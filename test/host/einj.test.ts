import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { buildTable } from "../../src/acpi/build-tables.ts";
import { EinjDriver, offeredLines } from "../../src/guest/einj.ts";
import { EinjDevice, einjRegisters, einjTable, einjWindow, type InjectedError } from "../../src/host/einj-device.ts";
import { MemoryWithDevices } from "../../src/host/mmio.ts";
import { type AccessSize, SparseMemory } from "../../src/machine/memory.ts";
import { hex } from "../support/hex.ts";

const BASE = 0xfec0_0000n;

function setUp() {
  const injected: InjectedError[] = [];
  const isMemory = (address: bigint) => address < 0x1000_0000n;
  const window = einjWindow({ base: BASE, isMemory, inject: (error) => injected.push(error) });
  const memory = new MemoryWithDevices(new SparseMemory([{ start: 0n, length: 0x1000_0000n }]), [{ start: BASE, device: window }]);
  return { injected, window, memory, driver: new EinjDriver({ memory }, einjTable(BASE), isMemory) };
}

describe("injection through the table's own program", () => {
  test("what is offered, and an error at an address", () => {
    const { driver, injected } = setUp();
    expect(driver.offered).toEqual(["memoryCorrectable", "memoryUncorrectableNonFatal", "memoryUncorrectableFatal"]);
    expect(driver.inject({ type: "memoryUncorrectableNonFatal", address: 0x8000000n, mask: 0xfffffffffffff000n })).toBe("success");
    expect(driver.inject({ type: "memoryCorrectable", address: 0x8000040n, mask: 0xffffffffffffffc0n })).toBe("success");
    expect(injected).toEqual([
      { type: "memoryUncorrectableNonFatal", address: 0x8000000n, mask: 0xfffffffffffff000n },
      { type: "memoryCorrectable", address: 0x8000040n, mask: 0xffffffffffffffc0n },
    ]);
  });
  test("the errors it offers, as a real kernel lists them", () => {
    expect(offeredLines(setUp().driver.offered)).toEqual([
      "0x00000008\tMemory Correctable",
      "0x00000010\tMemory Uncorrectable non-fatal",
      "0x00000020\tMemory Uncorrectable fatal",
    ]);
  });
  test("what the kernel refuses: types that are not offered, memory errors without a page of memory", () => {
    const { driver, injected } = setUp();
    expect(driver.inject({ type: "pcieFatal" as never })).toBe("notOffered");
    for (const request of [
      {},
      { address: 0x8000000n },
      { address: 0x8000000n, mask: 0xffffffffffffe000n },
      { address: 0xffff_0000_0000n, mask: 0xfffffffffffff000n },
    ])
      expect(driver.inject({ type: "memoryCorrectable", ...request })).toBe("noMemoryPage");
    expect(injected).toEqual([]);
  });
  test("the kernel looks at as many bytes as the mask leaves open", () => {
    const { memory } = setUp();
    const looked: (readonly [bigint, bigint])[] = [];
    const driver = new EinjDriver({ memory }, einjTable(BASE), (address, length) => {
      looked.push([address, length]);
      return false;
    });
    for (const mask of [0xfffffffffffff000n, 0xffffffffffffffc0n, 0xffffffffffffffffn])
      expect(driver.inject({ type: "memoryCorrectable", address: 0x8000043n, mask })).toBe("noMemoryPage");
    expect(looked).toEqual([
      [0x8000000n, 0x1000n],
      [0x8000040n, 0x40n],
      [0x8000043n, 1n],
    ]);
  });
  test("what the device refuses: an address that is no memory, whatever the kernel thinks", () => {
    const { memory, injected } = setUp();
    const driver = new EinjDriver({ memory }, einjTable(BASE));
    expect(driver.inject({ type: "memoryCorrectable", address: 0xffff_0000_0000n, mask: 0xfffffffffffff000n })).toBe("invalidAccess");
    expect(injected).toEqual([]);
  });
  test("the table, entry by entry", () => {
    // Registers: execute 0, trigger 8, session 10h, type 18h, offered 20h, status 28h, trigger table 30h, timings 38h, request 40h.
    const entries = hex`
      00 03 00 00  00 40 00 04 18 00 c0 fe 00 00 00 00  00 00 00 00 00 00 00 00  ff ff ff ff ff ff ff ff  # begin: type <- 0
      00 03 00 00  00 20 00 03 40 00 c0 fe 00 00 00 00  00 00 00 00 00 00 00 00  ff ff ff ff ff ff ff ff  # begin: request <- 0
      00 03 00 00  00 40 00 04 10 00 c0 fe 00 00 00 00  01 00 00 00 00 00 00 00  ff ff ff ff ff ff ff ff  # begin: session <- 1
      01 00 00 00  00 40 00 04 30 00 c0 fe 00 00 00 00  00 00 00 00 00 00 00 00  ff ff ff ff ff ff ff ff  # get trigger table
      02 02 00 00  00 40 00 04 18 00 c0 fe 00 00 00 00  00 00 00 00 00 00 00 00  ff ff ff ff ff ff ff ff  # set type
      03 00 00 00  00 40 00 04 20 00 c0 fe 00 00 00 00  00 00 00 00 00 00 00 00  ff ff ff ff ff ff ff ff  # get types
      04 03 00 00  00 40 00 04 10 00 c0 fe 00 00 00 00  00 00 00 00 00 00 00 00  ff ff ff ff ff ff ff ff  # end: session <- 0
      05 03 00 00  00 40 00 04 00 00 c0 fe 00 00 00 00  01 00 00 00 00 00 00 00  ff ff ff ff ff ff ff ff  # execute <- 1
      06 01 00 00  00 40 00 04 00 00 c0 fe 00 00 00 00  01 00 00 00 00 00 00 00  01 00 00 00 00 00 00 00  # busy while execute is 1
      07 00 00 00  00 40 00 04 28 00 c0 fe 00 00 00 00  00 00 00 00 00 00 00 00  ff ff ff ff ff ff ff ff  # status
      08 02 00 00  00 20 00 03 40 00 c0 fe 00 00 00 00  00 00 00 00 00 00 00 00  ff ff ff ff 00 00 00 00  # set type with address
      09 00 00 00  00 40 00 04 38 00 c0 fe 00 00 00 00  00 00 00 00 00 00 00 00  ff ff ff ff ff ff ff ff  # timings`;
    expect(einjTable(BASE).subarray(36, 48)).toEqual(hex`30 00 00 00  00 00 00 00  0c 00 00 00  # header of 48 bytes, 12 entries`);
    expect(einjTable(BASE).subarray(48)).toEqual(entries);
    expect(einjRegisters().subarray(0, 0x40)).toEqual(
      hex`00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00  00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00
          38 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00  00 00 00 00 00 00 00 00 e8 03 00 00 a0 86 01 00`,
    );
  });
  test("the order of things a real kernel was seen to do: begin, type, execute, trigger, end", () => {
    // The registers of a hand-made table in memory, as they were driven by Linux 7.2: begin 1 set-type 8 execute 9a trigger 1 end 1.
    const memory = new SparseMemory([{ start: 0x8000n, length: 0x2000n }]);
    const [begin, offered, set, end, execute, busy, status, table, timings, trigger] = Array.from({ length: 10 }, (_, i) => 0x8000n + 8n * BigInt(i));
    const at = (address: bigint | undefined) => ({ registerRegion: { address: `0x${address!.toString(16)}` } });
    const einj = buildTable("EINJ", {
      entries: [
        { action: "beginInjectionOperation", instruction: "writeRegisterValue", value: "0x1", ...at(begin) },
        { action: "getTriggerErrorActionTable", instruction: "readRegister", ...at(table) },
        { action: "setErrorType", instruction: "writeRegister", ...at(set) },
        { action: "getErrorType", instruction: "readRegister", ...at(offered) },
        { action: "endOperation", instruction: "writeRegisterValue", value: "0x1", ...at(end) },
        { action: "executeOperation", instruction: "writeRegisterValue", value: "0x9a", ...at(execute) },
        { action: "checkBusyStatus", instruction: "readRegisterValue", value: "0x1", mask: "0x1", ...at(busy) },
        { action: "getCommandStatus", instruction: "readRegister", mask: "0x1fe", ...at(status) },
        { action: "getExecuteOperationTimings", instruction: "readRegister", ...at(timings) },
      ],
    });
    memory.writeWord(offered!, 8, 0x38n);
    memory.writeWord(table!, 8, 0x9000n);
    memory.write(
      0x9000n,
      hex`10 00 00 00 01 00 00 00 30 00 00 00 01 00 00 00  # header 16, revision 1, 48 bytes, 1 entry
          ff 03 00 00  00 40 00 04 48 80 00 00 00 00 00 00  01 00 00 00 00 00 00 00  ff ff ff ff ff ff ff ff`,
    );
    const order: bigint[] = [];
    const watched = {
      ...bound(memory),
      writeWord: (address: bigint, size: AccessSize, value: bigint) => {
        order.push(address);
        memory.writeWord(address, size, value);
      },
    };
    expect(new EinjDriver({ memory: watched }, einj).inject({ type: "memoryCorrectable" })).toBe("success");
    expect([begin, set, execute, trigger, end].map((address) => memory.readWord(address!, 8))).toEqual([1n, 8n, 0x9an, 1n, 1n]);
    expect(order).toEqual([begin, set, execute, trigger, end]);
  });
});

describe("served by somebody who looks from time to time", () => {
  const BASE = 0x1000n;
  /** The device looks at every so many reads of the guest. */
  function served(every: number, more: { readonly program?: bigint } = {}) {
    const ram = new SparseMemory([{ start: 0n, length: 0x1_0000n }]);
    ram.write(BASE, einjRegisters());
    const injected: InjectedError[] = [];
    const device = new EinjDevice({ memory: ram, base: BASE, isMemory: () => true, inject: (error) => injected.push(error), ...more });
    let reads = 0;
    const memory = {
      ...bound(ram),
      writeWord: (address: bigint, size: AccessSize, value: bigint) => ram.writeWord(address, size, value),
      readWord: (address: bigint, size: AccessSize) => {
        if (++reads % every === 0) device.service();
        return ram.readWord(address, size);
      },
    };
    return { ram, device, injected, driver: new EinjDriver({ memory }, einjTable(BASE)) };
  }
  const page = (n: number) => ({ type: "memoryCorrectable" as const, address: BigInt(n) << 12n, mask: 0xfffffffffffff000n });

  test.each([1, 7, 1000])("every %i reads: each request is answered, no trigger is missed", (every) => {
    const { driver, device, injected } = served(every);
    for (let n = 1; n <= 5; n++) expect(driver.inject(page(n))).toBe("success");
    device.service();
    expect(injected.map(({ address }) => address)).toEqual([1, 2, 3, 4, 5].map((n) => BigInt(n) << 12n));
    expect(device.service()).toBe(false);
  });
  test("nobody looks: the guest gives up", () => {
    expect(served(1_000_000).driver.inject(page(1))).toBe("timedOut");
  });
  test("a trigger table of its own place, and what is in it", () => {
    const { ram, driver, device, injected } = served(3, { program: 0x8000n });
    expect(driver.inject(page(1))).toBe("success");
    expect(ram.read(0x8000n, 48)).toEqual(
      hex`10 00 00 00 00 00 00 00 30 00 00 00 01 00 00 00  # header 16, 48 bytes, 1 entry
          ff 03 00 00  00 40 00 04 08 10 00 00 00 00 00 00  01 00 00 00 00 00 00 00  ff ff ff ff ff ff ff ff  # trigger <- 1`,
    );
    device.service();
    expect(injected).toHaveLength(1);
  });
  test("a trigger nobody armed, and a request outside an operation", () => {
    const { ram, device, injected } = served(1);
    ram.writeWord(BASE + 8n, 8, 1n);
    expect(device.service()).toBe(true);
    expect(ram.readWord(BASE + 8n, 8)).toBe(0n);
    ram.writeWord(BASE + 0x18n, 8, 8n);
    ram.writeWord(BASE, 8, 1n);
    device.service();
    expect(ram.readWord(BASE + 0x28n, 8)).toBe(1n);
    expect(ram.readWord(BASE + 0x30n, 8)).toBe(0n);
    expect(injected).toEqual([]);
  });
});

const bound = (memory: SparseMemory) => ({
  read: (address: bigint, length: number) => memory.read(address, length),
  write: (address: bigint, bytes: Uint8Array) => memory.write(address, bytes),
  readWord: (address: bigint, size: AccessSize) => memory.readWord(address, size),
});

test("a hostile guest: random accesses never throw, and only whole requests come through", () => {
  fc.assert(
    fc.property(
      fc.array(
        fc.record({
          offset: fc.nat(0x2ff),
          size: fc.constantFrom<AccessSize>(1, 2, 4, 8),
          value: fc.oneof(fc.constantFrom(1n, 8n, 0x9an), fc.bigInt(0n, (1n << 64n) - 1n)),
        }),
        { maxLength: 80 },
      ),
      (accesses) => {
        const { window, injected } = setUp();
        for (const { offset, size, value } of accesses) {
          window.write(offset & ~(offset % 3 === 0 ? 7 : 0), size, value);
          window.read(offset, size);
        }
        for (const { address } of injected) expect(address === undefined || address < 0x1000_0000n).toBe(true);
      },
    ),
    { numRuns: 500, seed: 11 },
  );
});
