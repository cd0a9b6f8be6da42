/** What firmware, guest and host share: memory, the fw_cfg device, the machines' memory maps. */
export * from "./allocator.ts";
export * from "./fw-cfg-device.ts";
export * from "./machines.ts";
export * from "./memory.ts";
export * from "./open-bus.ts";
