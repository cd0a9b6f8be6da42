/** The scenario language: what `apei run` accepts, as types and as JSON Schema. */

import { EINJ_ERROR_TYPE } from "../acpi/einj.ts";
import type { NotificationName } from "../acpi/notification.ts";
import { NOTIFICATION } from "../acpi/notification.ts";
import { BLOCK_SEVERITY } from "../acpi/status-block.ts";
import type { LastResort, MonitorAction } from "../arm64/delivery.ts";
import { SEVERITY } from "../cper/record.ts";
import { MEMORY_ERROR_TYPE } from "../cper/sections/memory.ts";
import type { ErrorTypeName } from "../guest/einj.ts";
import type { RecordingPolicy } from "../host/error-source.ts";
import type { MonitorPolicy, PresetName } from "../host/monitor.ts";
import { PRESETS } from "../host/monitor.ts";
import { NEED, type Need } from "../host/notification.ts";
import { GUID_PATTERN, type Json } from "../layout/index.ts";
import {
  arm64Events,
  type KvmChoice,
  type KvmExitEvent,
  kvm,
  lastResort,
  type ProcessorErrorEvent,
  type RoutingChoice,
  routing,
  type SetEventsEvent,
  type SystemChoice,
  system,
} from "./schema-arm64.ts";
import { boolean, hex, integer, notification, number64, object, oneOf, type Schema } from "./schema-kit.ts";

/** A number, or `"0x…"` for more than 32 bits. */
export type Number64 = string | number;

export interface SourceChoice {
  readonly id: number;
  readonly notification: NotificationName;
  readonly version?: 1 | 2;
  /** GSIV or event number. */
  readonly vector?: number;
  /** Milliseconds. */
  readonly pollInterval?: number;
  readonly blockLength?: number;
  /** Version 2: its acknowledge register. */
  readonly acknowledge?: AcknowledgeChoice;
}
/** How the guest acknowledges a source. */
export interface AcknowledgeChoice {
  /** Bits of the register the guest keeps, and those it sets; both start at `bitOffset`. */
  readonly preserve?: Number64;
  readonly write?: Number64;
  readonly bitOffset?: number;
  /** Id of the source whose register this one uses too. */
  readonly sharedWith?: number;
}
export interface MachineChoice {
  /**
   * A virtual machine with its monitor, or a physical arm64 one, where the firmware at EL3 stands in the monitor's
   * place and writes the records. Default: virtual.
   */
  readonly kind?: "virtual" | "physical";
  readonly architecture?: "arm64" | "x86";
  /** Whether the machine has error sources at all. */
  readonly ras?: boolean;
  readonly firmware?: "generic" | "seabios" | "ovmf" | "aavmf";
  /** Error sources; default: those of the monitor's preset. */
  readonly sources?: readonly SourceChoice[];
  /** Where files land, by name; the rest is placed by the firmware. */
  readonly place?: Readonly<Record<string, Number64>>;
  readonly vcpus?: readonly VcpuState[];
  /** arm64 only: what the host kernel offers. */
  readonly kvm?: KvmChoice;
  /** arm64 only: what firmware at EL3 does when it can tell nobody. */
  readonly lastResort?: LastResort;
  /** The machine has an EINJ and a device behind it. */
  readonly injection?: boolean;
  /** The machine has a BERT: errors of the boot before wait for the kernel. */
  readonly bootErrors?: BootErrorsChoice;
  /** The machine has an ERST and a store behind it, which may be given by its size in bytes alone. */
  readonly errorStore?: number | ErrorStoreChoice;
  /** x86 only: whose machine check banks. */
  readonly vendor?: "intel" | "amd";
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
export interface VcpuState {
  readonly level?: "EL0" | "EL1" | "EL2";
  readonly interruptsMasked?: boolean;
  readonly serrorMasked?: boolean;
  readonly eventsMasked?: boolean;
  /** x86 only: CR4.MCE; false and a machine check resets the machine. */
  readonly machineChecks?: boolean;
  /** arm64 only: where the physical processor's errors go. */
  readonly routing?: RoutingChoice;
}
export interface GuestChoice extends SystemChoice {
  /** False for a guest that reads but never acknowledges. */
  readonly acknowledges?: boolean;
  /** Milliseconds from reading a record to giving the block back. */
  readonly handling?: number;
  /** Milliseconds between reading an acknowledge register and writing it. */
  readonly acknowledging?: number;
  /** What this guest or its machine does not have. */
  readonly lacks?: readonly Need[];
}
export interface StoreEvent {
  readonly operation: "write" | "read" | "clear";
  readonly id: Number64;
  /** What a written record says. */
  readonly text?: string;
}
export type MonitorChoice =
  | PresetName
  | ({ readonly preset: PresetName; readonly recording?: Partial<RecordingPolicy> } & Partial<Omit<MonitorPolicy, "recording">>);

export interface SigbusEvent {
  readonly code: "actionRequired" | "actionOptional";
  readonly physicalAddress?: Number64;
  readonly virtualAddress?: Number64;
  readonly addressLsb?: number;
  readonly inRam?: boolean;
  readonly vcpu?: number;
}
export interface SeaExitEvent {
  /** The syndrome KVM hands over; default: a data abort from EL0 that is not on a table walk. */
  readonly esr?: Number64;
  readonly guestPhysicalAddress?: Number64;
  readonly guestVirtualAddress?: Number64;
  /** The host's own firmware has a record for it. */
  readonly claimedByHost?: boolean;
  /** Name of the thread that answers; default: the vCPU's own, `vcpu0` and so on. */
  readonly answeredOn?: string;
  /** Class of the abort it is answered with; default: that of the exit. */
  readonly answeredWith?: "data" | "instruction";
  readonly vcpu?: number;
}
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
export interface Moment {
  /** Milliseconds since the machine started. */
  readonly at: number;
  readonly sigbus?: SigbusEvent;
  readonly seaExit?: SeaExitEvent;
  readonly record?: RecordEvent;
  readonly inject?: { readonly type: ErrorTypeName; readonly address?: Number64; readonly mask?: Number64 };
  readonly erst?: StoreEvent;
  /** The guest's kernel is made to crash. */
  readonly crash?: true;
  /** The machine is reset: lost pages are replaced, and everything starts again. */
  readonly reset?: true;
  readonly vcpu?: VcpuState & { readonly id?: number };
  readonly processorError?: ProcessorErrorEvent;
  readonly esb?: { readonly vcpu?: number };
  readonly setEvents?: SetEventsEvent;
  readonly exit?: KvmExitEvent;
  readonly monitorTries?: MonitorAction["does"];
  readonly guest?: GuestChoice;
  /** The guest acknowledges a source it owes an answer to. */
  readonly acknowledge?: { readonly source: number };
  /** The guest looks at a word. */
  readonly guestReads?: { readonly address: Number64; readonly size?: 1 | 2 | 4 | 8 };
  /** The guest writes where it should not: an address, or a source's pointer, block or acknowledge word. */
  readonly guestWrites?: {
    readonly address?: Number64;
    readonly pointerOf?: number;
    readonly blockOf?: number;
    readonly acknowledgeOf?: number;
    readonly bytes: string;
  };
}
export interface Scenario {
  readonly name: string;
  readonly about?: string;
  readonly machine?: MachineChoice;
  readonly monitor?: MonitorChoice;
  readonly guest?: GuestChoice;
  readonly events: readonly Moment[];
  /** Milliseconds after which the run ends; default: when nothing is left to happen. */
  readonly until?: number;
}

// ---- the same as JSON Schema ----

/** Bytes of a store at most. */
const MOST_STORE = 1 << 26;

const vcpuFields = {
  level: oneOf("Exception level it runs at", ["EL0", "EL1", "EL2"]),
  interruptsMasked: boolean("Interrupts wait"),
  serrorMasked: boolean("SErrors wait (PSTATE.A)"),
  eventsMasked: boolean("Software delegated exceptions wait"),
  machineChecks: boolean("x86: CR4.MCE"),
  routing,
};
const guest = object("How the guest behaves", {
  acknowledges: boolean("False for a guest that reads but never acknowledges"),
  handling: integer("Milliseconds from reading a record to giving its block back"),
  acknowledging: integer("Milliseconds between reading an acknowledge register and writing it"),
  ...system,
  lacks: { type: "array", items: { enum: Object.keys(NEED) }, description: "What the guest or its machine does not have" },
});
const unacknowledged: Schema = {
  description: "What happens to a record while the one before is not acknowledged",
  anyOf: [
    object("Refuse it, or lose it and say so in the next one", { action: oneOf("What is done", ["refuse", "overflow"]) }, ["action"]),
    object(
      "Let it wait; `merge` folds corrected errors of a kind into one",
      {
        action: oneOf("What is done", ["queue", "merge"]),
        limit: integer("Records that may wait"),
        whenFull: oneOf("Which one is given up", ["dropOldest", "dropNewest"]),
      },
      ["action", "limit", "whenFull"],
    ),
  ],
};
const policyFields = {
  description: { type: "string", description: "What it is" },
  handOff: oneOf("How the monitor learns where its sources are", ["hardwareErrors", "hest", "direct"]),
  walk: oneOf("How it reads HEST", ["qemu", "specification"]),
  recording: object("How records are stored", {
    unacknowledged,
    stores: oneOf("Order of stores", ["statusLast", "ascending"]),
    acknowledgement: oneOf("What counts as an acknowledgement", ["bits", "nonzero"]),
    lookupFailure: oneOf("When a source cannot be found", ["refuse", "addressZero"]),
    zeroPointer: oneOf("When the pointer to the block is zero", ["refuse", "write"]),
    sharedAcknowledge: oneOf("What counts for sources that share a word: the cleared block status, or the word as if it were the source's own", [
      "blockStatus",
      "register",
    ]),
  }),
  actionRequired: notification("Notification for SIGBUS, action required"),
  actionOptional: oneOf("Notification for SIGBUS, action optional", [...Object.keys(NOTIFICATION), "none"]),
  memoryRecord: oneOf("QEMU's bytes, or exactly what is known", ["qemu", "exact"]),
  tellsVirtualAddress: boolean("A known virtual address goes to FAR_EL1"),
  virtualAddressSection: boolean("A virtual address that is all that is known goes into an ARM processor error section"),
  machineChecks: boolean("An x86 guest gets machine checks instead of records"),
  ownsHypervisor: boolean("Whether the hypervisor registers are the host's own"),
  recordFailure: oneOf("When an action-required error cannot be recorded", ["abort", "exit", "continue"]),
};
const source = object(
  "An error source",
  {
    id: integer("Source id", 0xffff),
    notification: notification("How it tells the guest"),
    version: { enum: [1, 2], description: "2 has an acknowledge register" },
    vector: integer("GSIV or event number", 0xffffffff),
    pollInterval: integer("Milliseconds between polls", 0xffffffff),
    blockLength: integer("Bytes of the status block", 1 << 20),
    acknowledge: object("Version 2: its acknowledge register, when it is not a word of its own with bit 0 to set", {
      preserve: number64("Bits of the register the guest keeps"),
      write: number64("Bits of the register the guest sets"),
      bitOffset: integer("Where in the register both masks start", 63),
      sharedWith: integer("Id of the source whose register this one uses too", 0xffff),
    }),
  },
  ["id", "notification"],
);
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
const content: Readonly<Record<string, Schema>> = {
  block: hex("A whole error status block"),
  memory,
  sections: sectionList(Object.keys(BLOCK_SEVERITY)),
  severity: oneOf("Severity of the record made of sections; default: recoverable", Object.keys(BLOCK_SEVERITY)),
};
const file: Schema = { type: "string", minLength: 1, maxLength: 4096, description: "A file, relative to the scenario" };
const bootErrors = object("The machine has a BERT: errors of the boot before wait for the kernel", {
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
const errorStore: Schema = {
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
const record = object("A record made elsewhere", {
  source: integer("Source id", 0xffff),
  notification: notification("The source is the first that notifies so"),
  ...content,
  times: integer("How many of it at once", 100_000),
});
const events: Readonly<Record<string, Schema>> = {
  sigbus: object(
    "The host kernel signals a memory error to the monitor",
    {
      code: oneOf("The guest touched it, or scrubbing found it", ["actionRequired", "actionOptional"]),
      physicalAddress: number64("Guest physical address, when known"),
      virtualAddress: number64("Guest virtual address, when known"),
      addressLsb: integer("log2 of the bytes the address stands for", 63),
      inRam: boolean("False for memory that is not the guest's RAM; default: by the address"),
      vcpu: integer("The vCPU that is told"),
    },
    ["code"],
  ),
  seaExit: object("KVM leaves the guest for a synchronous external abort", {
    esr: number64("Syndrome of the exit"),
    guestPhysicalAddress: number64("Given when the exit says it is valid"),
    guestVirtualAddress: number64("Given when the syndrome does not say it is invalid"),
    claimedByHost: boolean("The host's own firmware has a record for it"),
    answeredOn: { type: "string", maxLength: 40, description: "Thread that answers; default: the vCPU's own, vcpu0 and so on" },
    answeredWith: oneOf("Class of the abort it is answered with; default: that of the exit", ["data", "instruction"]),
    vcpu: integer("The vCPU that left"),
  }),
  record,
  inject: object(
    "The guest injects an error through EINJ",
    { type: oneOf("Error type", Object.keys(EINJ_ERROR_TYPE)), address: number64("Memory address"), mask: number64("Address bits that count") },
    ["type"],
  ),
  erst: object(
    "The guest uses the platform's error record store",
    {
      operation: oneOf("What it does", ["write", "read", "clear"]),
      id: number64("Record identifier"),
      text: { type: "string", maxLength: 4096, description: "What a written record says" },
    },
    ["operation", "id"],
  ),
  crash: { const: true, description: "The guest's kernel is made to crash (magic SysRq c)" },
  reset: { const: true, description: "The machine is reset: pages that were lost are replaced, and everything starts again" },
  vcpu: object("A vCPU changes its state", { id: integer("Which"), ...vcpuFields }),
  ...arm64Events(content),
  guest,
  acknowledge: object("The guest acknowledges a source it owes an answer to", { source: integer("Source id", 0xffff) }, ["source"]),
  guestReads: object(
    "The guest looks at a word of memory or of a device",
    { address: number64("Guest physical address"), size: { enum: [1, 2, 4, 8], description: "Bytes; default 8" } },
    ["address"],
  ),
  guestWrites: object(
    "The guest writes where it should not",
    {
      address: number64("Guest physical address"),
      pointerOf: integer("The pointer word of this source"),
      blockOf: integer("The status block of this source"),
      acknowledgeOf: integer("The acknowledge word of this source"),
      bytes: hex("What it writes"),
    },
    ["bytes"],
  ),
};

export const SCENARIO_SCHEMA: Schema = {
  $schema: "https://json-schema.org/draft/2020-12/schema",
  title: "apei run scenario",
  ...object(
    "A machine, a monitor, a guest, and what happens to them",
    {
      $schema: { type: "string" },
      name: { type: "string", description: "Title of the run" },
      about: { type: "string", description: "What it shows" },
      machine: object("The virtual machine", {
        kind: oneOf("A virtual machine with its monitor, or a physical one whose firmware at EL3 writes the records; default virtual", ["virtual", "physical"]),
        architecture: oneOf("Processor", ["arm64", "x86"]),
        ras: boolean("Whether it has error sources"),
        firmware: oneOf("Which firmware links the tables", ["generic", "seabios", "ovmf", "aavmf"]),
        sources: { type: "array", items: source, description: "Error sources; default: those of the preset" },
        place: { type: "object", additionalProperties: number64("Address"), description: "Where files land, by name" },
        vcpus: { type: "array", items: object("A vCPU", vcpuFields), description: "vCPUs and how they start" },
        kvm,
        lastResort,
        injection: boolean("Whether it has an EINJ and a device behind it"),
        bootErrors,
        errorStore,
        vendor: oneOf("Whose machine check banks", ["intel", "amd"]),
      }),
      monitor: {
        description: "The virtual machine monitor: a preset, or one with changes",
        anyOf: [
          { enum: Object.keys(PRESETS) },
          object("A preset with changes", { preset: oneOf("Where it starts from", Object.keys(PRESETS)), ...policyFields }, ["preset"]),
        ],
      },
      guest,
      events: {
        type: "array",
        description: "What happens, each with its time",
        items: { ...object("One event", { at: integer("Milliseconds since the start"), ...events }, ["at"]), minProperties: 2, maxProperties: 2 },
      },
      until: integer("Milliseconds after which the run ends"),
    },
    ["name", "events"],
  ),
};
