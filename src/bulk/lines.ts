/** Lines of NDJSON back to the bytes they were made of. */
import type { Documents } from "../input/document.ts";
import { EncodeError, parseJson } from "../layout/index.ts";

/**
 * The bytes of one line as `decode --ndjson` writes it; none for an empty line and for one that only tells of a problem.
 * @throws UsageError for what is not JSON, EncodeError naming the member that is wrong.
 */
export function encodeLine(line: string, documents: Documents): Uint8Array {
  if (line.trim() === "") return new Uint8Array(0);
  const json = parseJson(line);
  if (typeof json !== "object" || json === null || Array.isArray(json)) throw new EncodeError("", "is not an object");
  if (json["format"] === "problem") return new Uint8Array(0);
  if (json["format"] !== "raw") return documents.encode(json);
  const { offset: _, problem: __, ...raw } = json;
  return documents.encode(raw);
}
