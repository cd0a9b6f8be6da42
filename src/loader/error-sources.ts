/** The HEST and the registers and blocks of its sources, as QEMU lays them out; addresses are left to whoever places them. */
import type { GenericAddressInput } from "../acpi/generic-address.ts";
import { Hest, type HestInput, NO_RELATED_SOURCE } from "../acpi/hest.ts";
import type { NotificationInput } from "../acpi/notification.ts";
import { TableHeader } from "../acpi/table-header.ts";
import { EncodeError, encode } from "../layout/index.ts";
import type { AcknowledgeDescription, Amount, BuildDescription, SourceDescription } from "./description.ts";

const DEFAULT_BLOCK_LENGTH = 1024;
/** Bytes of an address or acknowledge register in `etc/hardware_errors`. */
export const REGISTER = 8;
/** QEMU keeps every bit but the one it waits for. */
const ACKNOWLEDGE = { preserve: 0xfffffffffffffffen, write: 1n };

const wide = (amount: Amount): bigint => BigInt(amount);

export interface Slots {
  /** Offsets in `etc/hardware_errors`, by index of the source. */
  readonly address: number;
  readonly acknowledge: number;
  readonly block: number;
}

/** Where the registers and blocks of the sources lie: all addresses, all acknowledge registers, all blocks. */
export function slotsOf(sources: readonly SourceDescription[]): readonly (Slots | undefined)[] {
  const linked = sources.filter((source) => !source.at).length;
  let index = 0;
  let block = 2 * REGISTER * linked;
  const own = sources.map((source) => {
    if (source.at) return undefined;
    const slots = { address: REGISTER * index, acknowledge: REGISTER * (linked + index), block };
    index++;
    block += source.blockLength ?? DEFAULT_BLOCK_LENGTH;
    return slots;
  });
  return own.map((slots, i) => {
    const { sharedWith } = acknowledgeOf(sources[i]!);
    const other = sharedWith === undefined ? undefined : own[sources.findIndex(({ id }) => id === sharedWith)];
    return slots && other ? { ...slots, acknowledge: other.acknowledge } : slots;
  });
}

/** How a source is acknowledged, where the description says more than that it is. */
const acknowledgeOf = ({ acknowledge }: SourceDescription): AcknowledgeDescription => (typeof acknowledge === "object" ? acknowledge : {});

/** `etc/hardware_errors`: pointers still zero, acknowledge registers as the guest leaves them (1 unless described otherwise), blocks zero. */
export function hardwareErrors(sources: readonly SourceDescription[], slots: readonly (Slots | undefined)[]): Uint8Array {
  const size = slots.reduce((end, slot, i) => (slot ? slot.block + (sources[i]!.blockLength ?? DEFAULT_BLOCK_LENGTH) : end), 0);
  const bytes = new Uint8Array(size);
  const view = new DataView(bytes.buffer);
  for (const [i, slot] of slots.entries()) {
    if (!slot) continue;
    const { write, bitOffset = 0 } = acknowledgeOf(sources[i]!);
    view.setBigUint64(
      slot.acknowledge,
      view.getBigUint64(slot.acknowledge, true) | ((write === undefined ? ACKNOWLEDGE.write : wide(write)) << BigInt(bitOffset)),
      true,
    );
  }
  return bytes;
}

const register = (address: bigint): GenericAddressInput => ({ address });

/** The HEST, its checksum and the addresses of sources without fixed ones still zero. */
export function hestOf(sources: readonly SourceDescription[], identity: BuildDescription["identity"]): Uint8Array {
  const value = {
    sourceCount: sources.length,
    sources: sources.map((source) => {
      const blockLength = source.blockLength ?? DEFAULT_BLOCK_LENGTH;
      const notification = typeof source.notification === "object" ? source.notification : { type: source.notification };
      const common = {
        sourceId: source.id,
        relatedSourceId: source.related ?? NO_RELATED_SOURCE,
        flags: 0,
        enabled: source.enabled === false ? 0 : 1,
        recordsToPreallocate: source.records ?? 1,
        maxSectionsPerRecord: source.sections ?? 1,
        maxRawDataLength: source.maxRawData ?? blockLength,
        errorStatusAddress: register(source.at ? wide(source.at.status) : 0n),
        notification: notification as NotificationInput,
        errorStatusBlockLength: blockLength,
      };
      if (source.acknowledge === false) return { type: "genericHardwareError", ...common };
      const { preserve, write, bitOffset = 0 } = acknowledgeOf(source);
      return {
        type: "genericHardwareErrorV2",
        ...common,
        readAckRegister: {
          ...register(wide(source.at?.acknowledge ?? 0)),
          ...(bitOffset > 0 && { registerBitOffset: bitOffset, registerBitWidth: 8 * REGISTER - bitOffset }),
        },
        readAckPreserve: preserve === undefined ? ACKNOWLEDGE.preserve : wide(preserve),
        readAckWrite: write === undefined ? ACKNOWLEDGE.write : wide(write),
      };
    }),
  };
  const header = { ...identity, signature: "HEST", length: TableHeader.size, revision: 1, checksum: 0 };
  const make = (length: number) => encode(Hest, { header: { ...header, length }, ...value } as unknown as HestInput);
  return make(make(TableHeader.size).length);
}

/** @throws EncodeError for ids given twice and acknowledge registers that cannot be. */
export function checkErrorSources(sources: readonly SourceDescription[]): void {
  const seen = new Map<number, number>();
  for (const [i, source] of sources.entries()) {
    const before = seen.get(source.id);
    if (before !== undefined) throw new EncodeError(`errorSources[${i}].id`, `${source.id} is the id of errorSources[${before}] already`);
    seen.set(source.id, i);
    const { sharedWith } = acknowledgeOf(source);
    const other = sources.find(({ id }) => id === sharedWith);
    if (sharedWith !== undefined && (!other || other === source || other.at || other.acknowledge === false || acknowledgeOf(other).sharedWith !== undefined))
      throw new EncodeError(
        `errorSources[${i}].acknowledge.sharedWith`,
        `${sharedWith} is no other source with an acknowledge register of its own in the file`,
      );
    if (source.at && source.acknowledge !== false && source.at.acknowledge === undefined)
      throw new EncodeError(`errorSources[${i}].at.acknowledge`, "missing: the source is acknowledged, so its register needs an address");
  }
}
