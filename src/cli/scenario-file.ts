/** A scenario from a file, with what a run gets from outside it: files it names, boot errors and a store of one's own. */
import { existsSync, readFileSync } from "node:fs";
import { dirname, resolve } from "node:path";
import { ErstStorage, MemoryBackend } from "../host/erst-storage.ts";
import { fileProblem } from "../input/local-files.ts";
import { bytesToHex, UsageError } from "../layout/index.ts";
import type { Outside } from "../scenario/outside.ts";
import { readScenario } from "../scenario/read.ts";
import type { Scenario } from "../scenario/schema.ts";
import type { Args } from "./arguments.ts";
import { readInput, writeWhole } from "./files.ts";
import type { Io } from "./io.ts";

/** Options of the commands that run scenarios. */
export const OUTSIDE_OPTIONS = {
  bert: { type: "string", describe: "file of error status blocks, the boot error region in place of the scenario's" },
  erst: {
    type: "string",
    describe: "file in which the error record store is kept from run to run, as QEMU's acpi-erst device does; made when it is not there",
  },
} as const;

/** @throws UsageError naming the file and the member that is wrong. */
export async function readScenarioFile(file: string, args: Args, io: Io): Promise<{ readonly scenario: Scenario; readonly outside: Outside }> {
  const text = new TextDecoder().decode(await readInput(file, io));
  const given = await readScenario(text).catch((error: unknown) => {
    throw error instanceof UsageError ? new UsageError(error.message.replaceAll(/^/gm, `${file}: `)) : error;
  });
  const folder = file === "-" ? "." : dirname(file);
  const read = (path: string): Uint8Array => {
    const full = resolve(folder, path);
    try {
      return new Uint8Array(readFileSync(full));
    } catch (error) {
      throw new UsageError(`${full}: ${fileProblem(error)}`);
    }
  };
  const bert = args["bert"] as string | undefined;
  const erst = args["erst"] as string | undefined;
  const bootErrors = bert === undefined ? undefined : { region: bytesToHex(await readInput(bert, io)) };
  const machine = {
    ...given.machine,
    ...(bootErrors && { bootErrors }),
    ...(erst !== undefined && { errorStore: given.machine?.errorStore ?? {} }),
  };
  return {
    scenario: { ...given, ...(Object.keys(machine).length > 0 && { machine }) },
    outside: { read, ...(erst !== undefined && existsSync(erst) && { store: await readStore(erst, io) }) },
  };
}

async function readStore(file: string, io: Io): Promise<Uint8Array> {
  const bytes = await readInput(file, io);
  try {
    new ErstStorage(new MemoryBackend(bytes.slice()));
  } catch (error) {
    throw error instanceof UsageError ? new UsageError(`${file}: ${error.message}`) : error;
  }
  return bytes;
}

/** Keep the store for the next run, where `--erst` says. */
export async function keepStore(args: Args, store: Uint8Array | undefined): Promise<void> {
  if (args["erst"] !== undefined && store) await writeWhole(args["erst"] as string, store);
}
