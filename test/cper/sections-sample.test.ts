/** The worked example of a section from outside the package, as the README shows it. */
import { existsSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import { parseRecord } from "../../src/cper/record-codec.ts";
import { sectionTypes } from "../../src/cper/registry.ts";
import { buildRecord, cperFormat, encode, parse, SectionRegistry, type SectionType, treeLines } from "../../src/index.ts";
import { hex } from "../support/hex.ts";
import { lawsOf } from "../support/laws.ts";

const path = (name: string) => fileURLToPath(new URL(`../../${name}`, import.meta.url));
// The sample imports the package by its name, which is there once it is built.
const built = existsSync(path("dist/layout/index.js"));
const { fanBoard } = built ? ((await import(path("samples/sections/fan-board.mjs"))) as { fanBoard: SectionType }) : { fanBoard: undefined as never };

describe.skipIf(!built)("a section type of one's own", () => {
  const bytes = hex`
    03 02                 # board and readings are valid; two readings
    46 42 2d 32 00 00
    00 00 10 27
    03 02 84 03
  `;
  if (built) lawsOf([["fan board", fanBoard.layout]], { runs: 50, seeds: [bytes] });

  test("the sample's bytes", () => {
    expect(
      readFileSync(path("samples/sections/fan-board.hex"), "utf8")
        .replace(/#.*$/gm, "")
        .match(/[0-9a-f]{2}/g),
    ).toEqual([...bytes].map((byte) => byte.toString(16).padStart(2, "0")));
    const body = parse(fanBoard.layout, bytes);
    expect(fanBoard.summary!(body as never)).toBe("fan 3 below its lowest speed at 900 rpm, board 'FB-2'");
    expect(encode(fanBoard.layout, body as never)).toEqual(bytes);
  });
  test("in a record, with a registry of one's own", () => {
    const registry = new SectionRegistry(sectionTypes).add(fanBoard);
    const record = buildRecord({ severity: "corrected" }, [
      { descriptor: { severity: "corrected" }, type: fanBoard, body: { board: "FB-2", readings: [{ fan: 3, fault: "tooSlow", speed: 900 }] } },
    ]);
    expect([...record.subarray(200, 202)]).toEqual([3, 1]);
    const format = cperFormat(registry);
    const parsed = format.parse(record, []);
    expect(format.summary(parsed)).toBe("Corrected fan board error, fan 3 below its lowest speed at 900 rpm, board 'FB-2'");
    expect(format.tree(parsed).flatMap((tree) => treeLines(tree))).toContain("        fault: below its lowest speed");
    expect(() => registry.add(fanBoard)).toThrow(/fanBoard already/);
    expect(sectionTypes.byName("fanBoard")).toBeUndefined();
    expect(parseRecord(record).sections[0]!.body!.type).toBeUndefined();
  });
});
