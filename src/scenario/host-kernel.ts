/**
 * The kernel of the host, at EL2, with error sources of its own: firmware of the physical machine fills them, and the
 * kernel reads them when an abort of a guest or a program makes it ask, or an interrupt tells it.
 */
import { GuestKernel } from "../guest/kernel.ts";
import type { GuestEvent } from "../guest/steps.ts";
import { placeDirectly } from "../host/direct-boot.ts";
import { ErrorSourceDevice, type SourceEvent } from "../host/error-source.ts";
import { inHest } from "../host/locate.ts";
import { PRESETS } from "../host/monitor.ts";
import { SparseMemory } from "../machine/memory.ts";
import { plainTables } from "./machine.ts";

/** RAM of the host that its tables and blocks lie in; its guests' pages are elsewhere. */
const RAM = [{ start: 0x8000_0000n, length: 0x100_0000n }] as const;
const VECTOR = 41;
/** By how an error reaches the host. Linux binds no source that notifies by SError: such a record lies unread. */
const SOURCES = { sea: 0, sei: 1, gsiv: 2 } as const;
export type HostNotification = keyof typeof SOURCES;

export interface HostKernelOptions {
  readonly clock: () => number;
  /** What firmware does. */
  readonly wrote: (event: SourceEvent) => void;
  /** What the kernel does. */
  readonly did: (event: GuestEvent) => void;
}

export class HostKernel {
  readonly device: ErrorSourceDevice;
  readonly #kernel: GuestKernel;

  constructor({ clock, wrote, did }: HostKernelOptions) {
    const memory = new SparseMemory(RAM);
    const errorSources = (Object.keys(SOURCES) as HostNotification[]).map((notification) => ({
      id: SOURCES[notification],
      notification: { type: notification, ...(notification === "gsiv" && { vector: VECTOR }) },
    }));
    const { rsdpAddress, hestAddress } = placeDirectly({ memory, ram: RAM, errorSources, tables: plainTables() });
    this.device = new ErrorSourceDevice({ memory, locate: inHest(memory, hestAddress!), policy: PRESETS["kvmtool-like"].recording, report: wrote });
    // That it booted, and found its sources, was before.
    let running = false;
    this.#kernel = new GuestKernel(
      { memory, io: memory },
      { architecture: "arm64", interrupt: () => "works", clock, report: (event) => running && did(event) },
    );
    this.#kernel.boot(rsdpAddress);
    running = true;
  }

  get panicked(): boolean {
    return this.#kernel.panicked;
  }

  /** Firmware writes a record. @returns whether it lies there now; one that nobody has read stays. */
  record(notification: HostNotification, block: Uint8Array): boolean {
    return this.device.record(SOURCES[notification], block) === "written";
  }
  hasUnread(notification: HostNotification): boolean {
    return this.device.isUnread(SOURCES[notification]);
  }

  /** An abort of a guest or of a program: the kernel asks its sources. @returns whether they explain it. */
  claim(): boolean {
    const handling = this.#kernel.notify("sea", 0, { user: true, interruptsMasked: false });
    handling.finish();
    return handling.claimed;
  }
  /** The interrupt that tells of a record arrives. */
  interrupt(): void {
    this.#kernel.notify("gsiv", VECTOR).finish();
  }
}
