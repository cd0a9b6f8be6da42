/** What the scenario language says of how the monitor decides and how the guest behaves. */
import { NOTIFICATION } from "../../acpi/notification.ts";
import type { RecordingPolicy } from "../../host/error-source.ts";
import { type MonitorPolicy, PRESETS, type PresetName } from "../../host/monitor.ts";
import { NEED, type Need } from "../../host/notification.ts";
import { type SystemChoice, system } from "./arm64.ts";
import { boolean, integer, notification, object, oneOf, type Schema } from "./kit.ts";

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
export type MonitorChoice =
  | PresetName
  | ({ readonly preset?: PresetName; readonly recording?: Partial<RecordingPolicy> } & Partial<Omit<MonitorPolicy, "recording">>);

// ---- the same as JSON Schema ----

export const guest = object("How the guest behaves", {
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
/** The monitor of a scenario. */
export const monitor: Schema = {
  description: "The virtual machine monitor: a preset, or one with changes",
  anyOf: [
    { enum: Object.keys(PRESETS) },
    object("A preset with changes", {
      preset: oneOf("Where it starts from; default: what the machine has when no monitor is named", Object.keys(PRESETS)),
      ...policyFields,
    }),
  ],
};
