/** What the scenario language says of records: those that are reported, those of the boot before, those in the store. */

import type { NotificationName } from "../../acpi/notification.ts";
import { BLOCK_SEVERITY } from "../../acpi/status-block.ts";
import { SEVERITY } from "../../cper/record.ts";
import { MEMORY_ERROR_TYPE } from "../../cper/sections/memory.ts";
import { GUID_PATTERN, type Json } from "../../layout/index.ts";
import { hex, integer, type Number64, notification, number64, object, oneOf, type Schema } from "./kit.ts";

export interface SectionContent<Severity = string> {
  readonly kind: string;
  readonly severity?: Severity;
  readonly fruText?: string;
  readonly body: { readonly [field: string]: Json };
}
/** What a record says. */
export interface RecordContent {
  /** A whole error status block as hex digits, or a memory error in a few words. */
  readonly block?: string;
  readonly memory?: {
    readonly severity: "recoverable" | "fatal" | "corrected";
    readonly physicalAddress?: Number64;
    readonly addressLsb?: number;
    readonly errorType?: keyof typeof MEMORY_ERROR_TYPE;
    readonly fruText?: string;
  };
  /** Any sections: the name and the body as `decode --json` prints them; lengths, counts and validation bits are computed. */
  readonly sections?: readonly SectionContent<keyof typeof BLOCK_SEVERITY>[];
  /** Of the record made of `sections`. */
  readonly severity?: keyof typeof BLOCK_SEVERITY;
}
export interface RecordEvent extends RecordContent {
  readonly source?: number;
  readonly notification?: NotificationName;
  readonly times?: number;
}
/** What is in the boot error region: records, or the whole region. */
export interface BootErrorsChoice {
  readonly records?: readonly RecordContent[];
  /** All bytes as hex digits. */
  readonly region?: string;
  /** A file that holds all bytes, relative to the scenario. */
  readonly file?: string;
  /** Bytes of the region; what is not given is zero, what is too much is cut off. Default: as long as what is given. */
  readonly length?: number;
}
export interface ErrorStoreChoice {
  /** Bytes; default 131072. */
  readonly size?: number;
  /** Bytes of a slot, a power of two from 4096 on; default 8192. */
  readonly recordSize?: number;
  /** A store to begin with, relative to the scenario; the file itself is not written. */
  readonly file?: string;
  /** Records that are there before the machine starts. */
  readonly records?: readonly StoredRecord[];
  /** Records that must be there at the end. */
  readonly left?: readonly LeftRecord[];
}
export interface StoredRecord {
  readonly id: Number64;
  /** Kernel messages, as Linux stores them. */
  readonly text?: string;
  /** Sections instead: the name and the body as `decode --json` prints them. */
  readonly sections?: readonly SectionContent<keyof typeof SEVERITY>[];
  readonly severity?: keyof typeof SEVERITY;
  /** Who stored it; default: Linux, which shows only its own records. */
  readonly creatorId?: string;
  /** Seconds since 1970 when Linux stored it. */
  readonly seconds?: number;
  /** Or the whole record as hex digits. */
  readonly record?: string;
}
export interface LeftRecord {
  readonly id?: Number64;
  /** Type of its first section, by name. */
  readonly kind?: string;
  /** What its messages say. */
  readonly contains?: readonly string[];
}
export interface StoreEvent {
  readonly operation: "write" | "read" | "clear";
  readonly id: Number64;
  /** What a written record says. */
  readonly text?: string;
}

// ---- the same as JSON Schema ----

/** Bytes of a store at most. */
const MOST_STORE = 1 << 26;
const memory = object(
  "A memory error",
  {
    severity: oneOf("Severity", ["recoverable", "fatal", "corrected"]),
    physicalAddress: number64("Guest physical address"),
    addressLsb: integer("log2 of the bytes it stands for", 63),
    errorType: oneOf("Kind of error", Object.keys(MEMORY_ERROR_TYPE)),
    fruText: { type: "string", maxLength: 20, description: "Name of the replaceable unit" },
  },
  ["severity"],
);
const sectionList = (severities: readonly string[]): Schema => ({
  type: "array",
  minItems: 1,
  description: "Any sections; lengths, counts and validation bits are computed",
  items: object(
    "A section",
    {
      kind: { type: "string", description: "Section type by name" },
      severity: oneOf("Severity; default: that of the record", severities),
      fruText: { type: "string", maxLength: 20, description: "Name of the replaceable unit" },
      body: { type: "object", description: "Its fields, as decode --json prints them" },
    },
    ["kind", "body"],
  ),
});
export const content: Readonly<Record<string, Schema>> = {
  block: hex("A whole error status block"),
  memory,
  sections: sectionList(Object.keys(BLOCK_SEVERITY)),
  severity: oneOf("Severity of the record made of sections; default: recoverable", Object.keys(BLOCK_SEVERITY)),
};
const file: Schema = { type: "string", minLength: 1, maxLength: 4096, description: "A file, relative to the scenario" };
export const bootErrors = object("The machine has a BERT: errors of the boot before wait for the kernel", {
  records: { type: "array", items: object("A record", content), description: "Error status blocks, back to back" },
  region: hex("The whole region instead"),
  file: { ...file, description: "A file that holds the whole region, relative to the scenario" },
  length: integer("Bytes of the region; what is not given is zero, what is too much is cut off", 1 << 24),
});
const storedRecord = object(
  "A stored record",
  {
    id: number64("Record identifier"),
    text: { type: "string", maxLength: 8192, description: "Kernel messages, as Linux stores them" },
    sections: sectionList(Object.keys(SEVERITY)),
    severity: oneOf("Severity of the record made of sections; default: fatal", Object.keys(SEVERITY)),
    creatorId: { type: "string", pattern: GUID_PATTERN, description: "Who stored it; default: Linux, which shows only its own records" },
    seconds: integer("Seconds since 1970 when Linux stored it", 0xffffffff),
    record: hex("Or the whole record"),
  },
  ["id"],
);
export const errorStore: Schema = {
  description: "The machine has an ERST and a store behind it",
  anyOf: [
    integer("Bytes of an empty store", MOST_STORE),
    object("The store", {
      size: integer("Bytes; default 131072", MOST_STORE),
      recordSize: integer("Bytes of a slot, a power of two from 4096 on; default 8192", MOST_STORE),
      file: { ...file, description: "A store to begin with, relative to the scenario; the file itself is not written" },
      records: { type: "array", items: storedRecord, description: "Records that are there before the machine starts" },
      left: {
        type: "array",
        description: "Records that must be there at the end",
        items: object("A record", {
          id: number64("Its identifier"),
          kind: { type: "string", description: "Type of its first section, by name" },
          contains: { type: "array", items: { type: "string" }, description: "What its messages say" },
        }),
      },
    }),
  ],
};
export const record = object("A record made elsewhere", {
  source: integer("Source id", 0xffff),
  notification: notification("The source is the first that notifies so"),
  ...content,
  times: integer("How many of it at once", 100_000),
});
