/** The blob `etc/hardware_errors`: addresses of the error status blocks, acknowledge words, then the blocks (QEMU hw/acpi/ghes.c). */
import { ErrorStatusBlockHeader } from "../acpi/status-block.ts";
import { type Decoded, type Format, hexNumber, list, sequence, struct, u64 } from "../layout/index.ts";
import { isZero } from "../layout/values.ts";
import { type Cut, containerFormat } from "./container.ts";
import type { Formats } from "./content.ts";
import { layoutFormat } from "./layout-format.ts";
import { blockEnd } from "./stream.ts";

const BlockAddress = struct("Error Block Address", 8, "QEMU docs/specs/acpi_hest_ghes", () => ({
  address: u64("Where the source's error status block is; in the file its offset"),
}));
const ReadAck = struct("Read Acknowledge Word", 8, "QEMU docs/specs/acpi_hest_ghes", () => ({ value: u64("1 when the guest is done with the block") }));
export const BlockAddresses = sequence("Error Block Addresses", "QEMU docs/specs/acpi_hest_ghes", () => ({
  addresses: list(BlockAddress, "One for each source"),
}));
export const ReadAcks = sequence("Read Acknowledge Words", "QEMU docs/specs/acpi_hest_ghes", () => ({ words: list(ReadAck, "One for each source") }));

const listed = (values: readonly (bigint | undefined)[]) => values.map((value) => hexNumber(value ?? 0n)).join(", ");
export const blockAddressesFormat = layoutFormat(
  "error-block-addresses",
  "error block addresses",
  BlockAddresses,
  ({ addresses = [] }: { addresses?: Decoded<typeof BlockAddress>[] }) => `Error status blocks at ${listed(addresses.map((item) => item.address))}`,
);
export const readAcksFormat = layoutFormat(
  "read-acks",
  "acknowledge words",
  ReadAcks,
  ({ words = [] }: { words?: Decoded<typeof ReadAck>[] }) => `Acknowledge words ${listed(words.map((item) => item.value))}`,
);

/** Most sources looked for. */
const MOST_SOURCES = 64;

/** Sources and bytes of a block, when the words at the start have the shape of such a blob. */
function shapeOf(input: Uint8Array): { readonly sources: number; readonly blockLength: number } | undefined {
  const view = new DataView(input.buffer, input.byteOffset, input.length);
  for (let sources = 1; sources <= MOST_SOURCES && sources * (BlockAddress.size + ReadAck.size + ErrorStatusBlockHeader.size) <= input.length; sources++) {
    const heads = sources * (BlockAddress.size + ReadAck.size);
    const blockLength = (input.length - heads) / sources;
    if (!Number.isInteger(blockLength) || blockLength % BlockAddress.size !== 0) continue;
    const first = view.getBigUint64(0, true);
    let fits = first % BigInt(BlockAddress.size) === 0n && first >= BigInt(heads);
    for (let i = 0; fits && i < sources; i++) {
      fits =
        view.getBigUint64(i * BlockAddress.size, true) === first + BigInt(i * blockLength) &&
        view.getBigUint64((sources + i) * BlockAddress.size, true) <= 1n &&
        isBlock(input.subarray(heads + i * blockLength, heads + (i + 1) * blockLength));
    }
    if (fits) return { sources, blockLength };
  }
  return undefined;
}
const isBlock = (bytes: Uint8Array) => isZero(bytes.subarray(0, ErrorStatusBlockHeader.size)) || blockEnd(bytes, 0) !== undefined;

export const hardwareErrorsFormat = (contents: Formats, block: Format) =>
  containerFormat({
    name: "hardware-errors",
    title: "etc/hardware_errors",
    contents,
    recognise: (input) => shapeOf(input) !== undefined,
    *cut(input): Generator<Cut> {
      const shape = shapeOf(input);
      if (!shape) {
        yield { end: input.length, problem: "not the shape of etc/hardware_errors: addresses a block apart, acknowledge words, blocks" };
        return;
      }
      const { sources, blockLength } = shape;
      let at = sources * BlockAddress.size;
      yield { end: at, format: blockAddressesFormat as Format };
      at += sources * ReadAck.size;
      yield { end: at, format: readAcksFormat as Format };
      for (let i = 0; i < sources; i++) {
        const end = blockEnd(input.subarray(0, at + blockLength), at);
        if (end !== undefined) yield { end, format: block };
        at += blockLength;
        if (end !== at) yield { end: at };
      }
    },
  });
