/** How the host finds its sources in guest memory, from the address the firmware wrote back. */
import { GenericHardwareErrorSourceV2, Hest, SOURCE_TYPE } from "../acpi/hest.ts";
import { TableHeader } from "../acpi/table-header.ts";
import type { GenericSource } from "../guest/hest.ts";
import { checkRegister } from "../guest/registers.ts";
import { codeOf } from "../guest/structures.ts";
import { decode, fieldOffset, fixedSize, parse } from "../layout/index.ts";
import type { GuestMemory } from "../machine/memory.ts";
import type { Locate, Located, SourceLocation } from "./error-source.ts";

/** QEMU's words (hw/acpi/ghes.c). */
export const LOCATE_MESSAGE = {
  type: (type: number) => `HEST: type ${type} not supported.`,
  notFound: (id: number) => `HEST: Source ${id} not found.`,
} as const;

const POINTER = 8n;
const ACKNOWLEDGE_ONE = {
  register: { addressSpace: "systemMemory", registerBitWidth: 64, registerBitOffset: 0, accessSize: "qword" },
  preserve: 0xffff_ffff_ffff_fffen,
  write: 1n,
} as const;

/**
 * The layout QEMU up to machine virt-10.1 counts on: at the address of `etc/hardware_errors` one pointer per
 * source, then one acknowledge word per source. With one source nobody asks for its id.
 * @param sources how many there are.
 * @param blockLength bytes of each status block.
 */
export const inHardwareErrors =
  (memory: GuestMemory, base: bigint, sources: number, blockLength: number): Locate =>
  (id) => {
    if (sources > 1 && id >= sources) return { message: LOCATE_MESSAGE.notFound(id) };
    const pointer = base + POINTER * BigInt(sources > 1 ? id : 0);
    const acknowledge = { ...ACKNOWLEDGE_ONE, register: { ...ACKNOWLEDGE_ONE.register, address: pointer + POINTER * BigInt(sources) } };
    return { location: { id, block: memory.readWord(pointer, 8), blockLength, acknowledge } };
  };

const COUNT = BigInt(fieldOffset(Hest, "sourceCount"));
const LENGTH = BigInt(fieldOffset(TableHeader, "length"));
const ID = BigInt(fieldOffset(GenericHardwareErrorSourceV2, "sourceId"));
const V2_TYPE = codeOf(SOURCE_TYPE, "genericHardwareErrorV2");
const FIRST = BigInt(fixedSize(Hest));
/** Source ids have 16 bits: a longer walk only turns in circles. */
const MOST_SOURCES = 0x10000;

/**
 * The walk of QEMU from machine virt-10.2 on: HEST in guest memory, version 2 sources only.
 * @param blockLength bytes of each status block; QEMU does not ask the table.
 */
export const inHestAsQemu =
  (memory: GuestMemory, hest: bigint, blockLength: number): Locate =>
  (id): Located => {
    const count = Math.min(Number(memory.readWord(hest + COUNT, 4)), MOST_SOURCES);
    let entry = hest + FIRST;
    for (let i = 0; i < count; i++, entry += BigInt(GenericHardwareErrorSourceV2.size)) {
      const type = Number(memory.readWord(entry, 2));
      if (type !== V2_TYPE) return { message: LOCATE_MESSAGE.type(type) };
      if (Number(memory.readWord(entry + ID, 2)) !== id) continue;
      const source = decode(GenericHardwareErrorSourceV2, memory.read(entry, GenericHardwareErrorSourceV2.size));
      const block = memory.readWord(source.errorStatusAddress.address, 8);
      const acknowledge = { ...ACKNOWLEDGE_ONE, register: { ...ACKNOWLEDGE_ONE.register, address: source.readAckRegister.address } };
      return { location: { id, block, blockLength, acknowledge, notification: source.notification } };
    }
    return { message: LOCATE_MESSAGE.notFound(id) };
  };

const MOST_TABLE = 1 << 20;

/** Every generic source of a HEST in guest memory, with its block and acknowledge register. Throws MemoryFault where the table is not. */
export function sourcesOf(memory: GuestMemory, hest: bigint): SourceLocation[] {
  const length = Math.min(Number(memory.readWord(hest + LENGTH, 4)), MOST_TABLE);
  const table = parse(Hest, memory.read(hest, length));
  const generic = (table.sources ?? []).filter(
    (source) => source.type === "genericHardwareError" || source.type === "genericHardwareErrorV2",
  ) as unknown as GenericSource[];
  const words = generic.map((source) => source.readAckRegister?.address);
  return generic.map((source): SourceLocation => {
    const verdict = checkRegister(source.errorStatusAddress);
    const block = verdict.ok ? memory.readWord(source.errorStatusAddress.address, verdict.size) : 0n;
    return {
      id: source.sourceId,
      block,
      blockLength: source.errorStatusBlockLength,
      notification: source.notification,
      ...(source.readAckRegister && {
        acknowledge: {
          register: source.readAckRegister,
          preserve: source.readAckPreserve ?? 0n,
          write: source.readAckWrite ?? 0n,
          shared: words.filter((word) => word === source.readAckRegister?.address).length > 1,
        },
      }),
    };
  });
}

/** The whole of HEST as the specification has it: both versions, any acknowledge register, lengths from the table. */
export const inHest =
  (memory: GuestMemory, hest: bigint): Locate =>
  (id): Located => {
    const location = sourcesOf(memory, hest).find((source) => source.id === id);
    return location ? { location } : { message: LOCATE_MESSAGE.notFound(id) };
  };
