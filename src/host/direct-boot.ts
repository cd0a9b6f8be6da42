/**
 * A monitor that starts its guest without firmware: it puts the root pointer, the tables and the error sources into
 * guest memory itself, so that nothing has to be linked and nobody has to write an address back.
 */
import { Bert } from "../acpi/bert.ts";
import { FADT_SIGNATURE, FadtPointers } from "../acpi/fadt.ts";
import { RSDP_CHECKSUM, RSDP_EXTENDED_CHECKSUM, Rsdp, Xsdt } from "../acpi/root-tables.ts";
import { fixChecksum, TableHeader } from "../acpi/table-header.ts";
import { encode, fieldOffset, hexNumber, UsageError } from "../layout/index.ts";
import type { SourceDescription } from "../loader/description.ts";
import { checkErrorSources, hardwareErrors, hestOf, REGISTER, slotsOf } from "../loader/error-sources.ts";
import { TopDownAllocator } from "../machine/allocator.ts";
import { type GuestMemory, type Region, toLittleEndian } from "../machine/memory.ts";

export interface DirectBootOptions {
  readonly memory: GuestMemory;
  readonly ram: readonly Region[];
  /** Absent for a machine without error sources. */
  readonly errorSources?: readonly SourceDescription[];
  /** Further tables by signature, several of one as a list; the FADT gets the address of the DSDT, a BERT that of the boot errors. */
  readonly tables: Readonly<Record<string, Uint8Array | readonly Uint8Array[]>>;
  /** The boot error region. */
  readonly bootErrors?: Uint8Array;
  /** Addresses of parts by name; what is not named is placed at the top of RAM below 4 GiB. */
  readonly placements?: ReadonlyMap<string, bigint>;
}
export interface PlacedPart {
  /** Signature of a table, with a number from the second of its kind on (`SSDT 2`), or `RSDP`, `hardware errors`, `boot errors`. */
  readonly name: string;
  readonly address: bigint;
  /** Bytes. */
  readonly size: number;
}
export interface DirectBoot {
  readonly rsdpAddress: bigint;
  readonly hestAddress?: bigint;
  /** Everything placed, lowest address first. The guest must be told to keep its hands off. */
  readonly parts: readonly PlacedPart[];
}

const ERRORS = "hardware errors";
const BOOT_ERRORS = "boot errors";
const FOUR_GIB = 1n << 32n;
const ALIGNMENT: Readonly<Record<string, bigint>> = { [ERRORS]: 4096n, RSDP: 16n };
const TABLE_ALIGNMENT = 64n;
/** Size, and what the bytes are once every address is known. */
interface Part {
  readonly size: number;
  bytes(addressOf: (name: string) => bigint): Uint8Array;
}

/**
 * Place everything and write it.
 * @throws UsageError for places that do not exist and for tables there can be no second of, EncodeError for sources that cannot be.
 */
export function placeDirectly({ memory, ram, errorSources, tables, bootErrors, placements = new Map() }: DirectBootOptions): DirectBoot {
  const parts = new Map<string, Part>();
  if (errorSources) for (const [name, part] of errorParts(errorSources)) parts.set(name, part);
  if (bootErrors) parts.set(BOOT_ERRORS, { size: bootErrors.length, bytes: () => bootErrors });
  for (const [signature, given] of Object.entries(tables)) {
    const several = given instanceof Uint8Array ? [given] : given;
    if (several.length > 1 && ONLY_ONE.has(signature)) throw new UsageError(`${signature}: a machine has one of it, not ${several.length}`);
    if (OWN.has(signature) || parts.has(signature)) throw new UsageError(`${signature}: this table is made here`);
    const pointers = (POINTERS[signature] ?? []).filter(({ to }) => parts.has(to) || to in tables);
    for (const [i, bytes] of several.entries())
      parts.set(i === 0 ? signature : `${signature} ${i + 1}`, { size: bytes.length, bytes: (addressOf) => linked(bytes, pointers, addressOf) });
  }
  const listed = [...parts.keys()].filter((name) => !UNLISTED.has(name));
  const xsdt = (addressOf: (name: string) => bigint) => {
    const header = { signature: "XSDT", length: TableHeader.size + REGISTER * listed.length };
    return fixChecksum(encode(Xsdt, { header, entries: listed.map((name) => ({ address: addressOf(name) })) }));
  };
  parts.set("XSDT", { size: xsdt(() => 0n).length, bytes: xsdt });
  parts.set("RSDP", { size: RSDP_EXTENDED_CHECKSUM.length, bytes: (addressOf) => rootPointer(addressOf("XSDT")) });

  const addresses = placeParts(parts, ram, placements);
  const addressOf = (name: string) => addresses.get(name)!;
  for (const [name, part] of parts) memory.write(addressOf(name), part.bytes(addressOf));
  return {
    rsdpAddress: addressOf("RSDP"),
    ...(parts.has("HEST") && { hestAddress: addressOf("HEST") }),
    parts: [...parts].map(([name, { size }]) => ({ name, address: addressOf(name), size })).sort((a, b) => (a.address < b.address ? -1 : 1)),
  };
}

function placeParts(parts: ReadonlyMap<string, Part>, ram: readonly Region[], placements: ReadonlyMap<string, bigint>): ReadonlyMap<string, bigint> {
  const allocator = new TopDownAllocator(ram);
  const addresses = new Map<string, bigint>();
  for (const [name, address] of placements) {
    const part = parts.get(name);
    if (!part) throw new UsageError(`there is no ${name} to place; there are ${[...parts.keys()].join(", ")}`);
    if (!allocator.reserve(address, BigInt(part.size)))
      throw new UsageError(`${name} has no room at ${hexNumber(address)}: ${part.size} free bytes of RAM are needed`);
    addresses.set(name, address);
  }
  for (const [name, { size }] of parts) {
    if (addresses.has(name)) continue;
    const address = allocator.allocate(BigInt(size), ALIGNMENT[name] ?? TABLE_ALIGNMENT, FOUR_GIB);
    if (address === undefined) throw new UsageError(`there is no room for ${name}: ${size} bytes below 4 GiB are needed`);
    addresses.set(name, address);
  }
  return addresses;
}

/** The HEST, and the registers and blocks its sources name: laid out as QEMU does, with addresses instead of offsets. */
function errorParts(sources: readonly SourceDescription[]): readonly (readonly [string, Part])[] {
  checkErrorSources(sources);
  const slots = slotsOf(sources);
  const errors = hardwareErrors(sources, slots);
  const hest = (addressOf: (name: string) => bigint) => {
    const placed = sources.map((source, i): SourceDescription => {
      const slot = slots[i];
      const at = (offset: number) => hexNumber(addressOf(ERRORS) + BigInt(offset));
      return slot ? { ...source, at: { status: at(slot.address), acknowledge: at(slot.acknowledge) } } : source;
    });
    return fixChecksum(hestOf(placed, {}));
  };
  const blocks = (addressOf: (name: string) => bigint) => {
    const bytes = errors.slice();
    for (const slot of slots) if (slot) bytes.set(toLittleEndian(addressOf(ERRORS) + BigInt(slot.block), REGISTER), slot.address);
    return bytes;
  };
  return [...(errors.length > 0 ? [[ERRORS, { size: errors.length, bytes: blocks }] as const] : []), ["HEST", { size: hest(() => 0n).length, bytes: hest }]];
}

/** Addresses in tables, and what is there. */
interface Pointer {
  readonly offset: number;
  readonly size: 4 | 8;
  readonly to: string;
}
const POINTERS: Readonly<Record<string, readonly Pointer[]>> = {
  [FADT_SIGNATURE]: [
    { offset: fieldOffset(FadtPointers, "firmwareControl"), size: 4, to: "FACS" },
    { offset: fieldOffset(FadtPointers, "dsdt"), size: 4, to: "DSDT" },
    { offset: fieldOffset(FadtPointers, "extendedDsdt"), size: 8, to: "DSDT" },
  ],
  BERT: [{ offset: fieldOffset(Bert, "bootErrorRegion"), size: 8, to: BOOT_ERRORS }],
};
/** Tables that everything else is found from, or that others name. */
const ONLY_ONE: ReadonlySet<string> = new Set([FADT_SIGNATURE, "DSDT", "FACS", "HEST", "BERT"]);
/** What the monitor makes itself. */
const OWN: ReadonlySet<string> = new Set(["RSDP", "XSDT"]);
/** Parts the root table does not name. */
const UNLISTED: ReadonlySet<string> = new Set([ERRORS, BOOT_ERRORS, "DSDT", "FACS"]);

/** A table with the addresses of what it leads to; one that leads nowhere is left as it is. */
function linked(given: Uint8Array, pointers: readonly Pointer[], addressOf: (name: string) => bigint): Uint8Array {
  if (pointers.length === 0) return given;
  const bytes = given.slice();
  for (const { offset, size, to } of pointers) {
    const address = addressOf(to);
    // A narrow field for what lies above 4 GiB stays as it is: the wide one beside it counts.
    if (offset + size <= bytes.length && address >> BigInt(8 * size) === 0n) bytes.set(toLittleEndian(address, size), offset);
  }
  return fixChecksum(bytes);
}

function rootPointer(xsdtAddress: bigint): Uint8Array {
  const bytes = encode(Rsdp, { revision: 2, extension: { xsdtAddress } });
  bytes.set(fixChecksum(bytes.slice(0, RSDP_CHECKSUM.length), RSDP_CHECKSUM.offset));
  return fixChecksum(bytes, RSDP_EXTENDED_CHECKSUM.offset);
}
