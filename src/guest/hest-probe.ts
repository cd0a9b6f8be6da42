/**
 * What a kernel says and does about a hardware error source table, from the table's bytes alone: the messages
 * of the parser and of every probe, which sources become devices, which are dropped and why.
 */
import { Hest } from "../acpi/hest.ts";
import { byteSum, CHECKSUM_OFFSET, TableHeader } from "../acpi/table-header.ts";
import { fieldOffset, hexNumber, parse } from "../layout/index.ts";
import { type Region, SparseMemory } from "../machine/memory.ts";
import { type GhesPlatform, probe } from "./ghes.ts";
import { type KernelVersion, readHest } from "./hest.ts";

/** What put the table into memory decides what lies behind it, and whether it gets there at all. */
export const TABLE_CARRIERS = ["seabios", "ovmf", "aavmf", "acpitable"] as const;
export type TableCarrier = (typeof TABLE_CARRIERS)[number];

export interface HestProbeOptions extends Omit<GhesPlatform, "architecture" | "mappedPages"> {
  readonly architecture?: "arm64" | "x86";
  readonly version?: KernelVersion;
  /** Default: the table reaches the kernel as it is, with zeros behind it. */
  readonly carrier?: TableCarrier;
  /** Whether _OSC granted firmware-first mode; default: it did not. */
  readonly firmwareFirst?: boolean;
  /** Where the guest has memory or registers; default: everywhere. Elsewhere an x86 guest reads zeros and an arm64 one dies. */
  readonly memory?: readonly Region[];
}

export interface ProbedSource {
  readonly id: number;
  readonly version: 1 | 2;
  /** Whether a driver is bound: only then are errors of this source seen. */
  readonly bound: boolean;
  /** Kernel lines about this source. */
  readonly messages: readonly string[];
}

export interface HestProbe {
  /** Whether the kernel finds the table at all. */
  readonly found: boolean;
  /** Whether the table passes the parser. */
  readonly enabled: boolean;
  /** All kernel lines, in order. */
  readonly messages: readonly string[];
  /** Platform devices, in table order. */
  readonly sources: readonly ProbedSource[];
  /** Why the kernel dies while probing, when it does. */
  readonly panic?: string;
}

const ASCII = (text: string) => Uint8Array.from(text, (letter) => letter.charCodeAt(0));
/** SeaBIOS keeps tables side by side: behind those of QEMU's -acpitable comes the RSDT. */
const RSDT_HEADER = ASCII("RSDT");
/** EDK2's pools end each allocation, rounded up to 8 bytes, with this mark. */
const POOL_TAIL = ASCII("ptal");
const POOL_ALIGNMENT = 8;

/** The memory image the kernel finds at the table's address; undefined where firmware does not install it. */
function carried(table: Uint8Array, carrier: TableCarrier | undefined): Uint8Array | undefined {
  if (carrier === undefined || carrier === "seabios") return table;
  if (carrier === "acpitable") return joined(table, RSDT_HEADER, table.length);
  const length =
    table.length < TableHeader.size ? 0 : new DataView(table.buffer, table.byteOffset, table.length).getUint32(fieldOffset(TableHeader, "length"), true);
  if (length < TableHeader.size || length > table.length || byteSum(table, 0, length) !== 0) return undefined;
  const copy = table.subarray(0, length);
  return carrier === "ovmf" ? copy : joined(copy, POOL_TAIL, Math.ceil(length / POOL_ALIGNMENT) * POOL_ALIGNMENT);
}
function joined(first: Uint8Array, second: Uint8Array, at: number): Uint8Array {
  const out = new Uint8Array(at + second.length);
  out.set(first);
  out.set(second, at);
  return out;
}

/** What the table manager says of a wrong checksum; it uses the table all the same. */
function checksumMessage(image: Uint8Array, version: KernelVersion = "7.2"): string[] {
  const length = lengthOf(image);
  const sum = byteSum(image, 0, Math.min(length, image.length));
  if (sum === 0) return [];
  const stored = image[CHECKSUM_OFFSET]!;
  const right = (stored - sum) & 255;
  // Since 2023 the difference to the right checksum is what is shown, not the checksum itself.
  const [build, shown] = version === "6.1" ? ["20220331/tbprint-174", right] : ["20260408/utcksum-58", (stored - right) >>> 0];
  return [`ACPI BIOS Warning (bug): Incorrect checksum in table [HEST] - 0x${hexByte(stored)}, should be 0x${hexByte(shown)} (${build})`];
}
const hexByte = (value: number) => value.toString(16).toUpperCase().padStart(2, "0");
const lengthOf = (table: Uint8Array): number =>
  table.length < TableHeader.size ? 0 : new DataView(table.buffer, table.byteOffset, table.length).getUint32(fieldOffset(TableHeader, "length"), true);

const TABLE = 0x1000_0000_0000n;
const MOST_BEHIND = 0x10000;
const EVERYWHERE = { start: 0n, length: 1n << 65n };

/**
 * Let the kernel model read a table and bind drivers to its sources. All memory but the table reads as zero:
 * no error is pending.
 */
export function probeHest(table: Uint8Array, options: HestProbeOptions = {}): HestProbe {
  const architecture = options.architecture ?? architectureOf(table);
  const image = carried(table, options.carrier);
  if (!image || String.fromCharCode(...image.subarray(0, 4)) !== "HEST") return { found: false, enabled: false, messages: [], sources: [] };
  const memory = new SparseMemory([EVERYWHERE]);
  memory.write(TABLE, image);
  // Sources of zeros behind the bytes mean nothing to the kernel; a Length of gigabytes need not be walked to its end.
  const most = image.length + MOST_BEHIND;
  if (lengthOf(image) > most) memory.writeWord(TABLE + BigInt(fieldOffset(TableHeader, "length")), 4, BigInt(most));
  const { enabled, sources, messages: parserMessages } = readHest(memory, TABLE, architecture, options.version);
  const messages = [...checksumMessage(image, options.version), ...parserMessages];
  const mappedPages = new Set<bigint>();
  const probed: ProbedSource[] = [];
  let panic: string | undefined;
  for (const source of sources) {
    const result = probe({ memory, io: new SparseMemory([EVERYWHERE]) }, source, { sdeiFirmware: false, ...options, architecture, mappedPages });
    messages.push(...result.messages);
    probed.push({ id: source.sourceId, version: source.readAckRegister ? 2 : 1, bound: result.device !== undefined, messages: result.messages });
    const { address } = source.errorStatusAddress;
    const inMemory = options.memory?.some(({ start, length }) => address >= start && address < start + length) ?? true;
    if (result.device && architecture === "arm64" && source.errorStatusAddress.addressSpace === "systemMemory" && !inMemory) {
      panic = `source ${source.sourceId} has its error status address ${hexNumber(address)} where nothing is: arm64 kernels die of an external abort reading it`;
      return { found: true, enabled, messages, sources: probed, panic };
    }
    const readable = !result.messages.some((message) => message.includes("Failed to read"));
    if (result.device && architecture === "arm64" && source.errorStatusAddress.addressSpace === "systemIo" && readable) {
      panic = `source ${source.sourceId} has its error status address in I/O space: arm64 kernels die reading it`;
      return { found: true, enabled, messages, sources: probed, panic };
    }
  }
  if (enabled)
    messages.push(
      options.firmwareFirst ? "GHES: APEI firmware first mode is enabled by APEI bit and WHEA _OSC." : "GHES: Failed to enable APEI firmware first mode.",
    );
  return { found: true, enabled, messages, sources: probed };
}

const ARM_NOTIFICATIONS: ReadonlySet<unknown> = new Set(["sea", "sei", "sdei", "gsiv"]);
const X86_SOURCES: ReadonlySet<unknown> = new Set(["machineCheckException", "correctedMachineCheck", "nonMaskableInterrupt", "deferredMachineCheck"]);

/** The architecture a table is for: arm64 when a notification is Arm's and no source is x86's. */
export function architectureOf(table: Uint8Array): "arm64" | "x86" {
  const sources = parse(Hest, table).sources ?? [];
  if (sources.some((source) => X86_SOURCES.has(source.type))) return "x86";
  return sources.some((source) => "notification" in source && ARM_NOTIFICATIONS.has((source.notification as { type?: unknown } | undefined)?.type))
    ? "arm64"
    : "x86";
}
