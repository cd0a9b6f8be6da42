/** Processor identification registers in words. */
import { hexNumber } from "../../layout/index.ts";

/** Family, model and stepping from CPUID function 1 EAX (Intel SDM volume 2, CPUID). */
export function cpuidWords(eax: bigint): string {
  const value = Number(eax & 0xffffffffn);
  const baseFamily = (value >> 8) & 15;
  const family = baseFamily === 15 ? baseFamily + ((value >> 20) & 255) : baseFamily;
  const baseModel = (value >> 4) & 15;
  const model = baseFamily === 6 || baseFamily === 15 ? ((value >> 16) & 15) * 16 + baseModel : baseModel;
  return `family ${hexNumber(family)}, model ${hexNumber(model)}, stepping ${value & 15}`;
}

const IMPLEMENTERS: Readonly<Record<number, string>> = {
  65: "Arm",
  66: "Broadcom",
  67: "Cavium",
  68: "DEC",
  70: "Fujitsu",
  72: "HiSilicon",
  73: "Infineon",
  77: "Motorola/Freescale",
  78: "NVIDIA",
  80: "Applied Micro",
  81: "Qualcomm",
  83: "Samsung",
  86: "Marvell",
  97: "Apple",
  105: "Intel",
  109: "Microsoft",
  112: "Phytium",
  192: "Ampere",
};
/** Parts of implementer Arm that servers are built on. */
const ARM_PARTS: Readonly<Record<number, string>> = {
  3331: "Cortex-A53",
  3335: "Cortex-A57",
  3336: "Cortex-A72",
  3337: "Cortex-A73",
  3338: "Cortex-A75",
  3339: "Cortex-A76",
  3340: "Neoverse N1",
  3392: "Neoverse V1",
  3401: "Neoverse N2",
  3402: "Neoverse E1",
  3407: "Neoverse V2",
  3459: "Neoverse V3AE",
  3460: "Neoverse V3",
  3470: "Neoverse N3",
};

/** Implementer, part and revision from MIDR_EL1 (Arm ARM, D19.2.122). */
export function midrWords(midr: bigint): string {
  const value = Number(midr & 0xffffffffn);
  const implementer = value >>> 24;
  const part = (value >> 4) & 0xfff;
  const name = IMPLEMENTERS[implementer] ?? `implementer ${hexNumber(implementer)}`;
  const partName = implementer === 0x41 ? ARM_PARTS[part] : undefined;
  return `${name} ${partName ?? `part ${hexNumber(part)}`} r${(value >> 20) & 15}p${value & 15}`;
}

/** The affinity fields of MPIDR_EL1, most significant first: `0.0.2.1`. */
export const mpidrWords = (mpidr: bigint): string => [32n, 16n, 8n, 0n].map((at) => Number((mpidr >> at) & 0xffn)).join(".");

const MCA_BANK_REGISTERS = ["CTL", "STATUS", "ADDR", "MISC"];
const SMCA_BANK_REGISTERS = ["CTL", "STATUS", "ADDR", "MISC0", "CONFIG", "IPID", "SYND", undefined, "DESTAT", "DEADDR", "MISC1", "MISC2", "MISC3", "MISC4"];
const MSRS: Readonly<Record<number, string>> = {
  16: "IA32_TIME_STAMP_COUNTER",
  27: "IA32_APIC_BASE",
  139: "IA32_BIOS_SIGN_ID",
  377: "IA32_MCG_CAP",
  378: "IA32_MCG_STATUS",
  379: "IA32_MCG_CTL",
  1232: "IA32_MCG_EXT_CTL",
};
/** The name of a model-specific register that machine checks are told in. */
export function msrName(msr: number): string | undefined {
  if (msr >= 0x400 && msr < 0x480) return `IA32_MC${(msr - 0x400) >> 2}_${MCA_BANK_REGISTERS[msr & 3]}`;
  if (msr >= 0x280 && msr < 0x2a0) return `IA32_MC${msr - 0x280}_CTL2`;
  if (msr >= 0xc0002000 && msr < 0xc0002400) {
    const register = SMCA_BANK_REGISTERS[msr & 15];
    return register && `MCA_${register} of bank ${(msr - 0xc0002000) >> 4}`;
  }
  return MSRS[msr];
}
