/** Reading the body of one section type. */
import { expect } from "vitest";
import { sectionTypes } from "../../src/cper/registry.ts";
import { encode, type Finding, fromJson, parse, type Root, type SectionType, sectionBodyTree, toJson, treeLines } from "../../src/layout/index.ts";

export const typeOf = (name: string): SectionType => {
  const type = sectionTypes.byName(name);
  if (!type) throw new Error(`no section type ${name}`);
  return type;
};
/** Read a body of a type without findings, check that it comes back, and return its value, summary and lines. */
export function read(name: string, bytes: Uint8Array) {
  const type = typeOf(name);
  const findings: Finding[] = [];
  const value = parse(type.layout, bytes, 0, bytes.length, { findings }) as object;
  expect(findings).toEqual([]);
  expect(encode(type.layout, value as never)).toEqual(bytes);
  expect(encode(type.layout, fromJson(type.layout as unknown as Root, JSON.parse(JSON.stringify(toJson(type.layout, value)))))).toEqual(bytes);
  const lines = sectionBodyTree({ type, value })
    .flatMap((tree) => treeLines(tree))
    .join("\n");
  expect(lines).not.toMatch(/undefined|NaN|\[object/);
  return { value: value as Record<string, unknown>, summary: type.summary?.(value as never) ?? "", lines };
}
