/**
 * A table of code that gives a guest a generic event device with one interrupt, and the hardware error device it
 * notifies (ACPI 6.5 5.6.9 and 18.3.2.6.2): the way an error reaches the guest by GPIO signal, GSIV or SCI.
 */
import { fixChecksum, TableHeader } from "../acpi/table-header.ts";
import { encode } from "../layout/index.ts";

const OP = { zero: 0x00, one: 0x01, name: 0x08, byte: 0x0a, dword: 0x0c, string: 0x0d, scope: 0x10, buffer: 0x11, method: 0x14, notify: 0x86 } as const;
const DEVICE = [0x5b, 0x82];
const ROOT = 0x5c;
const TWO_SEGMENTS = 0x2e;
/** "PNP0C33", compressed. */
const ERROR_DEVICE_ID = [0x41, 0xd0, 0x0c, 0x33];
/** One argument, serialized. */
const EVENT_METHOD = 0x09;
/** Notification value of an error (ACPI 6.5 table 5.187). */
const ERROR_EVENT = 0x80;
/** Extended interrupt descriptor: consumer, edge, active high, exclusive. */
const INTERRUPT = 0x89;
const EDGE_CONSUMER = 0x03;
const END_TAG = [0x79, 0x00];

const ascii = (text: string): number[] => [...text].map((letter) => letter.charCodeAt(0));
/** The length of a package counts its own bytes: one up to 63, else two here. */
function packaged(content: readonly number[]): number[] {
  const short = content.length + 1;
  if (short < 64) return [short, ...content];
  const long = content.length + 2;
  return [0x40 | (long & 15), long >> 4, ...content];
}
const named = (name: string, value: readonly number[]) => [OP.name, ...ascii(name), ...value];
const device = (name: string, content: readonly number[]) => [...DEVICE, ...packaged([...ascii(name), ...content])];
const dword = (value: number) => [value & 255, (value >> 8) & 255, (value >> 16) & 255, value >>> 24];

/** Both ways to write the id. */
const ERROR_DEVICE_IDS = [
  [OP.dword, ...ERROR_DEVICE_ID],
  [OP.string, ...ascii("PNP0C33"), 0],
];
/** Name of the hardware error device that tables already have under \_SB: the kernel listens to one only. */
export function errorDeviceOf(tables: readonly Uint8Array[]): string | undefined {
  for (const table of tables)
    for (const id of ERROR_DEVICE_IDS) {
      const at = Buffer.from(table).indexOf(Uint8Array.from(named("_HID", id)));
      if (at >= NAME) return String.fromCharCode(...table.subarray(at - NAME, at));
    }
  return undefined;
}
/** Bytes of a name. */
const NAME = 4;

/**
 * @param interrupt global system interrupt of the event device.
 * @param existing name of the error device under \\_SB, when the machine has one of its own.
 */
export function eventDeviceTable(interrupt: number, existing?: string): Uint8Array {
  const own = "APER";
  const errorDevice = ascii(existing ?? own);
  const resources = [INTERRUPT, 6, 0, EDGE_CONSUMER, 1, ...dword(interrupt), ...END_TAG];
  const event = [EVENT_METHOD, OP.notify, ROOT, TWO_SEGMENTS, ...ascii("_SB_"), ...errorDevice, OP.byte, ERROR_EVENT];
  const code = [
    OP.scope,
    ...packaged([
      ROOT,
      ...ascii("_SB_"),
      ...(existing === undefined ? device(own, [...named("_HID", [OP.dword, ...ERROR_DEVICE_ID]), ...named("_UID", [OP.one])]) : []),
      ...device("APEG", [
        ...named("_HID", [OP.string, ...ascii("ACPI0013"), 0]),
        ...named("_UID", [OP.one]),
        ...named("_CRS", [OP.buffer, ...packaged([OP.byte, resources.length, ...resources])]),
        ...[OP.method, ...packaged([...ascii("_EVT"), ...event])],
      ]),
    ]),
  ];
  const header = encode(TableHeader, {
    signature: "SSDT",
    length: TableHeader.size + code.length,
    revision: 2,
    checksum: 0,
    oemId: "APEI  ",
    oemTableId: "ERRDEV  ",
    oemRevision: 1,
    creatorId: "APEI",
    creatorRevision: 1,
  });
  const table = Uint8Array.from([...header, ...code]);
  fixChecksum(table);
  return table;
}
