/** QEMU's side of the boot hand-off: linker/loader scripts, fw_cfg files, and what builds them. */
export * from "./build.ts";
export * from "./commands.ts";
export * from "./description.ts";
export * from "./fw-cfg.ts";
export * from "./rules.ts";
export * from "./script.ts";
export * from "./script-builder.ts";
