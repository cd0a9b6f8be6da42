/** A finished run as text and as JSON. */
import { type BLOCK_SEVERITY, statusBlockFormat } from "../acpi/status-block.ts";
import { sectionTypes } from "../cper/registry.ts";
import { bytesToHex, hexNumber, type Json, type Tree, treeLines } from "../layout/index.ts";
import { storedLine, storedRecords } from "./error-store.ts";
import type { RunResult } from "./runner.ts";
import { PHYSICAL_LANES, timelineLines, wrapped } from "./timeline.ts";

const format = statusBlockFormat(sectionTypes);
export type Severity = keyof typeof BLOCK_SEVERITY;

const OUTCOME = {
  running: (system: string) => `the ${system} goes on`,
  panicked: (system: string) => `the ${system} kernel has panicked`,
  ended: () => "the machine has ended",
} as const;

/** What became of the records of every source, one line each. */
export function accountLines(result: RunResult): string[] {
  const lines = (accounts: RunResult["accounts"], whose: string, unread: readonly number[]) =>
    Object.entries(accounts).map(([id, { submitted, ...parts }]) => {
      const words = Object.entries(parts).filter(([, count]) => count > 0);
      return `${whose}source ${id}: ${submitted} ${submitted === 1 ? "error" : "errors"}${words.length === 0 ? "" : `: ${words.map(([name, count]) => `${count} ${name}`).join(", ")}`}${unread.includes(Number(id)) ? "; the last one lies unread" : ""}`;
    });
  return [
    ...lines(result.accounts, "", result.unread),
    ...lines(result.hostAccounts ?? {}, result.lanes.kernel === PHYSICAL_LANES.kernel ? "hypervisor " : "host ", result.hostUnread),
  ];
}

const indented = (lines: readonly string[]) => (lines.length === 0 ? ["  nothing"] : lines.map((line) => `  ${line}`));

/** Characters of a line of prose. */
const PROSE = 120;

/** @param records whether the decoded records and the guest's kernel log follow the timeline. */
export function runLines(result: RunResult, records: boolean): string[] {
  const about = result.about === undefined ? [] : ["", ...wrapped(result.about, PROSE)];
  const lines = [
    result.name,
    ...about,
    "",
    ...timelineLines(result.timeline, result.lanes),
    "",
    ...accountLines(result),
    `outcome: ${OUTCOME[result.outcome](result.lanes.guest)}`,
  ];
  if (result.store) lines.push("", "left in the error record store:", ...indented(storedRecords(result.store).map(storedLine)));
  if (result.missing.length > 0) lines.push("", "what should be there and is not:", ...indented(result.missing));
  if (!records) return lines;
  for (const [i, { source, block }] of result.records.entries())
    lines.push("", `record ${i + 1}, read from source ${source}:`, ...format.tree(block).flatMap((tree: Tree) => treeLines(tree, 1)));
  if (result.kernelLog.length > 0) lines.push("", "kernel log of the guest:", ...result.kernelLog.map((line) => `  ${line}`));
  return lines;
}

/** The whole run for machines. */
export function runJson(result: RunResult): { [key: string]: Json } {
  return {
    name: result.name,
    ...(result.about !== undefined && { about: result.about }),
    outcome: result.outcome,
    timeline: result.timeline.map(({ at, from, to, what, text, bad, data }) => ({
      at,
      from,
      ...(to && { to }),
      what,
      text,
      ...(bad && { bad }),
      ...(data && { data: { ...data } }),
    })),
    records: result.records.map(({ source, bytes, block }) => ({ source, bytes: bytesToHex(bytes), block: format.toJson(block) })),
    accounts: Object.fromEntries(Object.entries(result.accounts).map(([id, account]) => [id, { ...account }])),
    ...(result.hostAccounts && { hostAccounts: Object.fromEntries(Object.entries(result.hostAccounts).map(([id, account]) => [id, { ...account }])) }),
    unread: [...result.unread],
    ...(result.hostUnread.length > 0 && { hostUnread: [...result.hostUnread] }),
    isolatedPages: result.isolatedPages.map(hexNumber),
    kernelLog: [...result.kernelLog],
    ...(result.store && { store: storedRecords(result.store).map(({ id, bytes }) => ({ id: hexNumber(id), bytes: bytesToHex(bytes) })) }),
    missing: [...result.missing],
  };
}
