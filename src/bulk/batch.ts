/** Converting a batch of whole records, in this thread or in a worker. */
import { RecordHeader } from "../cper/record.ts";
import { recordWriter } from "../cper/record-json.ts";
import { nextPiece } from "../cper/record-stream.ts";
import { hexNumber, JsonSink, JsonWriter, type SectionRegistry } from "../layout/index.ts";
import { type Cell, COLUMNS, type Column, columnNamed, rowsOf } from "./fields.ts";
import { compileWhere } from "./where.ts";

export interface BatchOptions {
  readonly format: "ndjson" | "csv" | "rows";
  readonly select?: readonly string[] | undefined;
  readonly where?: readonly string[] | undefined;
}

/** Whole pieces of a stream. */
export interface Batch {
  readonly bytes: Uint8Array;
  /** Bytes from the start of the stream. */
  readonly offset: number;
  /** Where in `bytes` each piece ends. */
  readonly ends: Uint32Array;
  /** The pieces that are junk or damaged, by number. */
  readonly odd: ReadonlyMap<number, { readonly kind: "record" | "junk"; readonly problem: string }>;
}

/** What became of a batch. */
export interface BatchResult {
  /** Lines of NDJSON or CSV; empty for rows. */
  readonly bytes: Uint8Array;
  /** Cells by column, for Parquet; undefined for lines. */
  readonly columns?: Cell[][];
  readonly records: number;
  /** Records that met the conditions. */
  readonly kept: number;
  readonly problems: readonly { readonly offset: number; readonly problem: string }[];
}

/** Columns a set of options asks for. */
export const columnsOf = (options: BatchOptions): readonly Column[] | undefined =>
  options.select ? options.select.map(columnNamed) : options.format === "ndjson" ? undefined : COLUMNS;

const csvCell = (cell: Cell): string => {
  if (cell === null) return "";
  const text = typeof cell === "bigint" ? hexNumber(cell) : String(cell);
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
};
const jsonCell = (column: Column, cell: Cell): string =>
  cell === null
    ? "null"
    : typeof cell === "bigint"
      ? `"${hexNumber(cell)}"`
      : typeof cell === "string" && !(column.type === "json" && /^[[{]/.test(cell))
        ? JSON.stringify(cell)
        : String(cell);

/** The header line of CSV. */
export const csvHeader = (options: BatchOptions): string =>
  `${columnsOf(options)!
    .map((column) => csvCell(column.name))
    .join(",")}\n`;

/**
 * Make a converter of batches. Junk becomes a line with `format` `raw` that holds its bytes.
 * @param reuse write every result into the same memory: valid only until the next call.
 * @throws UsageError for options that cannot be understood.
 */
export function batchConverter(options: BatchOptions, registry: SectionRegistry, reuse = false): (batch: Batch) => BatchResult {
  const meets = compileWhere(options.where ?? [], registry);
  const columns = columnsOf(options);
  const write = recordWriter(registry, '{"format":"cper",');
  const keep = reuse ? new JsonWriter(new JsonSink()) : undefined;
  return ({ bytes, offset, ends, odd }) => {
    const writer = keep ?? new JsonWriter(new JsonSink(columns ? 1 << 16 : bytes.length * 8));
    writer.input = bytes;
    const { sink, view } = writer;
    sink.at = 0;
    const cells: Cell[][] | undefined = options.format === "rows" ? columns!.map(() => []) : undefined;
    const problems: { offset: number; problem: string }[] = [];
    let records = 0;
    let kept = 0;
    const addRows = (at: number, end: number) => {
      for (const row of rowsOf(bytes.subarray(at, end), offset + at, registry)) {
        const values = columns!.map((column) => column.cell(row));
        if (cells) for (const [i, value] of values.entries()) cells[i]!.push(value);
        else if (options.format === "csv") sink.json(`${values.map(csvCell).join(",")}\n`);
        else sink.json(`{${values.map((value, i) => `${JSON.stringify(columns![i]!.name)}:${jsonCell(columns![i]!, value)}`).join(",")}}\n`);
      }
    };
    for (let i = 0, at = 0; i < ends.length; at = ends[i]!, i++) {
      const end = ends[i]!;
      const oddity = odd.size > 0 ? odd.get(i) : undefined;
      if (oddity) problems.push({ offset: offset + at, problem: oddity.problem });
      if (oddity?.kind === "junk") {
        if (options.format === "ndjson") {
          sink.json(`{"format":"raw","offset":${offset + at},"problem":${JSON.stringify(oddity.problem)},"bytes":`);
          sink.hex(bytes, at, end);
          sink.ascii("}\n");
        }
        continue;
      }
      records++;
      if (oddity && options.format === "ndjson") sink.json(`{"format":"problem","offset":${offset + at},"problem":${JSON.stringify(oddity.problem)}}\n`);
      if (meets && (end - at < RecordHeader.size || !meets(bytes, view, at, end))) continue;
      kept++;
      if (columns) addRows(at, end);
      else {
        write(writer, at, end);
        sink.ascii("\n");
      }
    }
    return { bytes: sink.text(), ...(cells && { columns: cells }), records, kept, problems };
  };
}

/** Cuts a stream of chunks into batches of whole pieces. */
export class Batcher {
  #rest = new Uint8Array(0);
  #offset: number;
  readonly #size: number;

  /** @param size bytes a batch should have at least. @param offset where the first chunk lies in the stream. */
  constructor(size: number, offset = 0) {
    this.#size = size;
    this.#offset = offset;
  }

  /** Add a chunk; returns a batch when there is enough. */
  add(chunk: Uint8Array): Batch | undefined {
    if (this.#rest.length === 0) this.#rest = chunk.slice();
    else {
      const all = new Uint8Array(this.#rest.length + chunk.length);
      all.set(this.#rest);
      all.set(chunk, this.#rest.length);
      this.#rest = all;
    }
    return this.#rest.length < this.#size ? undefined : this.#cut(false);
  }

  /** What is left when the stream has ended. */
  rest(): Batch | undefined {
    return this.#rest.length > 0 ? this.#cut(true) : undefined;
  }

  #cut(complete: boolean): Batch | undefined {
    const all = this.#rest;
    const ends: number[] = [];
    const odd = new Map<number, { kind: "record" | "junk"; problem: string }>();
    let at = 0;
    while (at < all.length) {
      const { kind, end, problem } = nextPiece(all, at, all.length, complete);
      if (kind === "more") break;
      if (problem) odd.set(ends.length, { kind, problem });
      ends.push(end);
      at = end;
    }
    if (at === 0) return undefined;
    const batch = { bytes: all.slice(0, at), offset: this.#offset, ends: Uint32Array.from(ends), odd };
    this.#offset += at;
    this.#rest = all.slice(at);
    return batch;
  }
}
