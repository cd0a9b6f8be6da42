/** Rules for all tables: what stands in the header, and bytes that should be zero. */
import { byteSum, CHECKSUM_OFFSET, TableHeader } from "../../acpi/table-header.ts";
import { hexNumber, type Span } from "../../layout/index.ts";
import type { Profile, Rule } from "../rule.ts";
import { leastLength, type Table } from "../table.ts";

const hasHeader = (table: Table) => table.signature !== "RSDP" && table.bytes.length >= TableHeader.size;
/** Revisions each table is defined with. */
const REVISIONS: Readonly<Record<string, readonly number[]>> = { HEST: [1, 2], BERT: [1], ERST: [1], EINJ: [1, 2], RSDT: [1], XSDT: [1], CEDT: [1, 2] };
/** Text shown for what a header field holds. */
const headerOf = (table: Table) => table.value["header"] as { readonly length: number; readonly revision: number; readonly checksum: number };

export const headerRules: readonly Rule[] = [
  {
    id: "header-cut",
    title: "There is no whole table header",
    source: "ACPI 6.5 5.2.6",
    explain: "Every table begins with 36 bytes: signature, length, revision, checksum, and who made it. A file with fewer cannot be used for anything.",
    consumers: { spec: ["error", "is no table"], linux: ["error", "ignores it"], fwts: ["error", "skips it"], iasl: ["error", "refuses it"] },
    check: (table, report) => {
      if (table.signature !== "RSDP" && table.bytes.length < TableHeader.size)
        report({ path: "header", offset: 0 }, `${table.bytes.length} bytes`, `at least ${TableHeader.size} bytes`);
    },
  },
  {
    id: "header-signature",
    title: "The signature is not one tables have",
    source: "ACPI 6.5 5.2.6",
    explain: "Signatures are four capitals, digits or underscores. Consumers compare all four bytes: hest is not HEST.",
    consumers: {
      spec: ["error", "is no table"],
      linux: ["error", "does not find the table"],
      edk2: ["warning", "installs it under that name"],
      iasl: ["error", "refuses it"],
    },
    check: (table, report) => {
      if (hasHeader(table) && !/^[A-Z0-9_]{4}$/.test(table.signature))
        report("header.signature", JSON.stringify(table.signature), "four capitals, digits or underscores");
    },
  },
  {
    id: "header-length-short",
    title: "The table is shorter than its fixed part",
    source: "ACPI 6.5 5.2.6",
    explain:
      "The length in the header leaves no room for the fields every table of this signature has. Linux does not check this and reads whatever follows the table.",
    consumers: {
      spec: ["error", "is malformed"],
      linux: ["error", "reads counts from bytes behind the table, then gives it up"],
      edk2: ["error", "copies only these bytes"],
      fwts: ["error", "fails the table"],
      iasl: ["error", "cannot compile what it disassembles"],
    },
    fwts: ["HESTTooShort", "BERTTooShort", "ERSTTooShort", "EINJTooShort", "ACPITableLength"],
    check: (table, report) => {
      const least = leastLength(table.signature);
      if (hasHeader(table) && table.length < least) report("header.length", `${table.length} bytes`, `at least ${least} bytes`);
    },
  },
  {
    id: "header-length-long",
    title: "The length goes beyond the bytes that are there",
    source: "ACPI 6.5 5.2.6",
    explain: "Programs trust the length: they map, sum up and walk memory that does not belong to the table.",
    consumers: {
      spec: ["error", "is malformed"],
      linux: ["warning", "accepts it with a checksum warning"],
      edk2: ["error", "drops the table"],
      fwts: ["error", "crashes"],
      iasl: ["error", "refuses it: too long for the file"],
    },
    check: (table, report) => {
      if (hasHeader(table) && table.length > table.bytes.length)
        report("header.length", `${table.length} bytes`, `${table.bytes.length} bytes, as many as there are`);
    },
  },
  {
    id: "header-trailing",
    title: "Bytes follow the table",
    source: "ACPI 6.5 5.2.6",
    explain:
      "The file holds more than the header's length says. They belong to no table and nobody reads them; often the length was forgotten when something was added.",
    consumers: { spec: ["warning", "ignores them"], fwts: ["error", "adds them up: the checksum is wrong"], iasl: ["warning", "ignores them"] },
    fwts: ["ACPITableChecksum"],
    check: (table, report) => {
      if (hasHeader(table) && table.length >= TableHeader.size && table.length < table.bytes.length)
        report({ path: "trailing", offset: table.length }, `${table.bytes.length - table.length} bytes after a Length of ${table.length}`, "none");
    },
  },
  {
    id: "header-checksum",
    title: "The bytes do not add up to zero",
    source: "ACPI 6.5 5.2.6",
    explain:
      "All bytes of a table must add up to zero modulo 256. SeaBIOS and Linux use the table all the same, EDK2 drops it: the same image works on one firmware and not on the other.",
    consumers: {
      spec: ["error", "is invalid"],
      linux: ["warning", "warns and uses it"],
      edk2: ["error", "does not install the table"],
      seabios: ["note", "does not look"],
      fwts: ["error", "fails the table"],
      iasl: ["warning", "warns and uses it"],
    },
    fwts: ["ACPITableChecksum"],
    check: (table, report) => {
      if (!hasHeader(table) || table.signature === "FACS") return;
      // A length that makes no sense leaves only the bytes themselves to add up.
      const sum = byteSum(table.bytes, 0, table.length < TableHeader.size ? table.bytes.length : table.end);
      if (sum !== 0) report("header.checksum", hexNumber(table.bytes[CHECKSUM_OFFSET]!), hexNumber((table.bytes[CHECKSUM_OFFSET]! - sum) & 255));
    },
  },
  {
    id: "header-revision",
    title: "The table has a revision nobody defined",
    source: "ACPI 6.5 5.2.6",
    explain: "The revision tells readers which fields to expect. None of the known readers of these tables looks at it.",
    consumers: { spec: ["warning", "defines no such revision"] },
    check: (table, report) => {
      const known = REVISIONS[table.signature];
      if (known && hasHeader(table) && !known.includes(headerOf(table).revision)) report("header.revision", `${headerOf(table).revision}`, known.join(" or "));
    },
  },
  {
    id: "reserved-not-zero",
    title: "A reserved field is not zero",
    source: "ACPI 6.5 5.2.3.1",
    explain: "Reserved bytes and bits must be zero so that later revisions can give them a meaning.",
    consumers: { spec: ["warning", "wants zero"], fwts: ["error", "fails the table"], iasl: ["error", "refuses to compile it"] },
    fwts: [
      "HESTReservedNonZero",
      "HESTReservedBitsNonZero",
      "HESTIA32FlagsReserved",
      "HESTIA32CorrectedMachineCheckFlagsReserved",
      "HESTIA32DeferredMachineCheckFlagsReserved",
      "ERSTReservedNonZero",
      "ERSTIInvalidFlag",
      "EINJReservedNonZero",
      "EINJReservedBitsNonZero",
      "CEDTReservedNonZero",
      "CEDTReservedBitsNonZero",
    ],
    check: (table, report) => {
      for (const span of table.spans) {
        const found = nonZero(span);
        if (found === undefined) continue;
        const without: Profile[] = [];
        if (!fwtsSees(table, span)) without.push("fwts");
        // iasl refuses whole reserved fields only: it drops reserved bits of flags, or keeps them.
        if (span.node?.kind !== "reserved" && !(table.signature === "HEST" && span.node?.kind === "uint")) without.push("iasl");
        report({ path: span.path, offset: span.offset }, found, "zero", undefined, without);
      }
    },
  },
];
/** What stands where zero should: undefined where all is well. */
function nonZero({ node, value }: Span): string | undefined {
  if (node?.kind === "reserved") return value === undefined ? undefined : bytesText(value as Uint8Array);
  if (node?.kind === "bits") {
    const rest = (value as { rest?: bigint } | undefined)?.rest;
    return rest === undefined ? undefined : `reserved bits ${hexNumber(rest)}`;
  }
  return node?.kind === "uint" && node.doc.startsWith("Reserved") && value !== 0 ? hexNumber(value as number) : undefined;
}

/** Whether the firmware test suite looks at this reserved field (fwts 26.09 behaviour). */
function fwtsSees({ signature, value }: Table, { path, node }: Span): boolean {
  switch (signature) {
    case "HEST":
      return !path.includes(".banks[") && node?.kind !== "uint";
    case "EINJ":
      return path === "flags";
    case "ERST": {
      const entry = /^entries\[(\d+)\]\.flags$/.exec(path);
      const instruction = entry && (value["entries"] as { instruction: unknown }[])[Number(entry[1])]?.instruction;
      return path === "reserved" || instruction === "writeRegister" || instruction === "writeRegisterValue";
    }
    default:
      return signature === "CEDT";
  }
}
const bytesText = (bytes: Uint8Array) => Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join(" ");
