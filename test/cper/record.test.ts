import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { RecordHeader, SectionDescriptor } from "../../src/cper/record.ts";
import { cperFormat } from "../../src/cper/record-codec.ts";
import { PlatformMemory } from "../../src/cper/sections/memory.ts";
import type { Finding, Json } from "../../src/layout/index.ts";
import { lawsOf } from "../support/laws.ts";
import { describeShared, shared, sharedNames } from "../support/shared.ts";

const format = cperFormat();

function roundTrip(bytes: Uint8Array): Finding[] {
  const findings: Finding[] = [];
  const record = format.parse(bytes, findings);
  // Element by element, toEqual takes longer than all the rest.
  expect(Buffer.compare(format.encode(record), bytes)).toBe(0);
  const json = JSON.parse(JSON.stringify(format.toJson(record))) as { [key: string]: Json };
  expect(Buffer.compare(format.encode(format.fromJson(json)), bytes)).toBe(0);
  let at = 0;
  for (const span of format.spans(record)) {
    if (span.offset !== at) expect.fail(`${span.path} is at ${span.offset}, not ${at}`);
    at += span.size;
  }
  expect(at).toBe(bytes.length);
  return findings;
}

lawsOf([
  ["record header", RecordHeader],
  ["section descriptor", SectionDescriptor],
  ["platform memory", PlatformMemory],
]);

describeShared("real records", () => {
  test.each(sharedNames("corpus/whea-cper", (name) => /\.(bin|whea|cper)$/.test(name)))("%s", (name) => {
    const bytes = shared("corpus/whea-cper", name);
    roundTrip(bytes);
    expect(format.recognise(bytes)).toBe(true);
  });

  test("mutated records survive", () => {
    const seeds = sharedNames("corpus/whea-cper", (name) => name.endsWith(".bin")).map((name) => shared("corpus/whea-cper", name).slice(0, 2000));
    fc.assert(
      fc.property(fc.nat(seeds.length - 1), fc.array(fc.tuple(fc.nat(400), fc.nat(255)), { maxLength: 8 }), fc.nat(2000), (which, changes, cut) => {
        const bytes = seeds[which]!.slice(0, Math.max(1, seeds[which]!.length - (cut > 1500 ? cut - 1500 : 0)));
        for (const [at, value] of changes) if (at < bytes.length) bytes[at] = value;
        roundTrip(bytes);
      }),
      { numRuns: 1000, seed: 7 },
    );
  });
});

describe("records that lie", () => {
  test("65,535 sections", () => {
    const bytes = new Uint8Array(128 + 72 * 3);
    bytes.set([0x43, 0x50, 0x45, 0x52, 1, 1, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]);
    expect(roundTrip(bytes).map((finding) => finding.message)).toContain("65535 sections are announced, only 3 descriptors fit");
  });
});
