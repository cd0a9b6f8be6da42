/** What the kernel prints for the body of a section (Linux drivers/firmware/efi/cper.c and cper_cxl.c behaviour). */
import { BLOCK_SEVERITY } from "../../acpi/status-block.ts";
import { armProcessor } from "../../cper/sections/arm-processor.ts";
import { cxlDram, cxlGeneralMedia, cxlMemoryModule } from "../../cper/sections/cxl-event.ts";
import { CXL_AGENT_TYPE, CxlAgentAddress, CxlProtocol, CxlRasCapability, CxlRcrbAddress, cxlProtocol } from "../../cper/sections/cxl-protocol.ts";
import { FirmwareErrorRecordReference, firmwareErrorRecordReference } from "../../cper/sections/firmware-reference.ts";
import { ia32x64Processor } from "../../cper/sections/ia32x64.ts";
import { PlatformMemory, platformMemory } from "../../cper/sections/memory.ts";
import { PcieError, pcie } from "../../cper/sections/pcie.ts";
import { PcieAer } from "../../cper/sections/pcie-capability.ts";
import { ProcessorGeneric, processorGeneric } from "../../cper/sections/processor-generic.ts";
import { bitRange, fieldOffset, type SectionType } from "../../layout/index.ts";
import { ARM_MINIMUM, printArm } from "./arm.ts";
import type { SectionAtHand } from "./at-hand.ts";
import { digits, hex64, type Printer } from "./printer.ts";
import { extentOf, View } from "./view.ts";
import {
  CXL_AGENT_WORDS,
  ERROR_STATUS_WORDS,
  FIRMWARE_RECORD_WORDS,
  INSTRUCTION_SET_WORDS,
  type KernelTraits,
  MEMORY_ERROR_WORDS,
  PCIE_PORT_WORDS,
  PROCESSOR_ERROR_WORDS,
  PROCESSOR_FLAG_WORDS,
  PROCESSOR_OPERATION_WORDS,
  PROCESSOR_TYPE_WORDS,
  wordOf,
} from "./words.ts";
import { printX86, X86_MINIMUM } from "./x86.ts";

export interface SectionPrinter {
  readonly type: SectionType;
  /** What follows "section_type: ". */
  readonly title: string;
  /** Shorter bodies are refused, bytes. */
  readonly minimum: number;
  readonly print?: (out: Printer, prefix: string, section: SectionAtHand) => void;
  /** Kernels without this section dump it instead. */
  readonly known?: (traits: KernelTraits, architecture: "x86" | "arm64") => boolean;
}

const hex32 = (value: number) => `0x${digits(value, 8)}`;
const hex16 = (value: number) => `0x${digits(value, 4)}`;
const hex8 = (value: number) => `0x${digits(value, 2)}`;

function printProcessor(out: Printer, prefix: string, { memory, at }: SectionAtHand): void {
  const view = new View(memory, ProcessorGeneric, at);
  const words = (field: "processorType" | "instructionSet" | "operation", label: string, names: readonly string[]) => {
    if (view.has("validation", field)) out.line(`${prefix}${label}: ${view.number(field)}, ${wordOf(names, view.number(field))}`);
  };
  const bits = (field: "errorType" | "flags", label: string, names: readonly string[]) => {
    if (!view.has("validation", field)) return;
    out.line(`${prefix}${label}: ${hex8(view.number(field))}`);
    out.bits(prefix, view.number(field), names);
  };
  words("processorType", "processor_type", PROCESSOR_TYPE_WORDS);
  words("instructionSet", "processor_isa", INSTRUCTION_SET_WORDS);
  bits("errorType", "error_type", PROCESSOR_ERROR_WORDS);
  words("operation", "operation", PROCESSOR_OPERATION_WORDS);
  bits("flags", "flags", PROCESSOR_FLAG_WORDS);
  if (view.has("validation", "level")) out.line(`${prefix}level: ${view.number("level")}`);
  for (const [field, label] of [
    ["cpuVersion", "version_info"],
    ["processorId", "processor_id"],
    ["targetAddress", "target_address"],
    ["requestorId", "requestor_id"],
    ["responderId", "responder_id"],
    ["instructionPointer", "IP"],
  ] as const)
    if (view.has("validation", field)) out.line(`${prefix}${label}: ${hex64(view.wide(field))}`);
}

type MemoryView = View<typeof PlatformMemory>;
/** The UEFI 2.1 section ended where the extended byte is now. */
const OLD_MEMORY_LENGTH = fieldOffset(PlatformMemory, "extended");
const FIRST_NEW_BIT = bitRange(PlatformMemory.fields.validation.members["rankNumber"]!)[0];
const ROW_EXTENSION = PlatformMemory.fields.row.size * 8;
const BANK_GROUP_SHIFT = 8;

/** Where the error was, in words separated by blanks, the last one too. */
function memoryLocation(view: MemoryView): string {
  const bank = view.number("bank");
  const row = view.number("row") | (view.has("validation", "extendedRow") ? view.part("extended", "row") << ROW_EXTENSION : 0);
  const parts: readonly (readonly [boolean, string, number | string])[] = [
    [view.has("validation", "node"), "node", view.number("node")],
    [view.has("validation", "card"), "card", view.number("card")],
    [view.has("validation", "module"), "module", view.number("module")],
    [view.has("validation", "rankNumber"), "rank", view.number("rankNumber")],
    [view.has("validation", "bank"), "bank", bank],
    [view.has("validation", "bankGroup"), "bank_group", bank >> BANK_GROUP_SHIFT],
    [view.has("validation", "bankAddress"), "bank_address", bank & ((1 << BANK_GROUP_SHIFT) - 1)],
    [view.has("validation", "device"), "device", view.number("device")],
    [view.has("validation", "row") || view.has("validation", "extendedRow"), "row", row],
    [view.has("validation", "column"), "column", view.number("column")],
    [view.has("validation", "bitPosition"), "bit_position", view.number("bitPosition")],
    [view.has("validation", "requestorId"), "requestor_id", hex64(view.wide("requestorId"))],
    [view.has("validation", "responderId"), "responder_id", hex64(view.wide("responderId"))],
    [view.has("validation", "targetId"), "target_id", hex64(view.wide("targetId"))],
    [view.has("validation", "chipIdentification"), "chip_id", view.part("extended", "chipIdentification")],
  ];
  return parts.map(([valid, label, value]) => (valid ? `${label}:${value} ` : "")).join("");
}

function printMemory(out: Printer, prefix: string, { memory, at, length, memoryDevices }: SectionAtHand): void {
  const view = new View(memory, PlatformMemory, at);
  if (length === OLD_MEMORY_LENGTH && view.wide("validation") >> BigInt(FIRST_NEW_BIT) !== 0n) {
    out.line("[Firmware Warn]: valid bits set for fields beyond structure");
    return;
  }
  if (view.has("validation", "errorStatus"))
    out.line(`${prefix} error_status: ${ERROR_STATUS_WORDS[view.part("errorStatus", "type")] ?? "Reserved"} (${hex64(view.wide("errorStatus"))})`);
  if (view.has("validation", "physicalAddress")) out.line(`${prefix}physical_address: ${hex64(view.wide("physicalAddress"))}`);
  if (view.has("validation", "physicalAddressMask")) out.line(`${prefix}physical_address_mask: ${hex64(view.wide("physicalAddressMask"))}`);
  const location = memoryLocation(view);
  if (location !== "") out.line(prefix + location);
  if (view.has("validation", "memoryErrorType")) {
    const type = view.number("memoryErrorType");
    out.line(`${prefix}error_type: ${type}, ${wordOf(MEMORY_ERROR_WORDS, type)}`);
  }
  if (view.has("validation", "moduleHandle")) {
    const handle = view.number("moduleHandle");
    const device = memoryDevices.get(handle);
    out.line(`${prefix}DIMM location: ${device ? `${device.bankLocator} ${device.deviceLocator}` : `not present. DMI handle: ${hex16(handle)}`} `);
  }
}

/** Informational entries pass this test too. */
const looksFatal = (severity: number) => (severity & BLOCK_SEVERITY.fatal) !== 0;

function printPcie(out: Printer, prefix: string, { memory, at, severity, traits }: SectionAtHand): void {
  const view = new View(memory, PcieError, at);
  if (view.has("validation", "portType")) {
    const type = view.number("portType");
    out.line(`${prefix}port_type: ${type | 0}, ${wordOf(PCIE_PORT_WORDS, type)}`);
  }
  if (view.has("validation", "version")) {
    const version = view.inside("version");
    out.line(`${prefix}version: ${version.number("major")}.${version.number("minor")}`);
  }
  if (view.has("validation", "commandStatus")) out.line(`${prefix}command: ${hex16(view.number("command"))}, status: ${hex16(view.number("status"))}`);
  if (view.has("validation", "deviceId")) {
    const id = view.inside("deviceId");
    const [bus, device] = [digits(id.number("primaryBus"), 2), digits(id.number("device"), 2)];
    out.line(`${prefix}device_id: ${digits(id.number("segment"), 4)}:${bus}:${device}.${digits(id.number("function"))}`);
    out.line(`${prefix}slot: ${id.part("slot", "number")}`);
    out.line(`${prefix}secondary_bus: ${hex8(id.number("secondaryBus"))}`);
    out.line(`${prefix}vendor_id: ${hex16(id.number("vendorId"))}, device_id: ${hex16(id.number("deviceId"))}`);
    out.line(`${prefix}class_code: ${digits(id.number("classCode"), 6)}`);
  }
  if (view.has("validation", "serialNumber")) {
    const [lower, upper] = halves(view.wide("serialNumber"));
    out.line(`${prefix}serial number: ${hex16(lower)}, ${hex16(upper)}`);
  }
  if (view.has("validation", "bridgeControlStatus"))
    out.line(`${prefix}bridge: secondary_status: ${hex16(view.number("bridgeSecondaryStatus"))}, control: ${hex16(view.number("bridgeControl"))}`);
  if (!view.has("validation", "aer") || !(traits.aerAlways || looksFatal(severity))) return;
  const aer = new View(memory, PcieAer, at + view.offset("aer"));
  if (traits.aerAlways) out.line(`${prefix}aer_cor_status: ${hex32(aer.number("correctableStatus"))}, aer_cor_mask: ${hex32(aer.number("correctableMask"))}`);
  out.line(`${prefix}aer_uncor_status: ${hex32(aer.number("uncorrectableStatus"))}, aer_uncor_mask: ${hex32(aer.number("uncorrectableMask"))}`);
  out.line(`${prefix}aer_uncor_severity: ${hex32(aer.number("uncorrectableSeverity"))}`);
  const header = at + view.offset("aer") + aer.offset("headerLog");
  out.line(`${prefix}TLP Header: ${[0, 4, 8, 12].map((i) => digits(memory.number(header + i, 4), 8)).join(" ")}`);
}
const halves = (value: bigint) => [Number(value & 0xffff_ffffn), Number(value >> 32n)] as const;

const FIRMWARE_MINIMUM = 16;

function printFirmwareRecord(out: Printer, prefix: string, { memory, at, length }: SectionAtHand): void {
  const view = new View(memory, FirmwareErrorRecordReference, at);
  const revision = view.number("revision");
  out.line(`${prefix}Firmware Error Record Type: ${wordOf(FIRMWARE_RECORD_WORDS, view.number("errorRecordType"))}`);
  out.line(`${prefix}Revision: ${revision}`);
  if (revision === 0) out.line(`${prefix}Record Identifier: ${digits(view.wide("recordId"), 8)}`);
  else if (revision === 2) out.line(`${prefix}Record Identifier: ${view.guid("extension")}`);
  const offset = revision === 0 ? view.offset("extension") : revision === 1 ? view.offset("recordId") : extentOf(FirmwareErrorRecordReference);
  if (offset > length) out.line(`${prefix}error section length is too small: offset=${offset}, length=${length}`);
  else out.dump(prefix, memory, at + offset, length - offset, 4, true);
}

const AGENT = Object.fromEntries(Object.entries(CXL_AGENT_TYPE).map(([name, [value]]) => [value, name])) as Partial<
  Record<number, keyof typeof CXL_AGENT_TYPE>
>;
const CXL_DEVICES: ReadonlySet<string | undefined> = new Set<keyof typeof CXL_AGENT_TYPE>(["rcd", "device", "logicalDevice", "fmLogicalDevice"]);
const CXL_PORTS: ReadonlySet<string | undefined> = new Set<keyof typeof CXL_AGENT_TYPE>(["rootPort", "downstreamSwitchPort", "upstreamSwitchPort"]);

function printCxlProtocol(out: Printer, prefix: string, { memory, at }: SectionAtHand): void {
  const view = new View(memory, CxlProtocol, at);
  const type = view.number("agentType");
  const agent = AGENT[type];
  const isDevice = CXL_DEVICES.has(agent);
  const isFunction = isDevice || CXL_PORTS.has(agent);
  const line = (text: string) => out.line(`${prefix} ${text}`);
  if (view.has("validation", "agentType")) line(`agent_type: ${type}, ${wordOf(CXL_AGENT_WORDS, type)}`);
  if (view.has("validation", "agentAddress")) {
    const where = at + view.offset("agentAddress");
    if (isFunction) {
      const address = new View(memory, CxlAgentAddress, where);
      const [bus, device] = [digits(address.number("bus"), 2), digits(address.number("device"), 2)];
      line(`agent_address: ${digits(address.number("segment"), 4)}:${bus}:${device}.${digits(address.number("function"))}`);
    } else if (agent === "rchDownstreamPort") line(`rcrb_base_address: ${hex64(new View(memory, CxlRcrbAddress, where).wide("rcrbBase"))}`);
  }
  if (view.has("validation", "deviceId") && isFunction) {
    const id = view.inside("deviceId");
    line(`slot: ${id.part("slot", "number")}`);
    line(`vendor_id: ${hex16(id.number("vendorId"))}, device_id: ${hex16(id.number("deviceId"))}`);
    line(`sub_vendor_id: ${hex16(id.number("subsystemVendorId"))}, sub_device_id: ${hex16(id.number("subsystemId"))}`);
    line(`class_code: ${digits(id.number("classCode"), 4)}`);
  }
  if (view.has("validation", "serialNumber") && isDevice) {
    const [lower, upper] = halves(view.wide("serialNumber"));
    line(`lower_dw: ${hex32(lower)}, upper_dw: ${hex32(upper)}`);
  }
  if (view.has("validation", "capability") && isFunction) out.dump(prefix, memory, at + view.offset("capability"), view.size("capability"), 4, false);
  const dvsecLength = view.number("dvsecLength");
  if (view.has("validation", "dvsec")) {
    line(`DVSEC length: ${hex16(dvsecLength)}`);
    line("CXL DVSEC:");
    out.dump(prefix, memory, view.end, dvsecLength, 4, false);
  }
  if (view.has("validation", "errorLog")) {
    const log = new View(memory, CxlRasCapability, view.end + dvsecLength);
    line(`Error log length: ${hex16(view.number("errorLogLength"))}`);
    line("CXL Error Log:");
    line(`cxl_ras_uncor_status: ${hex32(log.number("uncorrectableStatus"))}`);
    line(`cxl_ras_uncor_mask: ${hex32(log.number("uncorrectableMask"))}`);
    line(`cxl_ras_uncor_severity: ${hex32(log.number("uncorrectableSeverity"))}`);
    line(`cxl_ras_cor_status: ${hex32(log.number("correctableStatus"))}`);
    line(`cxl_ras_cor_mask: ${hex32(log.number("correctableMask"))}`);
    line(`cap_control: ${hex32(log.number("control"))}`);
    line("Header Log Registers:");
    out.dump(prefix, memory, log.at + log.offset("headerLog"), log.size("headerLog"), 4, false);
  }
}

const withCxl = ({ cxl }: KernelTraits) => cxl;
const PRINTERS: readonly SectionPrinter[] = [
  { type: processorGeneric, title: "general processor error", minimum: extentOf(ProcessorGeneric), print: printProcessor },
  { type: platformMemory, title: "memory error", minimum: OLD_MEMORY_LENGTH, print: printMemory },
  { type: pcie, title: "PCIe error", minimum: extentOf(PcieError), print: printPcie },
  { type: armProcessor, title: "ARM processor error", minimum: ARM_MINIMUM, print: printArm, known: (_, architecture) => architecture === "arm64" },
  { type: ia32x64Processor, title: "IA32/X64 processor error", minimum: X86_MINIMUM, print: printX86, known: (_, architecture) => architecture === "x86" },
  { type: firmwareErrorRecordReference, title: "Firmware Error Record Reference", minimum: FIRMWARE_MINIMUM, print: printFirmwareRecord },
  { type: cxlProtocol, title: "CXL Protocol Error", minimum: extentOf(CxlProtocol), print: printCxlProtocol, known: withCxl },
  // Event records go to their driver: the report has no more than their name.
  { type: cxlGeneralMedia, title: "CXL General Media Event", minimum: 0, known: withCxl },
  { type: cxlDram, title: "CXL DRAM Event", minimum: 0, known: withCxl },
  { type: cxlMemoryModule, title: "CXL Memory Module Event", minimum: 0, known: withCxl },
];
const byGuid = new Map(PRINTERS.map((printer) => [printer.type.guids[0]!, printer]));

/** The kernel's printer for a section type; undefined when it dumps the body. */
export function sectionPrinter(guid: string, traits: KernelTraits, architecture: "x86" | "arm64"): SectionPrinter | undefined {
  const printer = byGuid.get(guid);
  return printer && (printer.known?.(traits, architecture) ?? true) ? printer : undefined;
}
