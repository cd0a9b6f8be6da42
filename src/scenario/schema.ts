/** The scenario language: what `apei run` accepts, as types and as JSON Schema. */

import { EINJ_ERROR_TYPE } from "../acpi/einj.ts";
import type { NotificationName } from "../acpi/notification.ts";
import { NOTIFICATION } from "../acpi/notification.ts";
import { BLOCK_SEVERITY } from "../acpi/status-block.ts";
import { MEMORY_ERROR_TYPE } from "../cper/sections/memory.ts";
import type { ErrorTypeName } from "../guest/einj.ts";
import type { RecordingPolicy } from "../host/error-source.ts";
import type { MonitorPolicy, PresetName } from "../host/monitor.ts";
import { PRESETS } from "../host/monitor.ts";
import { NEED, type Need } from "../host/notification.ts";
import type { Json } from "../layout/index.ts";

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
}
export interface KvmChoice {
  readonly dialect?: "linux-7.2" | "proposed";
  /** False for a kernel without KVM_CAP_ARM_SEA_TO_USER. */
  readonly seaToUser?: boolean;
  /** False for a host processor without the RAS extension. */
  readonly hostRas?: boolean;
}
export interface MachineChoice {
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
  /** The machine has an EINJ and a device behind it. */
  readonly injection?: boolean;
  /** The machine has an ERST and a store of so many bytes behind it. */
  readonly errorStore?: number;
  /** x86 only: whose machine check banks. */
  readonly vendor?: "intel" | "amd";
}
export interface VcpuState {
  readonly level?: "EL0" | "EL1";
  readonly interruptsMasked?: boolean;
  readonly serrorMasked?: boolean;
  readonly eventsMasked?: boolean;
  /** x86 only: CR4.MCE; false and a machine check resets the machine. */
  readonly machineChecks?: boolean;
}
export interface GuestChoice {
  /** False for a guest that reads but never acknowledges. */
  readonly acknowledges?: boolean;
  /** Milliseconds from reading a record to giving the block back. */
  readonly handling?: number;
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
  readonly vcpu?: number;
}
export interface RecordEvent {
  readonly source?: number;
  readonly notification?: NotificationName;
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
  readonly sections?: readonly {
    readonly kind: string;
    readonly severity?: keyof typeof BLOCK_SEVERITY;
    readonly fruText?: string;
    readonly body: { readonly [field: string]: Json };
  }[];
  /** Of the record made of `sections`. */
  readonly severity?: keyof typeof BLOCK_SEVERITY;
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
  readonly vcpu?: VcpuState & { readonly id?: number };
  readonly guest?: GuestChoice;
  /** The guest acknowledges a source it owes an answer to. */
  readonly acknowledge?: { readonly source: number };
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

type Schema = { readonly [key: string]: unknown };
const object = (description: string, properties: Readonly<Record<string, Schema>>, required: readonly string[] = []): Schema => ({
  type: "object",
  description,
  properties,
  ...(required.length > 0 && { required }),
  additionalProperties: false,
});
const integer = (description: string, most?: number): Schema => ({ type: "integer", minimum: 0, ...(most !== undefined && { maximum: most }), description });
const boolean = (description: string): Schema => ({ type: "boolean", description });
const oneOf = (description: string, names: readonly string[]): Schema => ({ enum: names, description });
const number64 = (description: string): Schema => ({
  anyOf: [
    { type: "integer", minimum: 0, maximum: Number.MAX_SAFE_INTEGER },
    { type: "string", pattern: "^(0x[0-9a-fA-F]{1,16}|[0-9]{1,19})$" },
  ],
  description,
});
const hex = (description: string): Schema => ({ type: "string", pattern: "^([0-9a-fA-F]{2})*$", description });
const notification = (description: string) => oneOf(description, Object.keys(NOTIFICATION));

const vcpuFields = {
  level: oneOf("Exception level it runs at", ["EL0", "EL1"]),
  interruptsMasked: boolean("Interrupts wait"),
  serrorMasked: boolean("SErrors wait (PSTATE.A)"),
  eventsMasked: boolean("Software delegated exceptions wait"),
  machineChecks: boolean("x86: CR4.MCE"),
};
const guest = object("How the guest behaves", {
  acknowledges: boolean("False for a guest that reads but never acknowledges"),
  handling: integer("Milliseconds from reading a record to giving its block back"),
  lacks: { type: "array", items: { enum: Object.keys(NEED) }, description: "What the guest or its machine does not have" },
});
const unacknowledged: Schema = {
  description: "What happens to a record while the one before is not acknowledged",
  anyOf: [
    object("Refuse it, or lose it and say so in the next one", { action: { enum: ["refuse", "overflow"] } }, ["action"]),
    object(
      "Let it wait; `merge` folds corrected errors of a kind into one",
      { action: { enum: ["queue", "merge"] }, limit: integer("Records that may wait"), whenFull: { enum: ["dropOldest", "dropNewest"] } },
      ["action", "limit", "whenFull"],
    ),
  ],
};
const policyFields = {
  description: { type: "string" },
  handOff: oneOf("How the monitor learns where its sources are", ["hardwareErrors", "hest", "direct"]),
  walk: oneOf("How it reads HEST", ["qemu", "specification"]),
  recording: object("How records are stored", {
    unacknowledged,
    stores: oneOf("Order of stores", ["statusLast", "ascending"]),
    acknowledgement: oneOf("What counts as an acknowledgement", ["bits", "nonzero"]),
  }),
  actionRequired: notification("Notification for SIGBUS, action required"),
  actionOptional: oneOf("Notification for SIGBUS, action optional", [...Object.keys(NOTIFICATION), "none"]),
  memoryRecord: oneOf("QEMU's bytes, or exactly what is known", ["qemu", "exact"]),
  tellsVirtualAddress: boolean("A known virtual address goes to FAR_EL1"),
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
    fruText: { type: "string", maxLength: 20 },
  },
  ["severity"],
);
const events: Readonly<Record<string, Schema>> = {
  sigbus: object(
    "The host kernel signals a memory error to the monitor",
    {
      code: oneOf("The guest touched it, or scrubbing found it", ["actionRequired", "actionOptional"]),
      physicalAddress: number64("Guest physical address, when known"),
      virtualAddress: number64("Guest virtual address, when known"),
      addressLsb: integer("log2 of the bytes the address stands for", 63),
      inRam: boolean("False for memory that is not the guest's RAM"),
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
    vcpu: integer("The vCPU that left"),
  }),
  record: object("A record made elsewhere", {
    source: integer("Source id", 0xffff),
    notification: notification("The source is the first that notifies so"),
    block: hex("A whole error status block"),
    memory,
    sections: {
      type: "array",
      minItems: 1,
      description: "Any sections; lengths, counts and validation bits are computed",
      items: object(
        "A section",
        {
          kind: { type: "string", description: "Section type by name" },
          severity: oneOf("Severity; default: that of the record", Object.keys(BLOCK_SEVERITY)),
          fruText: { type: "string", maxLength: 20 },
          body: { type: "object", description: "Its fields, as decode --json prints them" },
        },
        ["kind", "body"],
      ),
    },
    severity: oneOf("Severity of the record made of sections; default: recoverable", Object.keys(BLOCK_SEVERITY)),
    times: integer("How many of it at once", 100_000),
  }),
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
  vcpu: object("A vCPU changes its state", { id: integer("Which"), ...vcpuFields }),
  guest,
  acknowledge: object("The guest acknowledges a source it owes an answer to", { source: integer("Source id", 0xffff) }, ["source"]),
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
        architecture: oneOf("Processor", ["arm64", "x86"]),
        ras: boolean("Whether it has error sources"),
        firmware: oneOf("Which firmware links the tables", ["generic", "seabios", "ovmf", "aavmf"]),
        sources: { type: "array", items: source, description: "Error sources; default: those of the preset" },
        place: { type: "object", additionalProperties: number64("Address"), description: "Where files land, by name" },
        vcpus: { type: "array", items: object("A vCPU", vcpuFields), description: "vCPUs and how they start" },
        kvm: object("What the host kernel offers on arm64", {
          dialect: oneOf("Which KVM interface", ["linux-7.2", "proposed"]),
          seaToUser: boolean("Whether guest aborts can come to the monitor"),
          hostRas: boolean("Whether the host processor has the RAS extension"),
        }),
        injection: boolean("Whether it has an EINJ and a device behind it"),
        errorStore: integer("Bytes of the store behind its ERST", 1 << 26),
        vendor: oneOf("Whose machine check banks", ["intel", "amd"]),
      }),
      monitor: {
        description: "The virtual machine monitor: a preset, or one with changes",
        anyOf: [{ enum: Object.keys(PRESETS) }, object("A preset with changes", { preset: { enum: Object.keys(PRESETS) }, ...policyFields }, ["preset"])],
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
