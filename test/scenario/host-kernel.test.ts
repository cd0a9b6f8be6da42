/** Under a monitor firmware at EL3 writes its records for the host, whose kernel reads them. */
import { describe, expect, test } from "vitest";
import { type RunResult, runScenario } from "../../src/scenario/runner.ts";
import type { Moment, VcpuState } from "../../src/scenario/schema.ts";

const FIRST = { ea: true, amo: true, tea: true, vhe: true };
const run = (error: Partial<NonNullable<Moment["processorError"]>>, vcpu: VcpuState = { level: "EL0", routing: FIRST }): RunResult =>
  runScenario({
    name: "x",
    monitor: "kvmtool-like",
    machine: { vcpus: [vcpu] },
    events: [{ at: 1, processorError: { exception: "sea", virtualAddress: "0x1000", physicalAddress: "0x48a2d000", ...error } }],
  });
const memory = (severity: "recoverable" | "fatal" | "corrected") => ({ memory: { severity, physicalAddress: "0x88a2d000" } });
const texts = ({ timeline }: RunResult, from: string, what?: string) =>
  timeline.filter((entry) => entry.at > 0 && entry.from === from && (what === undefined || entry.what === what)).map(({ text }) => text);

describe("a guest's abort that EL3 takes first", () => {
  test("with a record: the host claims it, takes its page out of use, and the monitor is not left with an exit", () => {
    const result = run({ record: memory("recoverable") });
    expect(texts(result, "kernel").slice(0, 5)).toEqual([
      "host source 0: reads a record of 172 bytes at 0x80fff030",
      "host source 0: clears the block status at 0x80fff030",
      "host source 0: acknowledges at 0x80fff018",
      "the abort is explained by firmware; the program's fate hangs on the record",
      "host source 0 says: Recoverable: Platform memory error, physical address 0x88a2d000",
    ]);
    expect(texts(result, "kernel").at(-1)).toBe("claimed by the host: the host's APEI had a record for it and deals with the page");
    expect(texts(result, "kernel", "seaExit")).toEqual([]);
    expect(result).toMatchObject({ hostAccounts: { 0: { submitted: 1, written: 1 } }, accounts: {}, records: [], outcome: "running" });
  });
  test("without one: nobody claims it, and the monitor gets the exit", () => {
    const result = run({});
    expect(texts(result, "kernel", "seaExit")).toHaveLength(1);
    expect(result.hostAccounts).toBeUndefined();
  });
  test("with a fatal one: the host dies, and its guests with it", () => {
    const result = run({ record: memory("fatal") });
    expect(texts(result, "kernel").at(-1)).toBe("Kernel panic - not syncing: GHES: Fatal hardware error");
    expect(result.outcome).toBe("ended");
  });
  test("of one of the host's own programs: its fate hangs on the record", () => {
    const result = run({ record: memory("recoverable") }, { level: "EL0", routing: { ea: true, tge: true, vhe: true } });
    expect(texts(result, "kernel").at(-1)).toBe("with HCR_EL2.TGE no guest runs: the abort is that of a program of the host, and its fate hangs on the record");
  });
});

test("an SError: Linux asks no source, the record stays where it is and is not written twice", () => {
  const result = runScenario({
    name: "x",
    monitor: "kvmtool-like",
    machine: { vcpus: [{ level: "EL2", serrorMasked: true, routing: FIRST }] },
    events: [
      { at: 1, processorError: { exception: "serror", record: memory("recoverable") } },
      { at: 2, vcpu: { serrorMasked: false } },
    ],
  });
  expect(texts(result, "el3", "record")).toEqual(["the host's record lies in memory already"]);
  expect(result).toMatchObject({ hostAccounts: { 1: { submitted: 1, written: 1 } }, hostUnread: [1] });
});

test("an error that needs no SError: an interrupt tells the host, which reads and acknowledges", () => {
  const result = run({ exception: "serror", severity: "corrected", needsSei: false, record: memory("corrected") });
  expect(texts(result, "kernel", "decoded")).toEqual(["host source 2 says: Corrected: Platform memory error, physical address 0x88a2d000"]);
  expect(texts(result, "kernel", "acknowledged")).toHaveLength(1);
});

test("whether errors are synchronised at EL2 is up to the host, not to the guest", () => {
  const reasons = (level: "EL1" | "EL2") => {
    const routing = level === "EL2" ? FIRST : { ea: true };
    const vcpu: VcpuState = { level, serrorMasked: true, routing };
    const { timeline } = runScenario({
      name: "x",
      guest: { iesb: false },
      machine: { vcpus: [vcpu] },
      events: [{ at: 1, processorError: { exception: "serror" } }],
    });
    return timeline.map(({ text }) => text).find((text) => text.includes("IESB at every change of level"));
  };
  expect(reasons("EL2")).toContain("with IESB");
  expect(reasons("EL1")).toContain("without IESB");
});

describe("a hypervisor on a physical machine", () => {
  const physical = (routing: object, error: Partial<NonNullable<Moment["processorError"]>>) =>
    runScenario({
      name: "x",
      machine: { kind: "physical", sources: [{ id: 0, notification: "sea" }], vcpus: [{ level: "EL0", routing }] },
      events: [{ at: 1, processorError: { exception: "sea", virtualAddress: "0x1000", ...error } }],
    });
  test("has its own sources: the record is its, not that of the system under it", () => {
    const result = physical({ ea: true, tea: true }, { record: memory("recoverable") });
    expect(texts(result, "kernel", "read")).toEqual(["hypervisor source 0: reads a record of 172 bytes at 0x80fff030"]);
    expect(texts(result, "kernel").at(-1)).toBe("the hypervisor's sources explain the abort of what runs under it");
    expect(result).toMatchObject({ accounts: {}, hostAccounts: { 0: { written: 1 } }, records: [] });
  });
  test("without a record it is not this machine's firmware that is asked", () => {
    const { timeline } = physical({ ea: true, tea: true }, {});
    expect(timeline.at(-1)).toMatchObject({ from: "kernel", bad: true });
    expect(timeline.some(({ text }) => text.includes("KVM_EXIT_ARM_SEA"))).toBe(false);
  });
});
