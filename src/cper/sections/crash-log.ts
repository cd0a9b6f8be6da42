/** Intel's crash log, the vendor record that firmware error record references mostly hold (intel/crashlog behaviour). */
import { bits, decode, fieldTrees, hex, hexNumber, parse, sequence, struct, type Tree, u8, u16, u32, u64, valueLabel } from "../../layout/index.ts";
import { FIRMWARE_RECORDS } from "../guids.ts";

const SOURCE = "intel/crashlog lib/src/header.rs";

const RECORD_TYPE = {
  pmc: [0x01, "PMC"],
  pmcFirmwareTrace: [0x02, "PMC firmware trace"],
  punit: [0x03, "Punit"],
  pcore: [0x04, "P-core"],
  ecore: [0x06, "E-core"],
  uncore: 0x08,
  pmcTrace: [0x11, "PMC trace"],
  tcss: [0x16, "TCSS"],
  pmcReset: [0x17, "PMC reset"],
  pcode: 0x19,
  agent: 0x1c,
  box: 0x3d,
  mca: [0x3e, "machine check banks"],
} as const;

export const CrashLogHeader = struct("Intel Crash Log Header", 8, SOURCE, () => ({
  version: bits(4, "What the record is", {
    revision: [0, 8],
    headerType: [8, 4],
    product: [12, 12],
    recordType: { at: [24, 6], names: RECORD_TYPE },
    cldic: 30,
    consumed: 31,
  }),
  size: u16("Double words of the record; bytes for cores of older products"),
  extendedSize: u16("Double words more"),
}));
/** Header types from 2 on go on with the time and the reason. */
export const CrashLogReason = sequence("Intel Crash Log Reason", SOURCE, () => ({
  timestamp: u64("Time stamp counter"),
  agentVersion: hex(u32("Version of the agent that collected it")),
  reason: hex(u32("Why it was collected")),
}));
export const CrashLogCompletion = sequence("Intel Crash Log Completion", SOURCE, () => ({
  completion: bits(4, "Whether the collection was complete", { complete: 31 }),
}));
export const CrashLogDie = sequence("Intel Crash Log Die", SOURCE, () => ({ die: u8("Die"), socket: u8("Processor socket") }));
const BY_HEADER_TYPE: Readonly<Record<number, typeof CrashLogCompletion | typeof CrashLogDie>> = {
  3: CrashLogCompletion,
  5: CrashLogCompletion,
  6: CrashLogDie,
};

const REASON_AT = CrashLogHeader.size;
const MORE_AT = 24;
/** Version words that end the list. */
const END: ReadonlySet<number> = new Set([0, 0xdeadbeef]);
/** Legacy header of servers: the length stands elsewhere. */
const LEGACY_SIZE_AT = 16;
/** Records shown at most: a real log has a few. */
const MOST_RECORDS = 256;
/** Cores of products below these numbers count in bytes. */
const CORES: Readonly<Record<string, number>> = { ecore: 0x96, pcore: 0x71 };

/** The records of a crash log, one after the other, in words. */
export function crashLogTrees(input: Uint8Array): readonly Tree[] {
  const out: Tree[] = [];
  const view = new DataView(input.buffer, input.byteOffset, input.length);
  let at = 0;
  while (out.length < MOST_RECORDS && at + CrashLogHeader.size <= input.length && !END.has(view.getUint32(at, true))) {
    const header = decode(CrashLogHeader, input, at);
    const { recordType = 0, headerType = 0, product = 0, revision = 0 } = header.version;
    const legacy = headerType === 0 && at + LEGACY_SIZE_AT + 2 <= input.length;
    const units = typeof recordType === "string" && product < (CORES[recordType] ?? 0) ? 1 : 4;
    const length = (legacy ? view.getUint16(at + LEGACY_SIZE_AT, true) : header.size + header.extendedSize) * units;
    const end = length > CrashLogHeader.size ? Math.min(input.length, at + length) : input.length;
    const more = BY_HEADER_TYPE[headerType];
    out.push({
      label: `crash log record at ${hexNumber(at)}`,
      text: `${valueLabel(RECORD_TYPE, recordType)}, product ${hexNumber(product)}, revision ${revision}, header type ${headerType}, ${length} bytes`,
      ...(at + length > input.length && { note: `only ${input.length - at} bytes are there` }),
      children: [
        ...(headerType >= 2 ? fieldTrees(CrashLogReason, parse(CrashLogReason, input, at + REASON_AT, Math.min(end, at + MORE_AT))) : []),
        ...(more && at + MORE_AT < end
          ? fieldTrees(more, parse(more, input, at + MORE_AT, Math.min(end, at + MORE_AT + 4))).filter(({ label }) => label !== "trailing")
          : []),
        ...(header.version.cldic ? [{ label: "CLDIC" }] : []),
        ...(header.version.consumed ? [{ label: "consumed already" }] : []),
      ],
    });
    at = end;
  }
  return out;
}

const CRASH_LOG = "8f87f311-c998-4d9e-a0c4-6065518c4f6d";

/** Lines on the vendor's record of a firmware error record reference. */
export function firmwareRecordTrees(guid: string, record: Uint8Array): readonly Tree[] {
  const name = FIRMWARE_RECORDS[guid];
  return [...(name === undefined ? [] : [{ label: "vendor record", text: name }]), ...(guid === CRASH_LOG ? crashLogTrees(record) : [])];
}
