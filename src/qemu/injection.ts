/** Errors that a real guest injects: its kernel's driver is told through its files, and what comes of it is compared. */
import { EINJ_ERROR_TYPE } from "../acpi/einj.ts";
import { EINJ_STARTS, EinjDriver, type EinjResult, INJECTABLE_RESOURCES, type IsMemory, offeredLines } from "../guest/einj.ts";
import type { KernelVersion } from "../guest/report/words.ts";
import { einjTable, einjWindow, type InjectedError } from "../host/einj-device.ts";
import { MemoryWithDevices } from "../host/mmio.ts";
import { hexNumber } from "../layout/index.ts";
import { type Region, SparseMemory } from "../machine/memory.ts";
import { type InjectionEvent, injectionRequest, injectionWords } from "../scenario/injection.ts";
import type { Say } from "./follower.ts";
import { INJECTION, INJECTION_FILES, OFFERED_FILE, printFile, RESOURCES_FILE } from "./initramfs.ts";
import { type Comparison, compareLines, plainLines } from "./kernel-log.ts";
import type { RealMachine } from "./machine.ts";
import type { ServedDevices } from "./served.ts";
import { printedFiles } from "./store.ts";

/** Milliseconds in which the shell does what it is told: the kernel itself waits for seconds. */
const ANSWER = 30_000;
/** Times an injection is tried for which the kernel did not wait long enough. */
const TRIES = 5;
const TOO_LATE = /EINJ: \[Firmware Warn\]: Firmware does not respond in time/;
const SAID = "/tmp/injection";
const SAID_FILE = `${INJECTION_FILES}said`;
const DONE = "injected";
/** Any address: the model's device is asked by itself. */
const MODEL_BASE = 0x1000_0000n;

/** The model's driver and device, and what the device is asked for. @param kernel where the kernel lets errors be injected. @param ram of the machine. */
function model(kernel?: IsMemory, ram?: readonly Region[]): { readonly driver: EinjDriver; readonly asked: InjectedError[] } {
  const asked: InjectedError[] = [];
  const isMemory = (address: bigint) => ram?.some(({ start, length }) => address >= start && address < start + length) ?? true;
  const device = einjWindow({ base: MODEL_BASE, isMemory, inject: (error) => asked.push(error) });
  const memory = new MemoryWithDevices(new SparseMemory([]), [{ start: MODEL_BASE, device }]);
  return { driver: new EinjDriver({ memory }, einjTable(MODEL_BASE), kernel), asked };
}

const textOf = (output: string, file: string): string | undefined => {
  const found = printedFiles(output).find(({ name }) => name === file);
  return found && new TextDecoder().decode(found.bytes).trimEnd();
};
/** Where a kernel lets memory errors be injected, by its list of resources; everywhere, when it has not printed that. */
function injectable(output: string, version: KernelVersion): IsMemory {
  const resources = textOf(output, RESOURCES_FILE);
  if (resources === undefined) return () => true;
  const ranges = [...resources.matchAll(/^ *([0-9a-f]+)-([0-9a-f]+) : (.*)$/gm)].flatMap(([, first, last, name]) =>
    INJECTABLE_RESOURCES[version].includes(name!) ? [[BigInt(`0x${first}`), BigInt(`0x${last}`)] as const] : [],
  );
  return (address, length) => ranges.some(([first, last]) => address >= first && address + length - 1n <= last);
}

/** What the guest's driver says, and what it offers. */
export function compareInjection(output: string): Comparison[] {
  return [
    {
      title: "What the kernel says about error injection",
      lines: compareLines(
        EINJ_STARTS,
        plainLines(output).filter((line) => line.startsWith("EINJ: ")),
      ),
    },
    { title: "The errors the guest can inject", lines: compareLines(offeredLines(model().driver.offered), textOf(output, OFFERED_FILE)?.split("\n") ?? []) },
  ];
}

/** What a program of the guest gets to hear. */
const ANSWERS: { readonly [K in EinjResult]: string } = {
  success: DONE,
  notOffered: "error_type: Invalid argument",
  noMemoryPage: "error_inject: Invalid argument",
  invalidAccess: "error_inject: Invalid argument",
  unknownFailure: "error_inject: Device or resource busy",
  timedOut: "error_inject: Input/output error",
};
const askedLine = ({ type, address, mask }: InjectedError): string =>
  `the trigger was pulled for ${type}${address === undefined ? "" : ` at ${hexNumber(address)}, mask ${hexNumber(mask ?? 0n)}`}`;

/** A command for the guest's shell: each file of the driver gets its value, up to the first that does not take it. */
function command({ type, address = 0n, mask = 0n }: ReturnType<typeof injectionRequest>): string {
  const values = { error_type: 1n << BigInt(EINJ_ERROR_TYPE[type]), flags: 0n, param1: address, param2: mask, error_inject: 1n };
  const put = `put() { echo $2 2>${SAID}.error >$1 || { echo "$1: $(sed 's/.*: //' ${SAID}.error)"; exit; }; }`;
  const steps = Object.entries(values).map(([name, value]) => `put ${name} ${hexNumber(value)}`);
  return `(cd ${INJECTION}; ${[put, ...steps, `echo ${DONE}`].join("; ")}) >${SAID}; ${printFile(SAID, SAID_FILE)}`;
}

/** Have our guest inject an error. @returns what it hears beside what is predicted, and the errors it has triggered. */
export async function inject(
  machine: RealMachine,
  served: ServedDevices,
  event: InjectionEvent,
  version: KernelVersion,
  say: Say,
): Promise<{ readonly check: Comparison; readonly injected: readonly InjectedError[] }> {
  const request = injectionRequest(event);
  const { driver, asked } = model(injectable(machine.output, version), machine.memory.regions);
  const result = driver.inject(request);
  say("guest", "controller", "inject", injectionWords(event));
  let said: string[] = [];
  for (let tries = 0; tries < TRIES; tries++) {
    // Nothing is left of a request the kernel did not wait for.
    served.look();
    const mark = machine.output.length;
    machine.type(command(request));
    said = (await machine.poll(() => textOf(machine.output.slice(mark), SAID_FILE), ANSWER))?.split("\n") ?? [];
    if (!TOO_LATE.test(machine.output.slice(mark))) break;
    say("controller", "guest", "late", "this machine is too slow: the guest's kernel did not wait for the answer");
  }
  // The trigger was pulled before the shell went on.
  served.look();
  const injected = served.takeInjected();
  if (result !== "success") say("controller", "guest", "refused", said.join("; "), true);
  const title = `What comes of it when the guest ${injectionWords(event)}`;
  return { check: { title, lines: compareLines([ANSWERS[result], ...asked.map(askedLine)], [...said, ...injected.map(askedLine)]) }, injected };
}
