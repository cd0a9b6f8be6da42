/** Windows' event-log entries, signature "WhLg", and its wrapper for the management controller's log, "OSSR". */
import {
  bits,
  choice,
  encode,
  type Format,
  fieldTrees,
  fromJson,
  hex,
  hexNumber,
  initially,
  type Json,
  jsonSchema,
  oneOf,
  type Parsed,
  parse,
  ref,
  sequence,
  spans,
  type Tree,
  text,
  toJson,
  u32,
  valueLabel,
  window,
} from "../../layout/index.ts";
import { WheaMachineCheck, wheaMachineCheck } from "../sections/whea-machine-check.ts";
import { WHEA_EVENTS } from "./payloads.ts";

type EventNames = { readonly [K in keyof typeof WHEA_EVENTS]: readonly [number, string] };
const eventNames = () => Object.fromEntries(Object.entries(WHEA_EVENTS).map(([name, { id, words }]) => [name, [id, words]])) as unknown as EventNames;
const payloads = () => Object.fromEntries(Object.entries(WHEA_EVENTS).flatMap(([name, row]) => ("payload" in row ? [[name, row.payload]] : [])));
const EVENT_TYPE = { information: 0, warning: 1, error: 2 } as const;

export const WheaEvent = sequence("Windows WHEA Event", "WDK ntddk.h, WHEA_EVENT_LOG_ENTRY", () => ({
  signature: initially(text(4, "WhLg"), "WhLg"),
  version: initially(u32("Version: 1"), 1),
  length: u32("Bytes of the entry"),
  type: initially(oneOf(4, "Kind of entry", EVENT_TYPE), "information"),
  ownerTag: text(4, "Who logged it: KRNL kernel, HAL, PCI, ACPI, HYVP hypervisor, PSHD platform driver, PSPI plug-in"),
  id: oneOf(4, "Which event", eventNames()),
  flags: bits(4, "Where it goes", { etw: 1, blackBox: 2, systemEventLog: 3, rawSystemEventLog: 4, noFormat: 5, driver: 6 }),
  payloadLength: u32("Bytes of the payload"),
  payload: window(ref("payloadLength"), choice(ref("id"), "The payload", payloads() as never)),
}));
export type WheaEvent = Parsed<typeof WheaEvent>;

const SYSTEM_LOG_TYPE = {
  whea: [0, "WHEA event"],
  other: 1,
  machineCheck: 2,
  pci: [3, "PCI"],
  nmi: [4, "NMI"],
  otherError: 5,
  raw: 6,
  driver: 7,
  bugcheckRecovery: [8, "recovery of a system stop"],
  bugcheckData: [9, "data of a system stop"],
} as const;
export const WheaSystemLogRecord = sequence("Windows System Event Log Record", "WDK ntddk.h, WHEA_SEL_… record", () => ({
  signature: initially(text(4, "OSSR"), "OSSR"),
  version: initially(hex(u32("Version: 1")), 1),
  length: u32("Bytes of the record"),
  type: oneOf(4, "Kind of data", SYSTEM_LOG_TYPE),
  dataLength: u32("Bytes of data"),
  data: window(ref("dataLength"), choice(ref("type"), "The data", { machineCheck: WheaMachineCheck })),
}));
export type WheaSystemLogRecord = Parsed<typeof WheaSystemLogRecord>;

const OWNERS: Readonly<Record<string, string>> = {
  KRNL: "the kernel",
  HYVP: "the hypervisor",
  "HAL ": "the HAL",
  "PCI ": "the PCI driver",
  ACPI: "the ACPI driver",
  PSHD: "the platform hardware error driver",
  PSPI: "a platform hardware error plug-in",
};

/** Values named in the one-line summary at most. */
const MOST_VALUES = 6;
const isBlank = (shown: string) => shown === "0" || shown === "0x0" || shown === '""' || /^0+$/.test(shown);

/** Leaves of the payload that say something, as `label value`. */
function payloadWords(event: WheaEvent): string[] {
  const payload = fieldTrees(WheaEvent, event).find(({ label }) => label === "payload");
  const leaves = (payload?.children ?? []).filter(
    ({ label, text: shown, children }) => shown !== undefined && !isBlank(shown) && label !== "trailing" && (children?.length ?? 0) === 0,
  );
  return leaves.slice(0, MOST_VALUES).map(({ label, text: shown }) => `${label} ${shown}`);
}

interface InitPayload {
  readonly sources?: readonly { readonly descriptor?: { readonly type?: string | number } }[];
}
const details = (event: WheaEvent): string[] => {
  const { sources } = (event.payload ?? {}) as InitPayload;
  return event.id === "wheaInit" && sources ? [`${sources.length} error sources`] : payloadWords(event);
};

/** The four forms of event 0x2a by their length: what the bytes mean. */
function stopRecovery(data: Uint8Array): readonly Tree[] {
  const view = new DataView(data.buffer, data.byteOffset, data.length);
  const line = (label: string, value: number | string): Tree => ({ label, text: String(value) });
  const yes = (value: number) => (value === 0 ? "no" : "yes");
  switch (data.length) {
    case 1:
      return [line("form", "start"), line("interrupt level", data[0]!)];
    case 3:
      return [line("form", "multiple"), line("owner", yes(data[0]!)), line("recursion", yes(data[1]!)), line("recovery owner", yes(data[2]!))];
    case 5:
      return [line("form", "phase 2"), line("boot id", view.getUint32(0, true)), line("success", yes(data[4]!))];
    case 8:
      return [
        line("form", "phase 1"),
        line("success", yes(data[0]!)),
        line("version", data[1]!),
        line("entries", view.getUint16(2, true)),
        line("dump policy", data[4]!),
      ];
    default:
      return [];
  }
}

const startsWith = (signature: string) => (input: Uint8Array) =>
  input.length >= signature.length && [...signature].every((letter, i) => input[i] === letter.charCodeAt(0));

export const wheaEventFormat: Format<WheaEvent> = {
  name: "whea-event",
  title: "Windows WHEA event-log entry",
  recognise: startsWith("WhLg"),
  parse: (input, findings) => parse(WheaEvent, input, 0, input.length, { findings, path: "event" }),
  encode: (event) => encode(WheaEvent, event as never),
  toJson: (event) => toJson(WheaEvent, event) as { [key: string]: Json },
  fromJson: (json) => fromJson(WheaEvent, json),
  schema: () => jsonSchema(WheaEvent),
  spans: (event) => spans(WheaEvent, event),
  summary: (event) => {
    const owner = event.ownerTag?.padEnd(4) ?? "";
    const what = typeof event.id === "string" ? valueLabel(WheaEvent.fields.id.names, event.id) : `event ${hexNumber(event.id ?? 0)}`;
    const type = event.type === undefined ? "" : ` (${valueLabel(EVENT_TYPE, event.type)})`;
    return [`Windows WHEA event${type}: ${what}, logged by ${OWNERS[owner] ?? JSON.stringify(owner)}`, ...details(event)].join(", ");
  },
  tree: (event) => {
    const { data } = (event.payload ?? {}) as { readonly data?: unknown };
    return [
      { label: "WHEA event", children: fieldTrees(WheaEvent, event) },
      ...(event.id === "selBugcheckRecovery" && data instanceof Uint8Array ? [{ label: "payload in words", children: stopRecovery(data) }] : []),
    ];
  },
};

export const wheaSystemLogFormat: Format<WheaSystemLogRecord> = {
  name: "whea-system-log",
  title: "Windows record in a management controller's event log",
  recognise: startsWith("OSSR"),
  parse: (input, findings) => parse(WheaSystemLogRecord, input, 0, input.length, { findings, path: "record" }),
  encode: (record) => encode(WheaSystemLogRecord, record as never),
  toJson: (record) => toJson(WheaSystemLogRecord, record) as { [key: string]: Json },
  fromJson: (json) => fromJson(WheaSystemLogRecord, json),
  schema: () => jsonSchema(WheaSystemLogRecord),
  spans: (record) => spans(WheaSystemLogRecord, record),
  summary: (record) => {
    const held = record.type === "machineCheck" && record.data && !(record.data instanceof Uint8Array) ? record.data : undefined;
    return [
      `Windows system event log record, ${record.type === undefined ? "cut short" : valueLabel(SYSTEM_LOG_TYPE, record.type)}`,
      held ? (wheaMachineCheck.summary?.(held as never) ?? "") : `${record.dataLength ?? 0} bytes of data`,
    ].join(", ");
  },
  tree: (record) => {
    const held = record.type === "machineCheck" && record.data && !(record.data instanceof Uint8Array) ? record.data : undefined;
    return [
      { label: "system event log record", children: fieldTrees(WheaSystemLogRecord, record) },
      ...(held ? [{ label: "data in words", children: wheaMachineCheck.explain?.(held as never) ?? [] }] : []),
    ];
  },
};
