/** The table of the gallery, made from the scenarios themselves. */
import { readdirSync, readFileSync } from "node:fs";
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
  return `${out.join("\n")}\n`;
}
