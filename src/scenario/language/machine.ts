/** What the scenario language says of the machine: its processors, its error sources, what it has beside them. */
import type { NotificationName } from "../../acpi/notification.ts";
import type { LastResort } from "../../arm64/delivery.ts";
import { type KvmChoice, kvm, lastResort, type RoutingChoice, routing } from "./arm64.ts";
import { boolean, integer, type Number64, notification, number64, object, oneOf } from "./kit.ts";
import { type BootErrorsChoice, bootErrors, type ErrorStoreChoice, errorStore } from "./records.ts";

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
export interface MachineChoice {
  /**
   * A virtual machine with its monitor, or a physical arm64 one, where the firmware at EL3 stands in the monitor's
   * place and writes the records. Default: virtual.
   */
  readonly kind?: "virtual" | "physical";
  readonly architecture?: "arm64" | "x86";
  /** Whether the machine has error sources at all. Default: it has, but for QEMU's x86 machines, which have none of their own. */
  readonly ras?: boolean;
  readonly firmware?: "generic" | "seabios" | "ovmf" | "aavmf";
  /** Error sources; default: those of the monitor's preset. */
  readonly sources?: readonly SourceChoice[];
  /** Where files land, by name; the rest is placed by the firmware. */
  readonly place?: Readonly<Record<string, Number64>>;
  /** How they start, or how many there are. */
  readonly vcpus?: number | readonly VcpuState[];
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

// ---- the same as JSON Schema ----

/** More than any timeline is read for. */
const MOST_VCPUS = 512;
export const vcpuFields = {
  level: oneOf("Exception level it runs at", ["EL0", "EL1", "EL2"]),
  interruptsMasked: boolean("Interrupts wait"),
  serrorMasked: boolean("SErrors wait (PSTATE.A)"),
  eventsMasked: boolean("Software delegated exceptions wait"),
  machineChecks: boolean("x86: CR4.MCE"),
  routing,
};
const source = object(
  "An error source",
  {
    id: integer("Source id", 0xffff),
    notification: notification("How it tells the guest"),
    version: { enum: [1, 2], description: "2 has an acknowledge register" },
    vector: integer("GSIV or event number", 0xffffffff),
    pollInterval: integer("Milliseconds between polls", 0xffffffff),
    blockLength: { ...integer("Bytes of the status block", 1 << 20), minimum: 1 },
    acknowledge: object("Version 2: its acknowledge register, when it is not a word of its own with bit 0 to set", {
      preserve: number64("Bits of the register the guest keeps"),
      write: number64("Bits of the register the guest sets"),
      bitOffset: integer("Where in the register both masks start", 63),
      sharedWith: integer("Id of the source whose register this one uses too", 0xffff),
    }),
  },
  ["id", "notification"],
);
/** The machine of a scenario. */
export const machine = object("The virtual machine", {
  kind: oneOf("A virtual machine with its monitor, or a physical one whose firmware at EL3 writes the records; default virtual", ["virtual", "physical"]),
  architecture: oneOf("Processor", ["arm64", "x86"]),
  ras: boolean("Whether it has error sources; default true, but for QEMU's x86 machines, which have none of their own"),
  firmware: oneOf("Which firmware links the tables", ["generic", "seabios", "ovmf", "aavmf"]),
  sources: { type: "array", items: source, description: "Error sources; default: those of the preset" },
  place: { type: "object", additionalProperties: number64("Address"), description: "Where files land, by name" },
  vcpus: {
    description: "vCPUs and how they start, or how many there are; default 1",
    anyOf: [
      { type: "integer", minimum: 1, maximum: MOST_VCPUS },
      { type: "array", items: object("A vCPU", vcpuFields) },
    ],
  },
  kvm,
  lastResort,
  injection: boolean("Whether it has an EINJ, through which the guest can inject memory errors"),
  bootErrors,
  errorStore,
  vendor: oneOf("Whose machine check banks", ["intel", "amd"]),
});
