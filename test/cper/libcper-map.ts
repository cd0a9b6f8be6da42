/**
 * Where libcper's JSON holds the fields our layouts name, and where the two are known to differ: every leaf of
 * its decode has a row here, or the comparison fails.
 */
import {
  ArmBusError,
  ArmCacheError,
  ArmContext,
  type ArmProcessor,
  ArmTlbError,
  armContextsBackToBack,
  armErrorInformation,
  armErrorKinds,
} from "../../src/cper/sections/arm-processor.ts";
import { type Ia32x64Processor, X86Context, x86ContextsBackToBack } from "../../src/cper/sections/ia32x64.ts";
import type { PciComponent } from "../../src/cper/sections/pci.ts";
import { type BitsNode, bitRange, type EnumNode, encode, isVouched, type Node, numberOf, type Root, spans, timestampBytes } from "../../src/layout/index.ts";

type Leaf = bigint | string;
type Leaves = Map<string, Leaf>;

// ---- libcper's side ----

/** Parse JSON whose integers may exceed 2^53: those become strings of digits. */
export const parseExact = (text: string): unknown => JSON.parse(text.replace(/([:[,]\s*)(\d{15,})(?=\s*[,\]}])/g, '$1"$2"'));

const SAID: Readonly<Record<string, bigint>> = { Supported: 1n, NotSupported: 0n, Passing: 1n, Failed: 0n, Enabled: 1n, Disabled: 0n, Fatal: 1n, NonFatal: 0n };
function leafOf(value: unknown): Leaf {
  if (typeof value === "boolean") return value ? 1n : 0n;
  if (typeof value === "number") return BigInt(value);
  const text = String(value);
  if (/^(0x[0-9a-f]+|\d{15,})$/i.test(text)) return BigInt(text);
  return SAID[text] ?? text;
}

/** Leaves that only repeat another one in words. */
const WORDS =
  /(^|\.)(name|description|state)$|errorAffinity\.type$|multipleError\.type$|(componentType|ipInstanceFormat|ipTypeFormat|device_port_type)\.value$|^(notificationType|sectionType)\.type$|^deviceID\.class$/;

export function theirLeaves(value: unknown): Leaves {
  const out: Leaves = new Map();
  const walk = (item: unknown, path: string) => {
    if (Array.isArray(item)) for (const [i, part] of item.entries()) walk(part, `${path}[${i}]`);
    else if (typeof item === "object" && item !== null) for (const [name, part] of Object.entries(item)) walk(part, path === "" ? name : `${path}.${name}`);
    else if (!WORDS.test(path)) out.set(path, leafOf(item));
  };
  walk(value, "");
  return out;
}

// ---- our side ----

const base64 = (bytes: Uint8Array) => Buffer.from(bytes).toString("base64");

/** Fields of a parsed body as numbers and text, by path, together with whether the validation bits vouch for them. */
function ourLeaves(root: Root, value: object): Map<string, { leaf: Leaf; vouched: boolean }> {
  const out = new Map<string, { leaf: Leaf; vouched: boolean }>();
  const put = (path: string, leaf: Leaf, vouched: boolean) => void out.set(path, { leaf, vouched });
  const fields = (node: Root, values: Record<string, unknown>, path: string, vouched: boolean) => {
    for (const [name, field] of Object.entries(node.fields) as [string, Node][])
      visit(field, values[name], path === "" ? name : `${path}.${name}`, vouched && isVouched(node, values, name) !== false, values, node);
  };
  const visit = (node: Node, item: unknown, path: string, vouched: boolean, siblings: Record<string, unknown>, parent: Root): void => {
    if (item === undefined) return;
    switch (node.kind) {
      case "uint":
        put(path, BigInt(item as number | bigint), vouched);
        break;
      case "enum":
        put(path, BigInt(enumNumber(node, item)), vouched);
        break;
      case "bits":
        bitLeaves(node, item as Record<string, unknown>, path, vouched, memberGate(parent, siblings), put);
        break;
      case "struct":
      case "sequence":
        fields(node, item as Record<string, unknown>, path, vouched);
        break;
      case "list":
        for (const [i, part] of (item as Record<string, unknown>[]).entries()) fields(node.item as Root, part, `${path}[${i}]`, vouched);
        break;
      case "array":
        for (const [i, part] of (item as unknown[]).entries()) visit(node.item, part, `${path}[${i}]`, vouched, {}, parent);
        break;
      case "window":
        visit(node.item, item, path, vouched, siblings, parent);
        break;
      case "choice":
        if (item instanceof Uint8Array) put(path, base64(item), vouched);
        else fields(node.cases[String(siblings[node.on.path])]!, item as Record<string, unknown>, path, vouched);
        break;
      case "bytes":
      case "blob":
        put(path, base64(item as Uint8Array), vouched);
        break;
      case "guid":
      case "text":
      case "timestamp":
        put(path, item as string, vouched);
        break;
      default:
    }
  };
  fields(root, value as Record<string, unknown>, "", true);
  return out;
}
const enumNumber = (node: EnumNode, item: unknown): number => (typeof item === "number" ? item : numberOf(node.names[item as string]!));
/** In check registers each member has a validation bit of its own name. */
function memberGate(parent: Root, values: Record<string, unknown>): (member: string) => boolean {
  const validation = parent.fields["validation"];
  const given = (values["validation"] ?? {}) as Record<string, unknown>;
  return (member) =>
    validation?.kind !== "bits" || !Object.hasOwn(validation.members, member) || parent.fields["details"] === undefined || given[member] === true;
}
function bitLeaves(
  node: BitsNode,
  item: Record<string, unknown>,
  path: string,
  vouched: boolean,
  gate: (member: string) => boolean,
  put: (path: string, leaf: Leaf, vouched: boolean) => void,
): void {
  let word = (item["rest"] as bigint | undefined) ?? 0n;
  const parts: [string, bigint][] = [];
  for (const [name, member] of Object.entries(node.members)) {
    const given = item[name];
    const number =
      given === true
        ? 1n
        : typeof given === "string" && typeof member === "object" && "names" in member
          ? BigInt(numberOf(member.names[given]!))
          : BigInt((given as number) || 0);
    word |= number << BigInt(bitRange(member)[0]);
    parts.push([name, number]);
  }
  for (const [name, number] of parts) put(`${path}.${name}`, number, vouched && gate(name));
  put(`${path}.$word`, word, vouched);
}

// ---- rows ----

/** The timestamp's bytes as plain BCD, which libcper takes every one for: the encodings ours tells apart are no matter of the fields' places. */
function bcdTime(text: string): string {
  const [second, minute, hour, , day, month, year, century] = [...timestampBytes(text)!].map((byte) => String((byte >> 4) * 10 + (byte & 15)).padStart(2, "0"));
  return `${century}${year}-${month}-${day}T${hour}:${minute}:${second}+00:00`;
}
/** Their path to ours; a function where theirs is made from ours. `[]` stands for any index, the same on both sides. */
type Rows = Readonly<Record<string, string | readonly [ours: string, change: (leaf: Leaf) => Leaf]>>;
const shifted = (by: number, width: number) => (leaf: Leaf) => ((leaf as bigint) >> BigInt(by)) & ((1n << BigInt(width)) - 1n);
const fromBcd = (leaf: Leaf) => ((leaf as bigint) >> 4n) * 10n + ((leaf as bigint) & 15n);
const same = (names: readonly string[], prefix = "", ours = ""): Rows => Object.fromEntries(names.map((name) => [prefix + name, ours + name]));

const ERROR_STATUS: Rows = {
  "errorStatus.errorType.value": "errorStatus.type",
  "errorStatus.addressSignal": "errorStatus.address",
  "errorStatus.controlSignal": "errorStatus.control",
  "errorStatus.dataSignal": "errorStatus.data",
  "errorStatus.detectedByResponder": "errorStatus.responder",
  "errorStatus.detectedByRequester": "errorStatus.requestor",
  "errorStatus.firstError": "errorStatus.first",
  "errorStatus.overflowDroppedLogs": "errorStatus.overflow",
};
const PAGE_TABLE: Rows = Object.fromEntries([1, 2, 3, 4, 5, 6].map((level) => [`pageTableEntry_Level${level}`, `pageTableLevel${level}`]));
const MEMORY: Rows = {
  ...ERROR_STATUS,
  "bank.value": "bank",
  "bank.address": ["bank", shifted(0, 8)],
  "bank.group": ["bank", shifted(8, 8)],
  "memoryErrorType.value": "memoryErrorType",
  cardSmbiosHandle: "cardHandle",
  moduleSmbiosHandle: "moduleHandle",
  physicalAddressHex: "physicalAddress",
  requestorID: "requestorId",
  responderID: "responderId",
  targetID: "targetId",
  ...same(["physicalAddress", "physicalAddressMask", "node", "card", "device", "row", "column", "bitPosition"]),
};
const DETAILS = ["transactionType.value", "operation.value"];
const armDetails = (kind: string, more: Rows = {}): Rows =>
  Object.fromEntries(
    Object.entries({
      ...Object.fromEntries(DETAILS.map((name) => [name, `details.${name.replace(".value", "")}`])),
      level: "details.level",
      processorContextCorrupt: "details.processorContextCorrupt",
      corrected: "details.corrected",
      precisePC: "details.precisePc",
      restartablePC: "details.restartablePc",
      ...more,
    }).map(([theirs, ours]) => [`errorInfo[].errorInformation.${kind}.${theirs}`, `errorInfos[].${kind}.${ours}`]),
  );
const GPU_METADATA = "eventContexts[].data.gpuInitMetadata";
const pdiText = (leaf: Leaf) => (leaf as bigint).toString(16).padStart(16, "0").toUpperCase().match(/../g)!.join(":");
const CHECK = "processorErrorInfo[].checkInfo.";
const OUR_CHECK = "errorInfos[].checkInformation.";
const SYSTEM = "contextInfo[].registerArray.";
const NIBBLES = ["eax", "ebx", "ecx", "edx"];

export const ROWS: Readonly<Record<string, Rows>> = {
  GenericProcessor: {
    "processorType.value": "processorType",
    "processorISA.value": "instructionSet",
    "errorType.value": "errorType.$word",
    "operation.value": "operation",
    "flags.restartable": "flags.restartable",
    "flags.preciseIP": "flags.preciseIp",
    "flags.overflow": "flags.overflow",
    "flags.corrected": "flags.corrected",
    level: "level",
    cpuVersionInfo: "cpuVersion",
    cpuBrandString: "brandString",
    processorID: "processorId",
    targetAddress: "targetAddress",
    requestorID: "requestorId",
    responderID: "responderId",
    instructionIP: "instructionPointer",
  },
  Ia32x64Processor: {
    processorErrorInfoNum: "validation.errorInfoCount",
    processorContextInfoNum: "validation.contextCount",
    localAPICID: "localApicId",
    ...Object.fromEntries(NIBBLES.map((name) => [`cpuidInfo.${name}`, `cpuid.${name}`])),
    "processorErrorInfo[].type.guid": "errorInfos[].errorType",
    "processorErrorInfo[].targetAddressID": "errorInfos[].targetIdentifier",
    "processorErrorInfo[].requestorID": "errorInfos[].requestorIdentifier",
    "processorErrorInfo[].responderID": "errorInfos[].responderIdentifier",
    "processorErrorInfo[].instructionPointer": "errorInfos[].instructionPointer",
    [`${CHECK}transactionType.value`]: `${OUR_CHECK}details.transactionType`,
    [`${CHECK}operation.value`]: `${OUR_CHECK}details.operation`,
    [`${CHECK}level`]: `${OUR_CHECK}details.level`,
    [`${CHECK}processorContextCorrupt`]: `${OUR_CHECK}details.processorContextCorrupt`,
    [`${CHECK}uncorrected`]: `${OUR_CHECK}details.uncorrected`,
    [`${CHECK}preciseIP`]: `${OUR_CHECK}details.preciseIp`,
    [`${CHECK}restartableIP`]: `${OUR_CHECK}details.restartableIp`,
    [`${CHECK}overflow`]: `${OUR_CHECK}details.overflow`,
    [`${CHECK}errorType.value`]: `${OUR_CHECK}details.errorType`,
    [`${CHECK}participationType.value`]: `${OUR_CHECK}details.participation`,
    [`${CHECK}timedOut`]: `${OUR_CHECK}bus.timeOut`,
    [`${CHECK}addressSpace.value`]: `${OUR_CHECK}bus.addressSpace`,
    "processorContextInfo[].registerContextType.value": "contexts[].contextType",
    "processorContextInfo[].registerArraySize": "contexts[].arraySize",
    "processorContextInfo[].msrAddress": "contexts[].msrAddress",
    "processorContextInfo[].mmRegisterAddress": "contexts[].memoryAddress",
    "processorContextInfo[].registerArray.data": "contexts[].registers.$bytes",
    "processorContextInfo[].registerArray.gdtr_0": "contexts[].registers.gdtr.low",
    "processorContextInfo[].registerArray.gdtr_1": "contexts[].registers.gdtr.high",
    "processorContextInfo[].registerArray.idtr_0": "contexts[].registers.idtr.low",
    "processorContextInfo[].registerArray.idtr_1": "contexts[].registers.idtr.high",
    "processorContextInfo[].registerArray.eip": ["contexts[].registers.ip", (leaf) => leaf],
    ...same(
      "eax ebx ecx edx esi edi ebp esp eflags rax rbx rcx rdx rsi rdi rbp rsp r8 r9 r10 r11 r12 r13 r14 r15 rflags cs ds ss es fs gs cr0 cr1 cr2 cr3 cr4 cr8 gdtr idtr ldtr tr".split(
        " ",
      ),
      "processorContextInfo[].registerArray.",
      "contexts[].registers.",
    ),
  },
  ArmProcessor: {
    errorInfoNum: "errorInfoCount",
    contextInfoNum: "contextCount",
    sectionLength: "sectionLength",
    "errorAffinity.value": "affinityLevel",
    mpidrEl1: "mpidr",
    affinity3: ["mpidr", shifted(32, 8)],
    midrEl1: "midr",
    running: "runningState.running",
    psciState: "psciState",
    "vendorSpecificInfo.data": "vendorInformation",
    "errorInfo[].version": "errorInfos[].version",
    "errorInfo[].length": "errorInfos[].length",
    "errorInfo[].errorType.value": "errorInfos[].errorType",
    "errorInfo[].multipleError.value": "errorInfos[].multipleError",
    "errorInfo[].flags.firstErrorCaptured": "errorInfos[].flags.firstErrorCaptured",
    "errorInfo[].flags.lastErrorCaptured": "errorInfos[].flags.lastErrorCaptured",
    "errorInfo[].flags.propagated": "errorInfos[].flags.propagated",
    "errorInfo[].flags.overflow": "errorInfos[].flags.overflow",
    "errorInfo[].virtualFaultAddress": "errorInfos[].virtualFaultAddress",
    "errorInfo[].physicalFaultAddress": "errorInfos[].physicalFaultAddress",
    ...armDetails("cacheError"),
    ...armDetails("tlbError"),
    ...armDetails("busError", {
      "participationType.value": "details.participationType",
      timedOut: "details.timeOut",
      "addressSpace.value": "bus.addressSpace",
      memoryAttributes: "bus.memoryAttributes",
      "accessMode.value": "bus.accessMode",
    }),
    "contextInfo[].version": "contexts[].version",
    "contextInfo[].registerContextType.value": "contexts[].contextType",
    "contextInfo[].registerArraySize": "contexts[].arraySize",
    [`${SYSTEM}mrsEncoding.op2`]: "contexts[].registers.registers[0].encoding.op2",
    [`${SYSTEM}mrsEncoding.crm`]: "contexts[].registers.registers[0].encoding.crm",
    [`${SYSTEM}mrsEncoding.crn`]: "contexts[].registers.registers[0].encoding.crn",
    [`${SYSTEM}mrsEncoding.op1`]: "contexts[].registers.registers[0].encoding.op1",
    [`${SYSTEM}mrsEncoding.o0`]: "contexts[].registers.registers[0].encoding.o0",
    [`${SYSTEM}value`]: "contexts[].registers.registers[0].value",
    [`${SYSTEM}r13_sp`]: "contexts[].registers.r13",
    [`${SYSTEM}r14_lr`]: "contexts[].registers.r14",
    [`${SYSTEM}r15_pc`]: "contexts[].registers.r15",
    [`${SYSTEM}sctlr_ns`]: "contexts[].registers.sctlr",
    // The other registers have the same names.
    [SYSTEM]: "contexts[].registers.",
  },
  Memory: {
    ...MEMORY,
    moduleRank: "module",
    rankNumber: "rankNumber",
    "extended.rowBit16": ["extended.row", shifted(0, 1)],
    "extended.rowBit17": ["extended.row", shifted(1, 1)],
    "extended.chipIdentification": "extended.chipIdentification",
  },
  Memory2: { ...MEMORY, module: "module", rank: "rank", chipID: "chipIdentification", "status.value": "status.uncorrected" },
  Pcie: {
    "portType.value": "portType",
    "version.minor": ["version.minor", fromBcd],
    "version.major": ["version.major", fromBcd],
    "commandStatus.commandRegister": "command.$word",
    "commandStatus.statusRegister": "status.$word",
    "bridgeControlStatus.secondaryStatusRegister": "bridgeSecondaryStatus.$word",
    "bridgeControlStatus.controlRegister": "bridgeControl.$word",
    deviceSerialNumber: "serialNumber",
    ...Object.fromEntries(
      (
        [
          ["vendorID", "vendorId"],
          ["deviceID", "deviceId"],
          ["classCode", "classCode"],
          ["functionNumber", "function"],
          ["deviceNumber", "device"],
          ["segmentNumber", "segment"],
          ["primaryOrDeviceBusNumber", "primaryBus"],
          ["secondaryBusNumber", "secondaryBus"],
          ["slotNumber", "slot.number"],
        ] as const
      ).flatMap(([theirs, ours]) => [
        [`deviceID.${theirs}`, `deviceId.${ours}`],
        [`deviceID.${theirs}_Hex`, `deviceId.${ours}`],
      ]),
    ),
    "capabilityStructure.data": "capability.$bytes",
    "aerInfo.data": "aer.$bytes",
    "capabilityStructure.pcie_capability_header.capability_id.raw": "capability.capabilityId",
    "capabilityStructure.pcie_capability_header.next_capability_pointer": "capability.nextPointer",
    "aerInfo.error_source_id.err_cor_source_identification": "aer.correctableSourceId",
    "aerInfo.error_source_id.err_fatal_nonfatal_source_identification": "aer.uncorrectableSourceId",
    // The registers are compared member by member, by their names in snake case.
    "capabilityStructure.": "capability.",
    "aerInfo.": "aer.",
  },
  PciBus: {
    ...ERROR_STATUS,
    "errorType.value": "errorType",
    "busID.busNumber": "busId.bus",
    "busID.segmentNumber": "busId.segment",
    busAddress: "busAddress",
    busData: "busData",
    busCommandType: ["busCommand.pciX", (leaf) => (leaf === 1n ? "PCI-X" : "PCI")],
    busRequestorID: "requestorId",
    busRequestorIDHex: "requestorId",
    busCompleterID: "completerId",
    busCompleterIDHex: "completerId",
    targetID: "targetId",
  },
  PciComponent: {
    ...ERROR_STATUS,
    "idInfo.vendorID": "deviceId.vendorId",
    "idInfo.deviceID": "deviceId.deviceId",
    "idInfo.classCode": "deviceId.classCode",
    "idInfo.functionNumber": "deviceId.function",
    "idInfo.deviceNumber": "deviceId.device",
    "idInfo.busNumber": "deviceId.bus",
    "idInfo.segmentNumber": "deviceId.segment",
    memoryNumber: "memoryCount",
    ioNumber: "ioCount",
    "registerDataPairs[].firstHalf": "registers[].address",
    "registerDataPairs[].secondHalf": "registers[].value",
  },
  Firmware: {
    "errorRecordType.value": "errorRecordType",
    revision: "revision",
    recordID: "recordId",
    recordIDGUID: "extension.recordGuid",
  },
  GenericDmar: {
    requesterID: "requesterId",
    segmentNumber: "segment",
    "faultReason.value": "faultReason",
    "accessType.value": "accessType",
    "addressType.value": "addressType",
    "architectureType.value": "architecture",
    deviceAddress: "deviceAddress",
  },
  VtdDmar: {
    ...PAGE_TABLE,
    version: "version.$word",
    revision: "revision",
    oemID: ["oemId", (leaf) => [...(leaf as string)].reduceRight((sum, letter) => sum * 256n + BigInt(letter.charCodeAt(0)), 0n)],
    capabilityRegister: "capability.$word",
    extendedCapabilityRegister: "extendedCapability.$word",
    globalCommandRegister: "globalCommand.$word",
    globalStatusRegister: "globalStatus.$word",
    faultStatusRegister: "faultStatus.$word",
    "faultRecord.faultInformation": ["faultRecord.faultInformation", shifted(12, 52)],
    "faultRecord.sourceIdentifier": "faultRecord.source.sourceId",
    "faultRecord.privelegeModeRequested": "faultRecord.source.privilegeMode",
    "faultRecord.executePermissionRequested": "faultRecord.source.executePermission",
    "faultRecord.pasidPresent": "faultRecord.source.pasidPresent",
    "faultRecord.faultReason": "faultRecord.source.faultReason",
    "faultRecord.pasidValue": "faultRecord.source.pasid",
    "faultRecord.addressType": "faultRecord.source.addressType",
    "faultRecord.type.value": "faultRecord.source.type1",
    rootEntry: "rootEntry",
    contextEntry: "contextEntry",
  },
  IommuDmar: {
    ...PAGE_TABLE,
    revision: "revision",
    controlRegister: "control.$word",
    statusRegister: "status.$word",
    eventLogEntry: "eventLogEntry.$bytes",
    deviceTableEntry: "deviceTableEntry.$bytes",
  },
  CcixPer: { length: "length", ccixSourceID: "sourceId", ccixPortID: "portId", ccixPERLog: "perLog" },
  CxlProtocol: {
    "agentType.value": "agentType",
    "cxlAgentAddress.value": "agentAddress.rcrbBase",
    "cxlAgentAddress.functionNumber": "agentAddress.function",
    "cxlAgentAddress.deviceNumber": "agentAddress.device",
    "cxlAgentAddress.busNumber": "agentAddress.bus",
    "cxlAgentAddress.segmentNumber": "agentAddress.segment",
    "deviceID.vendorID": "deviceId.vendorId",
    "deviceID.deviceID": "deviceId.deviceId",
    "deviceID.subsystemVendorID": "deviceId.subsystemVendorId",
    "deviceID.subsystemDeviceID": "deviceId.subsystemId",
    "deviceID.classCode": "deviceId.classCode",
    "deviceID.slotNumber": "deviceId.slot.number",
    deviceSerial: "serialNumber",
    capabilityStructure: "capability.$bytes",
    dvsecLength: "dvsecLength",
    errorLogLength: "errorLogLength",
    cxlDVSEC: "dvsec.$bytes",
    cxlErrorLog: "errorLog.$bytes",
  },
  CxlComponent: {
    length: "length",
    "deviceID.vendorID": "deviceId.vendorId",
    "deviceID.deviceID": "deviceId.deviceId",
    "deviceID.functionNumber": "deviceId.function",
    "deviceID.deviceNumber": "deviceId.device",
    "deviceID.busNumber": "deviceId.bus",
    "deviceID.segmentNumber": "deviceId.segment",
    "deviceID.slotNumber": "deviceId.slot.number",
    deviceSerial: "serialNumber",
    "cxlComponentEventLog.data": "event.$bytes",
  },
  header: {
    "revision.major": ["revision", shifted(8, 8)],
    "revision.minor": ["revision", shifted(0, 8)],
    sectionCount: "sectionCount",
    "severity.code": "severity",
    recordLength: "recordLength",
    timestamp: ["timestamp", (leaf) => bcdTime(leaf as string)],
    timestampIsPrecise: ["timestamp", (leaf) => ((leaf as string).includes("precise") ? 1n : 0n)],
    platformID: "platformId",
    partitionID: "partitionId",
    creatorID: "creatorId",
    "notificationType.guid": "notificationType",
    recordID: "recordId",
    "flags.value": "flags.$word",
    persistenceInfo: ["persistenceInformation", (leaf) => [...Buffer.from(leaf as string, "base64")].reduceRight((sum, byte) => sum * 256n + BigInt(byte), 0n)],
  },
  descriptor: {
    sectionOffset: "sectionOffset",
    sectionLength: "sectionLength",
    "revision.major": ["revision", shifted(8, 8)],
    "revision.minor": ["revision", shifted(0, 8)],
    "flags.primary": "flags.primary",
    "flags.containmentWarning": "flags.containmentWarning",
    "flags.reset": "flags.reset",
    "flags.errorThresholdExceeded": "flags.errorThresholdExceeded",
    "flags.resourceNotAccessible": "flags.resourceNotAccessible",
    "flags.latentError": "flags.latentError",
    "flags.propagated": "flags.propagated",
    "flags.overflow": "flags.overflow",
    "sectionType.data": "sectionType",
    fruID: "fruId",
    fruText: "fruText",
    "severity.code": "severity",
  },
  Nvidia: {
    signature: "signature",
    "severity.code": "severity",
    errorType: "errorType",
    errorInstance: "errorInstance",
    socket: "socket",
    registerCount: "registerCount",
    instanceBase: "instanceBase",
    "registers[].address": "registers[].address",
    "registers[].value": "registers[].value",
  },
  Ampere: { typeId: "typeId", subTypeId: "subtypeId", instanceId: "instanceId" },
  NvidiaEvent: {
    "eventHeader.signature": "signature",
    "eventHeader.version": "version",
    "eventHeader.sourceDeviceType": ["sourceDevice", (leaf) => (leaf === 0n ? "CPU" : "GPU")],
    "eventHeader.type": "type",
    "eventHeader.subtype": "subtype",
    "eventHeader.linkId": "linkId",
    "eventInfo.version": ["infoVersion", (leaf) => `${(leaf as bigint) >> 8n}.${(leaf as bigint) & 255n}`],
    "eventInfo.cpu.SocketNum": "info.socket",
    "eventInfo.cpu.Architecture.hidFam": "info.architecture.hidFamily",
    "eventInfo.cpu.Architecture.revision": ["info.architecture.$word", (leaf) => `${((leaf as bigint) >> 4n) & 15n}.${((leaf as bigint) >> 16n) & 15n}`],
    "eventInfo.cpu.Architecture.chipId": "info.architecture.chipId",
    "eventInfo.cpu.Architecture.preSiPlatform": ["info.architecture.preSiliconPlatform", (leaf) => (leaf === 0n ? "Silicon" : "PreSilicon")],
    "eventInfo.cpu.Architecture.errorInjection": "info.architecture.errorInjection",
    ...Object.fromEntries(
      [0, 1, 2, 3].map(
        (i) =>
          [`eventInfo.cpu.Ecid${i + 1}`, ["info.serialNumber", (leaf: Leaf) => BigInt(Buffer.from(leaf as string, "base64").readUInt32LE(i * 4))]] as const,
      ),
    ),
    "eventInfo.cpu.InstanceBase": "info.instanceBase",
    "eventInfo.gpu.EventOriginator": [
      "info.originator",
      (leaf) => ["Invalid", "Reserved1", "PF_GSP_FW", "VF_GSP_FW", "PF_DRIVER", "VF_DRIVER"][Number(leaf)] ?? "Unknown",
    ],
    "eventInfo.gpu.SourcePartition": "info.sourcePartition",
    "eventInfo.gpu.SourceSubPartition": "info.sourceSubPartition",
    "eventInfo.gpu.Pdi": ["info.pdi", pdiText],
    "eventContexts[].version": "contexts[].version",
    "eventContexts[].dataFormatType": "contexts[].dataFormat",
    "eventContexts[].dataFormatVersion": "contexts[].dataFormatVersion",
    "eventContexts[].dataSize": "contexts[].dataSize",
    "eventContexts[].data.opaque": ["contexts[].data", (leaf) => Buffer.from(leaf as string, "base64").toString("hex")],
    "eventContexts[].data.gpuLegacyXid.xidCode": "contexts[].data.code",
    "eventContexts[].data.gpuLegacyXid.message": [
      "contexts[].data.message",
      (leaf) =>
        Buffer.from(leaf as string, "base64")
          .toString("latin1")
          .replace(/\0.*$/s, ""),
    ],
    ...Object.fromEntries(
      ["flags", "recoveryAction", "diagnosticFlow"].map((name) => [`eventContexts[].data.gpuRecommendedActions.${name}`, `contexts[].data.${name}`]),
    ),
    ...Object.fromEntries(
      "deviceName firmwareVersion pfDriverMicrocodeVersion pfDriverVersion vfDriverVersion configuration hardwareInfoType"
        .split(" ")
        .map((name) => [`${GPU_METADATA}.${name}`, `contexts[].data.${name}`]),
    ),
    [`${GPU_METADATA}.pdi`]: ["contexts[].data.pdi", pdiText],
    [`${GPU_METADATA}.architectureId.raw`]: "contexts[].data.architectureId.$word",
    [`${GPU_METADATA}.architectureId.architecture`]: ["contexts[].data.architectureId.architecture", (leaf) => (leaf === 0x1an ? "Blackwell" : String(leaf))],
    [`${GPU_METADATA}.pciInfo.class`]: "contexts[].data.pciClass",
    [`${GPU_METADATA}.pciInfo.subclass`]: "contexts[].data.pciSubclass",
    [`${GPU_METADATA}.pciInfo.rev`]: "contexts[].data.pciRevision",
    ...Object.fromEntries(
      "vendorId deviceId subsystemVendorId subsystemId bar0Start bar0Size bar1Start bar1Size bar2Start bar2Size"
        .split(" ")
        .map((name) => [`${GPU_METADATA}.pciInfo.${name}`, `contexts[].data.${name}`]),
    ),
    "eventContexts[].data.type1.keyValArray64[].key64": "contexts[].data.pairs[].key",
    "eventContexts[].data.type1.keyValArray64[].val64": "contexts[].data.pairs[].value",
    "eventContexts[].data.type2.keyValArray32[].key32": "contexts[].data.pairs[].key",
    "eventContexts[].data.type2.keyValArray32[].val32": "contexts[].data.pairs[].value",
    "eventContexts[].data.type3.valArray64[].val64": "contexts[].data.values[].value",
    "eventContexts[].data.type4.valArray32[].val32": "contexts[].data.values[].value",
  },
  ArmRas: {
    revision: "revision",
    "componentType.raw": "componentType",
    errorSyndromeArrayNumEntries: "recordCount",
    "ipInstanceFormat.raw": "instanceFormat",
    "ipTypeFormat.raw": "typeFormat",
    "ipInstance.mpidrEl1": "instance.mpidr",
    "ipInstance.systemPhysicalAddress": "instance.address",
    "ipInstance.localAddressIdentifier": "instance.addressSpaceId",
    "ipInstance.baseAddress": "instance.baseAddress",
    "ipType.midrEl1": "type.midr",
    "ipType.revidrEl1": "type.revidr",
    "ipType.aidrEl1": "type.aidr",
    "ipType.iidr": "type.iidr",
    "ipType.aidr": "type.aidr",
    ...Object.fromEntries([0, 1, 2, 3, 4, 5, 6, 7].map((i) => [`ipType.pidr${i}`, `type.pidr${i}`])),
    userData: "userText",
    "errorSyndromes[].errorRecordIndex": "records[].recordIndex",
    "errorSyndromes[].rasExtensionRevisionField": ["records[].rasRevision", shifted(4, 4)],
    "errorSyndromes[].rasExtensionArchVersion": ["records[].rasRevision", shifted(0, 4)],
    "errorSyndromes[].errorRecordFeatureRegister": "records[].fr",
    "errorSyndromes[].errorRecordControlRegister": "records[].ctlr",
    "errorSyndromes[].errorRecordPrimaryStatusRegister": "records[].status.$word",
    "errorSyndromes[].errorRecordAddressRegister": "records[].addr",
    ...Object.fromEntries([0, 1, 2, 3].map((i) => [`errorSyndromes[].errorRecordMiscRegister${i}`, `records[].misc${i}`])),
    "auxData.version": "auxiliary[0].version",
    "auxData.contexts[].flags.addressSpaceIdentifierScope": [
      "auxiliary[0].contexts[].scope.local",
      (leaf) => (leaf === 1n ? "LocalAddressSpace" : "SystemPhysicalAddressSpace"),
    ],
    "auxData.contexts[].addressSpaceIdentifier": "auxiliary[0].contexts[].addressSpaceId",
    "auxData.contexts[].registers[].address": "auxiliary[0].contexts[].registers[].address",
    "auxData.contexts[].registers[].value": "auxiliary[0].contexts[].registers[].value",
    "auxData.keyValuePairs[].key": "auxiliary[0].keyValues[].key",
    "auxData.keyValuePairs[].value": "auxiliary[0].keyValues[].value",
    "auxData.keyValuePairs[].mpamPartId": "auxiliary[0].keyValues[].value",
  },
};

// ---- comparison ----

type Our = ReturnType<typeof ourLeaves>;

/** What libcper shows that is no field of ours: register blocks as base64, ARM error information by its kind, one list for two. */
function derived(kind: string, layout: Root, body: object, bytes: Uint8Array, out: Our): void {
  const map = spans(layout, body);
  const bytesAt = (path: string) => {
    const inside = map.filter((span) => span.path === path || span.path.startsWith(`${path}.`) || span.path.startsWith(`${path}[`));
    const [first] = inside;
    const last = inside.at(-1);
    return first && last ? bytes.subarray(first.offset, last.offset + last.size) : new Uint8Array(0);
  };
  const put = (path: string, gate: string) => {
    const level = path.split(".")[0]!;
    out.set(`${path}.$bytes`, { leaf: base64(bytesAt(path)), vouched: isVouched(layout, body as Record<string, unknown>, gate) !== false && level !== "" });
  };
  if (kind === "Pcie") for (const name of ["capability", "aer"]) put(name, name);
  if (kind === "CxlProtocol") for (const name of ["capability", "dvsec", "errorLog"]) put(name, name);
  if (kind === "CxlComponent") {
    const at = map.find((span) => span.path.startsWith("event") || span.path === "trailing")?.offset ?? bytes.length;
    out.set("event.$bytes", { leaf: base64(bytes.subarray(at)), vouched: (body as CxlBody).validation?.event === true });
  }
  if (kind === "IommuDmar") for (const name of ["eventLogEntry", "deviceTableEntry"]) put(name, name);
  if (kind === "Ia32x64Processor") {
    const { validation } = body as Ia32x64Processor;
    const { contexts } = x86ContextsBackToBack.read(body as Ia32x64Processor, validation?.contextCount ?? 0);
    replaceContexts(out, X86Context as unknown as Root, contexts);
    contexts.forEach((context, i) => {
      const at = `contexts[${i}].registers`;
      const named = context.contextType === "ia32Registers" || context.contextType === "x64Registers";
      if (!named) out.set(`${at}.$bytes`, { leaf: base64(registerBytes(context)), vouched: true });
      const ip = out.get(`${at}.${context.contextType === "x64Registers" ? "rip" : "eip"}`);
      if (ip) out.set(`${at}.ip`, ip);
    });
  }
  if (kind === "PciComponent") {
    const { memoryRegisters = [], ioRegisters = [], validation } = body as PciComponent;
    [...memoryRegisters, ...ioRegisters].forEach(({ address = 0n, value = 0n }, i) => {
      out.set(`registers[${i}].address`, { leaf: address, vouched: validation?.registerPairs === true });
      out.set(`registers[${i}].value`, { leaf: value, vouched: validation?.registerPairs === true });
    });
  }
  if (kind === "ArmProcessor") {
    const { contexts, rest } = armContextsBackToBack.read(body as ArmProcessor, (body as ArmProcessor).contextCount ?? 0);
    replaceContexts(out, ArmContext as unknown as Root, contexts);
    out.set("vendorInformation", { leaf: base64(rest), vouched: (body as ArmProcessor).validation?.vendorInformation === true });
    ((body as ArmProcessor).errorInfos ?? []).forEach((info, i) => {
      // The encoding libcper reads and writes.
      const kinds = armErrorKinds(info.errorType ?? 0, "uefi-2.11") ?? [];
      const [name] = kinds;
      const found = kinds.length === 1 ? ARM_INFORMATION[name as string] : undefined;
      if (!found || !info.validation?.errorInformation) return;
      for (const [path, leaf] of ourLeaves(found.layout, armErrorInformation(name!, info.errorInformation ?? 0n)!))
        out.set(`errorInfos[${i}].${found.name}.${path}`, leaf);
    });
  }
}
/** libcper writes and reads contexts without padding: compare with the same reading of the same bytes. */
function replaceContexts(out: Our, layout: Root, contexts: readonly object[]): void {
  for (const path of [...out.keys()]) if (path.startsWith("contexts[")) out.delete(path);
  contexts.forEach((context, i) => {
    for (const [path, leaf] of ourLeaves(layout, context)) out.set(`contexts[${i}].${path}`, leaf);
  });
}
const registerBytes = (context: object): Uint8Array => {
  const all = encode(X86Context, { ...context, padding: new Uint8Array(0) } as never);
  return all.subarray(16);
};
type CxlBody = { validation?: { event?: boolean } };
const ARM_INFORMATION: Readonly<Record<string, { name: string; layout: Root }>> = {
  cache: { name: "cacheError", layout: ArmCacheError as unknown as Root },
  tlb: { name: "tlbError", layout: ArmTlbError as unknown as Root },
  bus: { name: "busError", layout: ArmBusError as unknown as Root },
};

const indexed = (pattern: string, path: string): string => {
  const indices = [...path.matchAll(/\[(\d+)\]/g)].map((match) => match[1]);
  return pattern.replace(/\[\]/g, () => `[${indices.shift()}]`);
};
const general = (path: string) => path.replace(/\[\d+\]/g, "[]");
const camel = (name: string) => name.replace(/^_/, "").replace(/_([a-z0-9])/g, (_, letter: string) => letter.toUpperCase());

/** Registers and members of PCI Express capabilities whose names differ by more than their case and ending. */
const RENAMED: Readonly<Record<string, string>> = {
  pcie_capabilities: "capabilities",
  device_capabilities: "deviceCapabilities",
  capability_header: "header",
  uncorrectable_error_status: "uncorrectableStatus",
  uncorrectable_error_mask: "uncorrectableMask",
  uncorrectable_error_severity: "uncorrectableSeverity",
  correctable_error_status: "correctableStatus",
  correctable_error_mask: "correctableMask",
  advanced_error_capabilities_and_control: "control",
  capability_id: "id",
  capability_version: "version",
  next_capability_offset: "next",
  device_port_type: "portType",
  extended_tag_field_supported: "extendedTagSupported",
  endpoint_l0s_acceptable_latency: "l0sAcceptableLatency",
  endpoint_l1_acceptable_latency: "l1AcceptableLatency",
  function_level_reset_capability_supported: "functionLevelResetCapable",
  correctable_error_reporting_enable: "correctableErrorReporting",
  non_fatal_error_reporting_enable: "nonFatalErrorReporting",
  fatal_error_reporting_enable: "fatalErrorReporting",
  unsupported_request_reporting_enabled: "unsupportedRequestReporting",
  relaxed_ordering_enable: "relaxedOrdering",
  extended_tag_field_enable: "extendedTag",
  phantom_functions_enable: "phantomFunctions",
  aux_power_pm_enable: "auxPowerPm",
  enable_no_snoop: "noSnoop",
  emergency_power_reduction: "emergencyPowerReductionDetected",
  maximum_link_width: "maxLinkWidth",
  link_bandwidth_notification_capability: "linkBandwidthNotificationCapable",
  ptm_prop_delay_adaptation_interpretation: "ptmPropagationDelayAdaptation",
  mrl_sensor_state: "mrlSensorOpen",
  completion_timeout_ranges_supported: "completionTimeoutRanges",
  _32_bit_atomicop_completer_supported: "atomicOp32CompleterSupported",
  _64_bit_atomicop_completer_supported: "atomicOp64CompleterSupported",
  _128_bit_cas_completer_supported: "cas128CompleterSupported",
  ltr_mechanism_supported: "ltrSupported",
  ari_forwarding_enable: "ariForwarding",
  atomicop_requester_enable: "atomicOpRequester",
  atomicop_egress_blocking: "atomicOpEgressBlocking",
  ido_request_enable: "idoRequest",
  ido_completion_enable: "idoCompletion",
  ltr_mechanism_enable: "ltr",
  bit_tag_requester_10_enable: "tenBitTagRequester",
  obff_enable: "obff",
  lower_skp_os_generation_supported: "lowerSkpGenerationSpeeds",
  lower_skp_os_reception_supported: "lowerSkpReceptionSpeeds",
  compliance_preset_de_emphasis: "compliancePreset",
  current_de_emphasis_level: "currentDeEmphasis",
  equalization_8gts_complete: "equalizationComplete",
  equalization_8gts_phase1_successful: "equalizationPhase1Successful",
  equalization_8gts_phase2_successful: "equalizationPhase2Successful",
  equalization_8gts_phase3_successful: "equalizationPhase3Successful",
  link_equalization_request_8gts: "linkEqualizationRequest",
  err_cor_subclass: "correctableSubclass",
  advanced_error_interrupt_message_number: "interruptMessageNumber",
};
/** The error registers repeat in each member's name which register it is in. */
const ERROR_MEMBERS: Readonly<Record<string, string>> = {
  poisoned_tlp_received: "poisonedTlp",
  unsupported_request_error: "unsupportedRequest",
  uncorrectable_internal_error: "uncorrectableInternalError",
  atomicop_egress_blocked: "atomicOpEgressBlocked",
  tlp_prefix_blocked_error: "tlpPrefixBlocked",
};
function memberOf(register: string, member: string): string {
  if (/^(un)?correctable_error_/.test(register)) {
    const bare = member.replace(/_(status|mask|severity)$/, "");
    return ERROR_MEMBERS[bare] ?? camel(bare);
  }
  return RENAMED[member] ?? camel(member);
}

function ourPath(kind: string, theirs: string): readonly [path: string, change: (leaf: Leaf) => Leaf] | undefined {
  const rows = ROWS[kind]!;
  const pattern = general(theirs);
  let row = rows[pattern];
  if (row === undefined) {
    const prefix = Object.keys(rows).find((key) => key.endsWith(".") && pattern.startsWith(key));
    if (prefix === undefined) return undefined;
    const rest = pattern.slice(prefix.length);
    const [register = "", member = "", suffix] = rest.split(".");
    if (kind === "Pcie" && !member.startsWith("[")) {
      const ourRegister = RENAMED[register] ?? camel(register);
      row = `${rows[prefix] as string}${ourRegister}${member ? `.${memberOf(register, member)}` : ""}`;
      if (suffix !== undefined && suffix !== "raw" && suffix !== "value") return undefined;
    } else row = `${rows[prefix] as string}${rest}`;
  }
  const [ours, change] = typeof row === "string" ? [row, (leaf: Leaf) => leaf] : row;
  return [indexed(ours, theirs), change];
}

export interface Difference {
  readonly path: string;
  readonly what: "value" | "only there" | "only here" | "no row";
  readonly theirs?: Leaf | undefined;
  readonly ours?: Leaf | undefined;
}

/** Compare one section's decode with libcper's. */
export function compareSection(kind: string, theirs: unknown, loose: object, body: object, bytes: Uint8Array): Difference[] {
  const layout = loose as Root;
  const ours = ourLeaves(layout, body);
  derived(kind, layout, body, bytes, ours);
  const out: Difference[] = [];
  const seen = new Set<string>();
  for (const [path, leaf] of theirLeaves(theirs)) {
    const found = ourPath(kind, path);
    const our = found && ours.get(found[0]);
    if (!found) out.push({ path, what: "no row", theirs: leaf });
    else if (!our) out.push({ path, what: "only there", theirs: leaf });
    else {
      seen.add(found[0]);
      const value = found[1](our.leaf);
      if (!our.vouched) out.push({ path, what: "only there", theirs: leaf, ours: value });
      else if (value !== leaf) out.push({ path, what: "value", theirs: leaf, ours: value });
    }
  }
  const patterns = new Map(Object.entries(ROWS[kind]!).map(([theirPattern, row]) => [typeof row === "string" ? row : row[0], theirPattern]));
  for (const [path, { leaf, vouched }] of ours) {
    if (!vouched || seen.has(path)) continue;
    const theirPattern = patterns.get(path) ?? patterns.get(general(path));
    // What is empty is left out there.
    if (theirPattern !== undefined && leaf !== "") out.push({ path: indexed(theirPattern, path), what: "only here", ours: leaf });
  }
  return out;
}

// ---- known differences ----

/** Each is an error or a habit of libcper 7c410e2; `holds` proves the explanation where the values allow it. */
export const DIFFERENCES: readonly {
  readonly kind: string;
  readonly path: RegExp;
  readonly what: Difference["what"];
  readonly why: string;
  readonly holds?: (theirs: Leaf, ours: Leaf) => boolean;
}[] = [
  {
    kind: "descriptor",
    path: /^fruText$/,
    what: "only here",
    why: "text with control characters is left out",
    // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
    holds: (_, ours) => /[\u0000-\u001f]/.test(ours as string),
  },
  { kind: "NvidiaEvent", path: /^eventHeader\.linkId$/, what: "only here", why: "a link id of 0 is left out", holds: (_, ours) => ours === 0n },

  {
    kind: "Memory",
    path: /^bank\.(address|group)$/,
    what: "only there",
    why: "the bank is shown without any of its validation bits",
    holds: (a, b) => a === b,
  },
  { kind: "Memory", path: /^row$/, what: "only here", why: "the row is shown for bit 8 only, not for bit 18 (extended row)" },
  { kind: "Memory", path: /^extended\.rowBit1[67]$/, what: "only here", why: "one byte holds row bits and chip id: here either validation bit vouches for it" },
  { kind: "Memory", path: /^extended\.chipIdentification$/, what: "only here", why: "the chip id is shown only when bit 18 (extended row) is set too" },
  {
    kind: "Memory2",
    path: /^bank\.(address|group)$/,
    what: "only there",
    why: "the bank is shown without any of its validation bits",
    holds: (a, b) => a === b,
  },
  {
    kind: "Memory2",
    path: /^physicalAddress(Hex)?$/,
    what: "only there",
    why: "the physical address is shown for bit 0 instead of bit 1",
    holds: (a, b) => a === b,
  },
  { kind: "ArmProcessor", path: /accessMode\.value$/, what: "only here", why: "the access mode is shown for bit 8 instead of bit 11" },
  {
    kind: "ArmProcessor",
    path: /accessMode\.value$/,
    what: "only there",
    why: "the access mode is shown for bit 8 instead of bit 11",
    holds: (a, b) => a === b,
  },
  { kind: "ArmProcessor", path: /^psciState$/, what: "only there", why: "the PSCI state is shown without its validation bit", holds: (a, b) => a === b },
  { kind: "CxlProtocol", path: /^deviceID\.vendorID$/, what: "only there", why: "the vendor is shown without its validation bit", holds: (a, b) => a === b },
  {
    kind: "CxlProtocol",
    path: /^(dvsec|errorLog)Length$/,
    what: "only here",
    why: "the lengths are shown only with what they measure; they have no validation bit",
  },
  { kind: "ArmRas", path: /^ipType\.pidr\d$/, what: "only there", why: "type format 2 (GIC) is read as 3 (PIDR)" },
  { kind: "ArmRas", path: /^ipType\.(iidr|aidr)$/, what: "only here", why: "type format 2 (GIC) is read as 3 (PIDR)" },
  { kind: "ArmRas", path: /^ipType\.pidr\d$/, what: "only here", why: "type format 3 (PIDR) is not read" },
  {
    kind: "ArmRas",
    path: /errorRecordMiscRegister[23]$/,
    what: "only here",
    why: "MISC2 and MISC3 are left out when the RAS revision is 0; here they are shown as they stand",
  },
  {
    kind: "Nvidia",
    path: /^CMETInfo\[/,
    what: "no row",
    why: "registers of signature CMET-INFO are shown decoded only; here they stay registers and are explained in words",
  },
  {
    kind: "Nvidia",
    path: /^registers\[/,
    what: "only here",
    why: "registers of signature CMET-INFO are shown decoded only; here they stay registers and are explained in words",
  },
  { kind: "Pcie", path: /^deviceID\.(segment|slot)Number_Hex$/, what: "value", why: "cut to 8 bits", holds: (a, b) => a === ((b as bigint) & 0xffn) },
  {
    kind: "Pcie",
    path: /emergency_power_reduction$/,
    what: "value",
    why: "one bit in the specification, read as two",
    holds: (a, b) => ((a as bigint) & 1n) === b,
  },
  { kind: "Pcie", path: /slot_control\.rsvdp$/, what: "only there", why: "a reserved bit, kept in `rest` here" },
  {
    kind: "Pcie",
    path: /(phantom_functions|tph_completer|emergency_power_reduction|obff)_supported$/,
    what: "value",
    why: "a number of two bits shown as yes or no",
    holds: (a, b) => a === 1n && (b as bigint) > 1n,
  },
  {
    kind: "Pcie",
    path: /link_(capabilities|control|status)2\./,
    what: "value",
    why: "a union of bit fields widens link capabilities 2: it and what follows is read from later bytes",
  },
  { kind: "Pcie", path: /link_capabilities2\.supported_link_speeds$/, what: "only there", why: "the same; here each speed is a bit of its own" },
  {
    kind: "Pcie",
    path: /advanced_error_interrupt_message_number$/,
    what: "value",
    why: "read from bits 29:25 instead of 31:27",
    holds: (a, b) => (a as bigint) >> 2n === ((b as bigint) & 7n),
  },
];
