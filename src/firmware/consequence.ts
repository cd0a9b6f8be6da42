/** What a boot means for the guest, in words, and where firmwares part ways. */
import { hexNumber } from "../layout/index.ts";
import { FILE } from "../loader/fw-cfg.ts";
import type { BootResult, FirmwareName } from "./boot.ts";
import { isUnlinked, linkedSources } from "./error-sources.ts";

/** How the guest fares. */
export type GuestFate = "boots" | "panics" | "oopses" | "never starts";

export interface Consequence {
  readonly guest: GuestFate;
  /** Sentences, the weightiest first. */
  readonly words: readonly string[];
}

const NAMES: Readonly<Record<FirmwareName, string>> = { generic: "Generic firmware", seabios: "SeaBIOS", ovmf: "OVMF", aavmf: "AAVMF", strict: "Strict" };
/** A firmware's name for people. */
export const firmwareTitle = (firmware: FirmwareName): string => NAMES[firmware];

/** What becomes of a guest without ACPI tables: recorded with Linux. */
const WITHOUT_ACPI: Readonly<Record<FirmwareName, Consequence>> = {
  generic: { guest: "boots", words: ["the guest has no ACPI tables"] },
  strict: { guest: "boots", words: ["the guest has no ACPI tables"] },
  seabios: { guest: "boots", words: ["the guest boots without ACPI: one processor, no error sources"] },
  ovmf: { guest: "boots", words: ["all ACPI tables are lost, the guest boots without ACPI: no error sources"] },
  aavmf: {
    guest: "panics",
    words: ["all ACPI tables are lost and there is no device tree either: Linux panics before it has a console, which stays silent"],
  },
};

/** What the guest makes of one boot. */
export function consequenceOf(result: BootResult): Consequence {
  const { firmware, state, failure } = result;
  if (state === "stuck") return { guest: "never starts", words: [`the firmware hangs: ${failure}`] };
  if (state === "noAcpi") {
    const { guest, words } = WITHOUT_ACPI[firmware];
    // Without a script AAVMF offers the device tree instead.
    if (firmware === "aavmf" && result.device.find(FILE.script) === undefined)
      return { guest: "boots", words: ["there is no script: the guest boots with the device tree and without ACPI"] };
    return { guest, words: failure === undefined ? words : [...words, `the reason: ${failure}`] };
  }
  const words: string[] = [];
  let guest: GuestFate = "boots";
  const hests = result.tables.filter((table) => table.signature === "HEST");
  const [hest] = hests;
  if (!hest) words.push("the guest has ACPI but no HEST: hardware errors do not reach it");
  else {
    const lost = linkedSources(result.memory, hest).filter(isUnlinked);
    if (lost.length > 0) {
      guest = "oopses";
      words.push(
        `error source ${lost[0]!.id} still holds an offset for its address (${hexNumber(lost[0]!.statusRegister!)}): Linux follows it into the interrupt vectors and oopses`,
      );
    }
    if (!hest.checksumOk) words.push("the HEST's checksum is wrong: Linux takes it all the same unless told to verify");
    if (hests.length > 1) words.push(`there are ${hests.length} HESTs: Linux uses the first`);
  }
  const ignored = result.trace.filter((entry) => entry.outcome === "refused");
  if (ignored.length > 0) words.push(`${ignored.length} ${ignored.length === 1 ? "entry was" : "entries were"} skipped with a warning`);
  if (words.length === 0) words.push("the guest has all tables the script links");
  return { guest, words };
}

/** Where firmwares differ on the same files. */
export function differences(results: readonly BootResult[]): readonly string[] {
  const out: string[] = [];
  const compare = (what: string, of: (result: BootResult) => string) => {
    const groups = new Map<string, string[]>();
    for (const result of results) groups.set(of(result), [...(groups.get(of(result)) ?? []), firmwareTitle(result.firmware)]);
    if (groups.size > 1) out.push(`${what}: ${[...groups].map(([value, names]) => `${names.join(" and ")}: ${value}`).join("; ")}`);
  };
  compare("the guest", (result) => consequenceOf(result).guest);
  compare(
    "the guest's tables",
    (result) =>
      result.tables
        .map((table) => table.signature)
        .sort()
        .join(" ") || "none",
  );
  compare("HEST", (result) => {
    const hest = result.tables.find((table) => table.signature === "HEST");
    return hest ? `${hest.length} bytes, checksum ${hest.checksumOk ? "right" : "wrong"}` : "none";
  });
  compare("pointers written back", (result) => (result.writtenPointers.length === 0 ? "none" : `${result.writtenPointers.length}`));
  const longest = Math.max(...results.map((result) => result.script.entries.length));
  for (let i = 0; i < longest; i++) {
    const steps = results.map((result) => ({ firmware: firmwareTitle(result.firmware), step: result.trace.find((entry) => entry.index === i) }));
    const words = steps.map(({ firmware, step }) => ({ firmware, outcome: step?.outcome ?? "not reached", detail: step?.detail ?? "" }));
    if (new Set(words.map((word) => word.outcome)).size > 1)
      out.push(
        `entry ${i}: ${words.map((word) => `${word.firmware} ${word.outcome}${word.outcome === "done" || word.outcome === "not reached" ? "" : ` (${word.detail})`}`).join("; ")}`,
      );
  }
  return out;
}
