/** What some bytes are: a format and the value it read from them. Containers hold further contents. */
import { EncodeError, type Finding, type Format, type Json } from "../layout/index.ts";

export interface Content {
  readonly format: Format;
  readonly value: unknown;
}
export type JsonObject = { [key: string]: Json };

/** Name of the schema file for any content. */
export const CONTENT_SCHEMA = "content.schema.json";

/** Whether JSON is an object: no list, no null. */
export const isObject = (json: Json | undefined): json is JsonObject => typeof json === "object" && json !== null && !Array.isArray(json);

/** A list of formats in the order in which they are tried. */
export class Formats {
  readonly #list: readonly Format[];

  constructor(list: readonly Format[]) {
    this.#list = list;
  }

  [Symbol.iterator](): Iterator<Format> {
    return this.#list[Symbol.iterator]();
  }

  byName(name: string): Format | undefined {
    return this.#list.find((format) => format.name === name);
  }

  recognise(input: Uint8Array): Format | undefined {
    return this.#list.find((format) => format.recognise(input));
  }

  /** The JSON form of a content: `format` and the format's own members. */
  toJson(content: Content): JsonObject {
    return { format: content.format.name, ...content.format.toJson(content.value) };
  }

  /** @throws EncodeError naming the member that is wrong. */
  fromJson(json: Json | undefined): Content {
    if (!isObject(json)) throw new EncodeError("", json === undefined ? "missing" : "is not an object");
    const { format: name, ...rest } = json;
    const format = typeof name === "string" ? this.byName(name) : undefined;
    if (!format)
      throw new EncodeError("format", name === undefined ? "missing" : `${JSON.stringify(name)} is none of ${[...this].map((one) => one.name).join(", ")}`);
    return { format, value: format.fromJson(rest) };
  }
}

/** Read a part of a larger input: findings get `path` and the part's offset put before theirs. */
export function parsePart(format: Format, input: Uint8Array, findings: Finding[], path: string, base: number): Content {
  const own: Finding[] = [];
  const value = format.parse(input, own);
  for (const finding of own) findings.push({ path: `${path}.${finding.path}`, offset: base + finding.offset, message: finding.message });
  return { format, value };
}
