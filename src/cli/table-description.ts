/** Descriptions of one table: `{ "table": "HEST", … }`, the JSON form of the table without what can be computed. */
import { buildTable } from "../acpi/build-tables.ts";
import { EncodeError, type Json, UsageError } from "../layout/index.ts";

/**
 * The table a description asks for; undefined when it describes something else, or is no JSON at all.
 * @throws UsageError naming the file and the member that is wrong.
 */
export function describedTable(text: string, file: string): { readonly signature: string; readonly bytes: Uint8Array } | undefined {
  let json: Json;
  try {
    json = JSON.parse(text) as Json;
  } catch {
    return undefined;
  }
  if (typeof json !== "object" || json === null || Array.isArray(json) || json["table"] === undefined) return undefined;
  const { table: signature, $schema: _schema, ...description } = json;
  if (typeof signature !== "string" || !/^[A-Z0-9_]{4}$/.test(signature))
    throw new UsageError(`${file}: table: ${JSON.stringify(signature)} is no signature of four capitals, digits or underscores`);
  try {
    return { signature, bytes: buildTable(signature, description) };
  } catch (error) {
    if (error instanceof EncodeError) throw new UsageError(`${file}: ${error.message}`);
    throw error;
  }
}
