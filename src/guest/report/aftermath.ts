/**
 * What the Linux kernel prints about a record after its report: pages taken out of use, errors nobody handles, records
 * its drivers refuse (drivers/acpi/apei/ghes.c, ghes_helpers.c, mm/memory-failure.c and pcie/aer.c behaviour).
 *
 * Bytes beyond those given read as zero, as in the report.
 */
import type { NotificationName } from "../../acpi/notification.ts";
import { BLOCK_SEVERITY, ErrorDataEntryHeader, ErrorStatusBlockHeader } from "../../acpi/status-block.ts";
import { ArmErrorInfo, ArmProcessor, armProcessor } from "../../cper/sections/arm-processor.ts";
import { CxlGeneralMedia, cxlDram, cxlGeneralMedia, cxlMemoryModule } from "../../cper/sections/cxl-event.ts";
import { CXL_AGENT_TYPE, CxlProtocol, CxlRasCapability, cxlProtocol } from "../../cper/sections/cxl-protocol.ts";
import { PlatformMemory, platformMemory } from "../../cper/sections/memory.ts";
import { PcieError, pcie } from "../../cper/sections/pcie.ts";
import { PcieAer } from "../../cper/sections/pcie-capability.ts";
import { blockComplaint, walkEntries } from "../ghes.ts";
import { type AerSeverity, aerLines, RECOVERY_OOPS } from "./aer.ts";
import { type MachineCheckTaker, memoryMachineCheck } from "./machine-check.ts";
import { digits } from "./printer.ts";
import { extentOf, Memory, View } from "./view.ts";
import { ANYTHING, KERNELS, type KernelTraits, type KernelVersion, PROCESSOR_ERROR_WORDS } from "./words.ts";

export interface AftermathOptions {
  /** Default "7.2". */
  readonly version?: KernelVersion;
  /** Default "x86". */
  readonly architecture?: "x86" | "arm64";
  /** How the source tells of the record. Default "polled". */
  readonly notification?: NotificationName;
  /** Id of the error source. Default 1. */
  readonly source?: number;
  /** Whether an address is in memory the kernel manages. Default: all are. */
  readonly isMemory?: (address: bigint) => boolean;
  /**
   * What a PCI function is that the kernel knows, named as in `0000:00:1f.0`: a port, below one, or neither. Default:
   * none is known.
   */
  readonly functionOf?: (name: string) => PciPlace | undefined;
  /** How machine checks are taken on x86. Default: the kernel was made without them. */
  readonly machineChecks?: MachineCheckTaker;
  /** Recovery of a PCI function has killed the kernel's worker before. */
  readonly recoveryDead?: boolean;
}
export type PciPlace = "port" | "belowPort" | "alone";

const PAGE_SHIFT = 12n;
const { recoverable, fatal, corrected } = BLOCK_SEVERITY;

/** The line for a processor error of which nothing is made (type byte of UEFI 2.10). */
export function unhandledProcessorError(type: number): string {
  const kinds = PROCESSOR_ERROR_WORDS.filter((_, kind) => (type >> (kind + 1)) & 1).join("|");
  const odd = type & ~(((1 << PROCESSOR_ERROR_WORDS.length) - 1) << 1) ? " with reserved bit(s)" : "";
  return `[Firmware Warn]: GHES: Unhandled processor error type 0x${digits(type, 2)}: ${kinds}${odd}`;
}

/**
 * The lines for one block, in the order of its entries; some come later than others, from work that was queued.
 * Empty for a block that is empty or no valid one, and for one the kernel dies of.
 */
export function linuxAftermath(block: Uint8Array, options: AftermathOptions = {}): string[] {
  const header = new View(new Memory(block), ErrorStatusBlockHeader, 0);
  if (block.length < ErrorStatusBlockHeader.size || header.number("blockStatus") === 0 || blockComplaint(block, block.length) !== undefined) return [];
  const entries = walkEntries(block) ?? [];
  const severity = header.number("errorSeverity");
  if (severity === fatal || severity > LEAST_SEVERITY) return [];
  const made = new Aftermath(severity, options);
  for (const { at, header: size, length } of entries) made.entry(new View(new Memory(block), ErrorDataEntryHeader, at), at + size, length);
  return made.finished();
}
/** Numbers above it are as bad as fatal. */
const LEAST_SEVERITY = Math.max(...Object.values(BLOCK_SEVERITY));

type EntryView = View<typeof ErrorDataEntryHeader>;
type Handler = (made: Aftermath, entry: EntryView, at: number, length: number) => void;

class Aftermath {
  readonly severity: number;
  readonly lines: string[] = [];
  readonly traits: KernelTraits;
  readonly #options: AftermathOptions;
  /** What is said by workers, later. */
  readonly #late: string[] = [];
  #queued = false;
  #dead: boolean;

  constructor(severity: number, options: AftermathOptions) {
    this.severity = severity;
    this.#options = options;
    this.traits = KERNELS[options.version ?? "7.2"];
    this.#dead = options.recoveryDead === true;
  }

  entry(entry: EntryView, at: number, length: number): void {
    HANDLERS.get(entry.guid("sectionType"))?.(this, entry, at, length);
  }

  /** Both the block and the entry are recoverable. */
  isRecoverable(entry: EntryView): boolean {
    return this.severity === recoverable && entry.number("errorSeverity") === recoverable;
  }

  /** A page is taken out of use. */
  isolate(address: bigint, how: "failure" | "offline"): void {
    const page = address >> PAGE_SHIFT;
    const { isMemory = () => true, architecture = "x86" } = this.#options;
    if (!this.traits.isolates.includes(architecture)) return;
    if (!isMemory(address) && this.traits.checksAddresses) {
      this.lines.push(`[Firmware Warn]: GHES: Invalid address in generic error data: 0x${digits(address)}`);
      return;
    }
    this.#queued = true;
    if (how === "offline") return;
    this.#late.push(`Memory failure: 0x${digits(page)}: ${isMemory(address) ? ANYTHING : "recovery action for non struct page pfn: Ignored"}`);
  }

  /** A memory error becomes a machine check too. */
  machineCheck(body: View<typeof PlatformMemory>): void {
    const { machineChecks, architecture = "x86" } = this.#options;
    if (machineChecks && architecture === "x86") this.#late.push(...memoryMachineCheck(body, this.severity === recoverable, machineChecks));
  }

  /** Recovery of a PCI function is asked for, which there may not be. */
  recover(name: string, severity: AerSeverity, aer: View<typeof PcieAer>): void {
    if (this.#dead) return;
    const { functionOf, version = "7.2", architecture = "x86" } = this.#options;
    const place = functionOf?.(name);
    if (place === undefined) this.lines.push(`AER: ${this.traits.missingFunction(name)}`);
    else this.lines.push(...aerLines(name, severity, aer, version));
    if (place !== "alone" || severity === "correctable") return;
    this.lines.push(RECOVERY_OOPS[architecture]);
    this.#dead = true;
  }

  finished(): string[] {
    const { notification, source = 1 } = this.#options;
    if (notification === "sea" && !this.#queued) this.lines.push(this.traits.killed(source, ANYTHING));
    // Whether other workers still run depends on where the one died.
    return this.#dead ? this.lines : [...this.lines, ...this.#late];
  }
}

const memoryError: Handler = (made, entry, at) => {
  const body = new View(entry.memory, PlatformMemory, at);
  made.machineCheck(body);
  if (!body.has("validation", "physicalAddress")) return;
  const address = body.wide("physicalAddress");
  if (made.isRecoverable(entry)) made.isolate(address, "failure");
  else if (entry.number("errorSeverity") === corrected && entry.has("flags", "errorThresholdExceeded")) made.isolate(address, "offline");
};

const processorError: Handler = (made, entry, at, length) => {
  if (made.traits.checksLengths && length < extentOf(ArmProcessor)) {
    made.lines.push(
      `[Firmware Bug]: arm error length: ${length}`,
      "[Firmware Bug]: length is too small",
      "[Firmware Bug]: firmware-generated error record is incorrect",
    );
    return;
  }
  const body = new View(entry.memory, ArmProcessor, at);
  if (made.traits.checksLengths) {
    const sectionLength = body.number("sectionLength") | 0;
    // Contexts that lead behind the section are left out, and not complained of.
    if (sectionLength < body.end - at + body.number("errorInfoCount") * extentOf(ArmErrorInfo)) {
      made.lines.push(
        `[Firmware Bug]: section length: ${sectionLength}`,
        "[Firmware Bug]: section length is too small",
        "[Firmware Bug]: firmware-generated error record is incorrect",
      );
    }
  }
  if (!made.isRecoverable(entry)) return;
  let next = body.end;
  let left = length - (body.end - at);
  for (let i = 0; i < body.number("errorInfoCount"); i++) {
    const info = new View(entry.memory, ArmErrorInfo, next);
    const size = info.number("length");
    if (made.traits.checksLengths && (left < extentOf(ArmErrorInfo) || left < size)) return;
    left -= size;
    const type = info.number("errorType");
    if ((type & CACHE) !== 0 && info.has("validation", "physicalFaultAddress")) made.isolate(info.wide("physicalFaultAddress"), "failure");
    else made.lines.push(unhandledProcessorError(type));
    next += size;
  }
};
/** Bit of the type byte. */
const CACHE = 1 << 1;

const pcieError: Handler = (made, entry, at) => {
  const body = new View(entry.memory, PcieError, at);
  if (!body.has("validation", "deviceId") || !body.has("validation", "aer")) return;
  const id = body.inside("deviceId");
  const [bus, device] = [digits(id.number("primaryBus"), 2), digits(id.number("device") & DEVICE_BITS, 2)];
  const name = `${digits(id.number("segment"), 4)}:${bus}:${device}.${id.number("function") & FUNCTION_BITS}`;
  const severity = entry.number("errorSeverity");
  const aer = new View(entry.memory, PcieAer, at + body.offset("aer"));
  made.recover(name, severity === fatal || entry.has("flags", "reset") ? "fatal" : severity === recoverable ? "nonfatal" : "correctable", aer);
};
const DEVICE_BITS = 31;
const FUNCTION_BITS = 7;

const cxlProtocolError: Handler = (made, entry, at) => {
  if (!made.traits.cxl) return;
  const body = new View(entry.memory, CxlProtocol, at);
  const agent = body.number("agentType");
  const log = body.number("errorLogLength");
  if (!body.has("validation", "agentAddress")) made.lines.push("CXL CPER invalid agent type");
  else if (!body.has("validation", "errorLog")) made.lines.push("CXL CPER invalid protocol error log");
  else if (log !== CxlRasCapability.size) made.lines.push(`CXL CPER invalid RAS Cap size (${log})`);
  else if (!AGENTS.has(agent)) made.lines.push(`CXL CPER invalid agent type: ${agent}`);
  else if (NUMBERED_AGENTS.has(agent) && !body.has("validation", "serialNumber")) made.lines.push("[Firmware Warn]: CXL CPER no device serial number");
};

const agents = (...names: readonly (keyof typeof CXL_AGENT_TYPE)[]) => new Set<number>(names.map((name) => CXL_AGENT_TYPE[name][0]));
/** Those that have a serial number. */
const NUMBERED_AGENTS = agents("rcd", "device", "logicalDevice", "fmLogicalDevice");
/** All whose errors go to their driver. */
const AGENTS = new Set([...NUMBERED_AGENTS, ...agents("rootPort", "downstreamSwitchPort", "upstreamSwitchPort")]);
/** An event is longer than its frame and not longer than this, bytes. */
const CXL_EVENT_LENGTHS = { least: 33, most: 144 } as const;

const cxlEvent: Handler = (made, entry, at) => {
  if (!made.traits.cxl) return;
  // The frame is the same for all kinds of events.
  const body = new View(entry.memory, CxlGeneralMedia, at);
  const length = body.number("length");
  if (length < CXL_EVENT_LENGTHS.least || length > CXL_EVENT_LENGTHS.most) made.lines.push(`[Firmware Warn]: CXL CPER Invalid section length (${length})`);
  else if (!body.has("validation", "event")) made.lines.push("[Firmware Warn]: CXL CPER invalid event");
};

const HANDLERS: ReadonlyMap<string, Handler> = new Map([
  [platformMemory.guids[0]!, memoryError],
  [armProcessor.guids[0]!, processorError],
  [pcie.guids[0]!, pcieError],
  [cxlProtocol.guids[0]!, cxlProtocolError],
  ...[cxlGeneralMedia, cxlDram, cxlMemoryModule].map(({ guids }) => [guids[0]!, cxlEvent] as const),
]);
