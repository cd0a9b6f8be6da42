/**
 * Devices QEMU does not have, on unmodified QEMU with unmodified Linux: EINJ, and an error record store on arm64. Their
 * registers are memory the firmware placed; the guest's own drivers use them, and this side answers.
 */
import { expect, test, vi } from "vitest";
import { messageText } from "../../src/guest/pstore.ts";
import { cpioArchive } from "../../src/qemu/initramfs.ts";
import { RealMachine } from "../../src/qemu/machine.ts";
import { printedFiles } from "../../src/qemu/store.ts";
import { storedRecords } from "../../src/scenario/error-store.ts";
import type { Scenario } from "../../src/scenario/schema.ts";
import { describeOn, expectPredicted, guestOn, runOn, scenarioSample } from "./support.ts";

const TRIGGERED = /^the trigger was pulled: /;

/** Nothing is answered after the first injection until the guest's kernel has given up, as on a machine that is far too slow. */
function beLateOnce(): void {
  const type = RealMachine.prototype.type;
  const clock = new Int32Array(new SharedArrayBuffer(4));
  vi.spyOn(RealMachine.prototype, "type").mockImplementationOnce(function (this: RealMachine, line) {
    type.call(this, line);
    for (const end = Date.now() + 60_000; Date.now() < end && !this.output.includes("Firmware does not respond in time"); ) Atomics.wait(clock, 0, 0, 20);
  });
}

for (const target of ["ovmf", "seabios@sid"] as const)
  describeOn(target)(`error injection on ${target}`, () => {
    test("the sample: two errors become records, one request is refused by the kernel", async () => {
      const result = await runOn(target, await scenarioSample("injection-x86.json"));
      expectPredicted(result);
      expect([result.done, result.skipped]).toEqual([result.events, []]);
      expect(result.timeline.filter(({ text }) => TRIGGERED.test(text))).toHaveLength(2);
      expect(result.records.map(({ acknowledgedAfter, lines }) => [acknowledgedAfter !== undefined, lines.length > 5])).toEqual([
        [true, true],
        [true, true],
      ]);
    });
  });

describeOn("seabios")("error injection on seabios", () => {
  test("the sample, with a host that is too slow at first: the kernel gives up, and it is tried again; and memory that is not the kernel's", async () => {
    const scenario = await scenarioSample("injection-x86.json");
    beLateOnce();
    const result = await runOn("seabios", { ...scenario, events: [...scenario.events, { at: 40, inject: { type: "memoryCorrectable", address: "0xa0000" } }] });
    expectPredicted(result);
    expect(result.timeline.filter(({ what }) => what === "late" || what === "injected").map(({ what }) => what)).toEqual(["late", "injected", "injected"]);
    expect(result.records).toHaveLength(2);
    expect(result.checks.map(({ lines }) => lines[0]!.text)).toEqual([
      "injected",
      "error_inject: Invalid argument",
      "injected",
      "error_inject: Invalid argument",
    ]);
  });
});

describeOn("seabios")("a guest that is not ours", () => {
  const INIT = `#!/bin/busybox sh
export PATH=/bin
/bin/busybox --install -s /bin
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t debugfs debug /sys/kernel/debug
insmod /modules/einj.ko*
cd /sys/kernel/debug/apei/einj
echo 0x10 > error_type
echo 0x8a2d000 > param1
echo 0xfffffffffffff000 > param2
until echo 1 > error_inject; do sleep 1; done
echo "it is up"
exec sleep 1000
`;
  test("injects an error while it starts, and gets a record of it", async () => {
    const { kernel, initrd, append } = guestOn("seabios");
    const script = cpioArchive([{ name: "own", mode: 0o100755, content: new TextEncoder().encode(INIT) }]);
    const archives = [initrd as Uint8Array, new Uint8Array((4 - ((initrd as Uint8Array).length % 4)) % 4), script];
    const scenario: Scenario = {
      name: "of its own accord",
      monitor: { preset: "qemu-10.2", actionOptional: "nmi" },
      machine: { architecture: "x86", injection: true, sources: [{ id: 0, notification: "nmi" }] },
      events: [],
    };
    const guest = { kernel, initrd: new Uint8Array(Buffer.concat(archives)), append: `${append} rdinit=/own`, ready: /it is up/, shell: false };
    const result = await runOn("seabios", scenario, { guest });
    expectPredicted(result);
    expect(result.timeline.filter(({ text }) => TRIGGERED.test(text)).map(({ text }) => text)).toEqual(["the trigger was pulled: memoryUncorrectableNonFatal"]);
    expect(result.records.map(({ acknowledgedAfter }) => acknowledgedAfter !== undefined)).toEqual([true]);
  });
});

for (const target of ["aavmf", "aavmf@sid"] as const)
  describeOn(target)(`error injection and an error record store on ${target}`, () => {
    test("the sample: the error the guest dies of is its own, and what it says of it is stored", async () => {
      const result = await runOn(target, await scenarioSample("injection-panic-stored.json"));
      expectPredicted(result);
      expect([result.done, result.skipped, result.outcome]).toEqual([2, [], "panicked"]);
      const [old, ...fresh] = storedRecords(result.store!);
      expect(old!.id).toBe(0x6a00000000000001n);
      expect(messageText(fresh[0]!.record.sections[0]!.body!)).toMatch(/^Panic#1 Part1\n[\s\S]*Kernel panic - not syncing: GHES: Fatal hardware error/);
    });
  });

describeOn("aavmf")("an error record store on arm64", () => {
  test("the sample: records of the host are the guest's files, one is read, one removed", async () => {
    const result = await runOn("aavmf", await scenarioSample("error-store-arm64.json"));
    expectPredicted(result);
    expect([result.done, result.skipped]).toEqual([2, []]);
    expect(printedFiles(result.console).map(({ name }) => name)).toEqual([
      "dmesg-erst-7638104968020361217",
      "dmesg-erst-7638104968020361218",
      "dmesg-erst-7638104968020361218",
    ]);
    expect(storedRecords(result.store!).map(({ id }) => id)).toEqual([0x6a00000000000002n]);
  });
});
