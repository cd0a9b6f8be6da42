/** Reading and writing files for commands: `-` is standard input, output files appear whole or not at all. */
import { readFileSync, realpathSync, renameSync, rmSync, statSync } from "node:fs";
import type { FileHandle } from "node:fs/promises";
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

/** Neighbours of files that are being written: a signal that ends the process must leave none of them. */
const parts = new Set<string>();
const SIGNALS = ["SIGINT", "SIGTERM", "SIGHUP"] as const;
function endBy(signal: NodeJS.Signals): void {
  for (const part of parts) forget(part, true);
  process.kill(process.pid, signal);
}
function remember(part: string): void {
  if (parts.size === 0) for (const signal of SIGNALS) process.on(signal, endBy);
  parts.add(part);
}
function forget(part: string, remove: boolean): void {
  if (remove) rmSync(part, { force: true });
  parts.delete(part);
  if (parts.size === 0) for (const signal of SIGNALS) process.off(signal, endBy);
}

/** A file that appears under its name, or takes the place of one that has it, only when it is whole. */
export class WholeFile {
  readonly #name: string;
  #handle: FileHandle | undefined;
  /** The neighbour that is written, and what it becomes: none for devices and pipes, which are written themselves. */
  #part: { readonly name: string; readonly becomes: string } | undefined;

  constructor(name: string) {
    this.#name = name;
  }
  async #naming<T>(action: () => T | Promise<T>): Promise<T> {
    try {
      return await action();
    } catch (error) {
      throw new UsageError(`${this.#name}: ${error instanceof UsageError ? error.message : fileProblem(error)}`);
    }
  }
  async #open(): Promise<FileHandle> {
    const { open } = await import("node:fs/promises");
    makeFolder(dirname(this.#name));
    const there = statSync(this.#name, { throwIfNoEntry: false });
    if (there?.isDirectory()) throw new UsageError("is a folder");
    if (there && !there.isFile()) return open(this.#name, "w");
    // Of a link, what it leads to is replaced.
    const becomes = there ? realpathSync(this.#name) : this.#name;
    this.#part = { name: join(dirname(becomes), `.${basename(becomes)}.${process.pid}`), becomes };
    remember(this.#part.name);
    return open(this.#part.name, "w");
  }

  /** Write more bytes. @throws UsageError */
  append(bytes: Uint8Array | string): Promise<void> {
    return this.#naming(async () => {
      this.#handle ??= await this.#open();
      await this.#handle.writeFile(bytes);
    });
  }
  /** End the file, or leave nothing of it when it is not `done`. @throws UsageError */
  async close(done: boolean): Promise<void> {
    await this.#naming(async () => {
      let whole = false;
      try {
        await this.#handle?.close();
        if (done && this.#part) renameSync(this.#part.name, this.#part.becomes);
        whole = done;
      } finally {
        if (this.#part) forget(this.#part.name, !whole);
      }
    });
  }
}

/** Write a file by way of a temporary neighbour, so that an interrupted run leaves no half of it. @throws UsageError */
export async function writeWhole(name: string, content: Uint8Array | string): Promise<void> {
  const file = new WholeFile(name);
  let done = false;
  try {
    await file.append(content);
    done = true;
  } finally {
    await file.close(done);
  }
}

/** Binary output: to `out` when given, to standard output unless that is a terminal. @throws UsageError */
export async function writeBinary(out: string | undefined, content: Uint8Array, io: Io): Promise<void> {
  if (out !== undefined && out !== "-") await writeWhole(out, content);
  else if (io.stdout.isTTY) throw new UsageError("standard output is a terminal: name a file with --out");
  else io.stdout.write(content);
}
