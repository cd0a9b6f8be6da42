export * from "./bank.ts";
export { amdErrorCode, intelErrorCode } from "./error-code.ts";
export * from "./msr-context.ts";
export { type BankType, bankType, type CpuModel, cpuModel } from "./smca.ts";
