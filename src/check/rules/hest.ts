/** Rules for the hardware error source table. */
import { ErrorSource, HEST_SOURCES_OFFSET, NO_RELATED_SOURCE, SOURCE_TYPE } from "../../acpi/hest.ts";
import { Notification } from "../../acpi/notification.ts";
import { ErrorStatusBlockHeader } from "../../acpi/status-block.ts";
import { fixedSize, hexNumber } from "../../layout/index.ts";
import { readWord } from "../../layout/values.ts";
import type { Report, Rule } from "../rule.ts";
import type { Table } from "../table.ts";

/** A source as the rules see it; fields that were cut off are missing. */
export interface Source {
  readonly path: string;
  readonly index: number;
  readonly offset: number;
  readonly type: string;
  readonly sourceId: number;
  readonly value: Readonly<Record<string, unknown>>;
  /** Whether all its bytes are there. */
  readonly whole: boolean;
}

export interface Sources {
  readonly whole: readonly Source[];
  /** Bytes inside the table after the last whole source. */
  readonly rest: number;
  /** Offset of those bytes. */
  readonly end: number;
  readonly count: number;
}

const known = new WeakMap<Table, Sources>();

/** The sources of a table, walked to its length as iasl and the firmware test suite do. */
export function sourcesOf(table: Table): Sources {
  let found = known.get(table);
  if (!found) known.set(table, (found = walk(table)));
  return found;
}
function walk(table: Table): Sources {
  const items = (table.value["sources"] as Record<string, unknown>[] | undefined) ?? [];
  const places = placesOf(table);
  const all = items.map(
    (value, index): Source => ({
      path: `sources[${index}]`,
      index,
      offset: places[index]?.start ?? table.end,
      type: String(value["type"]),
      sourceId: value["sourceId"] as number,
      value,
      whole: value["trailing"] === undefined,
    }),
  );
  const whole = all.filter((source) => source.whole);
  const cut = all.find((source) => !source.whole);
  const last = whole.at(-1);
  const end = cut
    ? cut.offset
    : table.value["sourceCount"] === undefined
      ? table.end
      : Math.min(table.end, last ? places[last.index]!.end : HEST_SOURCES_OFFSET);
  return { whole, end, rest: Math.max(0, table.end - end), count: (table.value["sourceCount"] as number | undefined) ?? 0 };
}
/** Where each source begins and ends. */
function placesOf(table: Table): { start: number; end: number }[] {
  const out: { start: number; end: number }[] = [];
  const prefix = "sources[";
  for (const { path, offset, size } of table.spans) {
    if (!path.startsWith(prefix)) continue;
    const index = Number.parseInt(path.slice(prefix.length), 10);
    const place = out[index];
    if (place) place.end = offset + size;
    else out[index] = { start: offset, end: offset + size };
  }
  return out;
}

const isGeneric = (source: Source) => source.type.startsWith("genericHardwareError");
const isMachineCheck = (source: Source) => source.type.endsWith("MachineCheck") || source.type === "machineCheckException";
const eachSource = (look: (source: Source, report: Report, table: Table) => void) => (table: Table, report: Report) => {
  for (const source of sourcesOf(table).whole) look(source, report, table);
};
const notificationOf = (source: Source) => source.value["notification"] as Notification | undefined;
const least = (type: number): { name: string; size: number } | undefined => {
  for (const [name, entry] of Object.entries(SOURCE_TYPE))
    if (entry[0] === type) {
      return { name, size: fixedSize(ErrorSource.cases[name as keyof typeof SOURCE_TYPE]!) };
    }
  return undefined;
};
const ON = ["HEST"];
const DISABLES = "gives the whole table up: no source is registered";
const TOO_SHORT = [
  "HESTIA32MachineCheckTooShort",
  "HESTIA32CorrectedMachineCheckTooShort",
  "HESTIA32DeferredMachineCheckTooShort",
  "HESTIA-32ArchitectureNmiTooShort",
  "HESTPciExpressRootPortAerTooShort",
  "HESTPciExpressDeviceAerTooShort",
  "HESTPciExpressBridgeAerTooShort",
  "HESTGenericHardwareErrorSourceTooShort",
];

export const hestRules: readonly Rule[] = [
  {
    id: "hest-source-type",
    title: "An error source has a type nobody defined",
    source: "ACPI 6.5 table 18.3",
    explain: "Types 0, 1, 2 and 6 to 11 are defined. Sources carry no length, so nobody can step over one they do not know.",
    on: ON,
    consumers: {
      spec: ["error", "defines no such type"],
      linux: ["error", DISABLES],
      fwts: ["error", "stops there"],
      iasl: ["error", "stops there and drops the rest"],
      qemu: ["error", "cannot find the sources behind it"],
    },
    fwts: ["HESTInvalidType"],
    check: (table, report) => {
      const { end, rest, whole, count } = sourcesOf(table);
      if (rest < 2) return;
      const type = readWord(table.bytes, end, 2);
      if (least(type)) return;
      // Bytes nobody counts are only in the way of those who walk to the end.
      if (whole.length >= count && count > 0) return;
      report({ path: `sources[${whole.length}].type`, offset: end }, hexNumber(type), "0, 1, 2 or 6 to 11");
    },
  },
  {
    id: "hest-source-cut",
    title: "An error source does not fit into the table",
    source: "ACPI 6.5 18.3.2",
    explain:
      "The last source, with the banks it announces, goes beyond the table's length. A wrong bank count earlier in the table shows up here too, since everything behind it is read from the wrong place.",
    on: ON,
    consumers: {
      spec: ["error", "is malformed"],
      linux: ["error", DISABLES],
      fwts: ["error", "fails the table, for banks without a word"],
      iasl: ["error", "cannot compile what it disassembles"],
    },
    fwts: TOO_SHORT,
    check: (table, report) => {
      const { end, rest, whole, count } = sourcesOf(table);
      if (rest === 0 || (whole.length >= count && count > 0)) return;
      const layout = rest < 2 ? undefined : least(readWord(table.bytes, end, 2));
      if (rest >= 2 && !layout) return;
      report(
        { path: `sources[${whole.length}]`, offset: end },
        `${rest} bytes`,
        layout ? `at least ${layout.size} bytes for a ${layout.name}` : "a whole error source",
      );
    },
  },
  {
    id: "hest-trailing",
    title: "Bytes follow the last error source",
    source: "ACPI 6.5 18.3.2",
    explain:
      "The count says that all sources were read, but the table goes on with bytes that form no source. Linux stops at the count; programs that walk to the length do not.",
    on: ON,
    consumers: {
      spec: ["error", "is malformed"],
      linux: ["note", "stops at the count"],
      fwts: ["error", "takes them for a source that is too short"],
      iasl: ["error", "cannot compile what it disassembles"],
    },
    fwts: [...TOO_SHORT, "HESTInvalidType"],
    check: (table, report) => {
      const { end, rest, whole, count } = sourcesOf(table);
      if (rest > 0 && whole.length >= count && count > 0) report({ path: "sources", offset: end }, `${rest} bytes`, "none");
    },
  },
  {
    id: "hest-count",
    title: "The source count is wrong",
    source: "ACPI 6.5 18.3.2",
    explain:
      "The count and the table's length must agree on how many sources there are. Linux believes the count: with one too few it never sees the last source, with one too many it reads what lies behind the table and gives the whole table up. The firmware test suite and iasl believe the length and notice nothing.",
    on: ON,
    consumers: { spec: ["error", "is malformed"], linux: ["error", "believes the count"], qemu: ["error", "believes the count"] },
    check: (table, report) => {
      const { whole, rest, count } = sourcesOf(table);
      if (table.value["sourceCount"] === undefined || (rest > 0 && count >= whole.length)) return;
      if (count !== whole.length) report("sourceCount", `${count}`, `${whole.length}, as many as there are`);
    },
  },
  {
    id: "hest-source-id-shared",
    title: "Two error sources have one id",
    source: "ACPI 6.5 18.3.2",
    explain:
      "Ids are unique in the table; related-source ids refer to them and records name them. Linux gives the whole table up when two enabled generic sources share one.",
    on: ON,
    consumers: { spec: ["error", "wants unique ids"], linux: ["warning", "minds only enabled generic sources"] },
    check: (table, report) => {
      const first = new Map<number, Source>();
      for (const source of sourcesOf(table).whole) {
        const other = first.get(source.sourceId);
        if (other) report(`${source.path}.sourceId`, `${source.sourceId}, as ${other.path}`, "an id of its own");
        else first.set(source.sourceId, source);
      }
    },
  },
  {
    id: "hest-enabled",
    title: "The enabled byte is neither 0 nor 1",
    source: "ACPI 6.5 18.3.2",
    explain: "Only 0 and 1 are defined; Linux takes anything else for 1.",
    on: ON,
    consumers: { spec: ["warning", "defines 0 and 1"], linux: ["note", "takes it for 1"] },
    check: eachSource((source, report) => {
      const enabled = source.value["enabled"];
      if (typeof enabled === "number" && enabled > 1) report(`${source.path}.enabled`, `${enabled}`, "0 or 1");
    }),
  },
  {
    id: "hest-records",
    title: "No error records are to be allocated",
    source: "ACPI 6.5 18.3.2",
    explain: "The operating system is to set aside at least one record for the source.",
    on: ON,
    consumers: { spec: ["warning", "wants at least 1"], linux: ["note", "does not look"], fwts: ["error", "fails the table"] },
    fwts: ["HESTInvalidRecordsToPreallocate"],
    check: eachSource((source, report) => {
      if (source.value["recordsToPreallocate"] === 0) report(`${source.path}.recordsToPreallocate`, "0", "at least 1");
    }),
  },
  {
    id: "hest-sections",
    title: "A record may have no sections",
    source: "ACPI 6.5 18.3.2",
    explain: "A record without sections says nothing.",
    on: ON,
    consumers: { spec: ["warning", "wants at least 1"], linux: ["note", "does not look"], fwts: ["error", "fails the table"] },
    fwts: ["HESTInvalidMaxSectionsPerRecord"],
    check: eachSource((source, report) => {
      if (source.value["maxSectionsPerRecord"] === 0) report(`${source.path}.maxSectionsPerRecord`, "0", "at least 1");
    }),
  },
  {
    id: "hest-flags-contradict",
    title: "FIRMWARE_FIRST and GHES_ASSIST are both set",
    source: "ACPI 6.5 18.3.2.1",
    explain: "Either firmware handles the machine check first, or it only assists with a generic source. Both at once is not defined.",
    on: ON,
    consumers: { spec: ["error", "excludes it"], linux: ["warning", "skips the related generic sources"], fwts: ["error", "fails the table"] },
    fwts: ["HESTIA32BadFlags", "HESTIA32CorrectedMachineCheckBadFlags", "HESTIA32DeferredMachineCheckBadFlags"],
    check: eachSource((source, report) => {
      const flags = source.value["flags"] as { firmwareFirst?: boolean; ghesAssist?: boolean } | undefined;
      if (isMachineCheck(source) && flags?.firmwareFirst && flags.ghesAssist)
        report(`${source.path}.flags`, "firmwareFirst and ghesAssist", "at most one of them");
    }),
  },
  {
    id: "hest-machine-checks",
    title: "There is more than one machine check exception source",
    source: "ACPI 6.5 18.3.2.1",
    explain:
      "One structure describes the machine check exceptions of all processors. Linux remembers only the last of each type when it looks for GHES_ASSIST.",
    on: ON,
    consumers: { spec: ["error", "allows one"], linux: ["warning", "remembers the last"], fwts: ["error", "fails the table"] },
    fwts: ["HESTTooManyIA32ArchMachineCheckExceptions"],
    check: (table, report) => {
      const all = sourcesOf(table).whole.filter((source) => source.type === "machineCheckException");
      if (all.length > 1) report(all[1]!.path, `${all.length}`, "1");
    },
  },
  {
    id: "hest-machine-check-limits",
    title: "There is more than one source of a kind of which there can be one",
    source: "ACPI 6.5 18.3.2",
    explain: "Corrected and deferred machine checks and the non-maskable interrupt are described once for all processors.",
    on: ON,
    consumers: { spec: ["warning", "allows one"], linux: ["note", "remembers the last machine check of each type"], fwts: ["error", "fails the table"] },
    fwts: ["HESTTooManyIA32CorrectedMachineChecks", "HESTTooManyNmiErrors"],
    check: (table, report) => {
      for (const type of ["correctedMachineCheck", "deferredMachineCheck", "nonMaskableInterrupt"]) {
        const all = sourcesOf(table).whole.filter((source) => source.type === type);
        if (all.length > 1) report(all[1]!.path, `${all.length} × ${type}`, "1", undefined, type === "deferredMachineCheck" ? ["fwts"] : []);
      }
    },
  },
  {
    id: "hest-bank-clear",
    title: "A bank says neither to clear nor to keep its status",
    source: "ACPI 6.5 18.3.2.1.1",
    explain: "The byte is 0 to clear the status register at start and 1 to keep it.",
    on: ON,
    consumers: { spec: ["error", "defines 0 and 1"], fwts: ["error", "fails the table"] },
    fwts: ["HESTIA32InvalidClearStatusOnInit"],
    check: bankCheck("clearStatusOnInitialization", "0 (clear) or 1 (keep)"),
  },
  {
    id: "hest-bank-format",
    title: "A bank has a status format nobody defined",
    source: "ACPI 6.5 18.3.2.1.1",
    explain: "Formats are 0 for IA-32, 1 for Intel 64 and 2 for AMD64.",
    on: ON,
    consumers: { spec: ["error", "defines 0 to 2"], fwts: ["error", "fails the table"] },
    fwts: ["HESTIA32InvalidBankStatusDataFormat"],
    check: bankCheck("statusDataFormat", "0, 1 or 2"),
  },
  {
    id: "hest-notification-type",
    title: "A notification type nobody defined",
    source: "ACPI 6.5 table 18.14",
    explain: "Types 0 to 11 are defined. A source that signals in an unknown way is never heard.",
    on: ON,
    consumers: { spec: ["error", "defines 0 to 11"], linux: ["error", "does not bind the source"], fwts: ["error", "fails the table"] },
    fwts: ["HESTInvalidHardwareErrorNotificationType"],
    check: eachSource((source, report) => {
      const type = notificationOf(source)?.type;
      if (typeof type === "number") report(`${source.path}.notification.type`, hexNumber(type), "0 to 11");
    }),
  },
  {
    id: "hest-notification-length",
    title: "The notification structure has a wrong length",
    source: "ACPI 6.5 table 18.13",
    explain: `The structure has ${Notification.size} bytes in every revision. Nobody uses the byte to step over it.`,
    on: ON,
    consumers: { spec: ["warning", `wants ${Notification.size}`], linux: ["note", "does not look"] },
    check: eachSource((source, report) => {
      const length = notificationOf(source)?.length;
      if (length !== undefined && length !== Notification.size) report(`${source.path}.notification.length`, `${length}`, `${Notification.size}`);
    }),
  },
  {
    id: "hest-poll-interval",
    title: "A polled source has no poll interval",
    source: "ACPI 6.5 table 18.13",
    explain: "With an interval of zero the timer never runs: Linux looks once while booting and never again.",
    on: ON,
    consumers: { spec: ["warning", "needs the interval"], linux: ["warning", "binds the source but never polls it"] },
    check: eachSource((source, report) => {
      const notification = notificationOf(source);
      if (isGeneric(source) && notification?.type === "polled" && notification.pollInterval === 0)
        report(`${source.path}.notification.pollInterval`, "0", "milliseconds between polls");
    }),
  },
  {
    id: "hest-vector",
    title: "An SDEI source has no event number",
    source: "ACPI 6.5 table 18.13",
    explain: "Event 0 is reserved for the operating system's own use.",
    on: ON,
    consumers: { spec: ["error", "reserves event 0"], linux: ["error", "does not bind the source"] },
    check: eachSource((source, report) => {
      const notification = notificationOf(source);
      if (isGeneric(source) && notification?.type === "sdei" && notification.vector === 0)
        report(`${source.path}.notification.vector`, "0", "an SDEI event number");
    }),
  },
  {
    id: "hest-block-length",
    title: "The error status block is shorter than its header",
    source: "ACPI 6.5 18.3.2.7",
    explain: `A status block begins with ${ErrorStatusBlockHeader.size} bytes of header.`,
    on: ON,
    consumers: { spec: ["error", "has no room for a block"], linux: ["error", "does not bind the source"] },
    check: eachSource((source, report) => {
      const length = source.value["errorStatusBlockLength"];
      if (isGeneric(source) && typeof length === "number" && length < ErrorStatusBlockHeader.size)
        report(`${source.path}.errorStatusBlockLength`, `${length}`, `at least ${ErrorStatusBlockHeader.size}`);
    }),
  },
  {
    id: "hest-block-length-most",
    title: "The error status block is longer than Linux reads",
    source: "Linux drivers/acpi/apei/ghes.c behaviour",
    explain: "Linux reads at most 64 KiB and drops longer records.",
    on: ON,
    consumers: { linux: ["warning", "warns and reads at most 65536 bytes"] },
    check: eachSource((source, report) => {
      const length = source.value["errorStatusBlockLength"];
      if (isGeneric(source) && typeof length === "number" && length > 65536) report(`${source.path}.errorStatusBlockLength`, `${length}`, "at most 65536");
    }),
  },
  {
    id: "hest-acknowledge-silent",
    title: "The acknowledgement cannot be seen",
    source: "ACPI 6.5 18.3.2.8",
    explain:
      "The operating system keeps the preserved bits and sets the written ones. When nothing is written, or only bits that are kept anyway, the platform cannot tell that the block is free, and delivers one error only.",
    on: ON,
    consumers: { spec: ["warning", "makes the acknowledgement invisible"], linux: ["note", "writes what it is told"], qemu: ["warning", "waits for bit 0"] },
    check: eachSource((source, report) => {
      const { readAckPreserve: preserve, readAckWrite: write } = source.value as { readAckPreserve?: bigint; readAckWrite?: bigint };
      if (write === 0n) report(`${source.path}.readAckWrite`, "0x0", "the bits that say that the block is free");
      else if (write !== undefined && preserve !== undefined && (write & preserve) !== 0n)
        report(`${source.path}.readAckPreserve`, `${hexNumber(preserve)} keeps bits of ${hexNumber(write)}`, "bits that are not written");
    }),
  },
  {
    id: "hest-related-source",
    title: "A generic source is related to a source that is not there",
    source: "ACPI 6.5 18.3.2.7",
    explain: "The related id names the source this one is an alternative to, or is 0xffff for none. One that names itself or nothing relates to nobody.",
    on: ON,
    consumers: { spec: ["warning", "wants the id of another source or 0xffff"], linux: ["note", "looks only for machine checks with GHES_ASSIST"] },
    check: (table, report) => {
      const { whole } = sourcesOf(table);
      const ids = new Set(whole.map((source) => source.sourceId));
      for (const source of whole) {
        const related = source.value["relatedSourceId"];
        if (typeof related !== "number" || related === NO_RELATED_SOURCE) continue;
        if (related === source.sourceId || !ids.has(related))
          report(
            `${source.path}.relatedSourceId`,
            related === source.sourceId ? `${related}, itself` : `${related}, which is not there`,
            "the id of another source or 65535",
          );
      }
    },
  },
  {
    id: "hest-nmi-source-misread",
    title: "The firmware test suite misreads a table with an NMI source",
    source: "fwts 26.09 behaviour",
    explain:
      "The test suite takes the 20 bytes of an NMI source for 18 and reads everything behind it from the wrong place. What it then reports is not there.",
    on: ON,
    consumers: { fwts: ["warning", "reports errors that are not there"] },
    fwts: [
      "HESTReservedNonZero",
      "HESTReservedBitsNonZero",
      "HESTIA32FlagsReserved",
      "HESTInvalidType",
      "HESTTooManyIA32ArchMachineCheckExceptions",
      ...TOO_SHORT,
    ],
    check: (table, report) => {
      const source = sourcesOf(table).whole.find(({ type }) => type === "nonMaskableInterrupt");
      if (source) report(source.path, "an NMI source", "none, for the test suite's sake");
    },
  },
  {
    id: "hest-type-order",
    title: "The sources are not sorted by type",
    source: "EDK2 ShellPkg acpiview behaviour",
    explain: "The specification asks for machine checks first; acpiview wants all types in ascending order. Nobody else minds.",
    on: ON,
    consumers: { edk2: ["note", "complains in its acpiview command"] },
    check: (table, report) => {
      let most = -1;
      for (const source of sourcesOf(table).whole) {
        const number = SOURCE_TYPE[source.type as keyof typeof SOURCE_TYPE]?.[0] ?? 0;
        if (number < most) return report(`${source.path}.type`, `${number} after ${most}`, "ascending types");
        most = number;
      }
    },
  },
];

function bankCheck(field: string, expected: string): Rule["check"] {
  return eachSource((source, report) => {
    for (const [i, bank] of ((source.value["banks"] as Record<string, unknown>[] | undefined) ?? []).entries())
      if (typeof bank[field] === "number") report(`${source.path}.banks[${i}].${field}`, `${bank[field]}`, expected);
  });
}
