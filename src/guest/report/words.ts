/** The words the kernel prints, by number, exactly as it prints them; and what differs between its versions. */

/** In a predicted line: what depends on the state the machine is in, such as what a page was used for, or the time. */
export const ANYTHING = "…";

/** The word for a number; what has none is unknown. */
export const wordOf = (words: readonly string[], value: number): string => words[value] ?? "unknown";

export const SEVERITY_WORDS = ["recoverable", "fatal", "corrected", "info"] as const;

export const PROCESSOR_TYPE_WORDS = ["IA32/X64", "IA64", "ARM"] as const;
export const INSTRUCTION_SET_WORDS = ["IA32", "IA64", "X64", "ARM A32/T32", "ARM A64"] as const;
/** By bit of the generic section, in order of the IA32/X64 structure types, by bit less one of the ARM type byte. */
export const PROCESSOR_ERROR_WORDS = ["cache error", "TLB error", "bus error", "micro-architectural error"] as const;
export const PROCESSOR_OPERATION_WORDS = ["unknown or generic", "data read", "data write", "instruction execution"] as const;
export const PROCESSOR_FLAG_WORDS = ["restartable", "precise IP", "overflow", "corrected"] as const;

export const MEMORY_ERROR_WORDS = [
  "unknown",
  "no error",
  "single-bit ECC",
  "multi-bit ECC",
  "single-symbol chipkill ECC",
  "multi-symbol chipkill ECC",
  "master abort",
  "target abort",
  "parity error",
  "watchdog timeout",
  "invalid address",
  "mirror Broken",
  "memory sparing",
  "scrub corrected error",
  "scrub uncorrected error",
  "physical memory map-out event",
] as const;
export const ERROR_STATUS_WORDS: Readonly<Record<number, string>> = {
  1: "Error detected internal to the component",
  4: "Storage error in DRAM memory",
  5: "Storage error in TLB",
  6: "Storage error in cache",
  7: "Error in one or more functional units",
  8: "Component failed self test",
  9: "Overflow or undervalue of internal queue",
  16: "Error detected in the bus",
  17: "Virtual address not found on IO-TLB or IO-PDIR",
  18: "Improper access error",
  19: "Access to a memory address which is not mapped to any component",
  20: "Loss of Lockstep",
  21: "Response not associated with a request",
  22: "Bus parity error - must also set the A, C, or D Bits",
  23: "Detection of a protocol error",
  24: "Detection of a PATH_ERROR",
  25: "Bus operation timeout",
  26: "A read was issued to data that has been poisoned",
};

export const PCIE_PORT_WORDS = [
  "PCIe end point",
  "legacy PCI end point",
  "unknown",
  "unknown",
  "root port",
  "upstream switch port",
  "downstream switch port",
  "PCIe to PCI/PCI-X bridge",
  "PCI/PCI-X to PCIe bridge",
  "root complex integrated endpoint device",
  "root complex event collector",
] as const;

export const FIRMWARE_RECORD_WORDS = [
  "IPF SAL Error Record",
  "SOC Firmware Error Record Type1 (Legacy CrashLog Support)",
  "SOC Firmware Error Record Type2",
] as const;

export const CXL_AGENT_WORDS = [
  "Restricted CXL Device",
  "Restricted CXL Host Downstream Port",
  "CXL Device",
  "CXL Logical Device",
  "CXL Fabric Manager managed Logical Device",
  "CXL Root Port",
  "CXL Downstream Switch Port",
  "CXL Upstream Switch Port",
] as const;

// ---- IA32/X64 ----

export const X86_TRANSACTION_WORDS = ["Instruction", "Data Access", "Generic"] as const;
/** The last two are known for caches only. */
export const X86_OPERATION_WORDS = [
  "generic error",
  "generic read",
  "generic write",
  "data read",
  "data write",
  "instruction fetch",
  "prefetch",
  "eviction",
  "snoop",
] as const;
export const X86_TRANSFER_OPERATIONS = 7;
export const X86_PARTICIPATION_WORDS = [
  "Local Processor originated request",
  "Local Processor responded to request",
  "Local Processor observed",
  "Generic",
] as const;
export const X86_ADDRESS_SPACE_WORDS = ["Memory Access", "Reserved", "I/O", "Other Transaction"] as const;
export const X86_MICRO_ARCHITECTURE_WORDS = [
  "No Error",
  "Unclassified",
  "Microcode ROM Parity Error",
  "External Error",
  "FRC Error",
  "Internal Unclassified",
] as const;
export const X86_CONTEXT_WORDS = [
  "Unclassified Data",
  "MSR Registers (Machine Check and other MSRs)",
  "32-bit Mode Execution Context",
  "64-bit Mode Execution Context",
  "FXSAVE Context",
  "32-bit Mode Debug Registers (DR0-DR7)",
  "64-bit Mode Debug Registers (DR0-DR7)",
  "Memory Mapped Registers",
] as const;

// ---- ARM ----

export const ARM_TRANSACTION_WORDS = ["Instruction", "Data Access", "Generic"] as const;
export const ARM_BUS_OPERATION_WORDS = [
  "Generic error (type cannot be determined)",
  "Generic read (type of instruction or data request cannot be determined)",
  "Generic write (type of instruction of data request cannot be determined)",
  "Data read",
  "Data write",
  "Instruction fetch",
  "Prefetch",
] as const;
export const ARM_CACHE_OPERATION_WORDS = [
  ...ARM_BUS_OPERATION_WORDS,
  "Eviction",
  "Snooping (processor initiated a cache snoop that resulted in an error)",
  "Snooped (processor raised a cache error caused by another processor or device snooping its cache)",
  "Management",
] as const;
export const ARM_TLB_OPERATION_WORDS = [
  ...ARM_BUS_OPERATION_WORDS,
  "Local management operation (processor initiated a TLB management operation that resulted in an error)",
  "External management operation (processor raised a TLB error caused by another processor or device broadcasting TLB operations)",
] as const;
export const ARM_PARTICIPATION_WORDS = [
  "Local processor originated request",
  "Local processor responded to request",
  "Local processor observed",
  "Generic",
] as const;
export const ARM_ADDRESS_SPACE_WORDS = ["External Memory Access", "Internal Memory Access", "Unknown", "Device Memory Access"] as const;
export const ARM_CONTEXT_WORDS = [
  "AArch32 general purpose registers",
  "AArch32 EL1 context registers",
  "AArch32 EL2 context registers",
  "AArch32 secure context registers",
  "AArch64 general purpose registers",
  "AArch64 EL1 context registers",
  "AArch64 EL2 context registers",
  "AArch64 EL3 context registers",
  "Misc. system register structure",
] as const;

// ---- versions ----

export interface KernelTraits {
  /** Whether the AER registers of a PCIe section are printed at any severity, the correctable ones too. */
  readonly aerAlways: boolean;
  /** Whether CXL sections are known; otherwise they are dumped. */
  readonly cxl: boolean;
  /** Processor contexts begin at multiples of this many bytes from the one before. */
  readonly contextAlignment: number;
  /** Architectures on which Debian builds it to take pages out of use over a record. */
  readonly isolates: readonly ("x86" | "arm64")[];
  /** Whether addresses outside memory are refused before anything is made of them. */
  readonly checksAddresses: boolean;
  /** Whether processor sections and the structures in them are measured before they are acted on. */
  readonly checksLengths: boolean;
  /** What it says when it kills a program over an error it took. */
  readonly killed: (source: number, program: string) => string;
  /** What recovery says of a PCI function that is not there. */
  readonly missingFunction: (name: string) => string;
}
const KILLED = "synchronous unrecoverable error (SIGBUS)";
/** What a version prints otherwise than the others. 6.1 is the long-term series as of 6.1.192. */
export const KERNELS = {
  "6.1": {
    aerAlways: false,
    cxl: false,
    contextAlignment: 1,
    isolates: ["arm64"],
    checksAddresses: true,
    checksLengths: false,
    killed: (_, program) => `GHES: ${program}: ${KILLED}`,
    missingFunction: (name) => `no pci_dev for ${name}`,
  },
  "7.2": {
    aerAlways: true,
    cxl: true,
    contextAlignment: 16,
    isolates: ["x86", "arm64"],
    checksAddresses: false,
    checksLengths: true,
    killed: (source, program) => `GHES GHES.${source}: [Hardware Error]: GHES: ${program}: ${KILLED}`,
    missingFunction: (name) => `${name}: no pci_dev found`,
  },
} as const satisfies Readonly<Record<string, KernelTraits>>;
export type KernelVersion = keyof typeof KERNELS;
