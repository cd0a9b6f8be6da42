/** Threads of the bulk decoder, and the memory they share. */
import { Worker } from "node:worker_threads";
import type { Batch, BatchOptions, BatchResult, batchConverter } from "../bulk/batch.ts";
import { JsonSink } from "../layout/index.ts";
import type { Task, WorkerData } from "./bulk-worker.ts";

export interface ThreadOptions {
  /** Threads that convert; 1 converts in this one. */
  readonly jobs: number;
  /** Bytes of input from which other threads are started: each costs its start, and compiles for itself. */
  readonly threadsFrom?: number;
  /** Modules with further section types. */
  readonly sections: readonly string[];
}

/** Bytes of a batch, unless a record is longer: with its text it fits into a processor's cache. */
const BATCH = 1 << 17;
/** The same for what this thread converts besides feeding others: they may be waiting for it. */
const SMALL_BATCH = 1 << 15;

/** A slot that grew to more than this many times its size gives the memory back. */
const OUTGROWN = 16;

/** A place for one batch on its way from the input to the output. */
class Slot {
  /** The thread that converts it; undefined for this one. */
  readonly thread: Thread | undefined;
  readonly number: number;
  /** For the text, when this thread converts it. */
  sink = new JsonSink();
  bytes: Uint8Array;
  readonly #size: number;

  /** @param size bytes of a batch. */
  constructor(number: number, thread: Thread | undefined, size: number) {
    this.number = number;
    this.thread = thread;
    this.#size = size;
    this.bytes = this.#allocate(size);
  }
  #allocate(size: number): Uint8Array {
    return new Uint8Array(this.thread ? new SharedArrayBuffer(size) : new ArrayBuffer(size));
  }
  /** Whether it takes far more memory than a slot should. */
  get outgrown(): boolean {
    return this.bytes.length > this.#size * OUTGROWN;
  }
  /** Be ready for a batch that begins with `left` bytes of what was read before: with room for as many new ones, lest most of the work be copying. */
  prepare(left: number): void {
    if (this.bytes.length >= left * 2 && !this.outgrown) return;
    let size = this.#size;
    while (size < left * 2) size *= 2;
    if (size === this.bytes.length) return;
    this.bytes = this.#allocate(size);
    this.sink = new JsonSink();
  }
  /** Make room for a longer record; what is there stays. */
  grow(): void {
    const grown = this.#allocate(this.bytes.length * 2);
    grown.set(this.bytes);
    this.bytes = grown;
  }
}

/** Another thread, which shares the memory of its slots and of the text it writes. */
class Thread {
  readonly #worker: Worker;
  /** Those who wait for its results, in order. */
  readonly #waiting: { resolve: (result: BatchResult) => void; reject: (error: unknown) => void }[] = [];
  /** Why it can do nothing any more. */
  failure: unknown;

  /** @param ready called when it has started. */
  constructor(options: BatchOptions, sections: readonly string[], ready: () => void) {
    this.#worker = new Worker(new URL("../../bin/bulk-worker.js", import.meta.url), { workerData: { options, sections } satisfies WorkerData });
    this.#worker.once("message", () => {
      this.#worker.on("message", (result: BatchResult) => this.#waiting.shift()!.resolve(result));
      ready();
    });
    const fail = (error: unknown) => {
      this.failure ??= error;
      for (const { reject } of this.#waiting.splice(0)) reject(error);
    };
    this.#worker.on("error", fail);
    this.#worker.on("exit", () => fail(new Error("a worker thread ended early")));
  }
  convert(batch: Batch, slot: number): Promise<BatchResult> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ resolve, reject });
      const task: Task = { batch: { ...batch, ends: batch.ends.slice() }, slot };
      this.#worker.postMessage(task);
    });
  }
  async close(): Promise<void> {
    await this.#worker.terminate();
  }
}

/** Bytes of input from which other threads gain more than they cost. */
const THREADS_FROM = 1 << 24;
/** Batches under way in each other thread: one that is converted, and those it goes on with while this thread converts one. */
const AHEAD = 2;
/** Batches of this thread's that may wait for earlier ones of other threads, which are slow at first. */
const BEHIND = 24;

/** Converts batches: this thread and, when there is enough to do, as many others as are asked for besides. */
export class Converter {
  /** The slots that are free, those of other threads first. */
  readonly free: Slot[];
  #threads: readonly Thread[] = [];
  readonly #convert: ReturnType<typeof batchConverter>;
  readonly #others: number;
  readonly #threadsFrom: number;
  readonly #start: (ready: () => void) => Thread;
  /** Bytes so far, and of the input that is converted when its length is known. */
  #converted = 0;
  #expected: number | undefined;

  constructor(convert: ReturnType<typeof batchConverter>, { jobs, threadsFrom = THREADS_FROM, sections }: ThreadOptions, options: BatchOptions) {
    this.#convert = convert;
    this.#threadsFrom = threadsFrom;
    this.#others = jobs - 1;
    this.#start = (ready) => new Thread(options, sections, ready);
    this.free = Array.from({ length: jobs > 1 ? BEHIND : 1 }, (_, i) => new Slot(this.#others * AHEAD + i, undefined, jobs > 1 ? SMALL_BATCH : BATCH));
  }
  convert(batch: Batch, { thread, number, sink }: Slot): BatchResult | Promise<BatchResult> {
    this.#converted += batch.bytes.length;
    return thread ? thread.convert(batch, number) : this.#convert(batch, sink);
  }
  /** Take a slot back when its text is written. */
  release(slot: Slot): void {
    const after = this.free.findIndex(({ number }) => number > slot.number);
    this.free.splice(after < 0 ? this.free.length : after, 0, slot);
  }
  /** Another input begins. @param size its bytes; one of unknown length is thought to go on for as long as all has taken until then. */
  begin(size: number | undefined): void {
    this.#expected = size === undefined ? undefined : this.#converted + size;
  }
  /** Have other threads start when that is worth it, and hear what they have done. */
  async listen(): Promise<void> {
    if (this.#others === 0 || (this.#threads.length === 0 && (this.#expected ?? this.#converted * 2) < this.#threadsFrom)) return;
    if (this.#threads.length === 0)
      this.#threads = Array.from({ length: this.#others }, (_, i) => {
        const thread: Thread = this.#start(() => {
          for (let number = i; number < this.#others * AHEAD; number += this.#others) this.release(new Slot(number, thread, BATCH));
        });
        return thread;
      });
    await new Promise(setImmediate);
    for (const { failure } of this.#threads) if (failure !== undefined) throw failure;
  }
  async close(): Promise<void> {
    await Promise.all(this.#threads.map((thread) => thread.close()));
  }
}
