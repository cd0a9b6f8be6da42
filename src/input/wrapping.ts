/** Text around data: a wrapping keeps the text word for word, so that the file comes back as it was. */
import { capital, EncodeError, type Format, type SectionRegistry, type Span, type Tree, within } from "../layout/index.ts";
import { bytesOf, CHARSETS, type Charset, looksLikeText, textOf } from "./charset.ts";
import { CONTENT_SCHEMA, type Content, type Formats, isObject, parsePart } from "./content.ts";
import type { Found } from "./hex-text.ts";
import { sectionFormat } from "./section.ts";
import { fillTemplate, makeTemplate } from "./template.ts";

/** Data in a text, in order of place. `section` names the section type where the text says it. */
export type Finder = (text: string) => readonly (Found & { readonly section?: string })[];

interface Part {
  /** The text from the end of the part before up to the end of this part's data. */
  readonly template: string;
  readonly content: Content;
}
interface Wrapped {
  readonly charset: Charset;
  readonly parts: readonly Part[];
  /** Text after the last data. */
  readonly rest: string;
}

export interface WrappingOptions {
  readonly name: string;
  readonly title: string;
  readonly find: Finder;
  /** What the data may be. */
  readonly contents: Formats;
  readonly registry: SectionRegistry;
}

/** Data with the text from the end of the data before. */
type Piece = ReturnType<Finder>[number] & { readonly template: string };
interface Reading {
  readonly charset: Charset;
  readonly pieces: readonly Piece[];
  readonly rest: string;
}

/** Longer texts are not searched for data unless they are asked to be: 4 MiB. */
export const MOST_TEXT = 4 * 1024 * 1024;

/** A wrapping as a format. It recognises a text only when it knows what is in it. */
export function wrappingFormat({ name, title, find, contents, registry }: WrappingOptions): Format<Wrapped> {
  /** The last input is kept: recognising and parsing want the same reading. */
  const last = new WeakMap<Uint8Array, Reading>();
  const read = (input: Uint8Array): Reading => {
    let reading = last.get(input);
    if (!reading) {
      const { charset, text } = textOf(input);
      const pieces: Piece[] = [];
      let at = 0;
      for (const one of find(text)) {
        const end = one.runs.at(-1)!.end;
        const template = makeTemplate(text, one.runs, at);
        // A template that does not give its text back would lose something: such data is left in the text.
        if (!gives(template, one.bytes, text.slice(at, end))) continue;
        pieces.push({ ...one, template });
        at = end;
      }
      reading = { charset, pieces, rest: text.slice(at) };
      last.set(input, reading);
    }
    return reading;
  };
  const formatOf = (one: Piece): Format | undefined =>
    contents.recognise(one.bytes) ?? (one.section === undefined ? undefined : (sectionFormat(one.section, registry) as Format));
  return {
    name,
    title,
    recognise: (input) => looksLikeText(input) && read(input).pieces.some((one) => formatOf(one) !== undefined),
    parse: (input, findings) => {
      const { charset, pieces, rest } = read(input);
      const parts = pieces.map((one, i): Part => {
        const content = parsePart(formatOf(one) ?? contents.byName("raw")!, one.bytes, findings, `parts[${i}].content`, 0);
        return { template: one.template, content };
      });
      if (parts.length === 0) findings.push({ path: name, offset: 0, message: `the text holds no data as ${title}` });
      return { charset, parts, rest };
    },
    encode: ({ charset, parts, rest }) =>
      bytesOf(
        parts
          .map(({ template, content }, i) =>
            within(`parts[${i}]`, () =>
              fillTemplate(
                template,
                within("content", () => content.format.encode(content.value)),
              ),
            ),
          )
          .join("") + rest,
        charset,
      ),
    toJson: ({ charset, parts, rest }) => ({
      charset,
      parts: parts.map(({ template, content }) => ({ template, content: contents.toJson(content) })),
      ...(rest !== "" && { rest }),
    }),
    fromJson: ({ charset, parts = [], rest = "" }) => {
      if (!CHARSETS.includes(charset as Charset)) throw new EncodeError("charset", `is none of ${CHARSETS.join(", ")}`);
      if (!Array.isArray(parts)) throw new EncodeError("parts", "is not a list");
      if (typeof rest !== "string") throw new EncodeError("rest", "is not text");
      return {
        charset: charset as Charset,
        rest,
        parts: parts.map((part, i) =>
          within(`parts[${i}]`, () => {
            if (!isObject(part)) throw new EncodeError("", "is not an object");
            if (typeof part["template"] !== "string") throw new EncodeError("template", "is not text");
            return { template: part["template"], content: within("content", () => contents.fromJson(part["content"])) };
          }),
        ),
      };
    },
    schema: () => ({
      type: "object",
      required: ["charset"],
      additionalProperties: false,
      properties: {
        charset: { description: "How the text is encoded", enum: [...CHARSETS] },
        parts: {
          type: "array",
          items: {
            type: "object",
            required: ["template", "content"],
            additionalProperties: false,
            properties: {
              template: { description: "Text up to the end of the data, with holes for it such as $32x", type: "string" },
              content: { $ref: CONTENT_SCHEMA },
            },
          },
        },
        rest: { description: "Text after the last data", type: "string" },
      },
    }),
    spans: ({ charset, parts, rest }) => {
      const out: Span[] = [];
      let at = 0;
      const add = (path: string, text: string) => {
        const value = bytesOf(text, charset);
        if (value.length > 0) out.push({ path, offset: at, size: value.length, node: undefined, value });
        at += value.length;
      };
      parts.forEach(({ template, content }, i) => {
        add(`parts[${i}]`, fillTemplate(template, content.format.encode(content.value)));
      });
      add("rest", rest);
      return out;
    },
    summary: ({ parts }) =>
      parts.length === 0
        ? `${capital(title)} without data`
        : `${parts.length === 1 ? "" : `${parts.length} pieces of data, the first: `}${parts[0]!.content.format.summary(parts[0]!.content.value)}`,
    tree: ({ parts }) =>
      parts.length === 1 ? parts[0]!.content.format.tree(parts[0]!.content.value) : parts.map(({ content }, i): Tree => contentTree(content, `[${i}]`)),
  };
}

const gives = (template: string, bytes: Uint8Array, text: string): boolean => {
  try {
    return fillTemplate(template, bytes) === text;
  } catch (error) {
    if (error instanceof EncodeError) return false;
    throw error;
  }
};

/** One of several contents: its title and summary over its own tree. */
const contentTree = ({ format, value }: Content, label: string): Tree => ({ label, text: format.summary(value), children: format.tree(value) });
