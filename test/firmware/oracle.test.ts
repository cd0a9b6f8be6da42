import { expect, test } from "vitest";
import { boot } from "../../src/firmware/boot.ts";
import { consequenceOf } from "../../src/firmware/consequence.ts";
import { bytesToHex } from "../../src/layout/index.ts";
import { readWord } from "../../src/layout/values.ts";
import { FILE, type FwCfgFiles } from "../../src/loader/fw-cfg.ts";
import { parseScript } from "../../src/loader/script.ts";
import { describeShared, shared, sharedNames } from "../support/shared.ts";
import { CASES, caseFiles, caseNames, type OracleFirmware, type Outcome, outcomes, VMCOREINFO } from "./oracle.ts";

const runs = caseNames().flatMap((name) =>
  Object.entries(outcomes(name)).map(([firmware, outcome]) => ({ name, firmware: firmware as OracleFirmware, outcome })),
);

/** Entries SeaBIOS warned about. */
const refusals = (outcome: Outcome): number =>
  (outcome.seabios_debug ?? []).filter((line) => line.includes("romfile_loader_") && !line.includes("execute")).length;
/** Where EDK2's heap put the tables: the heap is not modelled to the byte in every case, the copies in it are. */
const heapPlaces = (outcome: Outcome): ReadonlyMap<string, bigint> => {
  const once = outcome.linked.filter((table) => outcome.linked.filter((other) => other.sig === table.sig).length === 1);
  return new Map(once.map((table) => [`table:${table.sig}`, BigInt(table.addr)]));
};
/** First words of the status blocks: a guest clears them when it finds there what it cannot read. */
function statusWords(files: FwCfgFiles): readonly number[] {
  const blob = files.get(FILE.hardwareErrors)!.bytes;
  return parseScript(files.get(FILE.script)!.bytes).entries.flatMap((entry) =>
    entry.command === "addPointer" &&
    entry.destinationFile === FILE.hardwareErrors &&
    entry.sourceFile === FILE.hardwareErrors &&
    entry.offset + 4 <= blob.length
      ? [readWord(blob, entry.offset, 4)]
      : [],
  );
}

describeShared("recorded boots of real firmware", () => {
  test.each(runs)("$name on $firmware", ({ name, firmware, outcome }) => {
    const files = caseFiles(name, firmware, outcome);
    const places = heapPlaces(outcome);
    const result = boot(files, { firmware, ...(firmware !== "seabios" && { placements: places }) });
    expect(result.state === "stuck").toBe(outcome.hang ?? false);
    expect(consequenceOf(result).guest).toBe(outcome.booted ? "boots" : outcome.linked.length > 0 ? "oopses" : "panics");
    // A guest that ends in a kernel oops printed no tables: what firmware linked says it then.
    const crashed = outcome.kernel_oops === true && outcome.linked.length > 0;
    const signatures = result.tables.map((table) => table.signature);
    if (!crashed) expect([...result.listing].sort()).toEqual(outcome.guest_tables.filter((table) => table !== "data" && table !== "dynamic").sort());
    if (outcome.wp_file !== undefined) expect(bytesToHex(result.device.file(VMCOREINFO)!)).toBe(outcome.wp_file);
    const refused = result.trace.some((entry) => entry.outcome === "refused");
    if (firmware === "seabios" && outcome.seabios_debug) expect(refused).toBe(refusals(outcome) > 0);
    if (firmware !== "seabios" && refused) expect(result.state).toBe("noAcpi");
    if (signatures.length === 0) return;
    const hest = result.tables.find((table) => table.signature === "HEST");
    expect(hest !== undefined || crashed).toBe(outcome.hest_present || outcome.linked.some((table) => table.sig === "HEST"));
    if (outcome.hest_len !== undefined) expect(hest!.length).toBe(outcome.hest_len);
    // What firmware linked, byte for byte at the address where it lay.
    const folder = [CASES, name, `linked-${firmware}`] as const;
    const everyPlaceKnown = places.size === outcome.linked.length;
    for (const file of sharedNames(folder.join("/"))) {
      const [, signature, address] = /^(.*)-(\w+)\.dat$/.exec(file)!;
      let bytes = shared(...folder, file);
      let where = BigInt(`0x${signature === "hwerr-at" ? "0" : address}`);
      if (signature === "hwerr-at") {
        where = result.writtenPointers.findLast((pointer) => pointer.offset === 8)!.value;
        const blob = [...result.placements.values()].find(({ address, size }) => address <= where && where < address + BigInt(size))!;
        bytes = bytes.slice(0, Number(blob.address + BigInt(blob.size) - where));
        const mask = (part: Uint8Array) => {
          for (const at of statusWords(files))
            if (blob.name === FILE.hardwareErrors) part.fill(0, at - Number(where - blob.address), at - Number(where - blob.address) + 4);
          return bytesToHex(part);
        };
        expect(mask(result.memory.read(where, bytes.length)), file).toBe(mask(bytes));
        continue;
      }
      // Tables of which there are two have places that no signature names, and a root table that lists them.
      if (firmware !== "seabios" && !(signature === "XSDT" ? everyPlaceKnown : places.has(`table:${signature}`))) continue;
      expect(bytesToHex(result.memory.read(where, bytes.length)), file).toBe(bytesToHex(bytes));
    }
  });

  test("left alone, OVMF's places are met too", () => {
    for (const name of ["baseline", "hwerr-fake-table", "hwerr-two-files", "wp-hest"]) {
      const outcome = outcomes(name).ovmf!;
      const result = boot(caseFiles(name, "ovmf", outcome), { firmware: "ovmf" });
      expect([result.rsdpAddress, result.rootTable?.address, ...result.tables.map((table) => table.address)]).toEqual(
        outcome.linked.map((table) => BigInt(table.addr)),
      );
    }
  });
});
