/** Tables as data-table source for ACPICA's iasl: one `label : value` line for each field, in wire order. */

import { variantOf } from "../layout/encode.ts";
import {
  type BitsNode,
  bitRange,
  decode,
  EncodeError,
  encode,
  fieldLabel,
  hexNumber,
  isFixed,
  type Node,
  type Parsed,
  parse,
  type Root,
  spans,
} from "../layout/index.ts";
import { Bert } from "./bert.ts";
import { EinjByLength } from "./einj.ts";
import { ErstByLength } from "./erst.ts";
import { HestByLength } from "./hest.ts";
import { Rsdt, Xsdt } from "./root-tables.ts";
import { TableHeader } from "./table-header.ts";

/** Tables whose fields iasl and this package both know, read up to their Length as iasl does. */
const LAYOUTS: Readonly<Record<string, Root>> = { HEST: HestByLength, BERT: Bert, ERST: ErstByLength, EINJ: EinjByLength, RSDT: Rsdt, XSDT: Xsdt } as never;

/** iasl's labels where they are not the field's name in words; iasl insists on them. */
const LABELS: Readonly<Record<string, string>> = {
  "Table Header.length": "Table Length",
  oemId: "Oem ID",
  oemTableId: "Oem Table ID",
  creatorId: "Asl Compiler ID",
  creatorRevision: "Asl Compiler Revision",
  addressSpace: "Space ID",
  registerBitWidth: "Bit Width",
  registerBitOffset: "Bit Offset",
  accessSize: "Encoded Access Width",
  notification: "Notify",
  "Hardware Error Notification Structure.type": "Notify Type",
  "Hardware Error Notification Structure.length": "Notify Length",
  pollInterval: "PollInterval",
  switchToPollingThresholdValue: "Polling Threshold Value",
  switchToPollingThresholdWindow: "Polling Threshold Window",
  sourceCount: "Error Source Count",
  type: "Subtable Type",
  "Machine Check Exception.reserved": "Reserved1",
  "Corrected Machine Check.reserved": "Reserved1",
  "Deferred Machine Check.reserved": "Reserved1",
  reservedAfterCount: "Reserved2",
  globalCapabilityInitData: "Global Capability Data",
  globalControlInitData: "Global Control Data",
  bankCount: "Num Hardware Banks",
  clearStatusOnInitialization: "Clear Status On Init",
  statusDataFormat: "Status Format",
  controlInitData: "Control Data",
  ghesAssist: "GHES Assist",
  deviceControl: "DeviceControl",
  reservedAfterControl: "Reserved",
  uncorrectableErrorMask: "Uncorrectable Mask",
  uncorrectableErrorSeverity: "Uncorrectable Severity",
  correctableErrorMask: "Correctable Mask",
  advancedErrorCapabilities: "Advanced Capabilities",
  secondaryUncorrectableErrorMask: "2nd Uncorrectable Mask",
  secondaryUncorrectableErrorSeverity: "2nd Uncorrectable Severity",
  secondaryAdvancedErrorCapabilities: "2nd Advanced Capabilities",
  "Generic Hardware Error Source.flags": "Reserved",
  "Generic Hardware Error Source version 2.flags": "Reserved",
  bootErrorRegion: "Boot Error Region Address",
  "Error Record Serialization Table.entryCount": "Instruction Entry Count",
  "Error Injection Table.entryCount": "Injection Entry Count",
  preserveRegister: "Preserve Register Bits",
};
const labelOf = (owner: Root, name: string): string =>
  LABELS[`${owner.name}.${name}`] ?? LABELS[name] ?? fieldLabel(name).replace(/\b[a-z]/g, (letter) => letter.toUpperCase());

/** Structures iasl announces by a line of their own. */
const ANNOUNCED: ReadonlySet<string> = new Set(["Generic Address Structure", "Hardware Error Notification Structure"]);

type Values = Record<string, unknown>;

class Lines {
  at = 0;

  line(label: string, value: string, size?: number): string {
    const where =
      size === undefined
        ? " ".repeat(17)
        : `[${this.at.toString(16).toUpperCase().padStart(3, "0")}h ${`${this.at}`.padStart(4, "0")} ${`${size}`.padStart(3)}]`;
    return `${where} ${label.padStart(28)} : ${value}`;
  }

  *fields(owner: Root, value: Values): Generator<string> {
    for (const [name, node] of Object.entries(owner.fields) as [string, Node][]) yield* this.field(owner, name, node, value[name]);
  }

  *field(owner: Root, name: string, node: Node, value: unknown): Generator<string> {
    const label = labelOf(owner, name);
    if (node.kind === "window") {
      yield* this.field(owner, name, node.item, value);
      return;
    }
    if (node.kind === "list") {
      const items = (value as Values[] | undefined) ?? [];
      for (const [i, item] of items.entries()) {
        const layout = node.item.kind === "variant" ? variantOf(node.item, item) : node.item;
        if (isAddressList(layout)) yield this.leaf(`ACPI Table Address ${`${i}`.padStart(3)}`, layout.fields["address"]!, item["address"]);
        else {
          yield "";
          yield* this.fields(layout, item);
        }
      }
      return;
    }
    if (node.kind === "struct") {
      if (ANNOUNCED.has(node.name)) {
        yield "";
        yield this.line(label, `[${node.name}]`, node.size);
      }
      yield* this.fields(node, value as Values);
      if (ANNOUNCED.has(node.name)) yield "";
      return;
    }
    const decoded = node.kind === "bits" && node.size === 1 && name === "flags";
    yield this.leaf(decoded ? "Flags (decoded below)" : label, node, value);
    if (decoded)
      for (const [bit, member] of Object.entries((node as BitsNode).members)) {
        const [, width] = bitRange(member);
        yield this.line(labelOf(owner, bit), `${(value as Values)[bit] === true ? 1 : 0}`.padStart(Math.ceil(width / 4), "0"));
      }
  }

  leaf(label: string, node: Node, value: unknown): string {
    if (!isFixed(node)) throw new EncodeError(label, `iasl has no line for a ${node.kind}`);
    const line = this.line(label, shown(label, node, value), node.size);
    this.at += node.size;
    return line;
  }
}

const isAddressList = (layout: Root): boolean => /^[RX]SDT Entry$/.test(layout.name);

function shown(label: string, node: Node & { readonly size: number }, value: unknown): string {
  if (node.kind === "text") {
    if (/[^\x20-\x7e]|"|\\/.test(value as string)) throw new EncodeError(label, `iasl has no way to write ${JSON.stringify(value)}`);
    return `"${value as string}"`;
  }
  const bytes = encode({ kind: "struct", name: "", doc: "", size: node.size, fields: { value: node } } as never, { value } as never);
  return Array.from(bytes, (byte) => byte.toString(16).toUpperCase().padStart(2, "0"))
    .reverse()
    .join("");
}

/** Signatures of the tables `aslSource` can write. */
export const ASL_TABLES: readonly string[] = Object.keys(LAYOUTS);

/**
 * A table's bytes as source for iasl, which compiles it to the same bytes but for what iasl always writes itself:
 * the creator's name and revision, and so the checksum.
 * @throws EncodeError for tables or values that iasl's source cannot express: unknown signatures and source
 * types, bytes after the last whole entry, set reserved bits.
 */
export const aslSource = (table: Uint8Array): string => [...aslLines(table), ""].join("\n");

/** The same line by line. @throws EncodeError before the first line or, for a value, at its own. */
export function* aslLines(table: Uint8Array): Generator<string> {
  const signature = table.length >= TableHeader.size ? decode(TableHeader, table).signature : "";
  const layout = LAYOUTS[signature];
  if (!layout) throw new EncodeError("header.signature", `${JSON.stringify(signature)} is none of ${ASL_TABLES.join(", ")}`);
  const value = parse(layout as never, table) as Values & Parsed<never>;
  for (const span of spans(layout, value)) {
    if (span.path.endsWith("trailing")) throw new EncodeError(span.path, `iasl has no line for the ${span.size} bytes at ${hexNumber(span.offset)}`);
    const isFlags = span.node?.kind === "bits" && span.path.endsWith("flags") && (span.value as Values)["rest"] !== undefined;
    if (
      isFlags ||
      (span.node?.kind === "reserved" && span.value !== undefined) ||
      (span.path.endsWith(".flags") && span.node?.kind === "uint" && span.value !== 0 && signature === "HEST")
    )
      throw new EncodeError(span.path, `iasl insists on zero in the reserved bits at ${hexNumber(span.offset)}`);
  }
  if (Object.hasOwn(value, "trailing")) throw new EncodeError("header.length", "the table is cut short");
  let last = "";
  for (const line of new Lines().fields(layout, value)) {
    if (line !== "" || last !== "") yield line;
    last = line;
  }
}
