/** Common platform error records, their names, machine-check banks and Windows' event log entries. */
export * from "./guids.ts";
export * from "./machine-check/index.ts";
export * from "./record.ts";
export * from "./record-codec.ts";
export * from "./registry.ts";
export * from "./whea-event/format.ts";
