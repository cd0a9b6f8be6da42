/**
 * The lines the Linux kernel prints for error status blocks and boot error regions
 * (drivers/firmware/efi/cper.c, drivers/acpi/apei/ghes.c and bert.c behaviour).
 *
 * Bytes beyond those given read as zero, as memory behind a block usually does: lengths in a section may lead there.
 */
import { BLOCK_SEVERITY, ErrorDataEntryHeaderV3, ErrorStatusBlockHeader } from "../../acpi/status-block.ts";
import { RecordHeader, SectionDescriptor } from "../../cper/record.ts";
import { concatBytes } from "../../layout/index.ts";
import { blockComplaint, blockTotal, contradictsItself, MOST_BLOCK_LENGTH, walkEntries } from "../ghes.ts";
import type { MemoryDevice } from "./at-hand.ts";
import { digits, Printer } from "./printer.ts";
import { sectionPrinter } from "./sections.ts";
import { Memory, View } from "./view.ts";
import { KERNELS, type KernelVersion, SEVERITY_WORDS, wordOf } from "./words.ts";

export type { MemoryDevice } from "./at-hand.ts";
export type { KernelVersion } from "./words.ts";

export interface LinuxKernel {
  /** Default "7.2". */
  readonly version?: KernelVersion;
  /** Default "x86". */
  readonly architecture?: "x86" | "arm64";
  /** Memory devices by SMBIOS handle: their locators are printed where a memory section names a handle. Default none. */
  readonly memoryDevices?: ReadonlyMap<number, MemoryDevice>;
}

/** What the SMBIOS tables of a QEMU machine with one memory module say: its handle, no bank, and its name. */
export const QEMU_MEMORY_DEVICES: ReadonlyMap<number, MemoryDevice> = new Map([[0x1100, { bankLocator: "", deviceLocator: "DIMM 0" }]]);

export interface LinuxReportOptions extends LinuxKernel {
  /** Who found the block: an error source at run time, or the boot error region. Default "ghes". */
  readonly path?: "ghes" | "bert";
  /** How many reports the kernel has printed before, and one: the number in braces. Default 1. */
  readonly sequence?: number;
  /** Id of the error source. Default 1. */
  readonly source?: number;
  /** Longest block the error source announces, bytes. Default: as long as the block at hand, at most 65536. */
  readonly blockLength?: number;
  /** What the kernel's copy holds behind the block, where lengths in a section may lead: the end of longer blocks before. Default zeros. */
  readonly behind?: Uint8Array;
  /** What lies behind all that is known is not zero but the kernel's secret: rows of a dump that lead there end with `…`. */
  readonly open?: boolean;
}

const HEADER = ErrorStatusBlockHeader.size;
const HARDWARE_ERROR = "[Hardware Error]: ";
/** Longer blocks of a boot error region are skipped, bytes. */
const BOOT_LENGTH_LIMIT = 1024;
const BOOT_PRINT_LIMIT = 5;

const isEmpty = (bytes: Uint8Array) => bytes.length < HEADER || headerOf(bytes).number("blockStatus") === 0;
const headerOf = (bytes: Uint8Array) => new View(new Memory(bytes), ErrorStatusBlockHeader, 0);

/** The data entries, when they are all there and end with the data. */
const entriesOf = (bytes: Uint8Array) => (HEADER + headerOf(bytes).number("dataLength") <= bytes.length ? walkEntries(bytes) : undefined);

/**
 * The lines for one block, Latin-1: every character is a byte. What is no valid block has the kernel's complaint, an
 * empty one (block status 0) nothing.
 */
export function linuxReport(block: Uint8Array, options: LinuxReportOptions = {}): string[] {
  if (isEmpty(block)) return [];
  const complaint = options.path === "bert" ? bootComplaint(block) : runTimeComplaint(block, options.blockLength);
  if (complaint !== undefined) return [complaint];
  const out = new Printer();
  printBlock(out, block, options);
  return out.lines;
}

/** What the driver of an error source takes a block for. @param blockLength as in the options of a report. */
export function verdictOn(block: Uint8Array, blockLength?: number): "empty" | "rubbish" | "record" {
  if (isEmpty(block)) return "empty";
  return runTimeComplaint(block, blockLength) === undefined ? "record" : "rubbish";
}

/** Why the driver of an error source drops a block. */
function runTimeComplaint(block: Uint8Array, blockLength = block.length): string | undefined {
  return blockComplaint(block, Math.min(blockLength, block.length, MOST_BLOCK_LENGTH));
}

/** Why the walk over a boot error region stops at a block. */
function bootComplaint(rest: Uint8Array): string | undefined {
  const total = blockTotal(rest);
  if (total > rest.length) return `BERT: [Firmware Bug]: Truncated status block (length: ${total}).`;
  return contradictsItself(rest) || !entriesOf(rest) ? "BERT: [Firmware Bug]: Invalid error record." : undefined;
}

/** What the kernel makes of a boot error region. */
export interface BootErrors {
  /** Those of its blocks, and what the kernel says before, between and after them. */
  readonly lines: readonly string[];
  /** Blocks that were printed, and that were too long or too many for it. */
  readonly printed: number;
  readonly skipped: number;
  /** The region as the kernel leaves it: block statuses are cleared on the way. */
  readonly left: Uint8Array;
}

/** The lines for a boot error region. */
export const linuxBootReport = (region: Uint8Array, kernel: LinuxKernel = {}): string[] => [...bootErrors(region, kernel).lines];

/** Walk a boot error region as the kernel does when it starts. */
export function bootErrors(region: Uint8Array, kernel: LinuxKernel = {}): BootErrors {
  if (region.length < HEADER) return { lines: ["BERT: [Firmware Bug]: table invalid."], printed: 0, skipped: 0, left: region };
  // Lengths that wrap around may come back to statuses that are cleared.
  const memory = region.slice();
  const statusSize = ErrorStatusBlockHeader.fields.blockStatus.size;
  const out: string[] = [];
  let printed = 0;
  let skipped = 0;
  for (let rest = memory; rest.length >= HEADER; ) {
    // A block that is too long is reported even when it is empty.
    const complaint = blockTotal(rest) > rest.length || !isEmpty(rest) ? bootComplaint(rest) : undefined;
    if (complaint !== undefined) out.push(complaint);
    if (complaint !== undefined || isEmpty(rest)) break;
    const total = blockTotal(rest);
    if (total < BOOT_LENGTH_LIMIT && printed < BOOT_PRINT_LIMIT) {
      if (printed === 0) out.push("BERT: Error records from previous boot:");
      const printer = new Printer();
      printBlock(printer, rest, { ...kernel, path: "bert" });
      out.push(...printer.lines);
      printed++;
    } else skipped++;
    rest.fill(0, 0, statusSize);
    rest = rest.subarray(total);
  }
  if (skipped > 0) out.push(`BERT: ${HARDWARE_ERROR}Skipped ${skipped} error records`);
  if (printed + skipped > 0) out.push(`BERT: Total records found: ${printed + skipped}`);
  return { lines: out, printed, skipped, left: memory };
}

/**
 * The lines for a whole record, as if firmware had handed over its sections in a status block: the kernel itself prints
 * no records. Bodies are cut at the record's end.
 */
export function linuxRecordReport(record: Uint8Array, options: LinuxReportOptions = {}): string[] {
  const memory = new Memory(record);
  const header = new View(memory, RecordHeader, 0);
  const out = new Printer();
  const prefix = openReport(out, options);
  printHead(out, prefix, header.number("severity"));
  const fitting = Math.floor((record.length - RecordHeader.size) / SectionDescriptor.size);
  for (let i = 0; i < Math.min(header.number("sectionCount"), fitting) && !out.full; i++) {
    const descriptor = new View(memory, SectionDescriptor, RecordHeader.size + i * SectionDescriptor.size);
    const at = descriptor.number("sectionOffset");
    printEntry(out, `${prefix} `, i, options, {
      ...(header.has("validation", "timestamp") && { timestamp: header.bytes("timestamp") }),
      ...fruOf(descriptor),
      severity: descriptor.number("severity"),
      type: descriptor.guid("sectionType"),
      memory,
      at,
      length: Math.max(0, Math.min(descriptor.number("sectionLength"), record.length - at)),
    });
  }
  return out.lines;
}

// ---- one block ----

/** Severities are printed from their low 16 bits. */
const severityWord = (severity: number) => wordOf(SEVERITY_WORDS, severity & 0xffff);

/** The line before a report at run time. @returns what all lines begin with. */
function openReport(out: Printer, { path, sequence = 1, source = 1 }: LinuxReportOptions): string {
  if (path === "bert") return HARDWARE_ERROR;
  const prefix = `{${sequence}}${HARDWARE_ERROR}`;
  out.line(`${prefix}Hardware error from APEI Generic Hardware Error Source: ${source}`);
  return prefix;
}

function printHead(out: Printer, prefix: string, severity: number): void {
  if ((severity & 0xffff) === BLOCK_SEVERITY.corrected) out.line(`${prefix}It has been corrected by h/w and requires no further action`);
  out.line(`${prefix}event severity: ${severityWord(severity)}`);
}

function printBlock(out: Printer, bytes: Uint8Array, options: LinuxReportOptions): void {
  const prefix = openReport(out, options);
  const memory = new Memory(options.behind ? concatBytes([bytes, options.behind]) : bytes, options.open);
  printHead(out, prefix, new View(memory, ErrorStatusBlockHeader, 0).number("errorSeverity"));
  (walkEntries(bytes) ?? []).forEach(({ at, header, length }, index) => {
    const entry = new View(memory, ErrorDataEntryHeaderV3, at);
    const stamped = header >= ErrorDataEntryHeaderV3.size && entry.has("validation", "timestamp");
    printEntry(out, `${prefix} `, index, options, {
      ...(stamped && { timestamp: entry.bytes("timestamp") }),
      ...fruOf(entry),
      severity: entry.number("errorSeverity"),
      type: entry.guid("sectionType"),
      memory,
      at: at + header,
      length,
    });
  });
}

/** What a data entry or section descriptor says, and where the body is. */
interface Entry {
  readonly timestamp?: Uint8Array;
  readonly fruId?: string;
  readonly fruText?: string;
  readonly severity: number;
  /** GUID of the section type. */
  readonly type: string;
  readonly memory: Memory;
  readonly at: number;
  readonly length: number;
}

const fruOf = (view: View<typeof ErrorDataEntryHeaderV3 | typeof SectionDescriptor>): Pick<Entry, "fruId" | "fruText"> => ({
  ...(view.has("validation", "fruId") && { fruId: view.guid("fruId") }),
  ...(view.has("validation", "fruText") && { fruText: String.fromCharCode(...view.bytes("fruText")).replace(/\0.*$/s, "") }),
});

function printEntry(out: Printer, prefix: string, index: number, kernel: LinuxKernel, entry: Entry): void {
  const { version = "7.2", architecture = "x86", memoryDevices = new Map() } = kernel;
  const traits = KERNELS[version];
  if (entry.timestamp) out.line(prefix + timestampWords(entry.timestamp));
  out.line(`${prefix}Error ${index}, type: ${severityWord(entry.severity)}`);
  if (entry.fruId !== undefined) out.line(`${prefix}fru_id: ${entry.fruId}`);
  if (entry.fruText !== undefined) out.line(`${prefix}fru_text: ${entry.fruText}`);

  const inner = `${prefix} `;
  const printer = sectionPrinter(entry.type, traits, architecture);
  if (!printer) {
    out.line(`${inner}section type: unknown, ${entry.type}`);
    out.line(`${inner}section length: 0x${digits(entry.length)}`);
    out.dump(inner, entry.memory, entry.at, entry.length, 4, true);
    return;
  }
  out.line(`${inner}section_type: ${printer.title}`);
  if (entry.length < printer.minimum) out.line("[Firmware Warn]: error section length is too small");
  else printer.print?.(out, inner, { ...entry, traits, memoryDevices });
}

/** Decimal digits from BCD as the kernel converts it, which takes any byte. */
const fromBcd = (byte: number) => String((byte & 0x0f) + (byte >> 4) * 10).padStart(2, "0");

function timestampWords(stamp: Uint8Array): string {
  const [second = "", minute = "", hour = "", , day = "", month = "", year = "", century = ""] = Array.from(stamp, fromBcd);
  const precise = (stamp[TIMESTAMP_FLAGS]! & 1) === 1;
  return `${precise ? "" : "im"}precise tstamp: ${century}${year}-${month}-${day} ${hour}:${minute}:${second}`;
}
const TIMESTAMP_FLAGS = 3;
