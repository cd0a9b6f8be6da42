/** Rules for the boot error record table, the root tables and the CXL early discovery table. */

import { HOST_BRIDGE_LENGTH } from "../../acpi/cedt.ts";
import { RSDP_CHECKSUM, RSDP_EXTENDED_CHECKSUM } from "../../acpi/root-tables.ts";
import { ErrorStatusBlockHeader } from "../../acpi/status-block.ts";
import { byteSum } from "../../acpi/table-header.ts";
import { hexNumber } from "../../layout/index.ts";
import type { Rule } from "../rule.ts";
import { leastLength, type Table } from "../table.ts";

type Structure = { readonly type: string | number; readonly content?: Readonly<Record<string, unknown>>; readonly recordLength?: number };
const structuresOf = (table: Table) => (table.value["structures"] as Structure[] | undefined) ?? [];

export const otherRules: readonly Rule[] = [
  {
    id: "bert-region-length",
    title: "The boot error region is shorter than a status block's header",
    source: "ACPI 6.5 18.3.1",
    explain: `The region holds error status blocks; the smallest is a header of ${ErrorStatusBlockHeader.size} bytes. Firmware that never stores boot errors should leave the table out.`,
    on: ["BERT"],
    consumers: { spec: ["error", "has no room for a block"], linux: ["error", "refuses the table: its length is invalid"], fwts: ["error", "fails the table"] },
    fwts: ["BERTBootErrorRegionDataLength"],
    check: (table, report) => {
      const length = table.value["bootErrorRegionLength"] as number | undefined;
      if (length !== undefined && length < ErrorStatusBlockHeader.size) report("bootErrorRegionLength", `${length}`, `at least ${ErrorStatusBlockHeader.size}`);
    },
  },
  {
    id: "bert-region-address",
    title: "The boot error region is at address zero",
    source: "ACPI 6.5 18.3.1",
    explain: "Zero is a pointer that was never filled in.",
    on: ["BERT"],
    consumers: { spec: ["error", "names no region"], linux: ["error", "cannot claim the region"] },
    check: (table, report) => {
      if (table.value["bootErrorRegion"] === 0n) report("bootErrorRegion", "0x0", "the address of the region");
    },
  },
  {
    id: "bert-trailing",
    title: "The boot error record table is longer than it can be",
    source: "ACPI 6.5 18.3.1",
    explain: "The table has a fixed size; nobody reads what follows.",
    on: ["BERT"],
    consumers: { spec: ["warning", "defines 48 bytes"], linux: ["note", "does not look"], iasl: ["warning", "drops the rest"] },
    check: (table, report) => {
      const least = leastLength("BERT");
      if (table.end > least) report({ path: "trailing", offset: least }, `${table.end - least} bytes`, "none");
    },
  },
  {
    id: "rsdp-checksum",
    title: "The root pointer's bytes do not add up to zero",
    source: "ACPI 6.5 5.2.5.3",
    explain:
      "The first 20 bytes, and from revision 2 on all 36, must add up to zero. SeaBIOS and Linux search for the root pointer and take only one with the right sum.",
    on: ["RSDP"],
    consumers: {
      spec: ["error", "is invalid"],
      linux: ["error", "does not find it: there is no ACPI"],
      seabios: ["error", "does not find it: there is no ACPI"],
    },
    check: (table, report) => {
      for (const [path, { offset, length }] of [
        ["checksum", RSDP_CHECKSUM],
        ["extension.extendedChecksum", RSDP_EXTENDED_CHECKSUM],
      ] as const) {
        if (table.bytes.length < length || (length > RSDP_CHECKSUM.length && table.value["revision"] === 0)) continue;
        const sum = byteSum(table.bytes, 0, length);
        if (sum !== 0) report({ path, offset }, hexNumber(table.bytes[offset]!), hexNumber((table.bytes[offset]! - sum) & 255));
      }
    },
  },
  {
    id: "rsdp-cut",
    title: "The root pointer is cut short",
    source: "ACPI 6.5 5.2.5.3",
    explain: "Revision 0 has 20 bytes, later revisions have 36.",
    on: ["RSDP"],
    consumers: { spec: ["error", "is malformed"], linux: ["error", "reads what follows"] },
    check: (table, report) => {
      if (table.bytes.length < table.length) report({ path: "rsdp", offset: 0 }, `${table.bytes.length} bytes`, `${table.length} bytes`);
    },
  },
  {
    id: "root-slot",
    title: "The root table ends inside an entry",
    source: "ACPI 6.5 5.2.7",
    explain: "Entries have 4 bytes in the RSDT and 8 in the XSDT.",
    on: ["RSDT", "XSDT"],
    consumers: { spec: ["error", "is malformed"], linux: ["warning", "ignores the part"] },
    check: (table, report) => {
      const size = table.signature === "XSDT" ? 8 : 4;
      const rest = (table.end - leastLength(table.signature)) % size;
      if (table.end > leastLength(table.signature) && rest !== 0)
        report({ path: "entries", offset: table.end - rest }, `${rest} bytes`, `${size} bytes an entry`);
    },
  },
  {
    id: "root-twice",
    title: "The root table lists a table twice",
    source: "ACPI 6.5 5.2.8",
    explain: "QEMU 10.2 with spcr=off lists DBG2 twice. It harms nobody.",
    on: ["RSDT", "XSDT"],
    consumers: { spec: ["note", "says nothing of it"], linux: ["note", "lists the table twice"] },
    check: (table, report) => {
      const seen = new Set<unknown>();
      for (const [i, { address }] of ((table.value["entries"] as { address: number | bigint }[] | undefined) ?? []).entries()) {
        if (seen.has(address)) report(`entries[${i}].address`, hexNumber(address), "a table not listed before");
        seen.add(address);
      }
    },
  },
  {
    id: "cedt-host-bridge",
    title: "A CXL host bridge has a version or length nobody defined",
    source: "CXL 3.1 9.18.1.2",
    explain: "Restricted hosts have 8 KiB of registers, host bridges 64 KiB.",
    on: ["CEDT"],
    consumers: { spec: ["error", "defines two versions with their lengths"], fwts: ["error", "fails the table"] },
    fwts: ["CEDTBadCHBSLength", "CEDTBadCXLVersion"],
    check: (table, report) => {
      for (const [i, { type, content }] of structuresOf(table).entries()) {
        if (type !== "hostBridge" || content === undefined) continue;
        const version = content["cxlVersion"];
        if (typeof version === "number") report(`structures[${i}].content.cxlVersion`, `${version}`, "0 or 1");
        const wanted = HOST_BRIDGE_LENGTH[version as keyof typeof HOST_BRIDGE_LENGTH];
        if (wanted !== undefined && content["length"] !== undefined && content["length"] !== wanted)
          report(`structures[${i}].content.length`, hexNumber(content["length"] as bigint), hexNumber(wanted));
      }
    },
  },
  {
    id: "cedt-value",
    title: "A CXL structure has a type or value nobody defined",
    source: "CXL 3.1 9.18.1",
    explain: "Structure types are 0 to 4, protocols and interleave arithmetic 0 or 1.",
    on: ["CEDT"],
    consumers: { spec: ["error", "defines no such value"], fwts: ["error", "fails the table"] },
    fwts: ["CEDTBadProtocolType", "CEDTBadInterleaveArithmetic", "CEDTBadSubtableType"],
    check: (table, report) => {
      for (const [i, { type, content, recordLength }] of structuresOf(table).entries()) {
        if (typeof type === "number") report(`structures[${i}].type`, `${type}`, "0 to 4");
        for (const field of ["protocol", "interleaveArithmetic"])
          if (typeof content?.[field] === "number") report(`structures[${i}].content.${field}`, `${content[field]}`, "0 or 1");
        if (recordLength === 0) report(`structures[${i}].recordLength`, "0", "the structure's bytes");
      }
    },
  },
];
