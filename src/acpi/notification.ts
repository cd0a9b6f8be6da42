/** How an error source tells the operating system. */
import { bits, type Decoded, type Encodable, initially, oneOf, struct, u8, u32 } from "../layout/index.ts";

/** Notification types (ACPI 6.5 table 18.14). */
export const NOTIFICATION = {
  polled: 0,
  externalInterrupt: 1,
  localInterrupt: 2,
  sci: [3, "SCI"],
  nmi: [4, "NMI"],
  cmci: [5, "CMCI"],
  mce: [6, "MCE"],
  gpioSignal: [7, "GPIO signal"],
  sea: [8, "ARMv8 SEA"],
  sei: [9, "ARMv8 SEI"],
  gsiv: [10, "external interrupt, GSIV"],
  sdei: [11, "software delegated exception"],
} as const;
export type NotificationName = keyof typeof NOTIFICATION;

export const Notification = struct("Hardware Error Notification Structure", 28, "ACPI 6.5 18.3.2.7", () => ({
  type: oneOf(1, "How the error is signalled", NOTIFICATION),
  length: initially(u8("Bytes of this structure"), 28),
  configurationWriteEnable: bits(2, "Which of the fields below the operating system may change", {
    type: 0,
    pollInterval: 1,
    switchToPollingThresholdValue: 2,
    switchToPollingThresholdWindow: 3,
    errorThresholdValue: 4,
    errorThresholdWindow: 5,
  }),
  pollInterval: initially(u32("Milliseconds between polls"), 0),
  vector: initially(u32("Interrupt: GSIV; SDEI: event number"), 0),
  switchToPollingThresholdValue: initially(u32("Interrupts after which to switch to polling"), 0),
  switchToPollingThresholdWindow: initially(u32("Milliseconds in which they are counted"), 0),
  errorThresholdValue: initially(u32("Errors after which to act"), 0),
  errorThresholdWindow: initially(u32("Milliseconds in which they are counted"), 0),
}));
export type Notification = Decoded<typeof Notification>;
export type NotificationInput = Encodable<typeof Notification>;
