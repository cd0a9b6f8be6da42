/** Rules for ERST and EINJ, whose instructions share a layout. */

import { ENTRIES_OFFSET } from "../../acpi/erst.ts";
import { TableHeader } from "../../acpi/table-header.ts";
import { hexNumber } from "../../layout/index.ts";
import type { Rule } from "../rule.ts";
import type { Table } from "../table.ts";

interface Entry {
  readonly action: string | number;
  readonly instruction: string | number;
  readonly mask: bigint;
  readonly trailing?: Uint8Array;
}
const ENTRY_SIZE = 32;
const entriesOf = (table: Table) => (table.value["entries"] as Entry[] | undefined) ?? [];
/** The AMI no-op that stands where ERST reserves an action. */
const RESERVED_ERST_ACTION = 0x0c;
const ON = ["ERST", "EINJ"];
/** Names of the two tables' own header size. */
const HEADER_FIELD: Readonly<Record<string, string>> = { ERST: "serializationHeaderLength", EINJ: "injectionHeaderLength" };

export const actionRules: readonly Rule[] = [
  {
    id: "entries-header-size",
    title: "The header size is neither 48 nor 12",
    source: "Linux drivers/acpi/apei behaviour",
    explain:
      "The specification's text can be read as the whole header (48 bytes) or as what follows the table header (12 bytes). Both are met and accepted; nothing else is.",
    on: ON,
    consumers: {
      spec: ["error", "is neither reading of the text"],
      linux: ["error", "refuses the table: it is invalid"],
      fwts: ["note", "minds only a size beyond the table"],
    },
    fwts: ["ERSTHeaderSizeTooLong", "EINJHeaderSizeTooLong"],
    check: (table, report) => {
      const field = HEADER_FIELD[table.signature]!;
      const size = table.value[field] as number | undefined;
      if (size !== undefined && size !== ENTRIES_OFFSET && size !== ENTRIES_OFFSET - TableHeader.size)
        report(field, `${size}`, `${ENTRIES_OFFSET} or ${ENTRIES_OFFSET - TableHeader.size}`);
    },
  },
  {
    id: "entries-count",
    title: "The instruction count does not match the length",
    source: "Linux drivers/acpi/apei behaviour",
    explain: "The entries fill the table to its end. Linux refuses a table whose count says otherwise.",
    on: ON,
    consumers: { spec: ["error", "is malformed"], linux: ["error", "refuses the table: it is invalid"], fwts: ["error", "fails an ERST with too many"] },
    fwts: ["ERSTTooManyEntries", "EINJTooManyEntries"],
    check: (table, report) => {
      const count = table.value["entryCount"] as number | undefined;
      const fit = Math.trunc((table.length - ENTRIES_OFFSET) / ENTRY_SIZE);
      if (count !== undefined && count !== fit) report("entryCount", `${count}`, `${Math.max(0, fit)}, as many as the length has room for`);
    },
  },
  {
    id: "entries-cut",
    title: "The table ends inside an instruction",
    source: "ACPI 6.5 18.5.1",
    explain: "After the last whole instruction bytes are left that form none.",
    on: ON,
    consumers: {
      spec: ["error", "is malformed"],
      linux: ["warning", "ignores the part"],
      fwts: ["error", "fails an ERST that counts it"],
      iasl: ["error", "cannot compile what it disassembles"],
    },
    fwts: ["ERSTTooManyEntries"],
    check: (table, report) => {
      const rest = (table.end - ENTRIES_OFFSET) % ENTRY_SIZE;
      if (table.end > ENTRIES_OFFSET && rest !== 0)
        report({ path: `entries[${Math.trunc((table.end - ENTRIES_OFFSET) / ENTRY_SIZE)}]`, offset: table.end - rest }, `${rest} bytes`, `${ENTRY_SIZE} bytes`);
    },
  },
  {
    id: "entries-action",
    title: "An instruction belongs to an action nobody defined",
    source: "ACPI 6.5 tables 18.24 and 18.30",
    explain:
      "Nobody ever asks for the action, so its steps are never taken. One manufacturer fills ERST's reserved action 0x0c with a no-op, which harms nobody.",
    on: ON,
    consumers: { spec: ["error", "defines no such action"], linux: ["note", "never asks for it"], fwts: ["error", "fails an ERST with actions above 0x10"] },
    fwts: ["ERSTIInvalidAction"],
    check: (table, report) => {
      for (const [i, { action }] of entriesOf(table).entries())
        if (typeof action === "number" && !(table.signature === "ERST" && action === RESERVED_ERST_ACTION))
          report(`entries[${i}].action`, hexNumber(action), "a defined action");
    },
  },
  {
    id: "entries-action-reserved",
    title: "An instruction stands under ERST's reserved action",
    source: "ACPI 6.5 table 18.24",
    explain: "Action 0x0c is reserved; some manufacturers fill it with a no-op.",
    on: ["ERST"],
    consumers: { spec: ["note", "reserves it"] },
    check: (table, report) => {
      for (const [i, { action }] of entriesOf(table).entries())
        if (action === RESERVED_ERST_ACTION) report(`entries[${i}].action`, hexNumber(action), "a defined action");
    },
  },
  {
    id: "entries-instruction",
    title: "An instruction nobody defined",
    source: "ACPI 6.5 tables 18.27 and 18.33",
    explain: "ERST defines instructions 0x00 to 0x12, EINJ 0x00 to 0x05. Linux checks all of them when it maps their registers, and gives the table up.",
    on: ON,
    consumers: { spec: ["error", "defines no such instruction"], linux: ["error", "refuses the table: invalid instruction"], fwts: ["error", "fails an ERST"] },
    fwts: ["ERSTIInvalidInstruction"],
    check: (table, report) => {
      for (const [i, { instruction }] of entriesOf(table).entries())
        if (typeof instruction === "number") report(`entries[${i}].instruction`, hexNumber(instruction), "a defined instruction");
    },
  },
  {
    id: "entries-mask",
    title: "An instruction's mask leaves no bits",
    source: "ACPI 6.5 18.5.1.2",
    explain: "Reads through a mask of zero are always zero, writes write nothing.",
    on: ON,
    consumers: { spec: ["warning", "has no effect"], linux: ["warning", "reads zero and writes nothing"] },
    check: (table, report) => {
      for (const [i, { mask, instruction }] of entriesOf(table).entries())
        if (mask === 0n && typeof instruction === "string" && /^(read|write)Register/.test(instruction))
          report(`entries[${i}].mask`, "0x0", "the bits that count");
    },
  },
];
