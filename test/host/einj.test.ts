import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { buildTable } from "../../src/acpi/build-tables.ts";
import { EinjDriver } from "../../src/guest/einj.ts";
import { EinjDevice, type InjectedError } from "../../src/host/einj-device.ts";
import { MemoryWithDevices } from "../../src/host/mmio.ts";
import { type AccessSize, SparseMemory } from "../../src/machine/memory.ts";
import { hex } from "../support/hex.ts";

const BASE = 0xfec0_0000n;

function setUp() {
  const injected: InjectedError[] = [];
  const device = new EinjDevice({ base: BASE, isMemory: (address) => address < 0x1000_0000n, inject: (error) => injected.push(error) });
  const memory = new MemoryWithDevices(new SparseMemory([{ start: 0n, length: 0x1000_0000n }]), [{ start: BASE, device: device.window }]);
  return { injected, device, memory, driver: new EinjDriver({ memory }, device.table()) };
}

describe("injection through the table's own program", () => {
  test("what is offered, and an error at an address", () => {
    const { driver, injected } = setUp();
    expect(driver.offered).toEqual(["memoryCorrectable", "memoryUncorrectableNonFatal", "memoryUncorrectableFatal"]);
    expect(driver.inject({ type: "memoryUncorrectableNonFatal", address: 0x8000000n, mask: 0xfffffffffffff000n })).toBe("success");
    expect(driver.inject({ type: "memoryCorrectable" })).toBe("success");
    expect(injected).toEqual([
      { type: "memoryUncorrectableNonFatal", address: 0x8000000n, mask: 0xfffffffffffff000n },
      { type: "memoryCorrectable", address: undefined, mask: undefined },
    ]);
  });
  test("what is not offered, and an address that is no memory", () => {
    const { driver, injected } = setUp();
    expect(driver.inject({ type: "pcieFatal" as never })).toBe("notOffered");
    expect(driver.inject({ type: "memoryCorrectable", address: 0xffff_0000_0000n })).toBe("invalidAccess");
    expect(injected).toEqual([]);
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
        const { device, injected } = setUp();
        for (const { offset, size, value } of accesses) {
          device.window.write(offset & ~(offset % 3 === 0 ? 7 : 0), size, value);
          device.window.read(offset, size);
        }
        for (const { address } of injected) expect(address === undefined || address < 0x1000_0000n).toBe(true);
      },
    ),
    { numRuns: 500, seed: 11 },
  );
});
