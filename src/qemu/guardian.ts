/** A child process that cannot outlive this one, with a folder of temporary files that cannot either. */
import { type ChildProcess, spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { UsageError } from "../layout/index.ts";

/**
 * Runs the program and watches the pipe this process holds: when the pipe closes, for whatever reason, the program
 * is killed and the folder removed. The second watcher does that even when the script itself is killed.
 */
const SCRIPT = `
folder=$1; shift
exec 3<&0
"$@" </dev/null 3<&- &
child=$!
{ cat <&3 >/dev/null; kill -KILL $child; rm -rf "$folder"; } 2>/dev/null >/dev/null &
watcher=$!
wait $child
echo "ended $?"
kill $watcher 2>/dev/null
exec >/dev/null 2>&1
cat <&3
rm -rf "$folder"
`;

/** A folder for temporary files: short, since socket paths may have 107 bytes only. */
export const temporaryFolder = (): Promise<string> => mkdtemp(join(tmpdir(), "apei-qemu-"));

const MOST_ERROR_TEXT = 8192;

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
      this.#process.stdout!.setEncoding("utf8").on("data", (text: string) => {
        const status = /^ended ([0-9]+)/.exec(text);
        if (status) settle(Number(status[1]));
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

/** A temporary folder that goes with this process, before anything is started in it. */
export const heldFolder = async (): Promise<Guarded> => new Guarded(await temporaryFolder(), "/bin/true", []);
