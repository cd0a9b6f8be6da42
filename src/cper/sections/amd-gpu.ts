/** Sections of AMD's GPU driver (Linux amd_cper.h, amdgpu_cper.c behaviour). */
import {
  array,
  bits,
  bytes,
  choice,
  guid,
  hex,
  list,
  oneOf,
  orZero,
  type Parsed,
  ref,
  reserved,
  type SectionType,
  sequence,
  struct,
  type Tree,
  text,
  u16,
  u32,
  u64,
  window,
} from "../../layout/index.ts";
import { type BankRegisters, bankSummary, bankTree } from "../machine-check/index.ts";

const SOURCE = "Linux drivers/gpu/drm/amd/include/amd_cper.h";

const ErrorInfo = struct("AMD GPU Error Information", 64, SOURCE, () => ({
  errorType: orZero(guid("The section's GUID")),
  validation: bits(8, "Which fields hold data", { check: 0, targetAddress: 1, requestorId: 2, responderId: 3, instructionPointer: 4 }),
  check: orZero(
    bits(8, "Micro-architectural check; the kind of error has two bits, one less than in UEFI", {
      typeValid: 0,
      processorContextCorruptValid: 1,
      uncorrectedValid: 2,
      preciseInstructionPointerValid: 3,
      restartableValid: 4,
      overflowValid: 5,
      errorType: [16, 2],
      processorContextCorrupt: 18,
      uncorrected: 19,
      preciseInstructionPointer: 20,
      restartable: 21,
      overflow: 22,
    }),
  ),
  targetAddress: orZero(u64("Target address")),
  requestorId: orZero(u64("Who asked")),
  responderId: orZero(u64("Who answered")),
  instructionPointer: orZero(u64("Instruction pointer")),
}));

const CONTEXT_TYPE = { unclassified: 0, crash: 1, boot: 9 } as const;
/** The driver writes each 64-bit register as its low and its high half, which is the 64-bit register itself. */
const RuntimeRegisters = struct("AMD GPU Bank Registers", 128, SOURCE, () => ({
  control: u64("CTL"),
  status: u64("STATUS"),
  address: u64("ADDR"),
  misc0: u64("MISC0"),
  configuration: u64("CONFIG"),
  ipId: u64("IPID"),
  syndrome: u64("SYND"),
  reserved: reserved(72),
}));
type BankFields = Partial<Parsed<typeof RuntimeRegisters>>;
const RuntimeContext = sequence("AMD GPU Processor Context", SOURCE, () => ({
  contextType: orZero(u16("Kind of registers: 1")),
  arraySize: orZero(u16("Bytes of the registers")),
  msrAddress: orZero(hex(u32("First register number"))),
  memoryAddress: orZero(u64("First register address")),
  registers: window(ref("arraySize"), RuntimeRegisters),
}));

export const AmdGpuRuntime = sequence("AMD GPU Runtime Error", SOURCE, () => ({
  validation: bits(8, "Which fields hold data, and how many structures follow", { apicId: 0, firmwareId: 1, errorInfoCount: [2, 6], contextCount: [8, 6] }),
  apicId: orZero(u64("Local APIC id")),
  firmwareId: orZero(text(48, "Firmware")),
  errorInfos: list(ErrorInfo, "Error information", ref("validation.errorInfoCount")),
  contexts: list(RuntimeContext, "Contexts", ref("validation.contextCount")),
}));
export type AmdGpuRuntime = Parsed<typeof AmdGpuRuntime>;

const CrashRegisters = struct("AMD GPU Crash Registers", 32, SOURCE, () => ({
  status: u64("STATUS"),
  address: u64("ADDR"),
  ipId: u64("IPID"),
  syndrome: u64("SYND"),
}));
const BootMessages = struct("AMD GPU Boot Messages", 64, SOURCE, () => ({ messages: array(8, u64("Message"), "Messages of the boot firmware") }));
/** Room for the error information that other sections have; zero here. */
const UNUSED = 64;
export const AmdGpuCrash = sequence("AMD GPU Crash Dump", SOURCE, () => ({
  reserved: orZero(bytes(16, "Reserved")),
  firmwareId: orZero(text(48, "Firmware")),
  reservedAfter: reserved(UNUSED),
  contextType: orZero(oneOf(2, "Kind of registers", CONTEXT_TYPE)),
  arraySize: orZero(u16("Bytes of the registers")),
  reservedInContext: reserved(12),
  registers: window(ref("arraySize"), choice(ref("contextType"), "The registers", { crash: CrashRegisters, boot: BootMessages })),
}));
export type AmdGpuCrash = Parsed<typeof AmdGpuCrash>;

const bankOf = (registers: BankFields): BankRegisters => ({
  vendor: "amd",
  status: registers.status ?? 0n,
  address: registers.address,
  misc: registers.misc0,
  configuration: registers.configuration,
  ipId: registers.ipId,
  syndrome: registers.syndrome,
});
const crashRegisters = (body: AmdGpuCrash): BankFields | undefined =>
  body.contextType === "crash" && body.registers && !(body.registers instanceof Uint8Array) ? (body.registers as BankFields) : undefined;
const said = (...parts: (string | undefined)[]) => parts.filter((part) => part).join(", ");

export const amdGpuSections: readonly SectionType[] = [
  {
    guids: ["32ac0c78-2623-48f6-81a2-ac691780551d"],
    name: "amdGpuRuntime",
    title: "AMD GPU error",
    layout: AmdGpuRuntime,
    summary: (body: AmdGpuRuntime) =>
      said(
        ...(body.contexts ?? []).map(({ registers }) => (registers ? bankSummary(bankOf(registers)) : "")),
        body.validation?.firmwareId && body.firmwareId ? `firmware ${body.firmwareId}` : "",
      ),
    explain: (body: AmdGpuRuntime): readonly Tree[] =>
      (body.contexts ?? []).flatMap(({ registers }, i) => (registers ? [bankTree(`bank of context ${i}`, bankOf(registers))] : [])),
    secondHand: SOURCE,
  },
  {
    guids: ["32ac0c78-2623-48f6-b0d0-7365725fd6ae"],
    name: "amdGpuCrash",
    title: "AMD GPU crash dump",
    layout: AmdGpuCrash,
    summary: (body: AmdGpuCrash) => {
      const registers = crashRegisters(body);
      return said(
        registers && bankSummary(bankOf(registers)),
        body.contextType === "boot" ? "boot messages" : "",
        body.firmwareId ? `firmware ${body.firmwareId}` : "",
      );
    },
    explain: (body: AmdGpuCrash): readonly Tree[] => {
      const registers = crashRegisters(body);
      return registers ? [bankTree("bank", bankOf(registers))] : [];
    },
    secondHand: SOURCE,
  },
];
