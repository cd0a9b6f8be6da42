/** IA32/X64 processor error section (UEFI 2.11 N.2.4.2). */
import {
  bits,
  choice,
  type Encodable,
  guid,
  hex,
  hexNumber,
  type Layout,
  list,
  oneOf,
  orZero,
  type Parsed,
  padding,
  ref,
  reserved,
  type SectionType,
  sequence,
  struct,
  type Tree,
  u16,
  u32,
  u64,
  valueLabel,
  window,
} from "../../layout/index.ts";
import { backToBackReader } from "./back-to-back.ts";
import { cpuidWords, msrName } from "./processor-id.ts";
import { known, memberPhrase, memberTrees, phrase } from "./words.ts";
import { FxsaveArea, Ia32Registers, X64Registers } from "./x86-registers.ts";

export const X86_ERROR_TYPE = {
  cache: "a55701f5-e3ef-43de-ac72-249b573fad2c",
  tlb: "fc06b535-5e1f-4562-9f25-0a3b9adb63c3",
  bus: "1cf3f8b3-c5b1-49a2-aa59-5eef92ffa63c",
  microArchitecture: "48ab7f57-dc34-4f6c-a7d3-b0b5b0a74314",
} as const;

export const TRANSACTION_TYPE = { instruction: 0, data: 1, generic: 2 } as const;
const CACHE_OPERATION = {
  generic: [0, "generic error"],
  genericRead: 1,
  genericWrite: 2,
  dataRead: 3,
  dataWrite: 4,
  instructionFetch: 5,
  prefetch: 6,
  eviction: 7,
  snoop: 8,
} as const;
const { eviction: _eviction, snoop: _snoop, ...TRANSFER_OPERATION } = CACHE_OPERATION;

const COMMON_VALIDATION = {
  transactionType: 0,
  operation: 1,
  level: 2,
  processorContextCorrupt: 3,
  uncorrected: 4,
  preciseIp: 5,
  restartableIp: 6,
  overflow: 7,
} as const;
const checkFields = <O extends Readonly<Record<string, number | readonly [number, string]>>>(operations: O) =>
  ({
    transactionType: { at: [0, 2], names: TRANSACTION_TYPE },
    operation: { at: [2, 4], names: operations },
    level: [6, 3],
    processorContextCorrupt: 9,
    uncorrected: 10,
    preciseIp: 11,
    restartableIp: 12,
    overflow: 13,
  }) as const;

export const CacheCheck = struct("IA32/X64 Cache Check", 8, "UEFI 2.11 N.2.4.2.1", () => ({
  validation: bits(2, "Which parts hold data", COMMON_VALIDATION),
  details: bits(2, "What the cache reported", checkFields(CACHE_OPERATION)),
  reserved: reserved(4),
}));
export const TlbCheck = struct("IA32/X64 TLB Check", 8, "UEFI 2.11 N.2.4.2.1", () => ({
  validation: bits(2, "Which parts hold data", COMMON_VALIDATION),
  details: bits(2, "What the translation look-aside buffer reported", checkFields(TRANSFER_OPERATION)),
  reserved: reserved(4),
}));
export const BusCheck = struct("IA32/X64 Bus Check", 8, "UEFI 2.11 N.2.4.2.1", () => ({
  validation: bits(2, "Which parts hold data", { ...COMMON_VALIDATION, participation: 8, timeOut: 9, addressSpace: 10 }),
  details: bits(2, "What the bus reported", {
    ...checkFields(TRANSFER_OPERATION),
    participation: {
      at: [14, 2],
      names: {
        requested: [0, "local processor originated request"],
        responded: [1, "local processor responded to request"],
        observed: [2, "local processor observed"],
        generic: 3,
      },
    },
  }),
  bus: bits(4, "More of what the bus reported", {
    timeOut: 0,
    addressSpace: { at: [1, 2], names: { memory: [0, "memory access"], reserved: 1, io: [2, "I/O"], other: [3, "other transaction"] } },
  }),
}));
export const MicroArchitectureCheck = struct("IA32/X64 Micro-architecture Check", 8, "UEFI 2.11 N.2.4.2.1", () => ({
  validation: bits(2, "Which parts hold data", {
    errorType: 0,
    processorContextCorrupt: 1,
    uncorrected: 2,
    preciseIp: 3,
    restartableIp: 4,
    overflow: 5,
  }),
  details: bits(2, "What the processor reported", {
    errorType: {
      at: [0, 3],
      names: {
        none: [0, "no error"],
        unclassified: 1,
        microcodeRomParity: [2, "microcode ROM parity error"],
        external: [3, "external error"],
        frc: [4, "FRC error"],
        internalUnclassified: [5, "internal unclassified error"],
      },
    },
    processorContextCorrupt: 3,
    uncorrected: 4,
    preciseIp: 5,
    restartableIp: 6,
    overflow: 7,
  }),
  reserved: reserved(4),
}));

export const X86ErrorInfo = sequence("IA32/X64 Processor Error Information", "UEFI 2.11 N.2.4.2.1", () => ({
  errorType: guid("Kind of error: cache, TLB, bus or micro-architecture check", {
    [X86_ERROR_TYPE.cache]: "cache",
    [X86_ERROR_TYPE.tlb]: "TLB",
    [X86_ERROR_TYPE.bus]: "bus",
    [X86_ERROR_TYPE.microArchitecture]: "micro-architecture",
  }),
  validation: bits(8, "Which fields hold data", {
    checkInformation: 0,
    targetIdentifier: 1,
    requestorIdentifier: 2,
    responderIdentifier: 3,
    instructionPointer: 4,
  }),
  // Eight bytes whatever the type is: the length does not depend on the field it has to name.
  checkInformation: window(
    ref("validation.checkInformation", { scale: 0, bias: 8 }),
    choice(ref("errorType"), "The check register of that kind", {
      [X86_ERROR_TYPE.cache]: CacheCheck,
      [X86_ERROR_TYPE.tlb]: TlbCheck,
      [X86_ERROR_TYPE.bus]: BusCheck,
      [X86_ERROR_TYPE.microArchitecture]: MicroArchitectureCheck,
    }),
  ),
  targetIdentifier: orZero(u64("Target address of the access")),
  requestorIdentifier: orZero(u64("Who asked for it")),
  responderIdentifier: orZero(u64("Who answered it")),
  instructionPointer: orZero(u64("Instruction pointer when the error occurred")),
}));
export type X86ErrorInfo = Parsed<typeof X86ErrorInfo>;

export const X86_CONTEXT_TYPE = {
  unclassified: [0, "unclassified data"],
  msr: [1, "MSR registers"],
  ia32Registers: [2, "32-bit mode execution context"],
  x64Registers: [3, "64-bit mode execution context"],
  fxsave: [4, "FXSAVE context"],
  ia32Debug: [5, "32-bit mode debug registers (DR0-DR7)"],
  x64Debug: [6, "64-bit mode debug registers (DR0-DR7)"],
  memoryMapped: [7, "memory mapped registers"],
} as const;

const Register32 = struct("32-bit Register", 4, "UEFI 2.11 N.2.4.2.2", () => ({ value: hex(u32("Value")) }));
const Register64 = struct("64-bit Register", 8, "UEFI 2.11 N.2.4.2.2", () => ({ value: u64("Value") }));

export const X86Context = sequence("IA32/X64 Processor Context Information", "UEFI 2.11 N.2.4.2.2", () => ({
  contextType: oneOf(2, "Kind of registers", X86_CONTEXT_TYPE),
  arraySize: orZero(u16("Bytes of the register array")),
  msrAddress: orZero(hex(u32("First MSR, for MSR registers"))),
  memoryAddress: orZero(u64("First address, for memory mapped registers")),
  registers: window(
    ref("arraySize"),
    choice(ref("contextType"), "The register array", {
      msr: sequence("MSR Values", "UEFI 2.11 N.2.4.2.2", { registers: list(Register64, "Consecutive MSRs") }),
      ia32Registers: Ia32Registers,
      x64Registers: X64Registers,
      fxsave: FxsaveArea,
      ia32Debug: sequence("IA32 Debug Registers", "UEFI 2.11 N.2.4.2.2", { registers: list(Register32, "Debug registers in order") }),
      x64Debug: sequence("X64 Debug Registers", "UEFI 2.11 N.2.4.2.2", { registers: list(Register64, "Debug registers in order") }),
    }),
  ),
  padding: padding(16),
}));
export type X86Context = Parsed<typeof X86Context>;

const CpuidInformation = struct("CPUID Information", 48, "UEFI 2.11 N.2.4.2", () => ({
  eax: orZero(u64("CPUID function 1 EAX")),
  ebx: orZero(u64("CPUID function 1 EBX")),
  ecx: orZero(u64("CPUID function 1 ECX")),
  edx: orZero(u64("CPUID function 1 EDX")),
  reserved: reserved(16),
}));
export const Ia32x64Processor = sequence("IA32/X64 Processor Error", "UEFI 2.11 N.2.4.2", () => ({
  validation: bits(8, "Which fields hold data, and how many structures follow", {
    localApicId: 0,
    cpuid: 1,
    errorInfoCount: [2, 6],
    contextCount: [8, 6],
  }),
  localApicId: orZero(u64("Local APIC id of the processor")),
  cpuid: orZero(CpuidInformation),
  errorInfos: list(X86ErrorInfo, "Processor error information", ref("validation.errorInfoCount")),
  contexts: list(X86Context, "Processor context", ref("validation.contextCount")),
}));
export type Ia32x64Processor = Parsed<typeof Ia32x64Processor>;
export type Ia32x64ProcessorInput = Encodable<typeof Ia32x64Processor>;

const CHECKS: Readonly<
  Record<string, { readonly words: string; readonly layout: typeof CacheCheck | typeof TlbCheck | typeof BusCheck | typeof MicroArchitectureCheck }>
> = {
  [X86_ERROR_TYPE.cache]: { words: "cache", layout: CacheCheck },
  [X86_ERROR_TYPE.tlb]: { words: "TLB", layout: TlbCheck },
  [X86_ERROR_TYPE.bus]: { words: "bus", layout: BusCheck },
  [X86_ERROR_TYPE.microArchitecture]: { words: "micro-architecture", layout: MicroArchitectureCheck },
};
type Info = Pick<X86ErrorInfo, "errorType" | "validation" | "checkInformation" | "targetIdentifier" | "instructionPointer">;
const checkLayout = (info: Info) => CHECKS[info.errorType ?? ""]?.layout;
const kindWords = (info: Info) => `${CHECKS[info.errorType ?? ""]?.words ?? "unknown kind of"} error`;

function errorInfoPhrase(info: Info): string {
  const layout = checkLayout(info);
  const check = info.checkInformation;
  const details =
    layout && check && !(check instanceof Uint8Array) ? known(info, "checkInformation", check as object, (value) => memberPhrase(layout, value)) : undefined;
  return phrase(
    `${kindWords(info)}${details ? ` (${details})` : ""}`,
    known(info, "targetIdentifier", info.targetIdentifier, (value) => `target ${hexNumber(value)}`),
    known(info, "instructionPointer", info.instructionPointer, (value) => `instruction pointer ${hexNumber(value)}`),
  );
}

/** Consecutive MSRs by name. */
function msrTrees(context: X86Context): Tree[] {
  const { registers } = context;
  if (context.contextType !== "msr" || context.msrAddress === undefined || !registers || registers instanceof Uint8Array) return [];
  const values = (registers as { registers?: { value?: bigint }[] }).registers ?? [];
  return values.flatMap(({ value }, i) => {
    const address = context.msrAddress! + i;
    return value === undefined ? [] : [{ label: `MSR ${hexNumber(address)}`, text: hexNumber(value), ...(msrName(address) && { note: msrName(address)! }) }];
  });
}

/** The other reading of the contexts: without padding, the way libcper writes them. */
export const x86ContextsBackToBack = backToBackReader(Ia32x64Processor, X86Context as Layout<X86Context>);

export const ia32x64Processor: SectionType = {
  guids: ["dc3ea0b0-a144-4797-b95b-53fa242b6e1d"],
  name: "ia32x64Processor",
  title: "IA32/X64 processor error",
  layout: Ia32x64Processor,
  summary: (body: Ia32x64Processor) =>
    phrase(
      known(body, "localApicId", body.localApicId, (value) => `local APIC id ${hexNumber(value)}`),
      ...(body.errorInfos ?? []).map(errorInfoPhrase),
    ),
  explain: (body: Ia32x64Processor) => {
    const out: Tree[] = [];
    if (body.validation?.cpuid && body.cpuid?.eax !== undefined) out.push({ label: "processor", text: cpuidWords(body.cpuid.eax) });
    (body.errorInfos ?? []).forEach((info, i) => {
      const layout = checkLayout(info);
      if (layout && info.checkInformation && !(info.checkInformation instanceof Uint8Array) && info.validation?.checkInformation)
        out.push({ label: `error ${i}`, text: kindWords(info), children: memberTrees(layout, info.checkInformation) });
    });
    (body.contexts ?? []).forEach((context, i) => {
      const children = msrTrees(context as X86Context);
      if (children.length > 0) out.push({ label: `context ${i}`, text: valueLabel(X86_CONTEXT_TYPE, "msr"), children });
    });
    return [...out, ...x86ContextsBackToBack.explain(body, body.validation?.contextCount ?? 0)];
  },
};
