/** Register sets of ARM processors as sections carry them (UEFI 2.11 N.2.4.4.2). Names are the architecture's. */
import { bits, hex, list, sequence, struct, u32, u64 } from "../../layout/index.ts";

const SOURCE = "UEFI 2.11 N.2.4.4.2";
const r32 = () => hex(u32("32-bit register"));
const r64 = () => u64("64-bit register");

export const ArmAarch32GeneralRegisters = struct("AArch32 General Purpose Registers", 64, SOURCE, () => ({
  r0: r32(),
  r1: r32(),
  r2: r32(),
  r3: r32(),
  r4: r32(),
  r5: r32(),
  r6: r32(),
  r7: r32(),
  r8: r32(),
  r9: r32(),
  r10: r32(),
  r11: r32(),
  r12: r32(),
  r13: r32(),
  r14: r32(),
  r15: r32(),
}));

export const ArmAarch32El1Registers = struct("AArch32 EL1 Context Registers", 96, SOURCE, () => ({
  dfar: r32(),
  dfsr: r32(),
  ifar: r32(),
  isr: r32(),
  mair0: r32(),
  mair1: r32(),
  midr: r32(),
  mpidr: r32(),
  nmrr: r32(),
  prrr: r32(),
  sctlr: r32(),
  spsr: r32(),
  spsr_abt: r32(),
  spsr_fiq: r32(),
  spsr_irq: r32(),
  spsr_svc: r32(),
  spsr_und: r32(),
  tpidrprw: r32(),
  tpidruro: r32(),
  tpidrurw: r32(),
  ttbcr: r32(),
  ttbr0: r32(),
  ttbr1: r32(),
  dacr: r32(),
}));

export const ArmAarch32El2Registers = struct("AArch32 EL2 Context Registers", 64, SOURCE, () => ({
  elr_hyp: r32(),
  hamair0: r32(),
  hamair1: r32(),
  hcr: r32(),
  hcr2: r32(),
  hdfar: r32(),
  hifar: r32(),
  hpfar: r32(),
  hsr: r32(),
  htcr: r32(),
  htpidr: r32(),
  httbr: r32(),
  spsr_hyp: r32(),
  vtcr: r32(),
  vttbr: r32(),
  dacr32_el2: r32(),
}));

export const ArmAarch32SecureRegisters = struct("AArch32 Secure Context Registers", 8, SOURCE, () => ({ sctlr_s: r32(), spsr_mon: r32() }));

export const ArmAarch64GeneralRegisters = struct("AArch64 General Purpose Registers", 256, SOURCE, () => ({
  x0: r64(),
  x1: r64(),
  x2: r64(),
  x3: r64(),
  x4: r64(),
  x5: r64(),
  x6: r64(),
  x7: r64(),
  x8: r64(),
  x9: r64(),
  x10: r64(),
  x11: r64(),
  x12: r64(),
  x13: r64(),
  x14: r64(),
  x15: r64(),
  x16: r64(),
  x17: r64(),
  x18: r64(),
  x19: r64(),
  x20: r64(),
  x21: r64(),
  x22: r64(),
  x23: r64(),
  x24: r64(),
  x25: r64(),
  x26: r64(),
  x27: r64(),
  x28: r64(),
  x29: r64(),
  x30: r64(),
  sp: r64(),
}));

export const ArmAarch64El1Registers = struct("AArch64 EL1 Context Registers", 136, SOURCE, () => ({
  elr_el1: r64(),
  esr_el1: r64(),
  far_el1: r64(),
  isr_el1: r64(),
  mair_el1: r64(),
  midr_el1: r64(),
  mpidr_el1: r64(),
  sctlr_el1: r64(),
  sp_el0: r64(),
  sp_el1: r64(),
  spsr_el1: r64(),
  tcr_el1: r64(),
  tpidr_el0: r64(),
  tpidr_el1: r64(),
  tpidrro_el0: r64(),
  ttbr0_el1: r64(),
  ttbr1_el1: r64(),
}));

export const ArmAarch64El2Registers = struct("AArch64 EL2 Context Registers", 120, SOURCE, () => ({
  elr_el2: r64(),
  esr_el2: r64(),
  far_el2: r64(),
  hacr_el2: r64(),
  hcr_el2: r64(),
  hpfar_el2: r64(),
  mair_el2: r64(),
  sctlr_el2: r64(),
  sp_el2: r64(),
  spsr_el2: r64(),
  tcr_el2: r64(),
  tpidr_el2: r64(),
  ttbr0_el2: r64(),
  vtcr_el2: r64(),
  vttbr_el2: r64(),
}));

export const ArmAarch64El3Registers = struct("AArch64 EL3 Context Registers", 80, SOURCE, () => ({
  elr_el3: r64(),
  esr_el3: r64(),
  far_el3: r64(),
  mair_el3: r64(),
  sctlr_el3: r64(),
  sp_el3: r64(),
  spsr_el3: r64(),
  tcr_el3: r64(),
  tpidr_el3: r64(),
  ttbr0_el3: r64(),
}));

const SystemRegister = struct("System Register", 10, SOURCE, () => ({
  encoding: bits(2, "How MRS and MSR name the register", { op2: [0, 3], crm: [3, 4], crn: [7, 4], op1: [11, 3], o0: [14, 1] }),
  value: r64(),
}));
export const ArmSystemRegisters = sequence("Miscellaneous System Registers", SOURCE, () => ({
  registers: list(SystemRegister, "Registers by their MRS encoding"),
}));

const Wide = struct("128-bit Register", 16, SOURCE, () => ({ low: u64("Low half"), high: u64("High half") }));
export const ArmAarch64WideRegisters = struct("AArch64 128-bit Registers", 96, `${SOURCE}; all ones: not valid`, () => ({
  ttbr0_el1: Wide,
  ttbr0_el2: Wide,
  ttbr0_el3: Wide,
  ttbr1_el1: Wide,
  ttbr1_el2: Wide,
  vttbr_el2: Wide,
}));
