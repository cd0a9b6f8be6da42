/** Lines of NDJSON back to the bytes they were made of. */
import { recordReader } from "../cper/record-json.ts";
import type { Documents } from "../input/document.ts";
import { JsonReader, type JsonSink, parseJson, UsageError } from "../layout/index.ts";
import { RECORD_OPENING } from "./batch.ts";

const LINE_FEED = 0x0a;
const CARRIAGE_RETURN = 0x0d;

/** The bytes of a line; none for one that only tells of a problem. */
function ordinary(line: string, documents: Documents): Uint8Array {
  if (line.trim() === "") return new Uint8Array(0);
  const json = parseJson(line);
  if (typeof json !== "object" || json === null || Array.isArray(json)) throw new UsageError("is not an object");
  if (json["format"] === "problem") return new Uint8Array(0);
  if (json["format"] !== "raw") return documents.encode(json);
  const { offset: _, problem: __, ...raw } = json;
  return documents.encode(raw);
}

/** Puts the bytes of one line into a sink. `text[to]` must be a line feed, or what stands in for the one that the last line lacks. */
export type LineEncoder = (text: Uint8Array, from: number, to: number, sink: JsonSink) => void;

/**
 * Make a function that encodes lines as `decode --ndjson` writes them: records as it writes them straight from the text,
 * all else, in whatever order and spelling, by way of values.
 * @returns what throws UsageError for a line that is not JSON, and EncodeError naming the member that is wrong.
 */
export function lineEncoder(documents: Documents): LineEncoder {
  const read = recordReader(documents.registry, RECORD_OPENING);
  const reader = new JsonReader();
  const decoder = new TextDecoder();
  return (text, from, to, sink) => {
    if (text[to] !== LINE_FEED) throw new TypeError("a line must be followed by a line feed");
    reader.text = text;
    reader.at = from;
    reader.bytes = sink.bytes;
    reader.end = sink.at;
    if (read(reader) && (reader.at === to || (reader.at === to - 1 && text[reader.at] === CARRIAGE_RETURN))) sink.at = reader.end;
    else sink.append(ordinary(decoder.decode(text.subarray(from, to)), documents));
  };
}
