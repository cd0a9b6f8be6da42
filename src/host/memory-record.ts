/** Status blocks for memory errors, saying exactly what the host knows. */
import { buildErrorStatusBlock, type ErrorStatusBlock, ErrorStatusBlockHeader, encodeErrorStatusBlock, entryHeaderLayout } from "../acpi/status-block.ts";
import { armProcessor } from "../cper/sections/arm-processor.ts";
import type { MEMORY_ERROR_TYPE } from "../cper/sections/memory.ts";
import { PlatformMemory, platformMemory } from "../cper/sections/memory.ts";
import { fieldOffset } from "../layout/index.ts";

const REVISION = 0x0300;

/**
 * The memory error QEMU reports for SIGBUS, byte for byte (hw/acpi/ghes.c): no entry count in the block status,
 * no address mask, error type "unknown".
 * @returns 172 bytes.
 */
export function qemuMemoryRecord(physicalAddress: bigint): Uint8Array {
  const dataLength = entryHeaderLayout(REVISION).size + PlatformMemory.size;
  const block = {
    header: { blockStatus: { uncorrectableErrorValid: true }, dataLength, errorSeverity: "recoverable" },
    entries: [
      {
        header: {
          sectionType: platformMemory.guids[0]!,
          errorSeverity: "recoverable",
          revision: REVISION,
          validation: {},
          flags: {},
          errorDataLength: PlatformMemory.size,
        },
        body: {
          type: platformMemory,
          value: { validation: { physicalAddress: true, memoryErrorType: true }, physicalAddress, memoryErrorType: "unknown" },
        },
      },
    ],
  };
  return encodeErrorStatusBlock(block as unknown as ErrorStatusBlock);
}

export interface MemoryKnowledge {
  /** Guest physical address; absent when not known. */
  readonly physicalAddress?: bigint | undefined;
  /** log2 of the bytes the address stands for (`si_addr_lsb` of SIGBUS). */
  readonly addressLsb?: number | undefined;
  readonly severity: "recoverable" | "fatal" | "corrected";
  readonly errorType?: keyof typeof MEMORY_ERROR_TYPE | undefined;
  readonly fruText?: string | undefined;
  /** arm64: virtual address of the access. A memory section has no field for it: an ARM processor error section is added that says this alone, its type 0. */
  readonly virtualAddress?: bigint | undefined;
}

const BODY = ErrorStatusBlockHeader.size + entryHeaderLayout(REVISION).size;
const ADDRESS = BODY + fieldOffset(PlatformMemory, "physicalAddress");
const MASK = BODY + fieldOffset(PlatformMemory, "physicalAddressMask");
const MOST_TEMPLATES = 64;
/** Blocks by all that is in them but numbers: errors in a row mostly differ in the address alone. */
const templates = new Map<string, Uint8Array>();

/** A well-formed memory error whose validation bits cover what is known and nothing else. */
export function memoryRecord(known: MemoryKnowledge): Uint8Array {
  const { physicalAddress, addressLsb, severity, errorType, fruText, virtualAddress } = known;
  if (physicalAddress === undefined || virtualAddress !== undefined) return buildMemoryRecord(known);
  const mask = addressLsb === undefined ? undefined : BigInt.asUintN(64, -1n << BigInt(addressLsb));
  const key = [severity, errorType, mask !== undefined, fruText].join();
  let template = templates.get(key);
  if (!template) {
    template = buildMemoryRecord({ ...known, physicalAddress: 0n });
    if (templates.size === MOST_TEMPLATES) templates.clear();
    templates.set(key, template);
  }
  const block = template.slice();
  const view = new DataView(block.buffer);
  view.setBigUint64(ADDRESS, mask === undefined ? physicalAddress : physicalAddress & mask, true);
  if (mask !== undefined) view.setBigUint64(MASK, mask, true);
  return block;
}

function buildMemoryRecord({ physicalAddress, addressLsb, severity, errorType, fruText, virtualAddress }: MemoryKnowledge): Uint8Array {
  const mask = addressLsb === undefined ? undefined : BigInt.asUintN(64, -1n << BigInt(addressLsb));
  const body = {
    ...(physicalAddress !== undefined && { physicalAddress: mask === undefined ? physicalAddress : physicalAddress & mask }),
    ...(physicalAddress !== undefined && mask !== undefined && { physicalAddressMask: mask }),
    ...(errorType !== undefined && { memoryErrorType: errorType }),
  };
  const header = { errorSeverity: severity, revision: REVISION, ...(fruText !== undefined && { fruText }) };
  return buildErrorStatusBlock(severity, [
    { header, type: platformMemory, body },
    ...(virtualAddress === undefined ? [] : [{ header, type: armProcessor, body: { errorInfos: [{ errorType: 0, virtualFaultAddress: virtualAddress }] } }]),
  ]);
}
