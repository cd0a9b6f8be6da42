/** What Windows' event-log entries carry, by event id (WDK ntddk.h WHEAP_… structures, packed). A further event is one row. */
import { Notification } from "../../acpi/notification.ts";
import {
  array,
  blob,
  bytes,
  hex,
  initially,
  type Layout,
  list,
  oneOf,
  orZero,
  padding,
  type Root,
  sequence,
  struct,
  text,
  u16,
  u32,
  u64,
} from "../../layout/index.ts";
import { ERROR_SOURCE_TYPE } from "../error-source-type.ts";
import { RecordHeader } from "../record.ts";
import { yesNo } from "../sections/whea-machine-check.ts";
import { WheaErrorSource } from "./source.ts";

const SOURCE = "WDK ntddk.h";
type Payload = Layout<unknown, "required", Root>;

const status = orZero(hex(u32("NT status")));
const words = (size: number, doc: string) => orZero(text(size, doc));
const pfn = (doc: string) => orZero(u64(doc));
const address = (doc: string) => orZero(u64(doc));
const count = (doc: string) => orZero(u32(doc));
const number = (doc: string) => orZero(hex(u32(doc)));
/** A name in UTF-16, fixed size. */
const wide = (size: number, doc: string) => initially(bytes(size, `${doc}, UTF-16`), new Uint8Array(size));

const Kernel = struct("Report Started", 8, SOURCE, () => ({ record: address("Kernel address of the record") }));
const OneStatus = struct("Status", 4, SOURCE, () => ({ status }));
const OnePage = struct("Page", 8, SOURCE, () => ({ physicalAddress: address("Physical address") }));
const MemoryDevice = struct("Memory Device", 12, SOURCE, () => ({ socket: count("Processor socket"), channel: count("Channel"), slot: count("DIMM slot") }));
const CmciRestart = struct("CMCI Restart", 16, SOURCE, () => ({
  attempts: count("Restarts so far"),
  attemptLimit: count("Restarts at most"),
  errorsFound: count("Errors found"),
  errorLimit: count("Errors at most"),
}));
const SpuriousAer = struct("AER Event", 24, SOURCE, () => ({
  severity: count("Severity"),
  handler: count("Handler"),
  sourceId: number("Error source id"),
  rootErrorCommand: number("Root error command"),
  rootErrorStatus: number("Root error status"),
  deviceBitmap: number("Devices"),
}));
const Throttle = struct("Throttling", 4, SOURCE, () => ({ type: orZero(oneOf(4, "What is throttled", { pcie: [0, "PCIe"], memory: 1 })) }));
const OneValue = struct("Value", 4, SOURCE, () => ({ value: count("Value") }));
const instructions = {
  error: words(32, "What went wrong"),
  tableValid: yesNo("Whether the table is valid"),
  beginOperation: count("Instructions of action begin"),
  getTriggerTable: count("Instructions of action get trigger table"),
  setErrorType: count("Instructions of action set error type"),
  getErrorType: count("Instructions of action get error type"),
  endOperation: count("Instructions of action end"),
  executeOperation: count("Instructions of action execute"),
  checkBusy: count("Instructions of action check busy"),
  getCommandStatus: count("Instructions of action get command status"),
  setErrorTypeWithAddress: count("Instructions of action set error type with address"),
  getExecuteTimings: count("Instructions of action get execute timings"),
} as const;

const InitializedSource = sequence("Initialized Source", `${SOURCE}, WHEA_ERROR_SOURCE with the compiler's own alignment`, () => ({
  next: address("Kernel address of the next source"),
  previous: address("Kernel address of the previous source"),
  failedAllocations: count("Allocations that failed"),
  platformErrorSourceId: number("Platform's id of the source"),
  errorCount: count("Errors so far"),
  recordCount: count("Records"),
  recordLength: count("Bytes of a record"),
  poolTag: number("Tag of its memory"),
  type: orZero(oneOf(4, "Kind of error source", ERROR_SOURCE_TYPE)),
  alignment: orZero(hex(u32("Not used"))),
  records: address("Kernel address of the records"),
  context: address("Kernel address of the source's own data"),
  sectionCount: count("Sections of a record"),
  sectionLength: count("Bytes of a section"),
  tick: orZero(u64("Time of the last error")),
  accumulatedErrors: count("Errors since then"),
  totalErrors: count("Errors in all"),
  deferred: yesNo("Whether its errors are deferred"),
  alignmentAfter: initially(bytes(3, "Not used"), new Uint8Array(3)),
  busy: number("Busy"),
  descriptor: WheaErrorSource,
  padding: padding(8),
}));

const DimmAddress = struct("DIMM Address", 6, SOURCE, () => ({ bank: u16("Bank"), column: u16("Column"), row: u16("Row") }));
const PcieAddress = initially(bytes(16, "Address of the device"), new Uint8Array(16));

interface EventType {
  readonly id: number;
  readonly words: string;
  readonly payload?: Payload;
}
const KERNEL = 0x80000000;
const event = (id: number, label: string, payload?: Payload): EventType => ({ id: KERNEL + id, words: label, ...(payload && { payload }) });

export const WHEA_EVENTS = {
  cmcPollingTimeout: event(0x01, "polling for corrected machine checks timed out"),
  wheaInit: event(
    0x02,
    "WHEA initialized",
    sequence("WHEA Initialized", SOURCE, () => ({ sources: list(InitializedSource, "Error sources") })),
  ),
  cmcSwitchToPolling: event(0x03, "corrected machine checks are now polled"),
  droppedCorrectedError: event(
    0x04,
    "corrected error dropped",
    struct("Dropped Corrected Error", 8, SOURCE, () => ({
      sourceType: orZero(oneOf(4, "Kind of error source", ERROR_SOURCE_TYPE)),
      sourceId: count("Error source id"),
    })),
  ),
  reportStarted: event(0x05, "error report started", Kernel),
  pfaPageOfflined: event(
    0x06,
    "page taken offline by predictive failure analysis",
    struct("Page Offlined", 10, SOURCE, () => ({
      decision: orZero(oneOf(4, "Why", { predictiveFailure: 1, uncorrectedError: 2 })),
      immediate: yesNo("Whether at once"),
      page: number("Page"),
      notifyPlatform: yesNo("Whether the platform is told"),
    })),
  ),
  pfaRemoveMonitor: event(
    0x07,
    "page no longer watched",
    struct("Monitor Removed", 16, SOURCE, () => ({
      trigger: orZero(oneOf(4, "Why", { threshold: 1, timeout: [2, "time-out"], capacity: 3 })),
      timeInList: count("Time it was watched"),
      errorCount: count("Errors"),
      page: number("Page"),
    })),
  ),
  pfaPolicy: event(
    0x08,
    "policy of predictive failure analysis",
    struct("Predictive Failure Policy", 19, SOURCE, () => ({
      registryKeys: number("Registry keys that are present"),
      disableOffline: yesNo("Whether no page is taken offline"),
      persistOffline: yesNo("Whether pages stay offline"),
      disabled: yesNo("Whether the analysis is off"),
      pageCount: count("Pages watched at most"),
      errorThreshold: count("Errors of a page at most"),
      timeout: count("Time a page is watched"),
    })),
  ),
  pshedInjectError: event(
    0x09,
    "error injected",
    struct("Error Injection", 42, SOURCE, () => ({
      errorType: number("Kind of error"),
      parameter1: orZero(u64("Parameter 1")),
      parameter2: orZero(u64("Parameter 2")),
      parameter3: orZero(u64("Parameter 3")),
      parameter4: orZero(u64("Parameter 4")),
      status,
      attempted: yesNo("Whether it was attempted"),
      byPlugIn: yesNo("Whether a plug-in did it"),
    })),
  ),
  oscImplemented: event(
    0x0a,
    "_OSC evaluated",
    struct("_OSC", 2, SOURCE, () => ({
      implemented: yesNo("Whether the platform implements it"),
      debugChecked: yesNo("Whether it was checked for debugging"),
    })),
  ),
  plugInRegister: event(
    0x0b,
    "plug-in registered",
    struct("Plug-in Registered", 16, SOURCE, () => ({
      version: count("Version"),
      length: count("Bytes of its description"),
      functionalAreas: number("Functional areas"),
      status,
    })),
  ),
  addRemoveErrorSource: event(
    0x0c,
    "error source added or removed",
    sequence("Error Source Added or Removed", SOURCE, () => ({ descriptor: WheaErrorSource, status, removed: yesNo("Whether it was removed") })),
  ),
  workItem: event(0x0d, "work item queued"),
  attemptRecovery: event(
    0x0e,
    "recovery attempted",
    struct("Recovery Attempted", 134, SOURCE, () => ({
      record: RecordHeader,
      byArchitecture: yesNo("Whether the processor's rules were tried"),
      byPshed: yesNo("Whether the platform driver was asked"),
      status,
    })),
  ),
  mcaFoundErrorInBank: event(
    0x0f,
    "machine check found in a bank",
    struct("Error in Bank", 20, SOURCE, () => ({
      processor: count("Processor"),
      bank: count("Bank"),
      bankStatus: orZero(u64("MCi_STATUS")),
      errorSourceType: orZero(oneOf(4, "Kind of error source", ERROR_SOURCE_TYPE)),
    })),
  ),
  mcaStuckError: event(
    0x10,
    "machine check stuck in a bank",
    struct("Stuck Error", 16, SOURCE, () => ({ processor: count("Processor"), bank: count("Bank"), bankStatus: orZero(u64("MCi_STATUS")) })),
  ),
  mcaErrorCleared: event(
    0x11,
    "stuck machine check cleared",
    struct("Error Cleared", 8, SOURCE, () => ({ processor: count("Processor"), bank: count("Bank") })),
  ),
  clearedPoison: event(0x12, "poison cleared", OnePage),
  processEinj: event(0x13, "EINJ table processed", struct("EINJ Processed", 73, SOURCE, instructions)),
  processHest: event(
    0x14,
    "HEST table processed",
    struct("HEST Processed", 101, SOURCE, () => ({
      error: words(32, "What went wrong"),
      entryType: words(32, "Kind of the entry"),
      entryIndex: count("Number of the entry"),
      hestValid: yesNo("Whether the table is valid"),
      correctedMachineChecks: count("Corrected machine check sources"),
      machineChecks: count("Machine check sources"),
      nmis: count("NMI sources"),
      aerRootPorts: count("AER root port sources"),
      aerBridges: count("AER bridge sources"),
      aerEndpoints: count("AER endpoint sources"),
      genericV1: count("Generic sources"),
      genericV2: count("Generic version 2 sources"),
    })),
  ),
  createGenericRecord: event(
    0x15,
    "generic record created",
    struct("Generic Record", 40, SOURCE, () => ({ error: words(32, "What went wrong"), entryCount: count("Entries"), status })),
  ),
  errorRecord: event(0x16, "error record", Kernel),
  errorRecordLimit: event(0x17, "limit of error records reached"),
  aerNotGranted: event(0x18, "firmware did not grant AER to the operating system"),
  errorSourceArrayInvalid: event(
    0x19,
    "array of error sources is not valid",
    struct("Error Source Array", 12, SOURCE, () => ({
      count: count("Sources"),
      reportedLength: count("Bytes reported"),
      expectedLength: count("Bytes expected"),
    })),
  ),
  acpiTimeout: event(
    0x1a,
    "ACPI time-out",
    struct("ACPI Time-out", 64, SOURCE, () => ({ table: words(32, "Table"), request: words(32, "Request") })),
  ),
  cmciRestart: event(0x1b, "corrected machine check interrupts switched on again", CmciRestart),
  cmciFinalRestart: event(0x1c, "corrected machine check interrupts switched on for the last time", CmciRestart),
  errorSourceInvalid: event(
    0x20,
    "error source is not valid",
    sequence("Error Source Invalid", SOURCE, () => ({ descriptor: WheaErrorSource, error: words(32, "What is wrong") })),
  ),
  genericErrorMapping: event(
    0x21,
    "memory of a generic error source could not be mapped",
    struct("Mapping Failed", 48, SOURCE, () => ({
      reason: words(32, "What was to be mapped"),
      physicalAddress: address("Physical address"),
      length: orZero(u64("Bytes")),
    })),
  ),
  selBugcheckProgress: event(
    0x23,
    "progress of a system stop",
    struct("Stop Progress", 8, SOURCE, () => ({ code: number("Stop code"), summary: number("Summary") })),
  ),
  plugInLoad: event(
    0x24,
    "plug-in loaded",
    struct("Plug-in Loaded", 72, SOURCE, () => ({ name: wide(64, "Name"), majorVersion: count("Major version"), minorVersion: count("Minor version") })),
  ),
  plugInUnload: event(
    0x25,
    "plug-in unloaded",
    struct("Plug-in Unloaded", 64, SOURCE, () => ({ name: wide(64, "Name") })),
  ),
  plugInSupported: event(
    0x26,
    "plug-in platform support",
    struct("Plug-in Support", 65, SOURCE, () => ({ name: wide(64, "Name"), supported: yesNo("Whether it supports the platform") })),
  ),
  deviceDriver: event(
    0x27,
    "device driver",
    struct("Device Driver", 32, SOURCE, () => ({ function: words(32, "Function") })),
  ),
  cmciPresent: event(
    0x28,
    "corrected machine check interrupts",
    struct("CMCI Present", 1, SOURCE, () => ({ present: yesNo("Whether the processor has them") })),
  ),
  cmciInitError: event(
    0x29,
    "corrected machine check interrupts could not be set up",
    struct("CMCI Setup Error", 20, SOURCE, () => ({ msr: orZero(u64("Register")), type: count("Kind"), bank: count("Bank"), index: count("Processor") })),
  ),
  selBugcheckRecovery: event(
    0x2a,
    "recovery of data of an earlier system stop",
    sequence("Stop Data Recovery", `${SOURCE}: one of four forms, told apart by length`, () => ({ data: blob("Start, multiple, phase 1 or phase 2") })),
  ),
  heartbeat: event(0x2d, "heartbeat"),
  dimmMismatch: event(
    0x30,
    "DIMM addresses do not agree",
    struct("DIMM Mismatch", 18, SOURCE, () => ({ firmware: orZero(DimmAddress), retryRead: orZero(DimmAddress), translation: orZero(DimmAddress) })),
  ),
  edpcEnabled: event(
    0x31,
    "enhanced downstream port containment",
    struct("eDPC", 2, SOURCE, () => ({ enabled: yesNo("Whether it is enabled"), recoveryEnabled: yesNo("Whether recovery is enabled") })),
  ),
  pageOfflineDone: event(0x32, "page is offline", OnePage),
  srarDetail: event(
    0x35,
    "details of an error that required action",
    struct("Action Required", 17, SOURCE, () => ({
      flags: number("Flags"),
      physicalAddress: address("Physical address"),
      status,
      kernel: yesNo("Whether in kernel mode"),
    })),
  ),
  throttleEvent41: event(0x41, "throttling of error reports", Throttle),
  throttleEvent43: event(0x43, "throttling of error reports", Throttle),
  pcieRemoveDevice: event(
    0x46,
    "PCIe device no longer watched",
    struct("PCIe Device Removed", 20, SOURCE, () => ({ address: PcieAddress, mask: number("Correctable error mask") })),
  ),
  pcieAddDevice: event(
    0x47,
    "PCIe device watched",
    struct("PCIe Device Added", 25, SOURCE, () => ({
      address: PcieAddress,
      mask: number("Correctable error mask"),
      updated: yesNo("Whether it was known"),
      status,
    })),
  ),
  pcieSpuriousAer: event(0x48, "spurious AER interrupt", SpuriousAer),
  memoryAddDevice: event(0x49, "memory device watched", MemoryDevice),
  memoryRemoveDevice: event(0x4a, "memory device no longer watched", MemoryDevice),
  memorySummaryFailed: event(0x4b, "summary failed", OneStatus),
  pcieDpcError: event(
    0x4c,
    "downstream port containment could not recover",
    struct("DPC Error", 20, SOURCE, () => ({
      type: orZero(oneOf(4, "Why", { noBus: 1, complexTree: [2, "the tree below the port is too complex"], badDeviceId: 3, deviceReset: 4, noChildren: 5 })),
      bus: number("Bus"),
      device: number("Device"),
      function: count("Function"),
      deviceId: orZero(hex(u16("PCI device"))),
      vendorId: orZero(hex(u16("PCI vendor"))),
    })),
  ),
  cpuBusesInitFailed: event(0x4d, "processor buses could not be set up", OneStatus),
  plugInInitFailed: event(0x4e, "plug-in could not be set up", OneStatus),
  badHestNotification: event(
    0x53,
    "notification of a HEST entry is not valid",
    struct("Bad Notification", 32, SOURCE, () => ({ sourceId: orZero(u16("Error source id")), reserved: orZero(u16("Reserved")), notification: Notification })),
  ),
  rowFailure: event(
    0x54,
    "DRAM row failure",
    struct("Row Failure", 16, SOURCE, () => ({ lowPage: pfn("Lowest page frame"), highPage: pfn("Highest page frame") })),
  ),
  pfaCallback: event(
    0x58,
    "answer of a predictive failure handler",
    struct("Predictive Failure Callback", 24, SOURCE, () => ({
      page: number("Page"),
      tag: number("Tag"),
      status,
      action: orZero(oneOf(4, "What was done", { none: 0, demoted: 1, notReplaced: 2, replaced: 3 })),
      info: orZero(u64("More")),
    })),
  ),
  cpuid: event(
    0x5a,
    "processor",
    struct("Processor", 20, SOURCE, () => ({
      vendor: count("Vendor"),
      family: number("Family"),
      model: number("Model"),
      stepping: count("Stepping"),
      bankCount: count("Machine-check banks"),
    })),
  ),
  rowOffline: event(
    0x64,
    "DRAM row taken offline",
    struct("Row Offline", 28, SOURCE, () => ({
      firstPage: pfn("First page frame"),
      lastPage: pfn("Last page frame"),
      range: count("Pages"),
      status,
      reason: count("Reason"),
    })),
  ),
  bitOffline: event(
    0x65,
    "page of a failing bit taken offline",
    struct("Bit Offline", 16, SOURCE, () => ({ page: pfn("Page frame"), status, reason: count("Reason") })),
  ),
  badGenericAddress: event(
    0x66,
    "generic address is not valid",
    struct("Bad Generic Address", 4, SOURCE, () => ({
      reason: orZero(oneOf(4, "What is wrong", { spaceId: [1, "address space"], fields: 2, accessSize: 3 })),
    })),
  ),
  crashDumpError: event(
    0x67,
    "crash dump error",
    sequence("Crash Dump Error", SOURCE, () => ({
      location: number("Where in the code"),
      status,
      ioStatus: list(struct("I/O Status", 4, SOURCE, { status }), "Newer builds add the status of the I/O"),
    })),
  ),
  crashDumpCheckpoint: event(0x68, "crash dump checkpoint", OneValue),
  crashDumpProgress: event(0x69, "crash dump progress in percent", OneValue),
  selStackDump: event(
    0x6b,
    "stack of a stopped system",
    struct("Stack", 256, SOURCE, () => ({ stack: array(32, u64("Word"), "Words of the stack") })),
  ),
  pciePromotedAer: event(0x6c, "AER error promoted to fatal", SpuriousAer),
  processEinjV2: event(
    0x6f,
    "EINJ table processed",
    struct("EINJ Version 2 Processed", 337, SOURCE, () => ({
      ...instructions,
      einjV2Address: address("Physical address"),
      einjV2Data: orZero(bytes(256, "Data")),
    })),
  ),
  plugInTrace: event(
    0x40010,
    "plug-in trace",
    struct("Plug-in Trace", 256, SOURCE, () => ({ message: words(256, "Message") })),
  ),
} as const satisfies Readonly<Record<string, EventType>>;
