/** Windows' PCI Express sections (WDK ntddk.h; the registers are those of PCI Express 6.2). */
import {
  array,
  bits,
  hex,
  initially,
  list,
  oneOf,
  orZero,
  type Parsed,
  ref,
  type SectionType,
  sequence,
  struct,
  type Tree,
  u16,
  u32,
  valueLabel,
} from "../../layout/index.ts";
import { CORRECTABLE_ERROR } from "./pcie-capability.ts";

const DPC = "PCI Express 6.2, 7.9.14";
const TRIGGER_REASON = {
  unmaskedUncorrectable: [0, "unmasked uncorrectable error"],
  nonFatalMessage: [1, "ERR_NONFATAL received"],
  fatalMessage: [2, "ERR_FATAL received"],
  extended: [3, "see the extension"],
} as const;
const TRIGGER_EXTENSION = { rootPortPio: [0, "root port programmed I/O error"], softwareTrigger: [1, "software trigger"] } as const;

/** Kinds of programmed I/O of a root port that can fail. */
const ROOT_PORT_PIO = {
  configurationUnsupportedRequest: 0,
  configurationCompleterAbort: 1,
  configurationCompletionTimeout: 2,
  ioUnsupportedRequest: 8,
  ioCompleterAbort: 9,
  ioCompletionTimeout: 10,
  memoryUnsupportedRequest: 16,
  memoryCompleterAbort: 17,
  memoryCompletionTimeout: 18,
} as const;

export const WheaDpcCapability = struct("PCI Express DPC Capability", 68, `WDK ntddk.h, WHEA_PCIE_DPC_CAPABILITY_SECTION; ${DPC}`, () => ({
  header: bits(4, "Extended capability header; the id is 0x1d", { id: [0, 16], version: [16, 4], next: [20, 12] }),
  capability: bits(2, "What the port can do", {
    interruptMessage: [0, 5],
    rootPortExtensions: 5,
    poisonedTlpEgressBlocking: 6,
    softwareTriggering: 7,
    rootPortPioLogSize: [8, 4],
    dlActiveErrorCorrectable: 12,
  }),
  control: bits(2, "What is enabled", {
    triggerEnable: { at: [0, 2], names: { disabled: 0, onFatal: [1, "on fatal errors"], onNonFatal: [2, "on non-fatal and fatal errors"] } },
    completionControl: 2,
    interruptEnable: 3,
    errorCorrectableEnable: 4,
    poisonedTlpEgressBlockingEnable: 5,
    softwareTrigger: 6,
    dlActiveErrorCorrectableEnable: 7,
  }),
  status: bits(2, "What happened", {
    triggered: 0,
    triggerReason: { at: [1, 2], names: TRIGGER_REASON },
    interrupt: 3,
    rootPortBusy: 4,
    triggerReasonExtension: { at: [5, 2], names: TRIGGER_EXTENSION },
    firstErrorPointer: [8, 5],
  }),
  sourceId: bits(2, "Requester that sent the error message", { function: [0, 3], device: [3, 5], bus: [8, 8] }),
  rootPortPioStatus: bits(4, "Root port programmed I/O errors that occurred", ROOT_PORT_PIO),
  rootPortPioMask: bits(4, "Those that are masked", ROOT_PORT_PIO),
  rootPortPioSeverity: bits(4, "Those that are uncorrectable", ROOT_PORT_PIO),
  rootPortPioSystemError: bits(4, "Those that raise a system error", ROOT_PORT_PIO),
  rootPortPioException: bits(4, "Those that raise an exception", ROOT_PORT_PIO),
  headerLog: orZero(array(4, hex(u32("Four bytes of the header")), "Header of the request that failed first")),
  implementationLog: orZero(hex(u32("Implementation specific log"))),
  tlpPrefixLog: orZero(array(4, hex(u32("Prefix")), "TLP prefixes")),
}));
export type WheaDpcCapability = Parsed<typeof WheaDpcCapability>;

function dpcSummary({ status, sourceId }: WheaDpcCapability): string {
  if (!status?.triggered) return "not triggered";
  const reason = status.triggerReason;
  const why = reason === "extended" ? valueLabel(TRIGGER_EXTENSION, status.triggerReasonExtension ?? 0) : valueLabel(TRIGGER_REASON, reason ?? 0);
  const byMessage = reason === "nonFatalMessage" || reason === "fatalMessage";
  return `triggered: ${why}${byMessage ? `, from ${(sourceId?.bus ?? 0).toString(16).padStart(2, "0")}:${(sourceId?.device ?? 0).toString(16).padStart(2, "0")}.${sourceId?.function ?? 0}` : ""}`;
}

const CorrectablePcieDevice = struct("PCI Express Correctable Error Counts", 156, "WDK ntddk.h, PCIE_CORRECTABLE_ERROR_SUMMARY", () => ({
  validation: bits(8, "Which fields hold data", { segment: 0, bus: 1, device: 2, function: 3, correctableMask: 4, counts: 5 }),
  segment: orZero(hex(u32("Segment"))),
  bus: orZero(hex(u32("Bus"))),
  device: orZero(hex(u32("Device"))),
  function: orZero(u32("Function")),
  correctableMask: bits(4, "Correctable errors that are not reported", CORRECTABLE_ERROR),
  counts: orZero(array(32, u32("Errors"), "Errors for each bit of the correctable error status register")),
}));
export const WheaPcieCorrectableSummary = sequence(
  "Windows PCI Express Correctable Error Summary",
  "WDK ntddk.h, WHEA_PCIE_CORRECTABLE_ERROR_SUMMARY_SECTION",
  () => ({
    version: u16("Version"),
    count: u16("Devices that follow"),
    devices: list(CorrectablePcieDevice, "Devices", ref("count")),
  }),
);
export type WheaPcieCorrectableSummary = Parsed<typeof WheaPcieCorrectableSummary>;

const COUNTED: Readonly<Record<number, string>> = Object.fromEntries(Object.entries(CORRECTABLE_ERROR).map(([name, bit]) => [bit, name]));
const words = (name: string) => name.replace(/([a-z0-9])([A-Z])/g, "$1 $2").toLowerCase();
type CorrectableDevice = NonNullable<WheaPcieCorrectableSummary["devices"]>[number];
const deviceName = ({ validation: valid = {}, segment, bus, device, function: f }: CorrectableDevice) =>
  [
    valid.segment ? `${segment.toString(16).padStart(4, "0")}:` : "",
    valid.bus ? bus.toString(16).padStart(2, "0") : "??",
    ":",
    valid.device ? device.toString(16).padStart(2, "0") : "??",
    ".",
    valid.function ? f : "?",
  ].join("");
const countsOf = (device: CorrectableDevice): string[] =>
  device.counts.flatMap((count, bit) => (count === 0 ? [] : [`${count} ${COUNTED[bit] === undefined ? `of bit ${bit}` : words(COUNTED[bit])}`]));

const RECOVERY_SIGNAL = { unknown: 0, aer: [1, "AER"], dpc: [2, "DPC"] } as const;
const RECOVERY_STATUS = {
  unknown: 0,
  noError: 1,
  linkDisableTimeout: 2,
  linkEnableTimeout: 3,
  rootPortBusyTimeout: 4,
  complexTree: [5, "the tree below the port is too complex"],
  busNotFound: 6,
  deviceNotFound: 7,
  assignedDeviceAerNotRecoverable: [8, "AER error of an assigned device, not recoverable"],
  failed: 9,
  recoveredNoDevices: [10, "recovered, no devices"],
  cxlAerNotRecoverable: [11, "CXL AER error, not recoverable"],
} as const;
export const WheaPciRecovery = struct("Windows PCI Recovery", 3, "WDK ntddk.h, WHEA_PCI_RECOVERY_SECTION", () => ({
  signal: initially(oneOf(1, "What started the recovery", RECOVERY_SIGNAL), "unknown"),
  attempted: initially(oneOf(1, "Whether a recovery was attempted", { no: 0, yes: 1 }), "no"),
  status: initially(oneOf(1, "How it ended", RECOVERY_STATUS), "unknown"),
}));
export type WheaPciRecovery = Parsed<typeof WheaPciRecovery>;

export const wheaPcieSections: readonly SectionType[] = [
  {
    guids: ["ec49534b-30e7-4358-972f-eca6958fae3b"],
    name: "wheaDpcCapability",
    title: "PCI Express downstream port containment",
    layout: WheaDpcCapability,
    summary: dpcSummary,
    explain: (body: WheaDpcCapability): readonly Tree[] => [{ label: "containment", text: dpcSummary(body) }],
  },
  {
    guids: ["e96eca99-53e2-4f52-9be7-d2dbe9508ed0"],
    name: "wheaPcieCorrectableSummary",
    title: "Windows PCI Express correctable error summary",
    layout: WheaPcieCorrectableSummary,
    summary: (body: WheaPcieCorrectableSummary) =>
      (body.devices ?? [])
        .map((device) => `${deviceName(device)} ${device.validation.counts ? countsOf(device).join(" and ") || "no errors" : "no counts"}`)
        .join(", "),
    explain: (body: WheaPcieCorrectableSummary): readonly Tree[] =>
      (body.devices ?? []).map((device) => ({ label: `device ${deviceName(device)}`, children: countsOf(device).map((label) => ({ label })) })),
  },
  {
    guids: ["dd060800-f6e1-4204-ac27-c4bca9568402"],
    name: "wheaPciRecovery",
    title: "Windows PCI recovery",
    layout: WheaPciRecovery,
    summary: (body: WheaPciRecovery) =>
      [
        body.signal === undefined || body.signal === "unknown" ? "" : valueLabel(RECOVERY_SIGNAL, body.signal),
        body.attempted === "yes" ? "recovery attempted" : "no recovery attempted",
        body.status === undefined || body.status === "unknown" ? "" : valueLabel(RECOVERY_STATUS, body.status),
      ]
        .filter((part) => part !== "")
        .join(", "),
  },
];
