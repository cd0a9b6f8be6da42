import { expect, test } from "vitest";
import { boot } from "../../src/firmware/boot.ts";
import { bytesToHex } from "../../src/layout/index.ts";
import { describeShared, shared, sharedNames } from "../support/shared.ts";
import { CASES, caseFiles, caseNames, type OracleFirmware, outcomes, VMCOREINFO } from "./oracle.ts";

const runs = caseNames().flatMap((name) =>
  Object.entries(outcomes(name)).map(([firmware, outcome]) => ({ name, firmware: firmware as OracleFirmware, outcome })),
);

/** Signatures as sysfs numbers them: two of a kind become HEST1 and HEST2. */
const numbered = (signatures: readonly string[]): string[] => {
  const count = new Map<string, number>();
  return signatures
    .map((signature) => {
      if (signatures.filter((other) => other === signature).length === 1) return signature;
      count.set(signature, (count.get(signature) ?? 0) + 1);
      return signature + count.get(signature);
    })
    .sort();
};

describeShared("recorded boots of real firmware", () => {
  test.each(runs)("$name on $firmware", ({ name, firmware, outcome }) => {
    const result = boot(caseFiles(name, firmware, outcome), { firmware });
    expect(result.state).not.toBe("stuck");
    // A guest that ends in a kernel oops printed no tables: what firmware linked says it then.
    const crashed = outcome.kernel_oops === true && outcome.linked.length > 0;
    const signatures = result.tables.map((table) => table.signature);
    if (!crashed) expect(numbered(signatures)).toEqual(outcome.guest_tables.filter((table) => table !== "data" && table !== "dynamic").sort());
    if (outcome.wp_file !== undefined) expect(bytesToHex(result.device.file(VMCOREINFO)!)).toBe(outcome.wp_file);
    // What firmware linked, at the addresses where it put it. AAVMF's heap is not modelled to the byte.
    const found = [result.rsdpAddress, result.rootTable?.address, ...result.tables.map((table) => table.address)];
    const recorded = outcome.linked.filter((table) => table.sig.trim() !== "").map((table) => BigInt(table.addr));
    if (signatures.length > 0 && firmware === "seabios" && name !== "hest-length-beyond") expect(found).toEqual(recorded);
  });
});
