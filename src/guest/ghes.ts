/**
 * One generic error source as the kernel drives it: probe, read, clear, acknowledge
 * (Linux 7.2 drivers/acpi/apei/ghes.c behaviour). Reading in the order of this file is reading the protocol.
 */
import { NOTIFICATION, type NotificationName } from "../acpi/notification.ts";
import { ErrorDataEntryHeader, ErrorStatusBlockHeader, entryHeaderLayout } from "../acpi/status-block.ts";
import { fieldOffset } from "../layout/index.ts";
import { namesByNumber } from "../layout/values.ts";
import type { GenericSource, KernelVersion } from "./hest.ts";
import { checkRegister, ERRNO, type RegisterSpaces, readRegister, writeRegister } from "./registers.ts";
import { codeOf } from "./structures.ts";

/** What the kernel was built with and what the platform gives it. */
export interface GhesPlatform {
  readonly architecture: "arm64" | "x86";
  /** CONFIG_ACPI_APEI_SEA, CONFIG_ARM_SDE_INTERFACE, CONFIG_HAVE_ACPI_APEI_NMI; default: what the architecture has. */
  readonly sea?: boolean;
  readonly sdei?: boolean;
  readonly nmi?: boolean;
  /** Whether firmware answers SDEI calls; default: it does. */
  readonly sdeiFirmware?: boolean;
  /** Default: the newest. */
  readonly version?: KernelVersion;
  /** Pages (address / 4096) mapped for sources probed earlier; grows. */
  readonly mappedPages?: Set<bigint>;
  /** Whether a GSIV maps to an interrupt; default: from 1 to 15 on x86, none on arm64 (as recorded under emulation). */
  interrupt?(gsi: number): "works" | "unmapped" | "refused";
}

/** A source with a driver bound to it. */
export interface GhesDevice {
  readonly source: GenericSource;
  readonly id: number;
  readonly version: 1 | 2;
  readonly notification: NotificationName;
  /** Status blocks longer than this are refused, bytes. */
  readonly blockLength: number;
  /** NMI-like sources: the block address found at probe. Only there is looked whether anything is pending. */
  readonly fixedBlock?: bigint;
  /** Timer period in milliseconds of a polled source; 0 when the timer never runs. */
  readonly pollInterval?: number;
}

export type ProbeResult =
  | { readonly device: GhesDevice; readonly messages: readonly string[] }
  | { readonly device?: undefined; readonly messages: readonly string[] };

/** Longest status block the kernel takes, bytes. */
export const MOST_BLOCK_LENGTH = 65536;

const HEADER = ErrorStatusBlockHeader.size;
const NAMES = namesByNumber(NOTIFICATION) as ReadonlyMap<number, NotificationName>;
/** Sources of these kinds are read in a context that nothing can hold off. */
export const NMI_LIKE: ReadonlySet<NotificationName> = new Set(["nmi", "sea", "sdei"]);

/** GIC inputs that have an interrupt of their own when sources are probed: the kernel's eight software interrupts and the timers. */
const GIC_TAKEN = (gsi: number) => gsi < 8 || gsi === 26 || gsi === 27 || gsi === 29 || gsi === 30;
/** On x86 only ISA interrupts have an entry to take trigger and polarity from; pin 0 lost its own to pin 2. */
const defaultInterrupt = (architecture: GhesPlatform["architecture"]) => (gsi: number) =>
  architecture === "x86" ? (gsi >= 1 && gsi <= 15 ? "works" : "unmapped") : GIC_TAKEN(gsi) ? "refused" : "unmapped";

const PAGE = 4096n;
const ADDRESS_BITS = 52n;

/** Map a memory register: impossible beyond the physical address space, or for less than a byte at the start of a page not mapped before. */
function map(register: GenericSource["errorStatusAddress"], pages: Set<bigint> = new Set()): boolean {
  const { address, registerBitWidth } = register;
  const length = BigInt(registerBitWidth >> 3);
  if ((address + length) >> ADDRESS_BITS !== 0n) return false;
  if (length === 0n && address % PAGE === 0n && !pages.has(address / PAGE) && !pages.has(address / PAGE - 1n)) return false;
  for (let page = address / PAGE; page * PAGE < address + (length || 1n); page++) pages.add(page);
  return true;
}

/** Whether a register passes the checks but cannot be read: ports are at most 32 bits wide. */
function isUnreadable(register: GenericSource["errorStatusAddress"]): boolean {
  const verdict = checkRegister(register);
  return verdict.ok && verdict.space === "io" && verdict.size === 8;
}

/** Bind a driver to a source, or say why not. Checks run in the kernel's order and only the first failure speaks. */
export function probe(spaces: RegisterSpaces, source: GenericSource, platform: GhesPlatform): ProbeResult {
  const id = source.sourceId;
  const arm = platform.architecture === "arm64";
  const messages: string[] = [];
  const refuse = (errno: number, message?: string): ProbeResult => {
    if (message !== undefined) messages.push(message);
    // The driver core keeps quiet about a device that is merely not there.
    if (errno !== ERRNO.ENXIO)
      messages.push(
        platform.version === "6.1"
          ? `GHES: probe of GHES.${id} failed with error -${errno}`
          : `GHES GHES.${id}: probe with driver GHES failed with error -${errno}`,
      );
    return { messages };
  };

  // 1. the notification type
  const type = codeOf(NOTIFICATION, source.notification.type);
  const notification = NAMES.get(type);
  switch (notification) {
    case "polled":
    case "externalInterrupt":
    case "sci":
    case "gpioSignal":
    case "gsiv":
      break;
    case "sea":
      if (!(platform.sea ?? arm)) return refuse(ERRNO.ENOTSUPP, `GHES: Generic hardware error source: ${id} notified via SEA is not supported`);
      break;
    case "nmi":
      if (!(platform.nmi ?? !arm)) return refuse(ERRNO.EINVAL, `GHES: Generic hardware error source: ${id} notified via NMI interrupt is not supported!`);
      break;
    case "sdei":
      if (!(platform.sdei ?? arm)) return refuse(ERRNO.EINVAL, `GHES: Generic hardware error source: ${id} notified via SDE Interface is not supported!`);
      break;
    case "localInterrupt":
      return refuse(ERRNO.EINVAL, `GHES: Generic hardware error source: ${id} notified via local interrupt is not supported!`);
    default:
      return refuse(ERRNO.EINVAL, `[Firmware Warn]: GHES: Unknown notification type: ${type} for generic hardware error source: ${id}`);
  }

  // 2. the block length
  let blockLength = source.errorStatusBlockLength;
  if (blockLength < HEADER)
    return refuse(ERRNO.EIO, `[Firmware Bug]: GHES: Invalid error block length: ${blockLength} for generic hardware error source: ${id}`);

  // 3. the acknowledge register, then the register that names the status block
  for (const register of [source.readAckRegister, source.errorStatusAddress]) {
    if (!register) continue;
    const verdict = checkRegister(register);
    if (!verdict.ok) return refuse(verdict.errno, verdict.message);
    if (verdict.space === "memory" && !map(register, platform.mappedPages)) return refuse(ERRNO.ENXIO);
  }
  if (blockLength > MOST_BLOCK_LENGTH) {
    messages.push(`[Firmware Warn]: GHES: Error status block length is too long: ${blockLength} for generic hardware error source: ${id}.`);
    blockLength = MOST_BLOCK_LENGTH;
  }

  // 4. what carries the notification
  const { vector, pollInterval } = source.notification;
  if (notification === "polled" && pollInterval === 0)
    messages.push(`[Firmware Warn]: GHES: Poll interval is 0 for generic hardware error source: ${id}, disabled.`);
  if (notification === "externalInterrupt") {
    const interrupt = (platform.interrupt ?? defaultInterrupt(platform.architecture))(vector);
    if (interrupt === "unmapped") return refuse(arm ? ERRNO.EINVAL : ERRNO.EPERM, `GHES: Failed to map GSI to IRQ for generic hardware error source: ${id}`);
    if (interrupt === "refused") return refuse(ERRNO.EINVAL, `GHES: Failed to register IRQ for generic hardware error source: ${id}`);
  }
  if (notification === "sdei" && vector === 0) return refuse(ERRNO.EINVAL);
  if (notification === "sdei" && platform.sdeiFirmware === false) return refuse(ERRNO.EIO);
  // Reading the pointer of an NMI-like source is part of binding it since 7.x; for the others it is the first look that fails.
  if (source.errorStatusAddress && isUnreadable(source.errorStatusAddress)) {
    if ((notification === "sea" || notification === "nmi") && platform.version !== "6.1") return refuse(ERRNO.EIO);
    messages.push(`[Firmware Warn]: GHES: Failed to read error status block address for hardware error source: ${id}.`);
  }
  return {
    messages,
    device: {
      source,
      id,
      version: source.readAckRegister ? 2 : 1,
      notification,
      blockLength,
      ...(notification === "polled" && { pollInterval }),
      // 5. NMI-like sources keep the address they find now
      ...((notification === "sea" || notification === "nmi") && { fixedBlock: readRegister(spaces, source.errorStatusAddress) ?? 0n }),
    },
  };
}

/** What one look at a source found. */
export type Report =
  | { readonly found: "nothing"; readonly reason: string }
  /** The block made no sense: it was cleared and acknowledged, its content is gone. */
  | { readonly found: "rubbish"; readonly address: bigint; readonly message: string }
  | { readonly found: "record"; readonly address: bigint; readonly block: Uint8Array };

const u32 = (bytes: Uint8Array, at: number): number => new DataView(bytes.buffer, bytes.byteOffset, bytes.length).getUint32(at, true);
const field = (name: keyof typeof ErrorStatusBlockHeader.fields) => fieldOffset(ErrorStatusBlockHeader, name);
const STATUS = field("blockStatus");
const RAW_OFFSET = field("rawDataOffset");
const RAW_LENGTH = field("rawDataLength");
const DATA_LENGTH = field("dataLength");
const ENTRY_REVISION = fieldOffset(ErrorDataEntryHeader, "revision");
const ENTRY_LENGTH = fieldOffset(ErrorDataEntryHeader, "errorDataLength");

/** Bytes of a block by its header; 32-bit arithmetic that may wrap, as in the kernel. */
export function blockTotal(header: Uint8Array): number {
  const raw = u32(header, RAW_LENGTH);
  return (raw !== 0 ? u32(header, RAW_OFFSET) + raw : HEADER + u32(header, DATA_LENGTH)) >>> 0;
}

/** Whether the lengths in a header contradict each other. */
export function contradictsItself(header: Uint8Array): boolean {
  const data = u32(header, DATA_LENGTH);
  return (u32(header, RAW_LENGTH) !== 0 && u32(header, RAW_OFFSET) < HEADER + data) || (data !== 0 && data < ErrorDataEntryHeader.size);
}

const complaintOf = (text: string) => `[Firmware Warn]: GHES: ${text}`;
/** Why the driver drops a block for its header alone; undefined when it goes on. @param most bytes it takes. */
export function headerComplaint(header: Uint8Array, most: number): string | undefined {
  const total = blockTotal(header);
  if (total < HEADER) return complaintOf("Truncated error status block!");
  if (total > most) return complaintOf("Invalid error status block length!");
  return contradictsItself(header) ? complaintOf("Invalid CPER header!") : undefined;
}

/** Why the driver drops a block; undefined when it takes it for a record. @param most bytes it takes. */
export function blockComplaint(block: Uint8Array, most: number): string | undefined {
  return headerComplaint(block, most) ?? (walkEntries(block) ? undefined : complaintOf("Failed to read error status block!"));
}

/** Where each data entry of a block starts, and how long its header is; undefined when they do not end exactly with the data. */
export function walkEntries(block: Uint8Array): { readonly at: number; readonly header: number; readonly length: number }[] | undefined {
  const end = HEADER + u32(block, DATA_LENGTH);
  if (end > block.length) return undefined;
  const out: { at: number; header: number; length: number }[] = [];
  let at = HEADER;
  while (end - at >= ErrorDataEntryHeader.size) {
    const header = entryHeaderLayout(block[at + ENTRY_REVISION]! | (block[at + ENTRY_REVISION + 1]! << 8)).size;
    if (header > end - at) return undefined;
    const length = u32(block, at + ENTRY_LENGTH);
    if (header + length > end - at) return undefined;
    out.push({ at, header, length });
    at += header + length;
  }
  return at === end ? out : undefined;
}

/**
 * Look at a source's block without touching it.
 *
 * The status is loaded first and by itself, because the loads behind an aligned word come after it (acquire): whoever
 * sees the status finds everything that was stored before it. Linux copies the status with the rest of the header, by
 * loads that arm64 may do in any order, and only what it loads after the header comes after it (`docs/memory-order.md`).
 */
export function peek(spaces: RegisterSpaces, device: GhesDevice): Report {
  // The pointer register is read anew every time: it may name another block than before.
  const address = readRegister(spaces, device.source.errorStatusAddress);
  if (address === undefined) return { found: "nothing", reason: "the status address register cannot be read" };
  if (address === 0n) return { found: "nothing", reason: "the pointer to the status block is zero" };
  if (spaces.memory.readWord(address + BigInt(STATUS), 4) === 0n) return { found: "nothing", reason: "block status is zero" };
  const header = spaces.memory.read(address, HEADER);

  const complaint = headerComplaint(header, device.blockLength);
  if (complaint !== undefined) return { found: "rubbish", address, message: complaint };
  const total = blockTotal(header);
  const block = spaces.memory.read(address, total);
  // The header is read a second time with the rest; what was checked is what is used.
  block.set(header);
  const message = blockComplaint(block, device.blockLength);
  return message === undefined ? { found: "record", address, block } : { found: "rubbish", address, message };
}

/** Tell the platform that the block is free: its status becomes zero, then (version 2) the acknowledge register is written. */
export function release(spaces: RegisterSpaces, device: GhesDevice, address: bigint): void {
  clearStatus(spaces, address);
  acknowledge(spaces, device);
}
/** Make the record at an address gone. */
export const clearStatus = (spaces: RegisterSpaces, address: bigint): void => spaces.memory.writeWord(address + BigInt(STATUS), 4, 0n);

/** Keep the bits the platform wants kept, set those it wants set (ACPI 6.5 18.3.2.8). Version 1 has nothing to write. */
export const acknowledge = (spaces: RegisterSpaces, device: GhesDevice): void => acknowledgement(spaces, device)?.();

/** Read the acknowledge register. @returns the store that acknowledges, made of what was read; undefined when there is nothing to write. */
export function acknowledgement(spaces: RegisterSpaces, device: GhesDevice): (() => void) | undefined {
  const { readAckRegister: register, readAckPreserve: preserve = 0n, readAckWrite: write = 0n } = device.source;
  if (!register) return undefined;
  const old = readRegister(spaces, register);
  if (old === undefined) return undefined;
  const offset = BigInt(register.registerBitOffset);
  const value = (old & BigInt.asUintN(64, preserve << offset)) | BigInt.asUintN(64, write << offset);
  return () => writeRegister(spaces, register, value);
}

/** Take a report off a source: read it, and unless there was nothing, release the block. */
export function take(spaces: RegisterSpaces, device: GhesDevice): Report {
  const report = peek(spaces, device);
  if (report.found !== "nothing") release(spaces, device, report.address);
  return report;
}
