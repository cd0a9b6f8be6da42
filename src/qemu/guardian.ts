/** A child process that cannot outlive this one, with a folder of temporary files that cannot either. */
import { type ChildProcess, spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { existsSync } from "node:fs";
import { rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { UsageError } from "../layout/index.ts";

/**
 * Runs the program and watches the pipe this process holds: when the pipe closes, for whatever reason, the program
 * is killed and the folder removed. The second watcher does that even when the script itself is killed. Somebody else
 * may be putting a file there at that very moment, so it is looked at twice.
 */
const SCRIPT = `
folder=$1; shift
clean() { rm -rf "$folder"; [ ! -e "$folder" ] || { sleep 1; rm -rf "$folder"; }; }
exec 3<&0
"$@" </dev/null 3<&- &
child=$!
{ cat <&3 >/dev/null; kill -KILL $child; clean; } 2>/dev/null >/dev/null &
watcher=$!
wait $child
echo "ended $?"
kill $watcher 2>/dev/null
exec >/dev/null 2>&1
cat <&3
clean
`;

const MOST_ERROR_TEXT = 8192;
/** Milliseconds until what a program that has ended said is here, though somebody it has started may go on. */
const LAST_WORDS = 1000;

export class Guarded {
  readonly folder: string;
  /** What the program said on standard error, at most its end. */
  errorText = "";
  /** Resolves with the exit status (128 + signal) once the program has ended. */
  readonly ended: Promise<number>;
  readonly #process: ChildProcess;
  #status: number | undefined;

  /** @param folder belongs to the program from now on. */
  constructor(folder: string, program: string, words: readonly string[]) {
    this.folder = folder;
    // A process group of its own: Ctrl-C goes to this process alone, and its end ends the other.
    this.#process = spawn("/bin/sh", ["-c", SCRIPT, "sh", folder, program, ...words], { stdio: ["pipe", "pipe", "pipe"], detached: true });
    this.#process.stdin!.on("error", () => undefined);
    this.#process.stderr!.setEncoding("utf8").on("data", (text: string) => {
      this.errorText = (this.errorText + text).slice(-MOST_ERROR_TEXT);
    });
    this.ended = new Promise((resolve, reject) => {
      this.#process.once("error", (error) => reject(new UsageError(`/bin/sh: ${error.message}`)));
      const settle = (status: number) => {
        this.#status ??= status;
        resolve(this.#status);
      };
      // What it said last may come after the news of its end.
      const silent = new Promise<void>((heard) => this.#process.stderr!.once("close", () => heard()));
      this.#process.stdout!.setEncoding("utf8").on("data", (text: string) => {
        const status = /^ended ([0-9]+)/.exec(text);
        if (status) void Promise.race([silent, sleep(LAST_WORDS, undefined, { ref: false })]).then(() => settle(Number(status[1])));
      });
      this.#process.once("exit", (code) => settle(code ?? 255));
    });
    this.ended.catch(() => undefined);
  }

  /** Exit status once the program has ended. */
  get status(): number | undefined {
    return this.#status;
  }

  /** Kill the program if it still runs and remove the folder. */
  async release(): Promise<void> {
    const gone = this.#process.exitCode !== null || this.#process.signalCode !== null;
    const exited = gone ? Promise.resolve() : new Promise<void>((resolve) => this.#process.once("exit", () => resolve()));
    this.#process.stdin!.end();
    await exited;
    if (existsSync(this.folder)) await rm(this.folder, { recursive: true, force: true });
  }
}

/**
 * A temporary folder that goes with this process, from its first moment: the one who removes it makes it.
 * @param start of its name; short, since socket paths may have 107 bytes only.
 * @throws UsageError when it cannot be made.
 */
export async function heldFolder(parent = tmpdir(), start = "apei-qemu-"): Promise<Guarded> {
  const folder = join(parent, start + randomBytes(RANDOM).toString("hex"));
  const held = new Guarded(folder, "mkdir", ["-m", "700", folder]);
  if ((await held.ended) === 0) return held;
  await held.release();
  throw new UsageError(held.errorText.trim() || `${folder}: cannot be made`);
}
const RANDOM = 4;
