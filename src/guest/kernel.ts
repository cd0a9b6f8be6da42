/**
 * What the guest kernel does with errors, step for step (Linux 7.2 drivers/acpi/apei/ghes.c and
 * arch/arm64/kernel/acpi.c behaviour): boot, notification, reading, processing, acknowledgement.
 */

import { Bert } from "../acpi/bert.ts";
import type { NotificationName } from "../acpi/notification.ts";
import {
  type BLOCK_SEVERITY,
  type ErrorDataEntry,
  type ErrorStatusBlock,
  ErrorStatusBlockHeader,
  parseErrorStatusBlock,
  statusBlockFormat,
} from "../acpi/status-block.ts";
import { serrorVerdict } from "../arm64/syndrome.ts";
import { sectionTypes } from "../cper/registry.ts";
import type { ArmProcessor } from "../cper/sections/arm-processor.ts";
import { platformMemory } from "../cper/sections/memory.ts";
import { type OsTable, osView } from "../firmware/os-view.ts";
import { hexNumber, parse } from "../layout/index.ts";
import { type GuestMemory, whereMemory } from "../machine/memory.ts";
import { OpenBus } from "../machine/open-bus.ts";
import { acknowledge, acknowledgement, clearStatus, type GhesDevice, NMI_LIKE, peek, probe, type Report } from "./ghes.ts";
import { readHest } from "./hest.ts";
import type { KernelMessage } from "./pstore.ts";
import { recoveryOf } from "./recovery.ts";
import type { RegisterSpaces } from "./registers.ts";
import { unhandledProcessorError } from "./report/aftermath.ts";
import { bootErrors, linuxReport } from "./report/report.ts";
import {
  type Death,
  type GuestEvent,
  type GuestStep,
  type Handling,
  type Interrupted,
  type KernelOptions,
  LEVEL,
  NOTHING_HANDLED,
  type SystemModel,
} from "./steps.ts";

export type { Death, GuestEvent, GuestStep, Handling, Interrupted, KernelOptions } from "./steps.ts";

const CACHED_REPORTS = 4;
const CACHE_MILLISECONDS = 10_000;
const PRINTS = 2;
const PRINT_MILLISECONDS = 5_000;
const PAGE_SHIFT = 12n;
/** Error type bit of a cache error as Linux reads it (UEFI 2.10 numbering). */
const CACHE_ERROR = 2;

const format = statusBlockFormat(sectionTypes);
type Severity = keyof typeof BLOCK_SEVERITY | number;
/** Anything the kernel has no word for is as bad as it gets. */
const isFatal = (severity: Severity | undefined) => severity === "fatal" || typeof severity === "number";
const HED: readonly NotificationName[] = ["sci", "gpioSignal", "gsiv"];
/** Whether a notification of one kind makes the kernel look at sources of the other. */
export const areHeardAlike = (kind: NotificationName, other: NotificationName): boolean => kind === other || (HED.includes(kind) && HED.includes(other));

/** What a kernel prints when a record is fatal. */
export const PANIC_OVER_RECORD = "Kernel panic - not syncing: GHES: Fatal hardware error";

/** A guest's Linux from the moment it has found its tables: probes sources, takes reports, acknowledges, isolates pages (Linux ghes.c behaviour). */
export class GuestKernel implements SystemModel {
  readonly devices: GhesDevice[] = [];
  /** Page frame numbers taken out of use. */
  readonly isolatedPages = new Set<bigint>();
  /** Blocks handed to processing, in order. */
  readonly delivered: { readonly source: number; readonly block: Uint8Array }[] = [];
  /** What the kernel prints, line by line. */
  readonly messages: KernelMessage[] = [];
  panicked = false;
  readonly #memory: GuestMemory;
  /** What the error sources' registers and blocks are reached through. */
  readonly #spaces: RegisterSpaces;
  readonly #options: KernelOptions;
  #sequence = 0;
  readonly #busy = new Set<number>();
  readonly #again = new Set<number>();
  readonly #printed: { readonly block: Uint8Array; readonly at: number }[] = [];
  readonly #limits = { corrected: { since: Number.NEGATIVE_INFINITY, count: 0 }, uncorrected: { since: Number.NEGATIVE_INFINITY, count: 0 } };

  constructor(spaces: RegisterSpaces, options: KernelOptions) {
    this.#memory = spaces.memory;
    this.#spaces = options.architecture === "x86" ? { ...spaces, memory: new OpenBus(spaces.memory) } : spaces;
    this.#options = options;
  }

  /** Find HEST from the root pointer, bind drivers, and look once at every source: an error may have waited. */
  boot(rsdp: bigint): void {
    this.#guarded(() => {
      const table = osView(this.#memory, rsdp).tables.find(({ signature }) => signature === "HEST");
      if (!table) return this.#say("boot", "there is no HEST: no error sources");
      this.#say("boot", `HEST found at ${hexNumber(table.address)} from the RSDP at ${hexNumber(rsdp)}${table.checksumOk ? "" : ", its checksum is wrong"}`, {
        address: table.address,
      });
      const hest = readHest(this.#spaces.memory, table.address, this.#options.architecture);
      for (const message of hest.messages) this.#say("message", message);
      for (const source of hest.sources) {
        const { device, messages } = probe(this.#spaces, source, this.#options);
        for (const message of messages) this.#say("message", message);
        if (!device) continue;
        this.devices.push(device);
        this.#say(
          "probe",
          `source ${device.id}: ${device.version === 2 ? "GHESv2" : "GHES"}, ${device.notification}, status pointer at ${hexNumber(source.errorStatusAddress.address)}${source.readAckRegister ? `, acknowledge register at ${hexNumber(source.readAckRegister.address)}` : ""}`,
          { source: device.id },
        );
      }
      for (const device of [...this.devices]) this.#look(device, false).finish();
    });
  }

  /** What the kernel prints, without times and levels. */
  get log(): string[] {
    return this.messages.map(({ text }) => text);
  }
  /** A driver beside this model prints something. */
  print(text: string, level: number = LEVEL.information): void {
    this.messages.push({ at: this.#options.clock(), level, text });
  }

  /** Late while it boots: print the errors of the boot before, and clear their block statuses. @param table the BERT. */
  readBootErrors(table: OsTable): void {
    this.#guarded(() => {
      const { bootErrorRegionLength: length = 0, bootErrorRegion: address = 0n } = parse(Bert, table.bytes);
      const region = this.#spaces.memory.read(address, length);
      const { lines, printed, skipped, left } = bootErrors(region, { architecture: this.#options.architecture });
      for (const line of lines) this.print(line, line.includes("[Firmware Bug]") ? LEVEL.error : LEVEL.information);
      if (printed + skipped > 0) this.#spaces.memory.write(address, left);
      this.#say(
        "bootErrors",
        `BERT found at ${hexNumber(table.address)}: region of ${length} bytes at ${hexNumber(address)}, errors of the boot before: ${printed} printed, ${skipped} skipped${printed + skipped > 0 ? "; their block statuses are cleared" : ""}`,
        { address },
      );
    });
  }

  /** Somebody asks the kernel to crash (magic SysRq c). */
  crash(): void {
    this.print("sysrq: Trigger a crash");
    this.#say("panic", "Kernel panic - not syncing: sysrq triggered crash");
    this.#die("Panic");
  }

  /** The polling timers that run, by source. */
  get timers(): { readonly source: number; readonly milliseconds: number }[] {
    return this.devices.flatMap((device) => (device.pollInterval ? [{ source: device.id, milliseconds: device.pollInterval }] : []));
  }

  /**
   * A notification arrived.
   * @param selector the GSIV, SDEI event number or, for polled sources, the source id.
   */
  notify(kind: NotificationName, selector = 0, interrupted: Interrupted = { user: true, interruptsMasked: false }): Handling {
    const asked = this.devices.filter((device) => {
      if (!areHeardAlike(kind, device.notification)) return false;
      if (kind === "polled") return device.id === selector;
      return (kind !== "externalInterrupt" && kind !== "sdei") || device.source.notification.vector === selector;
    });
    if (kind === "sea" && !interrupted.user) return this.#unexplained("the kernel itself was interrupted: firmware is not asked", interrupted);
    const pending = this.#guarded(() => this.#isAnyPending(asked)) ?? true;
    const handlings = pending ? asked.map((device) => this.#guarded(() => this.#look(device, NMI_LIKE.has(device.notification))) ?? NOTHING_HANDLED) : [];
    const records = handlings.reduce((sum, handling) => sum + handling.records, 0);
    const finish = () => {
      for (const handling of handlings) this.#guarded(() => handling.finish());
    };
    if (kind !== "sea") return { records, claimed: records > 0, finish };
    if (records === 0) return this.#unexplained("no SEA source had a record", interrupted);
    if (interrupted.interruptsMasked) {
      this.#say("message", "APEI work queued but not completed");
      return { ...this.#unexplained("interrupts were masked, so the record waits", interrupted), records, finish };
    }
    if (!this.panicked) this.#say("claimed", "the abort is explained by firmware; the program's fate hangs on the record");
    return { records, claimed: true, finish };
  }

  /** An SError arrived. No error source is asked: the kernel knows no source that notifies so. @param syndrome ESR_EL1. */
  serror(syndrome: bigint): void {
    const verdict = serrorVerdict(syndrome);
    if (verdict.linux === "panic") {
      this.#say("panic", `SError, ${verdict.words}: the kernel ${verdict.linuxWords}`);
      this.#die("Panic");
    } else this.#say("logged", `SError, ${verdict.words}: the kernel ${verdict.linuxWords}; it asks no error source`);
  }

  /** A machine check arrived (Linux arch/x86 mce behaviour). */
  machineCheck(address: bigint, required: boolean): void {
    const page = address >> PAGE_SHIFT;
    if (this.#options.memoryFailure === false) {
      // Without it no machine check is one that can be recovered from.
      if (required) {
        this.#say("panic", "Kernel panic - not syncing: Fatal machine check (Action required: unknown MCACOD)");
        this.#die("Panic");
      } else this.#say("message", `Uncorrected memory error in page ${hexNumber(page)} ignored`);
      return;
    }
    this.isolatedPages.add(page);
    this.#say(
      "isolated",
      `machine check, action ${required ? "required" : "optional"}: page ${hexNumber(page)} is isolated${required ? ", the program that touched it is told" : ""}`,
      { address },
    );
  }

  /** A guest that owed an acknowledgement gives it after all. */
  acknowledge(source: number): void {
    const device = this.devices.find(({ id }) => id === source);
    if (!device?.source.readAckRegister) return;
    acknowledge(this.#spaces, device);
    this.#say("acknowledged", `source ${source}: acknowledges at last at ${hexNumber(device.source.readAckRegister.address)}`, {
      source,
      address: device.source.readAckRegister.address,
    });
  }

  /** The abort handler goes on as if there were no firmware. */
  #unexplained(why: string, { user }: Interrupted): Handling {
    if (user) this.#say("killed", `the external abort is not explained (${why}): the program gets SIGBUS`);
    else {
      this.#say("panic", `Internal error: synchronous external abort (${why}): the kernel dies`);
      this.#die("Oops");
    }
    return NOTHING_HANDLED;
  }

  /** Whether any of these sources has something, by the blocks found when they were bound (ghes_has_active_errors); others are always looked at. */
  #isAnyPending(asked: readonly GhesDevice[]): boolean {
    const fixed = asked.flatMap(({ id, fixedBlock }) => (fixedBlock ? [{ id, fixedBlock }] : []));
    if (fixed.length < asked.length || fixed.some(({ fixedBlock }) => this.#spaces.memory.readWord(fixedBlock, 4) !== 0n)) return true;
    for (const { id, fixedBlock } of fixed) this.#say("read", `source ${id}: nothing pending at ${hexNumber(fixedBlock)}`, { source: id });
    return asked.length === 0;
  }

  /** Look at one source, as an interrupt or timer handler or in NMI-like context. */
  #look(device: GhesDevice, nmiLike: boolean): Handling {
    // The kernel works on one report of a source at a time and looks again when told meanwhile.
    if (this.#busy.has(device.id)) {
      this.#again.add(device.id);
      return NOTHING_HANDLED;
    }
    const report = peek(this.#spaces, device);
    if (report.found === "nothing") return NOTHING_HANDLED;
    if (report.found === "rubbish") {
      this.#say("message", report.message, { source: device.id, address: report.address });
      this.#release(device, report);
      return NOTHING_HANDLED;
    }
    const block = parseErrorStatusBlock(report.block, sectionTypes);
    this.#say("read", `source ${device.id}: reads a record of ${report.block.length} bytes at ${hexNumber(report.address)}`, {
      source: device.id,
      address: report.address,
    });
    const severity = block.header.errorSeverity;
    if (isFatal(severity)) {
      this.#decoded(device, report.block, block);
      this.#print(device, report.block);
      this.#release(device, report);
      this.#say("panic", PANIC_OVER_RECORD, { source: device.id });
      this.#die("Panic");
      return { records: 1, claimed: true, finish: () => {} };
    }
    if (nmiLike) {
      // The record is copied and the block given back at once; the rest happens in a calmer context.
      this.#release(device, report);
      if (this.#isCached(report.block)) {
        this.#say("duplicate", `source ${device.id}: the same bytes as a report of the last 10 s: dropped unprocessed`, { source: device.id });
        return { records: 1, claimed: true, finish: () => {} };
      }
      return { records: 1, claimed: true, finish: () => this.#process(device, report.block, block) };
    }
    this.#busy.add(device.id);
    return {
      records: 1,
      claimed: true,
      finish: () => {
        this.#process(device, report.block, block);
        this.#release(device, report);
        this.#busy.delete(device.id);
        if (this.#again.delete(device.id)) this.#look(device, false).finish();
      },
    };
  }

  #release(device: GhesDevice, report: Exclude<Report, { found: "nothing" }>): void {
    const { source, id } = device;
    clearStatus(this.#spaces, report.address);
    this.#say("cleared", `source ${id}: clears the block status at ${hexNumber(report.address)}`, { source: id, address: report.address });
    if (this.#options.acknowledges?.() === false) {
      this.#say("withheld", `source ${id}: does not acknowledge`, { source: id });
      return;
    }
    const store = acknowledgement(this.#spaces, device);
    if (!source.readAckRegister) return;
    const { address } = source.readAckRegister;
    const finish = () => {
      store?.();
      this.#say("acknowledged", `source ${id}: acknowledges at ${hexNumber(address)}`, { source: id, address });
    };
    if (this.#options.dwell) this.#options.dwell(finish);
    else finish();
  }

  #decoded(device: GhesDevice, bytes: Uint8Array, block: ErrorStatusBlock): void {
    this.delivered.push({ source: device.id, block: bytes });
    this.#say("decoded", `source ${device.id} says: ${format.summary(block)}`, { source: device.id, block: bytes });
  }

  #process(device: GhesDevice, bytes: Uint8Array, block: ErrorStatusBlock): void {
    this.#decoded(device, bytes, block);
    if (this.#isCached(bytes)) this.#say("duplicate", `source ${device.id}: printed less than 10 s ago: processed, not printed`, { source: device.id });
    else if (this.#mayPrint(block.header.errorSeverity)) {
      this.#print(device, bytes);
      this.#remember(bytes);
    } else this.#say("duplicate", `source ${device.id}: two reports were printed within 5 s: processed, not printed`, { source: device.id });

    let failures = 0;
    for (const entry of block.entries) failures += this.#processEntry(device, block, entry) ? 1 : 0;
    if (device.notification === "sea" && failures === 0)
      this.#say(
        "killed",
        `source ${device.id}: ${this.#options.memoryFailure === false ? "nothing is isolated for the record" : "the record names no page to isolate"}: the program gets SIGBUS`,
        { source: device.id },
      );
  }

  /** @returns whether a page was queued for isolation. */
  #processEntry(device: GhesDevice, block: ErrorStatusBlock, entry: ErrorDataEntry): boolean {
    const type = entry.body?.type;
    const value = entry.body?.value as Record<string, unknown> | undefined;
    const source = device.id;
    const severe = block.header.errorSeverity === "recoverable" && entry.header.errorSeverity === "recoverable";
    if (type === platformMemory) {
      const memory = value as { validation?: { physicalAddress?: boolean }; physicalAddress?: bigint };
      if (!memory.validation?.physicalAddress || memory.physicalAddress === undefined) {
        this.#say("logged", `source ${source}: no physical address is valid: no page can be isolated`, { source });
        return false;
      }
      return this.#memoryFailure(device, memory.physicalAddress, severe, entry);
    }
    if (type?.name === "armProcessor") {
      // Only cache errors that name a physical address are acted on.
      let queued = false;
      for (const info of severe ? ((value as ArmProcessor).errorInfos ?? []) : []) {
        const kinds = info.errorType ?? 0;
        if ((kinds & CACHE_ERROR) === 0 || !info.validation?.physicalFaultAddress) {
          this.#say("message", unhandledProcessorError(kinds), { source });
          continue;
        }
        queued = this.#memoryFailure(device, info.physicalFaultAddress ?? 0n, true, entry) || queued;
      }
      if (!queued) this.#say("logged", `source ${source}: processor error that names no page to isolate`, { source });
      return queued;
    }
    const recovery = recoveryOf(entry);
    if (recovery) this.#say("recovery", `source ${source}: ${recovery}`, { source });
    else this.#say("logged", `source ${source}: ${type?.title ?? `section ${entry.header.sectionType}`}: nothing is done about it beyond the log`, { source });
    return false;
  }

  #memoryFailure(device: GhesDevice, address: bigint, severe: boolean, entry: ErrorDataEntry): boolean {
    const source = device.id;
    const page = address >> PAGE_SHIFT;
    if (this.#options.memoryFailure === false) {
      this.#say("logged", `source ${source}: this kernel was built without memory failure handling: page ${hexNumber(page)} stays in use`, { source, address });
      return false;
    }
    if (entry.header.errorSeverity === "corrected" && entry.header.flags?.errorThresholdExceeded) {
      this.isolatedPages.add(page);
      this.#say("offlined", `source ${source}: page ${hexNumber(page)} is moved away and taken out of use`, { source, address });
      return true;
    }
    if (!severe) return false;
    const already = this.isolatedPages.has(page);
    this.isolatedPages.add(page);
    const how = device.notification === "sea" ? "the program that touched it is told before it goes on" : "programs that map it are told when they touch it";
    this.#say(
      "isolated",
      already
        ? `source ${source}: page ${hexNumber(page)} was isolated before`
        : `source ${source}: page ${hexNumber(page)} is isolated (action ${device.notification === "sea" ? "required" : "optional"}): ${how}`,
      { source, address },
    );
    return true;
  }

  #print(device: GhesDevice, block: Uint8Array): void {
    this.#sequence++;
    const { errorSeverity } = parse(ErrorStatusBlockHeader, block);
    const level = isFatal(errorSeverity) ? LEVEL.emergency : errorSeverity === "recoverable" ? LEVEL.error : LEVEL.warning;
    const options = { architecture: this.#options.architecture, source: device.id, sequence: this.#sequence, blockLength: device.blockLength };
    for (const line of linuxReport(block, options)) this.print(line, level);
  }

  #die(why: Death): void {
    this.panicked = true;
    this.#options.died?.(why);
  }

  #isCached(block: Uint8Array): boolean {
    const now = this.#options.clock();
    return this.#printed.some((report) => now - report.at < CACHE_MILLISECONDS && isSame(report.block, block));
  }
  #remember(block: Uint8Array): void {
    if (this.#printed.length === CACHED_REPORTS) this.#printed.shift();
    this.#printed.push({ block, at: this.#options.clock() });
  }
  #mayPrint(severity: Severity | undefined): boolean {
    const limit = this.#limits[severity === "corrected" || severity === "none" ? "corrected" : "uncorrected"];
    const now = this.#options.clock();
    if (now - limit.since >= PRINT_MILLISECONDS) Object.assign(limit, { since: now, count: 0 });
    return ++limit.count <= PRINTS;
  }

  #say(step: GuestStep, text: string, more: Omit<GuestEvent, "step" | "text"> = {}): void {
    if (step === "panic") this.print(text, LEVEL.emergency);
    if (step === "message") this.print(text, text.startsWith("[Firmware Warn]") ? LEVEL.warning : text.startsWith("[Firmware Bug]") ? LEVEL.error : undefined);
    this.#options.report({ step, text, ...more });
  }
  /** An arm64 kernel that touches memory that is not there dies; the model says so instead of throwing. */
  #guarded<T>(body: () => T): T | undefined {
    return whereMemory(body, (why) => {
      this.panicked = true;
      this.#say("fault", `the kernel touches what is not there and dies of a synchronous external abort: ${why}`);
    });
  }
}

function isSame(a: Uint8Array, b: Uint8Array): boolean {
  let i = 0;
  while (i < a.length && a[i] === b[i]) i++;
  return i === a.length && i === b.length;
}
