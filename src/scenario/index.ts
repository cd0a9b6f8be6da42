/** Scenarios: their language, the run, and how it is shown. */
export { policyOf } from "./machine.ts";
export * from "./read.ts";
export * from "./report.ts";
export * from "./runner.ts";
export * from "./schema.ts";
export * from "./svg.ts";
export * from "./timeline.ts";
