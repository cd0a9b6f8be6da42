/** The tables an operating system finds when it starts from the root pointer (Linux and ACPICA behaviour). */

import { FADT_SIGNATURE, FadtPointers } from "../acpi/fadt.ts";
import { RSDP_CHECKSUM, RSDP_EXTENDED_CHECKSUM, RSDP_SIGNATURE, Rsdp } from "../acpi/root-tables.ts";
import { byteSum, TableHeader } from "../acpi/table-header.ts";
import { decode, hexNumber, parse } from "../layout/index.ts";
import { fromLittleEndian, type GuestMemory, MemoryFault } from "../machine/memory.ts";

export interface OsTable {
  readonly signature: string;
  readonly address: bigint;
  /** What the header says, in bytes. */
  readonly length: number;
  /** Whether all its bytes sum to zero; a FACS has no checksum. */
  readonly checksumOk: boolean;
  /** The bytes that lie in memory: fewer than `length` when that goes beyond it. */
  readonly bytes: Uint8Array;
}

export interface OsView {
  readonly rsdpAddress: bigint;
  readonly root?: OsTable;
  /** In the order in which they are found: the root's entries, DSDT and FACS after the FADT. Empty without ACPI. */
  readonly tables: readonly OsTable[];
  /** Names in `/sys/firmware/acpi/tables`, two of a kind numbered: all or, when an entry leads to bytes that are no name, none. */
  readonly listing: readonly string[];
  /** Root entries that lead to no table, and whatever else is odd. */
  readonly problems: readonly string[];
}

/** Bytes of a table read at most, whatever its header says. */
const MOST = 1 << 24;
/** Linux keeps no more root entries than this. */
const MOST_ENTRIES = 128;

/** As many of `length` bytes as lie in memory. */
function readUpTo(memory: GuestMemory, address: bigint, length: number): Uint8Array {
  try {
    return memory.read(address, length);
  } catch (error) {
    if (!(error instanceof MemoryFault)) throw error;
  }
  let low = 0;
  let high = length;
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    try {
      memory.read(address, middle);
      low = middle;
    } catch (error) {
      if (!(error instanceof MemoryFault)) throw error;
      high = middle;
    }
  }
  return low > 0 ? memory.read(address, low) : new Uint8Array(0);
}

/** The table at an address: undefined when no whole header with a printable signature lies there. */
function tableAt(memory: GuestMemory, address: bigint): OsTable | undefined {
  const start = readUpTo(memory, address, TableHeader.size);
  if (start.length < TableHeader.size) return undefined;
  const { signature, length } = decode(TableHeader, start);
  if (!/^[A-Z0-9_!]{4}$/i.test(signature)) return undefined;
  const bytes = readUpTo(memory, address, Math.min(length, MOST));
  return { signature, address, length, bytes, checksumOk: signature === "FACS" || (bytes.length === length && byteSum(bytes) === 0) };
}

/** Whether the RSDP here passes the checks of the operating system: signature and the checksums of its revision. */
export function isRsdp(memory: GuestMemory, address: bigint): boolean {
  const bytes = readUpTo(memory, address, RSDP_EXTENDED_CHECKSUM.length);
  if (bytes.length < RSDP_CHECKSUM.length) return false;
  const { signature, revision = 0 } = parse(Rsdp, bytes);
  if (signature !== RSDP_SIGNATURE || byteSum(bytes, 0, RSDP_CHECKSUM.length) !== 0) return false;
  return revision < 2 || (bytes.length === RSDP_EXTENDED_CHECKSUM.length && byteSum(bytes) === 0);
}

/** The root table's address as Linux chooses it: the XSDT where the revision has one and it is not zero. */
function rootOf(memory: GuestMemory, rsdpAddress: bigint): { readonly address: bigint; readonly entrySize: 4 | 8 } {
  const rsdp = parse(Rsdp, readUpTo(memory, rsdpAddress, RSDP_EXTENDED_CHECKSUM.length));
  const extension = rsdp.extension;
  const xsdt = extension && !(extension instanceof Uint8Array) ? (extension.xsdtAddress ?? 0n) : 0n;
  return (rsdp.revision ?? 0) > 1 && xsdt !== 0n ? { address: xsdt, entrySize: 8 } : { address: BigInt(rsdp.rsdtAddress ?? 0), entrySize: 4 };
}

/** Walk all tables from the root pointer. Never throws: addresses outside memory are problems. */
export function osView(memory: GuestMemory, rsdpAddress: bigint): OsView {
  const problems: string[] = [];
  const nothing = (root: OsTable | undefined, problem: string): OsView => ({
    rsdpAddress,
    ...(root && { root }),
    tables: [],
    listing: [],
    problems: [...problems, problem],
  });
  const { address, entrySize } = rootOf(memory, rsdpAddress);
  const root = tableAt(memory, address);
  if (!root) return nothing(root, `no root table lies at ${hexNumber(address)}: the operating system gives up ACPI`);
  if (root.bytes.length < TableHeader.size + entrySize)
    return nothing(root, `the root table at ${hexNumber(address)} says ${root.length} bytes, which holds no entry: the operating system gives up ACPI`);
  const tables: OsTable[] = [];
  let kept = 0;
  let nameless = false;
  const add = (at: bigint, what: string): OsTable | undefined => {
    kept++;
    const table = tableAt(memory, at);
    if (table) tables.push(table);
    else {
      const inMemory = readUpTo(memory, at, TableHeader.size).length > 0;
      nameless ||= inMemory;
      problems.push(
        `${what} leads to ${hexNumber(at)}, where no table lies${inMemory ? ": Linux then lists no tables in sysfs, though it uses the others" : ""}`,
      );
    }
    return table;
  };
  const entries = Math.floor((root.bytes.length - TableHeader.size) / entrySize);
  for (let i = 0; i < entries; i++) {
    if (kept >= MOST_ENTRIES) {
      problems.push(`the root table has ${entries} entries: Linux keeps the first ${MOST_ENTRIES}`);
      break;
    }
    const at = TableHeader.size + i * entrySize;
    const entry = fromLittleEndian(root.bytes.subarray(at, at + entrySize));
    if (entry === 0n) continue;
    const table = add(entry, `entry ${i} of the root table`);
    if (table?.signature !== FADT_SIGNATURE) continue;
    const fadt = parse(FadtPointers, table.bytes.subarray(0, FadtPointers.size));
    const dsdt = fadt.extendedDsdt || BigInt(fadt.dsdt ?? 0);
    const facs = BigInt(fadt.firmwareControl ?? 0) || (fadt.extendedFirmwareControl ?? 0n);
    if (dsdt !== 0n) add(dsdt, "the FADT's DSDT pointer");
    if (facs !== 0n) add(facs, "the FADT's FACS pointer");
  }
  if (!tables.some((table) => table.signature === FADT_SIGNATURE))
    return nothing(root, "there is no FADT: the operating system cannot enable ACPI and gives it up");
  if (!tables.some((table) => table.signature === "DSDT"))
    return nothing(root, "the FADT leads to no DSDT: the operating system cannot load its tables and gives up ACPI");
  return { rsdpAddress, root, tables, listing: nameless ? [] : numbered(tables.map((table) => table.signature)), problems };
}

/** Names as sysfs has them: HEST, or HEST1 and HEST2. */
function numbered(signatures: readonly string[]): readonly string[] {
  const count = new Map<string, number>();
  return signatures.map((signature) => {
    if (signatures.indexOf(signature) === signatures.lastIndexOf(signature)) return signature;
    count.set(signature, (count.get(signature) ?? 0) + 1);
    return `${signature}${count.get(signature)}`;
  });
}
