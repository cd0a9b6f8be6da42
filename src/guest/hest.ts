/**
 * How the kernel reads the error source table and decides which sources become devices
 * (Linux 7.2 drivers/acpi/apei/hest.c behaviour).
 */
import {
  CorrectedMachineCheck,
  ErrorSource,
  GenericHardwareErrorSource,
  GenericHardwareErrorSourceV2,
  Hest,
  MachineCheckBank,
  SOURCE_TYPE,
  type SourceTypeName,
} from "../acpi/hest.ts";
import { TableHeader } from "../acpi/table-header.ts";
import { type Decoded, decode, fieldOffset, fixedSize, parse, type Root } from "../layout/index.ts";
import type { GuestMemory } from "../machine/memory.ts";
import { codeOf } from "./structures.ts";

type Architecture = "arm64" | "x86";

/** A generic source as the kernel sees it; version 1 has no acknowledge register. */
export type GenericSource = Decoded<typeof GenericHardwareErrorSource> &
  Partial<Pick<Decoded<typeof GenericHardwareErrorSourceV2>, "readAckRegister" | "readAckPreserve" | "readAckWrite">>;

export interface HestVerdict {
  readonly enabled: boolean;
  /** Generic sources that become `GHES.<id>` devices, in table order. */
  readonly sources: readonly GenericSource[];
  /** What the kernel prints about the table. */
  readonly messages: readonly string[];
}

const SOURCES_OFFSET = fixedSize(Hest);
const LAYOUTS = ErrorSource.cases as Record<SourceTypeName, Root>;
/** Fixed bytes by type; types 3, 4, 5 and from 12 on have no known length. */
const LENGTHS = new Map(
  (Object.keys(SOURCE_TYPE) as SourceTypeName[]).map((name) => [codeOf(SOURCE_TYPE, name), { name, layout: LAYOUTS[name], size: fixedSize(LAYOUTS[name]) }]),
);
const GENERIC: readonly string[] = ["genericHardwareError", "genericHardwareErrorV2"] satisfies SourceTypeName[];
const MACHINE_CHECKS: readonly string[] = ["machineCheckException", "correctedMachineCheck", "deferredMachineCheck"] satisfies SourceTypeName[];

interface Entry {
  readonly name: SourceTypeName;
  readonly id: number;
  readonly address: bigint;
  readonly size: number;
}
interface MachineCheck {
  readonly id: number;
  readonly assist: boolean;
}

/** The last machine-check entry of each type met so far: GHES entries may name it as the source they assist. */
type Assisted = Map<string, MachineCheck>;

/**
 * Walk the table as far as its count says, once for each purpose, as the kernel does.
 * @param visit returns false to give the table up.
 * @returns whether the walk went through.
 */
function walk(memory: GuestMemory, table: bigint, assisted: Assisted, messages: string[], visit: (entry: Entry) => boolean): boolean {
  const word = (at: bigint, size: 1 | 2 | 4) => Number(memory.readWord(at, size));
  const end = table + BigInt(word(table + BigInt(fieldOffset(TableHeader, "length")), 4));
  const count = word(table + BigInt(fieldOffset(Hest, "sourceCount")), 4);
  let at = table + BigInt(SOURCES_OFFSET);
  for (let i = 0; i < count; i++) {
    const type = word(at, 2);
    const id = word(at + 2n, 2);
    const known = LENGTHS.get(type);
    if (!known) {
      messages.push(`[Firmware Warn]: HEST: Unknown or unused hardware error source type: ${type} for hardware error source: ${id}.`);
      return false;
    }
    const { name, layout } = known;
    let size = known.size;
    if (MACHINE_CHECKS.includes(name)) {
      size += word(at + BigInt(fieldOffset(layout, "bankCount")), 1) * MachineCheckBank.size;
      const { flags } = parse(layout as never, memory.read(at, known.size)) as { flags?: { ghesAssist?: boolean } };
      assisted.set(name, { id, assist: flags?.ghesAssist === true });
    }
    if (at + BigInt(size) > end) {
      messages.push(`[Firmware Bug]: HEST: Table contents overflow for hardware error source: ${id}.`);
      return false;
    }
    const related = GENERIC.includes(name) ? word(at + BigInt(fieldOffset(layout, "relatedSourceId")), 2) : undefined;
    const assists = related !== undefined && [...assisted.values()].some((check) => check.assist && check.id === related);
    if (!assists && !visit({ name, id, address: at, size })) return false;
    at += BigInt(size);
  }
  return true;
}

const readGeneric = (memory: GuestMemory, { name, address, size }: Entry): GenericSource => {
  const bytes = memory.read(address, size);
  return (name === "genericHardwareErrorV2" ? decode(GenericHardwareErrorSourceV2, bytes) : decode(GenericHardwareErrorSource, bytes)) as GenericSource;
};

/** Kernels whose behaviour is known; where they differ, the code names them. */
export type KernelVersion = "6.1" | "7.2";

/** Read the table at `table` (a physical address) the way the kernel does while booting. */
export function readHest(memory: GuestMemory, table: bigint, architecture: Architecture, version: KernelVersion = "7.2"): HestVerdict {
  const messages: string[] = [];
  const assisted: Assisted = new Map();
  const disabled = (): HestVerdict => {
    messages.push("GHES: HEST is not enabled!");
    return { enabled: false, sources: [], messages };
  };

  // First pass: corrected machine checks, which x86 may hand to firmware. A disabled entry makes the whole table fail.
  const accepted = walk(memory, table, assisted, messages, ({ name, address, size }) => {
    if (architecture !== "x86" || name !== "correctedMachineCheck") return true;
    const check = parse(CorrectedMachineCheck, memory.read(address, size));
    if (check.enabled === 0) return false;
    if (version !== "6.1") messages.push(`mce: HEST corrected error threshold limit: ${check.notification?.errorThresholdValue}`);
    if (check.flags?.firmwareFirst && check.bankCount) messages.push("HEST: Enabling Firmware First mode for corrected errors.");
    return true;
  });
  if (!accepted) return disabled();

  // Second pass counts, third registers; what they skip and refuse is the same, so one walk does.
  const sources: GenericSource[] = [];
  const ids = new Set<number>();
  const registered = walk(memory, table, assisted, messages, (entry) => {
    if (!GENERIC.includes(entry.name)) return true;
    const source = readGeneric(memory, entry);
    if (source.enabled === 0) return true;
    if (ids.has(source.sourceId)) {
      messages.push(`[Firmware Warn]: HEST: Duplicated hardware error source ID: ${source.sourceId}.`);
      return false;
    }
    ids.add(source.sourceId);
    sources.push(source);
    return true;
  });
  if (!registered) return disabled();
  messages.push("HEST: Table parsing has been initialized.");
  return { enabled: true, sources, messages };
}
