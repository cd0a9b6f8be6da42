import { describe, expect, test } from "vitest";
import { buildTable } from "../../src/acpi/build-tables.ts";
import { buildErrorStatusBlock } from "../../src/acpi/status-block.ts";
import { platformMemory } from "../../src/cper/sections/memory.ts";
import { boot } from "../../src/firmware/boot.ts";
import { probeHest } from "../../src/guest/hest-probe.ts";
import { type GuestEvent, GuestKernel, type KernelOptions } from "../../src/guest/kernel.ts";
import { memoryRecord, qemuMemoryRecord } from "../../src/host/memory-record.ts";
import { buildHandOff } from "../../src/loader/build.ts";
import type { SourceDescription } from "../../src/loader/description.ts";
import { describeShared, shared, sharedNames, sharedText } from "../support/shared.ts";

/** A booted guest with these sources; `put` stores a block where the host would, `state` reads what it left. */
function guest(sources: readonly SourceDescription[] = [{ id: 0, notification: { type: "gsiv", vector: 41 } }], options: Partial<KernelOptions> = {}) {
  const tables = { DSDT: buildTable("DSDT", { body: "" }), FACP: buildTable("FACP", { header: { revision: 6 }, body: "00".repeat(240) }) };
  const { files } = buildHandOff({ errorSources: sources, tables: [{ file: "DSDT" }, { file: "FACP" }, { hest: true }] }, (name) =>
    tables[name as "DSDT"].slice(),
  );
  const { memory, rsdpAddress } = boot(files);
  const events: GuestEvent[] = [];
  const clock = { now: 0 };
  const kernel = new GuestKernel(
    { memory },
    { architecture: "arm64", clock: () => clock.now, report: (event) => events.push(event), interrupt: () => "works", ...options },
  );
  kernel.boot(rsdpAddress!);
  const source = (i: number) => kernel.devices[i]!.source;
  const blockAt = (i: number) => memory.readWord(source(i).errorStatusAddress.address, 8);
  return {
    kernel,
    memory,
    events,
    clock,
    blockAt,
    steps: () => events.map(({ step }) => step),
    put: (block: Uint8Array, i = 0) => {
      const ack = source(i).readAckRegister;
      if (ack) memory.writeWord(ack.address, 8, 0n);
      memory.write(blockAt(i), block);
    },
    state: (i = 0) => ({ status: memory.readWord(blockAt(i), 4), ack: source(i).readAckRegister && memory.readWord(source(i).readAckRegister!.address, 8) }),
  };
}
const recoverable = memoryRecord({ physicalAddress: 0x4800_1000n, severity: "recoverable" });

describe("reading, clearing, acknowledging", () => {
  test("in this order: read, processed, cleared, acknowledged", () => {
    const g = guest();
    g.put(recoverable);
    g.events.length = 0;
    g.kernel.notify("gsiv", 41).finish();
    expect(g.steps()).toEqual(["read", "decoded", "isolated", "cleared", "acknowledged"]);
    expect(g.state()).toEqual({ status: 0n, ack: 1n });
    expect([...g.kernel.isolatedPages]).toEqual([0x48001n]);
  });
  test("told again while at work: looks once more afterwards, and reads nothing twice", () => {
    const g = guest();
    g.put(recoverable);
    const first = g.kernel.notify("gsiv", 41);
    expect(g.kernel.notify("gsiv", 41).records).toBe(0);
    first.finish();
    expect(g.kernel.delivered).toHaveLength(1);
    g.put(recoverable);
    g.kernel.notify("gsiv", 41).finish();
    expect(g.kernel.delivered).toHaveLength(2);
  });
  test("SEA: copied, cleared and acknowledged first, processed later", () => {
    const g = guest([{ id: 0, notification: "sea" }]);
    g.put(recoverable);
    g.events.length = 0;
    const handling = g.kernel.notify("sea");
    expect(handling).toMatchObject({ records: 1, claimed: true });
    expect(g.steps()).toEqual(["read", "cleared", "acknowledged", "claimed"]);
    handling.finish();
    expect(g.steps().slice(4)).toEqual(["decoded", "isolated"]);
  });
  test("bits outside the write mask are kept", () => {
    const g = guest([{ id: 0, notification: { type: "gsiv", vector: 41 }, acknowledge: { preserve: "0xfffffffffffffffc", write: 2 } }]);
    g.put(recoverable);
    g.memory.writeWord(g.kernel.devices[0]!.source.readAckRegister!.address, 8, 0xf0f1n);
    g.kernel.notify("gsiv", 41).finish();
    expect(g.state().ack).toBe(0xf0f2n);
  });
  test("nothing there: nothing is written, nothing acknowledged", () => {
    const g = guest();
    g.put(new Uint8Array(172));
    expect(g.kernel.notify("gsiv", 41).records).toBe(0);
    expect(g.state()).toEqual({ status: 0n, ack: 0n });
    g.memory.writeWord(g.kernel.devices[0]!.source.errorStatusAddress.address, 8, 0n);
    expect(g.kernel.notify("gsiv", 41).records).toBe(0);
  });
  test("an error from before the boot is found by the first look", () => {
    const g = guest();
    const again = guest();
    expect(again.kernel.delivered).toHaveLength(0);
    g.put(recoverable);
    const second = new GuestKernel({ memory: g.memory }, { architecture: "arm64", clock: () => 0, report: () => {} });
    second.boot(0x4fffffd0n);
    expect(second.delivered).toHaveLength(1);
    expect(g.state()).toEqual({ status: 0n, ack: 1n });
  });
  test("the pointer is read anew, but SEA looks for pending errors where it pointed at probe", () => {
    const g = guest([
      { id: 0, notification: "sea" },
      { id: 1, notification: { type: "gsiv", vector: 41 } },
    ]);
    for (const i of [0, 1]) {
      const moved = g.blockAt(i) + 512n;
      g.put(recoverable, i);
      g.memory.write(moved, recoverable);
      g.memory.writeWord(g.blockAt(i), 4, 0n);
      g.memory.writeWord(g.kernel.devices[i]!.source.errorStatusAddress.address, 8, moved);
    }
    expect(g.kernel.notify("gsiv", 41).records).toBe(1);
    expect(g.kernel.notify("sea").records).toBe(0);
  });
  test("a block where there is no memory kills the kernel, not the model", () => {
    const g = guest();
    g.memory.writeWord(g.kernel.devices[0]!.source.errorStatusAddress.address, 8, 0x1000n);
    g.kernel.notify("gsiv", 41).finish();
    expect(g.kernel.panicked).toBe(true);
    expect(g.steps()).toContain("fault");
  });
});

describe("blocks that make no sense are cleared and acknowledged, and their content is gone", () => {
  /** The block with words changed: `[offset, value]`. */
  const spoilt = (...words: readonly (readonly [number, number])[]) => {
    const block = recoverable.slice();
    for (const [offset, value] of words) new DataView(block.buffer).setUint32(offset, value, true);
    return block;
  };
  test.each<[string, Uint8Array, string]>([
    ["longer than its space", spoilt([12, 1024]), "Invalid error status block length!"],
    ["raw data that wraps around", spoilt([4, 0xffff_fff0], [8, 0x20]), "Truncated error status block!"],
    ["raw data that ends within the header", spoilt([4, 10], [8, 9]), "Truncated error status block!"],
    ["raw data that wraps around into the entries", spoilt([4, 0xffff_ffff], [8, 0x34]), "Failed to read error status block!"],
    ["raw data inside the entries", spoilt([4, 100], [8, 72]), "Invalid CPER header!"],
    ["too little data for an entry", spoilt([12, 63]), "Invalid CPER header!"],
    ["an entry longer than the data", spoilt([44, 81]), "Failed to read error status block!"],
    ["entries that end early", spoilt([44, 79]), "Failed to read error status block!"],
  ])("%s", (_name, block, message) => {
    const g = guest();
    g.put(block);
    g.events.length = 0;
    g.kernel.notify("gsiv", 41).finish();
    expect(g.events.map(({ step, text }) => (step === "message" ? text : step))).toEqual([`[Firmware Warn]: GHES: ${message}`, "cleared", "acknowledged"]);
    expect(g.state()).toEqual({ status: 0n, ack: 1n });
    expect(g.kernel.delivered).toEqual([]);
  });
  test("entry count, uncorrectable bits and severities that disagree are not looked at", () => {
    const g = guest();
    g.put(spoilt([0, 0x8000_0000]));
    g.kernel.notify("gsiv", 41).finish();
    expect(g.kernel.delivered).toHaveLength(1);
  });
});

describe("severity", () => {
  test.each([1, 4, 0xffff_ffff])("%d panics, after clearing and acknowledging", (severity) => {
    const g = guest();
    const block = recoverable.slice();
    new DataView(block.buffer).setUint32(16, severity, true);
    g.put(block);
    g.events.length = 0;
    g.kernel.notify("gsiv", 41).finish();
    expect(g.steps()).toEqual(["decoded", "cleared", "acknowledged", "panic"].flatMap((step) => (step === "decoded" ? ["read", step] : [step])));
    expect(g.kernel.panicked).toBe(true);
  });
  test("corrected above its threshold: the page is moved away; below: nothing", () => {
    const over = buildErrorStatusBlock("corrected", [
      { header: { errorSeverity: "corrected", flags: { errorThresholdExceeded: true } }, type: platformMemory, body: { physicalAddress: 0x4800_2000n } },
    ]);
    const g = guest();
    g.put(over);
    g.kernel.notify("gsiv", 41).finish();
    expect(g.steps()).toContain("offlined");
    const calm = guest();
    calm.put(memoryRecord({ physicalAddress: 0x4800_2000n, severity: "corrected" }));
    calm.kernel.notify("gsiv", 41).finish();
    expect(calm.kernel.isolatedPages.size).toBe(0);
  });
});

describe("the same bytes again within ten seconds", () => {
  test("interrupt: processed, not printed; SEA: dropped, but claimed", () => {
    const irq = guest();
    for (let i = 0; i < 2; i++) {
      irq.put(recoverable);
      irq.kernel.notify("gsiv", 41).finish();
    }
    expect(irq.kernel.delivered).toHaveLength(2);
    expect(irq.events.at(-4)!.text).toContain("printed less than 10 s ago");
    const sea = guest([{ id: 0, notification: "sea" }]);
    const times = [0, 5000, 10_001].map((now) => {
      sea.clock.now = now;
      sea.put(qemuMemoryRecord(0x4800_1000n));
      const handling = sea.kernel.notify("sea");
      handling.finish();
      return [handling.claimed, sea.kernel.delivered.length];
    });
    expect(times).toEqual([
      [true, 1],
      [true, 1],
      [true, 2],
    ]);
  });
  test("two prints in five seconds", () => {
    const g = guest();
    for (let i = 0; i < 3; i++) {
      g.put(memoryRecord({ physicalAddress: BigInt(i + 1) << 12n, severity: "recoverable" }));
      g.kernel.notify("gsiv", 41).finish();
    }
    expect(g.events.filter(({ text }) => text.includes("two reports were printed"))).toHaveLength(1);
    expect(g.kernel.isolatedPages.size).toBe(3);
  });
});

describe("who is asked", () => {
  test("all sources of the hardware error device share their notification; external interrupts do not", () => {
    const g = guest([
      { id: 0, notification: "gpioSignal" },
      { id: 1, notification: { type: "gsiv", vector: 41 } },
      { id: 2, notification: "sci" },
      { id: 3, notification: { type: "externalInterrupt", vector: 7 } },
    ]);
    for (let i = 0; i < 4; i++) g.put(memoryRecord({ physicalAddress: BigInt(i + 1) << 12n, severity: "recoverable" }), i);
    const hed = g.kernel.notify("gpioSignal");
    hed.finish();
    expect(hed.records).toBe(3);
    expect(g.kernel.notify("externalInterrupt", 8).records).toBe(0);
    expect(g.kernel.notify("externalInterrupt", 7).records).toBe(1);
  });
  test("SEA: not for the kernel's own aborts, and not claimed without a record or with interrupts masked", () => {
    const sea = [{ id: 0, notification: "sea" }] as const;
    const user = guest(sea);
    expect(user.kernel.notify("sea")).toMatchObject({ claimed: false });
    expect(user.steps().at(-1)).toBe("killed");
    const kernel = guest(sea);
    kernel.put(recoverable);
    expect(kernel.kernel.notify("sea", 0, { user: false, interruptsMasked: false }).records).toBe(0);
    expect(kernel.kernel.panicked).toBe(true);
    const masked = guest(sea);
    masked.put(recoverable);
    expect(masked.kernel.notify("sea", 0, { user: true, interruptsMasked: true })).toMatchObject({ claimed: false, records: 1 });
    expect(masked.events.some(({ text }) => text === "APEI work queued but not completed")).toBe(true);
  });
});

describeShared("what real arm64 kernels did with a record", () => {
  const FOLDER = "guest/oracle/report";
  const rows = sharedText(FOLDER, "manifest.tsv")
    .split("\n")
    .map((line) => line.split("\t"));
  const names = rows.filter(([, kernel, , path]) => kernel === "7.2" && path === "GHES").map(([name]) => name!);
  const others = new Set(sharedNames(FOLDER, (name) => name.endsWith(".other")));
  test.each(names)("%s", (name) => {
    const lines = others.has(`${name}.other`) ? sharedText(FOLDER, `${name}.other`).split("\n") : [];
    const g = guest([{ id: 1, notification: { type: "gsiv", vector: 41 } }]);
    g.put(shared(FOLDER, `${name}.bin`));
    g.events.length = 0;
    g.kernel.notify("gsiv", 41).finish();
    const pages = lines.flatMap((line) => /^Memory failure: (0x[0-9a-f]+):/.exec(line)?.[1] ?? []);
    expect([...g.kernel.isolatedPages].map((page) => `0x${page.toString(16)}`).sort()).toEqual([...new Set(pages)].sort());
    // The report itself: the same lines but for the running number.
    const plain = (line: string) => line.replace(/^\{\d+\}/, "");
    const report = sharedText(FOLDER, `${name}.log`)
      .split("\n")
      .filter((line) => line.startsWith("{"));
    expect(g.kernel.log.filter((line) => line.startsWith("{")).map(plain)).toEqual(report.map(plain));
    expect(g.events.filter(({ step, text }) => step === "recovery" && text.includes("AER")).length).toBe(
      lines.filter((line) => line.startsWith("AER: ")).length,
    );
    const said = (line: string) => /Unhandled processor|not syncing/.test(line);
    expect(g.events.map(({ text }) => text).filter(said)).toEqual(lines.filter(said));
  });
});

describe("a status address where nothing is", () => {
  const nowhere: SourceDescription[] = [
    { id: 3, notification: { type: "polled", pollInterval: 1000 }, at: { status: "0x900000000", acknowledge: "0x900000008" } },
  ];
  test("kills an arm64 kernel when it looks at the source for the first time", () => {
    const g = guest(nowhere);
    expect(g.kernel.panicked).toBe(true);
    expect(g.events.at(-1)).toEqual({
      step: "fault",
      text: "the kernel touches what is not there and dies of a synchronous external abort: no memory at 0x900000000 (8 bytes)",
    });
  });
  test("reads as zero on x86: nothing is ever pending", () => {
    const g = guest(nowhere, { architecture: "x86" });
    expect(g.kernel.panicked).toBe(false);
    expect(g.kernel.notify("polled", 3).records).toBe(0);
  });
  test("is predicted from the table and the guest's memory map", () => {
    const source = { type: "genericHardwareError", sourceId: 3, errorStatusAddress: { address: "0x900000000" }, errorStatusBlockLength: 64 };
    const table = buildTable("HEST", { sources: [{ ...source, notification: { type: "polled", pollInterval: 1000 } }] });
    const memory = [{ start: 0x4000_0000n, length: 0x1000_0000n }];
    expect(probeHest(table, { architecture: "arm64", memory })).toMatchObject({
      enabled: true,
      sources: [{ id: 3, bound: true }],
      panic: "source 3 has its error status address 0x900000000 where nothing is: arm64 kernels die of an external abort reading it",
    });
    expect(probeHest(table, { architecture: "x86", memory }).panic).toBeUndefined();
    expect(probeHest(table, { architecture: "arm64" }).panic).toBeUndefined();
  });
});
