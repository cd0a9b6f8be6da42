/** Booting: fw_cfg files in, linked memory and the operating system's tables out. */
import type { FwCfgFiles } from "../loader/fw-cfg.ts";
import type { LoaderScript } from "../loader/script.ts";
import { FwCfgDevice } from "../machine/fw-cfg-device.ts";
import { type Machine, q35, virt } from "../machine/machines.ts";
import { type GuestMemory, SparseMemory } from "../machine/memory.ts";
import { AAVMF, edk2, OVMF } from "./edk2.ts";
import { type Behaviour, Bench, type Blob, run, type TraceEntry, type WrittenPointer } from "./frame.ts";
import { generic } from "./generic.ts";
import { type OsTable, osView } from "./os-view.ts";
import { seabios } from "./seabios.ts";
import { strict } from "./strict.ts";

export interface Firmware {
  /** The program and version whose behaviour this is. */
  readonly title: string;
  readonly machine: () => Machine;
  readonly behaviour: (bench: Bench) => Behaviour;
}

export const FIRMWARES = {
  generic: { title: "a generic firmware", machine: virt, behaviour: generic },
  seabios: { title: "SeaBIOS 1.17", machine: q35, behaviour: seabios },
  ovmf: { title: "EDK2 OVMF 2026.08", machine: q35, behaviour: edk2(OVMF) },
  aavmf: { title: "EDK2 AAVMF 2026.08", machine: virt, behaviour: edk2(AAVMF) },
  strict: { title: "what SeaBIOS and EDK2 treat alike", machine: q35, behaviour: strict },
} as const satisfies Record<string, Firmware>;
export type FirmwareName = keyof typeof FIRMWARES;

export interface BootOptions {
  /** Default: `generic`. */
  readonly firmware?: FirmwareName;
  /** Default: the machine this firmware is built for, with 256 MiB. */
  readonly machine?: Machine;
  /** Default: sparse memory over the machine's RAM. */
  readonly memory?: GuestMemory;
  /** Addresses by file name; what is not named is placed by the firmware. */
  readonly placements?: ReadonlyMap<string, bigint>;
  /** Default: a new device with the files. */
  readonly device?: FwCfgDevice;
}

export interface BootResult {
  readonly firmware: FirmwareName;
  readonly machine: Machine;
  readonly memory: GuestMemory;
  /** The host's side of fw_cfg: `device.file(name)` is what the host reads back. */
  readonly device: FwCfgDevice;
  readonly script: LoaderScript;
  readonly trace: readonly TraceEntry[];
  /** Where each file lies in guest memory after the boot; a file the firmware gave back is not there. */
  readonly placements: ReadonlyMap<string, Blob>;
  /** `acpi`: the operating system has tables; `noAcpi`: it has none; `stuck`: the firmware never gets there. */
  readonly state: "acpi" | "noAcpi" | "stuck";
  /** Why it is not `acpi`. */
  readonly failure?: string;
  readonly notes: readonly string[];
  readonly rsdpAddress?: bigint;
  readonly rootTable?: OsTable;
  /** What the operating system finds, in its order. */
  readonly tables: readonly OsTable[];
  /** Names of the tables as Linux lists them in `/sys/firmware/acpi/tables`. */
  readonly listing: readonly string[];
  /** Pointers the host holds in the end. */
  readonly writtenPointers: readonly WrittenPointer[];
  /** Suspend to RAM and resume: the host forgets what was written, the firmware writes again what it kept. */
  resume(): readonly WrittenPointer[];
}

/**
 * Boot a firmware on fw_cfg files.
 * @throws UsageError for placements outside RAM or on top of each other. Bad scripts never throw: that is what the trace is for.
 */
export function boot(files: FwCfgFiles, options: BootOptions = {}): BootResult {
  const name = options.firmware ?? "generic";
  const firmware: Firmware = FIRMWARES[name];
  const machine = options.machine ?? firmware.machine();
  const memory = options.memory ?? new SparseMemory(machine.ram);
  const device = options.device ?? new FwCfgDevice(files);
  const bench = new Bench(memory, machine, device, options.placements ?? new Map());
  const behaviour = firmware.behaviour(bench);
  const { script, trace, finish } = run(bench, behaviour);
  const view = finish.rsdpAddress === undefined || finish.stuck ? undefined : osView(memory, finish.rsdpAddress);
  const tables = view?.tables ?? [];
  const failure = finish.failure ?? (tables.length === 0 ? (view?.problems[0] ?? "there is no root pointer") : undefined);
  return {
    firmware: name,
    machine,
    memory,
    device,
    script,
    trace,
    placements: bench.blobs,
    state: finish.stuck ? "stuck" : tables.length > 0 ? "acpi" : "noAcpi",
    ...(failure !== undefined && { failure }),
    notes: [...finish.notes, ...(view?.problems ?? [])],
    ...(finish.rsdpAddress !== undefined && { rsdpAddress: finish.rsdpAddress }),
    ...(view?.root && { rootTable: view.root }),
    tables,
    listing: view?.listing ?? [],
    writtenPointers: bench.written,
    resume: () => {
      device.reset();
      return behaviour.resume();
    },
  };
}
