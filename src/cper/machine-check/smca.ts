/** Bank types of AMD's scalable machine-check architecture and their extended error codes (Linux mce_amd.c and rasdaemon behaviour). */

/** Causes by extended error code; absent ones are reserved. */
type Causes = Readonly<Record<number, string>>;
export interface BankType {
  readonly name: string;
  readonly causes: Causes;
}

/** `first` is the code of the first cause. */
const from = (first: number, causes: readonly string[]): Causes => Object.fromEntries(causes.map((cause, i) => [first + i, cause]));
const parity = (names: readonly string[]) => names.map((name) => `${name} parity error`);
const ecc = (names: readonly string[]) => names.map((name) => `${name} ECC error`);

const LOAD_STORE = from(0, [
  "load queue parity error",
  "store queue parity error",
  "miss address buffer payload parity error",
  "level 1 TLB parity error",
  "data cache tag error type 5",
  "data cache tag error type 6",
  "data cache tag error type 1",
  "internal error type 1",
  "internal error type 2",
  "system read data error, thread 0",
  "system read data error, thread 1",
  "data cache tag error type 2",
  "data cache data error type 1, poison consumption",
  "data cache data error type 2",
  "data cache data error type 3",
  "data cache tag error type 4",
  "level 2 TLB parity error",
  "page directory cache parity error",
  "data cache tag error type 3",
  "data cache tag error type 5",
  "level 2 cache fill data error",
  "store coalescing buffer state or address error",
  "store coalescing buffer data pipe 0 error",
  "store coalescing buffer data pipe 1 error",
  "store coalescing buffer data error, uncached",
  "write-combining read data error",
  "hardware assertion",
]);
const LOAD_STORE_V2 = from(0, [
  ...ecc([
    "data cache probe or victim",
    "data cache load, or poison consumption:",
    "data cache store read-modify-write",
    "tag probe",
    "tag load",
    "tag store",
    "EMEM load",
    "EMEM store",
  ]),
  ...parity([
    "level 1 data TLB",
    "level 2 data TLB",
    "page walk cache",
    "store queue",
    "load queue",
    "miss address buffer",
    "store coalescing buffer state",
    "store coalescing buffer address",
    "store coalescing buffer data",
    "write-combining buffer",
  ]),
  "store coalescing buffer poison",
  "system read data error, load",
  "system read data error, store coalescing buffer",
  "system read data error, write-combining buffer",
  "hardware assertion",
  "store-to-load forward or store data parity error",
]);
const INSTRUCTION_FETCH = from(0, [
  "microtag probe port parity error",
  "microtag or full tag multi-hit",
  "full tag parity error",
  "instruction cache data array parity error",
  "PRQ parity error",
  "level 0 instruction TLB parity error",
  "level 1 TLB parity error",
  "level 2 TLB parity error",
  "branch prediction queue snoop parity error, thread 0",
  "branch prediction queue snoop parity error, thread 1",
  "level 1 branch target buffer multi-hit",
  "level 2 branch target buffer multi-hit",
  "level 2 cache response poison",
  "system read data error",
  "hardware assertion",
  "level 1 TLB multi-hit",
  "level 2 TLB multi-hit",
  "BSR parity error",
  "CT error",
]);
const L2_CACHE = from(0, [
  "tag multi-way hit",
  "tag or state ECC error",
  "data ECC error",
  "hardware assertion",
  "read response parity error",
  "programmable state machine error",
]);
const DECODE = from(0, [
  ...parity([
    "micro-op cache tag",
    "micro-op cache data",
    "instruction buffer",
    "micro-op queue",
    "instruction dispatch queue",
    "fetch address FIFO",
    "patch RAM data",
    "patch RAM sequencer",
    "micro-op fetch queue",
  ]),
  "hardware assertion",
]);
const EXECUTION = from(0, [
  "watchdog time-out",
  ...parity([
    "physical register file",
    "flag register file",
    "immediate displacement register file",
    "address generator payload",
    "execution payload",
    "checkpoint queue",
    "retire dispatch queue",
    "retire status queue",
    "scheduler",
    "branch buffer queue",
  ]),
  "hardware assertion",
  "speculation map parity error",
  "retire map parity error",
]);
const FLOATING_POINT = from(0, [
  ...parity(["physical register file", "freelist", "schedule queue", "non-schedule queue", "retire queue", "status register file"]),
  "hardware assertion",
  "mask register file parity error",
]);
const L3_CACHE = from(0, [
  "shadow tag ECC error",
  "shadow tag multi-way hit",
  "tag ECC error",
  "tag multi-way hit",
  "data ECC error",
  "SDP parity error or poison",
  "victim queue parity error",
  "hardware assertion",
  "write buffer poison creation",
  "data state machine error",
]);
const COHERENT_STATION_START = [
  "illegal request",
  "address violation",
  "security violation",
  "illegal response",
  "unexpected response",
  "request or probe parity error",
  "read response parity error",
  "atomic request parity error",
];
const COHERENT_STATION = from(0, [...COHERENT_STATION_START, "probe filter ECC error"]);
const COHERENT_STATION_V2_END = from(14, [
  "illegal request on the no-data channel",
  "address violation on the no-data channel",
  "security violation on the no-data channel",
  "hardware assertion",
  "shadow tag protocol error",
  "shadow tag ECC error",
  "shadow tag transaction error",
]);
const COHERENT_STATION_V2 = {
  ...from(0, [
    ...COHERENT_STATION_START,
    "read response without a request",
    "probe filter protocol error",
    "probe filter ECC error",
    "unexpected retry",
    "counter overflow",
    "counter underflow",
  ]),
  ...COHERENT_STATION_V2_END,
};
/** AMD erratum 1384: some models number five causes differently. */
const COHERENT_STATION_QUIRK = {
  ...COHERENT_STATION_V2,
  ...from(9, ["unexpected retry", "counter overflow", "counter underflow", "probe filter protocol error", "probe filter ECC error"]),
};
const POWER_INTERRUPTS = from(0, [
  "hardware assertion",
  "register security violation",
  "link error",
  "poison data consumption",
  "deferred error in the data fabric",
  "watchdog time-out",
  "CNLI SRAM ECC error",
  "register access during data fabric C-state",
  "data state machine error",
]);
const MEMORY_ATTACHED_CACHE = from(0, [
  "counter overflow",
  "counter underflow",
  "write data parity error",
  "read response parity error",
  "cache tag ECC error, macro 0",
  "cache tag ECC error, macro 1",
  "cache data ECC error",
]);
const MEMORY_CONTROLLER = {
  ...from(0, [
    "DRAM ECC error",
    "data poison",
    "SDP parity error",
    "advanced peripheral bus error",
    "address or command parity error",
    "write data CRC error",
    "DCQ SRAM ECC error",
    "AES SRAM ECC error",
    "error check and scrub row error",
    "error check and scrub error",
    "throttling error",
    "read CRC error",
  ]),
  16: "RFM SRAM ECC error",
};
const MEMORY_CONTROLLER_HBM: Causes = {
  0: "DRAM on-die ECC error",
  1: "data poison",
  2: "SDP parity error",
  4: "address or command parity error",
  5: "write data parity error",
  6: "SRAM ECC error",
  9: "Rdb SRAM ECC error",
  10: "thermal throttling",
  11: "read data parity error",
  13: "memory controller firmware error",
  14: "SRAM parity error",
  15: "HBM CRC error",
};
const MEMORY_CONTROLLER_V2: Causes = {
  0: "DRAM ECC error",
  1: "data poison",
  2: "SDP parity error",
  4: "address or command parity error",
  5: "write data parity error",
  6: "DCQ SRAM ECC error",
  8: "read data parity error",
  9: "Rdb SRAM ECC error",
  10: "RdRsp SRAM ECC error",
  11: "LM32 microprocessor error",
};
const RAM_ECC: Causes = { 0: "RAM ECC or parity error" };
const SECURITY_PROCESSOR_V2 = from(0, [
  "high SRAM ECC or parity error",
  "low SRAM ECC or parity error",
  "instruction cache bank 0 ECC or parity error",
  "instruction cache bank 1 ECC or parity error",
  "instruction tag RAM 0 parity error",
  "instruction tag RAM 1 parity error",
  ...[0, 1, 2, 3].map((bank) => `data cache bank ${bank} ECC or parity error`),
  ...[0, 1, 2, 3].map((bank) => `data tag RAM ${bank} parity error`),
  "dirty data RAM parity error",
  "TLB bank 0 parity error",
  "TLB bank 1 parity error",
  "system hub read buffer ECC or parity error",
  "fuse RAM ECC or parity error",
  "PCRU fuse SRAM ECC or parity error",
  "SIB SRAM parity error",
  "SECEMC error",
  "A5 hang",
  "SIB watchdog time-out",
]);
const CACHE_BANKS = ["data cache", "data tag", "instruction cache", "instruction tag"].flatMap((name) => [
  `${name} bank A ECC or parity error`,
  `${name} bank B ECC or parity error`,
]);
const MANAGEMENT_START = ["high SRAM ECC or parity error", "low SRAM ECC or parity error", ...CACHE_BANKS];
const MANAGEMENT_UNIT_V2: Causes = {
  ...from(0, [...MANAGEMENT_START, "system hub read buffer ECC or parity error", "PHY RAS ECC error"]),
  58: "graphics IP correctable error",
  59: "graphics IP fatal error",
  62: "graphics IP poison error",
};
const MP5 = from(0, [...MANAGEMENT_START, "fuse SRAM ECC or parity error"]);
const MPDMA = from(0, [
  ...["31:0", "63:32", "95:64", "127:96"].map((range) => `main SRAM [${range}] ECC or parity error`),
  ...[1, 2, 3].flatMap((engine) => CACHE_BANKS.map((cause) => `engine ${engine} ${cause}`)),
  "system hub read buffer ECC or parity error",
  ...[
    "TVF DVSEC memory",
    "TVF MMIO mailbox 0",
    "TVF MMIO mailbox 1",
    "TVF doorbell memory",
    ...[0, 1, 2].map((n) => `TVF SDP slave memory ${n}`),
    ...[0, 1, 2, 3, 4, 5, 6].map((n) => `TVF SDP master memory ${n}`),
  ].map((name) => `${name} ECC or parity error`),
  "SDP watchdog time-out",
  ...[
    "PTE command FIFO",
    "PTE hub data FIFO",
    "PTE internal data FIFO",
    "PTE command memory DMA",
    "PTE command memory internal",
    "TVF SDP master memory 7",
  ].map((name) => `${name} ECC or parity error`),
]);
const NORTHBRIDGE_IO = from(0, [
  "ECC or parity error",
  "PCIe error",
  "external SDP error event",
  "SDP egress poison",
  "internal poison",
  "internal system fatal error event",
]);
const PCIE = from(0, [
  "CCIX protocol error message logged",
  "CCIX read response with non-data error",
  "CCIX write response with non-data error",
  "CCIX read response with data error",
  "CCIX write response with data error",
]);
const PCIE_V2: Causes = { 0: "SDP data parity error" };
const NBIF = from(0, ["time-out from GMI", "SRAM ECC error", "NTB error event", "SDP parity error"]);
const SATA = from(
  0,
  [0, 1, 2, 3, 4, 5, 6, 7].map((port) => `parity error for port ${port}`),
);
const USB = from(0, [
  ...[0, 1, 2].map((ram) => `parity or ECC error for S0 RAM ${ram}`),
  "parity error for PHY RAM 0",
  "parity error for PHY RAM 1",
  "AXI slave response error",
]);
const PHY = from(0, ["RAM ECC error", "ARC instruction buffer parity error", "ARC data buffer parity error", "PHY APB error"]);
const XGMI_PCS = from(0, [
  "data loss",
  "training error",
  "flow control acknowledge error",
  "receive FIFO underflow",
  "receive FIFO overflow",
  "CRC error",
  "bit error rate exceeded",
  "transmit VCID data error",
  "replay buffer parity error",
  "data parity error",
  "replay FIFO overflow",
  "replay FIFO underflow",
  "elastic FIFO overflow",
  "deskew error",
  "flow control CRC error",
  "data start-up limit error",
  "flow control init time-out",
  "recovery time-out",
  "ready serial time-out",
  "ready serial attempt error",
  "recovery attempt error",
  "recovery relock attempt error",
  "replay attempt error",
  "sync header error",
  "transmit replay time-out",
  "receive replay time-out",
  "link sub-block transmit time-out",
  "link sub-block receive time-out",
  "receive command packet error",
]);
const GMI_PCS: Causes = {
  ...XGMI_PCS,
  2: "replay parity error",
  7: "transmit FIFO underflow",
  9: "transmit overflow",
  14: "offline error",
  22: "deskew abort",
  23: "receive buffer error",
  24: "receive LFDS FIFO overflow",
  25: "receive LFDS FIFO underflow",
  29: "LFDS training time-out",
  30: "LFDS flow control init time-out",
  31: "data loss",
};
const USR_DATA: Causes = {
  ...from(0, [
    "master command error",
    "master receive FIFO error",
    "master deskew error",
    "master detect time-out",
    "master flow control error",
    "master data valid FIFO error",
    "MAC link state error",
    "deskew error",
    "init time-out",
    "init attempt error",
    "recovery time-out",
    "recovery attempt error",
    "eye training time-out",
    "data start-up limit error",
    "LS0 exit error",
    "PLL power state update time-out",
    "receive FIFO error",
    "LCU error",
    "conversion correctable ECC error",
    "conversion uncorrectable ECC error",
  ]),
  ...from(21, [
    "receive data loss",
    "replay correctable ECC error",
    "replay uncorrectable ECC error",
    "CRC error",
    "bit error rate exceeded",
    "flow control init time-out",
    "flow control init attempt error",
    "replay time-out",
    "replay attempt error",
    "replay underflow",
    "replay overflow",
  ]),
};
const USR_CONTROL = from(0, [
  "packet type error",
  "receive FIFO error",
  "deskew error",
  "receive detect time-out",
  "data parity error",
  "data loss",
  "LCU error",
  "HB1 handshake time-out",
  "HB2 handshake time-out",
  "clock sleep response time-out",
  "clock wake response time-out",
  "reset attack error",
  "remote link fatal error",
]);

const UMC = { name: "unified memory controller", causes: MEMORY_CONTROLLER };
const UMC_HBM = { name: "unified memory controller (HBM)", causes: MEMORY_CONTROLLER_HBM };
const COHERENT_V2 = { name: "coherent station", causes: COHERENT_STATION_V2 };
const COHERENT_V2_QUIRK = { name: "coherent station", causes: COHERENT_STATION_QUIRK };

/** By hardware id and MCA type, as `id.type` in hex. */
const BANK_TYPES: Readonly<Record<string, BankType>> = {
  "b0.0": { name: "load-store unit", causes: LOAD_STORE },
  "b0.10": { name: "load-store unit", causes: LOAD_STORE_V2 },
  "b0.1": { name: "instruction fetch unit", causes: INSTRUCTION_FETCH },
  "b0.2": { name: "level 2 cache", causes: L2_CACHE },
  "b0.3": { name: "decode unit", causes: DECODE },
  "b0.4": { name: "reserved bank", causes: {} },
  "b0.5": { name: "execution unit", causes: EXECUTION },
  "b0.6": { name: "floating point unit", causes: FLOATING_POINT },
  "b0.7": { name: "level 3 cache", causes: L3_CACHE },
  "2e.0": { name: "coherent station", causes: COHERENT_STATION },
  "2e.1": { name: "power, interrupts, etc.", causes: POWER_INTERRUPTS },
  "2e.2": COHERENT_V2,
  "2e.4": { name: "memory-attached last level cache", causes: MEMORY_ATTACHED_CACHE },
  "96.0": UMC,
  "96.1": { name: "unified memory controller (HBM, GPU)", causes: MEMORY_CONTROLLER_V2 },
  "5.0": { name: "parameter block", causes: RAM_ECC },
  "ff.0": { name: "platform security processor", causes: RAM_ECC },
  "ff.1": { name: "platform security processor", causes: SECURITY_PROCESSOR_V2 },
  "1.0": { name: "system management unit", causes: RAM_ECC },
  "1.1": { name: "system management unit", causes: MANAGEMENT_UNIT_V2 },
  "1.2": { name: "microprocessor 5 unit", causes: MP5 },
  "1.3": { name: "MPDMA unit", causes: MPDMA },
  "18.0": { name: "northbridge I/O unit", causes: NORTHBRIDGE_IO },
  "46.0": { name: "PCIe unit", causes: PCIE },
  "46.1": { name: "PCIe unit", causes: PCIE_V2 },
  "6c.0": { name: "NBIF unit", causes: NBIF },
  "80.0": { name: "system hub", causes: NBIF },
  "a8.0": { name: "SATA unit", causes: SATA },
  "aa.0": { name: "USB unit", causes: USB },
  "170.0": { name: "ultra short reach data plane controller", causes: USR_DATA },
  "180.0": { name: "ultra short reach control plane controller", causes: USR_CONTROL },
  "50.0": { name: "xGMI PCS", causes: XGMI_PCS },
  "241.0": { name: "GMI PCS", causes: GMI_PCS },
  "259.0": { name: "xGMI PHY", causes: PHY },
  "267.0": { name: "WAFL PHY", causes: PHY },
  "269.0": { name: "GMI PHY", causes: PHY },
};

/** Family and model of a processor, extended fields included. */
export interface CpuModel {
  readonly family: number;
  readonly model: number;
}
/** Family and model from the EAX of CPUID leaf 1. */
export function cpuModel(eax: number): CpuModel {
  const base = (eax >> 8) & 15;
  const family = base === 15 ? base + ((eax >> 20) & 255) : base;
  return { family, model: ((eax >> 4) & 15) | (base === 15 || base === 6 ? ((eax >> 16) & 15) << 4 : 0) };
}

const within = (model: number, ...ranges: (readonly [from: number, to: number])[]) => ranges.some(([low, high]) => model >= low && model <= high);

/** The bank type a bank's IPID register names; undefined for one that is not known. */
export function bankType(hardwareId: number, mcaType: number, cpu?: CpuModel): BankType | undefined {
  const found = BANK_TYPES[`${hardwareId.toString(16)}.${mcaType.toString(16)}`];
  if (found === COHERENT_V2 && cpu) {
    const renumbered =
      (cpu.family === 0x19 && within(cpu.model, [0x10, 0x1f], [0x60, 0x7b], [0xa0, 0xaf])) || (cpu.family === 0x1a && within(cpu.model, [0x40, 0x4f]));
    return renumbered ? COHERENT_V2_QUIRK : found;
  }
  if (found === UMC && cpu?.family === 0x19 && within(cpu.model, [0x90, 0x9f])) return UMC_HBM;
  return found;
}
