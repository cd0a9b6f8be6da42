/** Scripts that `strict` accepts give the guest the same tables on every firmware. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { FADT_SIGNATURE, FadtPointers } from "../../src/acpi/fadt.ts";
import { CHECKSUM_OFFSET, TableHeader } from "../../src/acpi/table-header.ts";
import { type BootResult, boot, type FirmwareName } from "../../src/firmware/boot.ts";
import { bytesToHex, decode, encode, spans } from "../../src/layout/index.ts";
import { buildHandOff } from "../../src/loader/build.ts";
import type { BuildDescription } from "../../src/loader/description.ts";
import { FILE } from "../../src/loader/fw-cfg.ts";
import { handOffProblems } from "../../src/loader/rules.ts";
import { q35, virt } from "../../src/machine/machines.ts";
import { sharedNames } from "../support/shared.ts";
import { apply, change, type Files } from "./mutations.ts";
import { caseFiles, caseNames, type OracleFirmware, outcomes } from "./oracle.ts";

/** A table with a body of so many bytes. */
const table = (signature: string, body: Uint8Array): Uint8Array =>
  Uint8Array.from([...encode(TableHeader, { signature, length: TableHeader.size + body.length, oemId: "TEST  " }), ...body]);

function files(description: BuildDescription, body: (signature: string) => Uint8Array): Files {
  return new Map(buildHandOff(description, (name) => (name === "FACS" ? facs() : table(name, body(name)))).files);
}
const facs = (): Uint8Array => {
  const bytes = new Uint8Array(64);
  bytes.set(encode(TableHeader, { signature: "FACS", length: 64 }).subarray(0, 8));
  return bytes;
};
const FADT_BODY = 276 - TableHeader.size;
const bodyOf = (seed: number) => (signature: string) => {
  if (signature === FADT_SIGNATURE) return new Uint8Array(FADT_BODY);
  let state = seed + signature.charCodeAt(0) * 7 + signature.charCodeAt(1);
  return Uint8Array.from({ length: 12 + (state % 60) }, () => (state = (state * 1103515245 + 12345) & 0x7fffffff) >> 16);
};

/** Less padding than QEMU adds, for speed. */
const SMALL = { tablesMultiple: 4096, scriptMultiple: 1 };
const descriptions: readonly BuildDescription[] = [
  { machine: "q35", layout: SMALL, tables: ["FACS", "DSDT", "FACP", "APIC", "MCFG"].map((file) => ({ file })) },
  {
    layout: SMALL,
    handOff: "hest",
    errorSources: [
      { id: 0, notification: "sea" },
      { id: 1, notification: "gpioSignal", acknowledge: false, blockLength: 4096 },
    ],
    tables: [{ file: "DSDT" }, { file: "FACP" }, { file: "APIC" }, { hest: true }, { file: "SSDT" }],
  },
  {
    machine: "pc",
    layout: SMALL,
    handOff: "hardwareErrors",
    errorSources: [{ id: 7, notification: { type: "polled", pollInterval: 100 } }],
    tables: [
      { file: "FACS" },
      { file: "DSDT" },
      { file: "FACP" },
      { hest: true },
      { file: "TPM2", pointers: [{ offset: 40, size: 8, to: { file: "etc/tpm/log" } }] },
    ],
    files: { "etc/tpm/log": { size: 65536 } },
  },
];

const BLANK = spans(FadtPointers, decode(FadtPointers, new Uint8Array(FadtPointers.size)));
/** The FADT's pointers differ by nature: EDK2 moves the tables they lead to. */
function comparable(signature: string, bytes: Uint8Array): string {
  const copy = bytes.slice();
  if (signature === FADT_SIGNATURE)
    for (const name of ["firmwareControl", "dsdt", "extendedFirmwareControl", "extendedDsdt"]) {
      const span = BLANK.find((candidate) => candidate.path === name)!;
      copy.fill(0, span.offset, span.offset + span.size);
      copy[CHECKSUM_OFFSET] = 0;
    }
  return `${signature} ${bytesToHex(copy)}`;
}

const guestTables = (result: BootResult): readonly string[] => result.tables.map((entry) => comparable(entry.signature, entry.bytes)).sort();

/** Boot with every blob but the RSDP at the same address in RAM that both machines have, so that linked addresses are equal. */
function bootAll(original: Files): readonly BootResult[] {
  const names = [...original.keys()].filter((name) => name !== FILE.script && name !== FILE.rsdp && !original.get(name)!.writable);
  const placements = new Map(names.map((name, i) => [name, 0x48000000n + BigInt(i) * 0x400000n]));
  return (["seabios", "ovmf", "aavmf"] as FirmwareName[]).map((firmware) =>
    boot(original, { firmware, machine: firmware === "aavmf" ? virt() : q35(2n << 30n), placements }),
  );
}

function agrees(original: Files): void {
  const results = bootAll(original);
  for (const result of results) {
    expect(result.state, result.firmware).toBe("acpi");
    expect(result.trace.filter((entry) => entry.outcome === "refused")).toEqual([]);
    expect(guestTables(result), result.firmware).toEqual(guestTables(results[0]!));
    expect(result.tables.every((entry) => entry.checksumOk)).toBe(true);
    expect(result.writtenPointers.map((pointer) => [pointer.file, pointer.value])).toEqual(
      results[0]!.writtenPointers.map((pointer) => [pointer.file, pointer.value]),
    );
  }
}

describe("strict", () => {
  test("accepts what the builder makes, and all firmwares agree on it", () => {
    for (const description of descriptions) {
      const built = files(description, bodyOf(3));
      expect(handOffProblems(built)).toEqual([]);
      expect(boot(built, { firmware: "strict" }).state).toBe("acpi");
      agrees(built);
    }
  });

  test("whatever it accepts, the firmwares give the guest the same tables", () => {
    let accepted = 0;
    let changed = 0;
    fc.assert(
      fc.property(fc.nat(descriptions.length - 1), fc.nat(1000), fc.array(change, { minLength: 1, maxLength: 2 }), (which, seed, changes) => {
        const built = changes.reduce(apply, files(descriptions[which]!, bodyOf(seed)));
        if (handOffProblems(built).length > 0) return;
        accepted++;
        if (changes.some((item) => item.kind !== "none")) changed++;
        agrees(built);
      }),
      { numRuns: 500, seed: 11 },
    );
    // The property says little unless changed scripts are among those accepted.
    expect(accepted).toBeGreaterThan(80);
    expect(changed).toBeGreaterThan(40);
  });

  test.skipIf(sharedNames("captures").length === 0)("refuses every recorded script that real firmwares treated differently", () => {
    for (const name of caseNames()) {
      const recorded = outcomes(name);
      const lost = Object.values(recorded).some((outcome) => !outcome.booted || !outcome.linked.some((linked) => linked.sig === "HEST"));
      if (!lost) continue;
      for (const [firmware, outcome] of Object.entries(recorded))
        expect(handOffProblems(caseFiles(name, firmware as OracleFirmware, outcome)), name).not.toEqual([]);
    }
  });
});
