/**
 * Files made of parts: each part is a structure with a format of its own, or bytes that belong to none. What
 * the kinds of files differ in is only where their parts begin and end.
 */
import { capital, concatBytes, EncodeError, type Finding, type Format, hexNumber, type Span, type Tree, within } from "../layout/index.ts";
import { CONTENT_SCHEMA, type Content, type Formats, isObject, parsePart } from "./content.ts";
import { fillerFromJson, fillerSchema, fillerToJson, onlyByte } from "./filler.ts";

/** A piece of the input, by its end; with a format it is a part to be read, else filler. */
export interface Cut {
  readonly end: number;
  readonly format?: Format;
  /** What is wrong with this piece. */
  readonly problem?: string;
  /** A word for people about a part: "deleted". */
  readonly note?: string;
}
type Part = { readonly content: Content; readonly note?: string } | { readonly filler: Uint8Array; readonly content?: undefined };

/** Formats that tell of an error; the others are furniture of the file. */
const EVENTS: ReadonlySet<string> = new Set(["cper", "status-block", "described-section"]);

export interface ContainerOptions {
  readonly name: string;
  readonly title: string;
  readonly contents: Formats;
  recognise(input: Uint8Array): boolean;
  /** The pieces of the input, tiling it from 0 on. */
  cut(input: Uint8Array): Iterable<Cut>;
}

/** A file made of parts as a format. */
export const containerFormat = ({ name, title, contents, recognise, cut }: ContainerOptions): Format<readonly Part[]> => ({
  name,
  title,
  recognise,
  parse: (input, findings: Finding[]) => {
    const parts: Part[] = [];
    let at = 0;
    for (const piece of cut(input)) {
      const bytes = input.slice(at, piece.end);
      const path = `parts[${parts.length}]`;
      if (piece.problem !== undefined) findings.push({ path, offset: at, message: piece.problem });
      parts.push(
        piece.format
          ? { content: parsePart(piece.format, bytes, findings, path, at), ...(piece.note !== undefined && { note: piece.note }) }
          : { filler: bytes },
      );
      at = piece.end;
    }
    return parts;
  },
  encode: (parts) => {
    const pieces = parts.map((part, i) => (part.content ? within(`parts[${i}]`, () => part.content.format.encode(part.content.value)) : part.filler));
    return concatBytes(pieces);
  },
  toJson: (parts) => ({ parts: parts.map((part) => (part.content ? contents.toJson(part.content) : { filler: fillerToJson(part.filler) })) }),
  fromJson: ({ parts }) => {
    if (!Array.isArray(parts)) throw new EncodeError("parts", parts === undefined ? "missing" : "is not a list");
    return parts.map((part, i) =>
      within(`parts[${i}]`, (): Part => {
        if (isObject(part) && part["filler"] !== undefined) return { filler: within("filler", () => fillerFromJson(part["filler"])) };
        return { content: contents.fromJson(part) };
      }),
    );
  },
  schema: () => ({
    type: "object",
    required: ["parts"],
    additionalProperties: false,
    properties: {
      parts: {
        type: "array",
        items: {
          type: "object",
          anyOf: [{ required: ["format"] }, { required: ["filler"] }],
          if: { required: ["format"] },
          // biome-ignore lint/suspicious/noThenProperty: JSON Schema's own word
          then: { $ref: CONTENT_SCHEMA },
          else: { additionalProperties: false, properties: { filler: fillerSchema } },
        },
      },
    },
  }),
  spans: (parts) => {
    const out: Span[] = [];
    let at = 0;
    parts.forEach((part, i) => {
      const path = `parts[${i}]`;
      if (!part.content) {
        if (part.filler.length > 0) out.push({ path, offset: at, size: part.filler.length, node: undefined, value: part.filler });
        at += part.filler.length;
        return;
      }
      const start = at;
      for (const span of part.content.format.spans(part.content.value)) {
        out.push({ ...span, path: `${path}.${span.path}`, offset: start + span.offset });
        at = start + span.offset + span.size;
      }
    });
    return out;
  },
  summary: (parts) => {
    const known = parts.filter((part) => part.content !== undefined).map((part) => part.content);
    const events = known.filter(({ format }) => EVENTS.has(format.name));
    if (events.length === 1) return events[0]!.format.summary(events[0]!.value);
    if (events.length > 1) return `${events.length} × ${events[0]!.format.title}, the first: ${events[0]!.format.summary(events[0]!.value)}`;
    const kinds = new Map<string, number>();
    for (const { format } of known) kinds.set(format.title, (kinds.get(format.title) ?? 0) + 1);
    return `${capital(title)}: ${[...kinds].map(([kind, count]) => `${count} × ${kind}`).join(", ") || "nothing in it"}`;
  },
  tree: (parts) => {
    let at = 0;
    return parts.map((part, i): Tree => {
      const start = at;
      if (part.content) {
        const { format, value } = part.content;
        const last = format.spans(value).at(-1);
        at += last ? last.offset + last.size : 0;
        return {
          label: `[${i}] at ${hexNumber(start)}`,
          text: format.summary(value),
          ...(part.note !== undefined && { note: part.note }),
          children: format.tree(value),
        };
      }
      at += part.filler.length;
      const byte = onlyByte(part.filler);
      return {
        label: `[${i}] at ${hexNumber(start)}`,
        text: byte === undefined ? `${part.filler.length} bytes of nothing known` : `${part.filler.length} bytes ${byte.toString(16).padStart(2, "0")}`,
      };
    });
  },
});
