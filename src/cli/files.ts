/** Reading and writing files for commands: `-` is standard input, output files appear whole or not at all. */
import { readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { fileProblem, makeFolder } from "../input/local-files.ts";
import { UsageError } from "../layout/index.ts";
import type { Io } from "./io.ts";

/** All bytes of a file, or of standard input for `-`. @throws UsageError naming the file. */
export async function readInput(name: string, io: Io): Promise<Uint8Array> {
  if (name === "-") {
    const chunks: Uint8Array[] = [];
    for await (const chunk of io.stdin) chunks.push(chunk);
    return new Uint8Array(Buffer.concat(chunks));
  }
  try {
    const { buffer, byteOffset, length } = readFileSync(name);
    return new Uint8Array(buffer, byteOffset, length);
  } catch (error) {
    throw new UsageError(`${name}: ${fileProblem(error)}`);
  }
}

/** Write a file by way of a temporary neighbour, so that an interrupted run leaves no half of it. @throws UsageError */
export async function writeWhole(name: string, content: Uint8Array | string): Promise<void> {
  const temporary = join(dirname(name), `.${basename(name)}.${process.pid}`);
  try {
    makeFolder(dirname(name));
    writeFileSync(temporary, content);
    renameSync(temporary, name);
  } catch (error) {
    rmSync(temporary, { force: true });
    throw new UsageError(`${name}: ${error instanceof UsageError ? error.message : fileProblem(error)}`);
  }
}

/** Binary output: to `out` when given, to standard output unless that is a terminal. @throws UsageError */
export async function writeBinary(out: string | undefined, content: Uint8Array, io: Io): Promise<void> {
  if (out !== undefined && out !== "-") await writeWhole(out, content);
  else if (io.stdout.isTTY) throw new UsageError("standard output is a terminal: name a file with --out");
  else io.stdout.write(content);
}
