/** The machines that can be driven: which program, which firmware files, how fw_cfg and interrupt inputs are reached. */
import { existsSync } from "node:fs";
import { copyFile } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
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
  /** Path of the firmware; undefined when QEMU finds it by itself. @throws UsageError when it is not installed. */
  readonly image: () => string | undefined;
  /** Words that start the firmware; what it must be able to write is copied into the folder. */
  readonly start: (folder: string) => Promise<readonly string[]>;
  /** The interrupt controller's type in QEMU's object tree, and its input for a global system interrupt. */
  readonly interruptController: readonly string[];
  readonly input: (interrupt: number) => number;
  /** The interrupts it has inputs for. */
  readonly lines: { readonly first: number; readonly last: number };
}

/** Where QEMU and its firmware are, when it is not the installed ones. */
export interface Place {
  /** Folder of the programs. */
  readonly programs?: string;
  /** What the paths of firmware images begin with. */
  readonly root?: string;
  /** Path of the program itself. */
  readonly program?: string;
  /** Path of the firmware image itself. */
  readonly image?: string;
}

/** How a firmware is started. */
interface Kind extends Omit<Platform, "start" | "image"> {
  /** Where its image may be; none when QEMU finds it by itself. */
  readonly images: readonly string[];
  /** Words that start it; what it must be able to write is copied into the folder. */
  readonly load: (image: string, folder: string) => Promise<readonly string[]>;
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
  lines: { first: 0, last: 23 },
} as const;
const OVMF_PACKAGES = "qemu-system-x86 and ovmf";
const AAVMF_PACKAGES = "qemu-system-arm and qemu-efi-aarch64";
/** GIC inputs: the first 32 interrupts belong to the processors. */
const FIRST_SHARED = 32;

/** A path as a value among QEMU's options, which commas separate. */
export const optionPath = (path: string): string => path.replaceAll(",", ",,");

/** OVMF's code and its variables are two files, named alike. */
const variablesOf = (code: string): string => join(dirname(code), basename(code).replace("CODE", "VARS"));
const withBios = async (image: string) => ["-bios", image];

const KINDS: Readonly<Record<RealFirmware, Kind>> = {
  seabios: { ...x86, firmware: "seabios", title: "SeaBIOS", packages: "qemu-system-x86 and seabios", images: [], load: withBios },
  ovmf: {
    ...x86,
    firmware: "ovmf",
    title: "OVMF",
    packages: OVMF_PACKAGES,
    images: ["/usr/share/OVMF/OVMF_CODE_4M.fd", "/usr/share/OVMF/OVMF_CODE.fd", "/usr/share/edk2/x64/OVMF_CODE.4m.fd"],
    load: async (code, folder) => {
      // Code and variables in one image.
      if (variablesOf(code) === code) return withBios(code);
      const variables = firstOf([variablesOf(code)], "OVMF's variable store", OVMF_PACKAGES);
      const own = join(folder, "variables.fd");
      await copyFile(variables, own);
      return ["-drive", `if=pflash,format=raw,readonly=on,file=${optionPath(code)}`, "-drive", `if=pflash,format=raw,file=${optionPath(own)}`];
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
    images: ["/usr/share/qemu-efi-aarch64/QEMU_EFI.fd", "/usr/share/edk2/aarch64/QEMU_EFI.fd"],
    load: withBios,
    interruptController: ["arm-gicv3", "arm_gicv3"],
    input: (interrupt) => interrupt - FIRST_SHARED,
    lines: { first: FIRST_SHARED, last: FIRST_SHARED + 255 },
  },
};

/** All files firmware may come from. */
export const FIRMWARE_IMAGES: readonly string[] = Object.values(KINDS).flatMap(({ images }) => images.flatMap((image) => [image, variablesOf(image)]));

/** A machine with QEMU and firmware from some place. */
export function platformAt(firmware: RealFirmware, { programs, root = "", program, image }: Place = {}): Platform {
  const { images, load, ...kind } = KINDS[firmware];
  const found = images.map((path) => root + path);
  const own = () => {
    if (image !== undefined) return firstOf([image], "the firmware image", kind.packages);
    return found.length === 0 ? undefined : firstOf(found, kind.title, kind.packages);
  };
  const start = async (folder: string): Promise<readonly string[]> => {
    const path = own();
    return path === undefined ? [] : load(path, folder);
  };
  return { ...kind, program: program ?? (programs === undefined ? kind.program : join(programs, kind.program)), image: own, start };
}

/** The machines as they are installed. */
export const PLATFORMS: Readonly<Record<RealFirmware, Platform>> = { seabios: platformAt("seabios"), ovmf: platformAt("ovmf"), aavmf: platformAt("aavmf") };
