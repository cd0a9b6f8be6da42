/** Generic processor error section (UEFI 2.11 N.2.4.1). */
import {
  bits,
  type Encodable,
  hexNumber,
  oneOf,
  orZero,
  type Parsed,
  reserved,
  type SectionType,
  struct,
  type Tree,
  text,
  u8,
  u64,
  valueLabel,
} from "../../layout/index.ts";
import { cpuidWords, midrWords, mpidrWords } from "./processor-id.ts";
import { flagWords, known, listed, phrase } from "./words.ts";

export const PROCESSOR_TYPE = { ia32x64: [0, "IA32/X64"], ia64: [1, "IA64"], arm: [2, "ARM"] } as const;
export const INSTRUCTION_SET = { ia32: [0, "IA32"], ia64: [1, "IA64"], x64: [2, "X64"], a32t32: [3, "A32/T32"], a64: [4, "A64"] } as const;
export const PROCESSOR_OPERATION = { generic: [0, "unknown or generic"], dataRead: 1, dataWrite: 2, instructionExecution: 3 } as const;

export const ProcessorGeneric = struct("Processor Generic Error", 192, "UEFI 2.11 N.2.4.1", () => ({
  validation: bits(8, "Which fields hold data", {
    processorType: 0,
    instructionSet: 1,
    errorType: 2,
    operation: 3,
    flags: 4,
    level: 5,
    cpuVersion: 6,
    brandString: 7,
    processorId: 8,
    targetAddress: 9,
    requestorId: 10,
    responderId: 11,
    instructionPointer: 12,
  }),
  processorType: orZero(oneOf(1, "Architecture of the processor", PROCESSOR_TYPE)),
  instructionSet: orZero(oneOf(1, "Instruction set executing when the error occurred", INSTRUCTION_SET)),
  errorType: bits(1, "Kinds of error; none set when unknown", { cache: 0, tlb: 1, bus: 2, microArchitectural: 3 }),
  operation: orZero(oneOf(1, "What the processor was doing", PROCESSOR_OPERATION)),
  flags: bits(1, "What is known of the error", { restartable: 0, preciseIp: 1, overflow: 2, corrected: 3 }),
  level: orZero(u8("Level of the structure in its hierarchy, 0 the lowest")),
  reserved: reserved(2),
  cpuVersion: orZero(u64("CPUID function 1 EAX (IA32/X64) or MIDR_EL1 (ARM)")),
  brandString: orZero(text(128, "Brand string")),
  processorId: orZero(u64("Local APIC id (IA32/X64) or MPIDR_EL1 (ARM)")),
  targetAddress: orZero(u64("Address the error is associated with")),
  requestorId: orZero(u64("Device that asked for the access")),
  responderId: orZero(u64("Device that answered it")),
  instructionPointer: orZero(u64("Instruction pointer when the error occurred")),
}));
export type ProcessorGeneric = Parsed<typeof ProcessorGeneric>;
export type ProcessorGenericInput = Encodable<typeof ProcessorGeneric>;

export const processorGeneric: SectionType = {
  guids: ["9876ccad-47b4-4bdb-b65e-16f193c4f3db"],
  name: "processorGeneric",
  title: "Processor error",
  layout: ProcessorGeneric,
  summary: (body: ProcessorGeneric) => {
    const kinds = flagWords(body.errorType);
    return phrase(
      known(body, "errorType", body.errorType, () => (kinds.length > 0 ? `${listed(kinds)} error` : "unknown kind of error")),
      known(body, "operation", body.operation, (value) => (value === "generic" ? "" : `during ${valueLabel(PROCESSOR_OPERATION, value)}`)),
      known(body, "flags", body.flags, (value) => flagWords(value).join(", ")),
      known(body, "level", body.level, (value) => `level ${value}`),
      known(body, "processorType", body.processorType, (value) => `${valueLabel(PROCESSOR_TYPE, value)} processor`),
      known(body, "processorId", body.processorId, (value) => `processor id ${hexNumber(value)}`),
      known(body, "targetAddress", body.targetAddress, (value) => `target address ${hexNumber(value)}`),
      known(body, "instructionPointer", body.instructionPointer, (value) => `instruction pointer ${hexNumber(value)}`),
    );
  },
  explain: (body: ProcessorGeneric) => {
    const { validation: valid = {}, cpuVersion: version, processorId: id } = body;
    const out: Tree[] = [];
    if (version !== undefined && valid.cpuVersion && valid.processorType) {
      if (body.processorType === "ia32x64") out.push({ label: "CPU version in words", text: cpuidWords(version) });
      if (body.processorType === "arm") out.push({ label: "CPU version in words", text: midrWords(version) });
    }
    if (id !== undefined && valid.processorId && valid.processorType && body.processorType === "arm")
      out.push({ label: "processor affinity", text: mpidrWords(id) });
    return out;
  },
};
