/** Operating systems that are not Linux, by what is known of them, and a Linux that takes no pages out of use. */
import { describe, expect, test } from "vitest";
import { UsageError } from "../../src/layout/index.ts";
import { type RunResult, runScenario } from "../../src/scenario/runner.ts";
import type { GuestChoice, MachineChoice, Moment, MonitorChoice } from "../../src/scenario/schema.ts";

const ADDRESS = "0x48a2d000";
const PAGE = 0x48a2dn;
interface Choices {
  readonly guest?: GuestChoice;
  readonly machine?: MachineChoice;
  readonly monitor?: MonitorChoice;
}
const run = (events: readonly Omit<Moment, "at">[], { guest = { system: "freebsd" }, machine, monitor = "kvmtool-like" }: Choices = {}): RunResult =>
  runScenario({ name: "x", monitor, guest, ...(machine && { machine }), events: events.map((event, i) => ({ at: 10 * (i + 1), ...event })) });
const said = ({ timeline }: RunResult, what: string) => timeline.filter((entry) => entry.from === "guest" && entry.what === what).map(({ text }) => text);
const memory = (severity: "recoverable" | "fatal" | "corrected", source = 1): Omit<Moment, "at"> => ({
  record: { source, memory: { severity, physicalAddress: ADDRESS } },
});

describe("FreeBSD", () => {
  test("prints a record, acknowledges it, leaves the page in use", () => {
    const result = run([memory("recoverable"), memory("recoverable")]);
    expect(said(result, "logged")).toEqual(
      Array.from({ length: 2 }, () => "source 1: Platform memory error is logged, nothing more is done; page 0x48a2d stays in use"),
    );
    expect(result.isolatedPages).toEqual([]);
    expect(result.accounts[1]).toMatchObject({ submitted: 2, written: 2, waiting: 0 });
    expect(result.unread).toEqual([]);
  });
  test("goes through as many entries as the block status counts: none of QEMU's records for SIGBUS", () => {
    const result = run([{ sigbus: { code: "actionOptional", physicalAddress: ADDRESS } }], { monitor: { preset: "qemu-10.2", actionOptional: "gpioSignal" } });
    expect(said(result, "logged")).toEqual(["source 1: the block status counts 0 entries, so FreeBSD goes through no more of the 1 that are there"]);
    expect(said(result, "acknowledged")).toHaveLength(1);
  });
  test("acknowledges a fatal record before it panics", () => {
    const { timeline, outcome } = run([memory("fatal")]);
    expect(outcome).toBe("panicked");
    expect(
      timeline
        .filter(({ from }) => from === "guest")
        .slice(-3)
        .map(({ what }) => what),
    ).toEqual(["cleared", "acknowledged", "panic"]);
  });
  test("is asked by nobody about aborts: the program ends, the record lies unread", () => {
    const result = run([{ sigbus: { code: "actionRequired", physicalAddress: ADDRESS } }]);
    expect(said(result, "message")).toEqual(["source 0: FreeBSD does nothing about sea: nobody will look at it"]);
    expect(said(result, "killed")).toEqual(["the external abort ends the program that met it: no source explains it"]);
    expect(result.unread).toEqual([0]);
  });
  test("dies of an abort in its kernel, and of every SError, corrected ones too", () => {
    expect(
      run([{ sigbus: { code: "actionRequired", physicalAddress: ADDRESS } }], { guest: { system: "freebsd" }, machine: { vcpus: [{ level: "EL1" }] } }).outcome,
    ).toBe("panicked");
    expect(run([{ setEvents: { serrorPending: true, serrorEsr: "0x1811" } }]).outcome).toBe("panicked");
  });
  test("does not move the masks of an acknowledge register by its bit offset: the host waits for ever", () => {
    const machine: MachineChoice = { sources: [{ id: 1, notification: "gsiv", vector: 41, acknowledge: { bitOffset: 4 } }] };
    expect(run([memory("corrected"), memory("corrected")], { machine }).accounts[1]).toMatchObject({ written: 1, waiting: 1 });
    expect(run([memory("corrected"), memory("corrected")], { machine, guest: {} }).accounts[1]).toMatchObject({ written: 2, waiting: 0 });
  });
  test("keeps the address of the block it found at first", () => {
    const moved = (guest: GuestChoice) => run([{ guestWrites: { pointerOf: 1, bytes: "0000004800000000" } }, memory("corrected")], { guest });
    expect(moved({ system: "freebsd" }).unread).toEqual([1]);
    expect(moved({}).unread).toEqual([]);
  });
  test("never looks into DISR_EL1", () => {
    const { timeline } = run([{ processorError: { exception: "serror", synchronizedBy: "esb" } }], {
      machine: { kind: "physical", vcpus: [{ level: "EL1", serrorMasked: true }] },
      guest: { system: "freebsd" },
      monitor: "kvmtool-like",
    });
    expect(timeline.at(-1)).toMatchObject({ bad: true, text: "FreeBSD never looks into DISR_EL1: the error stays there, and nobody knows" });
  });
});

describe("other systems", () => {
  test("one that binds sources which notify by SError reads their records", () => {
    const machine: MachineChoice = { sources: [{ id: 1, notification: "sei" }] };
    const events = [{ record: { source: 1, memory: { severity: "recoverable", physicalAddress: ADDRESS } } }] as const;
    expect(run(events, { machine, guest: { system: "thorough" } }).isolatedPages).toEqual([PAGE]);
    expect(run(events, { machine, guest: {} })).toMatchObject({ isolatedPages: [], unread: [1] });
  });
  test("facts can be changed", () => {
    const guest: GuestChoice = { system: { preset: "freebsd", name: "FreeBSD with memory failure handling", memoryFailure: true } };
    expect(run([memory("recoverable")], { guest }).isolatedPages).toEqual([PAGE]);
    const survives: GuestChoice = { system: { preset: "freebsd", survives: ["corrected"] } };
    expect(run([{ setEvents: { serrorPending: true, serrorEsr: "0x1811" } }], { guest: survives }).outcome).toBe("running");
    // Of unknown cause: no fact makes that survivable.
    expect(run([{ setEvents: { serrorPending: true } }], { guest: survives }).outcome).toBe("panicked");
  });
  test.each<[string, Choices, string]>([
    ["changes of what Linux does", { guest: { system: { preset: "linux", readsDisr: false } } }, "guest.system.readsDisr: Linux is modelled as it is"],
    ["x86", { machine: { architecture: "x86" } }, "guest.system: on x86 only Linux is modelled"],
  ])("%s are refused", (_name, choices, message) => {
    expect(() => run([], choices)).toThrow(UsageError);
    expect(() => run([], choices)).toThrow(message);
  });
  test("a running system stays what it is", () => expect(() => run([{ guest: { system: "linux" } }])).toThrow("a system that runs stays what it is"));
});

describe("a Linux without memory failure handling", () => {
  const guest: GuestChoice = { memoryFailure: false };
  test("acknowledges, isolates nothing, and ends the program", () => {
    const result = run([{ sigbus: { code: "actionRequired", physicalAddress: ADDRESS } }], { guest });
    expect(result.isolatedPages).toEqual([]);
    expect(said(result, "logged")).toEqual(["source 0: this kernel was built without memory failure handling: page 0x48a2d stays in use"]);
    expect(said(result, "killed")).toEqual(["source 0: nothing is isolated for the record: the program gets SIGBUS"]);
    expect(result.unread).toEqual([]);
  });
  test("on x86 an action-required machine check is fatal, an optional one ignored", () => {
    const machine: MachineChoice = { architecture: "x86", firmware: "seabios" };
    const check = (code: "actionRequired" | "actionOptional") =>
      run([{ sigbus: { code, physicalAddress: "0x8000" } }], { guest, machine, monitor: "qemu-7.2" });
    expect(check("actionRequired").outcome).toBe("panicked");
    expect(check("actionOptional")).toMatchObject({ outcome: "running", isolatedPages: [] });
    expect(check("actionOptional").kernelLog).toContain("Uncorrected memory error in page 0x8 ignored");
  });
});

test("Linux asks by the blocks it found at first whether any SEA source has something, and then looks at all of them anew", () => {
  const record = (source: number) => ({ record: { source, memory: { severity: "recoverable" as const, physicalAddress: `0x4000${source}000` } } });
  const machine: MachineChoice = {
    sources: [
      { id: 0, notification: "sea" },
      { id: 1, notification: "sea" },
    ],
  };
  const moved = { guestWrites: { pointerOf: 1, bytes: "0000004800000000" } };
  const alone = run([moved, record(1)], { guest: {}, machine });
  expect(alone).toMatchObject({ unread: [1], isolatedPages: [] });
  expect(said(alone, "read").map((text) => text.slice(0, 25))).toEqual(["source 0: nothing pending", "source 1: nothing pending"]);
  expect(run([moved, record(1), record(0)], { guest: {}, machine })).toMatchObject({ unread: [], isolatedPages: [0x40000n, 0x40001n] });
});
