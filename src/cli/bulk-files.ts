/** `decode --ndjson` and its relatives: streams of records to lines or Parquet, in this thread or in several. */
import { createReadStream } from "node:fs";
import { open, rename, rm } from "node:fs/promises";
import { Worker } from "node:worker_threads";
import { type Batch, Batcher, type BatchOptions, type BatchResult, batchConverter, columnsOf, csvHeader } from "../bulk/batch.ts";
import { encodeLine } from "../bulk/lines.ts";
import type { Documents } from "../input/document.ts";
import { EncodeError, hexNumber, UsageError } from "../layout/index.ts";
import { EXIT, type Io } from "./io.ts";
import { registryWith } from "./section-modules.ts";

export interface BulkOptions {
  readonly format: "ndjson" | "csv" | "parquet";
  readonly select?: readonly string[] | undefined;
  readonly where?: readonly string[] | undefined;
  /** Threads that convert; 1 converts in this one. */
  readonly jobs: number;
  /** Bytes of each input to pass over; offsets still count from its start. */
  readonly from?: number | undefined;
  /** Stop at the first damage. */
  readonly strict: boolean;
  /** Modules with further section types. */
  readonly sections: readonly string[];
  /** Where Parquet goes, or lines instead of standard output. */
  readonly out?: string | undefined;
}

const CHUNK = 1 << 18;
const BATCH = 1 << 19;
/** Rows of one Parquet row group: what is held in memory at a time. */
const ROW_GROUP = 50_000;

/** The chunks of one input; errors name it. */
async function* chunksOf(name: string, io: Io, from = 0): AsyncGenerator<Uint8Array> {
  try {
    if (name !== "-") yield* createReadStream(name, { highWaterMark: CHUNK, start: from }) as AsyncIterable<Uint8Array>;
    else {
      let skip = from;
      for await (const chunk of io.stdin) {
        if (skip < chunk.length) yield chunk.subarray(skip);
        skip = Math.max(0, skip - chunk.length);
      }
    }
  } catch (error) {
    throw new UsageError(
      `${name}: ${(error as NodeJS.ErrnoException).code === "ENOENT" ? "no such file" : error instanceof Error ? error.message : String(error)}`,
    );
  }
}

/** Converts batches; results come back in the order in which the batches went in. */
interface Converter {
  convert(batch: Batch): Promise<BatchResult>;
  /** Batches that may be under way at once. */
  readonly depth: number;
  close(): Promise<void>;
}

interface Thread {
  readonly worker: Worker;
  /** Those who wait for this worker's results, in order. */
  readonly waiting: { resolve: (result: BatchResult) => void; reject: (error: unknown) => void }[];
}

class Threads implements Converter {
  readonly depth: number;
  readonly #workers: readonly Thread[];
  #next = 0;

  constructor(jobs: number, options: BatchOptions, sections: readonly string[]) {
    this.depth = jobs * 2;
    this.#workers = Array.from({ length: jobs }, () => {
      const worker = new Worker(new URL("./bulk-worker.js", import.meta.url), { workerData: { options, sections } });
      const entry: Thread = { worker, waiting: [] };
      worker.on("message", (result: BatchResult) => entry.waiting.shift()!.resolve(result));
      const fail = (error: unknown) => {
        for (const { reject } of entry.waiting.splice(0)) reject(error);
      };
      worker.on("error", fail);
      worker.on("exit", () => fail(new Error("a worker thread ended early")));
      return entry;
    });
  }

  convert(batch: Batch): Promise<BatchResult> {
    const entry = this.#workers[this.#next++ % this.#workers.length]!;
    return new Promise((resolve, reject) => {
      entry.waiting.push({ resolve, reject });
      entry.worker.postMessage(batch, [batch.bytes.buffer as ArrayBuffer, batch.ends.buffer as ArrayBuffer]);
    });
  }

  async close(): Promise<void> {
    await Promise.all(this.#workers.map(({ worker }) => worker.terminate()));
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

/**
 * Decode streams of records. Every piece of every input becomes a line; the count goes to standard error.
 * @returns 0, or 1 when there was damage. @throws UsageError for files and options that cannot be used.
 */
export async function decodeBulk(files: readonly string[], options: BulkOptions, io: Io): Promise<number> {
  if (options.format === "parquet" && options.out === undefined) throw new UsageError("Parquet goes to a file: name it with --out");
  const batchOptions: BatchOptions = { format: options.format === "parquet" ? "rows" : options.format, select: options.select, where: options.where };
  const local = batchConverter(batchOptions, await registryWith(options.sections, io), true);
  const converter: Converter =
    options.jobs > 1 ? new Threads(options.jobs, batchOptions, options.sections) : { convert: async (batch) => local(batch), depth: 1, close: async () => {} };
  const target: Target =
    options.format === "parquet"
      ? new Parquet(options.out!, batchOptions)
      : options.out !== undefined && options.out !== "-"
        ? new FileLines(options.out)
        : new Lines(io);
  const total = { records: 0, kept: 0, problems: 0, bytes: 0 };
  const progress = io.stderr.isTTY ? setInterval(() => io.stderr.write(`\r${total.records} records, ${(total.bytes / 1e6).toFixed(0)} MB`), 1000) : undefined;
  let done = false;
  try {
    if (options.format === "csv") await target.write({ bytes: new TextEncoder().encode(csvHeader(batchOptions)), records: 0, kept: 0, problems: [] });
    for (const file of files) {
      const pending: Promise<BatchResult>[] = [];
      const take = async () => {
        const result = await pending.shift()!;
        const first = result.problems[0];
        if (options.strict && first) throw new UsageError(`${file} at ${hexNumber(first.offset)}: ${first.problem}`);
        total.records += result.records;
        total.kept += result.kept;
        total.problems += result.problems.length;
        await target.write(result);
      };
      const give = async (batch: Batch | undefined) => {
        if (!batch) return;
        total.bytes += batch.bytes.length;
        const result = converter.convert(batch);
        // Failures are met when the result is taken; until then they must not count as unhandled.
        result.catch(() => {});
        pending.push(result);
        if (pending.length >= converter.depth) await take();
      };
      const batcher = new Batcher(BATCH, options.from);
      for await (const chunk of chunksOf(file, io, options.from)) await give(batcher.add(chunk));
      await give(batcher.rest());
      while (pending.length > 0) await take();
    }
    done = true;
  } finally {
    clearInterval(progress);
    if (progress) io.stderr.write("\r\u001b[K");
    await converter.close();
    await target.close(done);
  }
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
          if (error instanceof EncodeError) throw new UsageError(`${file} line ${number}: ${error.message}`);
          throw error;
        }
      };
      for await (const chunk of chunksOf(file, io)) {
        const lines = (rest + decoder.decode(chunk, { stream: true })).split("\n");
        rest = lines.pop()!;
        for (const line of lines) take(line);
        if (size >= FLUSH) await flush();
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
