import { describe, expect, test } from "vitest";
import {
  canAlwaysTell,
  decideDelivery,
  decideVirtualSError,
  type FirmwareAction,
  judgeFirmware,
  judgeMonitor,
  type LastResort,
  type Situation,
} from "../../src/arm64/delivery.ts";
import { asynchronousCells, deliveryDocument, synchronousCells } from "../../src/arm64/delivery-table.ts";

/*
 * Written by hand from the architecture's routing and masking rules, not from the engine.
 * One line a row, six columns: A=0 {nothing, ESB, IESB}, A=1 {nothing, ESB, IESB}.
 *   1, 2   EL1, EL2 takes it          *1, *2  EL3 first, then EL1, EL2
 *   D      the ESB defers             *D      EL3 first, then DISR_EL1
 *   p      pending                    *!      EL3 first, then the last resort
 *   *i     EL3 first, then an interrupt or polling
 */
const SERRORS: Record<string, Record<string, string>> = {
  "EL0, without VHE": {
    "EA 0, AMO 0, TGE 0": " 1  1  1   p  D  p",
    "EA 0, AMO 0, TGE 1": " 2  2  2   2  2  2",
    "EA 0, AMO 1, TGE 0": " 2  2  2   2  2  2",
    "EA 0, AMO 1, TGE 1": " 2  2  2   2  2  2",
    "EA 1, AMO 0, TGE 0": "*1 *1 *1  *! *D *D",
    "EA 1, AMO 0, TGE 1": "*2 *2 *2  *2 *2 *2",
    "EA 1, AMO 1, TGE 0": "*2 *2 *2  *2 *2 *2",
    "EA 1, AMO 1, TGE 1": "*2 *2 *2  *2 *2 *2",
  },
  // With E2H and TGE the kernel of EL0 runs at EL2, so that PSTATE.A holds for EL0 too.
  "EL0, with VHE": {
    "EA 0, AMO 0, TGE 0": " 1  1  1   p  D  p",
    "EA 0, AMO 0, TGE 1": " 2  2  2   p  D  p",
    "EA 0, AMO 1, TGE 0": " 2  2  2   2  2  2",
    "EA 0, AMO 1, TGE 1": " 2  2  2   p  D  p",
    "EA 1, AMO 0, TGE 0": "*1 *1 *1  *! *D *D",
    "EA 1, AMO 0, TGE 1": "*2 *2 *2  *! *D *D",
    "EA 1, AMO 1, TGE 0": "*2 *2 *2  *2 *2 *2",
    "EA 1, AMO 1, TGE 1": "*2 *2 *2  *! *D *D",
  },
  "EL1, without VHE": {
    "EA 0, AMO 0, TGE 0": " 1  1  1   p  D  p",
    "EA 0, AMO 0, TGE 1": " 2  2  2   2  2  2",
    "EA 0, AMO 1, TGE 0": " 2  2  2   2  2  2",
    "EA 0, AMO 1, TGE 1": " 2  2  2   2  2  2",
    "EA 1, AMO 0, TGE 0": "*1 *1 *1  *! *D *D",
    "EA 1, AMO 0, TGE 1": "*2 *2 *2  *2 *2 *2",
    "EA 1, AMO 1, TGE 0": "*2 *2 *2  *2 *2 *2",
    "EA 1, AMO 1, TGE 1": "*2 *2 *2  *2 *2 *2",
  },
  "EL1, with VHE": {
    "EA 0, AMO 0, TGE 0": " 1  1  1   p  D  p",
    "EA 0, AMO 0, TGE 1": " 2  2  2   2  2  2",
    "EA 0, AMO 1, TGE 0": " 2  2  2   2  2  2",
    "EA 0, AMO 1, TGE 1": " 2  2  2   2  2  2",
    "EA 1, AMO 0, TGE 0": "*1 *1 *1  *! *D *D",
    "EA 1, AMO 0, TGE 1": "*2 *2 *2  *2 *2 *2",
    "EA 1, AMO 1, TGE 0": "*2 *2 *2  *2 *2 *2",
    "EA 1, AMO 1, TGE 1": "*2 *2 *2  *2 *2 *2",
  },
  // Without AMO and TGE SErrors are for EL1, which cannot take them while EL2 runs.
  "EL2, without VHE": {
    "EA 0, AMO 0, TGE 0": " p  D  p   p  D  p",
    "EA 0, AMO 0, TGE 1": " 2  2  2   p  D  p",
    "EA 0, AMO 1, TGE 0": " 2  2  2   p  D  p",
    "EA 0, AMO 1, TGE 1": " 2  2  2   p  D  p",
    "EA 1, AMO 0, TGE 0": "*! *D *D  *! *D *D",
    "EA 1, AMO 0, TGE 1": "*2 *2 *2  *! *D *D",
    "EA 1, AMO 1, TGE 0": "*2 *2 *2  *! *D *D",
    "EA 1, AMO 1, TGE 1": "*2 *2 *2  *! *D *D",
  },
  "EL2, with VHE": {
    "EA 0, AMO 0, TGE 0": " p  D  p   p  D  p",
    "EA 0, AMO 0, TGE 1": " 2  2  2   p  D  p",
    "EA 0, AMO 1, TGE 0": " 2  2  2   p  D  p",
    "EA 0, AMO 1, TGE 1": " 2  2  2   p  D  p",
    "EA 1, AMO 0, TGE 0": "*! *D *D  *! *D *D",
    "EA 1, AMO 0, TGE 1": "*2 *2 *2  *! *D *D",
    "EA 1, AMO 1, TGE 0": "*2 *2 *2  *! *D *D",
    "EA 1, AMO 1, TGE 1": "*2 *2 *2  *! *D *D",
  },
};
const COLUMNS = ["A 0, nothing", "A 0, ESB", "A 0, IESB", "A 1, nothing", "A 1, ESB", "A 1, IESB"];
/** Synchronous aborts: same for both VHE, columns TGE TEA = 00 01 10 11. */
const ABORTS: Record<string, Record<string, string>> = {
  EL0: { "EA 0": " 1  2  2  2", "EA 1": "*1 *2 *2 *2" },
  EL1: { "EA 0": " 1  2  2  2", "EA 1": "*1 *2 *2 *2" },
  EL2: { "EA 0": " 2  2  2  2", "EA 1": "*2 *2 *2 *2" },
};
/** What a code stands for in the cells of one interrupted level: a level's own exceptions have vectors at 0x200, those of lower levels at 0x400. */
function words(code: string, interrupted: string, kind: "serror" | "synchronous"): string {
  const taken = (level: string) =>
    `${level} + 0x${(kind === "serror" ? (level === interrupted ? 0x380 : 0x580) : level === interrupted ? 0x200 : 0x400).toString(16)}`;
  const rest = code.replace("*", "");
  const text = { "1": taken("EL1"), "2": taken("EL2"), D: "DISR_EL1", p: "pending", "!": "last resort", i: "interrupt or polling" }[rest]!;
  return (code.startsWith("*") ? "EL3, " : "") + text;
}

describe("SErrors", () => {
  const cells = asynchronousCells();
  test("all cells are there", () => {
    expect(cells).toHaveLength(6 * 12 * 6);
  });
  for (const [block, rows] of Object.entries(SERRORS))
    test.each(Object.entries(rows))(`${block}: %s`, (row, codes) => {
      const found = COLUMNS.map((column) => cells.find((c) => c.block === block && c.row === row && c.column === column)!);
      const impossible = block.startsWith("EL1") && row.endsWith("TGE 1") ? " †" : "";
      expect(found.map((c) => c.text)).toEqual(
        codes
          .trim()
          .split(/\s+/)
          .map((code) => words(code, block.slice(0, 3), "serror") + impossible),
      );
      for (const { decision, column } of found) {
        expect(decision.reasons.length).toBeGreaterThan(1);
        expect(decision.disr).toBe(decision.how === "deferred" ? "syndrome" : "unchanged");
        expect(decision.firmwareVectorOffset).toBe(row.startsWith("EA 1") ? 0x580 : undefined);
        expect(decision.takenBy).toBe(row.startsWith("EA 1") ? "EL3" : decision.how === "exception" ? decision.at : undefined);
        const back = { nothing: "interrupted instruction", ESB: "ESB", IESB: block.startsWith("EL0") ? "interrupted instruction" : "entered vector" };
        const expected = decision.how === "deferred" && decision.takenBy === undefined ? "instruction after ESB" : back[column.slice(5) as keyof typeof back];
        expect(decision.returnsTo).toBe(expected);
      }
    });
  test("where no SError is needed an interrupt or polling tells, and DISR_EL1 is clear", () => {
    const rest = cells.filter((c) => c.row.endsWith("no SEI needed"));
    expect(rest).toHaveLength(6 * 4 * 6);
    for (const { decision, text } of rest) {
      expect(text.replace(" †", "")).toBe("EL3, interrupt or polling");
      expect(decision.disr).toBe("clear");
      expect(decision.firmware).toContain("clear DISR_EL1");
    }
  });
  test("every combination is either in the table by hand or needs no SError", () => {
    for (const c of cells) if (!c.row.endsWith("no SEI needed")) expect(SERRORS[c.block]?.[c.row], `${c.block}, ${c.row}`).toBeDefined();
  });
});

describe("synchronous external aborts", () => {
  const cells = synchronousCells();
  test.each(Object.entries(ABORTS).flatMap(([level, rows]) => Object.entries(rows).map(([ea, codes]) => [level, ea, codes] as const)))(
    "%s, %s",
    (level, ea, codes) => {
      for (const vhe of ["without", "with"])
        codes
          .trim()
          .split(/\s+/)
          .forEach((code, i) => {
            const row = `${ea}, TGE ${i >> 1}, TEA ${i & 1}`;
            const found = cells.find((c) => c.block === `${level}, ${vhe} VHE` && c.row === row)!;
            expect(found.text, row).toBe(words(code, level, "synchronous") + (level === "EL1" && i >= 2 ? " †" : ""));
            expect(found.decision.returnsTo).toBe("interrupted instruction");
            expect(found.decision.firmwareVectorOffset).toBe(ea === "EA 1" ? 0x400 : undefined);
          });
    },
  );
  test("PSTATE.A and AMO change nothing", () => {
    expect(cells).toHaveLength(48);
    for (const { situation, decision } of cells)
      for (const masked of [false, true]) for (const amo of [false, true]) expect(decideDelivery({ ...situation, masked, amo })).toEqual(decision);
  });
});

const base: Situation = {
  interrupted: "EL1",
  error: "asynchronous",
  vhe: false,
  masked: false,
  ea: true,
  amo: false,
  tge: false,
  tea: false,
  synchronized: "no",
};
const decide = (changes: Partial<Situation>) => decideDelivery({ ...base, ...changes });

describe("virtual SErrors", () => {
  // EL0 and EL1, A=0 {nothing, ESB}, A=1 {nothing, ESB}.
  test.each([
    ["AMO 0, TGE 0", "off off off off", "off off off off"],
    ["AMO 0, TGE 1", "off off off off", "off off off off"],
    ["AMO 1, TGE 0", "580 580 pending deferred", "380 380 pending deferred"],
    ["AMO 1, TGE 1", "off off off off", "off off off off"],
  ])("%s", (row, el0, el1) => {
    for (const [interrupted, codes] of [
      ["EL0", el0],
      ["EL1", el1],
    ] as const) {
      const found = codes
        .split(" ")
        .map((_, i) => decideVirtualSError({ interrupted, amo: row.includes("AMO 1"), tge: row.includes("TGE 1"), masked: i >= 2, esb: i % 2 === 1 }));
      expect(found.map((d) => (d.how === "impossible" ? "off" : d.how === "exception" ? d.vectorOffset!.toString(16) : d.how)).join(" ")).toBe(codes);
    }
  });
});

describe("decisions in words", () => {
  test("EL3 makes EL1 take an SError", () => {
    const decision = decide({});
    expect(decision.reasons).toEqual([
      "SCR_EL3.EA: EL3 takes it first, at VBAR_EL3 + 0x580",
      "HCR_EL2.TGE and AMO are clear: SErrors go to EL1",
      "EL3 makes EL1 take it at VBAR_EL1 + 0x380",
      "nothing synchronised errors when EL1 was entered: it may be another level's",
    ]);
    expect(decision.firmware).toEqual([
      "write the error record",
      "ESR_EL1 = ESR_EL3",
      "ELR_EL1 = ELR_EL3, so that its ERET goes to the interrupted instruction",
      "SPSR_EL1 = SPSR_EL3",
      "SPSR_EL3 = EL1h with D, A, I and F masked",
      "ELR_EL3 = VBAR_EL1 + 0x380",
      "ERET",
    ]);
  });
  test("masked, IESB on an interrupt's entry from EL0", () => {
    const decision = decide({ masked: true, synchronized: "iesb", enteredFrom: "EL0" });
    expect(decision).toMatchObject({ how: "deferred", disr: "syndrome", returnsTo: "entered vector", belongsTo: "EL0", belongsToIsCertain: true });
    expect(decision.reasons.at(-1)).toBe("IESB synchronised on the entry from EL0: the error belongs to EL0, not to EL1, which was entered");
    expect(decision.firmware).toEqual(["write the error record", "DISR_EL1 = A and the syndrome of ESR_EL3", "ERET to the entered vector"]);
  });
  test("an ESB does not keep an SError from EL3", () => {
    for (const interrupted of ["EL1", "EL2"] as const)
      expect(decide({ interrupted, masked: true, synchronized: "esb" })).toMatchObject({
        takenBy: "EL3",
        reasons: expect.arrayContaining([`an ESB at ${interrupted} does not keep SErrors from EL3`]),
      });
  });
  test.each([
    ["retry", "return and hope that the error is met again when it can be told"],
    ["reboot", "reset the machine: the record is found after boot"],
    ["tellAnotherProcessor", "interrupt another processor, whose software reads the record"],
  ] as const)("last resort: %s", (lastResort, words) => {
    const decision = decide({ masked: true, lastResort });
    expect(decision).toMatchObject({ how: "lastResort", lastResort });
    expect(decision.firmware).toEqual(["write the error record", words]);
    expect(decision.reasons).toContain(`last resort: ${words}`);
  });
  test("the last resort is to retry unless configured otherwise", () => {
    expect(decide({ masked: true }).lastResort).toBe("retry");
  });
  test("an ESB without EL3 defers in hardware", () => {
    expect(decide({ hasEl3: false, masked: true, synchronized: "esb" })).toMatchObject({
      how: "deferred",
      takenBy: undefined,
      firmware: [],
      returnsTo: "instruction after ESB",
      reasons: expect.arrayContaining(["there is no EL3, so there is no SCR_EL3.EA", "the ESB defers it: syndrome and A into DISR_EL1"]),
    });
  });
  test("without EL2 all is for EL1", () => {
    expect(decide({ hasEl2: false, amo: true, tge: true })).toMatchObject({ how: "emulated", at: "EL1", vectorOffset: 0x380 });
    expect(decide({ hasEl2: false, tge: true, error: "synchronous", interrupted: "EL0" })).toMatchObject({ at: "EL1", vectorOffset: 0x400 });
    expect(decide({ hasEl2: false, interrupted: "EL2" }).impossible).toBe("there is no EL2 to be interrupted");
  });
  test("a synchronous abort: its address and class go along", () => {
    const decision = decide({ error: "synchronous", interrupted: "EL0", tea: true });
    expect(decision.firmware).toContain("FAR_EL2 = FAR_EL3");
    expect(decision.firmware).toContain("ESR_EL2 = ESR_EL3, its EC for a lower level");
  });
  test("Linux can always be told, another system may not", () => {
    expect(canAlwaysTell({ name: "Linux", iesbAtEveryChange: true }).always).toBe(true);
    expect(canAlwaysTell({ name: "another system", iesbAtEveryChange: false })).toEqual({
      always: false,
      reason: "another system does not set IESB: an SError met while it masks them may have no one who looks into DISR_EL1",
    });
  });
});

test("every situation there can be has an answer that fits together", () => {
  let count = 0;
  for (const interrupted of ["EL0", "EL1", "EL2"] as const)
    for (const error of ["synchronous", "asynchronous"] as const)
      for (const synchronized of ["no", "esb", "iesb"] as const)
        for (const enteredFrom of [undefined, "EL0", "EL1"] as const)
          for (let flags = 0; flags < 1 << 10; flags++) {
            const flag = (n: number) => ((flags >> n) & 1) === 1;
            const [ea, hasEl2, hasEl3] = [flag(0), flag(1), flag(2)];
            const s: Situation = {
              ...{ interrupted, error, synchronized, ea, hasEl2, hasEl3, vhe: flag(3), masked: flag(4), amo: flag(5), tge: flag(6), tea: flag(7) },
              ...{ needsSei: flag(8), osUsesIesb: flag(9), ...(enteredFrom && { enteredFrom }) },
            };
            const d = decideDelivery(s);
            count++;
            const taken = d.how === "exception" || d.how === "emulated";
            const fits =
              (d.takenBy === "EL3") === (ea && hasEl3) &&
              (d.at === "EL1" || hasEl2 || interrupted === "EL2") &&
              taken === (d.vectorOffset !== undefined) &&
              (taken || error === "asynchronous") &&
              (d.how === "lastResort") === (d.lastResort !== undefined) &&
              (d.how !== "lastResort" || synchronized === "no") &&
              (d.takenBy === "EL3" || d.firmware.length === 0) &&
              !`${d.reasons} ${d.firmware}`.includes("undefined");
            if (!fits) expect.fail(JSON.stringify({ s, d }));
          }
  expect(count).toBe(55_296);
});

describe("whose error it is", () => {
  test.each([
    ["IESB, entry to EL1 from EL0", { synchronized: "iesb", enteredFrom: "EL0" }, "EL0", true],
    ["IESB, entry to EL2 from EL1", { synchronized: "iesb", interrupted: "EL2", enteredFrom: "EL1" }, "EL1", true],
    ["IESB, seen at EL0", { synchronized: "iesb", interrupted: "EL0" }, "EL0", true],
    ["IESB, origin not known", { synchronized: "iesb" }, "EL1", false],
    ["ESB, every change of level synchronised", { synchronized: "esb", osUsesIesb: true }, "EL1", true],
    ["ESB alone", { synchronized: "esb" }, "EL1", false],
    ["nothing, every change of level synchronised", { interrupted: "EL0", osUsesIesb: true }, "EL0", true],
    ["nothing at all", { interrupted: "EL0" }, "EL0", false],
    ["a synchronous abort", { error: "synchronous", interrupted: "EL0" }, "EL0", true],
  ] as const)("%s", (_name, changes, belongsTo, belongsToIsCertain) => {
    expect(decide(changes)).toMatchObject({ belongsTo, belongsToIsCertain });
  });
});

describe("firmware at EL3", () => {
  const judge = (action: FirmwareAction, changes: Partial<Situation> = {}) => judgeFirmware({ ...base, ...changes }, action);
  test.each([
    ["changeHcr", "HCR_EL2 is the hypervisor's"],
    ["injectVirtualSError", "a virtual SError from EL3 goes past the hypervisor"],
    ["unmaskSErrors", "software that masks SErrors cannot take an exception"],
  ] as const)("never: %s", (does, reason) => {
    for (const cell of asynchronousCells()) {
      const verdict = judgeFirmware(cell.situation, { does });
      expect(verdict.allowed).toBe(false);
      expect(verdict.reason).toContain(reason);
    }
  });
  test("the right exception, and wrong ones", () => {
    expect(judge({ does: "emulateException", at: "EL1", vectorOffset: 0x380, returnsTo: "interrupted instruction" })).toEqual({
      allowed: true,
      reason: "EL3 makes EL1 take it at VBAR_EL1 + 0x380",
    });
    expect(judge({ does: "emulateException", at: "EL2" })).toEqual({
      allowed: false,
      reason: "the exception belongs to EL1: HCR_EL2.TGE and AMO are clear: SErrors go to EL1",
    });
    expect(judge({ does: "emulateException", at: "EL1" }, { amo: true }).reason).toBe("the exception belongs to EL2: HCR_EL2.AMO: SErrors go to EL2");
    expect(judge({ does: "emulateException", at: "EL1", vectorOffset: 0x200 }).reason).toBe("the vector is at + 0x380, not + 0x200");
    expect(judge({ does: "emulateException", at: "EL1", returnsTo: "ESB" }).reason).toBe("ELR_EL1 must lead back to the interrupted instruction");
    expect(judge({ does: "emulateException", at: "EL1" }, { masked: true })).toMatchObject({ allowed: false });
    expect(judge({ does: "emulateException", at: "EL1" }, { needsSei: false })).toMatchObject({ allowed: false });
    expect(judge({ does: "emulateException", at: "EL1" }, { ea: false }).reason).toBe("EL3 does not take this error: SCR_EL3.EA is clear");
  });
  test("DISR_EL1 only for those who look into it", () => {
    expect(judge({ does: "writeDisr" }, { masked: true, synchronized: "esb" }).allowed).toBe(true);
    expect(judge({ does: "writeDisr" }, { masked: true, synchronized: "iesb" }).allowed).toBe(true);
    expect(judge({ does: "writeDisr" }).reason).toBe("EL1 can take the exception; a syndrome in DISR_EL1 may never be read");
    expect(judge({ does: "writeDisr" }, { masked: true }).reason).toBe("nothing synchronised the error: nobody looks into DISR_EL1");
    expect(judge({ does: "writeDisr" }, { needsSei: false }).reason).toBe("the error needs no SError: DISR_EL1 stays clear");
  });
  test("the configured last resort, and only then", () => {
    for (const lastResort of ["retry", "reboot", "tellAnotherProcessor"] as LastResort[])
      for (const does of ["retry", "reboot", "tellAnotherProcessor"] as LastResort[]) {
        expect(judge({ does }, { masked: true, lastResort }).allowed).toBe(does === lastResort);
        expect(judge({ does }, { lastResort }).allowed).toBe(false);
      }
  });
  test("interrupt or polling only where no SError is needed", () => {
    expect(judge({ does: "interruptOrPolling" }, { needsSei: false }).allowed).toBe(true);
    expect(judge({ does: "clearDisr" }, { needsSei: false }).allowed).toBe(true);
    expect(judge({ does: "interruptOrPolling" }).allowed).toBe(false);
  });
  test("exactly one way is right in every cell", () => {
    for (const { situation, decision } of asynchronousCells().filter((c) => c.situation.ea)) {
      const tried: FirmwareAction[] = [
        { does: "emulateException", at: "EL1" },
        { does: "emulateException", at: "EL2" },
        { does: "writeDisr" },
        { does: "retry" },
        { does: "interruptOrPolling" },
      ];
      expect(tried.filter((action) => judgeFirmware(situation, action).allowed).length, JSON.stringify(decision)).toBe(1);
    }
  });
});

describe("a monitor", () => {
  test.each([
    ["reuseHostSyndrome", undefined, false],
    ["runGuestFirmware", undefined, false],
    ["injectVirtualSError", false, false],
    ["injectVirtualSError", undefined, false],
    ["injectVirtualSError", true, true],
    ["useOwnSyndrome", undefined, true],
  ] as const)("%s, registers its own: %s", (does, owns, allowed) => {
    expect(judgeMonitor({ does, ...(owns !== undefined && { ownsHypervisorRegisters: owns }) }).allowed).toBe(allowed);
  });
});

test("the document is up to date (vitest -u writes it)", async () => {
  await expect(deliveryDocument()).toMatchFileSnapshot("../../docs/arm64-delivery.md");
});
