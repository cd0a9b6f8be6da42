/** How the kernel finds a table: root pointer, root table, signature. */
import { Rsdp, Rsdt, Xsdt } from "../acpi/root-tables.ts";
import { byteSum, TableHeader } from "../acpi/table-header.ts";
import { decode, parse } from "../layout/index.ts";
import type { GuestMemory } from "../machine/memory.ts";
import { fixedSize } from "./structures.ts";

export interface FoundTable {
  readonly signature: string;
  readonly address: bigint;
  readonly header: ReturnType<typeof readHeader>;
  /** Whether all its bytes sum to zero; the kernel warns and goes on when they do not. */
  readonly intact: boolean;
}

const readHeader = (memory: GuestMemory, address: bigint) => decode(TableHeader, memory.read(address, TableHeader.size));

/** Tables longer than this are not summed: no real one is. */
const MOST_BYTES = 1 << 20;

/**
 * Every table the root pointer at `rsdp` leads to, in the order of the root table. The XSDT is used when there
 * is one, as Linux does; a table whose memory is not there is left out.
 */
export function findTables(memory: GuestMemory, rsdp: bigint): FoundTable[] {
  const head = parse(Rsdp, memory.read(rsdp, 36));
  const xsdt = head.extension instanceof Uint8Array ? undefined : head.extension?.xsdtAddress;
  const wide = xsdt !== undefined && xsdt !== 0n;
  const root = wide ? xsdt : BigInt(head.rsdtAddress ?? 0);
  if (root === 0n) return [];
  const { length } = readHeader(memory, root);
  const size = Math.min(length, MOST_BYTES);
  if (size < fixedSize(TableHeader)) return [];
  const table = parse(wide ? Xsdt : Rsdt, memory.read(root, size));
  const out: FoundTable[] = [];
  for (const { address } of (table.entries ?? []) as { address: bigint | number }[]) {
    const at = BigInt(address);
    if (at === 0n) continue;
    try {
      const header = readHeader(memory, at);
      const intact = header.length >= TableHeader.size && header.length <= MOST_BYTES && byteSum(memory.read(at, header.length)) === 0;
      out.push({ signature: header.signature, address: at, header, intact });
    } catch {
      // Nothing is mapped there: the kernel reports the entry and skips it.
    }
  }
  return out;
}
