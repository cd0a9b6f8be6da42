/** Tables of instructions whose registers are memory that the firmware places. */
import { type EinjEntry, ErstEntry } from "../acpi/action-entry.ts";
import { ENTRIES_OFFSET } from "../acpi/erst.ts";
import { GenericAddress } from "../acpi/generic-address.ts";
import { fieldOffset } from "../layout/index.ts";
import type { PointerDescription } from "../loader/description.ts";

/** Where an entry has the address of its register, and its operand. ERST and EINJ have the same entries. */
const REGISTER = fieldOffset(ErstEntry, "registerRegion") + fieldOffset(GenericAddress, "address");
const OPERAND = fieldOffset(ErstEntry, "value");

/** A table, and the places in it that get an address. */
export interface LinkedTable {
  readonly bytes: Uint8Array;
  readonly pointers: readonly PointerDescription[];
}

/**
 * What the firmware has to patch in such a table.
 * @param bytes the table, with offsets in the file where addresses belong.
 * @param file fw_cfg name of the registers.
 * @param addressed entries whose operand is an address too.
 */
export function linkedTable(
  bytes: Uint8Array,
  entries: readonly (ErstEntry | EinjEntry)[],
  file: string,
  addressed: (entry: ErstEntry | EinjEntry) => boolean = () => false,
): LinkedTable {
  const pointers = entries.flatMap((entry, i) => {
    const at = ENTRIES_OFFSET + i * ErstEntry.size;
    const pointer = (offset: number, to: bigint): PointerDescription => ({ offset: at + offset, size: 8, to: { file, offset: Number(to) } });
    return [pointer(REGISTER, entry.registerRegion.address), ...(addressed(entry) ? [pointer(OPERAND, entry.value)] : [])];
  });
  return { bytes, pointers };
}
