/**
 * The public API: a namespace for each room, and by itself what most programs need of them.
 * The library part runs in a browser: nothing here imports `node:` modules.
 */
export { aslSource } from "./acpi/asl.ts";
export { buildTable } from "./acpi/build-tables.ts";
export * as acpi from "./acpi/index.ts";
export { buildErrorStatusBlock, type ErrorStatusBlock, encodeErrorStatusBlock, parseErrorStatusBlock, statusBlockFormat } from "./acpi/status-block.ts";
export * as arm64 from "./arm64/index.ts";
export { type CheckInput, type CheckOptions, type CheckResult, check, RULES, ruleById } from "./check/check.ts";
export { explainText, jsonReport, junitReport, sarifReport, textReport } from "./check/report.ts";
export { type CheckFinding, PROFILES, type Profile, type RuleData } from "./check/rule.ts";
export * as cper from "./cper/index.ts";
export { bankSummary } from "./cper/machine-check/index.ts";
export { buildRecord, type CperRecord, cperFormat, encodeRecord, parseRecord, type SectionInput } from "./cper/record-codec.ts";
export { sectionTypes } from "./cper/registry.ts";
export * as sections from "./cper/sections/index.ts";
export { type BootOptions, type BootResult, boot } from "./firmware/boot.ts";
export * as firmware from "./firmware/index.ts";
export { type HestProbe, type HestProbeOptions, probeHest } from "./guest/hest-probe.ts";
export * as guest from "./guest/index.ts";
export * from "./guest/report/report.ts";
export * as host from "./host/index.ts";
export { type Content, Formats, type JsonObject } from "./input/content.ts";
export { type Document, Documents, documentsOf, documentToJson, encodeDocument, type ReadOptions, readDocument } from "./input/document.ts";
export { Dice, type GeneratedForm, generate, generateBytes } from "./input/generate.ts";
export { leavesOf } from "./input/leaves.ts";
export { checkDocument } from "./input/schema-check.ts";
export { schemas } from "./input/schemas.ts";
export * as layout from "./layout/index.ts";
export {
  completed,
  type Decoded,
  DecodeError,
  decode,
  type Encodable,
  EncodeError,
  encode,
  type Finding,
  type Format,
  fieldTrees,
  fromJson,
  type Json,
  jsonSchema,
  type Parsed,
  parse,
  SectionRegistry,
  type SectionType,
  spans,
  toJson,
  treeLines,
  UsageError,
  withValidation,
} from "./layout/index.ts";
export { buildHandOff, type HandOff, type ReadFile } from "./loader/build.ts";
export type { BuildDescription } from "./loader/description.ts";
export * as loader from "./loader/index.ts";
export * as machine from "./machine/index.ts";
export * as scenario from "./scenario/index.ts";
