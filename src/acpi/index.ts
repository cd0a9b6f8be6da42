/** ACPI tables, registers and error status blocks: layouts, formats, and what builds them. */
export * from "./action-entry.ts";
export * from "./asl.ts";
export * from "./bert.ts";
export * from "./build-tables.ts";
export * from "./cedt.ts";
export * from "./einj.ts";
export * from "./erst.ts";
export * from "./fadt.ts";
export * from "./generic-address.ts";
export * from "./hest.ts";
export * from "./notification.ts";
export * from "./root-tables.ts";
export * from "./status-block.ts";
export * from "./table-format.ts";
export * from "./table-header.ts";
