/** Agreement with libcper (openbmc, 7c410e2): its generated records, its examples, and its decode of both. */
import { gunzipSync } from "node:zlib";
import { describe, expect, test } from "vitest";
import { RecordHeader, SectionDescriptor } from "../../src/cper/record.ts";
import { type CperRecord, cperFormat } from "../../src/cper/record-codec.ts";
import type { Json } from "../../src/layout/index.ts";
import { describeShared, haveShared, shared, sharedNames, sharedText } from "../support/shared.ts";
import { compareSection, DIFFERENCES, type Difference, parseExact, ROWS } from "./libcper-map.ts";

const format = cperFormat();
const throughJson = (record: CperRecord): Uint8Array =>
  format.encode(format.fromJson(JSON.parse(JSON.stringify(format.toJson(record))) as { [key: string]: Json }));

/** Records back to back, split by the record length at offset 20. */
function* split(all: Uint8Array): Generator<Uint8Array> {
  const view = new DataView(all.buffer, all.byteOffset, all.length);
  for (let at = 0; at < all.length; ) {
    const length = view.getUint32(at + 20, true);
    yield all.subarray(at, at + length);
    at += length;
  }
}

interface TheirRecord {
  readonly header: unknown;
  readonly sectionDescriptors: readonly unknown[];
  readonly sections: readonly { readonly [kind: string]: unknown }[];
}
const SKIPPED: { readonly [kind: string]: unknown } = {};
const used = new Set<number>();
let compared = 0;
/** What is not explained by a row of the table, as text. */
function unexplained(record: CperRecord, bytes: Uint8Array, theirs: TheirRecord): string[] {
  const explain = (kind: string, differences: readonly Difference[]) =>
    differences.flatMap((difference) => {
      const index = DIFFERENCES.findIndex((row) => row.kind === kind && row.what === difference.what && row.path.test(difference.path));
      const row = DIFFERENCES[index];
      if (row && (!row.holds || row.holds(difference.theirs!, difference.ours!))) {
        used.add(index);
        return [];
      }
      return [`${kind} ${difference.path}: ${difference.what}, ${String(difference.theirs)} there, ${String(difference.ours)} here`];
    });
  return [
    ...explain("header", compareSection("header", theirs.header, RecordHeader, record.header, bytes)),
    ...theirs.sectionDescriptors.flatMap((descriptor, i) =>
      explain("descriptor", compareSection("descriptor", descriptor, SectionDescriptor, record.sections[i]?.descriptor ?? {}, bytes)),
    ),
    ...theirs.sections.flatMap((section, i) => {
      const kind = Object.keys(section).find((key) => key !== "message") ?? "";
      if (section === SKIPPED) return [];
      const { body, descriptor } = record.sections[i]!;
      compared++;
      if (kind === "Unknown") {
        const raw = body && !body.type ? Buffer.from(body.value as Uint8Array).toString("base64") : `decoded as ${body?.type?.name}`;
        return raw === (section[kind] as { data?: string }).data ? [] : [`sections[${i}]: raw bytes differ`];
      }
      if (!ROWS[kind] || !body?.type) return [`sections[${i}]: ${kind} there, ${body?.type?.name ?? "unknown"} here`];
      const { sectionOffset, sectionLength } = descriptor;
      return explain(kind, compareSection(kind, section[kind], body.type.layout, body.value, bytes.subarray(sectionOffset, sectionOffset + sectionLength)));
    }),
  ];
}

/** Equal problems once, with their number. */
const summarised = (problems: readonly string[]) => {
  const counts = new Map<string, number>();
  for (const problem of problems) counts.set(problem.replace(/\[\d+\]/g, "[]").replace(/:.*/, ""), (counts.get(problem) ?? 0) + 1);
  return problems.length > 20 ? [...counts.keys(), ...problems.slice(0, 20)] : problems;
};

describeShared("libcper", () => {
  test.each(haveShared ? sharedNames("corpus/libcper", (name) => name.endsWith(".cper.bin")) : [])("example %s", (name) => {
    const bytes = shared("corpus/libcper", name);
    const record = format.parse(bytes, []);
    expect(format.encode(record)).toEqual(bytes);
    expect(throughJson(record)).toEqual(bytes);
    for (const section of record.sections) if (!name.startsWith("unknown")) expect(section.body?.type?.name, name).toBeDefined();
    const theirs = parseExact(sharedText("corpus/libcper", name.replace(".cper.bin", ".json"))) as TheirRecord;
    expect(unexplained(record, bytes, theirs)).toEqual([]);
  });

  const captured = ["corpus/cper-other", "corpus/whea-cper"].flatMap((folder) =>
    sharedNames(folder, (name) => name.endsWith(".libcper7c410e2.json")).map((name) => [folder, name] as const),
  );
  test.each(captured)("its decode of a real record: %s/%s", (folder, name) => {
    const bytes = shared(folder, name.replace(".libcper7c410e2.json", ".bin"));
    const record = format.parse(bytes, []);
    const theirs = parseExact(sharedText(folder, name)) as TheirRecord;
    // Sections libcper does not know, or gives up on, say nothing of ours.
    const sections = theirs.sections.map((section) => (section && Object.keys(section).some((kind) => ROWS[kind]) ? section : SKIPPED));
    expect(unexplained(record, bytes, { ...theirs, sections })).toEqual([]);
  });

  describe("generated records", () => {
    const all = haveShared ? shared("corpus/libcper", "generated-24000.bin") : new Uint8Array(0);
    test("its decode of the first 2,400, field by field: every difference has a row, and every row is met", () => {
      const lines = gunzipSync(shared("corpus/libcper", "generated-first-2400.libcper.jsonl.gz")).toString().trimEnd().split("\n");
      const records = split(all);
      compared = 0;
      const problems = lines.flatMap((line) => {
        const bytes = records.next().value as Uint8Array;
        return unexplained(format.parse(bytes, []), bytes, parseExact(line) as TheirRecord);
      });
      expect(lines.length).toBe(2400);
      expect(compared).toBeGreaterThan(2500);
      expect(summarised(problems)).toEqual([]);
      expect(DIFFERENCES.filter((_, index) => !used.has(index))).toEqual([]);
    });
    test("every 20th of 24,000 survives JSON text byte by byte", () => {
      let index = 0;
      for (const bytes of split(all)) if (index++ % 20 === 0) expect(Buffer.compare(throughJson(format.parse(bytes, [])), bytes)).toBe(0);
      expect(index).toBe(24000);
    });
  });
});
