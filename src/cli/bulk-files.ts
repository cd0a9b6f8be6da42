/** `decode --ndjson` and its relatives: streams of records to lines or Parquet, in this thread or in several. */
import { open, rename, rm } from "node:fs/promises";
import { Worker } from "node:worker_threads";
import { type Batch, Batcher, type BatchOptions, type BatchResult, batchConverter, columnsOf, csvHeader } from "../bulk/batch.ts";
import { encodeLine } from "../bulk/lines.ts";
import type { Documents } from "../input/document.ts";
import { EncodeError, hexNumber, JsonSink, UsageError } from "../layout/index.ts";
import { openSource, readSome } from "./bulk-input.ts";
import type { Task, WorkerData } from "./bulk-worker.ts";
import { EXIT, type Io } from "./io.ts";
import { registryWith } from "./section-modules.ts";

export interface BulkOptions {
  readonly format: "ndjson" | "csv" | "parquet";
  readonly select?: readonly string[] | undefined;
  readonly where?: readonly string[] | undefined;
  /** Threads that convert; 1 converts in this one. */
  readonly jobs: number;
  /** Bytes of input from which other threads are started: each costs its start, and compiles for itself. */
  readonly threadsFrom?: number;
  /** Bytes of each input to pass over; offsets still count from its start. */
  readonly from?: number | undefined;
  /** Stop at the first damage. */
  readonly strict: boolean;
  /** Modules with further section types. */
  readonly sections: readonly string[];
  /** Where Parquet goes, or lines instead of standard output. */
  readonly out?: string | undefined;
}

/** Bytes of a batch, unless a record is longer: with its text it fits into a processor's cache. */
const BATCH = 1 << 17;
/** The same for what this thread converts besides feeding others: they may be waiting for it. */
const SMALL_BATCH = 1 << 15;
/** Rows of one Parquet row group: what is held in memory at a time. */
const ROW_GROUP = 50_000;

/** A place for one batch on its way from the input to the output. */
class Slot {
  /** The thread that converts it; undefined for this one. */
  readonly thread: Thread | undefined;
  readonly number: number;
  /** For the text, when this thread converts it. */
  readonly sink = new JsonSink();
  bytes: Uint8Array;

  /** @param size bytes of a batch. */
  constructor(number: number, thread: Thread | undefined, size: number) {
    this.number = number;
    this.thread = thread;
    this.bytes = this.#allocate(size);
  }
  #allocate(size: number): Uint8Array {
    return new Uint8Array(this.thread ? new SharedArrayBuffer(size) : new ArrayBuffer(size));
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
class Converter {
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

  constructor(convert: ReturnType<typeof batchConverter>, { jobs, threadsFrom = THREADS_FROM, sections }: BulkOptions, options: BatchOptions) {
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

/** Where results go. */
interface Target {
  write(result: BatchResult): Promise<void>;
  close(done: boolean): Promise<void>;
}

class Lines implements Target {
  readonly #io: Io;
  constructor(io: Io) {
    this.#io = io;
  }
  async write(result: BatchResult): Promise<void> {
    if (result.bytes.length === 0) return;
    // The converter reuses its memory: wait until the bytes are out.
    await new Promise<void>((resolve, reject) => this.#io.stdout.write(result.bytes, (error) => (error ? reject(error) : resolve())));
  }
  async close(): Promise<void> {}
}

/** A file that appears under its name only when it is whole. */
class WholeFile {
  readonly #name: string;
  readonly #temporary: string;
  #handle: Awaited<ReturnType<typeof open>> | undefined;

  constructor(name: string) {
    this.#name = name;
    this.#temporary = `${name}.part-${process.pid}`;
  }
  async append(bytes: Uint8Array): Promise<void> {
    try {
      this.#handle ??= await open(this.#temporary, "wx");
      await this.#handle.writeFile(bytes);
    } catch (error) {
      throw new UsageError(`${this.#name}: ${error instanceof Error ? error.message : String(error)}`);
    }
  }
  async close(done: boolean): Promise<void> {
    await this.#handle?.close();
    if (done) await rename(this.#temporary, this.#name);
    else await rm(this.#temporary, { force: true });
  }
}

class FileLines implements Target {
  readonly #file: WholeFile;
  constructor(name: string) {
    this.#file = new WholeFile(name);
  }
  write(result: BatchResult): Promise<void> {
    return this.#file.append(result.bytes);
  }
  async close(done: boolean): Promise<void> {
    if (done) await this.#file.append(new Uint8Array(0));
    await this.#file.close(done);
  }
}

/** Rows gathered into row groups and written as they fill. */
class Parquet implements Target {
  readonly #file: WholeFile;
  readonly #options: BatchOptions;
  #columns: unknown[][];
  #writer: { write(options: object): unknown; finish(): unknown } | undefined;
  #bytes: { getBytes(): Uint8Array; index: number } | undefined;

  constructor(name: string, options: BatchOptions) {
    this.#file = new WholeFile(name);
    this.#options = options;
    this.#columns = columnsOf(options)!.map(() => []);
  }

  async write(result: BatchResult): Promise<void> {
    for (const [i, cells] of (result.columns ?? []).entries()) for (const cell of cells) this.#columns[i]!.push(cell);
    if (this.#columns[0]!.length >= ROW_GROUP) await this.#group();
  }

  async #group(): Promise<void> {
    const columns = columnsOf(this.#options)!;
    const { ByteWriter, ParquetWriter } = await import("hyparquet-writer");
    const schema = [
      { name: "records", num_children: columns.length },
      ...columns.map(({ name, type }) => ({
        name,
        repetition_type: "OPTIONAL" as const,
        ...(type === "uint64"
          ? { type: "INT64" as const, converted_type: "UINT_64" as const }
          : type === "uint32"
            ? { type: "INT32" as const, converted_type: "UINT_32" as const }
            : { type: "BYTE_ARRAY" as const, converted_type: "UTF8" as const }),
      })),
    ];
    if (!this.#writer) {
      this.#bytes = new ByteWriter() as never;
      this.#writer = new ParquetWriter({ writer: this.#bytes as never, schema: schema as never }) as never;
    }
    const rows = this.#columns[0]!.length;
    this.#writer!.write({
      columnData: columns.map(({ name, type }, i) => ({
        name,
        data: this.#columns[i]!.map((cell) => (cell === null ? null : type === "uint64" || type === "uint32" ? cell : String(cell))),
      })),
      rowGroupSize: rows,
    });
    this.#columns = columns.map(() => []);
    await this.#flush();
  }

  async #flush(): Promise<void> {
    await this.#file.append(this.#bytes!.getBytes().slice());
    this.#bytes!.index = 0;
  }

  async close(done: boolean): Promise<void> {
    if (done) {
      if (this.#columns[0]!.length > 0 || !this.#writer) await this.#group();
      this.#writer!.finish();
      await this.#flush();
    }
    await this.#file.close(done);
  }
}

/** Milliseconds between lines of progress. */
const PROGRESS = 1000;

/** Writes results in the order in which their batches were made, as soon as they are there, and counts. */
class Writer {
  readonly total = { records: 0, kept: 0, problems: 0, bytes: 0 };
  readonly #target: Target;
  readonly #io: Io;
  readonly #strict: boolean;
  /** What was begun last and is not written yet. */
  #last: Promise<void> = Promise.resolve();
  #shown = performance.now();

  constructor(target: Target, io: Io, strict: boolean) {
    this.#target = target;
    this.#io = io;
    this.#strict = strict;
  }

  /** Write a result after those before it; resolves when its memory is free again. */
  write(result: BatchResult | Promise<BatchResult>, file: string, bytes: number): Promise<void> {
    const before = this.#last;
    const written = (async () => {
      await before;
      const { records, kept, problems, ...found } = await result;
      if (this.#strict && problems[0]) throw new UsageError(`${file} at ${hexNumber(problems[0].offset)}: ${problems[0].problem}`);
      this.total.records += records;
      this.total.kept += kept;
      this.total.problems += problems.length;
      this.total.bytes += bytes;
      await this.#target.write({ records, kept, problems, ...found });
      this.#progress();
    })();
    // Whoever waits for it meets its error; until then it must not count as unhandled.
    written.catch(() => {});
    this.#last = written;
    return written;
  }

  #progress(): void {
    if (!this.#io.stderr.isTTY || performance.now() - this.#shown < PROGRESS) return;
    this.#shown = performance.now();
    this.#io.stderr.write(`\r${this.total.records} records, ${(this.total.bytes / 1e6).toFixed(0)} MB`);
  }
}

/** Read one input, have its batches converted and written. */
async function decodeFile(file: string, { from, jobs }: BulkOptions, io: Io, converter: Converter, writer: Writer): Promise<void> {
  const source = await openSource(file, io, jobs === 1, from);
  converter.begin(source.size);
  const batcher = new Batcher(from);
  /** Batches that are not written yet, in order. */
  const running: Promise<void>[] = [];
  try {
    for (let complete = false; !complete; ) {
      await converter.listen();
      if (converter.free.length === 0) await running[0];
      const slot = converter.free.shift()!;
      while (slot.bytes.length < batcher.left) slot.grow();
      let length = batcher.begin(slot.bytes);
      let batch: Batch | undefined;
      while (!batch && !complete) {
        const before = length;
        if (length === slot.bytes.length) slot.grow();
        while (!complete && length < slot.bytes.length) {
          // A thread without work gets what there is; otherwise the more there is the better.
          if (length > before && running.length < jobs) break;
          const waiting = source.ready();
          if (waiting) await (running[0] ? Promise.race([waiting, running[0]]) : waiting);
          else {
            const read = source.read(slot.bytes.subarray(length));
            length += read ?? 0;
            complete = read === 0;
          }
        }
        batch = batcher.end(slot.bytes, length, complete);
      }
      if (!batch) {
        converter.release(slot);
        break;
      }
      const written = writer.write(converter.convert(batch, slot), file, batch.bytes.length).then(() => {
        running.shift();
        converter.release(slot);
      });
      // Whoever waits for it meets its error.
      written.catch(() => {});
      running.push(written);
    }
    await Promise.all(running);
  } finally {
    source.close();
  }
}

/**
 * Decode streams of records. Every piece of every input becomes a line; the count goes to standard error.
 * @returns 0, or 1 when there was damage. @throws UsageError for files and options that cannot be used.
 */
export async function decodeBulk(files: readonly string[], options: BulkOptions, io: Io): Promise<number> {
  if (options.format === "parquet" && options.out === undefined) throw new UsageError("Parquet goes to a file: name it with --out");
  const batchOptions: BatchOptions = { format: options.format === "parquet" ? "rows" : options.format, select: options.select, where: options.where };
  const convert = batchConverter(batchOptions, await registryWith(options.sections, io));
  const target: Target =
    options.format === "parquet"
      ? new Parquet(options.out!, batchOptions)
      : options.out !== undefined && options.out !== "-"
        ? new FileLines(options.out)
        : new Lines(io);
  const converter = new Converter(convert, options, batchOptions);
  const writer = new Writer(target, io, options.strict);
  let done = false;
  try {
    if (options.format === "csv") await target.write({ bytes: new TextEncoder().encode(csvHeader(batchOptions)), records: 0, kept: 0, problems: [] });
    for (const file of files) await decodeFile(file, options, io, converter, writer);
    done = true;
  } finally {
    if (io.stderr.isTTY) io.stderr.write("\r\u001b[K");
    await converter.close();
    await target.close(done);
  }
  const { total } = writer;
  const skipped = total.records - total.kept;
  io.stderr.write(`${total.records} records${skipped > 0 ? `, ${skipped} of them filtered out` : ""}, ${total.problems} problems\n`);
  return total.problems > 0 ? EXIT.findings : EXIT.fine;
}

/** Bytes gathered before they are written. */
const FLUSH = 1 << 20;

/**
 * Encode lines of NDJSON, in order, to a file or to standard output.
 * @throws UsageError naming the file and line that cannot be encoded; nothing is then left under the name in `out`.
 */
export async function encodeBulk(files: readonly string[], documents: Documents, out: string | undefined, io: Io): Promise<number> {
  if (out === undefined && io.stdout.isTTY) throw new UsageError("standard output is a terminal: name a file with --out");
  const target: Target = out !== undefined && out !== "-" ? new FileLines(out) : new Lines(io);
  const buffer = new Uint8Array(FLUSH);
  let pending: Uint8Array[] = [];
  let size = 0;
  const flush = async () => {
    await target.write({ bytes: Buffer.concat(pending), records: 0, kept: 0, problems: [] });
    pending = [];
    size = 0;
  };
  let done = false;
  try {
    for (const file of files) {
      const decoder = new TextDecoder();
      let rest = "";
      let number = 0;
      const take = (line: string) => {
        number++;
        try {
          const bytes = encodeLine(line, documents);
          pending.push(bytes);
          size += bytes.length;
        } catch (error) {
          if (error instanceof EncodeError || error instanceof UsageError) throw new UsageError(`${file} line ${number}: ${error.message}`);
          throw error;
        }
      };
      const source = await openSource(file, io, true);
      try {
        for (let length = await readSome(source, buffer); length > 0; length = await readSome(source, buffer)) {
          const lines = (rest + decoder.decode(buffer.subarray(0, length), { stream: true })).split("\n");
          rest = lines.pop()!;
          for (const line of lines) take(line);
          if (size >= FLUSH) await flush();
        }
      } finally {
        source.close();
      }
      take(rest + decoder.decode());
    }
    await flush();
    done = true;
  } finally {
    await target.close(done);
  }
  return EXIT.fine;
}
