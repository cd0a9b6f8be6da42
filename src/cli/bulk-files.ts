/** `decode --ndjson` and its relatives: streams of records to lines or Parquet, in this thread or in several. */
import { type Batch, Batcher, type BatchOptions, type BatchResult, batchConverter, csvHeader } from "../bulk/batch.ts";
import { hexNumber, UsageError } from "../layout/index.ts";
import { openSource } from "./bulk-input.ts";
import { linesTo, Parquet, type Target } from "./bulk-output.ts";
import { Converter, type ThreadOptions } from "./bulk-threads.ts";
import { EXIT, type Io } from "./io.ts";
import { registryWith } from "./section-modules.ts";

export interface BulkOptions extends ThreadOptions {
  readonly format: "ndjson" | "csv" | "parquet";
  readonly select?: readonly string[] | undefined;
  readonly where?: readonly string[] | undefined;
  /** Bytes of each input to pass over; offsets still count from its start. */
  readonly from?: number | undefined;
  /** Stop at the first damage. */
  readonly strict: boolean;
  /** Where Parquet goes, or lines instead of standard output. */
  readonly out?: string | undefined;
}

const counted = (count: number, what: string): string => `${count} ${what}${count === 1 ? "" : "s"}`;

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
      this.total.records += records;
      this.total.kept += kept;
      this.total.problems += problems.length;
      this.total.bytes += bytes;
      await this.#target.write({ records, kept, problems, ...found });
      if (this.#strict && problems[0]) throw new UsageError(`${file} at ${hexNumber(problems[0].offset)}: ${problems[0].problem}`);
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

/** Bytes left of a batch from which on it takes time to put them before the next ones. */
const LONG_REST = 1 << 16;

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
      slot.prepare(batcher.left);
      let length = batcher.begin(slot.bytes);
      /** What is to be read before a batch is made of it: of much that was left, as much again. */
      const wanted = length > LONG_REST ? length * 2 : 0;
      let batch: Batch | undefined;
      while (!batch && !complete) {
        const before = length;
        if (length === slot.bytes.length) slot.grow();
        while (!complete && length < slot.bytes.length) {
          // A thread without work gets what there is; otherwise the more there is the better.
          if (length > before && running.length < jobs && length >= wanted) break;
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
      // One at a time of those: the memory is meant for many small batches.
      if (slot.outgrown) await Promise.all(running);
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
  if (options.format === "parquet" && (options.out === undefined || options.out === "-")) throw new UsageError("Parquet goes to a file: name it with --out");
  const batchOptions: BatchOptions = {
    format: options.format === "parquet" ? "rows" : options.format,
    select: options.select,
    where: options.where,
    strict: options.strict,
  };
  const convert = batchConverter(batchOptions, await registryWith(options.sections, io));
  const target = options.format === "parquet" ? new Parquet(options.out!, batchOptions) : linesTo(options.out, io);
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
  io.stderr.write(`${counted(total.records, "record")}${skipped > 0 ? `, ${skipped} of them filtered out` : ""}, ${counted(total.problems, "problem")}\n`);
  return total.problems > 0 ? EXIT.findings : EXIT.fine;
}
