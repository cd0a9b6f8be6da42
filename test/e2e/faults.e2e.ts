/** Guests that do not get up, and runs that are killed: words, an exit code, and nothing left behind. */
import { spawn } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { apei } from "../support/cli.ts";
import { testFolder } from "../support/folder.ts";
import { describeOn, guestOn } from "./support.ts";

const sampleFile = fileURLToPath(new URL("../../samples/qemu/memory-errors.json", import.meta.url));
const program = fileURLToPath(new URL("../../bin/apei.js", import.meta.url));

/** Command lines of the QEMUs that use files of a folder, and of those who watch over them. */
const machinesIn = (folder: string): string[] =>
  readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .flatMap((pid) => {
      try {
        const words = readFileSync(`/proc/${pid}/cmdline`, "latin1");
        return words.startsWith("qemu-system") || words.includes("/qemu-system") ? [words] : [];
      } catch {
        return [];
      }
    })
    .filter((words) => words.includes(folder.replaceAll(",", ",,")));

/** Milliseconds after which a machine has started and its guest has not. */
const IN_THE_MIDDLE = 500;

const work = testFolder();

describeOn("seabios")("with SeaBIOS", () => {
  test("a guest that is never ready: the last lines it printed, exit code 2", async () => {
    const { kernel } = guestOn("seabios");
    const { exit, err } = await apei(
      ["qemu", "run", sampleFile, "--firmware", "seabios", "--kernel", kernel, "--ready", "never printed", "--timeout", "20"],
      "",
      process.env as Record<string, string>,
    );
    expect(exit).toBe(2);
    // Without a root file system the kernel panics, and the machine ends.
    expect(err).toContain("the guest's start: the machine has ended before");
    expect(err).toContain("Unable to mount root fs");
  });

  test("a guest that takes too long", async () => {
    const { exit, err } = await apei(["qemu", "run", sampleFile, "--firmware", "seabios", "--timeout", "0.2"], "", process.env as Record<string, string>);
    expect(exit).toBe(2);
    expect(err).toMatch(/not seen within 0\.2 s/);
  });

  test("a kernel that is not there, a scenario for another machine, an ERST file that is none", async () => {
    const run = (...words: string[]) => apei(["qemu", "run", sampleFile, "--firmware", "seabios", ...words], "", process.env as Record<string, string>);
    expect((await run("--kernel", "/nonexistent")).err).toContain("/nonexistent: no such kernel");
    const wrong = join(work, "wrong.bin");
    writeFileSync(wrong, "no store");
    expect((await run("--erst", wrong)).err).toContain("8 bytes are no ERST store");
    const arm = join(work, "arm.json");
    writeFileSync(arm, JSON.stringify({ name: "arm", machine: { architecture: "arm64" }, events: [] }));
    expect((await apei(["qemu", "run", arm, "--firmware", "seabios"])).err).toBe("apei: the scenario is for arm64, SeaBIOS runs on x86\n");
  });

  // A folder whose name QEMU's options would cut in two.
  const odd = () => {
    const folder = join(work, "a,b");
    mkdirSync(folder, { recursive: true });
    return folder;
  };
  test.skipIf(!existsSync(join(program, "../../dist"))).each([
    ["run", "SIGKILL"],
    ["run", "SIGTERM"],
    ["run", "SIGINT"],
    ["capture", "SIGKILL"],
    ["capture", "SIGTERM"],
  ] as const)("%s, ended in the middle by %s: nothing is left", async (action, signal) => {
    const temporary = odd();
    const words = action === "run" ? ["run", sampleFile] : ["capture", "--out", join(work, "captured")];
    const child = spawn(process.execPath, [program, "qemu", ...words, "--firmware", "seabios"], {
      stdio: "ignore",
      env: { ...process.env, TMPDIR: temporary },
    });
    const until = async (condition: () => boolean, seconds: number) => {
      for (const end = Date.now() + seconds * 1000; Date.now() < end && !condition(); await sleep(50));
      return condition();
    };
    const started = await until(() => machinesIn(temporary).length > 0, 30);
    await sleep(IN_THE_MIDDLE);
    child.kill(signal);
    expect(started).toBe(true);
    expect(await until(() => machinesIn(temporary).length === 0 && readdirSync(temporary).length === 0, 10)).toBe(true);
    expect(existsSync(join(work, "captured"))).toBe(false);
  });
});
