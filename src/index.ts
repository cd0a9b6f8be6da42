/** The public API. The library part runs in a browser: nothing here imports `node:` modules. */
export * from "./acpi/generic-address.ts";
export * from "./acpi/hest.ts";
export * from "./acpi/notification.ts";
export * from "./acpi/status-block.ts";
export * from "./acpi/table-header.ts";
export * from "./cper/record.ts";
export * from "./cper/record-codec.ts";
export * from "./cper/registry.ts";
export * from "./layout/index.ts";
