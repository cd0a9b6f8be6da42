/** What the scenario language says of what happens: every event. */
import { EINJ_ERROR_TYPE } from "../../acpi/einj.ts";
import type { MonitorAction } from "../../arm64/delivery.ts";
import type { ErrorTypeName } from "../../guest/einj.ts";
import { arm64Events, type KvmExitEvent, type ProcessorErrorEvent, type SetEventsEvent } from "./arm64.ts";
import { type GuestChoice, guest } from "./behaviour.ts";
import { boolean, hex, integer, type Number64, number64, object, oneOf, type Schema } from "./kit.ts";
import { type VcpuState, vcpuFields } from "./machine.ts";
import { type RecordEvent, record, type StoreEvent } from "./records.ts";

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

// ---- the same as JSON Schema ----

export const events: Readonly<Record<string, Schema>> = {
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
    {
      type: oneOf("Error type", Object.keys(EINJ_ERROR_TYPE)),
      address: number64("Memory address"),
      mask: number64("Address bits that count; default those of its page"),
    },
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
  ...arm64Events,
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
