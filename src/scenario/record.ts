/** The error status block a scenario asks for. */
import { buildErrorStatusBlock, type ErrorDataEntryInput } from "../acpi/status-block.ts";
import { sectionTypes } from "../cper/registry.ts";
import { memoryRecord } from "../host/memory-record.ts";
import { EncodeError, fromJson, hexToBytes, type SectionType, UsageError } from "../layout/index.ts";
import type { RecordContent, SectionContent } from "./schema.ts";

/**
 * @param path of the content in the scenario.
 * @returns undefined when it says nothing of a record. @throws UsageError, EncodeError naming the member that is wrong.
 */
export function recordOf(content: RecordContent, path = "record"): Uint8Array | undefined {
  const { block, memory, sections, severity = "recoverable" } = content;
  if (block !== undefined) return hexToBytes(block);
  if (memory) return memoryRecord({ ...memory, physicalAddress: memory.physicalAddress === undefined ? undefined : BigInt(memory.physicalAddress) });
  if (!sections) return undefined;
  const entries = sections.map(({ severity: own = severity, fruText, ...section }, i): ErrorDataEntryInput => {
    const { type, body } = sectionOf(section, `${path}.sections[${i}]`);
    return { header: { errorSeverity: own, ...(fruText !== undefined && { fruText }) }, type, body };
  });
  return buildErrorStatusBlock(severity, entries);
}

/** The type a section names, and the value of its body. @throws UsageError, EncodeError naming the member that is wrong. */
export function sectionOf({ kind, body }: Pick<SectionContent, "kind" | "body">, path: string): { readonly type: SectionType; readonly body: object } {
  const type = sectionTypes.byName(kind);
  if (!type) throw new UsageError(`${path}.kind: there is no section type ${kind}`);
  try {
    return { type, body: fromJson(type.layout as never, body) as object };
  } catch (error) {
    throw error instanceof EncodeError ? error.within(`${path}.body`) : error;
  }
}
