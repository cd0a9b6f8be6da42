import { describe, expect, test } from "vitest";
import { Hest } from "../../src/acpi/hest.ts";
import { type HestProbeOptions, probeHest, type TableCarrier } from "../../src/guest/hest-probe.ts";
import { encode } from "../../src/layout/index.ts";
import { describeShared, shared, sharedNames, sharedText } from "../support/shared.ts";

const FOLDER = "guest/oracle/hest";
const KERNEL_LINE = /^(\[Firmware|HEST:|GHES|mce:|ACPI BIOS)/;

const settingOf = (name: string): HestProbeOptions => {
  const carrier = name.startsWith("x86-") ? "acpitable" : name.startsWith("arm64-") ? "aavmf" : (name.split("-")[0] as TableCarrier);
  return { architecture: /^(arm64|aavmf)/.test(name) ? "arm64" : "x86", carrier };
};

describeShared("what real kernels said about a table", () => {
  const names = sharedNames(FOLDER, (name) => name.endsWith(".log")).map((name) => name.slice(0, -4));
  test.each(names)("%s", (name) => {
    const log = sharedText(FOLDER, `${name}.log`).split("\n");
    const mine = probeHest(shared(FOLDER, `${name}.bin`), settingOf(name));
    // A sum over a Length beyond the table takes in bytes that only that guest's memory held.
    const masked = (line: string) => (/-len-(64k|16m)$/.test(name) ? line.replace(/should be 0x\w+/, "") : line);
    expect(mine.messages.map(masked)).toEqual(log.filter((line) => KERNEL_LINE.test(line)).map(masked));
    const devices = log.find((line) => line.startsWith("# platform devices: "))!.slice("# platform devices: ".length);
    expect(mine.sources.map(({ id, bound }) => `GHES.${id} driver=${bound ? "GHES" : "none"}`).sort()).toEqual(
      devices === "none" ? [] : devices.split("; ").sort(),
    );
  });
});

/** The tables of the mutation log, made again from its recipe: two polled sources with their pointers at 0x10000000. */
const BASE = 0x1000_0000n;
type Source = Record<string, unknown>;
const ghes = (sourceId: number, change: Source = {}): Source => ({
  type: "genericHardwareError",
  sourceId,
  maxRawDataLength: 0x1000,
  errorStatusAddress: { address: BASE + 8n * BigInt(sourceId) },
  notification: { type: "polled", pollInterval: 1000 },
  errorStatusBlockLength: 0x1000,
  ...change,
});
const table = (sources: readonly Source[], change: { count?: number; length?: (length: number) => number; bytes?: (bytes: Uint8Array) => Uint8Array } = {}) => {
  const header = { signature: "HEST", length: 0 };
  const make = (length: number) => encode(Hest, { header: { ...header, length }, sourceCount: change.count ?? sources.length, sources } as never);
  const whole = (change.bytes ?? ((bytes) => bytes))(make(make(0).length));
  new DataView(whole.buffer).setUint32(4, change.length?.(whole.length) ?? whole.length, true);
  let sum = 0;
  for (const byte of whole) sum += byte;
  whole[9] = (whole[9]! - sum) & 255;
  return whole;
};
const both = (change: Source = {}, other: Source = {}) => [ghes(0, change), ghes(1, other)];
const notified = (notification: Source) => table([ghes(0, { notification })]);
const address = (change: Source) => ({ errorStatusAddress: { address: BASE, ...change } });

const MUTANTS: Record<string, Uint8Array> = {
  good: table(both()),
  "count-3-of-2": table(both(), { count: 3 }),
  "count-1-of-2": table(both(), { count: 1 }),
  "count-0": table(both(), { count: 0 }),
  "truncated-last": table(both(), { bytes: (bytes) => bytes.slice(0, -20) }),
  "trailing-7": table(both(), { bytes: (bytes) => Uint8Array.from([...bytes, ...new Uint8Array(7)]) }),
  "unknown-type-99": table(both(), {
    bytes: (bytes) => {
      bytes[40] = 99;
      return bytes;
    },
  }),
  "notify-type-0x30": table(both({ notification: { type: 0x30, pollInterval: 1000 } })),
  "notify-length-12": table(both({ notification: { type: "polled", length: 12, pollInterval: 1000 } })),
  "gas-space-0x55": table(both(address({ addressSpace: 0x55 }))),
  "gas-space-io": table(both(address({ addressSpace: "systemIo" }))),
  "gas-access-9": table(both(address({ accessSize: 9 }))),
  "gas-width-7": table(both(address({ registerBitWidth: 7 }))),
  "enabled-0": table(both({ enabled: 0 })),
  "prealloc-0": table(both({ recordsToPreallocate: 0 })),
  "maxsections-0": table(both({ maxSectionsPerRecord: 0 })),
  "dup-source-id": table(both({}, { sourceId: 0 })),
  "related-id-set": table(both({}, { relatedSourceId: 0 })),
  "errblklen-0": table([ghes(0, { errorStatusBlockLength: 0 })]),
  "errblklen-19": table([ghes(0, { errorStatusBlockLength: 19 })]),
  "errblklen-1M": table([ghes(0, { errorStatusBlockLength: 1 << 20 })]),
  "poll-interval-0": notified({ type: "polled" }),
  "notify-sea-on-x86": notified({ type: "sea" }),
  "notify-sdei-on-x86": notified({ type: "sdei" }),
  "notify-mce": notified({ type: "mce" }),
  "notify-cmci": notified({ type: "cmci" }),
  "notify-extint-gsi99": notified({ type: "externalInterrupt", vector: 99 }),
  "notify-gpio": notified({ type: "gpioSignal" }),
  "notify-sci": notified({ type: "sci" }),
  "addr-0": table([ghes(0, address({ address: 0n }))]),
  "v2-ack-space55": table([
    ghes(0, {
      type: "genericHardwareErrorV2",
      readAckRegister: { addressSpace: 0x55, address: BASE + 0x100n },
      readAckPreserve: 0xffff_ffff_ffff_fffen,
      readAckWrite: 1n,
    }),
  ]),
};
// -acpitable mends length and checksum before the guest sees them.
MUTANTS["bad-checksum"] = MUTANTS["good"]!;
MUTANTS["length-huge"] = MUTANTS["good"]!;

describeShared("the mutation log", () => {
  const log = new Map(
    (sharedNames("guest/logs").length > 0 ? sharedText("guest/logs/29-hest-mutants-kernel.txt") : "")
      .split("\n")
      .filter((line) => line.includes(" | "))
      .map((line) => [line.slice(0, line.indexOf(":")), line.slice(line.indexOf(" | ") + 3).split(" || ")]),
  );
  test("all of it is covered", () => expect(Object.keys(MUTANTS).sort()).toEqual([...log.keys()].sort()));
  test.each([...log])("%s", (name, lines) => {
    expect(probeHest(MUTANTS[name]!, { architecture: "x86", carrier: "acpitable" }).messages).toEqual(lines);
  });
});

describe("what no recording shows", () => {
  test("a table of gigabytes and billions of sources ends at once", () => {
    const huge = table(both(), { count: 0xffffffff, length: () => 0xffffffff });
    expect(probeHest(huge).enabled).toBe(false);
  });
  test("6.1 does not speak of the threshold", () => {
    const bytes = encode(Hest, {
      header: { signature: "HEST", length: 116 },
      sourceCount: 1,
      sources: [
        {
          type: "correctedMachineCheck",
          sourceId: 0,
          flags: { firmwareFirst: true },
          notification: { type: "cmci", errorThresholdValue: 9 },
          bankCount: 1,
          banks: [{ bankNumber: 4 }],
        },
      ],
    } as never);
    const said = (version: "6.1" | "7.2") => probeHest(bytes, { version }).messages.filter((line) => !line.startsWith("ACPI BIOS"));
    expect(said("7.2")).toEqual([
      "mce: HEST corrected error threshold limit: 9",
      "HEST: Enabling Firmware First mode for corrected errors.",
      "HEST: Table parsing has been initialized.",
      "GHES: Failed to enable APEI firmware first mode.",
    ]);
    expect(said("6.1")).toEqual(said("7.2").slice(1));
  });
  test("6.1 names the driver first, and shows the right checksum", () => {
    const bytes = table([ghes(0, { errorStatusBlockLength: 0 })]);
    expect(probeHest(bytes, { version: "6.1" }).messages).toContain("GHES: probe of GHES.0 failed with error -5");
    const right = bytes[9]!;
    bytes[9] = (right + 1) & 255;
    const shown = (value: number) => value.toString(16).toUpperCase().padStart(2, "0");
    expect(probeHest(bytes, { version: "6.1" }).messages[0]).toBe(
      `ACPI BIOS Warning (bug): Incorrect checksum in table [HEST] - 0x${shown(bytes[9]!)}, should be 0x${shown(right)} (20220331/tbprint-174)`,
    );
  });
});
