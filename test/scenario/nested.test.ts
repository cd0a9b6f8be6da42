/** A guest with a hypervisor level of its own: routing by its own HCR_EL2 (Arm ARM D1.3), registers of its EL2. */
import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { readScenario } from "../../src/scenario/read.ts";
import { runScenario } from "../../src/scenario/runner.ts";

const sample = async (name: string) => runScenario(await readScenario(readFileSync(new URL(`../../samples/scenarios/${name}.json`, import.meta.url), "utf8")));
const VBAR_EL2 = 0xffff_8000_8002_0800n;
const hex = (value: bigint) => `0x${value.toString(16)}`;

test("aborts and SErrors of programs, of the guest's guest and of its kernel are taken to its EL2", async () => {
  const { timeline, outcome, isolatedPages } = await sample("kvm-nested-guest");
  const taken = timeline
    .filter(({ what, to }) => what === "delivered" && to === "guest")
    .map(({ at, data }) => [at, data!["ESR_EL2"], data!["PC"], data!["SPSR_EL2"]]);
  expect(taken).toEqual([
    // From a lower level: 0x400, SErrors + 0x180; EC 0x24 and 0x2f.
    [10, "0x92000410", hex(VBAR_EL2 + 0x400n), "0x0"],
    [20, "0x92000010", hex(VBAR_EL2 + 0x400n), "0x5"],
    [30, "0xbe000811", hex(VBAR_EL2 + 0x580n), "0x5"],
    // From the same level: 0x200, EC 0x25.
    [50, "0xbe000811", hex(VBAR_EL2 + 0x380n), "0x9"],
    [60, "0x96000410", hex(VBAR_EL2 + 0x200n), "0x9"],
  ]);
  expect(isolatedPages).toEqual([0x48a2dn, 0x48a2en]);
  expect(outcome).toBe("panicked");
});

test("what KVM sees of a guest's abort comes from a lower level, whichever it was", async () => {
  for (const level of ["EL0", "EL1"] as const) {
    const { timeline } = runScenario({
      name: "x",
      monitor: "kvmtool-like",
      machine: { vcpus: [{ level }] },
      events: [{ at: 1, seaExit: { guestPhysicalAddress: "0x48a2d000", guestVirtualAddress: "0x1000" } }],
    });
    expect(timeline.find(({ what }) => what === "seaExit")!.data).toEqual({ esr: "0x92000010" });
  }
});

test("what the physical processor notices is not modelled for it", () => {
  const events = [{ at: 1, processorError: { exception: "serror" as const } }];
  expect(() => runScenario({ name: "x", guest: { level: "EL2" }, events })).toThrow(
    "of a guest with a hypervisor level of its own only what KVM gives it is modelled",
  );
});
