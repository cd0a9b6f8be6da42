/** The real iasl, where it is installed: suites that need it are skipped, with a message, where it is not. */
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

export const haveIasl = spawnSync("iasl", ["-v"]).status === 0;
if (!haveIasl) console.warn("iasl is not installed (package acpica-tools): the suites that need it are skipped");

/** Run iasl on one file in a folder of its own. @returns its output and the file named `result`, undefined when it wrote none. */
export function runIasl(
  args: readonly string[],
  name: string,
  content: Uint8Array | string,
  result: string,
): { output: string; bytes: Uint8Array | undefined } {
  const folder = mkdtempSync(join(tmpdir(), "iasl-"));
  try {
    writeFileSync(join(folder, name), content);
    const run = spawnSync("iasl", [...args, name], { cwd: folder, encoding: "latin1", timeout: 20_000 });
    let bytes: Uint8Array | undefined;
    try {
      bytes = new Uint8Array(readFileSync(join(folder, result)));
    } catch {
      bytes = undefined;
    }
    return { output: `${run.stdout}${run.stderr}`, bytes };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Compile data-table source; undefined when iasl refuses it. */
export const iaslCompile = (source: string) => runIasl([], "table.dsl", source, "table.aml");
/** Disassemble a table. */
export const iaslDisassemble = (table: Uint8Array) => runIasl(["-d"], "table.dat", table, "table.dsl");
