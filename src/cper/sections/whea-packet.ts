/** Windows' low-level error packets and the sections that wrap what hardware or firmware delivered (WDK ntddk.h). */
import { ErrorDataEntryHeader, ErrorDataEntryHeaderV3, ErrorStatusBlockHeader } from "../../acpi/status-block.ts";
import {
  bits,
  blob,
  bytes,
  choice,
  gap,
  guid,
  hex,
  list,
  oneOf,
  orZero,
  type Parsed,
  parse,
  type Root,
  ref,
  reserved,
  type SectionType,
  sequence,
  struct,
  type Tree,
  u8,
  u32,
  u64,
  valueLabel,
  window,
} from "../../layout/index.ts";
import { ERROR_SOURCE_TYPE } from "../error-source-type.ts";
import { NOTIFICATION_TYPES } from "../guids.ts";
import { PlatformMemory } from "./memory.ts";
import { PciBus, PciComponent } from "./pci.ts";
import { PcieError } from "./pcie.ts";
import { WheaMachineCheck } from "./whea-machine-check.ts";

export const WheaNmi = struct("Windows NMI", 12, "WDK ntddk.h, WHEA_NMI_ERROR_SECTION", () => ({
  data: orZero(bytes(8, "What the NMI status port said; on x86 only the first byte is set")),
  flags: bits(4, "Flags", { hypervisorError: 0 }),
}));
export type WheaNmi = Parsed<typeof WheaNmi>;

export const WheaMsrDump = sequence("Windows MSR Dump", "WDK ntddk.h, WHEA_MSR_DUMP_SECTION", () => ({
  bufferIndex: u8("Which of the buffers in the management controller's event log"),
  dataLength: u32("Bytes of data"),
  data: blob("Registers saved when the system stopped, in a form that is not documented", ref("dataLength")),
}));
export type WheaMsrDump = Parsed<typeof WheaMsrDump>;

export const WheaIpfSal = sequence("Windows IPF SAL Record", "WDK cperguid.h; Itanium SAL specification", () => ({
  record: blob("The SAL error record, opaque here"),
}));

// ---- generic: an error status block inside a section ----

/** From this revision on the header of a data entry ends with a timestamp. */
const FIRST_WITH_TIMESTAMP = 0x0300;
const TIMESTAMP = 8;
type Cases = Readonly<Record<string, SectionType["layout"]>>;

/** The types that take a body of any length, by each of their GUIDs. */
const casesOf = (types: readonly SectionType[]): Cases =>
  Object.fromEntries(types.filter((type) => type.length === undefined).flatMap((type) => type.guids.map((id) => [id.toLowerCase(), type.layout])));

const statusBlockLayout = (types: readonly SectionType[]) =>
  sequence("Windows Generic Error", `WDK ntddk.h, WHEA_GENERIC_ERROR; ${ErrorStatusBlockHeader.doc}`, () => ({
    ...ErrorStatusBlockHeader.fields,
    entries: window(
      ref("dataLength"),
      list(
        sequence(ErrorDataEntryHeader.name, ErrorDataEntryHeaderV3.doc, {
          ...ErrorDataEntryHeader.fields,
          // All of it or nothing: the revision, in units of a timestamp, from the first that has one.
          revision3: window(
            ref("revision", { scale: TIMESTAMP, bias: TIMESTAMP * (1 - FIRST_WITH_TIMESTAMP), most: TIMESTAMP }),
            struct("Generic Error Data Entry Timestamp", TIMESTAMP, ErrorDataEntryHeaderV3.doc, { timestamp: ErrorDataEntryHeaderV3.fields.timestamp }),
          ),
          data: window(ref("errorDataLength"), choice(ref("sectionType"), "The error data", casesOf(types) as never)),
        }),
        "Data entries",
      ),
    ),
    beforeRawData: gap(ref("rawDataOffset")),
    rawData: blob("Raw data of the hardware", ref("rawDataLength")),
  }));

interface Entry {
  readonly sectionType?: string;
  readonly data?: object;
}

// ---- packets ----

const SEVERITY = { recoverable: 0, fatal: 1, corrected: 2, informational: 3 } as const;
const ERROR_TYPE = {
  processor: 0,
  memory: 1,
  pcie: [2, "PCIe"],
  nmi: [3, "NMI"],
  pciBus: [4, "PCI-X bus"],
  pciDevice: [5, "PCI-X device"],
  generic: 6,
  pmem: [7, "persistent memory"],
} as const;
const FIRST_ERROR_TYPE = {
  processor: 0,
  memory: 1,
  pcie: [2, "PCIe"],
  nmi: [3, "NMI"],
  pciBus: [4, "PCI-X bus"],
  pciDevice: [5, "PCI-X device"],
  generic: 6,
} as const;
const DATA_FORMAT = {
  ipfSal: [0, "IPF SAL record"],
  machineCheck: 1,
  memory: 2,
  pcie: [3, "PCIe"],
  nmiPort: [4, "NMI port"],
  pciBus: [5, "PCI-X bus"],
  pciDevice: [6, "PCI-X device"],
  generic: 7,
} as const;
const FIRST_DATA_FORMAT = {
  ipfSal: [0, "IPF SAL record"],
  ia32MachineCheck: [1, "IA32 machine check"],
  intel64MachineCheck: [2, "Intel 64 machine check"],
  amd64MachineCheck: [3, "AMD64 machine check"],
  memory: 4,
  pcie: [5, "PCIe"],
  nmiPort: [6, "NMI port"],
  pciBus: [7, "PCI-X bus"],
  pciDevice: [8, "PCI-X device"],
  generic: 9,
} as const;

/** Bytes of the signature, which the offsets in the packet count and the body's layout does not. */
const SIGNATURE = 4;

const FirstPacket = sequence("Windows Error Packet of Vista and Server 2008", "WDK 6.0 ntddk.h, WHEA_ERROR_PACKET version 2", () => ({
  flags: orZero(hex(u32("Flags"))),
  length: u32("Bytes of the packet"),
  rawDataLength: u32("Bytes of raw data"),
  reserved: reserved(8),
  context: orZero(u64("The error source's own value")),
  errorType: oneOf(4, "Kind of error", FIRST_ERROR_TYPE),
  severity: oneOf(4, "Severity", SEVERITY),
  sourceId: u32("Id of the error source"),
  sourceType: oneOf(4, "Kind of error source", ERROR_SOURCE_TYPE),
  reservedBeforeVersion: reserved(4),
  version: u32("Version: 2"),
  cpu: orZero(u64("Processor")),
  section: orZero(bytes(208, "The standard section of that kind of error, and the space of the largest of them")),
  rawDataFormat: oneOf(4, "Form of the raw data", FIRST_DATA_FORMAT),
  rawDataOffset: u32("Where the raw data begins, from the start of the packet"),
  beforeRawData: gap(ref("rawDataOffset", { bias: -SIGNATURE })),
  rawData: blob("Raw data", ref("rawDataLength")),
}));

const NmiPort = sequence("NMI Port Data", "WDK ntddk.h, WHEA_ERROR_PACKET_DATA_FORMAT", () => ({ data: blob("What the NMI status port said") }));

const secondPacket = (block: Root) =>
  sequence("Windows Error Packet", "WDK ntddk.h, WHEA_ERROR_PACKET_V2", () => ({
    version: u32("Version: 3"),
    length: u32("Bytes of the packet"),
    flags: bits(4, "Flags", {
      previousError: 0,
      criticalEvent: 1,
      hypervisorError: 2,
      simulated: 3,
      platformPfaControl: 4,
      platformDirectedOffline: 5,
      addressTranslationRequired: 6,
      addressTranslationCompleted: 7,
      recoveryOptional: 8,
    }),
    errorType: oneOf(4, "Kind of error", ERROR_TYPE),
    severity: oneOf(4, "Severity", SEVERITY),
    sourceId: u32("Id of the error source"),
    sourceType: oneOf(4, "Kind of error source", ERROR_SOURCE_TYPE),
    notificationType: orZero(guid("How the error was signalled", NOTIFICATION_TYPES)),
    context: orZero(u64("The error source's own value")),
    dataFormat: oneOf(4, "Form of the data", DATA_FORMAT),
    reserved: reserved(4),
    dataOffset: u32("Where the data begins, from the start of the packet"),
    dataLength: u32("Bytes of data"),
    plugInDataOffset: orZero(u32("Where the plug-in's data begins")),
    plugInDataLength: orZero(u32("Bytes of the plug-in's data")),
    beforeData: gap(ref("dataOffset", { bias: -SIGNATURE })),
    data: window(
      ref("dataLength"),
      choice(ref("dataFormat"), "The data", {
        ipfSal: WheaIpfSal,
        machineCheck: WheaMachineCheck,
        memory: PlatformMemory,
        pcie: PcieError,
        nmiPort: NmiPort,
        pciBus: PciBus,
        pciDevice: PciComponent,
        generic: block as never,
      }),
    ),
    beforePlugInData: gap(ref("plugInDataOffset", { bias: -SIGNATURE })),
    plugInData: blob("The plug-in's data", ref("plugInDataLength")),
  }));

const PACKET_SIGNATURE = {
  version1: [0x74507245, "ErPt: packet of Vista and Server 2008"],
  version2: [0x41454857, "WHEA: packet since Windows 7"],
} as const;

interface Packet {
  readonly errorType?: string | number;
  readonly severity?: string | number;
  readonly sourceType?: string | number;
  readonly dataFormat?: string | number;
  readonly data?: object;
}

/**
 * The sections that hold what hardware or firmware delivered, some of them other sections.
 * @param standard types that become part of the layout of what holds them
 * @param others types that are only put into words there
 */
export function wheaPacketSections(standard: readonly SectionType[], others: readonly SectionType[]): readonly SectionType[] {
  const block = statusBlockLayout(standard);
  const types = [...standard, ...others];
  const packet = sequence("Windows Error Packet", "WDK ntddk.h, WHEA_ERROR_PACKET", () => ({
    signature: oneOf(4, "Which form the packet has", PACKET_SIGNATURE),
    packet: choice(ref("signature"), "The packet", { version1: FirstPacket, version2: secondPacket(block as unknown as Root) as never }),
  }));
  /** What the section type of an entry has to say of it. */
  const entriesOf = (entries: readonly Entry[] | undefined) =>
    (entries ?? []).map(({ sectionType = "", data }) => {
      const type = types.findLast(({ guids }) => guids.includes(sectionType));
      const known = type && data ? { type, data: (data instanceof Uint8Array ? parse(type.layout, data) : data) as never } : undefined;
      return {
        title: type?.title ?? `unknown type ${sectionType}`,
        summary: known?.type.summary?.(known.data) ?? "",
        trees: known?.type.explain?.(known.data) ?? [],
      };
    });
  const packetData = (body: Packet) => {
    const format = body.dataFormat;
    const layout = format === "machineCheck" ? WheaMachineCheck : format === "memory" ? PlatformMemory : format === "pcie" ? PcieError : undefined;
    const type = layout && types.find((one) => (one.layout as unknown) === layout);
    return type && body.data && !(body.data instanceof Uint8Array) ? { type, data: body.data as never } : undefined;
  };
  return [
    {
      guids: ["e71254e8-c1b9-4940-ab76-909703a4320f"],
      name: "wheaGeneric",
      title: "Windows generic error",
      layout: block as SectionType["layout"],
      summary: (body: { readonly entries?: readonly Entry[] }) =>
        entriesOf(body.entries)
          .map(({ title, summary }) => [title, summary].filter((part) => part !== "").join(", "))
          .join("; "),
      explain: (body: { readonly entries?: readonly Entry[] }): readonly Tree[] =>
        entriesOf(body.entries).map(({ title, summary, trees }, i) => ({
          label: `entry ${i}`,
          text: [title, summary].filter((part) => part !== "").join(", "),
          children: trees,
        })),
    },
    {
      guids: ["e71254e9-c1b9-4940-ab76-909703a4320f"],
      name: "wheaErrorPacket",
      title: "Windows error packet",
      layout: packet as SectionType["layout"],
      summary: ({ packet: inner }: { readonly packet?: Packet | Uint8Array }) => {
        if (!inner || inner instanceof Uint8Array) return "";
        const held = packetData(inner);
        return [
          inner.errorType === undefined ? "" : `${valueLabel(ERROR_TYPE, inner.errorType)} error`,
          inner.severity === undefined ? "" : valueLabel(SEVERITY, inner.severity),
          inner.sourceType === undefined ? "" : `from ${valueLabel(ERROR_SOURCE_TYPE, inner.sourceType)}`,
          held?.type.summary?.(held.data) ?? "",
        ]
          .filter((part) => part !== "")
          .join(", ");
      },
      explain: ({ packet: inner }: { readonly packet?: Packet | Uint8Array }): readonly Tree[] => {
        const held = inner && !(inner instanceof Uint8Array) ? packetData(inner) : undefined;
        return held?.type.explain?.(held.data) ?? [];
      },
    },
    {
      guids: ["e71254e7-c1b9-4940-ab76-909703a4320f"],
      name: "wheaNmi",
      title: "Windows non-maskable interrupt",
      layout: WheaNmi,
      summary: (body: WheaNmi) =>
        [`status port 0x${(body.data?.[0] ?? 0).toString(16).padStart(2, "0")}`, body.flags?.hypervisorError ? "hypervisor error" : ""]
          .filter((part) => part !== "")
          .join(", "),
    },
    {
      guids: ["1c15b445-9b06-4667-ac25-33c056b88803"],
      name: "wheaMsrDump",
      title: "Windows MSR dump",
      layout: WheaMsrDump,
      summary: (body: WheaMsrDump) => `buffer ${body.bufferIndex ?? 0}, ${body.data?.length ?? 0} bytes`,
    },
    {
      guids: ["6f3380d1-6eb0-497f-a578-4d4c65a71617"],
      name: "wheaIpfSal",
      title: "Windows IPF SAL record",
      layout: WheaIpfSal,
      summary: (body: { readonly record?: Uint8Array }) => `${body.record?.length ?? 0} bytes`,
    },
  ];
}
