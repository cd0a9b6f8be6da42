/** A hex dump in which every byte stands once, behind the name of its field. */
import type { Content } from "../input/content.ts";
import { leafText, printable, type Span } from "../layout/index.ts";

const ROW = 16;
const digits = (bytes: Uint8Array) => Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join(" ");

/** Lines of `offset  bytes  path = value`; what a text wraps is shown unwrapped, each piece on its own. */
export function* hexView({ format, value }: Content): Generator<string> {
  const parts = (value as { parts?: readonly { template?: string; content?: Content }[] } | null)?.parts;
  if (Array.isArray(parts) && parts.some((part) => part.template !== undefined)) {
    for (const [i, { content }] of parts.entries()) {
      if (parts.length > 1) yield `parts[${i}]: ${content.format.title}`;
      yield* hexView(content);
    }
    return;
  }
  const bytes = format.encode(value);
  const spans = format.spans(value);
  const width = Math.max(4, bytes.length.toString(16).length);
  for (const span of spans) yield* spanLines(span, bytes, width);
}

function* spanLines(span: Span, bytes: Uint8Array, width: number): Generator<string> {
  for (let at = span.offset; at < span.offset + span.size; at += ROW) {
    const row = digits(bytes.subarray(at, Math.min(at + ROW, span.offset + span.size)));
    const text = at === span.offset ? leafText(span) : undefined;
    const name = at === span.offset ? `  ${span.path}${text === undefined ? "" : ` = ${printable(text)}`}` : "";
    yield `${at.toString(16).padStart(width, "0")}  ${row.padEnd(name === "" ? 0 : ROW * 3 - 1)}${name}`;
  }
}
