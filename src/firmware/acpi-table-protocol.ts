/** EDK2's `EFI_ACPI_TABLE_PROTOCOL` (MdeModulePkg/Universal/Acpi/AcpiTableDxe): copies tables, sums them, keeps its own RSDP and root tables. */

import { FADT_SIGNATURE, FadtPointers } from "../acpi/fadt.ts";
import { RSDP_CHECKSUM, RSDP_EXTENDED_CHECKSUM, Rsdp, RsdpExtension } from "../acpi/root-tables.ts";
import { fixChecksum, TableHeader } from "../acpi/table-header.ts";
import { decode, encode, fieldOffset, parse } from "../layout/index.ts";
import { toLittleEndian } from "../machine/memory.ts";
import type { Bench } from "./frame.ts";

/** Tables for which there is one place in the system: a second of the kind is refused. */
const SINGLE: readonly string[] = [FADT_SIGNATURE, "FACS", "DSDT"];
/** Kept in memory the operating system must preserve, unlike all others. */
const PRESERVED: readonly string[] = ["FACS", "UEFI"];
/** Root entries for which there is room at first, and by which the room grows. */
const GROWTH = 20;
const DEFAULTS = { oemId: "INTEL ", oemTableId: "EDK2    ", oemRevision: 2, creatorId: "    ", creatorRevision: 0x01000013 };

/** What AcpiTableDxe needs of the firmware's memory. */
export interface TableMemory {
  /** Place for a table or root, which begins `lead` bytes into it; undefined when memory is exhausted. */
  allocate(what: string, size: number, preserved: boolean, lead?: number): bigint | undefined;
  release(address: bigint, size: number, preserved: boolean): void;
  /** Whether an RSDT is kept beside the XSDT (x86). */
  readonly rsdt: boolean;
}

interface Installed {
  readonly key: number;
  readonly signature: string;
  readonly address: bigint;
  readonly size: number;
}

const FADT = Object.fromEntries(
  (["firmwareControl", "dsdt", "extendedFirmwareControl", "extendedDsdt"] as const).map((name) => [name, fieldOffset(FadtPointers, name)]),
) as Record<"firmwareControl" | "dsdt" | "extendedFirmwareControl" | "extendedDsdt", number>;

export type InstallResult = { readonly address: bigint } | { readonly error: string };

/** The tables one instance of the protocol has installed, and the root tables it keeps for them. */
export class AcpiTableProtocol {
  readonly #bench: Bench;
  readonly #memory: TableMemory;
  readonly #tables: Installed[] = [];
  /** Addresses in the root tables after the first slot, which is the FADT's. */
  readonly #entries: bigint[] = [];
  readonly #rsdp: bigint;
  #roots: { address: bigint; room: number };
  #identity: { oemId: string; oemTableId: string; oemRevision: number } = DEFAULTS;
  #nextKey = 1;
  #published = false;

  constructor(bench: Bench, memory: TableMemory) {
    this.#bench = bench;
    this.#memory = memory;
    // x86 keeps an ACPI 1.0 RSDP of 20 bytes in front of the one it publishes.
    const rsdp = memory.allocate("RSDP", this.#firstRsdp + RSDP_EXTENDED_CHECKSUM.length, false, this.#firstRsdp);
    const roots = memory.allocate("XSDT", this.#rootsSize(GROWTH), false, this.#rsdtsSize(GROWTH));
    if (rsdp === undefined || roots === undefined) throw new RangeError("no memory for the RSDP and root tables");
    this.#rsdp = rsdp + BigInt(this.#firstRsdp);
    this.#roots = { address: roots, room: GROWTH };
  }

  /** Where the published RSDP lies; undefined until a table was installed. */
  get rsdpAddress(): bigint | undefined {
    return this.#published ? this.#rsdp : undefined;
  }

  /** Copy the table in and enter it. */
  install(table: Uint8Array): InstallResult & { readonly key?: number } {
    const { signature, length } = parse(TableHeader, table.subarray(0, TableHeader.size));
    if (signature === undefined || length !== table.length) return { error: "its length disagrees with the header" };
    if (SINGLE.includes(signature) && this.#find(signature)) return { error: `there is a ${signature} already: access denied` };
    const preserved = PRESERVED.includes(signature);
    const address = this.#memory.allocate(signature, table.length, preserved);
    if (address === undefined) return { error: "out of resources" };
    const copy = table.slice();
    if (signature === FADT_SIGNATURE) {
      const { oemId, oemTableId, oemRevision } = decode(TableHeader, copy);
      this.#identity = { oemId, oemTableId, oemRevision };
    }
    if (signature !== "FACS") fixChecksum(copy);
    this.#bench.memory.write(address, copy);
    const entry = { key: this.#nextKey++, signature, address, size: table.length };
    this.#tables.push(entry);
    if (!SINGLE.includes(signature) && !this.#enter(address)) return { error: "out of resources" };
    if (SINGLE.includes(signature)) this.#patchFadt();
    this.#publish();
    return { address, key: entry.key };
  }

  uninstall(key: number): void {
    const index = this.#tables.findIndex((table) => table.key === key);
    if (index < 0) return;
    const [table] = this.#tables.splice(index, 1);
    this.#memory.release(table!.address, table!.size, PRESERVED.includes(table!.signature));
    const slot = this.#entries.indexOf(table!.address);
    if (slot >= 0) this.#entries.splice(slot, 1);
    if (SINGLE.includes(table!.signature)) this.#patchFadt();
    this.#publish();
  }

  #find(signature: string): Installed | undefined {
    return this.#tables.find((table) => table.signature === signature);
  }

  get #firstRsdp(): number {
    return this.#memory.rsdt ? RSDP_CHECKSUM.length : 0;
  }

  /** On x86 an ACPI 1.0 RSDT and a later one come before the XSDT. */
  #rsdtsSize(room: number): number {
    return this.#memory.rsdt ? 2 * (TableHeader.size + 4 * room) : 0;
  }

  /** Bytes of the root tables for so many entries. */
  #rootsSize(room: number): number {
    return this.#rsdtsSize(room) + TableHeader.size + 8 * room;
  }

  #enter(address: bigint): boolean {
    if (this.#entries.length + 1 >= this.#roots.room) {
      const room = this.#roots.room + GROWTH;
      const moved = this.#memory.allocate("XSDT", this.#rootsSize(room), false, this.#rsdtsSize(room));
      if (moved === undefined) return false;
      this.#memory.release(this.#roots.address, this.#rootsSize(this.#roots.room), false);
      this.#roots = { address: moved, room };
    }
    this.#entries.push(address);
    return true;
  }

  /** The FADT's pointers follow the DSDT and FACS installed here, whatever it said before. */
  #patchFadt(): void {
    const fadt = this.#find(FADT_SIGNATURE);
    if (!fadt) return;
    const bytes = this.#bench.memory.read(fadt.address, fadt.size);
    const set = (name: keyof typeof FADT, size: number, value: bigint) => {
      if (FADT[name] + size <= bytes.length) bytes.set(toLittleEndian(value, size), FADT[name]);
    };
    const facs = this.#find("FACS")?.address ?? 0n;
    const narrow = facs < 1n << 32n;
    const dsdt = this.#find("DSDT")?.address ?? 0n;
    set("firmwareControl", 4, narrow ? facs : 0n);
    set("extendedFirmwareControl", 8, narrow ? 0n : facs);
    set("dsdt", 4, dsdt);
    set("extendedDsdt", 8, dsdt);
    this.#bench.memory.write(fadt.address, fixChecksum(bytes));
  }

  #publish(): void {
    const { memory } = this.#bench;
    const addresses = [this.#find(FADT_SIGNATURE)?.address ?? 0n, ...this.#entries];
    const root = (signature: string, size: 4 | 8) => {
      const header = { ...DEFAULTS, ...this.#identity, signature, length: TableHeader.size + size * addresses.length, revision: 1, checksum: 0 };
      return fixChecksum(Uint8Array.from([...encode(TableHeader, header), ...addresses.flatMap((address) => [...toLittleEndian(address, size)])]));
    };
    const rsdts = BigInt(this.#rsdtsSize(this.#roots.room));
    const secondRsdt = this.#roots.address + rsdts / 2n;
    if (this.#memory.rsdt) for (const address of [this.#roots.address, secondRsdt]) memory.write(address, root("RSDT", 4));
    const xsdt = this.#roots.address + rsdts;
    memory.write(xsdt, root("XSDT", 8));
    const rsdp = encode(Rsdp, {
      oemId: this.#identity.oemId,
      revision: 2,
      rsdtAddress: this.#memory.rsdt ? Number(secondRsdt) : 0,
      extension: { length: RSDP_CHECKSUM.length + RsdpExtension.size, xsdtAddress: xsdt, extendedChecksum: 0, reserved: undefined },
    });
    rsdp.set(fixChecksum(rsdp.slice(0, RSDP_CHECKSUM.length), RSDP_CHECKSUM.offset));
    memory.write(this.#rsdp, fixChecksum(rsdp, RSDP_EXTENDED_CHECKSUM.offset));
    this.#published = true;
  }
}
