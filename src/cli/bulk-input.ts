/** Where streams of any length come from, read into memory of the reader's. */
import { closeSync, createReadStream, fstatSync, openSync, readSync } from "node:fs";
import { UsageError } from "../layout/index.ts";
import type { Io } from "./io.ts";

/** Bytes in order. */
export interface Source {
  /** Fill the buffer as far as bytes are there; returns their number, 0 at the end. */
  read(into: Uint8Array): number | Promise<number>;
  close(): Promise<void> | void;
}

/** The chunks of a stream. */
class Chunks implements Source {
  readonly #chunks: AsyncIterator<Uint8Array>;
  #left = new Uint8Array(0);

  constructor(stream: AsyncIterable<Uint8Array>) {
    this.#chunks = stream[Symbol.asyncIterator]();
  }
  async read(into: Uint8Array): Promise<number> {
    while (this.#left.length === 0) {
      const { done, value } = await this.#chunks.next();
      if (done) return 0;
      this.#left = value as Uint8Array<ArrayBuffer>;
    }
    const taken = Math.min(into.length, this.#left.length);
    into.set(this.#left.subarray(0, taken));
    this.#left = this.#left.subarray(taken);
    return taken;
  }
  async close(): Promise<void> {
    await this.#chunks.return?.();
  }
}

/** A descriptor, read without a stream in between: this thread waits for the bytes. */
class Descriptor implements Source {
  readonly #fd: number;
  readonly #stream: (() => AsyncIterable<Uint8Array>) | undefined;
  #instead: Chunks | undefined;

  /** @param stream for descriptors of others: what to read instead when this one does not let readers wait. */
  constructor(fd: number, stream?: () => AsyncIterable<Uint8Array>) {
    this.#fd = fd;
    this.#stream = stream;
  }
  read(into: Uint8Array): number | Promise<number> {
    if (this.#instead) return this.#instead.read(into);
    try {
      return readSync(this.#fd, into);
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      // Pipes of Windows end with an error.
      if (code === "EOF") return 0;
      if (code !== "EAGAIN" || !this.#stream) throw error;
      this.#instead = new Chunks(this.#stream());
      return this.#instead.read(into);
    }
  }
  async close(): Promise<void> {
    if (this.#instead) await this.#instead.close();
    else if (!this.#stream) closeSync(this.#fd);
  }
}

/**
 * Open a file, or standard input for `-`.
 * @param waits whether this thread has nothing else to do while it waits for bytes that are yet to be produced.
 */
function open(name: string, io: Io, waits: boolean): Source {
  if (name === "-") return waits && io.stdinFd !== undefined ? new Descriptor(io.stdinFd, () => io.stdin) : new Chunks(io.stdin);
  const fd = openSync(name, "r");
  return waits || fstatSync(fd).isFile() ? new Descriptor(fd) : new Chunks(createReadStream(name, { fd }));
}

/** Put the name of the input before what is wrong with it. */
async function named<T>(name: string, action: () => T | Promise<T>): Promise<T> {
  try {
    return await action();
  } catch (error) {
    throw new UsageError(
      `${name}: ${(error as NodeJS.ErrnoException).code === "ENOENT" ? "no such file" : error instanceof Error ? error.message : String(error)}`,
    );
  }
}

/**
 * Open an input whose errors are UsageErrors that name it.
 * @param from bytes to pass over.
 */
export async function openSource(name: string, io: Io, waits: boolean, from = 0): Promise<Source> {
  const source = await named(name, () => open(name, io, waits));
  const read = (into: Uint8Array) => named(name, () => source.read(into));
  const passed = new Uint8Array(Math.min(from, 1 << 16));
  for (let left = from; left > 0; ) {
    const bytes = await read(passed.subarray(0, Math.min(left, passed.length)));
    if (bytes === 0) break;
    left -= bytes;
  }
  return { read, close: () => source.close() };
}
