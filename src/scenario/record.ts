/** The error status block a scenario asks for. */
import { buildErrorStatusBlock, type ErrorDataEntryInput } from "../acpi/status-block.ts";
import { sectionTypes } from "../cper/registry.ts";
import { memoryRecord } from "../host/memory-record.ts";
import { EncodeError, fromJson, hexToBytes, UsageError } from "../layout/index.ts";
import type { RecordEvent } from "./schema.ts";

/** @returns undefined when the event says nothing of a record. @throws UsageError, EncodeError naming the member that is wrong. */
export function recordOf(event: RecordEvent): Uint8Array | undefined {
  const { block, memory, sections, severity = "recoverable" } = event;
  if (block !== undefined) return hexToBytes(block);
  if (memory) return memoryRecord({ ...memory, physicalAddress: memory.physicalAddress === undefined ? undefined : BigInt(memory.physicalAddress) });
  if (!sections) return undefined;
  const entries = sections.map(({ kind, severity: own = severity, fruText, body }, i): ErrorDataEntryInput => {
    const type = sectionTypes.byName(kind);
    if (!type) throw new UsageError(`record.sections[${i}].kind: there is no section type ${kind}`);
    try {
      return { header: { errorSeverity: own, ...(fruText !== undefined && { fruText }) }, type, body: fromJson(type.layout as never, body) as object };
    } catch (error) {
      throw error instanceof EncodeError ? error.within(`record.sections[${i}].body`) : error;
    }
  });
  return buildErrorStatusBlock(severity, entries);
}
