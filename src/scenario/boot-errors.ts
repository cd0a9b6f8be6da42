/** The boot error region of a scenario's machine, and the table that names it. */
import { Bert } from "../acpi/bert.ts";
import { buildTable } from "../acpi/build-tables.ts";
import { concatBytes, fieldOffset, hexToBytes, UsageError } from "../layout/index.ts";
import type { ReadFile } from "../loader/build.ts";
import type { PointerDescription } from "../loader/description.ts";
import { recordOf } from "./record.ts";
import type { BootErrorsChoice } from "./schema.ts";

/** fw_cfg name of the boot error region. */
export const BOOT_ERRORS = "etc/boot_errors";

/** The bytes of the region. @throws UsageError, EncodeError naming the member that is wrong. */
export function bootErrorRegion({ records, region, file, length }: BootErrorsChoice, read: ReadFile): Uint8Array {
  if ([records, region, file].filter((given) => given !== undefined).length > 1)
    throw new UsageError("machine.bootErrors: records, region and file are three ways to say one thing: give one of them");
  const blocks = (records ?? []).map((content, i) => {
    const path = `machine.bootErrors.records[${i}]`;
    const block = recordOf(content, path);
    if (!block) throw new UsageError(`${path}: a record needs a block, sections or a memory error`);
    return block;
  });
  const given = region !== undefined ? hexToBytes(region)! : file !== undefined ? read(file) : concatBytes(blocks);
  const out = new Uint8Array(length ?? given.length);
  out.set(given.subarray(0, out.length));
  return out;
}

/** A BERT, and its region as a blob of its own, which the firmware places. */
export const bootErrorTable = (
  region: Uint8Array,
): { readonly bytes: Uint8Array; readonly pointers: readonly PointerDescription[]; readonly blob: Uint8Array } => ({
  bytes: buildTable("BERT", { bootErrorRegionLength: region.length, bootErrorRegion: "0x0" }),
  // An empty blob cannot be placed.
  blob: region.length === 0 ? new Uint8Array(1) : region,
  pointers: [{ offset: fieldOffset(Bert, "bootErrorRegion"), size: 8, to: { file: BOOT_ERRORS } }],
});
