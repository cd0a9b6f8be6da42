/** What a fleet operator filters by and stores: one row for each section of a record. */
import { RecordHeader } from "../cper/record.ts";
import { type CperRecord, cperFormat, parseRecord, sectionSummary } from "../cper/record-codec.ts";
import { type Json, type SectionRegistry, toJson, UsageError } from "../layout/index.ts";

/** What one cell holds; 64-bit numbers are bigint. */
export type Cell = string | number | bigint | null;
export interface Column {
  readonly name: string;
  readonly doc: string;
  /** Cells of type `json` hold JSON text. */
  readonly type: "text" | "uint32" | "uint64" | "json";
  /** `record.sections` may be empty: then there is one row with a section index of null. */
  readonly cell: (row: Row) => Cell;
}

/** One section of one record, decoded only as far as its cells ask. */
export class Row {
  readonly record: CperRecord;
  readonly index: number;
  /** Bytes from the start of the input to the record. */
  readonly offset: number;
  readonly #format: ReturnType<typeof cperFormat>;
  #json: { [key: string]: Json } | undefined;

  constructor(record: CperRecord, index: number, offset: number, registry: SectionRegistry) {
    this.record = record;
    this.index = index;
    this.offset = offset;
    this.#format = cperFormat(registry);
  }

  get section() {
    return this.record.sections[this.index];
  }

  /** The record's JSON, with `section` for the row's own. */
  get json(): { [key: string]: Json } {
    if (!this.#json) {
      const json = this.#format.toJson(this.record);
      this.#json = { ...json, section: (json["sections"] as Json[])[this.index] ?? null };
    }
    return this.#json;
  }
}

/** A record's rows: one a section, one in all when it has none. */
export function rowsOf(input: Uint8Array, offset: number, registry: SectionRegistry): Row[] {
  const record = parseRecord(input, { registry });
  return Array.from({ length: Math.max(1, record.sections.length) }, (_, i) => new Row(record, i, offset, registry));
}

const fruText = (row: Row): string | null => (row.section?.descriptor.validation?.fruText ? (row.section.descriptor.fruText ?? null) : null);
const text = (value: string | number | undefined): string | null => (value === undefined ? null : String(value));

/** The columns of CSV and Parquet, in this order. Cells that the record does not vouch for are empty. */
export const COLUMNS: readonly Column[] = [
  { name: "record_offset", type: "uint64", doc: "Bytes from the start of the input to the record", cell: (row) => BigInt(row.offset) },
  { name: "record_id", type: "uint64", doc: "Record id of the header", cell: (row) => row.record.header.recordId ?? null },
  {
    name: "time",
    type: "text",
    doc: "Timestamp of the header as `decode --json` writes it; empty when there is none",
    cell: (row) => (row.record.header.timestamp === "none" ? null : text(row.record.header.timestamp)),
  },
  { name: "severity", type: "text", doc: "Severity of the record", cell: (row) => text(row.record.header.severity) },
  { name: "creator_id", type: "text", doc: "GUID of the record's creator", cell: (row) => text(row.record.header.creatorId) },
  { name: "notification_type", type: "text", doc: "GUID of the notification", cell: (row) => text(row.record.header.notificationType) },
  { name: "section_index", type: "uint32", doc: "Number of the section in the record, from 0", cell: (row) => (row.section ? row.index : null) },
  { name: "section_kind", type: "text", doc: "Name of the section type; empty when it is not known", cell: (row) => row.section?.body?.type?.name ?? null },
  { name: "section_type", type: "text", doc: "GUID of the section type", cell: (row) => text(row.section?.descriptor.sectionType) },
  { name: "section_severity", type: "text", doc: "Severity of the section", cell: (row) => text(row.section?.descriptor.severity) },
  { name: "fru_text", type: "text", doc: "Name of the field replaceable unit, when marked valid", cell: fruText },
  {
    name: "physical_address",
    type: "uint64",
    doc: "First physical address the section marks valid",
    cell: (row) => (row.section?.body?.type ? (physicalAddresses(row.section.body.value)[0] ?? null) : null),
  },
  {
    name: "summary",
    type: "text",
    doc: "What happened, in words",
    cell: (row) =>
      row.section
        ? sectionSummary({ ...(row.section.body && { body: row.section.body }), guid: row.section.descriptor.sectionType, fruText: fruText(row) ?? undefined })
        : null,
  },
  {
    name: "body",
    type: "json",
    doc: "The section's body as `decode --json` writes it; a string of hex digits when its type is not known",
    cell: (row) =>
      row.section?.body
        ? JSON.stringify(row.section.body.type ? toJson(row.section.body.type.layout, row.section.body.value) : (row.json["section"] as { body: Json }).body)
        : null,
  },
];

/** What a cell shows outside JSON: JSON text as it is, but a string without its quotes and escapes. */
export const plainCell = (column: Column, cell: Cell): Cell =>
  column.type === "json" && typeof cell === "string" && cell.startsWith('"') ? (JSON.parse(cell) as string) : cell;

/** Physical addresses anywhere in a section's value that its validation bits vouch for. */
export function physicalAddresses(value: unknown, out: bigint[] = []): bigint[] {
  if (Array.isArray(value)) for (const item of value) physicalAddresses(item, out);
  else if (typeof value === "object" && value !== null && !(value instanceof Uint8Array)) {
    const fields = value as Record<string, unknown>;
    const validation = fields["validation"] as Record<string, unknown> | undefined;
    for (const [name, item] of Object.entries(fields)) {
      if (typeof item === "bigint") {
        if (/^physical(Fault)?Address$/.test(name) && validation?.[name] !== undefined) out.push(item);
      } else if (typeof item === "object") physicalAddresses(item, out);
    }
  }
  return out;
}

/** What stands behind `header.` and `section.` in paths. */
const MEMBERS: Readonly<Record<string, readonly string[]>> = {
  header: [...Object.keys(RecordHeader.fields), "trailing"],
  section: ["descriptor", "kind", "body", "sameAs"],
};

/** A column by name, or a path into the record's JSON such as `header.flags` or `section.body.node`. @throws UsageError */
export function columnNamed(name: string): Column {
  const known = COLUMNS.find((column) => column.name === name);
  if (known) return known;
  const path = name.split(".");
  const [head = "", member = ""] = path;
  if (!Object.hasOwn(MEMBERS, head) || path.length < 2)
    throw new UsageError(
      `there is no field ${JSON.stringify(name)}: name one of ${COLUMNS.map((column) => column.name).join(", ")}, or a path that starts with header. or section.`,
    );
  if (!MEMBERS[head]!.includes(member)) throw new UsageError(`there is no field ${JSON.stringify(name)}: a ${head} has ${MEMBERS[head]!.join(", ")}`);
  return {
    name,
    type: "json",
    doc: "",
    cell: (row) => {
      let json: Json | undefined = row.json;
      for (const key of path) json = typeof json === "object" && json !== null && Object.hasOwn(json, key) ? (json as { [key: string]: Json })[key] : undefined;
      return json === undefined || json === null ? null : JSON.stringify(json);
    },
  };
}

/** Columns by their names. @throws UsageError for one that is not known or named twice. */
export function columnsNamed(names: readonly string[]): readonly Column[] {
  for (const [i, name] of names.entries()) if (names.indexOf(name) !== i) throw new UsageError(`the field ${JSON.stringify(name)} is named twice`);
  return names.map(columnNamed);
}
