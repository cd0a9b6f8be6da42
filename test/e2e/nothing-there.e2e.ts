/** A status address where nothing is: what the model says of it, and what kernels do. */
import { expect, test } from "vitest";
import { buildTable } from "../../src/acpi/build-tables.ts";
import { probeHest } from "../../src/guest/hest-probe.ts";
import { hexNumber } from "../../src/layout/index.ts";
import { DEFAULT_RAM } from "../../src/machine/machines.ts";
import { realHandOff } from "../../src/qemu/hand-off.ts";
import { RealMachine } from "../../src/qemu/machine.ts";
import { EARLY } from "../../src/qemu/session.ts";
import { baseOf, describeOn, guestOn, platformOn } from "./support.ts";

/** Behind the RAM of both machines. */
const NOWHERE = 0x6000_0000n;
const table = buildTable("HEST", {
  sources: [
    {
      type: "genericHardwareError",
      sourceId: 3,
      errorStatusAddress: { address: hexNumber(NOWHERE) },
      notification: { type: "polled", pollInterval: 1000 },
      errorStatusBlockLength: 4096,
    },
  ],
});

for (const target of ["seabios", "aavmf", "aavmf@sid"] as const)
  describeOn(target)(target, () => {
    test("the kernel dies of it, or reads zeros, as predicted", async () => {
      const platform = platformOn(target);
      const guest = guestOn(target);
      const { ram } = platform.machine(DEFAULT_RAM);
      const files = realHandOff({
        machine: platform.machine(0n).name,
        base: await baseOf(target),
        sources: [],
        handOff: "hest",
        extra: [{ bytes: table, pointers: [] }],
        blobs: new Map(),
      });
      const predicted = probeHest(table, { architecture: platform.architecture, memory: ram });
      expect(predicted.sources).toMatchObject([{ id: 3, bound: true }]);
      expect(predicted.panic !== undefined).toBe(platform.architecture === "arm64");
      const machine = await RealMachine.start({
        platform,
        ram: DEFAULT_RAM,
        acpi: false,
        files,
        guest: { ...guest, append: `${guest.append} ${EARLY[platform.architecture]}` },
      });
      try {
        const seen = await machine.waitFor(new RegExp(`Internal error: synchronous external abort|${guest.ready.source}`), 120_000, "the guest's start or end");
        expect(seen[0].startsWith("Internal error")).toBe(predicted.panic !== undefined);
      } finally {
        await machine.stop();
      }
    });
  });
