/** ACPI tables as formats: what every table shares, and one row for each that is known in full. */
import {
  blob,
  encode,
  type Finding,
  type Format,
  fieldLabel,
  fieldTrees,
  fromJson,
  hexNumber,
  type Json,
  jsonSchema,
  type Parsed,
  parse,
  type Root,
  ref,
  sequence,
  spans,
  toJson,
  valueLabel,
} from "../layout/index.ts";
import { EinjEntry } from "./action-entry.ts";
import { Bert } from "./bert.ts";
import { Cedt } from "./cedt.ts";
import { Einj, SetErrorTypeWithAddress, TriggerTable, VendorErrorTypeExtension } from "./einj.ts";
import { Erst } from "./erst.ts";
import { Hest, SOURCE_TYPE } from "./hest.ts";
import { RSDP_CHECKSUM, RSDP_EXTENDED_CHECKSUM, RSDP_SIGNATURE, Rsdp, Rsdt, Xsdt } from "./root-tables.ts";
import { byteSum, CHECKSUM_OFFSET, TableHeader } from "./table-header.ts";

/** Any table: its header and its body untouched. */
export const AcpiTable = sequence("ACPI Table", "ACPI 6.5 5.2.6", () => ({
  header: TableHeader,
  body: blob("What follows the header, as it is", ref("header.length", { bias: -TableHeader.size })),
}));
export type AcpiTable = Parsed<typeof AcpiTable>;

/** Bytes before the entries of a trigger table. */
const TRIGGER_HEADER = 16;

/** Names of tables that are met beside the error interfaces. */
const TITLES: Readonly<Record<string, string>> = {
  AEST: "Arm error source table",
  APIC: "multiple APIC description table",
  CEDT: "CXL early discovery table",
  DSDT: "differentiated system description table",
  FACP: "fixed ACPI description table",
  GTDT: "generic timer description table",
  MCFG: "PCI Express memory-mapped configuration space table",
  PCCT: "platform communications channel table",
  RAS2: "ACPI RAS2 feature table",
  RASF: "ACPI RAS feature table",
  SDEI: "software delegated exceptions interface table",
  SSDT: "secondary system description table",
};

/** Signatures whose tables carry no checksum. */
const NO_CHECKSUM: ReadonlySet<string> = new Set(["FACS"]);

const startsWith = (input: Uint8Array, signature: string): boolean =>
  input.length >= signature.length && [...signature].every((letter, i) => input[i] === letter.charCodeAt(0));

type Value = { readonly header?: Partial<Parsed<typeof TableHeader>> };

/** Checksum and length as the header states them, against the bytes. */
function checkHeader(input: Uint8Array, findings: Finding[], path: string): void {
  if (input.length < TableHeader.size) return;
  const { signature, length } = parse(TableHeader, input, 0, TableHeader.size) as Required<Parsed<typeof TableHeader>>;
  if (length !== input.length)
    findings.push({ path: `${path}.header.length`, offset: 4, message: `the header says ${length} bytes, there are ${input.length}` });
  const sum = byteSum(input, 0, Math.min(length, input.length));
  if (sum !== 0 && !NO_CHECKSUM.has(signature))
    findings.push({ path: `${path}.header.checksum`, offset: CHECKSUM_OFFSET, message: `the bytes add up to ${hexNumber(sum)}, not to zero` });
}

interface Row {
  readonly name: string;
  readonly title: string;
  readonly layout: { readonly kind: "struct" | "sequence"; readonly name: string };
  readonly recognise: (input: Uint8Array) => boolean;
  readonly check: (input: Uint8Array, findings: Finding[], path: string) => void;
  readonly summary: (value: never) => string;
}

const formatOf = (row: Row): Format => ({
  name: row.name,
  title: row.title,
  recognise: row.recognise,
  parse: (input, findings) => {
    row.check(input, findings, row.name);
    return parse(row.layout as never, input, 0, input.length, { findings, path: row.name });
  },
  encode: (value) => encode(row.layout as never, value as never),
  toJson: (value) => toJson(row.layout, value as object) as { [key: string]: Json },
  fromJson: (json) => fromJson(row.layout, json),
  schema: () => jsonSchema(row.layout),
  spans: (value) => spans(row.layout, value as object),
  summary: (value) => row.summary(value as never),
  tree: (value) => [{ label: row.title, children: fieldTrees(row.layout as Root, value as object) }],
});

const maker = ({ header }: Value): string => {
  const words = [header?.oemId, header?.oemTableId].map((word) => word?.trim()).filter((word) => word);
  return words.length > 0 ? ` by ${words.join(" ")}` : "";
};
const some = (count: number, one: string) => `${count} ${one}${count === 1 ? "" : "s"}`;

const table = (signature: string, title: string, layout: Row["layout"], what: (value: never) => string): Format =>
  formatOf({
    name: signature.toLowerCase(),
    title,
    layout,
    recognise: (input) => startsWith(input, signature),
    check: checkHeader,
    summary: (value: Value) => `${signature}${maker(value)}: ${what(value as never)}`,
  });

export const hestFormat = table("HEST", "hardware error source table", Hest, (value: Hest) => {
  const kinds = new Map<string, number>();
  for (const source of value.sources ?? []) {
    const words = valueLabel(SOURCE_TYPE, source.type ?? 0);
    kinds.set(words, (kinds.get(words) ?? 0) + 1);
  }
  const list = [...kinds].map(([words, count]) => (count > 1 ? `${count} × ${words}` : words)).join(", ");
  return `${some(value.sourceCount ?? 0, "error source")}${list === "" ? "" : `: ${list}`}`;
});
export const bertFormat = table(
  "BERT",
  "boot error record table",
  Bert,
  (value: Bert) => `boot error region of ${value.bootErrorRegionLength ?? 0} bytes at ${hexNumber(value.bootErrorRegion ?? 0n)}`,
);
export const erstFormat = table("ERST", "error record serialization table", Erst, (value: Erst) => some(value.entryCount ?? 0, "instruction"));
export const einjFormat = table("EINJ", "error injection table", Einj, (value: Einj) => some(value.entryCount ?? 0, "instruction"));
export const rsdtFormat = table("RSDT", "root system description table", Rsdt, (value: Rsdt) => some(value.entries?.length ?? 0, "table"));
export const xsdtFormat = table("XSDT", "extended system description table", Xsdt, (value: Xsdt) => some(value.entries?.length ?? 0, "table"));

export const cedtFormat = table("CEDT", TITLES["CEDT"]!, Cedt, (value: Cedt) => some(value.structures?.length ?? 0, "structure"));

export const rsdpFormat = formatOf({
  name: "rsdp",
  title: "root system description pointer",
  layout: Rsdp,
  recognise: (input) => startsWith(input, RSDP_SIGNATURE),
  check: (input, findings, path) => {
    for (const [name, { offset, length }] of [
      ["checksum", RSDP_CHECKSUM],
      ["extension.extendedChecksum", RSDP_EXTENDED_CHECKSUM],
    ] as const) {
      const sum = input.length < length ? 0 : byteSum(input, 0, length);
      if (sum !== 0) findings.push({ path: `${path}.${name}`, offset, message: `the first ${length} bytes add up to ${hexNumber(sum)}, not to zero` });
    }
  },
  summary: (value: Rsdp) => {
    const xsdt = value.extension instanceof Uint8Array ? undefined : value.extension?.xsdtAddress;
    return `RSDP revision ${value.revision ?? 0}: RSDT at ${hexNumber(value.rsdtAddress ?? 0)}${xsdt === undefined ? "" : `, XSDT at ${hexNumber(xsdt)}`}`;
  },
});

/** Any other table: by a plausible signature and a length that the bytes can hold. */
export const acpiTableFormat = formatOf({
  name: "acpi-table",
  title: "ACPI table",
  layout: AcpiTable,
  recognise: (input) => {
    if (input.length < TableHeader.size) return false;
    const { signature, length } = parse(TableHeader, input, 0, TableHeader.size) as Required<Parsed<typeof TableHeader>>;
    return /^[A-Z][A-Z0-9_]{3}$/.test(signature) && length >= TableHeader.size && length <= input.length;
  },
  check: checkHeader,
  summary: (value: AcpiTable) => {
    const signature = value.header?.signature ?? "";
    return `${signature}${maker(value)}: ${TITLES[signature] ?? (signature.startsWith("OEM") ? "manufacturer's table" : "table")} of ${value.header?.length ?? 0} bytes`;
  },
});

/** Structures in memory that an injection's actions point at; only the trigger table says what it is. */
export const injectionFormats: readonly Format[] = [
  formatOf({
    name: "einj-trigger-table",
    title: "EINJ trigger error action table",
    layout: TriggerTable,
    recognise: (input) => {
      const { headerLength, tableLength, entryCount = 0 } = parse(TriggerTable, input, 0, Math.min(input.length, TRIGGER_HEADER));
      return headerLength === TRIGGER_HEADER && tableLength === input.length && entryCount > 0 && input.length === TRIGGER_HEADER + entryCount * EinjEntry.size;
    },
    check: () => {},
    summary: (value: TriggerTable) => `EINJ trigger table: ${some(value.entryCount ?? 0, "instruction")}`,
  }),
  formatOf({
    name: "einj-set-error-type",
    title: "EINJ set error type with address",
    layout: SetErrorTypeWithAddress,
    recognise: () => false,
    check: () => {},
    summary: (value: SetErrorTypeWithAddress) =>
      `EINJ: ${
        Object.keys(value.errorType ?? {})
          .map(fieldLabel)
          .join(", ") || "no error type"
      } at ${hexNumber(value.memoryAddress ?? 0n)}`,
  }),
  formatOf({
    name: "einj-vendor-extension",
    title: "EINJ vendor error type extension",
    layout: VendorErrorTypeExtension,
    recognise: () => false,
    check: () => {},
    summary: (value: Parsed<typeof VendorErrorTypeExtension>) =>
      `EINJ vendor extension of vendor ${hexNumber(value.vendorId ?? 0)}, device ${hexNumber(value.deviceId ?? 0)}`,
  }),
];

/** The tables by signature, then any other table. */
export const tableFormats: readonly Format[] = [
  hestFormat,
  bertFormat,
  erstFormat,
  einjFormat,
  rsdpFormat,
  rsdtFormat,
  xsdtFormat,
  cedtFormat,
  acpiTableFormat,
];
