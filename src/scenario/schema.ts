/** The scenario language: what `apei run` accepts, as types and as JSON Schema. What belongs together is in `language/`. */
import { type GuestChoice, guest, type MonitorChoice, monitor } from "./language/behaviour.ts";
import { events, type Moment } from "./language/events.ts";
import { integer, object, type Schema } from "./language/kit.ts";
import { type MachineChoice, machine } from "./language/machine.ts";

export type { FirmwareTry, KvmChoice, KvmExitEvent, ProcessorErrorEvent, RoutingChoice, SetEventsEvent, SystemChoice } from "./language/arm64.ts";
export type { GuestChoice, MonitorChoice } from "./language/behaviour.ts";
export type { Moment, SeaExitEvent, SigbusEvent } from "./language/events.ts";
export type { Number64 } from "./language/kit.ts";
export type { AcknowledgeChoice, MachineChoice, SourceChoice, VcpuState } from "./language/machine.ts";
export type {
  BootErrorsChoice,
  ErrorStoreChoice,
  LeftRecord,
  RecordContent,
  RecordEvent,
  SectionContent,
  StoredRecord,
  StoreEvent,
} from "./language/records.ts";

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

export const SCENARIO_SCHEMA: Schema = {
  $schema: "https://json-schema.org/draft/2020-12/schema",
  title: "apei run scenario",
  ...object(
    "A machine, a monitor, a guest, and what happens to them",
    {
      $schema: { type: "string" },
      name: { type: "string", description: "Title of the run" },
      about: { type: "string", description: "What it shows" },
      machine,
      monitor,
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
