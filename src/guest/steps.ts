/** What operating systems do with errors, as steps that every model of one reports, and how such a model is driven. */
import type { NotificationName } from "../acpi/notification.ts";
import type { OsTable } from "../firmware/os-view.ts";
import type { GhesDevice, GhesPlatform } from "./ghes.ts";
import type { KernelMessage } from "./pstore.ts";

export type GuestStep =
  | "boot"
  | "bootErrors"
  | "message"
  | "probe"
  | "notified"
  | "read"
  | "decoded"
  | "cleared"
  | "acknowledged"
  | "withheld"
  | "duplicate"
  | "isolated"
  | "offlined"
  | "recovery"
  | "logged"
  | "killed"
  | "claimed"
  | "panic"
  | "fault";

export interface GuestEvent {
  readonly step: GuestStep;
  /** One sentence for people. */
  readonly text: string;
  readonly source?: number;
  readonly address?: bigint;
  readonly block?: Uint8Array;
}

export interface KernelOptions extends GhesPlatform {
  /** Milliseconds since the machine started. */
  readonly clock: () => number;
  readonly report: (event: GuestEvent) => void;
  /** A guest that reads but never acknowledges is one that ignores or does not know version 2. */
  readonly acknowledges?: () => boolean;
  /** Called with the store of an acknowledgement after the register was read; default: it is made at once. */
  readonly dwell?: (store: () => void) => void;
  /** Whether the kernel takes lost pages out of use (CONFIG_MEMORY_FAILURE, CONFIG_ACPI_APEI_MEMORY_FAILURE); default: it does. */
  readonly memoryFailure?: boolean;
  /** The kernel dies: now its last words are stored, where there is a store. @param why as records of messages begin. */
  readonly died?: (why: Death) => void;
}
export type Death = "Panic" | "Oops";

/** The processor state a notification interrupts. */
export interface Interrupted {
  /** Whether it ran a user program: only then does the abort handler ask firmware for records. */
  readonly user: boolean;
  readonly interruptsMasked: boolean;
}

/** One handled notification. `finish` does what remains when the handler's work is over. */
export interface Handling {
  /** Sources that had a whole record. */
  readonly records: number;
  /** SEA: whether the abort is explained; the kernel goes on instead of dying. */
  readonly claimed: boolean;
  finish(): void;
}
export const NOTHING_HANDLED: Handling = { records: 0, claimed: false, finish: () => {} };

/** Levels of messages: those of a dying kernel, errors, warnings, information. */
export const LEVEL = { emergency: 0, error: 3, warning: 4, information: 6 } as const;

/** A model of an operating system from the moment it has found its tables. */
export interface SystemModel {
  /** Sources somebody looks at. */
  readonly devices: readonly GhesDevice[];
  /** Page frame numbers taken out of use. */
  readonly isolatedPages: ReadonlySet<bigint>;
  /** What it prints, line by line. */
  readonly messages: readonly KernelMessage[];
  /** The same without times and levels. */
  readonly log: readonly string[];
  readonly panicked: boolean;
  /** The polling timers that run, by source. */
  readonly timers: readonly { readonly source: number; readonly milliseconds: number }[];
  boot(rsdp: bigint): void;
  readBootErrors(table: OsTable): void;
  print(text: string, level?: number): void;
  /** Somebody asks it to crash. */
  crash(): void;
  /** A notification arrived. @param selector the GSIV, SDEI event number or, for polled sources, the source id. */
  notify(kind: NotificationName, selector?: number, interrupted?: Interrupted): Handling;
  /** An SError arrived. @param syndrome ESR of the level that took it. */
  serror(syndrome: bigint): void;
  machineCheck(address: bigint, required: boolean): void;
  /** It gives an acknowledgement that it owed. */
  acknowledge(source: number): void;
}
