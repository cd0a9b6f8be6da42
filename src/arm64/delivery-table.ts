/** The complete decision table of error delivery, cell by cell, and the document that shows it. */
import { hexNumber, valueLabel } from "../layout/index.ts";
import { canAlwaysTell, type Delivery, decideDelivery, decideVirtualSError, judgeFirmware, judgeMonitor, type Situation } from "./delivery.ts";
import { SET_EVENTS_RULES } from "./kvm-events.ts";
import { ASYNCHRONOUS_ERROR_TYPE } from "./registers.ts";
import { serrorVerdict } from "./syndrome.ts";

export interface Cell {
  readonly block: string;
  readonly row: string;
  readonly column: string;
  readonly situation: Situation;
  readonly decision: Delivery;
  readonly text: string;
}

const flag = (name: string, value: boolean) => `${name} ${value ? 1 : 0}`;
const both = [false, true] as const;
const LEVELS = ["EL0", "EL1", "EL2"] as const;
const SYNCHRONIZED = ["no", "esb", "iesb"] as const;
const COLUMN = { no: "nothing", esb: "ESB", iesb: "IESB" } as const;

/** A decision in short: who takes it first, then who is told and at which vector, or what happens instead. */
export function shortDecision(decision: Delivery): string {
  const first = decision.takenBy === "EL3" ? "EL3, " : "";
  const mark = decision.impossible === undefined ? "" : " †";
  const vector = `${decision.at} + ${hexNumber(decision.vectorOffset ?? 0)}`;
  const then = {
    exception: vector,
    emulated: vector,
    deferred: "DISR_EL1",
    pending: "pending",
    lastResort: "last resort",
    otherNotification: "interrupt or polling",
  }[decision.how];
  return first + then + mark;
}

const cell = (block: string, row: string, column: string, situation: Situation): Cell => {
  const decision = decideDelivery(situation);
  return { block, row, column, situation, decision, text: shortDecision(decision) };
};
const blockName = (interrupted: Situation["interrupted"], vhe: boolean) => `${interrupted}, ${vhe ? "with" : "without"} VHE`;

/** Every cell for SErrors: 3 levels, VHE, EA, AMO, TGE, whether one is needed, PSTATE.A and what synchronised. */
export function asynchronousCells(): Cell[] {
  const cells: Cell[] = [];
  for (const interrupted of LEVELS)
    for (const vhe of both)
      for (const [ea, needsSei] of [
        [false, true],
        [true, true],
        [true, false],
      ] as const)
        for (const amo of both)
          for (const tge of both)
            for (const masked of both)
              for (const synchronized of SYNCHRONIZED)
                cells.push(
                  cell(
                    blockName(interrupted, vhe),
                    needsSei ? [flag("EA", ea), flag("AMO", amo), flag("TGE", tge)].join(", ") : `${flag("EA", ea)}, no SEI needed`,
                    `${flag("A", masked)}, ${COLUMN[synchronized]}`,
                    { interrupted, error: "asynchronous", vhe, masked, ea, amo, tge, tea: false, synchronized, needsSei },
                  ),
                );
  return cells;
}

/** Every cell for synchronous external aborts; PSTATE.A and AMO do not matter to them. */
export function synchronousCells(): Cell[] {
  const cells: Cell[] = [];
  for (const interrupted of LEVELS)
    for (const vhe of both)
      for (const ea of both)
        for (const tge of both)
          for (const tea of both)
            cells.push(
              cell(blockName(interrupted, vhe), [flag("EA", ea), flag("TGE", tge), flag("TEA", tea)].join(", "), "any", {
                interrupted,
                error: "synchronous",
                vhe,
                masked: false,
                ea,
                amo: false,
                tge,
                tea,
                synchronized: "no",
              }),
            );
  return cells;
}

const unique = (items: readonly string[]) => [...new Set(items)];
const line = (cells: readonly string[]) => `| ${cells.join(" | ")} |`;

function grid(cells: readonly Cell[], rows: readonly string[], columns: readonly string[], corner: string): string[] {
  return [
    line([corner, ...columns]),
    `|${"---|".repeat(columns.length + 1)}`,
    ...rows.map((row) => line([row, ...columns.map((column) => cells.find((c) => c.row === row && c.column === column)!.text)])),
  ];
}

/** The decision table and what goes with it, as Markdown. */
export function deliveryDocument(): string {
  const asynchronous = asynchronousCells();
  const synchronous = synchronousCells();
  const columns = unique(asynchronous.map((c) => c.column));
  const out = [
    "# Delivery of errors on arm64",
    "",
    "Generated from `src/arm64`. EA is SCR_EL3.EA (0 also stands for a processor without EL3); AMO, TGE and TEA are in HCR_EL2; A is PSTATE.A.",
    "A cell reads: `EL1 + 0x380`, EL1 takes it at that offset from VBAR_EL1; `EL3, EL1 + 0x380`, EL3 takes it first and its firmware makes EL1",
    "take it; `DISR_EL1`, the syndrome is deferred into that register, by the ESB or after `EL3,` by firmware; `pending`, it waits until the level can take it;",
    "`last resort`, firmware can tell nobody and returns, resets or interrupts another processor, as configured.",
    "† cannot come about: with TGE nothing runs at EL1.",
    "",
    "Runs that show these decisions step by step, with every register: [the gallery of scenarios](scenarios.md#delivery-on-arm64).",
    "",
    "## SErrors",
    "",
    "The columns say whether SErrors are masked and what synchronised the error: nothing, an ESB instruction, or IESB at a change of level.",
    "The final ERET goes back to the interrupted instruction, to the ESB, or to the vector that was entered; where an ESB defers, execution simply goes on after it.",
  ];
  for (const block of unique(asynchronous.map((c) => c.block))) {
    const cells = asynchronous.filter((c) => c.block === block);
    out.push("", `### ${block}`, "", ...grid(cells, unique(cells.map((c) => c.row)), columns, ""));
  }
  out.push("", "## Synchronous external aborts", "", "PSTATE.A and AMO do not matter. The final ERET goes back to the interrupted instruction.", "");
  const blocks = unique(synchronous.map((c) => c.block));
  const turned = synchronous.map((c) => ({ ...c, column: c.block }));
  out.push(...grid(turned, unique(synchronous.map((c) => c.row)), blocks, ""));
  out.push("", "## Virtual SErrors", "", "HCR_EL2.VSE is set; the syndrome is in VSESR_EL2.", "");
  out.push(line(["", ...VIRTUAL_COLUMNS.map(([label]) => label)]), `|${"---|".repeat(VIRTUAL_COLUMNS.length + 1)}`);
  for (const amo of both)
    for (const tge of both) {
      const row = VIRTUAL_COLUMNS.map(([, rest]) => {
        const { how, vectorOffset } = decideVirtualSError({ amo, tge, ...rest });
        return { exception: `EL1 + ${hexNumber(vectorOffset ?? 0)}`, deferred: "VDISR_EL2", pending: "pending", impossible: "off" }[how];
      });
      out.push(line([`${flag("AMO", amo)}, ${flag("TGE", tge)}`, ...row]));
    }
  out.push(
    "",
    "## Whose error it is",
    "",
    line(["Synchronised by", "Interrupted", "Entered from", "IESB at every change", "Belongs to", "Certain"]),
    "|---|---|---|---|---|---|",
  );
  for (const [synchronized, interrupted, enteredFrom, osUsesIesb] of ATTRIBUTION) {
    const decision = decideDelivery({
      ...{ error: "asynchronous", vhe: false, masked: false, ea: true, amo: false, tge: false, tea: false },
      ...{ interrupted, synchronized, osUsesIesb, ...(enteredFrom && { enteredFrom }) },
    });
    out.push(
      line([COLUMN[synchronized], interrupted, enteredFrom ?? "", osUsesIesb ? "yes" : "no", decision.belongsTo, decision.belongsToIsCertain ? "yes" : "no"]),
    );
  }
  out.push("", "## Who can always be told", "", line(["System", "Sets SCTLR_ELx.IESB", "Always", "Why"]), "|---|---|---|---|");
  for (const [name, iesbAtEveryChange] of [
    ["Linux", true],
    ["FreeBSD", false],
  ] as const) {
    const { always, reason } = canAlwaysTell({ name, iesbAtEveryChange });
    out.push(line([name, iesbAtEveryChange ? "yes" : "no", always ? "yes" : "no", reason]));
  }
  out.push("", "## What is refused", "", line(["Who", "What", "Why"]), "|---|---|---|");
  const anywhere: Situation = {
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
  for (const [does, words] of [
    ["changeHcr", "changes HCR_EL2"],
    ["injectVirtualSError", "injects a virtual SError"],
    ["unmaskSErrors", "clears PSTATE.A of the interrupted software"],
  ] as const)
    out.push(line(["firmware at EL3", words, judgeFirmware(anywhere, { does }).reason]));
  for (const [does, words] of [
    ["reuseHostSyndrome", "reuses the host's syndrome"],
    ["runGuestFirmware", "lets guest firmware run"],
    ["injectVirtualSError", "injects a virtual SError with registers that are not its own"],
  ] as const)
    out.push(line(["monitor", words, judgeMonitor({ does, ownsHypervisorRegisters: false }).reason]));
  out.push("", "## SError severity", "", line(["AET", "Severity", "Linux", "KVM, for a guest"]), "|---|---|---|---|");
  for (let aet = 0; aet < 8; aet++) {
    const verdict = serrorVerdict((BigInt(aet) << 10n) | 0x11n);
    const name = Object.entries(ASYNCHRONOUS_ERROR_TYPE).find(([, entry]) => entry[0] === aet)?.[0];
    out.push(line([`${aet}${name ? ` ${valueLabel(ASYNCHRONOUS_ERROR_TYPE, name)}` : ""}`, verdict.words, verdict.linuxWords, verdict.kvmWords]));
  }
  for (const [label, syndrome] of [
    ["DFSC is not 0x11", 0n],
    ["IDS is 1", 1n << 24n],
  ] as const) {
    const verdict = serrorVerdict(syndrome);
    out.push(line([label, verdict.words, verdict.linuxWords, verdict.kvmWords]));
  }
  out.push("", "## KVM_SET_VCPU_EVENTS", "", "Rules in the order they are applied; what one has done stays done when a later one fails.", "");
  out.push(line(["", "Condition", "Dialect", "Result"]), "|--:|---|---|---|");
  SET_EVENTS_RULES.forEach((rule, i) => {
    out.push(
      line([`${i + 1}`, rule.words, rule.dialects?.join(", ") ?? "all", rule.result === undefined ? "go on" : rule.result === 0 ? "0" : `-${rule.result}`]),
    );
  });
  return `${out.join("\n")}\n`;
}

const VIRTUAL_COLUMNS = (["EL0", "EL1"] as const).flatMap((interrupted) =>
  both.flatMap((masked) => both.map((esb) => [`${interrupted}, ${flag("A", masked)}${esb ? ", ESB" : ""}`, { interrupted, masked, esb }] as const)),
);
const ATTRIBUTION: readonly (readonly [Situation["synchronized"], Situation["interrupted"], "EL0" | "EL1" | undefined, boolean])[] = [
  ["iesb", "EL1", "EL0", true],
  ["iesb", "EL2", "EL0", true],
  ["iesb", "EL2", "EL1", true],
  ["iesb", "EL1", "EL1", true],
  ["iesb", "EL1", undefined, false],
  ["esb", "EL1", undefined, true],
  ["esb", "EL1", undefined, false],
  ["no", "EL0", undefined, true],
  ["no", "EL0", undefined, false],
  ["no", "EL1", undefined, true],
  ["no", "EL1", undefined, false],
];
