import { describe, expect, test } from "vitest";
import { probe } from "../../src/guest/ghes.ts";
import { readHest } from "../../src/guest/hest.ts";
import { SparseMemory } from "../../src/machine/memory.ts";
import { describeShared, shared, sharedNames, sharedText } from "../support/shared.ts";

const FOLDER = "guest/oracle/hest";
const TABLE = 0x4000_0000n;

/** What the kernel says of a table and which devices get a driver. */
function verdict(table: Uint8Array, architecture: "arm64" | "x86"): { lines: string[]; devices: string } {
  const memory = new SparseMemory([{ start: 0n, length: 1n << 62n }]);
  const io = new SparseMemory([{ start: 0n, length: 1n << 62n }]);
  memory.write(TABLE, table);
  const hest = readHest(memory, TABLE, architecture);
  const lines = [...hest.messages];
  const devices = hest.sources.map((source) => {
    const result = probe({ memory, io }, source, { architecture });
    lines.push(...result.messages);
    return `GHES.${source.sourceId} driver=${result.device ? "GHES" : "none"}`;
  });
  // The test machines' firmware never granted firmware-first mode.
  if (hest.enabled) lines.push("GHES: Failed to enable APEI firmware first mode.");
  return { lines, devices: devices.sort().join("; ") || "none" };
}

/** Their outcome hangs on bytes that follow the table in that guest's memory, or the table never arrived. */
const ELSEWHERE = /count-(plus|max)|tail-2|(aavmf|ovmf)-len-(0|16m|64k|40|badsum)$|aavmf-len-after-first|sig-lower/;

describeShared("what real kernels said about a table", () => {
  const names = sharedNames(FOLDER, (name) => name.endsWith(".log"))
    .map((name) => name.slice(0, -4))
    .filter((name) => !ELSEWHERE.test(name));
  test.each(names)("%s", (name) => {
    const log = sharedText(FOLDER, `${name}.log`).split("\n");
    const lines = log.filter((line) => /^(\[Firmware|HEST:|GHES|mce:)/.test(line));
    const devices = log.find((line) => line.startsWith("# platform devices:"))!.slice("# platform devices: ".length);
    // SeaBIOS leaves the table where it was loaded, its neighbours included; EDK2 installs a copy of its length.
    const copied = !name.startsWith("seabios") && sharedNames(FOLDER, (file) => file === `${name}.guest.bin`).length > 0;
    const bytes = copied ? shared(FOLDER, `${name}.guest.bin`) : shared(FOLDER, `${name}.bin`);
    const mine = verdict(bytes, /^(arm64|aavmf)/.test(name) ? "arm64" : "x86");
    expect(mine).toEqual({ lines, devices: devices.split("; ").sort().join("; ") });
  });
});

describe("no oracle needed", () => {
  test("a table of zeros has no sources", () => {
    expect(verdict(new Uint8Array(64), "arm64")).toEqual({
      lines: ["HEST: Table parsing has been initialized.", "GHES: Failed to enable APEI firmware first mode."],
      devices: "none",
    });
  });
});
