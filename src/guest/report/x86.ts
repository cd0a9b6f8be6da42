/** IA32/X64 processor sections (Linux drivers/firmware/efi/cper-x86.c behaviour, on a machine without scalable MCA). */
import { BusCheck, Ia32x64Processor, MicroArchitectureCheck, X86_CONTEXT_TYPE, X86_ERROR_TYPE, X86Context, X86ErrorInfo } from "../../cper/sections/ia32x64.ts";
import { numberOf } from "../../layout/index.ts";
import type { SectionAtHand } from "./at-hand.ts";
import { digits, hex64, type Printer } from "./printer.ts";
import { alignUp, extentOf, type Memory, View } from "./view.ts";
import {
  PROCESSOR_ERROR_WORDS,
  wordOf,
  X86_ADDRESS_SPACE_WORDS,
  X86_CONTEXT_WORDS,
  X86_MICRO_ARCHITECTURE_WORDS,
  X86_OPERATION_WORDS,
  X86_PARTICIPATION_WORDS,
  X86_TRANSACTION_WORDS,
  X86_TRANSFER_OPERATIONS,
} from "./words.ts";

export const X86_MINIMUM = extentOf(Ia32x64Processor);

const ERROR_TYPES: readonly string[] = [X86_ERROR_TYPE.cache, X86_ERROR_TYPE.tlb, X86_ERROR_TYPE.bus, X86_ERROR_TYPE.microArchitecture];
const [CACHE, , BUS, MICRO_ARCHITECTURE] = ERROR_TYPES;

/** An IA32/X64 processor section (Linux drivers/firmware/efi/cper-x86.c behaviour). */
export function printX86(out: Printer, prefix: string, { memory, at, traits }: SectionAtHand): void {
  const view = new View(memory, Ia32x64Processor, at);
  const inner = `${prefix} `;
  if (view.has("validation", "localApicId")) out.line(`${prefix}Local APIC_ID: 0x${digits(view.wide("localApicId"))}`);
  if (view.has("validation", "cpuid")) {
    out.line(`${prefix}CPUID Info:`);
    out.dump(prefix, memory, at + view.offset("cpuid"), view.size("cpuid"), 4, false);
  }
  let next = view.end;
  for (let i = 0; i < view.part("validation", "errorInfoCount") && !out.full; i++) {
    out.line(`${prefix}Error Information Structure ${i}:`);
    const info = new View(memory, X86ErrorInfo, next);
    printErrorInfo(out, inner, info);
    next = info.end;
  }
  for (let i = 0; i < view.part("validation", "contextCount") && !out.full; i++) {
    out.line(`${prefix}Context Information Structure ${i}:`);
    const context = new View(memory, X86Context, next);
    printContext(out, inner, context);
    next += alignUp(extentOf(X86Context) + context.number("arraySize"), traits.contextAlignment);
  }
}

function printErrorInfo(out: Printer, prefix: string, info: View<typeof X86ErrorInfo>): void {
  const guid = info.guid("errorType");
  const type = ERROR_TYPES.indexOf(guid);
  out.line(`${prefix}Error Structure Type: ${wordOf(PROCESSOR_ERROR_WORDS, type)}`);
  if (type < 0) out.line(`${prefix}Error Structure Type: ${guid}`);
  if (info.has("validation", "checkInformation")) {
    out.line(`${prefix}Check Information: ${hex64(info.wide("checkInformation"))}`);
    const at = info.at + info.offset("checkInformation");
    if (guid === MICRO_ARCHITECTURE) printMicroArchitecture(out, `${prefix} `, info.memory, at);
    else if (type >= 0) printCheck(out, `${prefix} `, info.memory, at, guid);
  }
  for (const [field, label] of [
    ["targetIdentifier", "Target Identifier"],
    ["requestorIdentifier", "Requestor Identifier"],
    ["responderIdentifier", "Responder Identifier"],
    ["instructionPointer", "Instruction Pointer"],
  ] as const)
    if (info.has("validation", field)) out.line(`${prefix}${label}: ${hex64(info.wide(field))}`);
}

/** The checks of caches and look-aside buffers are that of the bus without its last fields. */
function printCheck(out: Printer, prefix: string, memory: Memory, at: number, guid: string): void {
  const check = new View(memory, BusCheck, at);
  const words = (label: string, value: number, names: readonly string[]) => out.line(`${prefix}${label}: ${value}, ${wordOf(names, value)}`);
  if (check.has("validation", "transactionType")) words("Transaction Type", check.part("details", "transactionType"), X86_TRANSACTION_WORDS);
  if (check.has("validation", "operation"))
    words("Operation", check.part("details", "operation"), guid === CACHE ? X86_OPERATION_WORDS : X86_OPERATION_WORDS.slice(0, X86_TRANSFER_OPERATIONS));
  if (check.has("validation", "level")) out.line(`${prefix}Level: ${check.part("details", "level")}`);
  for (const [field, label] of FLAGS) if (check.has("validation", field)) out.line(`${prefix}${label}: ${check.has("details", field)}`);
  if (guid !== BUS) return;
  if (check.has("validation", "participation")) words("Participation Type", check.part("details", "participation"), X86_PARTICIPATION_WORDS);
  if (check.has("validation", "timeOut")) out.line(`${prefix}Time Out: ${check.has("bus", "timeOut")}`);
  if (check.has("validation", "addressSpace")) words("Address Space", check.part("bus", "addressSpace"), X86_ADDRESS_SPACE_WORDS);
}
const FLAGS = [
  ["processorContextCorrupt", "Processor Context Corrupt"],
  ["uncorrected", "Uncorrected"],
  ["preciseIp", "Precise IP"],
  ["restartableIp", "Restartable IP"],
  ["overflow", "Overflow"],
] as const;

function printMicroArchitecture(out: Printer, prefix: string, memory: Memory, at: number): void {
  const check = new View(memory, MicroArchitectureCheck, at);
  if (check.has("validation", "errorType")) {
    const type = check.part("details", "errorType");
    out.line(`${prefix}Error Type: ${type}, ${wordOf(X86_MICRO_ARCHITECTURE_WORDS, type)}`);
  }
  for (const [field, label] of FLAGS) if (check.has("validation", field)) out.line(`${prefix}${label}: ${check.has("details", field)}`);
}

const MSR = numberOf(X86_CONTEXT_TYPE.msr);
const MEMORY_MAPPED = numberOf(X86_CONTEXT_TYPE.memoryMapped);

function printContext(out: Printer, prefix: string, context: View<typeof X86Context>): void {
  const type = context.number("contextType");
  const size = context.number("arraySize");
  out.line(`${prefix}Register Context Type: ${wordOf(X86_CONTEXT_WORDS, type)}`);
  out.line(`${prefix}Register Array Size: 0x${digits(size, 4)}`);
  if (type === MSR) out.line(`${prefix}MSR Address: 0x${digits(context.number("msrAddress"), 8)}`);
  if (type === MEMORY_MAPPED) out.line(`${prefix}MM Register Address: ${hex64(context.wide("memoryAddress"))}`);
  out.line(`${prefix}Register Array:`);
  out.dump(prefix, context.memory, context.end, size, type === MSR ? 8 : 4, false);
}
