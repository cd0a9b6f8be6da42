/**
 * The arm64 scenarios against a table written by hand from the architecture's rules (Arm ARM D1.3: routing, vectors,
 * preferred return address, saved state), not from the engine and not from the recorded texts.
 */
import { readdirSync, readFileSync } from "node:fs";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { UsageError } from "../../src/layout/index.ts";
import { readScenario } from "../../src/scenario/read.ts";
import { type RunResult, runScenario } from "../../src/scenario/runner.ts";
import type { Scenario } from "../../src/scenario/schema.ts";

const FOLDER = new URL("../../samples/scenarios/", import.meta.url);
const run = async (name: string): Promise<RunResult> => runScenario(await readScenario(readFileSync(new URL(`${name}.json`, FOLDER), "utf8")));

/** Where the levels are when an error is noticed, and their vectors. */
const VBAR = { EL1: 0xffff_8000_8001_0800n, EL2: 0xffff_8000_8002_0800n, EL3: 0x0e09_8000n } as const;
const PROGRAM = 0xaaaa_c0de_1000n;
const KERNEL = 0xffff_8000_8010_2000n;
const KERNEL_EL2 = 0xffff_8000_8020_3000n;
/** The vector of an interrupt from a lower level. */
const IRQ_ENTRY = VBAR.EL1 + 0x480n;

/** EC 0x2F, IL, AET in 12:10, DFSC 0x11; IESB is bit 13. */
const SERROR = { restartable: 0xbe000811n, recoverable: 0xbe000c11n, unrecoverable: 0xbe000411n, corrected: 0xbe001811n, uncontainable: 0xbe000011n };
const IESB = 1n << 13n;
/** EC 0x24 from a lower level, 0x25 from the same; IL; FSC 0x10. */
const ABORT = { lower: 0x92000010n, same: 0x96000010n };
/** PSTATE: EL0t, EL1h, EL2h; A is bit 8; an interrupt's entry sets D, A, I and F. */
const STATE = { program: 0n, kernel: 5n, masked: 0x105n, entry: 0x3c5n, el2: 9n };

/** Who takes it at which offset from VBAR, with which syndrome; where it came from and in what state. */
type Taken = readonly [target: keyof typeof VBAR, offset: bigint, esr: bigint, elr: bigint, spsr: bigint];
interface Expected {
  readonly taken?: readonly Taken[];
  /** DISR_EL1: A in bit 31, AET and DFSC; IESB has no place there. */
  readonly disr?: readonly bigint[];
  readonly belongsTo?: string;
  readonly certain?: boolean;
  readonly outcome?: RunResult["outcome"];
  readonly refusals?: number;
}
const kernelFirst = (esr: bigint, spsr = STATE.kernel): Taken => ["EL3", 0x580n, esr, KERNEL, spsr];
const programFirst = (esr: bigint): Taken => ["EL3", 0x580n, esr, PROGRAM, STATE.program];

const SCENARIOS: Readonly<Record<string, Expected>> = {
  "arm64-serror-to-el1": {
    taken: [kernelFirst(SERROR.restartable), ["EL1", 0x380n, SERROR.restartable, KERNEL, STATE.kernel]],
    belongsTo: "EL1",
  },
  "arm64-freebsd": {
    taken: [
      ["EL3", 0x400n, ABORT.lower, PROGRAM, STATE.program],
      ["EL1", 0x400n, ABORT.lower, PROGRAM, STATE.program],
      kernelFirst(SERROR.corrected, STATE.masked),
      kernelFirst(SERROR.corrected),
      ["EL1", 0x380n, SERROR.corrected, KERNEL, STATE.kernel],
    ],
    outcome: "panicked",
  },
  "arm64-serror-from-el0": {
    taken: [programFirst(SERROR.recoverable), ["EL1", 0x580n, SERROR.recoverable, PROGRAM, STATE.program]],
    belongsTo: "EL0",
    outcome: "panicked",
  },
  "arm64-serror-to-el2-amo": {
    taken: [kernelFirst(SERROR.unrecoverable), ["EL2", 0x580n, SERROR.unrecoverable, KERNEL, STATE.kernel]],
    outcome: "panicked",
  },
  "arm64-serror-to-el2-tge": {
    taken: [
      programFirst(SERROR.restartable),
      ["EL2", 0x580n, SERROR.restartable, PROGRAM, STATE.program],
      ["EL3", 0x580n, SERROR.corrected, KERNEL_EL2, STATE.el2],
      ["EL2", 0x380n, SERROR.corrected, KERNEL_EL2, STATE.el2],
    ],
  },
  "arm64-serror-without-el3": {
    taken: [
      ["EL2", 0x580n, SERROR.restartable, KERNEL, STATE.masked],
      ["EL2", 0x580n, SERROR.uncontainable, KERNEL, STATE.masked],
    ],
    outcome: "ended",
  },
  "arm64-masked-iesb": { taken: [["EL3", 0x580n, SERROR.restartable | IESB, IRQ_ENTRY, STATE.entry]], disr: [0x80000811n], belongsTo: "EL0" },
  "arm64-masked-esb": { taken: [kernelFirst(SERROR.restartable, STATE.masked)], disr: [0x80000811n], belongsTo: "EL1" },
  "arm64-esb-defers": { taken: [], disr: [0x80000811n] },
  "arm64-pending-serror": { taken: [["EL1", 0x380n, SERROR.restartable, KERNEL, STATE.kernel]], disr: [] },
  "arm64-last-resort-retry": {
    taken: [kernelFirst(SERROR.restartable, STATE.masked), kernelFirst(SERROR.restartable), ["EL1", 0x380n, SERROR.restartable, KERNEL, STATE.kernel]],
    disr: [],
  },
  "arm64-last-resort-reboot": { taken: [kernelFirst(SERROR.unrecoverable, STATE.masked)], disr: [] },
  "arm64-last-resort-another-processor": { taken: [kernelFirst(SERROR.restartable, STATE.masked)], disr: [] },
  "arm64-no-serror-needed": { taken: [kernelFirst(SERROR.corrected, STATE.masked)], disr: [] },
  "arm64-no-serror-needed-polling": { taken: [programFirst(SERROR.corrected)], disr: [] },
  "arm64-firmware-changes-hcr": {
    taken: [kernelFirst(SERROR.restartable), ["EL2", 0x580n, SERROR.restartable, KERNEL, STATE.kernel]],
    refusals: 2,
  },
  "arm64-firmware-virtual-serror": { taken: [["EL3", 0x580n, SERROR.restartable | IESB, IRQ_ENTRY, STATE.entry]], disr: [0x80000811n], refusals: 1 },
  "arm64-firmware-other-ways": { taken: [kernelFirst(SERROR.restartable, STATE.masked)], disr: [], refusals: 5 },
  "arm64-other-system": {
    taken: [kernelFirst(SERROR.restartable, STATE.masked), kernelFirst(SERROR.restartable), ["EL1", 0x380n, SERROR.restartable, KERNEL, STATE.kernel]],
    belongsTo: "EL1",
    certain: false,
  },
  "arm64-sea-to-el1": {
    taken: [
      ["EL3", 0x400n, ABORT.lower, PROGRAM, STATE.program],
      ["EL1", 0x400n, ABORT.lower, PROGRAM, STATE.program],
      ["EL3", 0x400n, ABORT.lower, KERNEL, STATE.kernel],
      ["EL1", 0x200n, ABORT.same, KERNEL, STATE.kernel],
    ],
    belongsTo: "EL0",
    outcome: "panicked",
  },
  "arm64-sea-to-el2-tea": {
    taken: [
      ["EL3", 0x400n, ABORT.lower, PROGRAM, STATE.program],
      ["EL2", 0x400n, ABORT.lower, PROGRAM, STATE.program],
    ],
  },
  "arm64-sea-claimed-by-host": {
    taken: [
      ["EL3", 0x400n, ABORT.lower, PROGRAM, STATE.program],
      ["EL2", 0x400n, ABORT.lower, PROGRAM, STATE.program],
    ],
  },
  "arm64-sea-tge": { taken: [["EL2", 0x400n, ABORT.lower, PROGRAM, STATE.program]] },
  "arm64-severities": {
    taken: [SERROR.corrected, SERROR.restartable, SERROR.unrecoverable].flatMap((esr): Taken[] => [
      programFirst(esr),
      ["EL1", 0x580n, esr, PROGRAM, STATE.program],
    ]),
    outcome: "panicked",
  },
  "arm64-unknown-syndrome": {
    taken: [programFirst(0xbf000abcn), ["EL1", 0x580n, 0xbf000abcn, PROGRAM, STATE.program]],
    outcome: "panicked",
  },
  "arm64-whose-error": {
    taken: [
      ...[0, 1, 2].flatMap((): Taken[] => [kernelFirst(SERROR.restartable), ["EL1", 0x380n, SERROR.restartable, KERNEL, STATE.kernel]]),
      ["EL3", 0x580n, SERROR.restartable | IESB, IRQ_ENTRY, STATE.entry],
    ],
    disr: [0x80000811n],
    certain: false,
  },
  "arm64-no-el2-no-el3": { taken: [["EL1", 0x380n, SERROR.restartable, KERNEL, STATE.kernel]], belongsTo: "EL1" },
  "arm64-host-interrupted": {
    taken: [
      ["EL2", 0x380n, SERROR.restartable, KERNEL_EL2, STATE.el2],
      ["EL2", 0x380n, SERROR.recoverable, KERNEL_EL2, STATE.el2],
    ],
    belongsTo: "EL2",
    outcome: "ended",
  },
  "arm64-masked-at-el2": {
    taken: [
      ["EL3", 0x580n, SERROR.restartable, KERNEL_EL2, STATE.el2 | 0x100n],
      ["EL3", 0x580n, SERROR.restartable, KERNEL_EL2, STATE.el2 | 0x100n],
    ],
    disr: [0x80000811n],
    belongsTo: "EL2",
  },
  "arm64-virtual-serror-esb": { taken: [], disr: [0x80000811n] },
  "arm64-virtual-serror-off": { taken: [], disr: [] },
};

const NAMES = readdirSync(FOLDER).flatMap((name) => (name.startsWith("arm64-") && name.endsWith(".json") ? [name.slice(0, -5)] : []));

test("every scenario of delivery has its row", () => {
  expect(NAMES.sort()).toEqual(Object.keys(SCENARIOS).sort());
});

describe.each(Object.entries(SCENARIOS))("%s", (name, expected) => {
  test("is taken, or deferred, as the architecture has it", async () => {
    const { timeline, outcome } = await run(name);
    const of = (what: string) => timeline.filter((entry) => entry.what === what);
    const word = (value: unknown) => BigInt(value as string);
    const taken = of("taken").map(({ data }) => {
      const target = data!["target"] as keyof typeof VBAR;
      return [target, word(data!["PC"]) - VBAR[target], word(data![`ESR_${target}`]), word(data![`ELR_${target}`]), word(data![`SPSR_${target}`])];
    });
    expect(taken).toEqual(expected.taken ?? []);
    if (expected.disr) expect(of("deferred").map(({ data }) => word(data!["DISR_EL1"]))).toEqual(expected.disr);
    expect(outcome).toBe(expected.outcome ?? "running");
    expect(of("refused").length).toBe(expected.refusals ?? 0);
    const whose = of("attribution")[0]?.data;
    if (expected.belongsTo !== undefined) expect(whose!["belongsTo"]).toBe(expected.belongsTo);
    if (whose) expect(whose["certain"]).toBe(expected.certain ?? true);
  });
});

/** Interrupt entry, ESB and what else ERET may go back to is said in words. */
test.each([
  ["arm64-serror-to-el1", "ERET goes back to the interrupted instruction"],
  ["arm64-masked-esb", "execution goes on at the ESB"],
  ["arm64-masked-iesb", "execution goes on at the entered vector"],
  ["arm64-esb-defers", "execution goes on at the instruction after ESB"],
  ["arm64-no-serror-needed", "DISR_EL1 stays clear; ERET goes back to the interrupted instruction"],
  ["arm64-last-resort-retry", "ERET to the interrupted instruction; the interrupted software knows nothing yet"],
  ["arm64-last-resort-another-processor", "processor 0 goes on at the interrupted instruction; processor 1 is told"],
])("%s: %s", async (name, words) => {
  expect((await run(name)).timeline.some(({ text }) => text.includes(words))).toBe(true);
});

test("the guest never finds the host's syndrome", async () => {
  const { timeline } = await run("arm64-serror-to-el2-amo");
  const host = timeline.find(({ data }) => data?.["target"] === "EL2")!.data!["ESR_EL2"];
  const guest = timeline.find(({ what }) => what === "delivered")!.data!["ESR_EL1"];
  // KVM's own: IDS and nothing else, EC and IL added by the hardware.
  expect([host, guest]).toEqual(["0xbe000411", "0xbf000000"]);
});

/** What the ioctl returns (Linux API text of KVM_SET_VCPU_EVENTS and the proposal), and whether a programming error is named. */
test.each([
  ["kvm-both-aborts", ["-EINVAL"], 0],
  ["kvm-abort-after-other-exit", ["0", "0"], 2],
  ["kvm-abort-after-mmio", ["0"], 0],
  ["kvm-capability-missing", ["-EINVAL", "-EINVAL"], 0],
  ["kvm-enabled-late", [], 1],
  ["kvm-not-queried", [], 1],
  ["kvm-never-enabled", [], 0],
  ["kvm-serror-not-cancelled", ["0", "0"], 0],
  ["kvm-syndrome-res0", ["-EINVAL", "0", "0"], 0],
  ["kvm-no-host-ras", ["-EINVAL", "0"], 0],
  ["kvm-not-answered", [], 1],
  ["kvm-wrong-class", [], 1],
  ["sea-wrong-thread", [], 1],
])("%s", async (name, results, misuses) => {
  const { timeline } = await run(name);
  expect(timeline.flatMap(({ what, text }) => (what === "returned" ? [text.split(":")[0]] : []))).toEqual(results);
  expect(timeline.filter(({ what }) => what === "misuse").length).toBe(misuses);
});

test("whatever the routing: a run ends, names what cannot be, and says nothing it does not know", () => {
  const flag = fc.boolean();
  const routing = fc.record({ ea: flag, amo: flag, tge: flag, tea: flag, vhe: flag, hasEl2: flag, hasEl3: flag });
  const level = fc.constantFrom("EL0", "EL1", "EL2");
  const severity = fc.constantFrom("corrected", "restartable", "recoverable", "unrecoverable", "uncontainable");
  const maybe = <T>(arbitrary: fc.Arbitrary<T>) => fc.option(arbitrary, { nil: undefined });
  const error = fc.record({
    exception: fc.constantFrom("serror", "sea"),
    severity: maybe(severity),
    synchronizedBy: maybe(fc.constantFrom("esb", "iesb")),
    enteredFrom: maybe(fc.constantFrom("EL0", "EL1")),
    needsSei: maybe(flag),
    record: maybe(fc.constant({ memory: { severity: "recoverable" } })),
    firmware: fc.subarray(["changeHcr", "emulateAtEl1", "emulateAtEl2", "writeDisr", "retry", "interruptOrPolling"]),
  });
  const scenario = fc.record({
    name: fc.constant("x"),
    machine: fc.record({
      kind: fc.constantFrom("physical", "virtual"),
      lastResort: fc.constantFrom("retry", "reboot", "tellAnotherProcessor"),
      vcpus: fc.array(fc.record({ level, serrorMasked: flag, interruptsMasked: flag, routing }), { minLength: 1, maxLength: 2 }),
    }),
    guest: fc.record({ level: fc.constantFrom("EL1", "EL2"), iesb: flag }),
    events: fc.tuple(error, error).map(([first, second]) => [
      { at: 1, processorError: first },
      { at: 2, esb: {} },
      { at: 3, setEvents: { serrorPending: true } },
      { at: 4, vcpu: { serrorMasked: false } },
      { at: 5, processorError: second },
    ]),
  });
  fc.assert(
    fc.property(scenario, (value) => {
      const given = JSON.parse(JSON.stringify(value)) as Scenario;
      try {
        const { timeline } = runScenario(given);
        expect(timeline.filter(({ text }) => /undefined|NaN|null/.test(text))).toEqual([]);
      } catch (failure) {
        if (!(failure instanceof UsageError)) throw failure;
      }
    }),
    { numRuns: 150 },
  );
});
