/** The guest kernel's words beside the predicted ones. */
import { ANYTHING, KERNELS, type KernelVersion } from "../guest/report/words.ts";

/** A message's time and, when the kernel was made to say so, whose it is. */
const STAMP = /\[ *[0-9]+\.[0-9]{6}\](\[ *[A-Z]?[0-9]+\])? /;

/** The kernel's first words: what stands before them the firmware has left there. */
const NO_PROGRAMS_YET = /^\[ *0\.000000\]/;

/**
 * Lines of a console. The kernel prints whole lines, but does not wait until a program has ended its own: what the
 * program had printed is put before the rest of it.
 */
export function consoleLines(output: string): string[] {
  const lines: string[] = [];
  let begun = "";
  for (const line of output.split("\n")) {
    const stamp = line.search(STAMP);
    if (stamp >= 0) {
      const [before, said] = [line.slice(0, stamp), line.slice(stamp)];
      if (!NO_PROGRAMS_YET.test(said)) begun += before;
      else if (before !== "") lines.push(before);
      lines.push(said);
    } else {
      lines.push(begun + line);
      begun = "";
    }
  }
  return begun === "" ? lines : [...lines, begun];
}
/** Whether a line of a console is the kernel's. */
export const isKernelLine = (line: string): boolean => line.search(STAMP) === 0;
/** The same without the kernel's time stamps. */
export const plainLines = (output: string): string[] => consoleLines(output).map((line) => (isKernelLine(line) ? line.replace(STAMP, "") : line));

/** What stands among the lines of a report, without its number, about a section that cannot be as long as it is. */
const SECTION_COMPLAINT = /^\[Firmware Warn\]: (error section length is too small|valid bits set for fields beyond structure)$/;
/** What the kernel says of a record after its report: what it made of it, or why nothing. */
const AFTERMATH = [
  /^Memory failure: \S+: (recovery action for|already hardware poisoned|memory outside kernel control)/,
  /^(\[Firmware Warn\]: )?CXL CPER /,
  /^\[Firmware Warn\]: GHES: (Invalid address in generic error data|Unhandled processor error type)/,
  /^\[Firmware Bug\]: (arm error length: |section length: |(section )?length is too small|firmware-generated error record is incorrect)/,
  /^AER: .*no pci_dev/,
  /: synchronous unrecoverable error/,
  // That machine checks were logged it says now and then only, that one was too much for a program when it is.
  /^mce: (?!.*: Machine check events logged$|Memory error not recovered$)/,
  /^\S+ [0-9a-f]{4}:[0-9a-f]{2}:[0-9a-f]{2}\.[0-7]: ((AER: )?(aer_| {2}TLP Header)| {3}\[)/,
];
/** A kernel that is in trouble itself. */
export const isTrouble = (line: string): boolean => /^(BUG: |WARNING: |kernel BUG at |general protection fault|Unable to handle kernel )/.test(line);
export const isAftermath = (line: string): boolean => AFTERMATH.some((pattern) => pattern.test(line)) || isTrouble(line);
/** What of it is said by workers, which a kernel in trouble may have no more. */
export const isLate = (line: string): boolean => /^(mce|Memory failure): /.test(line);
/** What a driver of error sources says of a record: reports with their number, and complaints. */
export const isReport = (line: string): boolean =>
  (/^\{[0-9]+\}\[Hardware Error\]: |^\[Firmware Warn\]: (GHES: )?[A-Z]|^GHES: /.test(line) || SECTION_COMPLAINT.test(line)) && !isAftermath(line);
/** What is said about the source table when the kernel starts. */
export const isTableLine = (line: string): boolean =>
  /^(\[Firmware (Warn|Bug)\]: )?(APEI|HEST|GHES): |^GHES GHES\.[0-9]+: probe |Incorrect checksum in table \[HEST\]/.test(line);
/** What is said about errors before this boot. */
export const isBootLine = (line: string): boolean => /^BERT: |^\[Hardware Error\]: /.test(line) || SECTION_COMPLAINT.test(line);

/** What the drivers of an error record store say; how messages are compressed depends on how the kernel was made. */
export const isStoreLine = (line: string): boolean => /^(ERST|pstore): /.test(line) && !line.startsWith("pstore: Using crash dump compression");
const DEATH = /^(sysrq: Trigger a crash|Kernel panic - not syncing: )/;
/** What a kernel says of the errors it dies of. */
export const isLastWord = (line: string): boolean => isReport(line) || DEATH.test(line);

/** Bytes of memory that have descriptions of their pages, or have not, as a whole. */
const SECTION = 1n << 27n;
/** Whether the kernel has descriptions of an address's page, by what it says of memory when it starts; undefined when it says nothing. */
export function memoryOf(output: string): ((address: bigint) => boolean) | undefined {
  const ranges = [...output.matchAll(/ node +[0-9]+: \[mem 0x([0-9a-f]+)-0x([0-9a-f]+)\]/g)].map(
    ([, first, last]) => [BigInt(`0x${first}`), BigInt(`0x${last}`)] as const,
  );
  if (ranges.length === 0) return undefined;
  return (address) => ranges.some(([first, last]) => address / SECTION >= first / SECTION && address / SECTION <= last / SECTION);
}

/**
 * What a console shows of messages: no carriage returns. Text in a record may break a message into lines that show no
 * more whose they are; of empty ones nothing is said.
 */
export const shown = (messages: readonly string[]): string[] => messages.map((line) => line.replaceAll("\r", "")).filter((line) => line !== "");
/** Picks lines of a kind, and what was predicted, whatever it looks like. */
export function likely(isOfKind: (line: string) => boolean, predicted: readonly string[]): (line: string) => boolean {
  const known = new Set(predicted);
  return (line) => isOfKind(line) || known.has(line);
}

export interface KernelName {
  /** What it says itself. */
  readonly release: string;
  /** The kernel whose behaviour is predicted. */
  readonly version: KernelVersion;
}

/** Which predictions fit a kernel: those of the newest one that is not newer. */
export function kernelOf(output: string): KernelName {
  const release = /Linux version (\S+)/.exec(output)?.[1] ?? "";
  const number = (text: string) => text.split(".").reduce((sum, part, i) => sum + (Number.parseInt(part, 10) || 0) / 1000 ** i, 0);
  const known = (Object.keys(KERNELS) as KernelVersion[]).sort((a, b) => number(a) - number(b));
  const own = number(release.split(".").slice(0, 2).join("."));
  return { release, version: known.findLast((version) => number(version) <= own) ?? known[0]! };
}

export interface ComparedLine {
  /** `same`, predicted but not printed, or printed but not predicted. */
  readonly kind: "same" | "missing" | "unexpected";
  readonly text: string;
}

/** Whether a line is as predicted, where a prediction may leave parts open. */
function isAsPredicted(predicted: string, printed: string | undefined): boolean {
  if (printed === undefined || !predicted.includes(ANYTHING)) return predicted === printed;
  const parts = predicted.split(ANYTHING);
  const [end = ""] = parts.splice(-1);
  let at = 0;
  for (const [i, part] of parts.entries()) {
    const found = printed.indexOf(part, at);
    if (found < 0 || (i === 0 && found > 0)) return false;
    at = found + part.length;
  }
  return printed.length - at >= end.length && printed.endsWith(end);
}

/** Lines beside lines: the longest common part is the same. */
export function compareLines(predicted: readonly string[], printed: readonly string[]): ComparedLine[] {
  // Mostly all is: only what lies between the first and the last difference takes time and room.
  const least = Math.min(predicted.length, printed.length);
  let start = 0;
  while (start < least && isAsPredicted(predicted[start]!, printed[start])) start++;
  let end = 0;
  while (end < least - start && isAsPredicted(predicted.at(-1 - end)!, printed.at(-1 - end))) end++;
  const same = (lines: readonly string[]) => lines.map((text): ComparedLine => ({ kind: "same", text }));
  return [
    ...same(printed.slice(0, start)),
    ...compareParts(predicted.slice(start, predicted.length - end), printed.slice(start, printed.length - end)),
    ...same(printed.slice(printed.length - end)),
  ];
}
function compareParts(predicted: readonly string[], printed: readonly string[]): ComparedLine[] {
  const common: number[][] = Array.from({ length: predicted.length + 1 }, () => new Array<number>(printed.length + 1).fill(0));
  for (let i = predicted.length - 1; i >= 0; i--)
    for (let k = printed.length - 1; k >= 0; k--)
      common[i]![k] = isAsPredicted(predicted[i]!, printed[k]) ? common[i + 1]![k + 1]! + 1 : Math.max(common[i + 1]![k]!, common[i]![k + 1]!);
  const out: ComparedLine[] = [];
  let i = 0;
  let k = 0;
  while (i < predicted.length || k < printed.length) {
    if (i < predicted.length && k < printed.length && isAsPredicted(predicted[i]!, printed[k])) {
      out.push({ kind: "same", text: printed[k++]! });
      i++;
    } else if (k >= printed.length || (i < predicted.length && common[i + 1]![k]! >= common[i]![k + 1]!)) out.push({ kind: "missing", text: predicted[i++]! });
    else out.push({ kind: "unexpected", text: printed[k++]! });
  }
  return out;
}

/** The same for lines that come in any order. */
export function compareUnordered(predicted: readonly string[], printed: readonly string[]): ComparedLine[] {
  // A prediction that leaves nothing open takes its line before others can.
  const left = [...predicted].sort((a, b) => Number(a.includes(ANYTHING)) - Number(b.includes(ANYTHING)));
  const out = printed.map((text): ComparedLine => {
    const at = left.findIndex((line) => isAsPredicted(line, text));
    if (at >= 0) left.splice(at, 1);
    return { kind: at >= 0 ? "same" : "unexpected", text };
  });
  return [...out, ...predicted.filter((line) => left.includes(line)).map((text): ComparedLine => ({ kind: "missing", text }))];
}

/** One thing that was predicted and looked at. */
export interface Comparison {
  readonly title: string;
  readonly lines: readonly ComparedLine[];
}

export const differ = (lines: readonly ComparedLine[]): boolean => lines.some(({ kind }) => kind !== "same");
