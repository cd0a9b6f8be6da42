/** The machines that can be driven: which program, which firmware files, how fw_cfg and interrupt inputs are reached. */
import { existsSync } from "node:fs";
import { copyFile } from "node:fs/promises";
import { join } from "node:path";
import { UsageError } from "../layout/index.ts";
import { type Machine, q35, virt } from "../machine/machines.ts";
import type { Architecture } from "./debian-guest.ts";

export type RealFirmware = "seabios" | "ovmf" | "aavmf";

export interface Platform {
  readonly firmware: RealFirmware;
  readonly title: string;
  readonly architecture: Architecture;
  readonly program: string;
  /** Debian packages that hold the program and the firmware. */
  readonly packages: string;
  readonly machine: (ram: bigint) => Machine;
  /** Value of -machine, before the options all machines have. */
  readonly machineType: string;
  readonly words: readonly string[];
  readonly console: string;
  /** Words that start the firmware; what it must be able to write is copied into the folder. */
  readonly start: (folder: string) => Promise<readonly string[]>;
  /** The interrupt controller's type in QEMU's object tree, and its input for a global system interrupt. */
  readonly interruptController: readonly string[];
  readonly input: (interrupt: number) => number;
}

/** The first that exists. @throws UsageError naming the package. */
function firstOf(paths: readonly string[], what: string, packages: string): string {
  const found = paths.find((path) => existsSync(path));
  if (found === undefined) throw new UsageError(`${what} is not installed (looked for ${paths.join(", ")}); Debian's packages are ${packages}`);
  return found;
}

const x86 = {
  architecture: "x86",
  program: "qemu-system-x86_64",
  machine: q35,
  machineType: "q35",
  words: ["-cpu", "max"],
  console: "ttyS0",
  interruptController: ["ioapic"],
  input: (interrupt: number) => interrupt,
} as const;
const OVMF_PACKAGES = "qemu-system-x86 and ovmf";
const AAVMF_PACKAGES = "qemu-system-arm and qemu-efi-aarch64";
/** GIC inputs: the first 32 interrupts belong to the processors. */
const FIRST_SHARED = 32;

export const PLATFORMS: Readonly<Record<RealFirmware, Platform>> = {
  seabios: { ...x86, firmware: "seabios", title: "SeaBIOS", packages: "qemu-system-x86 and seabios", start: async () => [] },
  ovmf: {
    ...x86,
    firmware: "ovmf",
    title: "OVMF",
    packages: OVMF_PACKAGES,
    start: async (folder) => {
      const code = firstOf(["/usr/share/OVMF/OVMF_CODE_4M.fd", "/usr/share/OVMF/OVMF_CODE.fd", "/usr/share/edk2/x64/OVMF_CODE.4m.fd"], "OVMF", OVMF_PACKAGES);
      const variables = firstOf([code.replace("CODE", "VARS")], "OVMF's variable store", OVMF_PACKAGES);
      const own = join(folder, "variables.fd");
      await copyFile(variables, own);
      return ["-drive", `if=pflash,format=raw,readonly=on,file=${code}`, "-drive", `if=pflash,format=raw,file=${own}`];
    },
  },
  aavmf: {
    firmware: "aavmf",
    title: "AAVMF",
    architecture: "arm64",
    program: "qemu-system-aarch64",
    packages: AAVMF_PACKAGES,
    machine: virt,
    machineType: "virt,gic-version=3",
    words: ["-cpu", "cortex-a57"],
    console: "ttyAMA0",
    start: async () => ["-bios", firstOf(["/usr/share/qemu-efi-aarch64/QEMU_EFI.fd", "/usr/share/edk2/aarch64/QEMU_EFI.fd"], "AAVMF", AAVMF_PACKAGES)],
    interruptController: ["arm-gicv3", "arm_gicv3"],
    input: (interrupt) => interrupt - FIRST_SHARED,
  },
};
