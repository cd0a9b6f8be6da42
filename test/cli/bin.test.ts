/** The program as a process; all else is tested in this one. */
import { execFile, spawn, spawnSync } from "node:child_process";
import { closeSync, existsSync, openSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";

const project = (path: string) => fileURLToPath(new URL(`../../${path}`, import.meta.url));
const run = (words: readonly string[], input?: Uint8Array) =>
  new Promise<{ code: number; out: string; err: string }>((resolve) => {
    const child = execFile(process.execPath, [project("bin/apei.js"), ...words], (error, out, err) =>
      resolve({ code: (error?.code as number | undefined) ?? 0, out, err }),
    );
    child.stdin?.end(input);
  });

describe.skipIf(!existsSync(project("dist/cli/main.js")))("bin/apei.js", () => {
  test("decodes standard input", async () => {
    const { code, out, err } = await run(["decode", "-"], readFileSync(project("test/input/wrapped/record.bin")));
    expect(out).toMatch(/^Corrected platform memory error, single-bit ECC/i);
    expect(err).toContain("-: taken for common platform error record, 273 bytes");
    expect(code).toBe(0);
  });
  test("says what is wrong and ends with 2", async () => {
    expect(await run(["decode", "/nowhere"])).toEqual({ code: 2, out: "", err: "apei: /nowhere: no such file\n" });
    expect((await run(["decod"])).err).toContain('there is no command "decod"; did you mean decode?');
  });
  test("loads modules from outside the package", async () => {
    const { out } = await run([
      "decode",
      project("samples/sections/fan-board.hex"),
      "--section",
      "fanBoard",
      "--sections",
      project("samples/sections/fan-board.mjs"),
    ]);
    expect(out).toMatch(/^Fan board error/);
  });
  test("ends quietly when whoever reads has seen enough", async () => {
    const child = spawn(process.execPath, [project("bin/apei.js"), "schema", "cper"], { stdio: ["ignore", "pipe", "pipe"] });
    child.stdout.destroy();
    let err = "";
    child.stderr.on("data", (chunk) => (err += chunk));
    expect(await new Promise((resolve) => child.on("close", resolve))).toBe(0);
    expect(err).toBe("");
  });
  test.skipIf(!existsSync("/dev/full"))("says when its output cannot be written", () => {
    const full = openSync("/dev/full", "w");
    const { status, stderr } = spawnSync(process.execPath, [project("bin/apei.js"), "--help"], { stdio: ["ignore", full, "pipe"], encoding: "utf8" });
    closeSync(full);
    expect(stderr).toMatch(/^apei: standard output: ENOSPC: [^\n]*\n$/);
    expect(status).toBe(2);
  });
});
