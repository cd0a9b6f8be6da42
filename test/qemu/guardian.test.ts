/** Nothing is left behind, whoever is killed. */
import { type ChildProcess, spawn } from "node:child_process";
import { chmodSync, existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { buildSync } from "esbuild";
import { describe, expect, test } from "vitest";
import { Guarded, heldFolder } from "../../src/qemu/guardian.ts";
import { RealMachine } from "../../src/qemu/machine.ts";
import { PLATFORMS } from "../../src/qemu/platform.ts";
import { testFolder } from "../support/folder.ts";

const alive = (pid: number): boolean => {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
};
async function until(condition: () => boolean, milliseconds = 5000): Promise<boolean> {
  for (const end = Date.now() + milliseconds; Date.now() < end; await sleep(20)) if (condition()) return true;
  return condition();
}

const work = testFolder();

/** A process of its own that guards a `sleep` and prints the guarded folder and process id. */
function parent(): ChildProcess {
  const guardian = fileURLToPath(new URL("../../src/qemu/guardian.ts", import.meta.url));
  const script = join(work, "parent.mjs");
  buildSync({
    stdin: {
      contents: `import { Guarded, heldFolder } from ${JSON.stringify(guardian)};
        const { folder } = await heldFolder();
        new Guarded(folder, "/bin/sh", ["-c", "echo $$ >" + folder + "/pid; exec sleep 1000"]);
        console.log(folder); setInterval(() => {}, 1000);`,
      resolveDir: work,
    },
    bundle: true,
    platform: "node",
    format: "esm",
    outfile: script,
    logLevel: "silent",
  });
  return spawn(process.execPath, [script], { stdio: ["ignore", "pipe", "inherit"] });
}

describe("when the parent ends by", () => {
  test.each(["SIGKILL", "SIGTERM", "SIGINT"] as const)("%s, the program and its folder are gone", async (signal) => {
    const child = parent();
    const folder = await new Promise<string>((resolve) => child.stdout!.once("data", (data) => resolve(String(data).trim())));
    const pidFile = join(folder, "pid");
    expect(await until(() => existsSync(pidFile))).toBe(true);
    await sleep(50);
    const pid = Number(readFileSync(pidFile, "utf8"));
    expect(alive(pid)).toBe(true);
    child.kill(signal);
    expect(await until(() => !alive(pid) && !existsSync(folder))).toBe(true);
  });
});

describe("Guarded", () => {
  test("tells the exit status and what was said, and keeps the folder until it is released", async () => {
    const { folder } = await heldFolder();
    const guarded = new Guarded(folder, "/bin/sh", ["-c", "echo no such machine >&2; exit 3"]);
    expect(await guarded.ended).toBe(3);
    expect(guarded.errorText).toBe("no such machine\n");
    expect(existsSync(guarded.folder)).toBe(true);
    await guarded.release();
    expect(existsSync(guarded.folder)).toBe(false);
  });

  test("release ends a program that still runs", async () => {
    const { folder } = await heldFolder();
    const guarded = new Guarded(folder, "/bin/sh", ["-c", "exec sleep 1000"]);
    await guarded.release();
    expect(existsSync(guarded.folder)).toBe(false);
  });
});

test("a folder that cannot be made says why", async () => {
  await expect(heldFolder(join(work, "nowhere"))).rejects.toThrow(/^mkdir: .*nowhere.*No such file or directory/);
});

test("a parent that ends at any moment while it makes a folder leaves none", async () => {
  const guardian = fileURLToPath(new URL("../../src/qemu/guardian.ts", import.meta.url));
  const script = join(work, "maker.mjs");
  const place = join(work, "place");
  mkdirSync(place);
  buildSync({
    stdin: {
      contents: `import { heldFolder } from ${JSON.stringify(guardian)}; console.log("starts"); for (;;) await heldFolder(${JSON.stringify(place)});`,
      resolveDir: work,
    },
    bundle: true,
    platform: "node",
    format: "esm",
    outfile: script,
    logLevel: "silent",
  });
  for (const wait of [0, 2, 4, 8]) {
    const child = spawn(process.execPath, [script], { stdio: ["ignore", "pipe", "inherit"] });
    await new Promise((resolve) => child.stdout!.once("data", resolve));
    await sleep(wait);
    child.kill("SIGKILL");
    // One that was just begun may still come, and goes again.
    await sleep(100);
    expect(await until(() => readdirSync(place).length === 0, 10_000)).toBe(true);
  }
});

describe("RealMachine.start", () => {
  const optionsWith = (program: string) => ({ platform: { ...PLATFORMS.seabios, program }, ram: 16n << 20n, acpi: true });

  test("names the packages of a missing program", async () => {
    await expect(RealMachine.start(optionsWith("qemu-system-nowhere"))).rejects.toThrow(
      "qemu-system-nowhere is not installed; Debian's packages are qemu-system-x86 and seabios",
    );
  });

  test("tells what a QEMU says that does not start", async () => {
    const program = join(work, "old-qemu");
    writeFileSync(program, "#!/bin/sh\necho 'qemu: unsupported machine type' >&2\nexit 1\n");
    chmodSync(program, 0o755);
    await expect(RealMachine.start(optionsWith(program))).rejects.toThrow(/^QEMU has not started \(exit status 1\)/);
  });

  test("refuses a memory file the disk has no room for", async () => {
    await expect(RealMachine.start({ ...optionsWith("/bin/true"), ram: 1n << 60n })).rejects.toThrow(/the guest's memory needs \d+ MiB, only \d+ MiB are free/);
  });
});
