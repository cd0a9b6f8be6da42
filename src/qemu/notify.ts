/** Telling a real guest that a record waits: how each notification of HEST is raised on an emulated machine. */
import { setTimeout as sleep } from "node:timers/promises";
import type { NotificationName } from "../acpi/notification.ts";
import { ConnectionLost } from "./lines.ts";
import type { RealMachine } from "./machine.ts";

/** The line of our event device: free on both machines. */
export const EVENT_INTERRUPT = { x86: 5, arm64: 81 } as const;
/** An address of arm's `virt` machine at which nothing answers: touching it is a synchronous external abort. */
const NOTHING_THERE = 0x0b00_0000;
/** Milliseconds an edge stays up. */
const PULSE = 20;
/** Milliseconds in which a machine that closed its sockets has ended. */
const END = 2000;

type Raise = (machine: RealMachine, vector: number) => Promise<string>;

const pulse = async (machine: RealMachine, interrupt: number): Promise<string> => {
  const controller = await machine.interruptController();
  const input = machine.platform.input(interrupt);
  await machine.qtest.setInterruptInput(controller, input, 1);
  await sleep(PULSE);
  await machine.qtest.setInterruptInput(controller, input, 0).catch(async (error: unknown) => {
    // A guest that dies over the record resets, and the machine ends with the line still up.
    if (!(error instanceof ConnectionLost)) throw error;
    await Promise.race([machine.ended, sleep(END)]);
    if (machine.running) throw error;
  });
  return `interrupt line ${interrupt} raised`;
};
const event: Raise = (machine) => pulse(machine, EVENT_INTERRUPT[machine.platform.architecture]);

interface Way {
  readonly on?: "x86" | "arm64";
  /** It is an interrupt line of the source's own. */
  readonly lines?: true;
  readonly how: Raise;
}
const RAISE: { readonly [K in NotificationName]?: Way } = {
  polled: { how: async () => "the guest's timer will look" },
  externalInterrupt: { how: pulse, lines: true },
  nmi: {
    on: "x86",
    how: async (machine) => {
      await machine.qmp.execute("inject-nmi");
      return "non-maskable interrupt injected";
    },
  },
  sci: { how: event },
  gpioSignal: { how: event },
  gsiv: { how: event },
  sea: {
    on: "arm64",
    how: async (machine) => {
      machine.type(`devmem 0x${NOTHING_THERE.toString(16)}`);
      return "a program of the guest touches an address at which nothing answers: synchronous external abort";
    },
  },
};

/** Why an emulated machine cannot raise this; undefined when it can. */
export function cannotRaise(type: NotificationName, architecture: "x86" | "arm64"): string | undefined {
  const raise = RAISE[type];
  if (!raise) return `an emulated machine cannot raise ${type}`;
  return raise.on !== undefined && raise.on !== architecture ? `${type} is for ${raise.on} only` : undefined;
}

/** Raise it. @returns what was done, or why it cannot be, in words. */
export async function notify(machine: RealMachine, type: NotificationName, vector: number): Promise<{ readonly done: boolean; readonly words: string }> {
  const { architecture, title, lines } = machine.platform;
  const problem = cannotRaise(type, architecture);
  if (problem !== undefined) return { done: false, words: problem };
  const { how, lines: ownLine } = RAISE[type]!;
  if (ownLine && (vector < lines.first || vector > lines.last))
    return { done: false, words: `there is no interrupt line ${vector}: with ${title} they are ${lines.first} to ${lines.last}` };
  return { done: true, words: await how(machine, vector) };
}
