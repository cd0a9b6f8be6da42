/** What a scenario's machine may have beside its error sources: error injection, boot errors, the error record store. */
import type { OsTable } from "../firmware/os-view.ts";
import { EINJ_STARTS, EinjDriver } from "../guest/einj.ts";
import { ErstDriver } from "../guest/erst.ts";
import { ERST_STARTS, lastWords, messageRecord, mountPstore, pstoreId } from "../guest/pstore.ts";
import type { Death, SystemModel } from "../guest/steps.ts";
import { einjTable, einjWindow, type InjectedError } from "../host/einj-device.ts";
import { GENERIC_EVENT_DEVICE, GenericEventDevice } from "../host/event-device.ts";
import { type Mapping, MemoryWithDevices } from "../host/mmio.ts";
import { hexNumber, UsageError } from "../layout/index.ts";
import type { GuestMemory, Region } from "../machine/memory.ts";
import { bootErrorRegion } from "./boot-errors.ts";
import { StoreDevice, storeBytes } from "./error-store.ts";
import { injectionRequest, injectionWords, refusalWords } from "./injection.ts";
import { type Outside, readerOf } from "./outside.ts";
import type { MachineChoice, Moment, StoreEvent } from "./schema.ts";
import type { Timeline } from "./timeline.ts";

/** Below the RAM of every machine, or in its hole under 4 GiB. */
const PLACES = {
  arm64: { injection: 0x0b00_0000n, store: 0x0b01_0000n },
  x86: { injection: 0xfec1_0000n, store: 0xfec2_0000n },
} as const;
/** Level of the complaints about what is stored: errors. */
const PSTORE_COMPLAINT = 3;
/** When the machines of scenarios start: the beginning of 2026, in seconds since 1970. */
const STARTED = 1_767_225_600;

/** The ERST and EINJ devices of a scenario's machine and the registers they answer at. */
export class PlatformDevices {
  /** Tables for the firmware, by signature. */
  readonly tables: Readonly<Record<string, Uint8Array>>;
  /** The boot error region. */
  readonly bootErrors?: Uint8Array;
  readonly memory: GuestMemory;
  /** arm64: what a GPIO signal goes through. */
  readonly events = new GenericEventDevice();
  readonly #timeline: Timeline;
  readonly #isRam: (address: bigint, length?: bigint) => boolean;
  #einj: EinjDriver | undefined;
  readonly #store: StoreDevice | undefined;
  #erst: ErstDriver | undefined;

  constructor(
    machine: MachineChoice,
    ram: readonly Region[],
    memory: GuestMemory,
    timeline: Timeline,
    inject: (error: InjectedError) => void,
    outside: Outside,
  ) {
    this.#timeline = timeline;
    this.#isRam = (address, size = 1n) => ram.some(({ start, length }) => address >= start && address + size <= start + length);
    const place = PLACES[machine.architecture ?? "arm64"];
    const tables: Record<string, Uint8Array> = {};
    const mappings: Mapping[] = machine.architecture === "x86" ? [] : [{ start: GENERIC_EVENT_DEVICE.base, device: this.events.window }];
    if (machine.injection) {
      const base = place.injection;
      tables["EINJ"] = einjTable(base);
      mappings.push({ start: base, device: einjWindow({ base, isMemory: this.#isRam, inject }) });
    }
    const store = storeBytes(machine.errorStore, outside);
    if (store) {
      this.#store = new StoreDevice(store, place.store, machine.architecture ?? "arm64");
      tables["ERST"] = this.#store.table;
      mappings.push(...this.#store.mappings);
    }
    if (machine.bootErrors) this.bootErrors = bootErrorRegion(machine.bootErrors, readerOf(outside));
    this.tables = tables;
    this.memory = new MemoryWithDevices(memory, mappings);
  }

  /** The bytes of the error record store. */
  get storeContent(): Uint8Array | undefined {
    return this.#store?.bytes;
  }

  /** What of a device lies at an address, and what a value written there asks for; undefined for memory. */
  wordsAt(address: bigint, value?: bigint): string | undefined {
    return this.#store?.wordsAt(address, value);
  }

  /** Firmware leaves a record in the boot error region of the next start. @returns whether there is room for it. */
  keepForBoot(block: Uint8Array): boolean {
    const region = this.bootErrors;
    if (!region || block.length > region.length) return false;
    region.fill(0);
    region.set(block);
    return true;
  }

  reset(): void {
    this.events.reset();
    this.#store?.reset();
  }

  /** The guest finds the tables and starts its drivers. @param kernel whose log their messages go to. */
  start(found: readonly OsTable[], kernel: SystemModel): void {
    const table = (signature: string) => found.find((candidate) => candidate.signature === signature);
    const einj = table("EINJ");
    if (einj) {
      this.#einj = new EinjDriver({ memory: this.memory }, einj.bytes, this.#isRam);
      for (const line of EINJ_STARTS) kernel.print(line);
      this.#timeline.add("guest", undefined, "einj", `EINJ found at ${hexNumber(einj.address)}: it offers ${this.#einj.offered.join(", ")}`);
    }
    const erst = table("ERST");
    if (erst) {
      this.#erst = new ErstDriver({ memory: this.memory }, erst.bytes);
      this.#timeline.add(
        "guest",
        undefined,
        "erst",
        `ERST found at ${hexNumber(erst.address)}: exchange buffer of ${this.#erst.rangeLength} bytes at ${hexNumber(this.#erst.rangeAddress)}`,
      );
      for (const line of ERST_STARTS) kernel.print(line);
      const { files, messages } = mountPstore(this.#erst);
      for (const line of messages) kernel.print(line, PSTORE_COMPLAINT);
      for (const { name, bytes } of files) this.#timeline.add("controller", "guest", "pstore", `${name}: ${bytes.length} bytes, a record of an earlier run`);
    }
    const bert = table("BERT");
    if (bert) kernel.readBootErrors(bert);
  }

  /** A kernel that dies stores its last messages. @param now milliseconds since the start. */
  keepLastWords({ messages }: SystemModel, why: Death, now: number): void {
    const driver = this.#erst;
    if (!driver) return;
    // A boot that finds records of such a time comes after it.
    const stored = new Set(driver.ids());
    let seconds = STARTED + Math.floor(now / 1000);
    while (stored.has(pstoreId(seconds, 0))) seconds++;
    for (const [i, text] of lastWords(messages, why, driver.rangeLength).entries()) {
      const id = pstoreId(seconds, i);
      const result = driver.write(messageRecord(id, text, seconds));
      this.#timeline.add(
        "guest",
        "controller",
        "lastWords",
        `ERST, record ${hexNumber(id)}, ${why}#1 Part${i + 1}, ${text.length} bytes of kernel messages: ${result}; ${driver.count} stored`,
        result === "success" ? {} : { bad: true },
      );
    }
  }

  inject(wanted: NonNullable<Moment["inject"]>): void {
    if (!this.#einj) throw new UsageError("an event injects an error, but the machine has no EINJ (machine.injection)");
    this.#timeline.add("guest", "controller", "inject", injectionWords(wanted));
    const result = this.#einj.inject(injectionRequest(wanted));
    if (result !== "success") this.#timeline.add("controller", "guest", "refused", refusalWords(result), { bad: true });
  }

  store({ operation, id, text = "" }: StoreEvent): void {
    const driver = this.#erst;
    if (!driver) throw new UsageError("an event uses the error record store, but the machine has no ERST (machine.errorStore)");
    const recordId = BigInt(id);
    const body = new TextEncoder().encode(text);
    const result = operation === "write" ? driver.write(messageRecord(recordId, body)) : operation === "read" ? driver.read(recordId) : driver.clear(recordId);
    const fine = result instanceof Uint8Array || result === "success";
    const words = result instanceof Uint8Array ? `${result.length} bytes` : result;
    this.#timeline.add(
      "guest",
      "controller",
      operation,
      `ERST, ${operation} record ${hexNumber(recordId)}: ${words}; ${driver.count} stored`,
      fine ? {} : { bad: true },
    );
  }
}
