/** The PCI Express and Advanced Error Reporting capabilities as sections carry them (PCI Express Base Specification 6.2, 7.5.3 and 7.8.4). */
import { array, bits, type Decoded, fieldLabel, hex, initially, orZero, struct, type Tree, u8, u16, u32 } from "../../layout/index.ts";
import { tlpTrees } from "./tlp.ts";
import { flagWords, requesterAddress } from "./words.ts";

/** Device/port type of the PCI Express capabilities register, and the port type of a PCIe section. */
export const PCIE_PORT_TYPE = {
  endpoint: [0, "PCI Express endpoint"],
  legacyEndpoint: [1, "legacy PCI Express endpoint"],
  rootPort: 4,
  upstreamSwitchPort: 5,
  downstreamSwitchPort: 6,
  pcieToPciBridge: [7, "PCI Express to PCI/PCI-X bridge"],
  pciToPcieBridge: [8, "PCI/PCI-X to PCI Express bridge"],
  rootComplexIntegratedEndpoint: 9,
  rootComplexEventCollector: 10,
} as const;

const LINK_SPEED = {
  gts2_5: [1, "2.5 GT/s"],
  gts5: [2, "5 GT/s"],
  gts8: [3, "8 GT/s"],
  gts16: [4, "16 GT/s"],
  gts32: [5, "32 GT/s"],
  gts64: [6, "64 GT/s"],
} as const;
const PAYLOAD = {
  bytes128: [0, "128 bytes"],
  bytes256: [1, "256 bytes"],
  bytes512: [2, "512 bytes"],
  bytes1024: [3, "1024 bytes"],
  bytes2048: [4, "2048 bytes"],
  bytes4096: [5, "4096 bytes"],
} as const;

export const PcieCapability = struct("PCI Express Capability", 60, "PCI Express 6.2, 7.5.3", () => ({
  capabilityId: initially(hex(u8("10 for PCI Express")), 0x10),
  nextPointer: orZero(hex(u8("Offset of the next capability, not meaningful in a record"))),
  capabilities: bits(2, "PCI Express capabilities", {
    version: [0, 4],
    portType: { at: [4, 4], names: PCIE_PORT_TYPE },
    slotImplemented: 8,
    interruptMessageNumber: [9, 5],
    flitModeSupported: 15,
  }),
  deviceCapabilities: bits(4, "Device capabilities", {
    maxPayloadSizeSupported: { at: [0, 3], names: PAYLOAD },
    phantomFunctionsSupported: [3, 2],
    extendedTagSupported: 5,
    l0sAcceptableLatency: [6, 3],
    l1AcceptableLatency: [9, 3],
    roleBasedErrorReporting: 15,
    errCorSubclassCapable: 16,
    rxMpsFixed: 17,
    capturedSlotPowerLimitValue: [18, 8],
    capturedSlotPowerLimitScale: [26, 2],
    functionLevelResetCapable: 28,
    mixedMpsSupported: 29,
    teeIoSupported: 30,
  }),
  deviceControl: bits(2, "Device control", {
    correctableErrorReporting: 0,
    nonFatalErrorReporting: 1,
    fatalErrorReporting: 2,
    unsupportedRequestReporting: 3,
    relaxedOrdering: 4,
    maxPayloadSize: { at: [5, 3], names: PAYLOAD },
    extendedTag: 8,
    phantomFunctions: 9,
    auxPowerPm: 10,
    noSnoop: 11,
    maxReadRequestSize: { at: [12, 3], names: PAYLOAD },
    functionLevelReset: 15,
  }),
  deviceStatus: bits(2, "Device status", {
    correctableErrorDetected: 0,
    nonFatalErrorDetected: 1,
    fatalErrorDetected: 2,
    unsupportedRequestDetected: 3,
    auxPowerDetected: 4,
    transactionsPending: 5,
    emergencyPowerReductionDetected: 6,
  }),
  linkCapabilities: bits(4, "Link capabilities", {
    maxLinkSpeed: { at: [0, 4], names: LINK_SPEED },
    maxLinkWidth: [4, 6],
    aspmSupport: [10, 2],
    l0sExitLatency: [12, 3],
    l1ExitLatency: [15, 3],
    clockPowerManagement: 18,
    surpriseDownErrorReportingCapable: 19,
    dataLinkLayerLinkActiveReportingCapable: 20,
    linkBandwidthNotificationCapable: 21,
    aspmOptionalityCompliance: 22,
    portNumber: [24, 8],
  }),
  linkControl: bits(2, "Link control", {
    aspmControl: [0, 2],
    ptmPropagationDelayAdaptation: 2,
    readCompletionBoundary128: 3,
    linkDisable: 4,
    retrainLink: 5,
    commonClockConfiguration: 6,
    extendedSynch: 7,
    clockPowerManagement: 8,
    hardwareAutonomousWidthDisable: 9,
    linkBandwidthManagementInterrupt: 10,
    linkAutonomousBandwidthInterrupt: 11,
    srisClocking: 12,
    flitModeDisable: 13,
    drsSignalingControl: [14, 2],
  }),
  linkStatus: bits(2, "Link status", {
    currentLinkSpeed: { at: [0, 4], names: LINK_SPEED },
    negotiatedLinkWidth: [4, 6],
    linkTraining: 11,
    slotClockConfiguration: 12,
    dataLinkLayerLinkActive: 13,
    linkBandwidthManagementStatus: 14,
    linkAutonomousBandwidthStatus: 15,
  }),
  slotCapabilities: bits(4, "Slot capabilities", {
    attentionButtonPresent: 0,
    powerControllerPresent: 1,
    mrlSensorPresent: 2,
    attentionIndicatorPresent: 3,
    powerIndicatorPresent: 4,
    hotPlugSurprise: 5,
    hotPlugCapable: 6,
    slotPowerLimitValue: [7, 8],
    slotPowerLimitScale: [15, 2],
    electromechanicalInterlockPresent: 17,
    noCommandCompletedSupport: 18,
    physicalSlotNumber: [19, 13],
  }),
  slotControl: bits(2, "Slot control", {
    attentionButtonPressedEnable: 0,
    powerFaultDetectedEnable: 1,
    mrlSensorChangedEnable: 2,
    presenceDetectChangedEnable: 3,
    commandCompletedInterruptEnable: 4,
    hotPlugInterruptEnable: 5,
    attentionIndicatorControl: [6, 2],
    powerIndicatorControl: [8, 2],
    powerControllerControl: 10,
    electromechanicalInterlockControl: 11,
    dataLinkLayerStateChangedEnable: 12,
    autoSlotPowerLimitDisable: 13,
    inBandPresenceDetectDisable: 14,
  }),
  slotStatus: bits(2, "Slot status", {
    attentionButtonPressed: 0,
    powerFaultDetected: 1,
    mrlSensorChanged: 2,
    presenceDetectChanged: 3,
    commandCompleted: 4,
    mrlSensorOpen: 5,
    presenceDetected: 6,
    electromechanicalInterlockEngaged: 7,
    dataLinkLayerStateChanged: 8,
  }),
  rootControl: bits(2, "Root control", {
    systemErrorOnCorrectable: 0,
    systemErrorOnNonFatal: 1,
    systemErrorOnFatal: 2,
    pmeInterruptEnable: 3,
    configurationRrsSoftwareVisibility: 4,
    noNfmSubtreeBelow: 5,
  }),
  rootCapabilities: bits(2, "Root capabilities", { configurationRrsSoftwareVisibility: 0 }),
  rootStatus: bits(4, "Root status", { pmeRequesterId: [0, 16], pmeStatus: 16, pmePending: 17 }),
  deviceCapabilities2: bits(4, "Device capabilities 2", {
    completionTimeoutRanges: [0, 4],
    completionTimeoutDisableSupported: 4,
    ariForwardingSupported: 5,
    atomicOpRoutingSupported: 6,
    atomicOp32CompleterSupported: 7,
    atomicOp64CompleterSupported: 8,
    cas128CompleterSupported: 9,
    noRoEnabledPrPrPassing: 10,
    ltrSupported: 11,
    tphCompleterSupported: [12, 2],
    tenBitTagCompleterSupported: 16,
    tenBitTagRequesterSupported: 17,
    obffSupported: [18, 2],
    extendedFmtSupported: 20,
    endEndTlpPrefixSupported: 21,
    maxEndEndTlpPrefixes: [22, 2],
    emergencyPowerReductionSupported: [24, 2],
    emergencyPowerReductionInitializationRequired: 26,
    dmwrCompleterSupported: 28,
    dmwrLengthsSupported: [29, 2],
    frsSupported: 31,
  }),
  deviceControl2: bits(2, "Device control 2", {
    completionTimeoutValue: [0, 4],
    completionTimeoutDisable: 4,
    ariForwarding: 5,
    atomicOpRequester: 6,
    atomicOpEgressBlocking: 7,
    idoRequest: 8,
    idoCompletion: 9,
    ltr: 10,
    emergencyPowerReductionRequest: 11,
    tenBitTagRequester: 12,
    obff: [13, 2],
    endEndTlpPrefixBlocking: 15,
  }),
  deviceStatus2: orZero(hex(u16("Device status 2"))),
  linkCapabilities2: bits(4, "Link capabilities 2", {
    gts2_5Supported: 1,
    gts5Supported: 2,
    gts8Supported: 3,
    gts16Supported: 4,
    gts32Supported: 5,
    gts64Supported: 6,
    crosslinkSupported: 8,
    lowerSkpGenerationSpeeds: [9, 7],
    lowerSkpReceptionSpeeds: [16, 7],
    retimerPresenceDetectSupported: 23,
    twoRetimersPresenceDetectSupported: 24,
    drsSupported: 31,
  }),
  linkControl2: bits(2, "Link control 2", {
    targetLinkSpeed: { at: [0, 4], names: LINK_SPEED },
    enterCompliance: 4,
    hardwareAutonomousSpeedDisable: 5,
    selectableDeEmphasis: 6,
    transmitMargin: [7, 3],
    enterModifiedCompliance: 10,
    complianceSos: 11,
    compliancePreset: [12, 4],
  }),
  linkStatus2: bits(2, "Link status 2", {
    currentDeEmphasis: 0,
    equalizationComplete: 1,
    equalizationPhase1Successful: 2,
    equalizationPhase2Successful: 3,
    equalizationPhase3Successful: 4,
    linkEqualizationRequest: 5,
    retimerPresenceDetected: 6,
    twoRetimersPresenceDetected: 7,
    crosslinkResolution: [8, 2],
    flitModeStatus: 10,
    downstreamComponentPresence: [12, 3],
    drsMessageReceived: 15,
  }),
  slotCapabilities2: bits(4, "Slot capabilities 2", { inBandPresenceDetectDisableSupported: 0 }),
  slotControl2: orZero(hex(u16("Slot control 2"))),
  slotStatus2: orZero(hex(u16("Slot status 2"))),
}));

/** Bits of the uncorrectable error status, mask and severity registers (PCI Express 6.2, 7.8.4.2). */
export const UNCORRECTABLE_ERROR = {
  trainingError: 0,
  dataLinkProtocolError: 4,
  surpriseDownError: 5,
  poisonedTlp: 12,
  flowControlProtocolError: 13,
  completionTimeout: 14,
  completerAbort: 15,
  unexpectedCompletion: 16,
  receiverOverflow: 17,
  malformedTlp: 18,
  ecrcError: 19,
  unsupportedRequest: 20,
  acsViolation: 21,
  uncorrectableInternalError: 22,
  mcBlockedTlp: 23,
  atomicOpEgressBlocked: 24,
  tlpPrefixBlocked: 25,
  poisonedTlpEgressBlocked: 26,
  dmwrRequestEgressBlocked: 27,
  ideCheckFailed: 28,
  misroutedIdeTlp: 29,
  pcrcCheckFailed: 30,
  tlpTranslationEgressBlocked: 31,
} as const;
/** Bits of the correctable error status and mask registers (PCI Express 6.2, 7.8.4.5). */
export const CORRECTABLE_ERROR = {
  receiverError: 0,
  badTlp: 6,
  badDllp: 7,
  replayNumRollover: 8,
  replayTimerTimeout: 12,
  advisoryNonFatalError: 13,
  correctedInternalError: 14,
  headerLogOverflow: 15,
} as const;

export const PcieAer = struct("PCI Express Advanced Error Reporting Capability", 96, "PCI Express 6.2, 7.8.4", () => ({
  header: bits(4, "Extended capability header", { id: [0, 16], version: [16, 4], next: [20, 12] }),
  uncorrectableStatus: bits(4, "Uncorrectable errors that occurred", UNCORRECTABLE_ERROR),
  uncorrectableMask: bits(4, "Uncorrectable errors that are not reported", UNCORRECTABLE_ERROR),
  uncorrectableSeverity: bits(4, "Uncorrectable errors that are fatal", UNCORRECTABLE_ERROR),
  correctableStatus: bits(4, "Correctable errors that occurred", CORRECTABLE_ERROR),
  correctableMask: bits(4, "Correctable errors that are not reported", CORRECTABLE_ERROR),
  control: bits(4, "Advanced error capabilities and control", {
    firstErrorPointer: [0, 5],
    ecrcGenerationCapable: 5,
    ecrcGenerationEnable: 6,
    ecrcCheckCapable: 7,
    ecrcCheckEnable: 8,
    multipleHeaderRecordingCapable: 9,
    multipleHeaderRecordingEnable: 10,
    tlpPrefixLogPresent: 11,
    completionTimeoutLogCapable: 12,
    headerLogSize: [13, 5],
    loggedTlpWasFlitMode: 18,
    loggedTlpSize: [19, 5],
  }),
  headerLog: orZero(array(4, hex(u32("Four bytes of the header, the first in bits 31:24")), "Header of the TLP that caused the first error")),
  rootErrorCommand: bits(4, "Root error command", { correctableReporting: 0, nonFatalReporting: 1, fatalReporting: 2 }),
  rootErrorStatus: bits(4, "Root error status", {
    correctableReceived: 0,
    multipleCorrectableReceived: 1,
    uncorrectableReceived: 2,
    multipleUncorrectableReceived: 3,
    firstUncorrectableFatal: 4,
    nonFatalReceived: 5,
    fatalReceived: 6,
    correctableSubclass: [7, 2],
    interruptMessageNumber: [27, 5],
  }),
  correctableSourceId: orZero(hex(u16("Requester id of the first correctable error"))),
  uncorrectableSourceId: orZero(hex(u16("Requester id of the first uncorrectable error"))),
  prefixLog: orZero(array(4, hex(u32("TLP prefix, or a further dword of the header in flit mode")), "TLP prefix log")),
  flitLog: orZero(array(6, hex(u32("A further dword of the header")), "More of the header, in flit mode")),
}));

type Aer = Decoded<typeof PcieAer>;

/** The errors an AER capability holds, worst first, in words: "completion timeout (fatal)", "bad TLP (corrected)". */
export function aerErrors(aer: Partial<Aer>): string[] {
  const severity = aer.uncorrectableSeverity as Readonly<Record<string, unknown>> | undefined;
  const masked = (mask: object | undefined, name: string) => ((mask as Readonly<Record<string, unknown>> | undefined)?.[name] === true ? ", masked" : "");
  const of = (status: object | undefined, mask: object | undefined, kind: (name: string) => string) =>
    Object.entries(status ?? {})
      .filter(([name, set]) => set === true && name !== "rest")
      .map(([name]) => `${fieldLabel(name)} (${kind(name)}${masked(mask, name)})`);
  const uncorrectable = of(aer.uncorrectableStatus, aer.uncorrectableMask, (name) => (severity?.[name] === true ? "fatal" : "non-fatal"));
  return [
    ...uncorrectable.filter((text) => text.includes("(fatal")),
    ...uncorrectable.filter((text) => !text.includes("(fatal")),
    ...of(aer.correctableStatus, aer.correctableMask, () => "corrected"),
  ];
}

/** What the registers of an AER capability mean: first error, root port messages, the logged packet. */
export function aerTrees(aer: Partial<Aer>): Tree[] {
  const out: Tree[] = [];
  for (const text of aerErrors(aer)) out.push({ label: "error", text });
  const first = aer.control?.firstErrorPointer;
  const name = Object.entries(UNCORRECTABLE_ERROR).find(([, bit]) => bit === first)?.[0];
  const logged = flagWords(aer.uncorrectableStatus).length > 0;
  if (logged && name !== undefined) out.push({ label: "first error", text: fieldLabel(name) });
  const root = flagWords(aer.rootErrorStatus);
  if (root.length > 0) {
    out.push({ label: "root port", text: root.join(", ") });
    if (aer.rootErrorStatus?.correctableReceived) out.push({ label: "correctable error from", text: requesterAddress(aer.correctableSourceId ?? 0) });
    if (aer.rootErrorStatus?.uncorrectableReceived) out.push({ label: "uncorrectable error from", text: requesterAddress(aer.uncorrectableSourceId ?? 0) });
  }
  if (logged && aer.headerLog) {
    if (aer.control?.loggedTlpWasFlitMode) out.push({ label: "logged packet", text: "a flit-mode header: shown as dwords only" });
    else {
      const packet = tlpTrees(aer.headerLog);
      if (packet.length > 0) out.push({ label: "logged packet", children: packet });
    }
  }
  return out;
}
