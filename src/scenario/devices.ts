/** Devices a scenario's machine may have beside its error sources: error injection and the error record store. */
import { qemuErst } from "../acpi/build-tables.ts";
import { buildRecord } from "../cper/record-codec.ts";
import { sectionTypes } from "../cper/registry.ts";
import type { OsTable } from "../firmware/os-view.ts";
import { EinjDriver } from "../guest/einj.ts";
import { ErstDriver } from "../guest/erst.ts";
import { EinjDevice, type InjectedError } from "../host/einj-device.ts";
import { ErstDevice } from "../host/erst-device.ts";
import { ErstStorage, emptyStore, MemoryBackend } from "../host/erst-storage.ts";
import { GENERIC_EVENT_DEVICE, GenericEventDevice } from "../host/event-device.ts";
import { type Mapping, MemoryWithDevices } from "../host/mmio.ts";
import { hexNumber, UsageError } from "../layout/index.ts";
import type { GuestMemory, Region } from "../machine/memory.ts";
import type { MachineChoice, Moment, StoreEvent } from "./schema.ts";
import type { Timeline } from "./timeline.ts";

/** Below the RAM of every machine, or in its hole under 4 GiB. */
const PLACES = {
  arm64: { injection: 0x0b00_0000n, store: 0x0b01_0000n },
  x86: { injection: 0xfec1_0000n, store: 0xfec2_0000n },
} as const;
/** The exchange buffer lies behind the registers. */
const BUFFER_OFFSET = 0x2000n;
const MESSAGES_SECTION = sectionTypes.byName("linuxMessages")!;

/** The ERST and EINJ devices of a scenario's machine and the registers they answer at. */
export class PlatformDevices {
  /** Tables for the firmware, by signature. */
  readonly tables: Readonly<Record<string, Uint8Array>>;
  readonly memory: GuestMemory;
  /** arm64: what a GPIO signal goes through. */
  readonly events = new GenericEventDevice();
  readonly #timeline: Timeline;
  #einj: EinjDriver | undefined;
  #erst: ErstDriver | undefined;

  constructor(machine: MachineChoice, ram: readonly Region[], memory: GuestMemory, timeline: Timeline, inject: (error: InjectedError) => void) {
    this.#timeline = timeline;
    const place = PLACES[machine.architecture ?? "arm64"];
    const tables: Record<string, Uint8Array> = {};
    const mappings: Mapping[] = machine.architecture === "x86" ? [] : [{ start: GENERIC_EVENT_DEVICE.base, device: this.events.window }];
    if (machine.injection) {
      const device = new EinjDevice({
        base: place.injection,
        isMemory: (address) => ram.some(({ start, length }) => address >= start && address < start + length),
        inject,
      });
      tables["EINJ"] = device.table();
      mappings.push({ start: place.injection, device: device.window });
    }
    if (machine.errorStore !== undefined) {
      const buffer = place.store + BUFFER_OFFSET;
      const device = new ErstDevice(new ErstStorage(new MemoryBackend(emptyStore(machine.errorStore))), buffer);
      tables["ERST"] = qemuErst(place.store);
      mappings.push({ start: place.store, device: device.registers }, { start: buffer, device: device.exchange });
    }
    this.tables = tables;
    this.memory = new MemoryWithDevices(memory, mappings);
  }

  /** The guest finds the tables and starts its drivers. */
  start(found: readonly OsTable[]): void {
    const table = (signature: string) => found.find((candidate) => candidate.signature === signature);
    const einj = table("EINJ");
    if (einj) {
      this.#einj = new EinjDriver({ memory: this.memory }, einj.bytes);
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
    }
  }

  inject({ type, address, mask }: NonNullable<Moment["inject"]>): void {
    if (!this.#einj) throw new UsageError("an event injects an error, but the machine has no EINJ (machine.injection)");
    this.#timeline.add("guest", "controller", "inject", `asks EINJ for ${type}${address === undefined ? "" : ` at ${hexNumber(BigInt(address))}`}`);
    const result = this.#einj.inject({
      type,
      address: address === undefined ? undefined : BigInt(address),
      mask: mask === undefined ? undefined : BigInt(mask),
    });
    if (result !== "success") this.#timeline.add("controller", "guest", "refused", `EINJ answers: ${result}`, { bad: true });
  }

  store({ operation, id, text = "" }: StoreEvent): void {
    const driver = this.#erst;
    if (!driver) throw new UsageError("an event uses the error record store, but the machine has no ERST (machine.errorStore)");
    const recordId = BigInt(id);
    const body = new TextEncoder().encode(text);
    const result =
      operation === "write"
        ? driver.write(
            buildRecord({ severity: "fatal", recordId }, [{ descriptor: { severity: "fatal", flags: { primary: true } }, type: MESSAGES_SECTION, body }]),
          )
        : operation === "read"
          ? driver.read(recordId)
          : driver.clear(recordId);
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
