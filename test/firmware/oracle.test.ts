import { expect, test } from "vitest";
import { boot } from "../../src/firmware/boot.ts";
import { bytesToHex } from "../../src/layout/index.ts";
import { describeShared, shared, sharedNames } from "../support/shared.ts";
import { CASES, caseFiles, caseNames, type OracleFirmware, type Outcome, outcomes, VMCOREINFO } from "./oracle.ts";

const runs = caseNames().flatMap((name) =>
  Object.entries(outcomes(name)).map(([firmware, outcome]) => ({ name, firmware: firmware as OracleFirmware, outcome })),
);

/** Entries SeaBIOS warned about. */
const refusals = (outcome: Outcome): number =>
  (outcome.seabios_debug ?? []).filter((line) => line.includes("romfile_loader_") && !line.includes("execute")).length;
/** Where AAVMF's heap put the tables: its pool is not modelled to the byte, the copies in it are. */
const heapPlaces = (outcome: Outcome): ReadonlyMap<string, bigint> => {
  const once = outcome.linked.filter((table) => outcome.linked.filter((other) => other.sig === table.sig).length === 1);
  return new Map(once.map((table) => [`table:${table.sig}`, BigInt(table.addr)]));
};
/** With a hundred tables more, OVMF and AAVMF fill holes of their heap in an order that only their heap knows. */
const HEAP_UNKNOWN = ["tables-100"];

describeShared("recorded boots of real firmware", () => {
  test.each(runs)("$name on $firmware", ({ name, firmware, outcome }) => {
    const result = boot(caseFiles(name, firmware, outcome), {
      firmware,
      ...(firmware === "aavmf" && !HEAP_UNKNOWN.includes(name) && { placements: heapPlaces(outcome) }),
    });
    expect(result.state).not.toBe("stuck");
    // A guest that ends in a kernel oops printed no tables: what firmware linked says it then.
    const crashed = outcome.kernel_oops === true && outcome.linked.length > 0;
    const signatures = result.tables.map((table) => table.signature);
    if (!crashed) expect([...result.listing].sort()).toEqual(outcome.guest_tables.filter((table) => table !== "data" && table !== "dynamic").sort());
    if (outcome.wp_file !== undefined) expect(bytesToHex(result.device.file(VMCOREINFO)!)).toBe(outcome.wp_file);
    expect(result.trace.filter((entry) => entry.outcome === "refused").length > 0).toBe(
      firmware === "seabios" ? refusals(outcome) > 0 : result.state === "noAcpi" && result.trace.length > 0 && name !== "facs-like-blob",
    );
    if (signatures.length === 0 || (firmware !== "seabios" && HEAP_UNKNOWN.includes(name))) return;
    const hest = result.tables.find((table) => table.signature === "HEST");
    expect(hest !== undefined || crashed).toBe(outcome.hest_present || outcome.linked.some((table) => table.sig === "HEST"));
    if (outcome.hest_len !== undefined) expect(hest!.length).toBe(outcome.hest_len);
    // What firmware linked, byte for byte at the address where it lay.
    const folder = [CASES, name, `linked-${firmware}`] as const;
    const places = heapPlaces(outcome);
    const everyPlaceKnown = places.size === outcome.linked.length;
    for (const file of sharedNames(folder.join("/"))) {
      const [, signature, address] = /^(\S+)-(\w+)\.dat$/.exec(file)!;
      let bytes = shared(...folder, file);
      let where = BigInt(`0x${signature === "hwerr-at" ? "0" : address}`);
      if (signature === "hwerr-at") {
        where = result.writtenPointers.findLast((pointer) => pointer.offset === 8)!.value;
        const blob = [...result.placements.values()].find(({ address, size }) => address <= where && where < address + BigInt(size))!;
        bytes = bytes.slice(0, Number(blob.address + BigInt(blob.size) - where));
        // The guest took the fake table for an error status block and cleared its first word before the memory was recorded.
        if (name === "hwerr-fake-table") bytes.set(new TextEncoder().encode("ORCL"), 32);
      } else if (firmware === "aavmf" && !(signature === "XSDT" ? everyPlaceKnown : places.has(`table:${signature}`))) continue;
      expect(bytesToHex(result.memory.read(where, bytes.length)), file).toBe(bytesToHex(bytes));
    }
  });
});
