/** What a Linux guest does with HEST, error sources, ERST and EINJ. */
export * from "./actions.ts";
export * from "./einj.ts";
export * from "./erst.ts";
export * from "./ghes.ts";
export * from "./hest.ts";
export * from "./kernel.ts";
export * from "./registers.ts";
