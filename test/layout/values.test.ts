import { describe, expect, test } from "vitest";
import { SectionDescriptor } from "../../src/cper/record.ts";
import {
  bytesToHex,
  DecodeError,
  decode,
  EncodeError,
  encode,
  fromJson,
  guidBytes,
  guidText,
  hexToBytes,
  timestampBytes,
  timestampText,
  toJson,
} from "../../src/layout/index.ts";
import { hex } from "../support/hex.ts";

const GOLDEN = hex`
  c8 00 00 00                                      # 0x00 section offset 200
  50 00 00 00                                      # 0x04 section length 80
  00 03                                            # 0x08 revision 3.0
  03 00                                            # 0x0a validation: FRU id, FRU text; reserved
  01 00 00 00                                      # 0x0c flags: primary
  14 11 bc a5 64 6f de 4e b8 63 3e 83 ed 7c 83 b1  # 0x10 platform memory
  33 22 11 00 55 44 77 66 88 99 aa bb cc dd ee ff  # 0x20 FRU id
  02 00 00 00                                      # 0x30 corrected
  44 49 4d 4d 20 41 31 00 00 00 00 00 00 00 00 00 00 00 00 00  # 0x34 "DIMM A1"
`;
const VALUE = {
  sectionOffset: 200,
  sectionLength: 80,
  revision: 0x0300,
  validation: { fruId: true, fruText: true },
  flags: { primary: true },
  sectionType: "a5bc1114-6f64-4ede-b863-3e83ed7c83b1",
  fruId: "00112233-4455-6677-8899-aabbccddeeff",
  severity: "corrected" as const,
  fruText: "DIMM A1",
};

describe("a section descriptor (UEFI 2.11 N.2.2)", () => {
  test("golden bytes both ways", () => {
    expect(decode(SectionDescriptor, GOLDEN)).toEqual(VALUE);
    expect(encode(SectionDescriptor, VALUE)).toEqual(GOLDEN);
    expect(encode(SectionDescriptor, fromJson(SectionDescriptor, toJson(SectionDescriptor, VALUE)))).toEqual(GOLDEN);
  });
  test("unknown values and bits are kept", () => {
    const odd = GOLDEN.slice();
    odd[0x30] = 9;
    odd[0x0f] = 0x80;
    odd[0x0b] = 0x7f;
    const value = decode(SectionDescriptor, odd);
    expect(value).toMatchObject({ severity: 9, flags: { primary: true, rest: 0x80000000n }, reserved: Uint8Array.of(0x7f) });
    expect(toJson(SectionDescriptor, value)).toMatchObject({ severity: 9, flags: { primary: true, rest: "0x80000000" }, reserved: "7f" });
  });
  test("errors name the field", () => {
    expect(() => decode(SectionDescriptor, GOLDEN.subarray(0, 71), 7)).toThrow(new DecodeError("Section Descriptor", 7, "needs 72 bytes, only 64 left"));
    expect(() => encode(SectionDescriptor, { ...VALUE, sectionLength: 2 ** 32 })).toThrow(
      "Section Descriptor.sectionLength: 4294967296 does not fit in 4 bytes",
    );
    expect(() => encode(SectionDescriptor, { ...VALUE, sevrity: 1 } as never)).toThrow("Section Descriptor.sevrity: the Section Descriptor has no such field");
    expect(() => encode(SectionDescriptor, { ...VALUE, severity: "bad" as never })).toThrow(
      'Section Descriptor.severity: "bad" is none of recoverable, fatal, corrected, informational',
    );
    expect(() => encode(SectionDescriptor, { ...VALUE, flags: { primry: true } as never })).toThrow("Section Descriptor.flags.primry: no such bit");
    const { severity: _, ...without } = VALUE;
    expect(() => encode(SectionDescriptor, without as never)).toThrow(new EncodeError("Section Descriptor.severity", "missing"));
  });
});

describe("timestamps", () => {
  test.each([
    ["0000000000000000", "none"],
    ["0100120005071920", "2019-07-05T12:00:01"],
    ["0100120105071920", "2019-07-05T12:00:01 precise"],
    ["1f36100005071321", "2013-07-05T10:36:1f"],
    ["1f22170005071314", "2019-07-05T23:34:31 binary"],
    ["1f36100008061815", "2024-06-08T16:54:31 ordinal"],
    ["151e100019072520", "2025-07-19T16:30:21 mixed"],
    ["00f1536500000000", "2023-11-14T22:13:20 seconds"],
    ["ffffffffffffffff", "raw ffffffffffffffff"],
  ])("%s is %s", (raw, text) => {
    const bytes = Uint8Array.from(raw.match(/../g)!, (pair) => Number.parseInt(pair, 16));
    const said = timestampText(bytes);
    if (text === "2013-07-05T10:36:1f") expect(said).toBe(`raw ${raw}`);
    else expect(said).toBe(text);
    expect(timestampBytes(said)).toEqual(bytes);
  });
  test("any eight bytes come back", () => {
    let state = 1;
    const next = () => (state = (Math.imul(state, 1664525) + 1013904223) >>> 0) >>> 24;
    for (let i = 0; i < 20000; i++) {
      const bytes = Uint8Array.from({ length: 8 }, next);
      bytes[7] = [0x13, 0x14, 0x15, 0x19, 0x20, 0x21, 0][i % 7]!;
      bytes[3] = i & 1;
      if (i % 7 === 6) bytes.fill(0, 4);
      else for (const at of [0, 1, 2, 4, 5, 6]) bytes[at] = bytes[at]! % 0x33;
      expect(timestampBytes(timestampText(bytes))).toEqual(bytes);
    }
  });
});

test("GUIDs are mixed-endian (UEFI 2.11 appendix A)", () => {
  const bytes = hex`14 11 bc a5 64 6f de 4e b8 63 3e 83 ed 7c 83 b1`;
  expect(guidText(bytes)).toBe("a5bc1114-6f64-4ede-b863-3e83ed7c83b1");
  expect(guidBytes("A5BC1114-6F64-4EDE-B863-3E83ED7C83B1")).toEqual(bytes);
  expect(guidBytes("a5bc1114")).toBeUndefined();
});

describe("hex digits", () => {
  test.each([0, 1, 4095, 4096, 4097, 3 * 4096, 1_000_000])("%i bytes both ways", (length) => {
    const bytes = Uint8Array.from({ length }, (_, i) => (i * 7) & 0xff);
    const text = bytesToHex(bytes);
    expect(text === Buffer.from(bytes).toString("hex")).toBe(true);
    expect(Buffer.compare(hexToBytes(text.toUpperCase())!, bytes)).toBe(0);
  });
  test.each(["0", "0g", " 0", "\u00300\u0660", "0x", "\u0130a"])("%j is none", (text) => expect(hexToBytes(text)).toBeUndefined());
});
