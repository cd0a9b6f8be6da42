/**
 * A monitor that places the tables itself, beside a real kernel: QEMU's firmware is given none, ours lie in RAM before the
 * machine runs, and the kernel is told where the root pointer is. Errors are written and acknowledged as in the model.
 */
import { expect, test } from "vitest";
import { placeDirectly } from "../../src/host/direct-boot.ts";
import { ErrorSourceDevice } from "../../src/host/error-source.ts";
import { inHest } from "../../src/host/locate.ts";
import { memoryRecord } from "../../src/host/memory-record.ts";
import { PRESETS } from "../../src/host/monitor.ts";
import { hexNumber } from "../../src/layout/index.ts";
import { DEFAULT_RAM } from "../../src/machine/machines.ts";
import { signatureOf } from "../../src/qemu/hand-off.ts";
import { RealMachine } from "../../src/qemu/machine.ts";
import { baseOf, describeOn, guestOn, platformOn } from "./support.ts";

/** Kept from the kernel and out of the way of the firmware. */
const OURS = { start: 0x800_0000n, length: 0x10_0000n };
const SOURCES = [
  { id: 0, notification: { type: "polled", pollInterval: 200 } },
  { id: 5, notification: { type: "polled", pollInterval: 200 }, blockLength: 0x800, acknowledge: false },
] as const;

const PATIENCE = 120_000;

for (const target of ["seabios", "seabios@sid"] as const)
  describeOn(target)(target, () => {
    test("the kernel finds the sources, prints the errors and gives the blocks back", async () => {
      const platform = platformOn(target);
      const guest = guestOn(target);
      const tables = Object.fromEntries((await baseOf(target)).map((bytes) => [signatureOf(bytes), bytes]));
      const machine = await RealMachine.start({
        platform,
        ram: DEFAULT_RAM,
        acpi: false,
        paused: true,
        guest: { ...guest, append: `${guest.append} acpi_rsdp=${hexNumber(OURS.start)} memmap=${hexNumber(OURS.length)}$${hexNumber(OURS.start)}` },
      });
      try {
        const { memory } = machine;
        const placed = placeDirectly({ memory, ram: [OURS], errorSources: SOURCES, tables, placements: new Map([["RSDP", OURS.start]]) });
        const locate = inHest(memory, placed.hestAddress!);
        const device = new ErrorSourceDevice({ memory, locate, policy: PRESETS["kvmtool-like"].recording });
        // One error waits for the kernel, the others come while it runs.
        expect(device.record(5, memoryRecord({ physicalAddress: 0x123_4000n, severity: "corrected" }))).toBe("written");
        await machine.qmp.execute("cont");
        await machine.waitFor(guest.ready, PATIENCE, "the guest's start");
        expect(machine.output).toContain(`ACPI: RSDP 0x${placed.rsdpAddress.toString(16).toUpperCase().padStart(16, "0")}`);
        expect(machine.output).toContain("HEST: Table parsing has been initialized.");
        const isTaken = async (id: number) => {
          expect(await machine.poll(() => device.isFree(id) || undefined, 20_000)).toBe(true);
          expect(device.isUnread(id)).toBe(false);
        };
        await isTaken(5);
        for (const address of [0x200_0000n, 0x300_0000n]) {
          expect(device.record(0, memoryRecord({ physicalAddress: address, addressLsb: 12, severity: "corrected" }))).toBe("written");
          await isTaken(0);
        }
        // The kernel takes all three, and prints two in 5 s.
        for (const address of ["0000000001234000", "0000000002000000"])
          await machine.waitFor(new RegExp(`physical_address: 0x${address}`), 10_000, "the report");
        expect(device.account(0)).toMatchObject({ submitted: 2, written: 2 });
        expect(device.account(5)).toMatchObject({ submitted: 1, written: 1 });
      } finally {
        await machine.stop();
      }
    });
  });
