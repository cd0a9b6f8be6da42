/** The error status block a scenario asks for. */
import { buildErrorStatusBlock, type ErrorDataEntryInput } from "../acpi/status-block.ts";
import { sectionTypes } from "../cper/registry.ts";
import { memoryRecord } from "../host/memory-record.ts";
import { completed, EncodeError, encodeSectionBody, fromJson, hexToBytes, type SectionType, UsageError } from "../layout/index.ts";
import { meant } from "./meant.ts";
import type { RecordContent, Scenario, SectionContent } from "./schema.ts";

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
  if (!type) {
    const name = meant(
      kind,
      [...sectionTypes].map((other) => other.name),
    );
    throw new UsageError(`${path}.kind: there is no section type ${kind}${name === undefined ? "" : `; did you mean ${name}?`}`);
  }
  try {
    const value = fromJson(type.layout as never, body) as object;
    // What does not fit its field is found when it is written.
    encodeSectionBody({ type, value: completed(type.layout, value) });
    return { type, body: value };
  } catch (error) {
    if (!(error instanceof EncodeError)) throw error;
    const own = `${(type.layout as { readonly name?: string }).name}.`;
    throw new EncodeError(error.path.startsWith(own) ? error.path.slice(own.length) : error.path, error.problem).within(`${path}.body`);
  }
}

/** Make every record of a scenario's events once, before anything happens. @throws UsageError, EncodeError naming the member that is wrong. */
export function checkRecords({ events }: Pick<Scenario, "events">): void {
  for (const [i, { record, processorError }] of events.entries()) {
    const path = `events[${i}]`;
    if (record && !recordOf(record, `${path}.record`)) throw new UsageError(`${path}.record: a record needs a block, sections or a memory error`);
    if (processorError?.record) recordOf(processorError.record, `${path}.processorError.record`);
  }
}
