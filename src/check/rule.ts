/** What a rule is. Rules are data: who minds, how much, and what becomes of it; only the looking is code. */
import type { Table } from "./table.ts";

/** Whose point of view: the specifications, and the programs that read what firmware writes. */
export const PROFILES = {
  spec: "the ACPI and UEFI specifications",
  linux: "Linux (7.2; 6.1 where asked for)",
  edk2: "EDK2 (OVMF, AAVMF)",
  seabios: "SeaBIOS",
  fwts: "the firmware test suite",
  qemu: "QEMU, as it finds its own tables again",
  iasl: "ACPICA's iasl",
} as const;
export type Profile = keyof typeof PROFILES;
/** Whether a word names a profile. */
export const isProfile = (name: string): name is Profile => Object.hasOwn(PROFILES, name);

export const SEVERITIES = ["note", "warning", "error"] as const;
export type Severity = (typeof SEVERITIES)[number];
/** The worst of some severities. */
export const worst = (severities: Iterable<Severity>): Severity =>
  [...severities].reduce<Severity>((most, severity) => (SEVERITIES.indexOf(severity) > SEVERITIES.indexOf(most) ? severity : most), "note");

/** Where in a table: a field path of its layout, or a place of its own. */
export type Place = string | { readonly path: string; readonly offset: number };
export type Report = (
  place: Place,
  found: string,
  expected: string,
  /** What a program says about it in its own words. */
  says?: readonly string[],
  /** Consumers of the rule that do not mind in this place. */
  without?: readonly Profile[],
) => void;

export interface RuleData {
  /** Lower case, hyphens; stands in configuration files and reports. */
  readonly id: string;
  readonly title: string;
  /** Specification section or program behaviour. */
  readonly source: string;
  /** For `--explain`: why this is a rule, and what to do. */
  readonly explain: string;
  /** How much each consumer minds, and what it does. */
  readonly consumers: { readonly [P in Profile]?: readonly [severity: Severity, does: string] };
  /** Names of the firmware test suite's tests that report the same. */
  readonly fwts?: readonly string[];
}

/** A rule about one table. */
export interface Rule extends RuleData {
  /** Signatures it is for; all tables without. */
  readonly on?: readonly string[];
  readonly check: (table: Table, report: Report) => void;
}

export interface Consequence {
  readonly profile: Profile;
  readonly severity: Severity;
  readonly does: string;
}

export interface CheckFinding {
  readonly rule: string;
  readonly title: string;
  /** The worst of its consequences. */
  readonly severity: Severity;
  /** File the table came from, as the user named it. */
  readonly file: string;
  /** Signature or kind of input. */
  readonly table: string;
  /** Bytes from the start of the table. */
  readonly offset: number;
  readonly path: string;
  readonly found: string;
  readonly expected: string;
  readonly consequences: readonly Consequence[];
  readonly says?: readonly string[];
}
