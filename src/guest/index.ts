/** What guests do with HEST, error sources, ERST and EINJ: Linux, and other systems as far as they are known. */
export * from "./actions.ts";
export * from "./einj.ts";
export * from "./erst.ts";
export * from "./ghes.ts";
export * from "./hest.ts";
export * from "./kernel.ts";
export * from "./operating-system.ts";
export * from "./plain-kernel.ts";
export * from "./registers.ts";
export * from "./steps.ts";
