/** A table as rules see it: its bytes, its fields by path, and where each of them lies. */
import { Bert } from "../acpi/bert.ts";
import { Cedt } from "../acpi/cedt.ts";
import { EinjByLength } from "../acpi/einj.ts";
import { ErstByLength } from "../acpi/erst.ts";
import { HestByLength } from "../acpi/hest.ts";
import { RSDP_SIGNATURE, Rsdp, Rsdt, Xsdt } from "../acpi/root-tables.ts";
import { AcpiTable } from "../acpi/table-format.ts";
import { TableHeader } from "../acpi/table-header.ts";
import { fixedSize, parse, type Root, type Span, spans } from "../layout/index.ts";

/** Layouts read up to the table's Length: what a count says is checked, not believed. */
const LAYOUTS: Readonly<Record<string, Root>> = {
  HEST: HestByLength,
  BERT: Bert,
  ERST: ErstByLength,
  EINJ: EinjByLength,
  RSDT: Rsdt,
  XSDT: Xsdt,
  CEDT: Cedt,
} as never;

type Values = Record<string, unknown>;

export interface Table {
  /** As the user named it. */
  readonly file: string;
  /** Four characters, "RSDP" for the root pointer. */
  readonly signature: string;
  readonly bytes: Uint8Array;
  readonly layout: Root;
  readonly value: Values;
  /** Leaves in wire order. */
  readonly spans: readonly Span[];
  /** What the header says, bytes; of an RSDP what its revision says. */
  readonly length: number;
  /** Bytes that are there and inside the length. */
  readonly end: number;
  /** Offset of a field or of the first field under a path; that of the end where it is missing. */
  offsetOf(path: string): number;
}

/** Read bytes as a table, whatever they are. */
export function tableOf(file: string, bytes: Uint8Array): Table {
  const text = (count: number) => String.fromCharCode(...bytes.subarray(0, count));
  const isRoot = text(RSDP_SIGNATURE.length) === RSDP_SIGNATURE;
  const signature = isRoot ? "RSDP" : text(4);
  const layout = isRoot ? (Rsdp as unknown as Root) : (LAYOUTS[signature] ?? (AcpiTable as unknown as Root));
  const value = parse(layout as never, bytes) as Values;
  const all = spans(layout, value);
  const header = value["header"] as { length?: number } | undefined;
  const length = isRoot ? (value["revision"] === 0 ? 20 : 36) : (header?.length ?? bytes.length);
  let places: Map<string, number> | undefined;
  return {
    file,
    signature,
    bytes,
    layout,
    value,
    spans: all,
    length,
    end: Math.min(length, bytes.length),
    offsetOf: (path) => {
      if (!places) {
        places = new Map();
        for (const span of all)
          for (let end = span.path.length; end > 0; end = Math.max(span.path.lastIndexOf(".", end - 1), span.path.lastIndexOf("[", end - 1))) {
            const name = span.path.slice(0, end);
            if (!places.has(name)) places.set(name, span.offset);
          }
      }
      return places.get(path) ?? bytes.length;
    },
  };
}

/** Whether bytes are a table at all: a signature, and room for a header or a length that says otherwise. */
export const looksLikeTable = (bytes: Uint8Array): boolean =>
  bytes.length >= 8 &&
  (String.fromCharCode(...bytes.subarray(0, 8)) === RSDP_SIGNATURE || /^[A-Za-z][A-Za-z0-9_]{3}$/.test(String.fromCharCode(...bytes.subarray(0, 4))));

/** Bytes of a table's fixed part: what it must have at least. */
export function leastLength(signature: string): number {
  const layout = LAYOUTS[signature];
  if (!layout) return TableHeader.size;
  return fixedSize(layout);
}

/**
 * The tables of a file that holds several, back to back or with zeros between, such as a blob of fw_cfg.
 * Empty when the file is not wholly made of them.
 */
export function tablesIn(bytes: Uint8Array): Uint8Array[] {
  const out: Uint8Array[] = [];
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  for (let at = 0; ; ) {
    while (at < bytes.length && bytes[at] === 0) at++;
    if (at >= bytes.length) return out.length > 1 ? out : [];
    if (at + TableHeader.size > bytes.length || !/^[A-Z][A-Z0-9_]{3}$/.test(String.fromCharCode(...bytes.subarray(at, at + 4)))) return [];
    const length = view.getUint32(at + TableHeader.fields.signature.size, true);
    if (length < TableHeader.size || at + length > bytes.length) return [];
    out.push(bytes.subarray(at, at + length));
    at += length;
  }
}
