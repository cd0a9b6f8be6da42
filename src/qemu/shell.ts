/** What is done by way of our guest's shell, and what of it shows on the console. */
import { hexNumber } from "../layout/index.ts";
import type { StoreEvent } from "../scenario/schema.ts";
import { GUEST_SAYS, printFile } from "./initramfs.ts";
import { type Comparison, compareLines, isLastWord, plainLines } from "./kernel-log.ts";
import type { LastWords } from "./last-words.ts";
import type { RealMachine } from "./machine.ts";
import { fileLine, printedFiles, type RealStore } from "./store.ts";

/** Milliseconds in which the shell does what it is told. */
const ANSWER = 10_000;
/** What the kernel says when it is made to crash, with levels. */
const CRASH = [
  [6, "sysrq: Trigger a crash"],
  [0, "Kernel panic - not syncing: sysrq triggered crash"],
] as const;
const GONE = "it is gone from the store";

/** A line that was typed, or that our guest answers. */
export const isOurs = (machine: RealMachine, line: string): boolean =>
  machine.typed.includes(line) || line.startsWith(GUEST_SAYS.begin) || line.startsWith(GUEST_SAYS.end) || /^: [A-Za-z0-9+/=]+$/.test(line);

/** Make the kernel crash. @param dies waits until it has. @returns what it says, and what it should store of it. */
export async function crash(
  machine: RealMachine,
  dies: (mark: number) => Promise<void>,
): Promise<{ readonly check: Comparison; readonly lastWords: LastWords }> {
  const mark = machine.output.length;
  // The console shows the command before the kernel says anything.
  machine.type("sleep 1; echo c > /proc/sysrq-trigger");
  await dies(mark);
  const lines = compareLines(
    CRASH.map(([, text]) => text),
    plainLines(machine.output.slice(mark)).filter(isLastWord),
  );
  return { check: { title: "What the kernel says when it is made to crash", lines }, lastWords: CRASH.map(([level, text]) => `<${level}>${text}`) };
}

/** Read or clear a record by way of the file that stands for it. @returns why that cannot be, where it cannot. */
export async function useStore(machine: RealMachine, store: RealStore, { operation, id: given }: StoreEvent): Promise<Comparison | string> {
  const id = BigInt(given);
  const file = store.fileOf(id);
  if (operation === "write") return "a guest's programs cannot write records, only its kernel can";
  if (file === undefined) return "no file of the guest stands for this record";
  const mark = machine.output.length;
  const title = `Record ${hexNumber(id)}, ${operation === "read" ? "read" : "cleared"} by way of ${file}`;
  if (operation === "read") {
    machine.type(printFile(`/pstore/${file}`, file));
    const read = await machine.poll(() => printedFiles(machine.output.slice(mark)).find(({ name }) => name === file), ANSWER);
    return { title, lines: compareLines([store.lineOf(file) ?? ""], read ? [fileLine(read)] : []) };
  }
  store.clear(id);
  machine.type(`rm /pstore/${file}`);
  await machine.poll(() => (store.holds(id) ? undefined : true), ANSWER);
  return { title, lines: compareLines([GONE], [store.holds(id) ? "it is still in the store" : GONE]) };
}
