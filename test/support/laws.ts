/** The laws every layout obeys, whatever bytes it is given. */
import { Ajv2020 } from "ajv/dist/2020.js";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  encode,
  type Finding,
  fieldTrees,
  fromJson,
  type Json,
  jsonSchema,
  type Node,
  parse,
  type Root,
  referenceTable,
  spans,
  toJson,
  treeLines,
} from "../../src/layout/index.ts";
import { JsonWriter, jsonPlan } from "../../src/layout/json-bytes.ts";
import { JsonReader, readPlan, Unusual } from "../../src/layout/json-read.ts";

export interface LawOptions {
  readonly runs?: number;
  /** Bytes that make interesting cases likely, tried beside random ones; mutated too. */
  readonly seeds?: readonly Uint8Array[];
}

/** toEqual compares element by element, far slower than what is tested: only a difference is worth that. */
const same = (actual: Uint8Array, expected: Uint8Array) => {
  if (Buffer.compare(actual, expected) !== 0) expect(actual).toEqual(expected);
};
/** Layouts that name themselves are read the ordinary way. */
const hasVariant = (node: Node): boolean =>
  node.kind === "variant" ||
  ("fields" in node && Object.values(node.fields).some(hasVariant)) ||
  ((node.kind === "list" || node.kind === "window") && hasVariant(node.item)) ||
  (node.kind === "choice" && Object.values(node.cases).some(hasVariant));
const tiles = (root: Root, value: object, length: number) => {
  let at = 0;
  for (const span of spans(root, value)) {
    if (span.offset !== at) expect.fail(`${span.path} is at ${span.offset}, not ${at}`);
    at += span.size;
  }
  expect(at).toBe(length);
};

/** The bytes that the direct way makes of JSON text; undefined when it leaves that to the ordinary way. */
export function readDirectly(layout: Root, text: string): Uint8Array | undefined {
  const reader = new JsonReader();
  reader.text = new TextEncoder().encode(`${text}\n`);
  reader.bytes = new Uint8Array(1 << 16).fill(0xee);
  try {
    reader.struct(readPlan(layout));
  } catch (error) {
    if (error instanceof Unusual) return undefined;
    throw error;
  }
  return reader.at === reader.text.length - 1 ? reader.bytes.slice(0, reader.end) : undefined;
}

/** Run all laws over the layouts; `layouts` is a list of `[name, layout]`. */
export function lawsOf(layouts: readonly (readonly [name: string, layout: { readonly kind: "struct" | "sequence" }])[], options: LawOptions = {}): void {
  describe.each(layouts)("%s", (_name, loose) => {
    const layout = loose as Root;
    const most = layout.kind === "struct" ? layout.size + 8 : 400;
    const accepts = new Ajv2020({ strict: true, strictRequired: false }).compile(jsonSchema(layout));
    const plan = jsonPlan(layout);
    const holds = (bytes: Uint8Array) => {
      const findings: Finding[] = [];
      const value = parse(layout as never, bytes, 0, bytes.length, { findings }) as object;
      same(encode(layout as never, value as never), bytes);
      const jsonText = JSON.stringify(toJson(layout, value));
      const writer = new JsonWriter();
      writer.input = bytes;
      writer.write(plan, 0, bytes.length);
      expect(new TextDecoder().decode(writer.text())).toBe(jsonText);
      const direct = readDirectly(layout, jsonText);
      if (direct) same(direct, bytes);
      else if (!hasVariant(layout)) expect.fail(`cannot be read directly: ${jsonText}`);
      const json = JSON.parse(jsonText) as Json;
      if (!accepts(json)) expect.fail(`${JSON.stringify(accepts.errors?.[0])} for ${JSON.stringify(json)}`);
      same(encode(layout as never, fromJson(layout, json)), bytes);
      tiles(layout, value, bytes.length);
      if (layout.kind === "struct" && bytes.length !== layout.size && !layout.ends?.includes(bytes.length)) expect(findings.length).toBeGreaterThan(0);
      expect(
        fieldTrees(layout, value)
          .flatMap((tree) => treeLines(tree))
          .join("\n"),
      ).not.toMatch(/undefined|\[object/);
    };
    const small = fc.uint8Array({ maxLength: most }).map((bytes) => bytes.map((byte) => (byte < 128 ? byte & 7 : byte)));

    test("any bytes survive parse and encode, through JSON too; spans tile; the schema accepts", () => {
      fc.assert(fc.property(fc.oneof(fc.uint8Array({ maxLength: most }), small, fc.uint8Array({ minLength: most - 8, maxLength: most })), holds), {
        numRuns: options.runs ?? 300,
        seed: 20240717,
      });
    });
    test("every truncation of zero bytes survives", () => {
      for (let length = 0; length <= Math.min(most, 300); length++) holds(new Uint8Array(length));
    });
    test("the reference table names every field", () => {
      const table = referenceTable(layout);
      for (const name of Object.keys(layout.fields)) expect(table).toContain(`| ${name} |`);
    });
    if (options.seeds?.length)
      test("seeds and their truncations survive", () => {
        for (const seed of options.seeds!) for (let length = seed.length; length >= 0; length -= Math.max(1, seed.length >> 6)) holds(seed.slice(0, length));
      });
  });
}
