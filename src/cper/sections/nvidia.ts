/** NVIDIA's sections: Grace error data and events (openbmc/libcper and public management controller sources). */
import {
  array,
  bits,
  blob,
  bytes,
  choice,
  concatBytes,
  encode,
  gap,
  hex,
  hexNumber,
  initially,
  list,
  oneOf,
  type Parsed,
  parse,
  ref,
  reserved,
  type SectionType,
  sequence,
  struct,
  type Tree,
  text,
  u8,
  u16,
  u32,
  u64,
  valueLabel,
  window,
} from "../../layout/index.ts";
import { SEVERITY } from "../record.ts";

const SOURCE = "openbmc/libcper cper-section-nvidia.h";

const RegisterPair = struct("Register", 16, SOURCE, () => ({ address: u64("Address of the register"), value: u64("Its value") }));

export const NvidiaError = sequence("NVIDIA Error", SOURCE, () => ({
  signature: text(16, "Unit that reported"),
  errorType: hex(u16("Kind of error, by the unit's own rules")),
  errorInstance: hex(u16("Instance of the unit")),
  severity: oneOf(1, "Severity", SEVERITY),
  socket: u8("Processor socket"),
  registerCount: u8("Registers that follow"),
  reserved: reserved(1),
  instanceBase: u64("Address at which the instance's registers begin"),
  registers: list(RegisterPair, "Registers", ref("registerCount")),
  spare: blob("Bytes after the registers; firmware leaves room for one more"),
}));
export type NvidiaError = Parsed<typeof NvidiaError>;

const DISABLED_REASON = {
  aliasChecker: [0, "alias checker failed"],
  trainingAtTargetFrequency: [1, "training at target frequency failed"],
  trainingAtBootFrequency: [2, "training at boot frequency failed"],
  badPages: [3, "too many bad pages"],
} as const;
/** The value of a register pair of signature CMET-INFO; its address names the memory channel. */
const ChannelInfo = struct("Memory Channel", 8, SOURCE, () => ({
  errorCount: u32("Errors of the channel"),
  state: bits(4, "State of the channel", { enabled: 0, spare: 1, disabledPermanently: 2, disabledReason: { at: [3, 2], names: DISABLED_REASON } }),
}));
export const ChannelInfos = sequence("Memory Channels", SOURCE, () => ({
  channels: list(struct("Memory Channel Entry", 16, SOURCE, { address: u64("Channel"), info: ChannelInfo }), "Channels"),
}));

export const RetiredPages = struct("Retired Pages", 8, SOURCE, () => ({ channel: u32("Channel"), badPages: u32("Bad pages") }));
/** What stands in place of the registers under signature FWERROR. */
export const FirmwareError = struct("NVIDIA Firmware Error", 88, SOURCE, () => ({
  firmware: text(8, "Firmware that began the error"),
  checkpoint: u64("Checkpoint of the task"),
  mb1ErrorCode: u64("Error code of the MB1 boot loader"),
  mb1Version: text(8, "Version of the MB1 boot loader"),
  badPagesRetiredMask: u64("Channels retired for bad pages"),
  trainingRetiredMask: u64("Channels retired for training or alias check failures"),
  retired: array(3, RetiredPages, "Channels with retired pages"),
  unknown72: u64("Not known"),
  unknown80: u64("Not known"),
}));

/** The bytes after the fixed part, whatever the register count made of them. */
function payloadOf(body: NvidiaError): Uint8Array {
  const pairs = encode(sequence("Registers", SOURCE, { registers: list(RegisterPair, "Registers") }), { registers: body.registers ?? [] });
  const rest = body.spare ?? new Uint8Array(0);
  return concatBytes([pairs, rest]);
}

function explainError(body: NvidiaError): readonly Tree[] {
  if (body.signature === "CMET-INFO") {
    const { channels = [] } = parse(ChannelInfos, payloadOf({ ...body, spare: new Uint8Array(0) }));
    return channels.map(({ address, info: { errorCount, state } }) => ({
      label: `channel ${hexNumber(address)}`,
      text: [
        `${errorCount} errors`,
        state.enabled ? "enabled" : "",
        state.spare ? "spare" : "",
        state.disabledPermanently ? "permanently disabled" : "",
        !state.enabled && state.disabledPermanently ? valueLabel(DISABLED_REASON, state.disabledReason ?? 0) : "",
      ]
        .filter((part) => part !== "")
        .join(", "),
    }));
  }
  if (body.signature === "FWERROR") {
    const payload = payloadOf(body);
    if (payload.length < FirmwareError.size) return [];
    const error = parse(FirmwareError, payload, 0, FirmwareError.size);
    return [
      { label: "firmware", text: error.firmware ?? "" },
      { label: "checkpoint", text: hexNumber(error.checkpoint ?? 0n) },
      { label: "MB1 error code", text: hexNumber(error.mb1ErrorCode ?? 0n) },
      { label: "MB1 version", text: error.mb1Version ?? "" },
      { label: "channels retired for bad pages", text: hexNumber(error.badPagesRetiredMask ?? 0n) },
      { label: "channels retired for training or alias check failures", text: hexNumber(error.trainingRetiredMask ?? 0n) },
      ...(error.retired ?? []).map(({ channel, badPages }) => ({ label: `channel ${channel}`, text: `${badPages} bad pages` })),
    ];
  }
  return (body.registers ?? [])
    .filter(({ value }) => value !== 0n)
    .map(({ address, value }) => ({ label: `register ${hexNumber(address)}`, text: hexNumber(value) }));
}

// ---- events ----

const EVENT_SOURCE = "openbmc/libcper cper-section-nvidia-events.h; rasdaemon behaviour";

const KeyValues64 = sequence("64-bit Keys and Values", EVENT_SOURCE, () => ({
  pairs: list(struct("Pair", 16, EVENT_SOURCE, { key: u64("Key"), value: u64("Value") }), "Pairs"),
}));
const KeyValues32 = sequence("32-bit Keys and Values", EVENT_SOURCE, () => ({
  pairs: list(struct("Pair", 8, EVENT_SOURCE, { key: hex(u32("Key")), value: hex(u32("Value")) }), "Pairs"),
}));
const Values64 = sequence("64-bit Values", EVENT_SOURCE, () => ({ values: list(struct("Value", 8, EVENT_SOURCE, { value: u64("Value") }), "Values") }));
const Values32 = sequence("32-bit Values", EVENT_SOURCE, () => ({ values: list(struct("Value", 4, EVENT_SOURCE, { value: hex(u32("Value")) }), "Values") }));

const GPU_ARCHITECTURE = { turing: 0x16, ampere: 0x17, hopper: 0x18, ada: 0x19, blackwell: 0x1a, blackwell2: 0x1b, rubin: 0x1c } as const;
const GpuInitMetadata = struct("GPU Initialization Metadata", 192, EVENT_SOURCE, () => ({
  deviceName: text(48, "Device"),
  firmwareVersion: text(16, "Version of the firmware"),
  pfDriverMicrocodeVersion: text(16, "Version of the physical function driver's microcode"),
  pfDriverVersion: text(16, "Version of the physical function driver"),
  vfDriverVersion: text(16, "Version of the virtual function driver"),
  configuration: u64("Configuration"),
  pdi: u64("Per-device identifier"),
  architectureId: bits(4, "Architecture of the GPU", { revision: [0, 24], architecture: { at: [24, 6], names: GPU_ARCHITECTURE } }),
  hardwareInfoType: u8("Kind of the following: 0 PCI"),
  pciClass: hex(u8("PCI class")),
  pciSubclass: hex(u8("PCI subclass")),
  pciRevision: hex(u8("PCI revision")),
  vendorId: hex(u16("PCI vendor")),
  deviceId: hex(u16("PCI device")),
  subsystemVendorId: hex(u16("PCI subsystem vendor")),
  subsystemId: hex(u16("PCI subsystem")),
  bar0Start: u64("Address of BAR 0"),
  bar0Size: u64("Bytes of BAR 0"),
  bar1Start: u64("Address of BAR 1"),
  bar1Size: u64("Bytes of BAR 1"),
  bar2Start: u64("Address of BAR 2"),
  bar2Size: u64("Bytes of BAR 2"),
}));
const GpuXid = sequence("GPU Xid", EVENT_SOURCE, () => ({
  code: u32("Xid code"),
  message: blob("Message, ASCII"),
}));
const GpuRecommendedActions = struct("GPU Recommended Actions", 16, EVENT_SOURCE, () => ({
  flags: hex(u8("Flags")),
  reserved: reserved(3),
  recoveryAction: u16("Action that recovers"),
  diagnosticFlow: u16("Diagnostics to run"),
  reservedAfter: reserved(8),
}));

const EVENT_DATA_FORMAT = {
  opaque: 0,
  keyValues64: [1, "64-bit keys and values"],
  keyValues32: [2, "32-bit keys and values"],
  values64: [3, "64-bit values"],
  values32: [4, "32-bit values"],
  gpuInitMetadata: [0x8000, "GPU initialization metadata"],
  gpuXid: [0x8001, "GPU Xid"],
  gpuRecommendedActions: [0x8002, "GPU recommended actions"],
} as const;

const EventContext = sequence("NVIDIA Event Context", EVENT_SOURCE, () => ({
  size: u32("Bytes of the context with its padding"),
  version: u16("Version"),
  reserved: reserved(2),
  dataFormat: oneOf(2, "Form of the data; those from 0x8000 on are the source device's own", EVENT_DATA_FORMAT),
  dataFormatVersion: hex(u16("Version of the form")),
  dataSize: u32("Bytes of data"),
  data: window(
    ref("dataSize"),
    choice(ref("dataFormat"), "The data", {
      keyValues64: KeyValues64,
      keyValues32: KeyValues32,
      values64: Values64,
      values32: Values32,
      gpuInitMetadata: GpuInitMetadata,
      gpuXid: GpuXid,
      gpuRecommendedActions: GpuRecommendedActions,
    }),
  ),
  padding: gap(ref("size")),
}));
type EventContext = Parsed<typeof EventContext>;

const EVENT_DEVICE = { cpu: [0, "CPU"], gpu: [1, "GPU"] } as const;
const EVENT_ORIGINATOR = {
  invalid: 0,
  reserved1: 1,
  pfGspFirmware: [2, "physical function GSP firmware"],
  vfGspFirmware: [3, "virtual function GSP firmware"],
  pfDriver: [4, "physical function driver"],
  vfDriver: [5, "virtual function driver"],
} as const;
const CpuEventInfo = struct("NVIDIA CPU Event", 29, EVENT_SOURCE, () => ({
  socket: u8("Processor socket"),
  architecture: bits(4, "Architecture of the chip", {
    hidFamily: [0, 4],
    majorRevision: [4, 4],
    chipId: [8, 8],
    minorRevision: [16, 4],
    preSiliconPlatform: [20, 5],
    errorInjection: 31,
  }),
  serialNumber: initially(bytes(16, "Electronic chip id"), new Uint8Array(16)),
  instanceBase: u64("Address at which the instance's registers begin"),
}));
const GpuEventInfo = struct("NVIDIA GPU Event", 13, EVENT_SOURCE, () => ({
  originator: oneOf(1, "Who raised the event", EVENT_ORIGINATOR),
  sourcePartition: u16("Partition"),
  sourceSubPartition: u16("Sub-partition"),
  pdi: u64("Per-device identifier"),
}));
/** Version and size of the event information, which the size counts too. */
const INFO_HEADER = 3;

export const NvidiaEvent = sequence("NVIDIA Event", EVENT_SOURCE, () => ({
  version: u8("Version: 1"),
  contextCount: u8("Contexts that follow"),
  sourceDevice: oneOf(1, "Kind of device", EVENT_DEVICE),
  reserved: reserved(1),
  type: hex(u16("Kind of event, by the unit's own rules")),
  subtype: hex(u16("More of the kind")),
  linkId: u64("Events with the same number belong together"),
  signature: text(16, "Unit that reported"),
  infoVersion: hex(u16("Minor version in the low byte, major in the high byte")),
  infoSize: u8("Bytes of the event information, its version and size included"),
  info: window(ref("infoSize", { bias: -INFO_HEADER }), choice(ref("sourceDevice"), "Event information", { cpu: CpuEventInfo, gpu: GpuEventInfo })),
  contexts: list(EventContext, "Contexts", ref("contextCount")),
}));
export type NvidiaEvent = Parsed<typeof NvidiaEvent>;

const asText = (input: Uint8Array | undefined) => (input ? String.fromCharCode(...input).replace(/\0.*$/s, "") : "");
type XidData = Parsed<typeof GpuXid>;
const xids = (contexts: readonly EventContext[] | undefined) =>
  (contexts ?? []).flatMap(({ dataFormat, data }) => {
    if (dataFormat !== "gpuXid" || !data || data instanceof Uint8Array) return [];
    const { code, message } = data as XidData;
    return [`Xid ${code ?? "?"}: ${asText(message)}`];
  });
type EventInfo = Partial<Parsed<typeof CpuEventInfo> & Parsed<typeof GpuEventInfo>>;

export const nvidiaSections: readonly SectionType[] = [
  {
    guids: ["6d5244f2-2712-11ec-bea7-cb3fdb95c786"],
    name: "nvidia",
    title: "NVIDIA error",
    layout: NvidiaError,
    summary: (body: NvidiaError) =>
      [
        body.signature ?? "",
        body.severity === undefined ? "" : valueLabel(SEVERITY, body.severity),
        `socket ${body.socket ?? 0}`,
        `error type ${hexNumber(body.errorType ?? 0)}`,
        `instance ${hexNumber(body.errorInstance ?? 0)}`,
      ]
        .filter((part) => part !== "")
        .join(", "),
    explain: explainError,
    secondHand: SOURCE,
  },
  {
    guids: ["9068e568-6ca0-11f0-aeaf-159343591eac"],
    name: "nvidiaEvent",
    title: "NVIDIA event",
    layout: NvidiaEvent,
    summary: (body: NvidiaEvent) => {
      const info: EventInfo = body.info && !(body.info instanceof Uint8Array) ? (body.info as EventInfo) : {};
      return [
        body.signature ?? "",
        body.sourceDevice === undefined ? "" : valueLabel(EVENT_DEVICE, body.sourceDevice),
        info.socket === undefined ? "" : `socket ${info.socket}`,
        info.sourcePartition === undefined || info.sourceSubPartition === undefined ? "" : `partition ${info.sourcePartition}.${info.sourceSubPartition}`,
        ...(xids(body.contexts).length > 0 ? xids(body.contexts) : [`type ${hexNumber(body.type ?? 0)}, subtype ${hexNumber(body.subtype ?? 0)}`]),
      ]
        .filter((part) => part !== "")
        .join(", ");
    },
    explain: (body: NvidiaEvent) => xids(body.contexts).map((words) => ({ label: words })),
    secondHand: EVENT_SOURCE,
  },
];
