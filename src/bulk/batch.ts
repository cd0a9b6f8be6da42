/** Converting a batch of whole records, in this thread or in a worker. */
import { RecordHeader } from "../cper/record.ts";
import { cperFormat } from "../cper/record-codec.ts";
import { recordWriter } from "../cper/record-json.ts";
import { nextPiece, soundRecordEnd } from "../cper/record-stream.ts";
import { hexNumber, type JsonSink, JsonWriter, type SectionRegistry } from "../layout/index.ts";
import { type Cell, COLUMNS, type Column, columnsNamed, plainCell, rowsOf } from "./fields.ts";
import { compileWhere } from "./where.ts";

export interface BatchOptions {
  readonly format: "ndjson" | "csv" | "rows";
  readonly select?: readonly string[] | undefined;
  readonly where?: readonly string[] | undefined;
  /** End the batch before the first damage. */
  readonly strict?: boolean | undefined;
}

/** Whole pieces of a stream. */
export interface Batch {
  readonly bytes: Uint8Array;
  /** Bytes from the start of the stream. */
  readonly offset: number;
  /** Where in `bytes` each piece ends; valid until the next batch is made. */
  readonly ends: Uint32Array;
  /** The pieces that are junk or damaged, by number. */
  readonly odd: ReadonlyMap<number, { readonly kind: "record" | "junk"; readonly problem: string }>;
}

/** What became of a batch. */
export interface BatchResult {
  /** Lines of NDJSON or CSV, in the memory of the sink; empty for rows. */
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
  options.select ? columnsNamed(options.select) : options.format === "ndjson" ? undefined : COLUMNS;

const csvCell = (cell: Cell): string => {
  if (cell === null) return "";
  const text = typeof cell === "bigint" ? hexNumber(cell) : String(cell);
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
};
/** An empty line would be passed over by most readers. */
const csvLine = (cells: readonly string[]): string => `${cells.length === 1 && cells[0] === "" ? '""' : cells.join(",")}\n`;
const jsonCell = (column: Column, cell: Cell): string =>
  typeof cell === "bigint" ? `"${hexNumber(cell)}"` : typeof cell === "string" && column.type !== "json" ? JSON.stringify(cell) : String(cell);

/** How the line of a record begins, instead of with a brace. */
export const RECORD_OPENING = '{"format":"cper",';
/** Bytes of lines put together before they go to the sink: few enough to stay in a processor's first cache. */
const GATHERED = 1 << 14;

/** The header line of CSV. */
export const csvHeader = (options: BatchOptions): string =>
  `${columnsOf(options)!
    .map((column) => csvCell(column.name))
    .join(",")}\n`;

/**
 * Make a converter of batches. Junk becomes a line with `format` `raw` that holds its bytes. Lines are written into
 * the sink that comes with a batch, over what was in it.
 * @throws UsageError for options that cannot be understood.
 */
export function batchConverter(options: BatchOptions, registry: SectionRegistry): (batch: Batch, sink: JsonSink) => BatchResult {
  const meets = compileWhere(options.where ?? [], registry);
  const columns = columnsOf(options);
  const writer = new JsonWriter();
  const format = cperFormat(registry);
  const write = recordWriter(registry, RECORD_OPENING, "\n");
  const gathered = (sink: JsonSink) => {
    sink.append(writer.text());
    writer.begin();
  };
  return ({ bytes, offset, ends, odd }, sink) => {
    writer.input = bytes;
    writer.begin();
    const { view } = writer;
    sink.at = 0;
    const cells: Cell[][] | undefined = options.format === "rows" ? columns!.map(() => []) : undefined;
    const problems: { offset: number; problem: string }[] = [];
    let records = 0;
    let kept = 0;
    const addRows = (at: number, end: number) => {
      for (const row of rowsOf(bytes.subarray(at, end), offset + at, registry)) {
        const values = columns!.map((column) => column.cell(row));
        if (cells) for (const [i, value] of values.entries()) cells[i]!.push(plainCell(columns![i]!, value));
        else if (options.format === "csv") sink.json(csvLine(values.map((value, i) => csvCell(plainCell(columns![i]!, value)))));
        else sink.json(`{${values.map((value, i) => `${JSON.stringify(columns![i]!.name)}:${jsonCell(columns![i]!, value)}`).join(",")}}\n`);
      }
    };
    for (let i = 0, at = 0; i < ends.length; at = ends[i]!, i++) {
      const end = ends[i]!;
      const oddity = odd.size > 0 ? odd.get(i) : undefined;
      if (oddity) problems.push({ offset: offset + at, problem: oddity.problem });
      if (oddity && options.strict) break;
      if (oddity?.kind === "junk") {
        if (options.format === "ndjson") {
          gathered(sink);
          sink.json(`{"format":"raw","offset":${offset + at},"problem":${JSON.stringify(oddity.problem)},"bytes":`);
          sink.hex(bytes, at, end);
          sink.json("}\n");
        }
        continue;
      }
      records++;
      if (oddity && options.format === "ndjson") {
        gathered(sink);
        sink.json(`{"format":"problem","offset":${offset + at},"problem":${JSON.stringify(oddity.problem)}}\n`);
      }
      if (meets && (end - at < RecordHeader.size || !meets(bytes, view, at, end))) continue;
      kept++;
      if (columns) addRows(at, end);
      else {
        if (writer.length > GATHERED) gathered(sink);
        if (writer.length === 0) writer.begin(sink.at);
        if (!write(writer, at, end)) {
          gathered(sink);
          sink.json(`${RECORD_OPENING}${JSON.stringify(format.toJson(format.parse(bytes.subarray(at, end), []))).slice(1)}\n`);
        }
      }
    }
    gathered(sink);
    return { bytes: sink.text(), ...(cells && { columns: cells }), records, kept, problems };
  };
}

/** Bytes of a piece of junk, at most: longer junk is several lines, cut at the same places however the stream arrives. */
const LONGEST_JUNK = 1 << 16;

/** Cuts a stream into batches of whole pieces. The bytes are read into buffers of the caller's, which batches are views of. */
export class Batcher {
  /** What has arrived and belongs to no batch yet. */
  #rest: Uint8Array = new Uint8Array(0);
  #offset: number;
  #ends = new Uint32Array(1 << 10);

  /** @param offset where the first byte lies in the stream. */
  constructor(offset = 0) {
    this.#offset = offset;
  }

  /** Bytes that have arrived and belong to no batch yet. */
  get left(): number {
    return this.#rest.length;
  }

  /**
   * Begin a batch in a buffer: what is left of the stream so far is put at its start.
   * @returns how many bytes that is: the next are read behind them. The buffer is too small when they fill it.
   * @throws RangeError when they do not fit.
   */
  begin(buffer: Uint8Array): number {
    buffer.set(this.#rest);
    this.#rest = buffer.subarray(0, this.#rest.length);
    return this.#rest.length;
  }

  /**
   * End a batch: the whole pieces in the first `length` bytes of the buffer it was begun in.
   * @param complete whether the stream ends there.
   * @returns undefined when no piece is whole yet.
   */
  end(buffer: Uint8Array, length: number, complete: boolean): Batch | undefined {
    const view = new DataView(buffer.buffer, buffer.byteOffset, length);
    const odd = new Map<number, { kind: "record" | "junk"; problem: string }>();
    let ends = this.#ends;
    let count = 0;
    let at = 0;
    while (at < length) {
      let end = soundRecordEnd(view, at, length);
      if (end < 0) {
        const piece = nextPiece(buffer, at, length, complete, LONGEST_JUNK);
        if (piece.kind === "more") break;
        if (piece.problem) odd.set(count, { kind: piece.kind, problem: piece.problem });
        end = piece.end;
      }
      if (count === ends.length) {
        ends = new Uint32Array(count * 2);
        ends.set(this.#ends);
        this.#ends = ends;
      }
      ends[count++] = end;
      at = end;
    }
    this.#rest = buffer.subarray(at, length);
    if (at === 0) return undefined;
    const batch = { bytes: buffer.subarray(0, at), offset: this.#offset, ends: ends.subarray(0, count), odd };
    this.#offset += at;
    return batch;
  }
}
