/** From a description to the fw_cfg files of the hand-off, in the order and to the byte as QEMU makes them. */

import { FadtPointers } from "../acpi/fadt.ts";
import { Hest } from "../acpi/hest.ts";
import { RSDP_CHECKSUM, RSDP_EXTENDED_CHECKSUM, Rsdp, RsdpExtension, Rsdt, Xsdt } from "../acpi/root-tables.ts";
import { CHECKSUM_OFFSET, TableHeader } from "../acpi/table-header.ts";
import { EncodeError, encode, fieldOffset, parse, spans, within } from "../layout/index.ts";
import type { BuildDescription, MachineLayout, PointerDescription, TableDescription, TargetDescription } from "./description.ts";
import { MACHINES } from "./description.ts";
import { checkErrorSources, hardwareErrors, hestOf, REGISTER, slotsOf } from "./error-sources.ts";
import { FILE, type FwCfgFile } from "./fw-cfg.ts";
import { type PointerSize, padTo, ScriptBuilder } from "./script-builder.ts";

/** What QEMU's tables carry. */
const QEMU_IDENTITY = { oemId: "BOCHS ", oemTableId: "BXPC    ", oemRevision: 1, creatorId: "BXPC", creatorRevision: 1 };
const ALIGNMENT = { tables: 64, hardwareErrors: 8, rsdp: 16 };
/** Reads a file the description names. */
export type ReadFile = (path: string) => Uint8Array;

export interface HandOff {
  /** The fw_cfg files by name, the script among them. */
  readonly files: ReadonlyMap<string, FwCfgFile>;
  /** Where each table lies in `etc/acpi/tables`, in order. */
  readonly tables: readonly { readonly signature: string; readonly offset: number; readonly length: number }[];
  /** Offset of the HEST in `etc/acpi/tables`. */
  readonly hestOffset?: number;
}

/** Offset of a field of a HEST, by its path. */
function offsetsIn(bytes: Uint8Array): (path: string) => number {
  const offsets = new Map(spans(Hest, parse(Hest, bytes)).map(({ path, offset }) => [path, offset]));
  return (path) => {
    const offset = offsets.get(path);
    if (offset === undefined) throw new EncodeError(path, "no such field");
    return offset;
  };
}

interface Placed {
  readonly signature: string;
  readonly offset: number;
  readonly length: number;
}

/**
 * Make the hand-off.
 * @throws EncodeError naming the part of the description that is wrong, and for what QEMU's emitter asserts.
 */
export function buildHandOff(description: BuildDescription, read: ReadFile): HandOff {
  const layout: MachineLayout = { ...MACHINES[description.machine ?? "virt"], ...description.layout };
  const identity = { ...QEMU_IDENTITY, ...description.identity };
  const sources = description.errorSources ?? [];
  checkSources(description);

  const builder = new ScriptBuilder();
  const writable = new Map<string, number>();
  const placed: Placed[] = [];
  builder.allocate(FILE.tables, new Uint8Array(0), ALIGNMENT.tables);

  const target = (to: string | TargetDescription): { readonly file: string; readonly offset: number } => {
    const { table, file, offset = 0 } = typeof to === "string" ? { table: to } : to;
    if ((table === undefined) === (file === undefined)) throw new EncodeError("to", "names a table or a file, not both and not neither");
    if (table !== undefined) {
      const found = placed.find((candidate) => candidate.signature === table);
      if (!found) throw new EncodeError("to", `there is no table ${table} before this one`);
      return { file: FILE.tables, offset: found.offset + offset };
    }
    ensureFile(file!);
    return { file: file!, offset };
  };
  const ensureFile = (file: string) => {
    if (builder.files.includes(file)) return;
    const blob = description.files?.[file];
    if (!blob) throw new EncodeError("to", `${file} is not described under files`);
    within(`files.${file}`, () => {
      if ((blob.content === undefined) === (blob.size === undefined)) throw new EncodeError("", "has a content or a size, not both and not neither");
      builder.allocate(file, blob.content === undefined ? new Uint8Array(blob.size!) : read(blob.content), blob.alignment ?? 1, blob.zone ?? "high");
    });
  };
  const writePointer = (file: string, offset: number, to: { readonly file: string; readonly offset: number }) => {
    writable.set(file, Math.max(writable.get(file) ?? 0, offset + REGISTER));
    builder.writePointer(file, offset, REGISTER, to.file, to.offset);
  };

  const addTable = (table: TableDescription, bytes: Uint8Array, path: string) => {
    const { signature, length } = tableStart(bytes, path);
    const at = builder.append(FILE.tables, bytes);
    placed.push({ signature, offset: at, length });
    for (const [i, pointer] of (table.writePointers ?? []).entries())
      within(`${path}.writePointers[${i}]`, () => writePointer(pointer.file, pointer.offset ?? 0, target(pointer.to)));
    for (const [i, pointer] of (table.pointers ?? fadtPointers(signature, placed)).entries())
      within(`${path}.pointers[${i}]`, () => {
        if (pointer.offset + pointer.size > bytes.length)
          throw new EncodeError("offset", `${pointer.size} bytes at ${pointer.offset} are outside the table, which has ${bytes.length}`);
        const to = target(pointer.to);
        builder.addPointer(FILE.tables, at + pointer.offset, pointer.size, to.file, to.offset);
      });
    if (table.checksum ?? signature !== "FACS") builder.addChecksum(FILE.tables, at, length, at + CHECKSUM_OFFSET);
  };

  let hestOffset: number | undefined;
  for (const [i, table] of description.tables.entries()) {
    const path = `tables[${i}]`;
    within(path, () => {
      if ((table.file === undefined) === (table.hest === undefined)) throw new EncodeError("", "has a file or is the HEST, not both and not neither");
    });
    if (table.hest) {
      const slots = slotsOf(sources);
      const handOff = description.handOff ?? "hest";
      if (slots.some((slot) => slot)) {
        builder.allocate(FILE.hardwareErrors, hardwareErrors(sources, slots), ALIGNMENT.hardwareErrors);
        for (const slot of slots) if (slot) builder.addPointer(FILE.hardwareErrors, slot.address, REGISTER, FILE.hardwareErrors, slot.block);
        if (handOff === "hardwareErrors") writePointer(FILE.hardwareErrorsAddress, 0, { file: FILE.hardwareErrors, offset: 0 });
      }
      const bytes = hestOf(sources, identity);
      hestOffset = builder.size(FILE.tables);
      const offsetOf = offsetsIn(bytes);
      const pointers = slots.flatMap((slot, source): PointerDescription[] => {
        if (!slot) return [];
        const pointer = (path: string, offset: number) => ({
          offset: offsetOf(path),
          size: REGISTER as 8,
          to: { file: FILE.hardwareErrors, offset },
        });
        return [
          pointer(`sources[${source}].errorStatusAddress.address`, slot.address),
          ...(sources[source]!.acknowledge === false ? [] : [pointer(`sources[${source}].readAckRegister.address`, slot.acknowledge)]),
        ];
      });
      addTable({ pointers: [...pointers, ...(table.pointers ?? [])], writePointers: table.writePointers ?? [] }, bytes, path);
      if (handOff === "hest") writePointer(FILE.hestAddress, 0, { file: FILE.tables, offset: hestOffset });
    } else {
      const bytes = within(path, () => read(table.file!)).slice();
      if (bytes.length > CHECKSUM_OFFSET && (table.checksum ?? tableStart(bytes, path).signature !== "FACS")) bytes[CHECKSUM_OFFSET] = 0;
      addTable(table, bytes, path);
    }
  }

  const roots = within("root", () =>
    description.root
      ? description.root.map((signature, i) => {
          const found = placed.find((table) => table.signature === signature);
          if (!found) throw new EncodeError(`[${i}]`, `there is no table ${signature}`);
          return found;
        })
      : placed.filter((table) => table.signature !== "DSDT" && table.signature !== "FACS"),
  );
  const xsdt = layout.rootTable === "xsdt";
  const size: PointerSize = xsdt ? 8 : 4;
  const length = TableHeader.size + size * roots.length;
  const header = { ...identity, signature: xsdt ? "XSDT" : "RSDT", length, revision: 1, checksum: 0 };
  const root = xsdt
    ? encode(Xsdt, { header, entries: roots.map(() => ({ address: 0n })) })
    : encode(Rsdt, { header, entries: roots.map(() => ({ address: 0 })) });
  const rootOffset = builder.append(FILE.tables, root);
  for (const [i, table] of roots.entries()) builder.addPointer(FILE.tables, rootOffset + TableHeader.size + size * i, size, FILE.tables, table.offset);
  builder.addChecksum(FILE.tables, rootOffset, length, rootOffset + CHECKSUM_OFFSET);
  addRsdp(builder, identity.oemId, xsdt, rootOffset);

  const files = new Map<string, FwCfgFile>();
  for (const file of builder.files)
    files.set(file, { bytes: file === FILE.tables ? padTo(builder.content(file), layout.tablesMultiple) : builder.content(file) });
  files.set(FILE.script, { bytes: builder.script(layout.scriptMultiple) });
  for (const [file, bytes] of writable) files.set(file, { bytes: new Uint8Array(bytes), writable: true });
  return { files, tables: placed, ...(hestOffset !== undefined && { hestOffset }) };
}

/** The RSDP's blob, the last to be allocated: revision 2 for an XSDT, revision 0 for an RSDT. */
function addRsdp(builder: ScriptBuilder, oemId: string, xsdt: boolean, rootOffset: number): void {
  const bytes = xsdt
    ? encode(Rsdp, { oemId, revision: 2, extension: { xsdtAddress: 0n } })
    : encode(Rsdp, { oemId, revision: 0, extension: new Uint8Array(0) });
  builder.allocate(FILE.rsdp, bytes, ALIGNMENT.rsdp, "fSegment");
  const checksum = () => builder.addChecksum(FILE.rsdp, 0, RSDP_CHECKSUM.length, RSDP_CHECKSUM.offset);
  if (!xsdt) {
    builder.addPointer(FILE.rsdp, fieldOffset(Rsdp, "rsdtAddress"), 4, FILE.tables, rootOffset);
    checksum();
    return;
  }
  // QEMU sums the first 20 bytes before it adds the pointer, which lies behind them.
  checksum();
  builder.addPointer(FILE.rsdp, fieldOffset(Rsdp, "extension") + fieldOffset(RsdpExtension, "xsdtAddress"), 8, FILE.tables, rootOffset);
  builder.addChecksum(FILE.rsdp, 0, RSDP_EXTENDED_CHECKSUM.length, RSDP_EXTENDED_CHECKSUM.offset);
}

function tableStart(bytes: Uint8Array, path: string): { readonly signature: string; readonly length: number } {
  const { signature, length } = parse(TableHeader, bytes.subarray(0, TableHeader.size));
  if (signature === undefined || length === undefined) throw new EncodeError(path, `the file has ${bytes.length} bytes, which is no table`);
  if (length !== bytes.length) throw new EncodeError(path, `the ${signature} says ${length} bytes, the file has ${bytes.length}`);
  return { signature, length };
}

/** What QEMU patches in a FADT: 32-bit FACS and DSDT where there is a FACS, X_DSDT always. */
function fadtPointers(signature: string, placed: readonly Placed[]): readonly PointerDescription[] {
  if (signature !== "FACP" || !placed.some((table) => table.signature === "DSDT")) return [];
  const pointer = (field: keyof typeof FadtPointers.fields, size: 4 | 8, to: string) => ({ offset: fieldOffset(FadtPointers, field), size, to });
  const narrow = placed.some((table) => table.signature === "FACS") ? [pointer("firmwareControl", 4, "FACS"), pointer("dsdt", 4, "DSDT")] : [];
  return [...narrow, pointer("extendedDsdt", 8, "DSDT")];
}

function checkSources(description: BuildDescription): void {
  const sources = description.errorSources ?? [];
  const hests = description.tables.filter((table) => table.hest).length;
  if (sources.length > 0 && hests === 0) throw new EncodeError("tables", 'error sources need a place for the HEST: add { "hest": true }');
  if (hests > 1) throw new EncodeError("tables", "there can be only one HEST");
  checkErrorSources(sources);
}
