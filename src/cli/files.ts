/** Reading and writing files for commands: `-` is standard input, output files appear whole or not at all. */
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { UsageError } from "../layout/index.ts";
import type { Io } from "./io.ts";

/** Why a file cannot be read or written, in words. */
export const reason = (error: unknown): string => {
  const code = (error as NodeJS.ErrnoException).code;
  const words: Record<string, string> = {
    ENOENT: "no such file",
    EISDIR: "is a folder",
    EACCES: "permission denied",
    ENOTDIR: "not a folder",
    ENOSPC: "no space left",
    EEXIST: "exists already",
  };
  return (code !== undefined && words[code]) || (error instanceof Error ? error.message : String(error));
};

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
    throw new UsageError(`${name}: ${reason(error)}`);
  }
}

/**
 * Make a folder and those above it: Node's own recursive form never returns where the system refuses one as missing, as in /proc.
 * @throws UsageError naming the folder.
 */
export function makeFolder(path: string): void {
  if (existsSync(path)) return;
  makeFolder(dirname(path));
  try {
    mkdirSync(path);
  } catch (error) {
    throw new UsageError(`${path}: ${reason(error)}`);
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
    throw new UsageError(`${name}: ${error instanceof UsageError ? error.message : reason(error)}`);
  }
}

/** Binary output: to `out` when given, to standard output unless that is a terminal. @throws UsageError */
export async function writeBinary(out: string | undefined, content: Uint8Array, io: Io): Promise<void> {
  if (out !== undefined && out !== "-") await writeWhole(out, content);
  else if (io.stdout.isTTY) throw new UsageError("standard output is a terminal: name a file with --out");
  else io.stdout.write(content);
}
