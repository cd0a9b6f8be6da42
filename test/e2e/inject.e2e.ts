/** Records thrown at a running QEMU: every section Linux decodes and some it dumps, and what a machine refuses. */
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, expect, test } from "vitest";
import { buildErrorStatusBlock } from "../../src/acpi/status-block.ts";
import { buildRecord } from "../../src/cper/record-codec.ts";
import { sectionTypes } from "../../src/cper/registry.ts";
import { linuxAftermath } from "../../src/guest/report/aftermath.ts";
import { Dice, generate } from "../../src/input/generate.ts";
import { encode } from "../../src/layout/index.ts";
import { compareLines, compareUnordered, isAftermath, isReport, kernelOf, memoryOf, plainLines } from "../../src/qemu/kernel-log.ts";
import { RealMachine } from "../../src/qemu/machine.ts";
import { isAtLeast, versionText } from "../../src/qemu/qmp.ts";
import { apei } from "../support/cli.ts";
import { testFolder } from "../support/folder.ts";
import { describeOn, guestOn, platformOn, type Target } from "./support.ts";

const RAM = 256n << 20n;
/** Sections the kernel decodes, then some it dumps. */
const NAMES = [
  "platformMemory",
  "processorGeneric",
  "armProcessor",
  "pcie",
  "firmwareErrorRecordReference",
  "cxlProtocol",
  "cxlGeneralMedia",
  "cxlDram",
  "cxlMemoryModule",
  "ia32x64Processor",
  "platformMemory2",
  "fruMemoryPoison",
  "nvidia",
] as const;
const ROOM = 800;
/** Two reports of a class are printed in five seconds. */
const PACE = 5_500;

const folder = testFolder();

let machines = 0;
/** A machine with a second control socket, as somebody else would have started it. */
async function machineOn(target: Target, machineType: string | undefined, running: boolean): Promise<{ machine: RealMachine; socket: string }> {
  const socket = join(folder, `${target}-${machines++}.sock`);
  const platform = platformOn(target);
  const machine = await RealMachine.start({
    platform: machineType === undefined ? platform : { ...platform, machineType },
    ram: RAM,
    acpi: true,
    paused: !running,
    words: ["-qmp", `unix:${socket},server=on,wait=off`],
    ...(running && { guest: guestOn(target) }),
  });
  return { machine, socket };
}

describeOn("aavmf@sid")("a guest on a machine with error sources", () => {
  let machine: RealMachine;
  let socket: string;
  beforeAll(async () => {
    ({ machine, socket } = await machineOn("aavmf@sid", "virt,ras=on,gic-version=3", true));
    await machine.waitFor(guestOn("aavmf@sid").ready, 120_000, "the guest's start");
  });
  afterAll(() => machine?.stop());

  const inject = (input: Uint8Array | string, ...words: string[]) => apei(["qemu", "inject", "-", "--qmp", socket, ...words], input);
  /** What the kernel says of it beside what was predicted. */
  async function expectSaid(mark: number, predicted: readonly string[], after: readonly string[] = []): Promise<void> {
    const said = () => plainLines(machine.output.slice(mark));
    await machine.poll(
      () => (said().filter(isReport).length >= predicted.length && said().filter(isAftermath).length >= after.length ? true : undefined),
      5000,
    );
    expect(compareLines(predicted, said().filter(isReport)).filter(({ kind }) => kind !== "same")).toEqual([]);
    expect(compareUnordered(after, said().filter(isAftermath)).filter(({ kind }) => kind !== "same")).toEqual([]);
  }
  const linesFor = async (input: Uint8Array, mark: number): Promise<string[]> => {
    const { version } = kernelOf(machine.output);
    const before = Math.max(0, ...[...machine.output.slice(0, mark).matchAll(/\{([0-9]+)\}\[Hardware/g)].map(([, number]) => Number(number)));
    const { out } = await apei(["decode", "-", "--format", "linux", "--kernel", version, "--arch", "arm64", "--dimm", "0x1100=,DIMM 0"], input);
    return out
      .trimEnd()
      .replaceAll("{1}", `{${before + 1}}`)
      .split("\n");
  };
  const types = NAMES.map((name) => [...sectionTypes].find((type) => type.name === name)!);
  const dice = new Dice(7);
  const written = { corrected: [] as number[], recoverable: [] as number[] };
  test.each(types.map((type, i) => [type.name, type, i] as const))("%s is reported as predicted and acknowledged", async (_, type, i) => {
    const severity = i % 2 === 0 ? "corrected" : "recoverable";
    let body = encode(type.layout as never, generate(type.layout, dice) as never);
    while (body.length > ROOM) body = encode(type.layout as never, generate(type.layout, dice) as never);
    const record = buildRecord({ severity }, [{ descriptor: { severity, fruText: `FRU ${i}` }, type, body }]);
    const before = written[severity].at(-2);
    if (before !== undefined) await sleep(Math.max(0, before + PACE - Date.now()));

    const mark = machine.output.length;
    const json = (await apei(["decode", "-", "--json"], record)).out;
    const { exit, out, err } = await inject(i % 3 === 0 ? json : record);
    expect(`${out}${err}`).toMatch(/^[0-9]+ bytes injected; acknowledged after [0-9]+ ms\n/);
    expect(exit).toBe(0);
    const block = buildErrorStatusBlock(severity, [{ header: { sectionType: type.guids[0]!, errorSeverity: severity, revision: 0x0300 }, body }]);
    await expectSaid(
      mark,
      await linesFor(record, mark),
      linuxAftermath(block, { version: "7.2", architecture: "arm64", notification: "gpioSignal", isMemory: memoryOf(machine.output)! }),
    );
    written[severity].push(Date.now());
  });

  test("a block that fills QEMU's room, and one byte more", async () => {
    await sleep(PACE);
    const blockOf = (size: number) =>
      buildErrorStatusBlock("corrected", [
        { header: { sectionType: "11223344-5566-7788-99aa-bbccddeeff00", errorSeverity: "corrected" }, body: new Uint8Array(size - 92).fill(0x41) },
      ]);
    const mark = machine.output.length;
    expect(await inject(blockOf(1024))).toMatchObject({ exit: 0, out: expect.stringMatching(/^1024 bytes injected; acknowledged/) });
    await expectSaid(mark, await linesFor(blockOf(1024), mark));
    expect(await inject(blockOf(1025))).toMatchObject({ exit: 2, out: "", err: expect.stringContaining("has 1025 bytes, QEMU's sources hold 1024") });
  });

  test("a guest that does not run acknowledges nothing, and QEMU takes no second record", async () => {
    const { bytes } = await apei(["generate", "--form", "block", "--section", "processorGeneric", "--seed", "4"]);
    new DataView(bytes.buffer).setUint32(16, 2, true);
    await machine.qmp.execute("stop");
    const mark = machine.output.length;
    expect(await inject(bytes, "--acknowledge", "1")).toMatchObject({ exit: 1, out: `${bytes.length} bytes injected; not acknowledged within 1 s\n` });
    expect(await inject(bytes)).toMatchObject({ exit: 2, out: "", err: expect.stringContaining("does not acknowledge previous error") });
    await machine.qmp.execute("cont");
    await expectSaid(mark, await linesFor(bytes, mark));
    expect((await inject(bytes, "--acknowledge", "0")).exit).toBe(0);
  });

  test("a fatal record ends it", async () => {
    const record = buildRecord({ severity: "fatal" }, [{ descriptor: { severity: "fatal" }, type: types[0]!, body: { memoryErrorType: "multiBitEcc" } }]);
    const mark = machine.output.length;
    const { exit, out } = await inject(record);
    expect(out).toMatch(/^172 bytes injected; acknowledge/);
    expect(exit).toBeLessThan(2);
    await expectSaid(mark, await linesFor(record, mark));
    await machine.waitFor(/Kernel panic - not syncing: GHES: Fatal hardware error/, 5000, "the kernel's death", mark);
  });
});

const BLOCK = buildErrorStatusBlock("corrected", [
  { header: { sectionType: "11223344-5566-7788-99aa-bbccddeeff00", errorSeverity: "corrected" }, body: Uint8Array.of(1, 2, 3, 4) },
]);
for (const [target, machineType, exit, words] of [
  [
    "aavmf@sid",
    "virt,ras=on,gic-version=3",
    1,
    "96 bytes injected; acknowledgement unknown: the record is nowhere in guest memory: its firmware has not run yet\n",
  ],
  ["aavmf@sid", "virt,gic-version=3", 2, "apei: the machine has no error sources: start QEMU with -machine virt,ras=on\n"],
  ["aavmf@sid", "virt-10.1,ras=on,gic-version=3", 2, "apei: machine type virt-10.1 has no error source for injected records: virt-10.2 or newer is needed\n"],
  ["seabios@sid", undefined, 2, "apei: this QEMU 11.1.3 has no inject-ghes-v2-error: it is only there for arm machines\n"],
] as const)
  describeOn(target)(`${target} with ${machineType ?? "its own machine"}`, () => {
    test("says why nothing comes of it", async () => {
      const { machine, socket } = await machineOn(target, machineType, false);
      try {
        const done = await apei(["qemu", "inject", "-", "--qmp", socket], BLOCK);
        expect(`${done.out}${done.err}`.replace(/QEMU 11\.[0-9.]+/, "QEMU 11.1.3")).toContain(words);
        expect(done.exit).toBe(exit);
      } finally {
        await machine.stop();
      }
    });
  });

describeOn("aavmf")("the installed QEMU", () => {
  test("says which version is needed when it is too old", async ({ skip }) => {
    const { machine, socket } = await machineOn("aavmf", "virt,ras=on,gic-version=3", false);
    try {
      if (isAtLeast(machine.version, 10, 2)) skip();
      const { exit, err } = await apei(["qemu", "inject", "-", "--qmp", socket], BLOCK);
      expect(err).toContain(`apei: inject-ghes-v2-error came with QEMU 10.2; this is ${versionText(machine.version)}\n`);
      expect(exit).toBe(2);
    } finally {
      await machine.stop();
    }
  });
});
