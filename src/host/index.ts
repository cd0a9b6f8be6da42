/** The run-time side of a virtual machine monitor: sources, notifications, policies, ERST, EINJ, machine checks. */
export * from "./direct-boot.ts";
export * from "./einj-device.ts";
export * from "./error-source.ts";
export * from "./erst-device.ts";
export * from "./erst-mailbox.ts";
export * from "./erst-storage.ts";
export * from "./event-device.ts";
export * from "./locate.ts";
export * from "./machine-check.ts";
export * from "./memory-record.ts";
export * from "./mmio.ts";
export * from "./monitor.ts";
export * from "./notification.ts";
export * from "./poisoned-pages.ts";
export * from "./register-table.ts";
export * from "./shared-memory.ts";
