import { fileURLToPath } from "node:url";
import { Ajv2020 } from "ajv/dist/2020.js";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { UsageError } from "../../src/layout/index.ts";
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
    [scenario({ events: [{ at: 1, sigbus: { code: "BUS_MCEERR_AR" } }] }), "did you mean actionRequired?"],
    [scenario({ events: [{ at: 1, seaExit: { gpa: "0x1000" } }] }), "events[0].seaExit.gpa: there is no such member here; did you mean guestPhysicalAddress?"],
    [scenario({ events: [{ at: 1, processorError: { exception: "SError", severity: "UEO" } }] }), "did you mean serror?"],
    [scenario({ events: [{ at: 1, processorError: { exception: "SError", severity: "UEO" } }] }), "did you mean restartable?"],
    [
      scenario({ machine: { sources: [{ id: 0, notification: 8 }] } }),
      "8 is none of polled, externalInterrupt, localInterrupt, sci, nmi, cmci, mce, gpioSignal, sea, sei, gsiv, sdei; did you mean sea?",
    ],
    [scenario({ monitor: "qemu-10.1" }), "did you mean qemu-10.2?"],
    [scenario({ machine: { architecture: "aarch64" } }), "did you mean arm64?"],
    [scenario({ machine: { vcpus: 0 } }), "machine.vcpus: must be >= 1"],
    [scenario({ machine: { cpus: [] } }), "machine.cpus: there is no such member here; did you mean vcpus?"],
    [scenario({ events: [{ at: 1, esb: { core: 1 } }] }), "events[0].esb.core: there is no such member here; there are vcpu"],
    [scenario({ monitor: { recording: { unacknowledged: { action: "queue" } } } }), "monitor.recording.unacknowledged.limit: missing"],
    [scenario({ monitor: { recording: { unacknowledged: { action: "quue", limit: 3, whenFull: "oldest" } } } }), "did you mean dropOldest?"],
    [scenario({ events: [{ at: 1, reset: false }] }), "events[0].reset: only true can be said here"],
    [scenario({ machine: { errorStore: "big" } }), "machine.errorStore: must be "],
    [scenario({ machine: { sources: [{ id: 70000, notification: "sea" }] } }), "machine.sources[0].id: must be <= 65535"],
  ])("%s", async (text, message) => {
    await expect(readScenario(text)).rejects.toThrow(message);
  });

  test("several mistakes are named at once, each on a line, eight at most", async () => {
    const text = scenario({ evnts: 1, monitor: "qemu", machine: { rass: true }, events: [{ at: -1, reset: true }] });
    const lines = await readScenario(text).catch((error: Error) => error.message.split("\n"));
    expect(lines).toEqual([
      "evnts: there is no such member here; did you mean events?",
      "machine.rass: there is no such member here; did you mean ras?",
      "events[0].at: must be >= 0",
      'monitor: "qemu" is none of qemu-7.2, qemu-10.2, qemu-11.0, kvmtool-like; did you mean qemu-7.2?',
    ]);
    const many = await readScenario(scenario({ events: Array.from({ length: 12 }, () => ({ at: -1, crash: true })) })).catch((error: Error) =>
      error.message.split("\n"),
    );
    expect(many).toHaveLength(9);
    expect(many).toContain("and 4 more");
  });
  test("vCPUs may be counted", () => {
    const touch = (vcpu: number) => ({ at: 1, sigbus: { code: "actionRequired" as const, physicalAddress: "0x48a2d000", vcpu } });
    expect(runScenario({ name: "x", machine: { vcpus: 3 }, events: [touch(2)] }).isolatedPages).toEqual([0x48a2dn]);
    expect(() => runScenario({ name: "x", machine: { vcpus: 3 }, events: [touch(3)] })).toThrow("there is no vCPU 3");
  });
  test("a record that nobody looks at for its notification is said to lie unread", () => {
    const record = { notification: "sci" as const, memory: { severity: "corrected" as const } };
    const { timeline, unread } = runScenario({ name: "x", monitor: "kvmtool-like", events: [{ at: 1, record }] });
    expect(timeline.at(-1)).toMatchObject({ bad: true, text: "source 0: nobody looks at it for this notification: the record lies unread" });
    expect(unread).toEqual([0]);
  });
  test("a monitor with changes and without a preset starts from the usual one", async () => {
    const given = await readScenario(
      scenario({ monitor: { actionOptional: "gpioSignal" }, events: [{ at: 1, sigbus: { code: "actionOptional", physicalAddress: "0x48a2d000" } }] }),
    );
    expect(runScenario(given)).toMatchObject({ isolatedPages: [0x48a2dn], accounts: { 1: { written: 1 } } });
  });

  test.each<[string, Partial<Scenario>, string]>([
    ["a vCPU that is not there", { events: [{ at: 1, sigbus: { code: "actionRequired", vcpu: 3 } }] }, "event at 1 ms: there is no vCPU 3"],
    ["a record of nothing", { events: [{ at: 1, record: {} }] }, "events[0].record: a record needs a block, sections or a memory error"],
    [
      "a member of a section that is wrong",
      {
        events: [
          { at: 1, crash: true },
          { at: 2, record: { sections: [{ kind: "pcie", body: { portType: "teapot" } }] } },
        ],
      },
      'events[1].record.sections[0].body.portType: "teapot" is none of endpoint',
    ],
    [
      "a number that does not fit",
      { events: [{ at: 1, record: { sections: [{ kind: "pcie", body: { deviceId: { vendorId: "0x123456" } } }] } }] },
      "events[0].record.sections[0].body.deviceId.vendorId: 1193046 does not fit in 2 bytes",
    ],
    [
      "a section that is nearly known",
      { events: [{ at: 1, record: { sections: [{ kind: "Platform memory", body: {} }] } }] },
      "record.sections[0].kind: there is no section type Platform memory; did you mean platformMemory?",
    ],
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
      "machine.sources[1].id: 1 is the id of machine.sources[0] already",
    ],
    [
      "a syndrome with bits that are RES0",
      { events: [{ at: 1, processorError: { exception: "serror", esr: "0xbe100811" } }] },
      "processorError.esr: no hardware gives 0xbe100811: ESR_ELx bits 20 are RES0",
    ],
    [
      "an error type that is reserved",
      { events: [{ at: 1, processorError: { exception: "serror", esr: "0xbe001411" } }] },
      "processorError.esr: no hardware gives 0xbe001411: AET is a reserved value",
    ],
    [
      "an SError's syndrome for an abort",
      { events: [{ at: 1, processorError: { exception: "sea", esr: "0xbe000811" } }] },
      "processorError.esr: 0xbe000811 is not the syndrome of an abort",
    ],
    [
      "a level at which nothing can run",
      { machine: { vcpus: [{ level: "EL1", routing: { tge: true } }] }, events: [{ at: 1, processorError: { exception: "serror" } }] },
      "event at 1 ms: with HCR_EL2.TGE nothing can run at EL1",
    ],
    [
      "an arm64 error on x86",
      { machine: { architecture: "x86" }, events: [{ at: 1, processorError: { exception: "serror" } }] },
      "processorError: only arm64 processors and KVM on arm64 are modelled",
    ],
    [
      "a notification by SError on a physical machine",
      {
        machine: { kind: "physical", sources: [{ id: 0, notification: "sei" }] },
        events: [{ at: 1, record: { source: 0, memory: { severity: "corrected" } } }],
      },
      "is noticed by its processor: say it as a processorError",
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

test("every member of the language is described", () => {
  const bare: string[] = [];
  const walk = (value: unknown, path: string): void => {
    if (typeof value !== "object" || value === null) return;
    const { properties = {} } = value as { properties?: Record<string, object> };
    for (const [name, member] of Object.entries(properties)) if (name !== "$schema" && !("description" in member)) bare.push(`${path}.${name}`);
    for (const [name, child] of Object.entries(value)) walk(child, `${path}/${name}`);
  };
  walk(SCENARIO_SCHEMA, "");
  expect(bare).toEqual([]);
});

test("the shipped schema is the one in use, and is a schema", async () => {
  const shipped = fileURLToPath(new URL("../../schemas/scenario.schema.json", import.meta.url));
  await expect(`${JSON.stringify(SCENARIO_SCHEMA, null, 2)}\n`).toMatchFileSnapshot(shipped);
  expect(() => new Ajv2020({ strict: true, allowUnionTypes: true }).compile(SCENARIO_SCHEMA)).not.toThrow();
});

describe("what the gallery leaves out", () => {
  const texts = (scenario: Omit<Scenario, "name">) => runScenario({ name: "x", ...scenario }).timeline.map(({ text }) => text);
  test("with TGE an abort of EL0 is one of the host's programs, not of a guest", () => {
    const said = texts({
      machine: { vcpus: [{ level: "EL0", routing: { tge: true, vhe: true } }] },
      events: [{ at: 1, processorError: { exception: "sea" } }],
    });
    expect(said).toContain("with HCR_EL2.TGE no guest runs: the abort is that of a program of the host, which gets SIGBUS");
    expect(said.some((text) => text.includes("KVM_EXIT_ARM_SEA"))).toBe(false);
  });
  test("an SError for EL1 waits while EL2 runs", () => {
    const { timeline } = runScenario({
      name: "x",
      machine: { kind: "physical", vcpus: [{ level: "EL2" }] },
      events: [
        { at: 1, processorError: { exception: "serror" } },
        { at: 2, vcpu: { level: "EL1" } },
      ],
    });
    expect(timeline.filter(({ what }) => what === "pending" || what === "taken").map(({ at, what }) => [at, what])).toEqual([
      [1, "pending"],
      [2, "taken"],
    ]);
  });
  test("FnV in a given syndrome: the address is not known, whatever the scenario says", () => {
    const { timeline } = runScenario({
      name: "x",
      machine: { kind: "physical", vcpus: [{ level: "EL0" }] },
      events: [{ at: 1, processorError: { exception: "sea", esr: "0x92000410", virtualAddress: "0x1000" } }],
    });
    expect(timeline.find(({ what }) => what === "taken")!.data).toMatchObject({ ESR_EL1: "0x92000410", FAR_EL1: null });
  });
  test("nobody else to tell", () => {
    const said = texts({
      machine: { kind: "physical", lastResort: "tellAnotherProcessor", vcpus: [{ level: "EL1", serrorMasked: true, routing: { ea: true } }] },
      events: [{ at: 1, processorError: { exception: "serror" } }],
    });
    expect(said).toContain("there is no other processor to tell, or no source to tell of");
  });
});

test("any events on any machine: a run ends, or names what cannot be", () => {
  const flag = fc.boolean();
  const some = <T>(arbitrary: fc.Arbitrary<T>) => fc.option(arbitrary, { nil: undefined });
  const address = fc.constantFrom("0x48a2d000", "0x1000", "0xb010000", "0xb010008", "0xb012000", "0x9080000", "0xfffffffffffffff8", "0x4ffff000");
  const vcpu = some(fc.integer({ min: 0, max: 2 }));
  const source = fc.integer({ min: 0, max: 3 });
  const hex = fc.uint8Array({ maxLength: 24 }).map((bytes) => Buffer.from(bytes).toString("hex"));
  const memory = fc.record({ severity: fc.constantFrom("corrected", "recoverable", "fatal"), physicalAddress: some(address) });
  const event = fc.oneof(
    fc.record({ sigbus: fc.record({ code: fc.constantFrom("actionRequired", "actionOptional"), physicalAddress: some(address), vcpu }) }),
    fc.record({
      seaExit: fc.record({
        esr: some(fc.constantFrom("0x92000010", "0x82000410", "0x92000097", "0x96000018", "0xbe000811")),
        guestVirtualAddress: some(address),
        guestPhysicalAddress: some(address),
        vcpu,
      }),
    }),
    fc.record({ record: fc.record({ source: some(source), memory, times: some(fc.integer({ min: 0, max: 4 })) }) }),
    fc.record({ record: fc.record({ source: some(source), block: hex }) }),
    fc.record({ inject: fc.record({ type: fc.constantFrom("memoryCorrectable", "pcieCorrectable"), address: some(address) }) }),
    fc.record({ erst: fc.record({ operation: fc.constantFrom("write", "read", "clear"), id: fc.constantFrom(0, 1, "0xffffffffffffffff") }) }),
    fc.record({ vcpu: fc.record({ id: vcpu, level: some(fc.constantFrom("EL0", "EL1", "EL2")), serrorMasked: some(flag), interruptsMasked: some(flag) }) }),
    fc.record({ processorError: fc.record({ exception: fc.constantFrom("serror", "sea"), vcpu, record: some(fc.record({ source: some(source), memory })) }) }),
    fc.record({ esb: fc.record({ vcpu }) }),
    fc.record({ setEvents: fc.record({ vcpu, serrorPending: some(flag), serrorEsr: some(address), extDabtPending: some(flag), extIabtPending: some(flag) }) }),
    fc.record({ exit: fc.record({ kind: fc.constantFrom("mmio", "nisv", "other"), vcpu }) }),
    fc.record({ guest: fc.record({ acknowledges: some(flag), handling: some(fc.constant(3)), acknowledging: some(fc.constant(2)) }) }),
    fc.record({ acknowledge: fc.record({ source }) }),
    fc.record({
      guestWrites: fc.oneof(fc.record({ address, bytes: hex }), fc.record({ pointerOf: source, bytes: hex }), fc.record({ blockOf: source, bytes: hex })),
    }),
    fc.record({ guestReads: fc.record({ address, size: fc.constantFrom(1, 2, 4, 8) }) }),
    fc.constant({ reset: true }),
    fc.constant({ crash: true }),
  );
  const machine = fc.record({
    kind: some(fc.constantFrom("virtual", "physical")),
    architecture: some(fc.constantFrom("arm64", "x86")),
    sources: some(
      fc.constant([
        { id: 0, notification: "sea" },
        { id: 1, notification: "polled", pollInterval: 7, acknowledge: { bitOffset: 3 } },
        { id: 2, notification: "gsiv", vector: 41, acknowledge: { sharedWith: 1, write: 2 } },
        { id: 3, notification: "sei", version: 1 },
      ]),
    ),
    vcpus: fc.constantFrom(2, [], [{}, { level: "EL1", routing: { ea: true, amo: true } }]),
    injection: some(flag),
    errorStore: some(fc.constant(65536)),
    bootErrors: some(fc.constant({ length: 512 })),
  });
  const scenario = fc.record({
    name: fc.constant("x"),
    machine,
    guest: some(
      fc.record({
        system: some(fc.constantFrom("linux", "freebsd", "thorough", { preset: "freebsd", survives: ["corrected"], notifications: ["sea", "sei"] })),
        level: some(fc.constantFrom("EL1", "EL2")),
        iesb: some(flag),
        memoryFailure: some(flag),
      }),
    ),
    monitor: some(fc.constantFrom("qemu-7.2", "qemu-10.2", "kvmtool-like", { actionOptional: "gsiv" })),
    events: fc.array(event, { maxLength: 8 }).map((events) => events.map((body, i) => ({ at: i, ...body }))),
    until: fc.constant(100),
  });
  const outcomes = { ended: 0, refused: 0 };
  fc.assert(
    fc.property(scenario, (value) => {
      const given = JSON.parse(JSON.stringify(value)) as Scenario;
      try {
        const { accounts } = runScenario(given);
        for (const { submitted, ...parts } of Object.values(accounts)) expect(Object.values(parts).reduce((sum, count) => sum + count, 0)).toBe(submitted);
        outcomes.ended++;
      } catch (failure) {
        if (!(failure instanceof UsageError)) throw failure;
        outcomes.refused++;
      }
    }),
    { numRuns: 200 },
  );
  expect(outcomes.ended).toBeGreaterThan(20);
});
