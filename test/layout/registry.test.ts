import { describe, expect, test } from "vitest";
import { SectionRegistry, type SectionType, struct, u8, u16 } from "../../src/layout/index.ts";

const guid = "00112233-4455-6677-8899-aabbccddeeff";
const any: SectionType = { guids: [guid], name: "any", title: "Any", layout: struct("Any", 2, "test", { value: u16("Value") }) };
const short: SectionType = { guids: [guid], length: 1, name: "short", title: "Short", layout: struct("Short", 1, "test", { value: u8("Value") }) };

describe("types that share a GUID", () => {
  const registry = new SectionRegistry([any, short]);
  test("the length of the body decides", () => {
    expect(registry.byGuid(guid.toUpperCase(), 1)?.name).toBe("short");
    expect(registry.byGuid(guid, 2)?.name).toBe("any");
    expect(registry.byGuid(guid)?.name).toBe("any");
  });
  test("two for the same length are refused", () => {
    expect(() => registry.add({ ...short, name: "other" })).toThrow("is short already");
    expect(() => registry.add({ ...any, name: "other" })).toThrow("is any already");
  });
});
