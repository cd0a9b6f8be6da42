import fc from "fast-check";
import { expect, test } from "vitest";
import { cperFormat } from "../../src/cper/record-codec.ts";
import { RECORD_LENGTH, recordWriter } from "../../src/cper/record-json.ts";
import { JsonWriter } from "../../src/layout/index.ts";
import { describeShared, shared, sharedNames } from "../support/shared.ts";

const format = cperFormat();
const write = recordWriter();

/** Whether the record can be written directly; then it must be the same. */
function agree(bytes: Uint8Array): boolean {
  const writer = new JsonWriter();
  writer.input = bytes;
  if (!write(writer, 0, bytes.length)) return false;
  expect(new TextDecoder().decode(writer.text())).toBe(JSON.stringify(format.toJson(format.parse(bytes, []))));
  return true;
}

describeShared("the direct path says what the ordinary path says", () => {
  test("of generated records", () => {
    const all = shared("corpus/libcper/generated-24000.bin");
    const view = new DataView(all.buffer, all.byteOffset, all.length);
    let n = 0;
    for (let at = 0; at < all.length; n++) {
      const length = view.getUint32(at + RECORD_LENGTH, true);
      if (n % 20 === 0) expect(agree(all.slice(at, at + length))).toBe(true);
      at += length;
    }
    expect(n).toBe(24000);
  });
  test("of real and mutated records", () => {
    const seeds = ["corpus/whea-cper", "corpus/cper-other"].flatMap((folder) =>
      sharedNames(folder, (name) => name.endsWith(".bin")).map((name) => shared(folder, name).slice(0, 3000)),
    );
    for (const seed of seeds) agree(seed);
    fc.assert(
      fc.property(fc.nat(seeds.length - 1), fc.array(fc.tuple(fc.nat(600), fc.nat(255)), { maxLength: 6 }), fc.nat(3000), (which, changes, cut) => {
        const bytes = seeds[which]!.slice(0, Math.max(1, seeds[which]!.length - (cut > 2500 ? cut - 2500 : 0)));
        for (const [at, value] of changes) if (at < bytes.length) bytes[at] = value;
        agree(bytes);
      }),
      { numRuns: 500, seed: 11 },
    );
  });
});
