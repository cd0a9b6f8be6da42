/** Where the error sources of a linked HEST have their registers and blocks. */
import type { GenericAddress } from "../acpi/generic-address.ts";
import { Hest } from "../acpi/hest.ts";
import { parse } from "../layout/index.ts";
import { type GuestMemory, whereMemory } from "../machine/memory.ts";
import type { OsTable } from "./os-view.ts";

export interface LinkedSource {
  readonly id: number;
  readonly type: string | number;
  readonly notification?: string | number;
  /** Address of the word that holds the block's address. */
  readonly statusRegister?: bigint;
  /** What that word holds now; undefined where no memory is. */
  readonly blockAddress?: bigint;
  /** Bytes. */
  readonly blockLength?: number;
  readonly acknowledgeRegister?: bigint;
}

/** Addresses below this belong to the interrupt vectors and BIOS data of a PC: no error block was ever linked there. */
const REAL_MODE_AREA = 0x500n;

/** The sources of a HEST, in its order. */
export function linkedSources(memory: GuestMemory, hest: OsTable): readonly LinkedSource[] {
  const { sources = [] } = parse(Hest, hest.bytes);
  return sources.map((source): LinkedSource => {
    const { type, sourceId: id } = source;
    if (!("errorStatusAddress" in source) || source.errorStatusAddress === undefined) return { id: id ?? 0, type: type ?? 0 };
    const statusRegister = source.errorStatusAddress.address;
    const blockAddress = wordAt(memory, statusRegister);
    return {
      id: id ?? 0,
      type: type ?? 0,
      ...(source.notification && { notification: source.notification.type }),
      statusRegister,
      ...(blockAddress !== undefined && { blockAddress }),
      ...(source.errorStatusBlockLength !== undefined && { blockLength: source.errorStatusBlockLength }),
      ...("readAckRegister" in source && { acknowledgeRegister: (source.readAckRegister as GenericAddress).address }),
    };
  });
}

/** Whether a source's status register was left at its offset: nobody linked it. Zero, which Linux refuses politely, is not meant. */
export const isUnlinked = (source: LinkedSource): boolean =>
  source.statusRegister !== undefined && source.statusRegister !== 0n && source.statusRegister < REAL_MODE_AREA;

const wordAt = (memory: GuestMemory, address: bigint): bigint | undefined => whereMemory(() => memory.readWord(address, 8));
