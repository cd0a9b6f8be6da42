/** An operating system that is not Linux: finds its sources, reads, acknowledges and lives or dies as its data say. */

import { Hest } from "../acpi/hest.ts";
import type { NotificationName } from "../acpi/notification.ts";
import { NOTIFICATION } from "../acpi/notification.ts";
import { type ErrorDataEntry, ErrorStatusBlockHeader, parseErrorStatusBlock, statusBlockFormat } from "../acpi/status-block.ts";
import { serrorVerdict } from "../arm64/syndrome.ts";
import { sectionTypes } from "../cper/registry.ts";
import { platformMemory } from "../cper/sections/memory.ts";
import { type OsTable, osView } from "../firmware/os-view.ts";
import { hexNumber, parse } from "../layout/index.ts";
import { namesByNumber } from "../layout/values.ts";
import { whereMemory } from "../machine/memory.ts";
import { acknowledgement, blockTotal, clearStatus, type GhesDevice } from "./ghes.ts";
import type { GenericSource } from "./hest.ts";
import type { OperatingSystem } from "./operating-system.ts";
import type { KernelMessage } from "./pstore.ts";
import { type RegisterSpaces, readRegister } from "./registers.ts";
import { type GuestEvent, type GuestStep, type Handling, type Interrupted, type KernelOptions, LEVEL, NOTHING_HANDLED, type SystemModel } from "./steps.ts";
import { codeOf } from "./structures.ts";

const NOTIFICATION_NAMES = namesByNumber(NOTIFICATION) as ReadonlyMap<number, NotificationName>;
/** Looked at together: whatever notifies the error device. */
const ERROR_DEVICE: readonly NotificationName[] = ["sci", "gpioSignal", "gsiv"];
const PAGE_SHIFT = 12n;
const HEADER = ErrorStatusBlockHeader.size;
const format = statusBlockFormat(sectionTypes);

/**
 * A system as its data have it. Nothing is checked before a block is used beyond what keeps reading inside it.
 */
export class PlainKernel implements SystemModel {
  readonly devices: GhesDevice[] = [];
  readonly isolatedPages = new Set<bigint>();
  readonly messages: KernelMessage[] = [];
  panicked = false;
  readonly system: OperatingSystem;
  readonly #spaces: RegisterSpaces;
  readonly #options: KernelOptions;

  constructor(system: OperatingSystem, spaces: RegisterSpaces, options: KernelOptions) {
    this.system = system;
    this.#spaces = spaces;
    this.#options = options;
  }

  get log(): readonly string[] {
    return this.messages.map(({ text }) => text);
  }
  get timers(): readonly { readonly source: number; readonly milliseconds: number }[] {
    return this.devices.flatMap(({ id, pollInterval }) => (pollInterval ? [{ source: id, milliseconds: pollInterval }] : []));
  }
  print(text: string, level: number = LEVEL.information): void {
    this.messages.push({ at: this.#options.clock(), level, text });
  }

  /** Find the sources and bind those whose notification somebody will hear. */
  boot(rsdp: bigint): void {
    this.#guarded(() => {
      const table = osView(this.#spaces.memory, rsdp).tables.find(({ signature }) => signature === "HEST");
      if (!table) return this.#say("boot", "there is no HEST: no error sources");
      this.#say("boot", `HEST found at ${hexNumber(table.address)} from the RSDP at ${hexNumber(rsdp)}`, { address: table.address });
      for (const { type, ...source } of parse(Hest, table.bytes).sources ?? [])
        if (type === "genericHardwareError" || type === "genericHardwareErrorV2") this.#bind(source as GenericSource);
      if (this.system.looksAtStart) for (const device of [...this.devices]) this.#look(device).finish();
    });
  }

  #bind(source: GenericSource): void {
    const id = source.sourceId;
    const notification = NOTIFICATION_NAMES.get(codeOf(NOTIFICATION, source.notification.type));
    if (notification === undefined || !this.system.notifications.includes(notification)) {
      this.#say("message", `source ${id}: ${this.system.name} does nothing about ${notification ?? "this notification type"}: nobody will look at it`, {
        source: id,
      });
      return;
    }
    const pointer = this.system.pointer === "atStart" ? readRegister(this.#spaces, source.errorStatusAddress) : undefined;
    this.devices.push({
      source,
      id,
      version: source.readAckRegister ? 2 : 1,
      notification,
      blockLength: source.errorStatusBlockLength,
      ...(pointer !== undefined && { fixedBlock: pointer }),
      ...(notification === "polled" && { pollInterval: source.notification.pollInterval }),
    });
    this.#say(
      "probe",
      `source ${id}: ${source.readAckRegister ? "GHESv2" : "GHES"}, ${notification}, status pointer at ${hexNumber(source.errorStatusAddress.address)}`,
      {
        source: id,
      },
    );
  }

  readBootErrors(table: OsTable): void {
    this.#say("message", `BERT at ${hexNumber(table.address)}: what ${this.system.name} makes of the errors of the boot before is not modelled`);
  }
  crash(): void {
    this.#panic("somebody asks for a crash");
  }

  notify(kind: NotificationName, selector = 0, interrupted: Interrupted = { user: true, interruptsMasked: false }): Handling {
    const asked = this.devices.filter(({ id, notification, source }) => {
      if (notification !== kind && !(ERROR_DEVICE.includes(kind) && ERROR_DEVICE.includes(notification))) return false;
      if (kind === "polled") return id === selector;
      return (kind !== "externalInterrupt" && kind !== "sdei") || source.notification.vector === selector;
    });
    // Of aborts only those of programs can be explained away.
    const handlings = kind === "sea" && !interrupted.user ? [] : asked.map((device) => this.#guarded(() => this.#look(device)) ?? NOTHING_HANDLED);
    const records = handlings.reduce((sum, handling) => sum + handling.records, 0);
    if (kind === "sea" && records === 0) {
      const why = interrupted.user ? "no source explains it" : "the kernel itself was interrupted";
      if (interrupted.user) this.#say("killed", `the external abort ends the program that met it: ${why}`);
      else this.#panic(`external abort: ${why}`);
    } else if (kind === "sea") this.#say("claimed", "the abort is explained by firmware; the program's fate hangs on the record");
    return { records, claimed: records > 0, finish: () => handlings.map((handling) => this.#guarded(() => handling.finish())) };
  }

  /** Sources that notify by SError are looked at first; what the syndrome says decides unless a record explains it. */
  serror(syndrome: bigint): void {
    const { words, severity } = serrorVerdict(syndrome);
    const asked = this.devices.filter(({ notification }) => notification === "sei").map((device) => this.#guarded(() => this.#look(device)) ?? NOTHING_HANDLED);
    for (const handling of asked) this.#guarded(() => handling.finish());
    if (this.panicked) return;
    if (!(this.system.survives as readonly string[]).includes(severity)) this.#panic(`SError, ${words}: ${this.system.name} panics`);
    else this.#say("logged", `SError, ${words}: ${this.system.name} goes on${asked.some(({ records }) => records > 0) ? ", it has a record of it" : ""}`);
  }

  machineCheck(): void {
    throw new TypeError("machine checks are those of x86, where only Linux is modelled");
  }

  acknowledge(source: number): void {
    const device = this.devices.find(({ id }) => id === source);
    if (!device?.source.readAckRegister) return;
    this.#acknowledgement(device)?.();
    this.#say("acknowledged", `source ${source}: acknowledges at last at ${hexNumber(device.source.readAckRegister.address)}`, {
      source,
      address: device.source.readAckRegister.address,
    });
  }

  #look(device: GhesDevice): Handling {
    const address = device.fixedBlock ?? readRegister(this.#spaces, device.source.errorStatusAddress) ?? 0n;
    const { memory } = this.#spaces;
    if (address === 0n || memory.readWord(address, 4) === 0n) return NOTHING_HANDLED;
    const total = Math.min(Math.max(HEADER, blockTotal(memory.read(address, HEADER))), Math.max(HEADER, device.blockLength));
    const bytes = memory.read(address, total);
    this.#say("read", `source ${device.id}: reads a record of ${bytes.length} bytes at ${hexNumber(address)}`, { source: device.id, address });
    const finish = () => {
      const block = parseErrorStatusBlock(bytes, sectionTypes);
      this.#say("decoded", `source ${device.id} says: ${format.summary(block)}`, { source: device.id, block: bytes });
      const counted = block.header.blockStatus?.errorDataEntryCount ?? 0;
      const entries = this.system.entries === "byCount" ? block.entries.slice(0, counted) : block.entries;
      if (entries.length < block.entries.length)
        this.#say(
          "logged",
          `source ${device.id}: the block status counts ${counted} entries, so ${this.system.name} goes through no more of the ${block.entries.length} that are there`,
          {
            source: device.id,
          },
        );
      const queued = entries.filter((entry) => this.#process(device, block.header.errorSeverity === "recoverable", entry)).length;
      this.#release(device, address);
      const severity = block.header.errorSeverity;
      if (severity === "fatal" || typeof severity === "number") this.#panic(`source ${device.id}: a fatal hardware error`);
      else if (device.notification === "sea" && queued === 0)
        this.#say("killed", `source ${device.id}: no page is taken out of use: the program that met the abort is ended`);
    };
    return { records: 1, claimed: true, finish };
  }

  /** @returns whether a page is taken out of use. */
  #process(device: GhesDevice, recoverable: boolean, entry: ErrorDataEntry): boolean {
    const source = device.id;
    const { type, value } = entry.body ?? {};
    const words = type?.title ?? `section ${entry.header.sectionType}`;
    const memory = type === platformMemory ? (value as { validation?: { physicalAddress?: boolean }; physicalAddress?: bigint }) : undefined;
    const address = memory?.validation?.physicalAddress ? memory.physicalAddress : undefined;
    if (!this.system.memoryFailure || !recoverable || entry.header.errorSeverity !== "recoverable" || address === undefined) {
      const page = this.system.memoryFailure || address === undefined ? "" : `; page ${hexNumber(address >> PAGE_SHIFT)} stays in use`;
      this.#say("logged", `source ${source}: ${words} is logged, nothing more is done${page}`, { source });
      return false;
    }
    this.isolatedPages.add(address >> PAGE_SHIFT);
    this.#say("isolated", `source ${source}: page ${hexNumber(address >> PAGE_SHIFT)} is taken out of use`, { source, address });
    return true;
  }

  #release(device: GhesDevice, address: bigint): void {
    const { source, id } = device;
    clearStatus(this.#spaces, address);
    this.#say("cleared", `source ${id}: clears the block status at ${hexNumber(address)}`, { source: id, address });
    if (this.#options.acknowledges?.() === false) {
      this.#say("withheld", `source ${id}: does not acknowledge`, { source: id });
      return;
    }
    const store = this.#acknowledgement(device);
    const register = source.readAckRegister;
    if (!store || !register) return;
    const finish = () => {
      store();
      this.#say("acknowledged", `source ${id}: acknowledges at ${hexNumber(register.address)}`, { source: id, address: register.address });
    };
    if (this.#options.dwell) this.#options.dwell(finish);
    else finish();
  }
  #acknowledgement(device: GhesDevice): (() => void) | undefined {
    const register = device.source.readAckRegister;
    if (!register || this.system.bitOffset) return acknowledgement(this.#spaces, device);
    return acknowledgement(this.#spaces, { ...device, source: { ...device.source, readAckRegister: { ...register, registerBitOffset: 0 } } });
  }

  #panic(why: string): void {
    this.#say("panic", `panic: ${why}`);
    this.panicked = true;
  }
  #say(step: GuestStep, text: string, more: Omit<GuestEvent, "step" | "text"> = {}): void {
    if (step === "panic") this.print(text, LEVEL.emergency);
    this.#options.report({ step, text, ...more });
  }
  #guarded<T>(body: () => T): T | undefined {
    return whereMemory(body, (why) => {
      this.panicked = true;
      this.#say("fault", `the kernel touches what is not there and dies of an external abort: ${why}`);
    });
  }
}
