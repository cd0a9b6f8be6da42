import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { sectionTypes } from "../../src/cper/registry.ts";
import * as uefi from "../../src/cper/sections/index.ts";
import { parse, treeLines } from "../../src/layout/index.ts";
import { lawsOf } from "../support/laws.ts";
import { haveShared, shared, sharedNames } from "../support/shared.ts";

/** A body of the type from the first example record that has one. */
const seeds = (guid: string): Uint8Array[] => {
  if (!haveShared) return [];
  return sharedNames("corpus/libcper", (name) => name.endsWith(".cper.bin")).flatMap((name) => {
    const record = shared("corpus/libcper", name);
    const view = new DataView(record.buffer, record.byteOffset, record.length);
    const [a, b] = guid.split("-");
    if (view.getUint32(128 + 16, true) !== Number.parseInt(a!, 16) || view.getUint16(128 + 20, true) !== Number.parseInt(b!, 16)) return [];
    const offset = view.getUint32(128, true);
    return [record.slice(offset, offset + view.getUint32(132, true))];
  });
};

describe("laws of the section types", () => {
  const own = new Set(Object.values(uefi).flatMap((value) => (typeof value === "object" && "guids" in value ? [value.name] : [])));
  for (const type of sectionTypes) if (own.has(type.name)) lawsOf([[type.name, type.layout]], { runs: 40, seeds: type.guids.flatMap(seeds) });
});

describe("words for any bytes", () => {
  const types = [...sectionTypes];
  test("summary and explain never throw, whatever the body, and say nothing silly", () => {
    const body = fc.oneof(
      fc.uint8Array({ maxLength: 300 }),
      // Small numbers make counts and types plausible.
      fc.uint8Array({ maxLength: 400 }).map((bytes) => bytes.map((byte) => (byte < 160 ? byte & 15 : byte))),
    );
    fc.assert(
      fc.property(fc.nat(types.length - 1), body, (which, bytes) => {
        const type = types[which]!;
        const value = parse(type.layout, bytes, 0, bytes.length, { findings: [] }) as never;
        const words = [type.summary?.(value) ?? "", ...(type.explain?.(value) ?? []).flatMap((tree) => treeLines(tree))].join("\n");
        expect(words, `${type.name} ${Buffer.from(bytes).toString("hex")}`).not.toMatch(/undefined|NaN|\[object|(^|, ),|null/);
      }),
      { numRuns: 4000, seed: 11 },
    );
  });
  test("every truncation of an example", () => {
    for (const type of types)
      for (const seed of type.guids.flatMap(seeds))
        for (let length = 0; length <= seed.length; length += 1 + (length >> 4)) {
          const value = parse(type.layout, seed, 0, length, { findings: [] }) as never;
          const words = [type.summary?.(value) ?? "", ...(type.explain?.(value) ?? []).flatMap((tree) => treeLines(tree))].join("\n");
          expect(words, `${type.name} cut to ${length}`).not.toMatch(/undefined|NaN|\[object|(^|, ),|null/);
        }
  });
});
