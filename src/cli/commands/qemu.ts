/** `apei qemu`: the same things on a real QEMU, with real firmware and a real kernel. */
import { dirname, join } from "node:path";
import type { CperRecord } from "../../cper/record-codec.ts";
import { documentsOf } from "../../input/document.ts";
import { leavesOf } from "../../input/leaves.ts";
import { parseJson, UsageError } from "../../layout/index.ts";
import { debianGuest } from "../../qemu/debian-guest.ts";
import { debianMachine } from "../../qemu/debian-machine.ts";
import { cacheFolder, checkedRelease } from "../../qemu/debian-packages.ts";
import { ConnectionLost } from "../../qemu/lines.ts";
import { GuestError } from "../../qemu/machine.ts";
import { PLATFORMS, type Place, type Platform, platformAt, type RealFirmware } from "../../qemu/platform.ts";
import { QmpClient, QmpError } from "../../qemu/qmp.ts";
import { realRunJson, realRunLines } from "../../qemu/report.ts";
import { runForReal } from "../../qemu/run.ts";
import { defaultGuest, guestInitrd, PATIENCE, type Patience, type SessionGuest } from "../../qemu/session.ts";
import type { Scenario } from "../../scenario/schema.ts";
import type { Args } from "../arguments.ts";
import { readInput, writeWhole } from "../files.ts";
import { type Command, EXIT, type Io } from "../io.ts";
import { keepStore, OUTSIDE_OPTIONS, readScenarioFile } from "../scenario-file.ts";

const ACTIONS: Readonly<Record<string, (args: Args, io: Io) => Promise<number>>> = { run, inject: throwRecord, capture: captureFiles, fetch: fetchPrograms };

export const command: Command = {
  builder: (args) =>
    args
      .positional("action", {
        type: "string",
        demandOption: true,
        choices: Object.keys(ACTIONS),
        describe: "run a scenario for real, inject a record into a running QEMU, capture a machine's fw_cfg files, fetch the programs of a Debian release",
      })
      .positional("input", { type: "string", describe: "run: scenario file; inject: records, status blocks or JSON of either; - is standard input" })
      .option("firmware", {
        type: "string",
        choices: Object.keys(PLATFORMS),
        describe: "which firmware; default: what the scenario says, or fits its architecture",
      })
      .option("release", {
        type: "string",
        describe: "take QEMU, firmware and kernel of this Debian release, such as sid; fetched with apt into the cache folder",
      })
      .option("refresh", { type: "boolean", describe: "fetch: get the release anew though the cache has it" })
      .option("qemu", { type: "string", describe: "another QEMU than the installed one" })
      .option("image", { type: "string", describe: "another image of the firmware than the installed one" })
      .option("kernel", { type: "string", describe: "kernel of your own guest; default: Debian's, fetched with apt into the cache folder" })
      .option("initrd", { type: "string", describe: "root file system of your own guest" })
      .option("append", { type: "string", describe: "further words for the kernel's command line" })
      .option("ready", { type: "string", describe: "pattern your guest prints when it has started; default: a login or shell prompt" })
      .options(Object.fromEntries(Object.entries(OUTSIDE_OPTIONS).map(([name, option]) => [name, { ...option, describe: `run: ${option.describe}` }])))
      .option("timeout", { type: "number", describe: `run: seconds the guest may take to start (default ${PATIENCE.boot / 1000})` })
      .option("log", { type: "string", describe: "run: write all the guest printed to this file" })
      .option("qmp", { type: "string", describe: "inject: QMP socket of the running QEMU, a path or HOST:PORT" })
      .option("acknowledge", { type: "number", default: 5, describe: "inject: seconds to wait for the guest's acknowledgement; 0 does not look" })
      .option("out", { type: "string", describe: "capture: folder to write" })
      .option("when", { type: "string", choices: ["before", "after", "both"], default: "after", describe: "capture: before or after the firmware has run" })
      .option("machine", { type: "string", describe: "capture: value of QEMU's -machine, such as virt,ras=on" })
      .option("word", { type: "string", array: true, describe: "capture: further word of QEMU's command line" })
      .option("json", { type: "boolean", describe: "JSON" }),
  handler: async (args, io) => {
    const action = args["action"] as string;
    if (args["refresh"] && action !== "fetch") throw new UsageError(`--refresh: ${action} uses what is there, fetch renews it`);
    return ACTIONS[action]!(args, io).catch(failed);
  },
};

/** What QEMU does wrong is told, not traced. */
const failed = (error: unknown): never => {
  throw error instanceof ConnectionLost || error instanceof QmpError ? new UsageError(error.message) : error;
};
const needed = (args: Args, name: string, what: string): string => {
  const value = args[name] as string | undefined;
  if (value === undefined) throw new UsageError(`${args["action"]}: name ${what}`);
  return value;
};
const progress = (io: Io) => (text: string) => {
  io.stderr.write(`apei: ${text}\n`);
};

function patienceOf(args: Args): Patience {
  const seconds = args["timeout"] as number | undefined;
  if (seconds === undefined) return PATIENCE;
  if (!(seconds > 0 && seconds <= MOST_SECONDS)) throw new UsageError(`--timeout: wants seconds, more than 0 and at most ${MOST_SECONDS}`);
  return { ...PATIENCE, boot: seconds * 1000 };
}
/** A day: longer than any guest takes to start, and short enough for a timer. */
const MOST_SECONDS = 86_400;

// ---- run ----

async function run(args: Args, io: Io): Promise<number> {
  const file = needed(args, "input", "a scenario file");
  const patience = patienceOf(args);
  const { scenario, outside } = await readScenarioFile(file, args, io);
  const platform = await placed(platformOf(scenario, args["firmware"] as RealFirmware | undefined).firmware, args, io);
  const guest = await guestOf(platform, args, io);
  const result = await runForReal(scenario, {
    platform,
    guest,
    ...outside,
    cache: cacheFolder(io.env),
    patience,
    progress: progress(io),
  }).catch(async (error: unknown) => {
    // Nobody needs it more than one whose guest did not get up.
    if (error instanceof GuestError) await keepLog(args, error.console);
    throw error;
  });
  await keepStore(args, result.store);
  await keepLog(args, result.console);
  const colour = io.stdout.isTTY === true && !io.env["NO_COLOR"];
  io.stdout.write(args["json"] ? `${JSON.stringify(realRunJson(result), null, 2)}\n` : `${realRunLines(result, colour).join("\n")}\n`);
  if (result.differs) return EXIT.findings;
  return result.done === 0 && result.events > 0 ? EXIT.failed : EXIT.fine;
}

async function keepLog(args: Args, console: string): Promise<void> {
  if (args["log"] !== undefined) await writeWhole(args["log"] as string, new Uint8Array(Buffer.from(console, "latin1")));
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

const releaseOf = (args: Args): string | undefined => (args["release"] === undefined ? undefined : checkedRelease(args["release"] as string));

/** The machine with the QEMU and firmware that are asked for. */
async function placed(firmware: RealFirmware, args: Args, io: Io): Promise<Platform> {
  const release = releaseOf(args);
  const place: Place = {
    ...(release !== undefined && (await debianMachine(release, io.env, progress(io), args["refresh"] === true))),
    ...(args["qemu"] !== undefined && { program: args["qemu"] as string }),
    ...(args["image"] !== undefined && { image: args["image"] as string }),
  };
  return platformAt(firmware, place);
}

/** A prompt of a login or a shell at the end of what was printed. */
const PROMPT = /(login: |[#$] )$/;

async function guestOf(platform: Platform, args: Args, io: Io): Promise<SessionGuest> {
  const append = (args["append"] as string | undefined) ?? "";
  const needless = args["kernel"] === undefined ? ["initrd", "ready"].find((name) => args[name] !== undefined) : undefined;
  if (needless !== undefined) throw new UsageError(`--${needless} belongs to a guest of your own: name its kernel with --kernel`);
  if (args["kernel"] === undefined) return defaultGuest(await debianGuest(platform.architecture, io.env, progress(io), releaseOf(args)), append);
  const ready = args["ready"] as string | undefined;
  let pattern = PROMPT;
  try {
    if (ready !== undefined) pattern = new RegExp(ready, "m");
  } catch (error) {
    throw new UsageError(`--ready: ${(error as Error).message}`);
  }
  return { kernel: args["kernel"] as string, ...(args["initrd"] !== undefined && { initrd: args["initrd"] as string }), append, ready: pattern, shell: false };
}

// ---- inject ----

async function throwRecord(args: Args, io: Io): Promise<number> {
  const file = needed(args, "input", "a record");
  const socket = needed(args, "qmp", "the socket with --qmp");
  const { blockOfRecord, inject, MOST_INJECTED } = await import("../../qemu/inject.ts");
  const blocks = blocksFrom(await readInput(file, io), file, blockOfRecord);
  const place = (i: number) => (blocks.length === 1 ? file : `${file}: record ${i + 1} of ${blocks.length}`);
  for (const [i, block] of blocks.entries())
    if (block.length > MOST_INJECTED) throw new UsageError(`${place(i)}: the status block has ${block.length} bytes, QEMU's sources hold ${MOST_INJECTED}`);
  const seconds = args["acknowledge"] as number;
  const qmp = await QmpClient.connect(socket);
  try {
    for (const [i, block] of blocks.entries()) {
      const result = await inject(qmp, block, seconds * 1000);
      const { acknowledged, after, reason } = result;
      if (args["json"]) io.stdout.write(`${JSON.stringify({ ...result, bytes: block.length }, null, blocks.length === 1 ? 2 : undefined)}\n`);
      else
        io.stdout.write(
          `${block.length} bytes injected; ${acknowledged === "yes" ? `acknowledged after ${after} ms` : acknowledged === "no" ? `not acknowledged within ${seconds} s` : `acknowledgement unknown: ${reason}`}\n`,
        );
      if (acknowledged === "yes" || seconds === 0) continue;
      if (i + 1 < blocks.length)
        io.stderr.write(`apei: ${blocks.length - i - 1} more not injected: QEMU takes one when the guest has acknowledged the one before\n`);
      return EXIT.findings;
    }
    return EXIT.fine;
  } finally {
    qmp.close();
  }
}
/** The status blocks of a document, records as blocks that say the same. */
function blocksFrom(input: Uint8Array, file: string, convert: (record: CperRecord) => Uint8Array): Uint8Array[] {
  const documents = documentsOf();
  const text = new TextDecoder().decode(input);
  let bytes = input;
  if (/^\s*\{/.test(text)) bytes = documents.encode(parseJson(text, file));
  const blocks = [...leavesOf(documents.read(bytes))].flatMap(({ format, value }) =>
    format.name === "status-block" ? [format.encode(value)] : format.name === "cper" ? [convert(value as CperRecord)] : [],
  );
  if (blocks.length === 0) throw new UsageError(`${file}: holds neither an error status block nor a record`);
  return blocks;
}

// ---- capture ----

async function captureFiles(args: Args, io: Io): Promise<number> {
  const out = args["out"] as string | undefined;
  if (out === undefined) throw new UsageError("capture: name a folder with --out");
  const { capture } = await import("../../qemu/capture.ts");
  const { writeHandOff } = await import("../hand-off-folder.ts");
  const platform = await placed((args["firmware"] as RealFirmware | undefined) ?? "seabios", args, io);
  const when = args["when"] as "before" | "after" | "both";
  const guest = when === "before" ? undefined : await guestOf(platform, args, io);
  for (const moment of when === "both" ? (["before", "after"] as const) : [when]) {
    const { qemu, files, tables } = await capture({
      platform,
      ...(args["machine"] !== undefined && { machineType: args["machine"] as string }),
      words: (args["word"] as string[] | undefined) ?? [],
      ...(guest && { guest }),
      patience: patienceOf(args).boot,
      before: moment === "before",
    });
    const folder = when === "both" ? join(out, moment) : out;
    await writeHandOff(folder, files, { qemu, firmware: platform.firmware, moment });

    if (args["json"]) io.stdout.write(`${JSON.stringify({ folder, qemu, files: [...files.keys()], tables })}\n`);
    else io.stdout.write(`${folder}: ${files.size} files of QEMU ${qemu}; tables ${tables.join(", ")}\n`);
  }
  return EXIT.fine;
}

// ---- fetch ----

async function fetchPrograms(args: Args, io: Io): Promise<number> {
  const release = needed(args, "release", "a Debian release with --release");
  const platform = await placed((args["firmware"] as RealFirmware | undefined) ?? "aavmf", args, io);
  const { kernel, title, ...files } = await debianGuest(platform.architecture, io.env, progress(io), release, args["refresh"] === true);
  const initrd = join(dirname(kernel), "initrd");
  await writeWhole(initrd, await guestInitrd(files));
  const image = platform.image();
  const found = { release, qemu: platform.program, ...(image !== undefined && { image }), kernel, initrd, guest: title };
  if (args["json"]) io.stdout.write(`${JSON.stringify(found, null, 2)}\n`);
  else for (const [name, value] of Object.entries(found)) io.stdout.write(`${name.padEnd(8)} ${value}\n`);
  return EXIT.fine;
}
