/** ARM processor sections (Linux drivers/firmware/efi/cper-arm.c behaviour, with the type byte of UEFI 2.9A and 2.10). */
import { ArmBusError, ArmContext, ArmErrorInfo, ArmProcessor } from "../../cper/sections/arm-processor.ts";
import type { SectionAtHand } from "./at-hand.ts";
import { digits, hex64, type Printer } from "./printer.ts";
import { alignUp, extentOf, type Memory, View } from "./view.ts";
import {
  ARM_ADDRESS_SPACE_WORDS,
  ARM_BUS_OPERATION_WORDS,
  ARM_CACHE_OPERATION_WORDS,
  ARM_CONTEXT_WORDS,
  ARM_PARTICIPATION_WORDS,
  ARM_TLB_OPERATION_WORDS,
  ARM_TRANSACTION_WORDS,
  PROCESSOR_ERROR_WORDS,
} from "./words.ts";

export const ARM_MINIMUM = extentOf(ArmProcessor);
const INFO_SIZE = extentOf(ArmErrorInfo);

/** Bits of the type byte. */
const CACHE = 1 << 1;
const TLB = 1 << 2;
const BUS = 1 << 3;
const VENDOR = 1 << 4;
const KINDS = CACHE | TLB | BUS | VENDOR;

/** An ARM processor section (Linux drivers/firmware/efi/cper-arm.c behaviour). */
export function printArm(out: Printer, prefix: string, { memory, at, length, traits }: SectionAtHand): void {
  const view = new View(memory, ArmProcessor, at);
  const inner = `${prefix} `;
  out.line(`${prefix}MIDR: ${hex64(view.wide("midr"))}`);
  const sectionLength = view.number("sectionLength");
  const infos = view.number("errorInfoCount");
  let left = (sectionLength - (ARM_MINIMUM + infos * INFO_SIZE)) | 0;
  if (left < 0 || sectionLength > length) {
    out.line(`${prefix}section length: ${sectionLength | 0}, CPER size: ${length | 0}`);
    out.line(`${prefix}section length is too ${left < 0 ? "small" : "big"}`);
    out.line(`${prefix}firmware-generated error record is incorrect`);
    out.line(`${prefix}ERR_INFO_NUM is ${infos}`);
    return;
  }
  if (view.has("validation", "mpidr")) out.line(`${prefix}Multiprocessor Affinity Register (MPIDR): ${hex64(view.wide("mpidr"))}`);
  if (view.has("validation", "affinityLevel")) out.line(`${prefix}error affinity level: ${view.number("affinityLevel")}`);
  if (view.has("validation", "runningState")) {
    out.line(`${prefix}running state: 0x${digits(view.number("runningState"))}`);
    out.line(`${prefix}Power State Coordination Interface state: ${view.number("psciState") | 0}`);
  }
  let next = view.end;
  for (let i = 0; i < infos && !out.full; i++) {
    out.line(`${prefix}Error info structure ${i}:`);
    const info = new View(memory, ArmErrorInfo, next);
    out.line(`${prefix}num errors: ${info.number("multipleError") + 1}`);
    printErrorInfo(out, inner, info);
    next = info.end;
  }
  for (let i = 0; i < view.number("contextCount") && !out.full; i++) {
    const context = new View(memory, ArmContext, next);
    const size = context.number("arraySize");
    const whole = alignUp(extentOf(ArmContext) + size, traits.contextAlignment) | 0;
    out.line(`${prefix}Context info structure ${i}:`);
    if (left < whole) {
      out.line(`${inner}section length is too small`);
      out.line(`${prefix}firmware-generated error record is incorrect`);
      return;
    }
    const type = context.number("contextType");
    const most = ARM_CONTEXT_WORDS.length - 1;
    if (type > most) {
      out.line(`${inner}Invalid context type: ${type} (max: ${most})`);
      return;
    }
    out.line(`${inner}register context type: ${ARM_CONTEXT_WORDS[type]}`);
    out.dump(inner, memory, context.end, size, 4, false);
    left = (left - whole) | 0;
    next += whole;
  }
  if (left > 0) {
    out.line(`${prefix}Vendor specific error info has ${left} bytes:`);
    out.dump(inner, memory, next, left, 4, true);
  }
}

const FLAGS = [
  ["firstErrorCaptured", "first error captured"],
  ["lastErrorCaptured", "last error captured"],
  ["propagated", "propagated error captured"],
  ["overflow", "overflow occurred, error info is incomplete"],
] as const;

function printErrorInfo(out: Printer, prefix: string, info: View<typeof ArmErrorInfo>): void {
  if (info.has("validation", "flags")) for (const [flag, words] of FLAGS) if (info.has("flags", flag)) out.line(prefix + words);
  const type = info.number("errorType");
  const kinds = PROCESSOR_ERROR_WORDS.filter((_, kind) => type & (CACHE << kind)).join("|");
  out.line(`${prefix}error_type: 0x${digits(type, 2)}: ${kinds}${type & ~KINDS ? " with reserved bit(s)" : ""}`);
  if (info.has("validation", "errorInformation")) {
    out.line(`${prefix}error_info: ${hex64(info.wide("errorInformation"))}`);
    printDetails(out, `${prefix} `, info.memory, info.at + info.offset("errorInformation"), type);
  }
  if (info.has("validation", "virtualFaultAddress")) out.line(`${prefix}virtual fault address: ${hex64(info.wide("virtualFaultAddress"))}`);
  if (info.has("validation", "physicalFaultAddress")) out.line(`${prefix}physical fault address: ${hex64(info.wide("physicalFaultAddress"))}`);
}

const OPERATIONS = [
  [CACHE, "cache error", ARM_CACHE_OPERATION_WORDS],
  [TLB, "TLB error", ARM_TLB_OPERATION_WORDS],
  [BUS, "bus error", ARM_BUS_OPERATION_WORDS],
] as const;
const LEVELS = [
  [CACHE, "cache level"],
  [TLB, "TLB level"],
  [BUS, "affinity level at which the bus error occurred"],
] as const;

/** The details of caches and look-aside buffers are laid out as those of the bus, less its last fields. */
function printDetails(out: Printer, prefix: string, memory: Memory, at: number, type: number): void {
  // What a vendor's error says is the vendor's.
  if (type & VENDOR) return;
  const details = new View(memory, ArmBusError, at);
  const words = (label: string, names: readonly string[], value: number) => {
    if (value < names.length) out.line(`${prefix}${label}: ${names[value]}`);
  };
  if (details.has("validation", "transactionType")) words("transaction type", ARM_TRANSACTION_WORDS, details.part("details", "transactionType"));
  if (details.has("validation", "operation"))
    for (const [kind, label, names] of OPERATIONS) if (type & kind) words(`${label}, operation type`, names, details.part("details", "operation"));
  if (details.has("validation", "level"))
    for (const [kind, label] of LEVELS) if (type & kind) out.line(`${prefix}${label}: ${details.part("details", "level")}`);
  if (details.has("validation", "processorContextCorrupt"))
    out.line(`${prefix}processor context ${details.has("details", "processorContextCorrupt") ? "" : "not "}corrupted`);
  if (details.has("validation", "corrected")) out.line(`${prefix}the error has ${details.has("details", "corrected") ? "" : "not "}been corrected`);
  if (details.has("validation", "precisePc")) out.line(`${prefix}PC is ${details.has("details", "precisePc") ? "precise" : "imprecise"}`);
  if (details.has("validation", "restartablePc") && details.has("details", "restartablePc"))
    out.line(`${prefix}Program execution can be restarted reliably at the PC associated with the error.`);
  if (type !== BUS) return;
  if (details.has("validation", "participationType")) words("participation type", ARM_PARTICIPATION_WORDS, details.part("details", "participationType"));
  if (details.has("validation", "timeOut") && details.has("details", "timeOut")) out.line(`${prefix}request timed out`);
  if (details.has("validation", "addressSpace")) words("address space", ARM_ADDRESS_SPACE_WORDS, details.part("bus", "addressSpace"));
  if (details.has("validation", "memoryAttributes")) out.line(`${prefix}memory access attributes:0x${digits(details.part("bus", "memoryAttributes"))}`);
  if (details.has("validation", "accessMode")) out.line(`${prefix}access mode: ${details.has("bus", "accessMode") ? "normal" : "secure"}`);
}
