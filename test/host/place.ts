/** Error sources at fixed places in a small guest memory: HEST, pointers, acknowledge words, blocks. */

import { Hest, type HestInput } from "../../src/acpi/hest.ts";
import type { NotificationInput } from "../../src/acpi/notification.ts";
import { fixChecksum } from "../../src/acpi/table-header.ts";
import { type GhesDevice, probe } from "../../src/guest/ghes.ts";
import { readHest } from "../../src/guest/hest.ts";
import { inHest } from "../../src/host/locate.ts";
import { encode } from "../../src/layout/index.ts";
import { type GuestMemory, SparseMemory } from "../../src/machine/memory.ts";

export const BASE = 0x1000_0000n;
export const HEST = BASE;
export const POINTER = (i: number) => BASE + 0x1000n + 8n * BigInt(i);
export const ACK = (i: number) => BASE + 0x2000n + 8n * BigInt(i);
export const BLOCK = (i: number) => BASE + 0x3000n + 0x400n * BigInt(i);

export interface Placed {
  readonly version: 1 | 2;
  readonly notification?: NotificationInput;
  readonly write?: bigint;
  readonly preserve?: bigint;
  /** Of the acknowledge register. */
  readonly bitOffset?: number;
}

export function placeSources(sources: readonly Placed[], options: { readonly sharedAcknowledge?: boolean; readonly memory?: GuestMemory } = {}) {
  const memory = options.memory ?? new SparseMemory([{ start: BASE, length: 0x10000n }]);
  const ack = (i: number) => (options.sharedAcknowledge ? ACK(0) : ACK(i));
  const list = sources.map(
    ({ version, notification = { type: "polled", pollInterval: 100 }, write = 1n, preserve = 0xffff_ffff_ffff_fffen, bitOffset = 0 }, i) => ({
      type: version === 2 ? ("genericHardwareErrorV2" as const) : ("genericHardwareError" as const),
      sourceId: i,
      errorStatusAddress: { address: POINTER(i) },
      notification,
      errorStatusBlockLength: 0x400,
      ...(version === 2 && {
        readAckRegister: { address: ack(i), registerBitOffset: bitOffset, registerBitWidth: 64 - bitOffset },
        readAckPreserve: preserve,
        readAckWrite: write,
      }),
    }),
  );
  const table = { header: { signature: "HEST", length: 0 }, sourceCount: list.length, sources: list } as HestInput;
  table.header.length = encode(Hest, table).length;
  memory.write(HEST, fixChecksum(encode(Hest, table)));
  sources.forEach((source, i) => {
    memory.writeWord(POINTER(i), 8, BLOCK(i));
    memory.writeWord(ack(i), 8, memory.readWord(ack(i), 8) | ((source.write ?? 1n) << BigInt(source.bitOffset ?? 0)));
  });
  const devices = readHest(memory, HEST, "arm64").sources.flatMap((source): GhesDevice[] => {
    const { device } = probe({ memory }, source, { architecture: "arm64", nmi: true, interrupt: () => "works" });
    return device ? [device] : [];
  });
  return { memory, devices, locate: inHest(memory, HEST) };
}
