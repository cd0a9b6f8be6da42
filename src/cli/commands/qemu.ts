/** `apei qemu`: the same things on a real QEMU, with real firmware and a real kernel. */
import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { ErstStorage, emptyStore, MemoryBackend } from "../../host/erst-storage.ts";
import { UsageError } from "../../layout/index.ts";
import { debianGuest } from "../../qemu/debian-guest.ts";
import { PLATFORMS, type Platform, type RealFirmware } from "../../qemu/platform.ts";
import { realRunJson, realRunLines } from "../../qemu/report.ts";
import { runForReal } from "../../qemu/run.ts";
import { defaultGuest, PATIENCE, type SessionGuest } from "../../qemu/session.ts";
import { readScenario } from "../../scenario/read.ts";
import type { Scenario } from "../../scenario/schema.ts";
import type { Args } from "../arguments.ts";
import { readInput, writeWhole } from "../files.ts";
import { type Command, EXIT, type Io } from "../io.ts";

const ACTIONS: Readonly<Record<string, (args: Args, io: Io) => Promise<number>>> = { run };

export const command: Command = {
  builder: (args) =>
    args
      .positional("action", { type: "string", demandOption: true, choices: Object.keys(ACTIONS), describe: "run a scenario for real" })
      .positional("input", { type: "string", describe: "run: scenario file" })
      .option("firmware", {
        type: "string",
        choices: Object.keys(PLATFORMS),
        describe: "which firmware; default: what the scenario says, or fits its architecture",
      })
      .option("kernel", { type: "string", describe: "kernel of your own guest; default: Debian's, fetched with apt into the cache folder" })
      .option("initrd", { type: "string", implies: "kernel", describe: "root file system of your own guest" })
      .option("append", { type: "string", describe: "further words for the kernel's command line" })
      .option("ready", { type: "string", implies: "kernel", describe: "pattern your guest prints when it has started; default: a login or shell prompt" })
      .option("bert", { type: "string", describe: "run: file of error status blocks the guest finds as its boot error region" })
      .option("erst", {
        type: "string",
        describe: "run: backing file of an error record store (x86), which the guest reads and writes; made when it is not there",
      })
      .option("timeout", { type: "number", describe: `run: seconds the guest may take to start (default ${PATIENCE.boot / 1000})` })
      .option("log", { type: "string", describe: "run: write all the guest printed to this file" })
      .option("json", { type: "boolean", describe: "JSON" }),
  handler: (args, io) => ACTIONS[args["action"] as string]!(args, io),
};

const needed = (args: Args, name: string, what: string): string => {
  const value = args[name] as string | undefined;
  if (value === undefined) throw new UsageError(`${args["action"]}: name ${what}`);
  return value;
};
const progress = (io: Io) => (text: string) => {
  io.stderr.write(`apei: ${text}\n`);
};

// ---- run ----

async function run(args: Args, io: Io): Promise<number> {
  const file = needed(args, "input", "a scenario file");
  const scenario = await readScenario(new TextDecoder().decode(await readInput(file, io))).catch((error: unknown) => {
    throw error instanceof UsageError ? new UsageError(`${file}: ${error.message}`) : error;
  });
  const platform = platformOf(scenario, args["firmware"] as RealFirmware | undefined);
  const guest = await guestOf(platform, args, io);
  const bootErrors = args["bert"] === undefined ? undefined : await readInput(args["bert"] as string, io);
  const store = args["erst"] === undefined ? undefined : await storeOf(args["erst"] as string);
  if (store && platform.architecture !== "x86") throw new UsageError("--erst: QEMU gives only x86 machines an ERST table");
  const result = await runForReal(scenario, {
    platform,
    guest,
    ...(bootErrors && { bootErrors }),
    ...(store && { store }),
    patience: { ...PATIENCE, ...(args["timeout"] !== undefined && { boot: (args["timeout"] as number) * 1000 }) },
    progress: progress(io),
  });
  if (args["log"] !== undefined) await writeWhole(args["log"] as string, new Uint8Array(Buffer.from(result.console, "latin1")));
  const colour = io.stdout.isTTY === true && !io.env["NO_COLOR"];
  io.stdout.write(args["json"] ? `${JSON.stringify(realRunJson(result), null, 2)}\n` : `${realRunLines(result, colour).join("\n")}\n`);
  return result.differs ? EXIT.findings : EXIT.fine;
}

/** The machine for a scenario. @throws UsageError when the firmware asked for is another architecture's. */
export function platformOf({ machine }: Scenario, asked: RealFirmware | undefined): Platform {
  const { architecture, firmware } = machine ?? {};
  const own = firmware === undefined || firmware === "generic" ? (architecture === "x86" ? "seabios" : "aavmf") : firmware;
  const platform = PLATFORMS[asked ?? own];
  if (architecture !== undefined && architecture !== platform.architecture)
    throw new UsageError(`the scenario is for ${architecture}, ${platform.title} runs on ${platform.architecture}`);
  return platform;
}

/** A prompt of a login or a shell at the end of what was printed. */
const PROMPT = /(login: |[#$] )$/;

async function guestOf(platform: Platform, args: Args, io: Io): Promise<SessionGuest> {
  const append = (args["append"] as string | undefined) ?? "";
  if (args["kernel"] === undefined) return defaultGuest(await debianGuest(platform.architecture, io.env, progress(io)), append);
  const ready = args["ready"] as string | undefined;
  let pattern = PROMPT;
  try {
    if (ready !== undefined) pattern = new RegExp(ready, "m");
  } catch (error) {
    throw new UsageError(`--ready: ${(error as Error).message}`);
  }
  return { kernel: args["kernel"] as string, ...(args["initrd"] !== undefined && { initrd: args["initrd"] as string }), append, ready: pattern, shell: false };
}

/** An existing store, or a new one. */
async function storeOf(path: string): Promise<{ path: string; bytes: Uint8Array }> {
  if (!existsSync(path)) await writeWhole(path, emptyStore(NEW_STORE));
  const bytes = new Uint8Array(await readFile(path));
  try {
    new ErstStorage(new MemoryBackend(bytes.slice()));
  } catch (error) {
    throw error instanceof UsageError ? new UsageError(`${path}: ${error.message}`) : error;
  }
  return { path, bytes };
}
/** Bytes of a new store. */
const NEW_STORE = 0x20000;
