/** A finished run on a real machine, for people and for machines. */
import { bytesToHex, type Json } from "../layout/index.ts";
import { timelineLines } from "../scenario/timeline.ts";
import type { ComparedLine } from "./kernel-log.ts";
import { type Comparison, differ } from "./kernel-log.ts";
import type { RealRunResult } from "./run.ts";

const SIGN: Readonly<Record<ComparedLine["kind"], string>> = { same: " ", missing: "-", unexpected: "+" };
const COLOUR: Readonly<Record<ComparedLine["kind"], string>> = { same: "", missing: "\u001b[31m", unexpected: "\u001b[33m" };
const OUTCOME = { running: "the guest goes on", panicked: "the guest kernel has panicked", ended: "the machine has ended" } as const;

const compared = ({ lines }: Comparison, colour: boolean): string[] =>
  lines.map(({ kind, text }) => (colour && COLOUR[kind] !== "" ? `${COLOUR[kind]}  ${SIGN[kind]} ${text}\u001b[0m` : `  ${SIGN[kind]} ${text}`));
const headed = (title: string, comparison: Comparison, colour: boolean): string[] =>
  comparison.lines.length === 0
    ? [`${title}: nothing predicted, nothing printed`]
    : [`${title}: ${differ(comparison.lines) ? "NOT as predicted (- predicted only, + printed only)" : "as predicted"}`, ...compared(comparison, colour)];

/** @param colour whether differences are coloured. */
export function realRunLines(result: RealRunResult, colour = false): string[] {
  const { name, qemu, firmware, kernel, boot, records, checks, skipped, further } = result;
  const unexpected = records.filter(({ expectedToBeSeen, acknowledgedAfter }) => expectedToBeSeen !== (acknowledgedAfter !== undefined)).length;
  return [
    name,
    `QEMU ${qemu}, ${firmware}, Linux ${kernel.release} (predicted as ${kernel.version})`,
    "",
    ...timelineLines(result.timeline),
    ...boot.flatMap((part) => ["", ...headed(part.title, part, colour)]),
    ...records.flatMap((record, i) => ["", ...headed(`Record ${i + 1}, ${record.title}`, record, colour)]),
    ...checks.flatMap((part) => ["", ...headed(part.title, part, colour)]),
    ...(further.length === 0 ? [] : ["", "The guest also said:", ...further.map((line) => `    ${line}`)]),
    ...(skipped.length === 0 ? [] : ["", ...skipped.map((line) => `not done: ${line}`)]),
    "",
    `outcome: ${OUTCOME[result.outcome]}${result.outcome === result.predictedOutcome ? ", as predicted" : `; predicted: ${OUTCOME[result.predictedOutcome]}`}`,
    result.differs
      ? `The real thing and the prediction differ${unexpected > 0 ? `: ${unexpected} acknowledgement${unexpected === 1 ? "" : "s"} not as predicted` : ""}.`
      : verdict(result),
  ];
}

/** What nothing differs in may be little. */
const verdict = ({ done, events }: RealRunResult): string =>
  done === events
    ? "The real thing is as predicted."
    : done === 0
      ? "The start is as predicted; nothing of what happens then can be done on a real machine."
      : `The real thing is as predicted, as far as it can be done: ${done} of ${events} events.`;

const comparisonJson = ({ title, lines }: Comparison): { [key: string]: Json } => ({
  title,
  asPredicted: !differ(lines),
  lines: lines.map(({ kind, text }) => ({ kind, text })),
});

export function realRunJson(result: RealRunResult): { [key: string]: Json } {
  return {
    name: result.name,
    qemu: result.qemu,
    firmware: result.firmware,
    kernel: { ...result.kernel },
    asPredicted: !result.differs,
    outcome: result.outcome,
    predictedOutcome: result.predictedOutcome,
    timeline: result.timeline.map(({ at, from, to, what, text, bad }) => ({ at, from, ...(to && { to }), what, text, ...(bad && { bad }) })),
    boot: result.boot.map(comparisonJson),
    records: result.records.map((record) => ({
      ...comparisonJson(record),
      source: record.source,
      bytes: bytesToHex(record.block),
      expectedToBeSeen: record.expectedToBeSeen,
      acknowledgedAfter: record.acknowledgedAfter ?? null,
    })),
    checks: result.checks.map(comparisonJson),
    further: [...result.further],
    skipped: [...result.skipped],
    done: result.done,
    events: result.events,
  };
}
