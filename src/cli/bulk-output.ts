/** Where the bulk decoder's results go: lines to standard output or to a file, or Parquet. */
import { type BatchOptions, type BatchResult, columnsOf } from "../bulk/batch.ts";
import { WholeFile } from "./files.ts";
import type { Io } from "./io.ts";

/** Rows of one Parquet row group: what is held in memory at a time. */
const ROW_GROUP = 50_000;

/** Where results go. */
export interface Target {
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

/** @param out a file, or standard output when there is none or it is called `-`. */
export const linesTo = (out: string | undefined, io: Io): Target => (out !== undefined && out !== "-" ? new FileLines(out) : new Lines(io));

/** Rows gathered into row groups and written as they fill. */
export class Parquet implements Target {
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
    let whole = false;
    try {
      if (done) {
        if (this.#columns[0]!.length > 0 || !this.#writer) await this.#group();
        this.#writer!.finish();
        await this.#flush();
        whole = true;
      }
    } finally {
      await this.#file.close(whole);
    }
  }
}
