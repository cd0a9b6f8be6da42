/** QEMU's generic event device on the `virt` machine (hw/acpi/generic_event_device.c): one event register, one interrupt. */
import type { MmioDevice } from "./mmio.ts";

/** Where it is, its shared peripheral interrupt, and the event that stands for hardware errors. */
export const GENERIC_EVENT_DEVICE = { base: 0x0908_0000n, interrupt: 9, errorEvent: 0x20 } as const;
/** What the AML handler notifies: the hardware error device PNP0C33. */
export const ERROR_NOTIFICATION = { device: "\\_SB.GEDD", value: 0x80 } as const;

/** The generic event device that tells a guest of errors (QEMU hw/acpi/generic_event_device.c behaviour). */
export class GenericEventDevice {
  /** The register says which events happened, and forgets them when it is read. */
  readonly window: MmioDevice;
  #events = 0;

  constructor() {
    this.window = {
      length: 4,
      read: (offset, size) => {
        if (offset !== 0 || size !== 4) return 0n;
        const events = BigInt(this.#events);
        this.#events = 0;
        return events;
      },
      write: () => {},
    };
  }

  /** The interrupt line: up while an event is unread. */
  get line(): boolean {
    return this.#events !== 0;
  }
  /** The machine is reset: events nobody has read are forgotten. */
  reset(): void {
    this.#events = 0;
  }
  raise(event: number): void {
    this.#events |= event;
  }
}
