/** Guests that do not get up, and runs that are killed: words, an exit code, and nothing left behind. */
import { spawn } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { buildErrorStatusBlock } from "../../src/acpi/status-block.ts";
import { GUEST_SAYS } from "../../src/qemu/initramfs.ts";
import { RealMachine } from "../../src/qemu/machine.ts";
import { apei } from "../support/cli.ts";
import { testFolder } from "../support/folder.ts";
import { describeOn, guestOn, platformOn } from "./support.ts";

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

async function until(condition: () => boolean, seconds: number): Promise<boolean> {
  for (const end = Date.now() + seconds * 1000; Date.now() < end && !condition(); await sleep(10));
  return condition();
}
/** Whether a guest whose files are in a folder has started. */
const isUp = (folder: string): boolean =>
  readdirSync(folder).some((name) => {
    const console = join(folder, name, "console.out");
    return existsSync(console) && readFileSync(console, "latin1").includes(GUEST_SAYS.ready);
  });
const isBuilt = existsSync(join(program, "../../dist"));

const work = testFolder();

describeOn("seabios")("with SeaBIOS", () => {
  test("a guest that is never ready: the last lines it printed, exit code 2", async () => {
    const { kernel } = guestOn("seabios");
    const log = join(work, "never.log");
    const { exit, err } = await apei(
      ["qemu", "run", sampleFile, "--firmware", "seabios", "--kernel", kernel, "--ready", "never printed", "--timeout", "20", "--log", log],
      "",
      process.env as Record<string, string>,
    );
    expect(exit).toBe(2);
    // Without a root file system the kernel panics, and the machine ends.
    expect(err).toContain("the guest's start: the machine has ended before");
    expect(err).toContain("Unable to mount root fs");
    expect(readFileSync(log, "latin1")).toMatch(/Linux version .*Unable to mount root fs/s);
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
  test.skipIf(!isBuilt).each([
    ["run", "its guest starts", "SIGKILL"],
    ["run", "its guest starts", "SIGTERM"],
    ["run", "its guest starts", "SIGINT"],
    ["run", "its guest is up", "SIGKILL"],
    ["run", "its guest is up", "SIGTERM"],
    ["capture", "its guest starts", "SIGKILL"],
    ["capture", "its guest starts", "SIGTERM"],
  ] as const)("%s, ended when %s by %s: nothing is left", async (action, moment, signal) => {
    const temporary = odd();
    const words = action === "run" ? ["run", sampleFile] : ["capture", "--out", join(work, "captured")];
    const child = spawn(process.execPath, [program, "qemu", ...words, "--firmware", "seabios"], {
      stdio: "ignore",
      env: { ...process.env, TMPDIR: temporary },
    });
    const started = await until(() => machinesIn(temporary).length > 0, 30);
    if (moment === "its guest starts") await sleep(IN_THE_MIDDLE);
    else expect(await until(() => isUp(temporary), 120)).toBe(true);
    child.kill(signal);
    expect(started).toBe(true);
    expect(await until(() => machinesIn(temporary).length === 0 && readdirSync(temporary).length === 0, 10)).toBe(true);
    expect(existsSync(join(work, "captured"))).toBe(false);
  });
});

describeOn("aavmf@sid")("a QEMU that somebody else has started", () => {
  const block = buildErrorStatusBlock("corrected", [
    { header: { sectionType: "11223344-5566-7788-99aa-bbccddeeff00", errorSeverity: "corrected" }, body: Uint8Array.of(1, 2, 3, 4) },
  ]);
  test.skipIf(!isBuilt).each(["SIGKILL", "SIGTERM", "SIGINT"] as const)(
    "inject, ended by %s while it looks for the record: nothing is left, QEMU goes on",
    async (signal) => {
      const temporary = join(work, `inject-${signal}`);
      mkdirSync(temporary);
      const file = join(work, "block.bin");
      writeFileSync(file, block);
      const socket = join(work, "qmp.sock");
      const platform = platformOn("aavmf@sid");
      const machine = await RealMachine.start({
        platform: { ...platform, machineType: "virt,ras=on,gic-version=3" },
        ram: 1n << 30n,
        acpi: true,
        paused: true,
        words: ["-qmp", `unix:${socket},server=on,wait=off`],
      });
      try {
        const child = spawn(process.execPath, [program, "qemu", "inject", file, "--qmp", socket], {
          stdio: "ignore",
          env: { ...process.env, TMPDIR: temporary },
        });
        const ended = new Promise<NodeJS.Signals | null>((resolve) => child.once("exit", (_, by) => resolve(by)));
        // Guest memory is saved into a temporary folder, part by part.
        const busy = await until(() => readdirSync(temporary).length > 0, 30);
        child.kill(signal);
        expect(busy).toBe(true);
        expect(await ended).toBe(signal);
        expect(await until(() => readdirSync(temporary).length === 0, 10)).toBe(true);
        expect(await machine.qmp.execute("query-status")).toMatchObject({ running: false });
      } finally {
        await machine.stop();
      }
    },
  );
});
