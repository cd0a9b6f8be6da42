/** Rules for generic addresses, wherever they stand. */
import { GenericAddress } from "../../acpi/generic-address.ts";
import { checkRegister } from "../../guest/registers.ts";
import { decode, hexNumber } from "../../layout/index.ts";
import type { Report, Rule } from "../rule.ts";
import type { Table } from "../table.ts";

interface Register {
  /** Path of the structure. */
  readonly path: string;
  readonly value: GenericAddress;
}

/** Instructions of ERST and EINJ that touch no register: their address is of no concern (Linux apei behaviour). */
const NO_REGISTER: ReadonlySet<unknown> = new Set(["noop", "add", "subtract", "stall", "goto"]);

const known = new WeakMap<Table, readonly Register[]>();
/** The generic addresses of a table that somebody will use. */
function registersOf(table: Table): readonly Register[] {
  let found = known.get(table);
  if (!found) known.set(table, (found = collect(table)));
  return found;
}
function collect(table: Table): Register[] {
  const out: Register[] = [];
  for (const span of table.spans) {
    if (!span.path.endsWith(".addressSpace") || span.offset + GenericAddress.size > table.end) continue;
    const path = span.path.slice(0, -".addressSpace".length);
    const owner = ownerOf(table, path);
    if (NO_REGISTER.has(owner?.["instruction"]) || owner?.["enabled"] === 0) continue;
    out.push({ path, value: decode(GenericAddress, table.bytes, span.offset) });
  }
  return out;
}

/** The list item a path lies in. */
function ownerOf(table: Table, path: string): Record<string, unknown> | undefined {
  const match = /^(\w+)\[(\d+)\]/.exec(path);
  const items = match ? (table.value[match[1]!] as Record<string, unknown>[] | undefined) : undefined;
  return items?.[Number(match![2])];
}

const refusal = ({ value }: Register): string[] => {
  const verdict = checkRegister(value);
  return verdict.ok || verdict.message === undefined ? [] : [verdict.message];
};
const each = (look: (register: Register, report: Report, signature: string) => void) => (table: Table, report: Report) => {
  for (const register of registersOf(table)) look(register, report, table.signature);
};
const ON = ["HEST", "ERST", "EINJ"];
const DROPS = "refuses the register: the source, or the whole of ERST or EINJ, is lost";

export const registerRules: readonly Rule[] = [
  {
    id: "register-address-zero",
    title: "A register has address zero",
    source: "Linux drivers/acpi/apei/apei-base.c behaviour",
    explain:
      "A generic address of zero means that there is no such register. A table that needs one must give its address; a zero is often a pointer patch that was forgotten.",
    on: ON,
    consumers: { spec: ["warning", "means that there is no such register"], linux: ["error", DROPS] },
    check: each((register, report) => {
      if (register.value.address === 0n) report(`${register.path}.address`, "0x0", "the address of the register", refusal(register));
    }),
  },
  {
    id: "register-space",
    title: "A register lies in a space Linux cannot reach here",
    source: "ACPI 6.5 18.3.2.7",
    explain: "Error registers are read in interrupt context: only system memory and system I/O will do.",
    on: ON,
    consumers: { spec: ["error", "wants memory or I/O"], linux: ["error", DROPS] },
    check: each((register, report) => {
      const space = register.value.addressSpace;
      if (space !== "systemMemory" && space !== "systemIo")
        report(`${register.path}.addressSpace`, typeof space === "number" ? hexNumber(space) : space, "systemMemory or systemIo", refusal(register));
    }),
  },
  {
    id: "register-access-size",
    title: "A register has no usable access size",
    source: "ACPI 6.5 5.2.3.2",
    explain: "The access size code is 1 for bytes to 4 for quad words. Zero (not given) is legal elsewhere in ACPI, but Linux refuses it for error registers.",
    on: ON,
    consumers: { spec: ["warning", "defines codes 0 to 4"], linux: ["error", DROPS], fwts: ["error", "fails ERST entries with a code above 4"] },
    fwts: ["ERSTIInvalidGasAccessSize"],
    check: each((register, report, signature) => {
      const size = register.value.accessSize;
      if (size === "undefined" || typeof size === "number")
        report(
          `${register.path}.accessSize`,
          typeof size === "number" ? hexNumber(size) : "0",
          "1 (byte) to 4 (qword)",
          refusal(register),
          typeof size === "number" && signature === "ERST" ? [] : ["fwts"],
        );
    }),
  },
  {
    id: "register-width",
    title: "A register's bits do not fit its access",
    source: "ACPI 6.5 5.2.3.2",
    explain:
      "Bit width plus bit offset must not exceed the width of one access. Linux forgives an access code that is too narrow only for aligned 32- and 64-bit registers at bit offset 0.",
    on: ON,
    consumers: { spec: ["error", "is contradictory"], linux: ["error", DROPS] },
    check: each((register, report) => {
      const verdict = checkRegister(register.value);
      if (!verdict.ok && verdict.message?.includes("bit width + offset"))
        report(
          `${register.path}.registerBitWidth`,
          `${register.value.registerBitWidth} bits at bit ${register.value.registerBitOffset}, access ${register.value.accessSize}`,
          "width and offset within one access",
          [verdict.message],
        );
    }),
  },
  {
    id: "register-width-zero",
    title: "A register has no bits",
    source: "Linux drivers/acpi/osl.c behaviour",
    explain: "A register of width zero cannot be mapped. Linux says nothing: the source is simply not there.",
    on: ON,
    consumers: { spec: ["warning", "describes no register"], linux: ["error", "drops the source without a message"] },
    check: each((register, report) => {
      const verdict = checkRegister(register.value);
      if (!verdict.ok && verdict.message === undefined) report(`${register.path}.registerBitWidth`, "0", "the width of the register");
    }),
  },
  {
    id: "register-unaligned",
    title: "A register is not aligned to its access",
    source: "ACPI 6.5 5.2.3.2",
    explain: "One access to an unaligned address may be torn or fault on device memory.",
    on: ON,
    consumers: { spec: ["note", "does not forbid it"], linux: ["note", "reads it all the same, in more than one bus access"] },
    check: each((register, report) => {
      const verdict = checkRegister(register.value);
      if (verdict.ok && register.value.address % BigInt(verdict.size) !== 0n)
        report(`${register.path}.address`, hexNumber(register.value.address), `a multiple of ${verdict.size}`);
    }),
  },
];
