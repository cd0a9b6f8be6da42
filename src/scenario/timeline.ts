/** What happened in a run, in order, and how it is shown as text. */
import { type Json, UsageError } from "../layout/index.ts";

/** Who acts: the columns of a sequence diagram, left to right. */
export const LANES = {
  hardware: "hardware",
  el3: "EL3 firmware",
  kernel: "host kernel",
  monitor: "monitor",
  memory: "guest memory",
  controller: "controller",
  firmware: "guest firmware",
  guest: "guest",
} as const;
export type Lane = keyof typeof LANES;
export type LaneNames = Readonly<Record<Lane, string>>;
/** A physical machine: its firmware at EL3 stands in the monitor's place. */
export const PHYSICAL_LANES: LaneNames = {
  ...LANES,
  kernel: "hypervisor",
  monitor: "EL3 firmware",
  memory: "memory",
  firmware: "boot firmware",
  guest: "operating system",
};

export interface TimelineEntry {
  /** Milliseconds since the machine started. */
  readonly at: number;
  readonly from: Lane;
  /** Where it goes; absent for something a lane does by itself. */
  readonly to?: Lane;
  /** One word for machines, such as `written` or `acknowledged`. */
  readonly what: string;
  /** One sentence for people. */
  readonly text: string;
  /** Numbers behind the sentence. */
  readonly data?: { readonly [key: string]: Json };
  /** Something was lost, refused or went wrong. */
  readonly bad?: true;
}

/** A run that says more than this is no story any more. */
const MOST_ENTRIES = 200_000;

/** What happens in a run, in order of time. */
export class Timeline {
  readonly entries: TimelineEntry[] = [];
  readonly #clock: () => number;

  constructor(clock: () => number) {
    this.#clock = clock;
  }

  /** @throws UsageError when the run has become too long. */
  add(from: Lane, to: Lane | undefined, what: string, text: string, more: Pick<TimelineEntry, "data" | "bad"> = {}): void {
    if (this.entries.length === MOST_ENTRIES) throw new UsageError(`the run has more than ${MOST_ENTRIES} entries in its timeline`);
    this.entries.push({ at: this.#clock(), from, ...(to && to !== from && { to }), what, text, ...more });
  }
}

/** The timeline as lines: milliseconds, who, what. Entries of one moment show the time once; `!` marks what went wrong. */
export function timelineLines(entries: readonly TimelineEntry[], lanes: LaneNames = LANES): string[] {
  const who = ({ from, to }: TimelineEntry) => (to ? `${lanes[from]} → ${lanes[to]}` : lanes[from]);
  const width = entries.reduce((most, entry) => Math.max(most, who(entry).length), 0);
  const digits = entries.reduce((most, { at }) => Math.max(most, String(at).length), 1);
  let last: number | undefined;
  return entries.map((entry) => {
    const time = entry.at === last ? " ".repeat(digits + 3) : `${String(entry.at).padStart(digits)} ms`;
    last = entry.at;
    return `${time}  ${who(entry).padEnd(width)} ${entry.bad ? "!" : " "} ${entry.text}`;
  });
}

/** Break a text between words. @param width most characters of a line; a longer word has a line of its own. */
export function wrapped(text: string, width: number): string[] {
  const lines: string[] = [];
  let line = "";
  for (const word of text.split(" ")) {
    if (line !== "" && line.length + 1 + word.length > width) {
      lines.push(line);
      line = word;
    } else line = line === "" ? word : `${line} ${word}`;
  }
  return [...lines, line];
}
