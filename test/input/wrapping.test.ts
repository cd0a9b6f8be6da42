/** Texts as real tools write them around one record; `record.bin` is what they were given. */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { deflateRawSync, deflateSync } from "node:zlib";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { documentsOf } from "../../src/input/document.ts";
import { fillTemplate, fromBase64, toBase64 } from "../../src/input/template.ts";
import { EncodeError, type Json } from "../../src/layout/index.ts";

const folder = fileURLToPath(new URL("./wrapped/", import.meta.url));
const file = (name: string) => new Uint8Array(readFileSync(join(folder, name)));
const documents = documentsOf();
const record = file("record.bin");

interface Part {
  readonly template: string;
  readonly content: { readonly format: { readonly name: string; encode(value: unknown): Uint8Array }; readonly value: unknown };
}
const partsOf = (value: unknown) => (value as { readonly parts: readonly Part[] }).parts;
const bytesOf = ({ content }: Part) => content.format.encode(content.value);

/** Format of each text, and what it holds: the record unless said otherwise. */
const TEXTS: Readonly<Record<string, readonly [format: string, ...contents: Uint8Array[]]>> = {
  "xxd.txt": ["hex-dump"],
  "xxd-wide-upper.txt": ["hex-dump"],
  "xxd-plain.txt": ["hex"],
  "xxd-include.txt": ["hex"],
  "xxd-little-endian.txt": ["hex-dump-words"],
  "hexdump-canonical.txt": ["hex-dump"],
  "hexdump.txt": ["hex-dump-words"],
  "od-bytes.txt": ["hex-dump"],
  "od-characters.txt": ["hex-dump"],
  "od-words.txt": ["hex-dump-words"],
  "kernel-log.txt": ["hex-dump-words", Uint8Array.from([...record, 0, 0, 0])],
  "one-string.txt": ["hex"],
  "with-0x-before.txt": ["hex"],
  "colons.txt": ["hex"],
  "list-of-0x.txt": ["hex"],
  "escapes.txt": ["hex"],
  "c-array.txt": ["hex"],
  "words.txt": ["hex-words", Uint8Array.from([...record, 0, 0, 0])],
  "base64.txt": ["base64"],
  "base64-one-line.txt": ["base64"],
  "whea-event.xml": ["whea-event-xml"],
  "whea-events-utf16.xml": ["whea-event-xml", record, record],
  "redfish-entry.json": ["redfish"],
  "redfish-collection.json": ["redfish", record, record.slice(200)],
  "acpidump.txt": ["acpidump", file("hest.bin"), file("bert.bin")],
};

test("every text is tried", () => {
  expect(Object.keys(TEXTS).sort()).toEqual(
    readdirSync(folder)
      .filter((name) => !name.endsWith(".bin"))
      .sort(),
  );
});

describe.each(Object.entries(TEXTS))("%s", (name, [format, ...contents]) => {
  test("is recognised, unwrapped and wrapped again", () => {
    const text = file(name);
    const document = documents.read(text);
    expect(document.format.name).toBe(format);
    expect(partsOf(document.value).map(bytesOf)).toEqual(contents.length > 0 ? contents : [record]);
    const json = JSON.parse(JSON.stringify(documents.toJson(document))) as Json;
    expect(documents.encode(json)).toEqual(text);
  });
});

test("changed data is written in the old dress, its characters too", () => {
  const json = JSON.parse(JSON.stringify(documents.toJson(documents.read(file("xxd.txt")))));
  json.parts[0].content.header.revision = 0x4142;
  const changed = new TextDecoder().decode(documents.encode(json));
  expect(changed.split("\n")[0]).toBe("00000000: 4350 4552 4241 ffff ffff 0100 0200 0000  CPERBA..........");
});

test("a bare section in text", () => {
  const text = new TextEncoder().encode(Array.from(record.slice(200), (byte) => byte.toString(16).padStart(2, "0")).join(" "));
  const document = documents.read(text, { section: "platformMemory" });
  expect(document.took).toBe("hex digits of Platform memory error section");
  expect(document.format.summary(document.value)).toContain("0x12345000");
});

test("text that holds nothing known is not taken for anything", () => {
  for (const text of [
    "hello, world\n",
    "00 01 02 03",
    "deadbeef",
    "{}",
    '{"CPERData": "AAAA"}',
    "<Event></Event>",
    "QUJDRA==",
    "HEST: 2 error sources\n",
    "CPER",
  ])
    expect(documents.read(new TextEncoder().encode(text)).format.name, text).toBe("raw");
});

test("rows left out of a dump cannot blow it up", () => {
  const text = `00000000: ${"00 ".repeat(16)}\n*\nfffffff0: ${"00 ".repeat(16)}\n`;
  expect(documents.read(new TextEncoder().encode(text), { as: "hex-dump" }).format.encode).toBeDefined();
});

describe("templates", () => {
  test("holes", () => {
    const bytes = Uint8Array.from([0x41, 0x0a, 0xff, 0x7e]);
    expect(fillTemplate("$8x", bytes)).toBe("410aff7e");
    expect(fillTemplate("<$4X $4x $$>", bytes)).toBe("<410A ff7e $>");
    expect(fillTemplate("$8w", bytes)).toBe("7eff0a41");
    expect(fillTemplate("$8x $4a", bytes)).toBe("410aff7e A..~");
    expect(fillTemplate("$6b==", bytes)).toBe("QQr/fg==");
    expect(fillTemplate("$6u", bytes)).toBe("QQr_fg");
    expect(fillTemplate("$4x*$4/2r", Uint8Array.from([1, 2, 1, 2, 1, 2]))).toBe("0102*");
  });
  test.each([
    ["$2x", "no room for all"],
    ["$10x", "room for more"],
    ["$2x$6x$", "begins no hole"],
    ["$4x$2/2r", "should repeat the row above"],
  ])("%s does not fit", (template, message) => {
    expect(() => fillTemplate(template, Uint8Array.from([0x41, 0x0a, 0xff, 0x7e]))).toThrow(EncodeError);
    expect(() => fillTemplate(template, Uint8Array.from([0x41, 0x0a, 0xff, 0x7e]))).toThrow(message);
  });
  test("base64 against the platform's", () => {
    for (let length = 0; length < 40; length++) {
      const bytes = Uint8Array.from({ length }, (_, i) => (i * 37 + length * 11) & 255);
      const text = Buffer.from(bytes).toString("base64").replaceAll("=", "");
      expect(toBase64(bytes)).toBe(text);
      expect(fromBase64(text)).toEqual(bytes);
      expect(fromBase64(Buffer.from(bytes).toString("base64url"))).toEqual(bytes);
    }
    expect(fromBase64("QR")).toBeUndefined();
    expect(fromBase64("Q")).toBeUndefined();
    expect(fromBase64("Q?==")).toBeUndefined();
  });
});

describe("files of Linux's pstore", () => {
  // The first line is the kernel's own (fs/pstore/platform.c): reason, count, part.
  const text = Buffer.from("Panic#1 Part1\n<6>[    1.270808] PCI host bridge to bus 0000:00\n<0>[    2.000000] Kernel panic - not syncing\n");
  test.each([
    ["plain", new Uint8Array(text), "pstore-messages"],
    ["raw deflate", new Uint8Array(deflateRawSync(text)), "pstore-compressed-messages"],
    ["zlib", new Uint8Array(deflateSync(text)), "pstore-compressed-messages"],
  ])("%s", (_name, bytes, format) => {
    const document = documents.read(bytes);
    expect(document.format.name).toBe(format);
    expect(document.format.summary(document.value)).toContain("Panic#1 Part1");
    expect(document.format.tree(document.value).some((tree) => tree.label.includes("not syncing"))).toBe(true);
    expect(documents.encode(JSON.parse(JSON.stringify(documents.toJson(document))) as Json)).toEqual(bytes);
  });
});

test("mutated texts come back", () => {
  const texts = Object.keys(TEXTS).map(file);
  fc.assert(
    fc.property(fc.nat(texts.length - 1), fc.array(fc.tuple(fc.nat(2000), fc.nat(255)), { maxLength: 5 }), fc.nat(4000), (which, changes, cut) => {
      const bytes = texts[which]!.slice(0, cut < 2000 ? cut : undefined);
      for (const [at, byte] of changes) if (at < bytes.length) bytes[at] = byte;
      const json = JSON.parse(JSON.stringify(documents.toJson(documents.read(bytes)))) as Json;
      expect(documents.encode(json)).toEqual(bytes);
    }),
    { numRuns: 400, seed: 17 },
  );
});
