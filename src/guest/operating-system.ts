/** Operating systems on arm64 as far as errors are concerned: what differs between them, as data. */
import type { NotificationName } from "../acpi/notification.ts";
import type { ASYNCHRONOUS_ERROR_TYPE } from "../arm64/registers.ts";

type SErrorType = keyof typeof ASYNCHRONOUS_ERROR_TYPE;

export interface OperatingSystem {
  readonly name: string;
  /** What it is, and where that is known from. */
  readonly description: string;
  /** SCTLR_ELx.IESB is set: every change of level synchronises errors. */
  readonly iesb: boolean;
  /** It looks into DISR_EL1 where an SError may have been deferred. */
  readonly readsDisr: boolean;
  /** SErrors it goes on after; over all others, and those of unknown cause, it panics. */
  readonly survives: readonly SErrorType[];
  /** Notifications for which it looks at a source. */
  readonly notifications: readonly NotificationName[];
  /** Whether it looks once at every source it binds: an error may have waited. */
  readonly looksAtStart: boolean;
  /** Where a source's block is: read once when it is bound, or anew for every look. */
  readonly pointer: "atStart" | "everyTime";
  /** How many entries of a block it goes through: those its data length has room for, or as many as the block status counts. */
  readonly entries: "byLength" | "byCount";
  /** Whether the masks of an acknowledge register are moved by its bit offset. */
  readonly bitOffset: boolean;
  /** Whether it takes lost pages out of use. */
  readonly memoryFailure: boolean;
}

const ALL_NOTIFICATIONS: readonly NotificationName[] = ["polled", "externalInterrupt", "sci", "gpioSignal", "gsiv", "sea", "sei", "sdei"];

export const SYSTEMS = {
  linux: {
    name: "Linux",
    description: "Linux 7.2, modelled step for step",
    iesb: true,
    readsDisr: true,
    survives: ["restartable", "corrected"],
    notifications: ["polled", "externalInterrupt", "sci", "gpioSignal", "gsiv", "sea", "sdei"],
    looksAtStart: true,
    pointer: "everyTime",
    entries: "byLength",
    bitOffset: true,
    memoryFailure: true,
  },
  freebsd: {
    name: "FreeBSD",
    description:
      "FreeBSD on arm64, from its sources: locore clears SCTLR_EL1.IESB, trap.c panics over every SError, acpi_apei.c looks at polled, SCI, GPIO and GSIV sources, prints and does no more; nobody asks it about aborts",
    iesb: false,
    readsDisr: false,
    survives: [],
    notifications: ["polled", "sci", "gpioSignal", "gsiv"],
    looksAtStart: false,
    pointer: "atStart",
    entries: "byCount",
    bitOffset: false,
    memoryFailure: false,
  },
  thorough: {
    name: "a thorough system",
    description:
      "no system in particular: does what the specifications offer, sources that notify by SError among it, but leaves SCTLR_EL1.IESB clear as some do",
    iesb: false,
    readsDisr: true,
    survives: ["restartable", "recoverable", "corrected"],
    notifications: ALL_NOTIFICATIONS,
    looksAtStart: true,
    pointer: "everyTime",
    entries: "byLength",
    bitOffset: true,
    memoryFailure: true,
  },
} as const satisfies Readonly<Record<string, OperatingSystem>>;
export type SystemName = keyof typeof SYSTEMS;
