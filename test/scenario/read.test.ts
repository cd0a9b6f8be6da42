import { fileURLToPath } from "node:url";
import { Ajv2020 } from "ajv/dist/2020.js";
import { describe, expect, test } from "vitest";
import { readScenario } from "../../src/scenario/read.ts";
import { runScenario } from "../../src/scenario/runner.ts";
import { SCENARIO_SCHEMA, type Scenario } from "../../src/scenario/schema.ts";

const scenario = (more: object): string => JSON.stringify({ name: "x", events: [], ...more });

describe("what a scenario says wrongly is named", () => {
  test.each([
    ["{", "is not JSON"],
    ["[]", "the scenario: must be object"],
    ["{}", "name: missing"],
    [scenario({ evnets: [] }), "evnets: there is no such member here"],
    [scenario({ monitor: "qemu-9" }), 'monitor: "qemu-9" is none of qemu-7.2, qemu-10.2, qemu-11.0, kvmtool-like'],
    [scenario({ monitor: { preset: "qemu-7.2", actionOptional: "smi" } }), 'monitor.actionOptional: "smi" is none of polled,'],
    [scenario({ events: [{ at: 1 }] }), 'events[0]: an event has its time in "at" and exactly one thing that happens'],
    [scenario({ events: [{ at: 1, sigbus: { code: "actionRequired" }, seaExit: {} }] }), "exactly one thing"],
    [scenario({ events: [{ at: 1, sigbus: { code: "actionRequired", physicalAddress: "0x1ffffffffffffffff" } }] }), "events[0].sigbus.physicalAddress"],
    [scenario({ events: [{ at: 1, record: { block: "0" } }] }), 'events[0].record.block: "0" is not a string of hex digits'],
    [scenario({ machine: { sources: [{ id: 70000, notification: "sea" }] } }), "machine.sources[0].id: must be <= 65535"],
  ])("%s", async (text, message) => {
    await expect(readScenario(text)).rejects.toThrow(message);
  });

  test.each<[string, Partial<Scenario>, string]>([
    ["a vCPU that is not there", { events: [{ at: 1, sigbus: { code: "actionRequired", vcpu: 3 } }] }, "event at 1 ms: there is no vCPU 3"],
    ["a record of nothing", { events: [{ at: 1, record: {} }] }, "event at 1 ms: a record needs a block, sections or a memory error"],
    [
      "a section that is not known",
      { events: [{ at: 1, record: { sections: [{ kind: "toaster", body: {} }] } }] },
      "record.sections[0].kind: there is no section type toaster",
    ],
    [
      "a field that is not there",
      { events: [{ at: 1, record: { sections: [{ kind: "platformMemory", body: { physicalAdress: "0x1" } }] } }] },
      "record.sections[0].body",
    ],
    ["an injection without a device", { events: [{ at: 1, inject: { type: "memoryCorrectable" } }] }, "has no EINJ"],
    ["a store without a device", { events: [{ at: 1, erst: { operation: "read", id: 1 } }] }, "has no ERST"],
    ["a store too small", { machine: { errorStore: 8192 }, events: [] }, "a store of 8192 bytes holds no slot"],
    [
      "two sources of one id",
      {
        machine: {
          sources: [
            { id: 1, notification: "sea" },
            { id: 1, notification: "gsiv" },
          ],
        },
        events: [],
      },
      "1 is the id of errorSources[0] already",
    ],
    ["a place outside RAM", { machine: { place: { "etc/acpi/tables": "0x10" } }, events: [] }, "are not in RAM"],
  ])("%s", (_name, more, message) => {
    expect(() => runScenario({ name: "x", events: [], ...more })).toThrow(message);
  });
});

test("bare numbers above 32 bits and text mean the same address", () => {
  const run = (physicalAddress: string | number) => runScenario({ name: "x", events: [{ at: 1, sigbus: { code: "actionRequired", physicalAddress } }] });
  expect(run(1218629632).isolatedPages).toEqual(run("0x48a2d000").isolatedPages);
});

test("a thousand records of a guest that never looks end in an account, not in a hang", () => {
  const result = runScenario({
    name: "x",
    monitor: "kvmtool-like",
    machine: { sources: [{ id: 0, notification: "polled", pollInterval: 0 }] },
    events: [{ at: 1, record: { source: 0, times: 1000, memory: { severity: "corrected" } } }],
    until: 5000,
  });
  expect(result.accounts[0]).toMatchObject({ submitted: 1000, written: 1, waiting: 16, dropped: 983 });
});

test("the shipped schema is the one in use, and is a schema", async () => {
  const shipped = fileURLToPath(new URL("../../schemas/scenario.schema.json", import.meta.url));
  await expect(`${JSON.stringify(SCENARIO_SCHEMA, null, 2)}\n`).toMatchFileSnapshot(shipped);
  expect(() => new Ajv2020({ strict: true, allowUnionTypes: true }).compile(SCENARIO_SCHEMA)).not.toThrow();
});
