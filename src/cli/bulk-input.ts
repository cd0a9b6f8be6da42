/** Where streams of any length come from, read into memory of the reader's. */
import { closeSync, createReadStream, fstatSync, openSync, readSync } from "node:fs";
import { UsageError } from "../layout/index.ts";
import type { Io } from "./io.ts";

/** Bytes in order. */
export interface Source {
  /** Bytes in all, when that is known. */
  readonly size?: number | undefined;
  /** Something to wait for before the next bytes can be read; undefined when there is nothing. */
  ready(): Promise<void> | undefined;
  /** Fill the buffer as far as bytes are there; returns their number, 0 at the end, undefined when there is something to wait for. */
  read(into: Uint8Array): number | undefined;
  close(): void;
}
/** Fill the buffer as far as bytes are there, and wait until there are some; returns their number, 0 at the end. */
export async function readSome(source: Source, into: Uint8Array): Promise<number> {
  for (;;) {
    await source.ready();
    const length = source.read(into);
    if (length !== undefined) return length;
  }
}

/** The chunks of a stream. */
class Chunks implements Source {
  readonly #stream: AsyncIterable<Uint8Array> & { destroy?(): unknown };
  readonly #chunks: AsyncIterator<Uint8Array>;
  #left = new Uint8Array(0);
  #done = false;
  #waiting: Promise<void> | undefined;

  constructor(stream: AsyncIterable<Uint8Array>) {
    this.#stream = stream;
    this.#chunks = stream[Symbol.asyncIterator]();
  }
  ready(): Promise<void> | undefined {
    return this.#left.length > 0 || this.#done ? undefined : (this.#waiting ??= this.#next());
  }
  async #next(): Promise<void> {
    const { done, value } = await this.#chunks.next();
    if (done) this.#done = true;
    else this.#left = value as Uint8Array<ArrayBuffer>;
    this.#waiting = undefined;
  }
  read(into: Uint8Array): number | undefined {
    if (this.#left.length === 0 && !this.#done) return undefined;
    const taken = Math.min(into.length, this.#left.length);
    into.set(this.#left.subarray(0, taken));
    this.#left = this.#left.subarray(taken);
    return taken;
  }
  close(): void {
    // Its iterator cannot be ended while somebody waits for a chunk that may never come.
    this.#stream.destroy?.();
  }
}

/** A descriptor, read without a stream in between: this thread waits for the bytes. */
class Descriptor implements Source {
  readonly #fd: number;
  readonly #stream: (() => AsyncIterable<Uint8Array>) | undefined;
  readonly size: number | undefined;
  #instead: Chunks | undefined;

  /** @param stream for descriptors of others: what to read instead when this one does not let readers wait. */
  constructor(fd: number, stream?: () => AsyncIterable<Uint8Array>) {
    this.#fd = fd;
    this.#stream = stream;
    const facts = fstatSync(fd);
    this.size = facts.isFile() ? facts.size : undefined;
  }
  ready(): Promise<void> | undefined {
    return this.#instead?.ready();
  }
  read(into: Uint8Array): number | undefined {
    if (this.#instead) return this.#instead.read(into);
    try {
      return readSync(this.#fd, into);
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      // Pipes of Windows end with an error.
      if (code === "EOF") return 0;
      if (code !== "EAGAIN" || !this.#stream) throw error;
      this.#instead = new Chunks(this.#stream());
      return undefined;
    }
  }
  close(): void {
    if (this.#instead) this.#instead.close();
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

/** An input whose errors are UsageErrors that name it. */
class Named implements Source {
  readonly #name: string;
  readonly #source: Source;

  constructor(name: string, open: () => Source) {
    this.#name = name;
    this.#source = this.#naming(open);
  }
  #error(error: unknown): UsageError {
    const missing = (error as NodeJS.ErrnoException).code === "ENOENT";
    return new UsageError(`${this.#name}: ${missing ? "no such file" : error instanceof Error ? error.message : String(error)}`);
  }
  #naming<T>(action: () => T): T {
    try {
      return action();
    } catch (error) {
      throw this.#error(error);
    }
  }
  get size(): number | undefined {
    return this.#source.size;
  }
  ready(): Promise<void> | undefined {
    return this.#source.ready()?.catch((error) => {
      throw this.#error(error);
    });
  }
  read(into: Uint8Array): number | undefined {
    return this.#naming(() => this.#source.read(into));
  }
  close(): void {
    this.#source.close();
  }
}

/**
 * Open an input whose errors are UsageErrors that name it.
 * @param from bytes to pass over.
 */
export async function openSource(name: string, io: Io, waits: boolean, from = 0): Promise<Source> {
  const source = new Named(name, () => open(name, io, waits));
  const passed = new Uint8Array(Math.min(from, 1 << 16));
  for (let left = from; left > 0; ) {
    const length = await readSome(source, passed.subarray(0, Math.min(left, passed.length)));
    if (length === 0) break;
    left -= length;
  }
  return source;
}
