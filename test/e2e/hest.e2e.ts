/** Broken and odd source tables: what our model of the kernel says of each, and what the kernel says. */
import { expect, test } from "vitest";
import { GenericAddress } from "../../src/acpi/generic-address.ts";
import { GenericHardwareErrorSource, Hest } from "../../src/acpi/hest.ts";
import { fixChecksum } from "../../src/acpi/table-header.ts";
import { probeHest } from "../../src/guest/hest-probe.ts";
import { encode, fieldOffset } from "../../src/layout/index.ts";
import type { PointerDescription } from "../../src/loader/description.ts";
import { realHandOff } from "../../src/qemu/hand-off.ts";
import { compareLines, isTableLine, kernelOf, plainLines } from "../../src/qemu/kernel-log.ts";
import { guestTable, startGuest } from "../../src/qemu/session.ts";
import { baseOf, describeOn, guestOn, platformOn, type Target } from "./support.ts";

/** A blob the sources' registers lie in: all zero, no error is pending. */
const REGISTERS = "etc/registers";
const PAGE = 4096;
type Source = Record<string, unknown>;
const ghes = (sourceId: number, change: Source = {}): Source => ({
  type: "genericHardwareError",
  sourceId,
  enabled: 1,
  recordsToPreallocate: 1,
  maxSectionsPerRecord: 1,
  maxRawDataLength: 0x1000,
  errorStatusAddress: { address: 0n },
  notification: { type: "polled", pollInterval: 1000 },
  errorStatusBlockLength: 0x1000,
  ...change,
});
function table(sources: readonly Source[], count = sources.length, change: (bytes: Uint8Array) => Uint8Array = (bytes) => bytes): Uint8Array {
  const bytes = change(encode(Hest, { header: { signature: "HEST", length: 0 }, sourceCount: count, sources } as never));
  new DataView(bytes.buffer).setUint32(4, bytes.length, true);
  fixChecksum(bytes);
  return bytes;
}
const both = (change: Source, other: Source = {}) => table([ghes(0, change), ghes(1, other)]);
const address = (change: Source) => ({ errorStatusAddress: { address: 0n, ...change } });
const GAS_ADDRESS = fieldOffset(GenericAddress, "address");
const firstSource = fieldOffset(Hest, "sourceCount") + 4;

const VARIANTS: Readonly<Record<string, Uint8Array>> = {
  good: both({}),
  "count above what is there": table([ghes(0), ghes(1)], 3),
  "count below what is there": table([ghes(0), ghes(1)], 1),
  "no sources": table([], 0),
  "cut in the last source": table([ghes(0), ghes(1)], 2, (bytes) => bytes.slice(0, -20)),
  "bytes behind the last source": table([ghes(0), ghes(1)], 2, (bytes) => Uint8Array.from([...bytes, ...new Uint8Array(7)])),
  "unknown source type": table([ghes(0), ghes(1)], 2, (bytes) => {
    bytes[firstSource] = 99;
    return bytes;
  }),
  "one id twice": table([ghes(3), ghes(3)]),
  "unknown notification": both({ notification: { type: 0x30, pollInterval: 1000 } }),
  "notifications Linux does not have": both({ notification: { type: "localInterrupt" } }, { notification: { type: "mce" } }),
  "poll interval zero": both({ notification: { type: "polled", pollInterval: 0 } }),
  "unknown address space": both(address({ addressSpace: 0x55 })),
  "register of width 0": both(address({ registerBitWidth: 0 })),
  "register of width 24": both(address({ registerBitWidth: 24 })),
  "block too short": both({ errorStatusBlockLength: 16 }),
  "block too long": both({ errorStatusBlockLength: 0x20000 }),
  "not enabled": both({ enabled: 0 }),
};

/** A page for each source's address register. */
const pointersOf = (bytes: Uint8Array): PointerDescription[] =>
  [0, 1].flatMap((i) => {
    const offset = firstSource + i * GenericHardwareErrorSource.size + fieldOffset(GenericHardwareErrorSource, "errorStatusAddress") + GAS_ADDRESS;
    return offset + 8 > bytes.length ? [] : [{ offset, size: 8, to: { file: REGISTERS, offset: i * PAGE } }];
  });

const CASES: Readonly<Partial<Record<Target, readonly string[]>>> = {
  seabios: Object.keys(VARIANTS),
  ovmf: ["good", "cut in the last source", "bytes behind the last source"],
  aavmf: [
    "good",
    "count above what is there",
    "notifications Linux does not have",
    "unknown address space",
    "no sources",
    "one id twice",
    "cut in the last source",
    "block too short",
  ],
  "seabios@sid": ["good", "unknown source type", "notifications Linux does not have", "poll interval zero", "register of width 24", "block too short"],
  "aavmf@sid": ["good", "unknown notification", "unknown address space"],
};

for (const [firmware, names] of Object.entries(CASES) as [Target, readonly string[]][])
  describeOn(firmware)(firmware, () => {
    test.each(names)("%s", async (name) => {
      const platform = platformOn(firmware);
      const files = realHandOff({
        machine: platform.machine(0n).name,
        base: await baseOf(firmware),
        sources: [],
        handOff: "hest",
        extra: [{ bytes: VARIANTS[name]!, pointers: pointersOf(VARIANTS[name]!) }],
        blobs: new Map([[REGISTERS, new Uint8Array(2 * PAGE)]]),
      });
      const machine = await startGuest({ platform, guest: guestOn(firmware), files });
      try {
        const linked = guestTable(machine, "HEST")!;
        expect(linked.length).toBe(VARIANTS[name]!.length);
        // Behind our table comes the root table, as it does behind those of QEMU's -acpitable.
        const carrier = platform.firmware === "seabios" ? "acpitable" : platform.firmware;
        const probed = probeHest(linked, { architecture: platform.architecture, version: kernelOf(machine.output).version, carrier });
        const lines = plainLines(machine.output).filter(isTableLine);
        expect(compareLines(probed.messages, lines).filter(({ kind }) => kind !== "same")).toEqual([]);
        const mark = machine.output.length;
        machine.type("echo bound: $(ls /sys/bus/platform/drivers/GHES | grep GHES) end");
        const [, bound = ""] = await machine.waitFor(/^bound: (.*)end$/m, 10_000, "the list of bound devices", mark);
        expect(bound.trim().split(/\s+/).filter(Boolean).sort()).toEqual(probed.sources.flatMap(({ id, bound: yes }) => (yes ? [`GHES.${id}`] : [])).sort());
      } finally {
        await machine.stop();
      }
    });
  });
