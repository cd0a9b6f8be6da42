import { describe } from "vitest";
import { sectionTypes } from "../../src/cper/registry.ts";
import { PlatformMemory } from "../../src/cper/sections/memory.ts";
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
  for (const type of sectionTypes)
    if (type.layout !== (PlatformMemory as unknown)) lawsOf([[type.name, type.layout]], { runs: 60, seeds: type.guids.flatMap(seeds) });
});
