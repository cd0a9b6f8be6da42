/** The table of the gallery, made from the scenarios themselves. */
import { readdirSync, readFileSync } from "node:fs";
import { type OperatingSystem, SYSTEMS } from "../../src/guest/operating-system.ts";
import type { Scenario } from "../../src/scenario/schema.ts";

export const GALLERY = new URL("../../samples/scenarios/", import.meta.url);
export const galleryNames = (): string[] => readdirSync(GALLERY).flatMap((name) => (name.endsWith(".json") ? [name.slice(0, -5)] : []));
export const galleryText = (file: string): string => readFileSync(new URL(file, GALLERY), "utf8");

/** A scenario belongs to the first group whose pattern fits its name. */
const GROUPS: readonly (readonly [heading: string, pattern: RegExp])[] = [
  [
    "Where the error comes from, and what is known of it",
    /^(sea-|optional-|interrupt-masked|page-granular|not-guest-memory|no-|own-sections|several-vcpus|fatal$)/,
  ],
  ["Notification types", /^(notification-|sdei$)/],
  ["Records and acknowledgement", /^(shared-|queue-|merge-|overflow-|refuse-|late-|never-|block-|several-sources|duplicate-|version-|malformed-block)/],
  ["Delivery on arm64", /^arm64-/],
  ["KVM on arm64", /^(kvm-|monitor-)/],
  ["x86", /^x86-/],
  ["How a machine starts; what monitors do", /^(qemu-|edk2|direct-|reset-)/],
  ["Error injection, stored records, boot errors", /^(injection|error-store|boot-|bert-|crash|guest-panic)/],
  ["Guests that lack something or misbehave", /^(guest-|interrupts-masked)/],
  ["Further", /./],
];
const groupOf = (name: string) => GROUPS.find(([, pattern]) => pattern.test(name))![0];
const cell = (text: string) => text.replaceAll("|", "\\|");

const yes = (fact: boolean) => (fact ? "yes" : "no");
/** What operating systems do, one fact a line. */
const FACTS: readonly (readonly [string, (system: OperatingSystem) => string])[] = [
  ["sets `SCTLR_ELx.IESB`, so that an SError can always be told", ({ iesb }) => yes(iesb)],
  ["looks into `DISR_EL1`", ({ readsDisr }) => yes(readsDisr)],
  ["goes on after SErrors that are", ({ survives }) => survives.join(", ") || "none"],
  ["looks at sources that notify by", ({ notifications }) => notifications.join(", ")],
  ["looks once at every source it binds", ({ looksAtStart }) => yes(looksAtStart)],
  ["reads the pointer to a block", ({ pointer }) => (pointer === "atStart" ? "once, when it binds the source" : "for every look")],
  ["goes through the entries of a block", ({ entries }) => (entries === "byCount" ? "that the block status counts" : "that the data length has room for")],
  ["moves the masks of an acknowledge register by its bit offset", ({ bitOffset }) => yes(bitOffset)],
  ["takes lost pages out of use", ({ memoryFailure }) => yes(memoryFailure)],
];
function systemsTable(): string[] {
  const systems = Object.entries(SYSTEMS) as readonly (readonly [string, OperatingSystem])[];
  return [
    "",
    "## Operating systems",
    "",
    '`guest.system` names one, or `{ "preset": NAME, … }` one with other facts; `guest.iesb` and `guest.memoryFailure` change these two for any.',
    "",
    `| | ${systems.map(([name]) => `\`${name}\``).join(" | ")} |`,
    `|---|${"---|".repeat(systems.length)}`,
    ...FACTS.map(([words, of]) => `| ${words} | ${systems.map(([, system]) => of(system)).join(" | ")} |`),
    "",
    ...systems.map(([name, { description }]) => `- \`${name}\`: ${description}.`),
  ];
}

/** The gallery as Markdown. */
export function galleryDocument(): string {
  const names = galleryNames().sort();
  const out = [
    "# Gallery of scenarios",
    "",
    "Generated from `samples/scenarios`. Beside each `NAME.json` lies `NAME.txt`, the timeline it prints: `apei run samples/scenarios/NAME.json --brief`.",
    "The language is described by `apei schema scenario`.",
  ];
  for (const [heading] of GROUPS) {
    const members = names.filter((name) => groupOf(name) === heading);
    if (members.length === 0) continue;
    out.push("", `## ${heading}`, "", "| Scenario | Title | What it shows |", "|---|---|---|");
    for (const name of members) {
      const { name: title, about = "" } = JSON.parse(galleryText(`${name}.json`)) as Scenario;
      out.push(`| [${name}](../samples/scenarios/${name}.json) ([timeline](../samples/scenarios/${name}.txt)) | ${cell(title)} | ${cell(about)} |`);
    }
  }
  return `${[...out, ...systemsTable()].join("\n")}\n`;
}
