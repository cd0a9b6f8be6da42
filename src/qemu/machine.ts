/** A running QEMU: its guest's memory, its console, and the lines to steer it. */
import { execFile } from "node:child_process";
import { closeSync, constants, existsSync, openSync, readSync, statfsSync, writeSync } from "node:fs";
import { access, writeFile } from "node:fs/promises";
import type { Socket } from "node:net";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { promisify } from "node:util";
import type { PciPlace } from "../guest/report/aftermath.ts";
import { UsageError } from "../layout/index.ts";
import type { FwCfgFiles } from "../loader/fw-cfg.ts";
import { FwCfgReader } from "./fw-cfg-reader.ts";
import { Guarded, heldFolder } from "./guardian.ts";
import { ConnectionLost, Listener } from "./lines.ts";
import { FileMemory } from "./memory-file.ts";
import { optionPath, type Platform } from "./platform.ts";
import { type QemuVersion, QmpClient } from "./qmp.ts";
import { QtestClient } from "./qtest.ts";

export interface Guest {
  /** Path of the kernel. */
  readonly kernel: string;
  /** Path of the root file system, or its bytes. */
  readonly initrd?: string | Uint8Array;
  /** Further words of the kernel's command line. */
  readonly append?: string;
}
export interface MachineOptions {
  readonly platform: Platform;
  /** Bytes. */
  readonly ram: bigint;
  /** Whether QEMU makes tables of its own. */
  readonly acpi: boolean;
  /** Further fw_cfg files; the guest cannot write them. */
  readonly files?: FwCfgFiles;
  /** Further words of QEMU's command line. */
  readonly words?: readonly string[];
  readonly guest?: Guest;
  /** Do not let the CPU run yet. */
  readonly paused?: boolean;
}

/** Milliseconds QEMU may take to open its sockets. */
const START = 20_000;
/** Milliseconds between two looks at the console. */
const LOOK = 40;
/** Milliseconds in which a program that closes its sockets ends. */
const END = 2000;
const LAST_LINES = 15;

/** A function as QEMU lists it, with those behind it. */
interface PciDevice {
  readonly bus: number;
  readonly slot: number;
  readonly function: number;
  readonly pci_bridge?: { readonly devices?: readonly PciDevice[] };
}

/** The guest did not get where it was awaited. */
export class GuestError extends UsageError {
  /** All it had printed. */
  readonly console: string;

  constructor(message: string, console: string) {
    super(message);
    this.console = console;
  }
}

/** Where a program is. @throws UsageError naming the packages. */
export async function findProgram(program: string, packages: string): Promise<string> {
  const places = program.includes("/") ? [program] : (process.env["PATH"] ?? "").split(":").map((folder) => join(folder || ".", program));
  for (const place of places)
    if (
      await access(place, constants.X_OK).then(
        () => true,
        () => false,
      )
    )
      return place;
  throw new UsageError(`${program} is not installed; Debian's packages are ${packages}`);
}

export class RealMachine {
  readonly platform: Platform;
  readonly memory: FileMemory;
  readonly qmp: QmpClient;
  readonly qtest: QtestClient;
  readonly fwCfg: FwCfgReader;
  readonly #process: Guarded;
  readonly #held: Guarded;
  readonly #console: Console;
  readonly #typed: string[] = [];

  private constructor(platform: Platform, process: Guarded, held: Guarded, memory: FileMemory, qmp: QmpClient, qtest: QtestClient) {
    this.platform = platform;
    this.#process = process;
    this.#held = held;
    this.memory = memory;
    this.qmp = qmp;
    this.qtest = qtest;
    this.fwCfg = new FwCfgReader(qtest, platform.architecture);
    this.#console = new Console(process.folder);
  }

  /** Start one. @throws UsageError when QEMU is missing, refuses its command line or finds no room. */
  static async start(options: MachineOptions): Promise<RealMachine> {
    const { platform } = options;
    const program = await findProgram(platform.program, platform.packages);
    const held = await heldFolder();
    const { folder } = held;
    const listeners: Listener[] = [];
    let process: Guarded | undefined;
    let memory: FileMemory | undefined;
    const listen = async (name: string) => {
      const listener = await Listener.listen(join(folder, name));
      listeners.push(listener);
      return listener;
    };
    try {
      needRoom(folder, options.ram);
      memory = new FileMemory(join(folder, "ram"), platform.machine(options.ram).ram);
      const control = await listen("qmp.sock");
      const test = await listen("qtest.sock");
      process = new Guarded(folder, program, await commandLine(options, folder, memory));
      const qemu = process;
      const said = () =>
        complaints(qemu.errorText)
          .map((line) => `: ${line}`)
          .join("");
      const gone = qemu.ended.then(async (status) => {
        // Its last words come another way than the news of its end.
        await sleep(LOOK);
        throw new UsageError(`QEMU has not started (${statusText(status)})${said()}`);
      });
      gone.catch(() => undefined);
      const late = sleep(START, undefined, { ref: false }).then(() => {
        throw new UsageError(`QEMU has not opened its sockets within ${START / 1000} s${said()}`);
      });
      late.catch(() => undefined);
      const accept = (listener: Listener): Promise<Socket> => Promise.race([listener.accept(), gone, late]);
      const qmpSocket = await accept(control);
      const greeted = QmpClient.greet(qmpSocket).catch(async (error: unknown) => {
        // A socket that closes says less than the end of its program.
        if (error instanceof ConnectionLost) await Promise.race([gone, sleep(END)]);
        throw error;
      });
      const qmp = await Promise.race([greeted, gone]);
      return new RealMachine(platform, process, held, memory, qmp, new QtestClient(await accept(test)));
    } catch (error) {
      for (const listener of listeners) listener.close();
      memory?.close();
      await process?.release();
      await held.release();
      const { code } = error as NodeJS.ErrnoException;
      if (code === "ENOSPC") throw new UsageError(`${folder}: no space left for the guest's memory`);
      throw error;
    }
  }

  get version(): QemuVersion {
    return this.qmp.version;
  }
  get folder(): string {
    return this.#process.folder;
  }
  /** Resolves with its exit status when QEMU has ended, as it does when the guest resets. */
  get ended(): Promise<number> {
    return this.#process.ended;
  }
  get running(): boolean {
    return this.#process.status === undefined;
  }
  /** How it has ended, in words; undefined as long as it runs. */
  get ending(): string | undefined {
    const { status } = this.#process;
    return status === undefined ? undefined : statusText(status);
  }

  /** All the guest has printed so far, one character a byte. */
  get output(): string {
    return this.#console.text;
  }

  /**
   * Wait until the guest prints something.
   * @param from where in its output to begin.
   * @throws GuestError with the last lines when time is up or the machine ends before.
   */
  async waitFor(pattern: RegExp, milliseconds: number, what: string, from = 0): Promise<RegExpExecArray> {
    const found = await this.poll(() => pattern.exec(this.output.slice(from)) ?? undefined, milliseconds);
    if (found) return found;
    throw new GuestError(
      [
        this.running ? `${what}: not seen within ${milliseconds / 1000} s` : `${what}: the machine has ended before (${statusText(this.#process.status ?? 0)})`,
        ...this.lastLines(),
      ].join("\n"),
      this.output,
    );
  }

  /** Look again and again until there is an answer, the time is up or the machine has ended. */
  async poll<T>(look: () => T | undefined, milliseconds: number): Promise<T | undefined> {
    const end = Date.now() + milliseconds;
    for (;;) {
      const ended = !this.running;
      const answer = look();
      if (answer !== undefined || ended || Date.now() >= end) return answer;
      await sleep(LOOK);
    }
  }

  /** What a person wants to see when something is stuck. */
  lastLines(): string[] {
    const all = this.output.trimEnd().split("\n");
    const lines = all.slice(-LAST_LINES);
    // What the kernel died of stands before its long farewell.
    const death = all.findLast((line) => line.includes("Kernel panic - "));
    if (death !== undefined && !lines.includes(death)) lines.unshift(death, "…");
    const errors = complaints(this.#process.errorText);
    return [
      ...(this.output.trim() === "" ? ["the guest has printed nothing"] : ["last lines of its console:", ...lines.map((line) => `  ${line}`)]),
      ...(errors.length === 0 ? [] : ["QEMU says:", ...errors.map((line) => `  ${line}`)]),
    ];
  }

  /** Lines that were typed: the console shows them too. */
  get typed(): readonly string[] {
    return this.#typed;
  }

  /** Type a line into the guest's console. */
  type(line: string): void {
    this.#typed.push(line);
    this.#console.type(line);
  }

  /** Where in QEMU's object tree the interrupt controller is. */
  async interruptController(): Promise<string> {
    const search = async (path: string, depth: number): Promise<string | undefined> => {
      const children = (await this.qmp.execute("qom-list", { path })) as readonly { readonly name: string; readonly type: string }[];
      for (const { name, type } of children) {
        const child = /^child<(.*)>$/.exec(type)?.[1];
        if (child === undefined) continue;
        if (this.platform.interruptController.includes(child)) return `${path}/${name}`;
        const inside = depth > 0 ? await search(`${path}/${name}`, depth - 1) : undefined;
        if (inside !== undefined) return inside;
      }
      return undefined;
    };
    const found = await search("/machine", 3);
    if (found === undefined) throw new UsageError(`QEMU has no ${this.platform.interruptController[0]}`);
    return found;
  }

  /** The PCI functions of the machine, named as in `0000:00:1f.0`, and where they are. */
  async pciFunctions(): Promise<ReadonlyMap<string, PciPlace>> {
    const hex = (value: number) => value.toString(16).padStart(2, "0");
    const found = new Map<string, PciPlace>();
    const add = (devices: readonly PciDevice[], place: PciPlace) => {
      for (const { bus, slot, function: number, pci_bridge: bridge } of devices) {
        found.set(`0000:${hex(bus)}:${hex(slot)}.${number}`, bridge ? "port" : place);
        if (bridge) add(bridge.devices ?? [], "belowPort");
      }
    };
    const buses = (await this.qmp.execute("query-pci")) as readonly { readonly devices: readonly PciDevice[] }[];
    for (const { devices } of buses) add(devices, "alone");
    return found;
  }

  /** End QEMU, whatever it does, and remove its files. */
  async stop(): Promise<void> {
    this.#console.close();
    if (this.running && !this.qmp.closed) await this.qmp.execute("quit").catch(() => undefined);
    this.qmp.close();
    this.qtest.close();
    this.memory.close();
    await this.#process.release();
    await this.#held.release();
  }
}

/** What QEMU says, but for its wish that files under names of its own be put elsewhere. */
const complaints = (text: string): string[] => text.split("\n").filter((line) => line.trim() !== "" && !line.includes('should be prefixed with "opt/"'));

const SIGNALS: Readonly<Record<number, string>> = {
  134: "aborted",
  135: "killed by SIGBUS: no space left for its memory file?",
  137: "killed",
  139: "crashed",
};
const statusText = (status: number): string => SIGNALS[status] ?? `exit status ${status}`;

function needRoom(folder: string, ram: bigint): void {
  const { bavail, bsize } = statfsSync(folder, { bigint: true });
  if (bavail * bsize < ram)
    throw new UsageError(`${folder}: the guest's memory needs ${ram >> 20n} MiB, only ${(bavail * bsize) >> 20n} MiB are free; TMPDIR names another place`);
}

async function commandLine(options: MachineOptions, folder: string, memory: FileMemory): Promise<string[]> {
  const { platform, guest } = options;
  const words = [
    ...["-nodefaults", "-display", "none", "-no-reboot", "-no-user-config"],
    ...["-machine", `${platform.machineType},acpi=${options.acpi ? "on" : "off"},memory-backend=ram`],
    ...["-accel", "tcg,thread=single", ...platform.words],
    ...["-m", `${options.ram >> 20n}M`, "-object", `memory-backend-file,id=ram,size=${options.ram},mem-path=${optionPath(memory.path)},share=on`],
    ...["-qmp", `unix:${optionPath(join(folder, "qmp.sock"))}`, "-qtest", `unix:${optionPath(join(folder, "qtest.sock"))}`, "-qtest-log", "/dev/null"],
    ...["-chardev", `pipe,id=console,path=${optionPath(await consoleFiles(folder))}`],
    ...["-serial", "chardev:console"],
    ...(await platform.start(folder)),
    ...(options.paused ? ["-S"] : []),
    ...(options.words ?? []),
  ];
  let number = 0;
  for (const [name, { bytes }] of options.files ?? []) {
    const path = join(folder, `file${number++}`);
    await writeFile(path, bytes);
    words.push("-fw_cfg", `name=${name},file=${optionPath(path)}`);
  }
  if (guest) {
    if (!existsSync(guest.kernel)) throw new UsageError(`${guest.kernel}: no such kernel`);
    words.push("-kernel", guest.kernel, "-append", `console=${platform.console} loglevel=8 ignore_loglevel panic=-1 ${guest.append ?? ""}`.trim());
    if (typeof guest.initrd === "string") {
      if (!existsSync(guest.initrd)) throw new UsageError(`${guest.initrd}: no such file`);
      words.push("-initrd", guest.initrd);
    } else if (guest.initrd) {
      const path = join(folder, "initrd");
      await writeFile(path, guest.initrd);
      words.push("-initrd", path);
    }
  }
  return words;
}

/**
 * The files of the console: QEMU reads and writes both ends of a "pipe". Its output is a plain file, since what a socket
 * or a pipe does not take at once is lost or logged twice.
 */
async function consoleFiles(folder: string): Promise<string> {
  const path = join(folder, "console");
  await promisify(execFile)("mkfifo", [`${path}.in`]);
  await writeFile(`${path}.out`, "");
  return path;
}

/** What the guest prints, and typing to it. */
class Console {
  readonly #folder: string;
  #text = "";
  #file: number | undefined;
  #at = 0;

  constructor(folder: string) {
    this.#folder = folder;
  }

  get text(): string {
    const path = join(this.#folder, "console.out");
    if (this.#file === undefined) {
      if (!existsSync(path)) return this.#text;
      this.#file = openSync(path, "r");
    }
    const chunk = Buffer.alloc(65536);
    for (let count = readSync(this.#file, chunk, 0, chunk.length, this.#at); count > 0; count = readSync(this.#file, chunk, 0, chunk.length, this.#at)) {
      this.#at += count;
      this.#text += chunk.toString("latin1", 0, count).replaceAll("\r", "");
    }
    return this.#text;
  }

  type(line: string): void {
    const file = openSync(join(this.#folder, "console.in"), constants.O_WRONLY | constants.O_NONBLOCK);
    try {
      writeSync(file, `${line}\n`);
    } finally {
      closeSync(file);
    }
  }

  close(): void {
    if (this.#file !== undefined) closeSync(this.#file);
    this.#file = undefined;
  }
}
