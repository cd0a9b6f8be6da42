/** What a dying guest leaves in its error record store beside what is predicted: its last messages, and the machine check it dies of. */
import { RecordHeader, SectionDescriptor } from "../cper/record.ts";
import { type CperRecord, parseRecord } from "../cper/record-codec.ts";
import { LinuxMachineCheck } from "../cper/sections/linux-pstore.ts";
import { MOST_STORED, messageRecord, messageText, readStoredLine } from "../guest/pstore.ts";
import { hexNumber, type Json, toJson } from "../layout/index.ts";
import type { storedRecords } from "../scenario/error-store.ts";
import { consoleLines, isKernelLine, isLastWord } from "./kernel-log.ts";

/** Seconds the clocks of guest and host may differ. */
const CLOCKS = 5;

/** Messages, each with its level. */
export type LastWords = readonly string[];

/** Something the guest's kernel stores its messages over. */
export interface Death {
  /** As the kernel calls it. */
  readonly why: "Panic" | "Oops";
  /** What it says last of errors and death. */
  readonly words: LastWords;
  /** The machine check it dies of, which is stored before. */
  readonly machineCheck?: MachineCheckRegisters;
}
export interface MachineCheckRegisters {
  readonly bank: number;
  readonly status: bigint;
  readonly globalStatus: bigint;
  readonly address?: bigint;
  readonly misc?: bigint;
}

type Stored = ReturnType<typeof storedRecords>[number];
/** Records of one dump: the newest messages first. */
interface Dump {
  readonly machineCheck?: Stored;
  readonly parts: readonly Stored[];
}
export interface ComparedDeaths {
  readonly predicted: readonly string[];
  readonly actual: readonly string[];
}

/**
 * @param fresh records the guest has stored.
 * @param console all the guest printed.
 * @param started when it was started, seconds since 1970.
 * @param full whether the store has no room left, so that records may be missing.
 */
export function compareDeaths(fresh: readonly Stored[], deaths: readonly Death[], console: string, started: number, full: boolean): ComparedDeaths {
  const records = [...fresh].sort((a, b) => (a.id < b.id ? -1 : 1));
  const dumps = dumpsOf(records);
  const first = records[0] && Number(records[0].id >> 32n);
  const predicted: string[] = [];
  const actual: string[] = [];
  // What the console does not show cannot be compared with it.
  const shown = !/Kernel command line:.*\b(quiet|loglevel=[0-6])\b/.test(console);
  for (let i = 0; i < Math.max(deaths.length, dumps.length); i++) {
    const { why, words, machineCheck } = deaths[i] ?? {};
    const { machineCheck: stored, parts } = dumps[i] ?? { parts: [] };
    if (machineCheck) predicted.push(machineCheckLine(machineCheck));
    if (stored) actual.push(machineCheckLine(stored.record.sections[0]!.body!.value as MachineCheckRegisters));
    for (const [k, { id, record }] of parts.entries()) {
      const oddities = oddnessOf(record, `${why}#${i + 1} Part${k + 1}`, id, {
        number: records.findIndex((each) => each.id === id) + 1,
        first: first!,
        started,
      });
      actual.push(partLine(k + 1, oddities));
    }
    if (parts.length > 0) {
      if (shown) actual.push(continuity(parts, console));
      if (shown && !full) actual.push(countLine(parts, console));
      if (words && words.length > 0) actual.push(...lastWordsOf(parts[0]!.record).slice(-words.length));
    }
    if (!words) continue;
    // How many records the messages fill depends on how far they can be compressed.
    for (let part = 1; part <= Math.max(1, parts.length); part++) predicted.push(partLine(part, []));
    if (shown) predicted.push(UNBROKEN);
    if (shown && !full) predicted.push(ENOUGH);
    predicted.push(...words);
  }
  return { predicted, actual };
}

function dumpsOf(records: readonly Stored[]): Dump[] {
  const dumps: { machineCheck?: Stored; parts: Stored[] }[] = [];
  let waiting: Stored | undefined;
  for (const stored of records) {
    if (stored.record.sections[0]?.body?.type?.layout === LinuxMachineCheck) waiting = stored;
    else {
      if (/ Part1$/.test(headOf(stored.record)) || dumps.length === 0) dumps.push({ parts: [], ...(waiting && { machineCheck: waiting }) });
      waiting = undefined;
      dumps.at(-1)!.parts.push(stored);
    }
  }
  return waiting ? [...dumps, { machineCheck: waiting, parts: [] }] : dumps;
}

const machineCheckLine = ({ bank, status, globalStatus, address = 0n, misc = 0n }: MachineCheckRegisters): string =>
  `A machine check: bank ${bank} STATUS ${hexNumber(status)}, MCG_STATUS ${hexNumber(globalStatus)}, ADDR ${hexNumber(address)}, MISC ${hexNumber(misc)}`;

// ---- one part ----

const textOf = ({ sections: [first] }: CperRecord): string => (first?.body && messageText(first.body)) ?? "";
const headOf = (record: CperRecord): string => textOf(record).split("\n", 1)[0]!;
const linesOf = (record: CperRecord): string[] => textOf(record).split("\n").slice(1, -1);

const partLine = (part: number, oddities: readonly string[]): string =>
  `Part${part} of the last messages, ${oddities.length === 0 ? "a record as Linux stores them" : `odd: ${oddities.join(", ")}`}`;

/** How a record of messages differs from what the kernel's driver makes of them. @param at when, and as which record, it should have been stored. */
function oddnessOf(
  record: CperRecord,
  head: string,
  id: bigint,
  { number, first, started }: { readonly number: number; readonly first: number; readonly started: number },
): string[] {
  const { timestamp = "" } = record.header;
  const seconds = Date.parse(`${timestamp.slice(0, 19)}Z`) / 1000;
  const { sectionLength = 0, sectionType } = record.sections[0]?.descriptor ?? {};
  const expected = parseRecord(messageRecord(id, new Uint8Array(sectionLength), seconds));
  // The driver marks the record; whether the messages are compressed depends on how the kernel was made.
  const own = { ...record.header, persistenceInformation: undefined };
  const wanted = { ...expected.header, persistenceInformation: undefined };
  const now = Date.now() / 1000;
  return [
    ...differences(toJson(RecordHeader, wanted), toJson(RecordHeader, own)),
    ...differences(
      toJson(SectionDescriptor, { ...expected.sections[0]!.descriptor, ...(sectionType && { sectionType }) }),
      toJson(SectionDescriptor, record.sections[0]?.descriptor ?? {}),
    ),
    ...(headOf(record) === head ? [] : [`begins with ${JSON.stringify(headOf(record))}`]),
    ...(seconds >= started - CLOCKS && seconds <= now + CLOCKS ? [] : [`stored at ${timestamp}`]),
    // Numbers go on from the time of the first.
    ...(Number(id & 0xffff_ffffn) === number && Number(id >> 32n) === first && first >= started - CLOCKS && first <= now + CLOCKS
      ? []
      : [`identifier ${hexNumber(id)}`]),
  ];
}

/** Members of one JSON object that another has otherwise. */
function differences(wanted: Json, own: Json): string[] {
  const [a, b] = [wanted, own] as { readonly [key: string]: Json }[];
  return [...new Set([...Object.keys(a!), ...Object.keys(b!)])].flatMap((name) =>
    JSON.stringify(a![name]) === JSON.stringify(b![name]) ? [] : [`${name} ${JSON.stringify(b![name])}`],
  );
}

/** What a record's messages say about errors and death, with levels. */
function lastWordsOf(record: CperRecord): string[] {
  return linesOf(record).flatMap((line) => {
    const message = readStoredLine(line);
    return message && isLastWord(message.text) ? [`<${message.level}>${message.text}`] : [];
  });
}

// ---- all parts ----

const UNBROKEN = "The parts together are what the kernel said, without a gap";
const ENOUGH = "The parts are as many as the kernel stores";

const said = (console: string): string[] => consoleLines(console).filter(isKernelLine);
/** The messages as they were said, oldest first, without levels. */
const messagesOf = (parts: readonly Stored[]): string[] =>
  parts.toReversed().flatMap(({ record }) => linesOf(record).map((line) => line.replace(/^<[0-9]+>/, "")));

/** Whether the messages are an unbroken part of those on the console. */
function continuity(parts: readonly Stored[], console: string): string {
  const lines = said(console);
  const messages = messagesOf(parts);
  const end = lines.lastIndexOf(messages.at(-1) ?? "");
  if (end < 0) return `The console does not show the last message, ${JSON.stringify(messages.at(-1))}`;
  for (let i = 1; i <= messages.length; i++) {
    const line = lines[end + 1 - i];
    if (line !== messages.at(-i)) return `In place of ${JSON.stringify(line)} the parts have ${JSON.stringify(messages.at(-i))}`;
  }
  return UNBROKEN;
}

/** The kernel begins a part as long as it has stored less than it may, and has messages left. */
function countLine(parts: readonly Stored[], console: string): string {
  const most = Number(/Kernel command line:.*\bpstore\.kmsg_bytes=([0-9]+)/.exec(console)?.[1] ?? MOST_STORED);
  const sizes = parts.map(({ record }) => record.sections[0]!.descriptor.sectionLength ?? 0);
  const sum = sizes.reduce((total, size) => total + size, 0);
  const more = messagesOf(parts)[0] !== said(console)[0];
  if (sum - sizes.at(-1)! >= most) return `The kernel stores ${most} bytes of messages, the last of ${parts.length} parts is one too many`;
  return sum < most && more ? `The kernel stores ${most} bytes of messages, ${parts.length} parts hold ${sum}` : ENOUGH;
}
