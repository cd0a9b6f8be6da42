/** From power-on to the moment the monitor knows where its sources are: by way of firmware, or because it placed them. */
import { type BootResult, boot, FIRMWARES } from "../firmware/boot.ts";
import { type OsTable, osView } from "../firmware/os-view.ts";
import { placeDirectly } from "../host/direct-boot.ts";
import type { InjectedError } from "../host/einj-device.ts";
import type { Locate } from "../host/error-source.ts";
import { inHardwareErrors, inHest, inHestAsQemu, sourcesOf } from "../host/locate.ts";
import { MemoryWithDevices, type MmioDevice } from "../host/mmio.ts";
import type { MonitorPolicy } from "../host/monitor.ts";
import type { Subject } from "../host/notification.ts";
import { hexNumber, UsageError } from "../layout/index.ts";
import { FILE } from "../loader/fw-cfg.ts";
import { type Machine, q35 } from "../machine/machines.ts";
import { type GuestMemory, SparseMemory } from "../machine/memory.ts";
import { OpenBus } from "../machine/open-bus.ts";
import { PlatformDevices } from "./devices.ts";
import { directParts, hasSources, machineFiles, namingSources, sourcesFor } from "./machine.ts";
import type { Outside } from "./outside.ts";
import type { MachineChoice, Scenario } from "./schema.ts";
import type { Timeline } from "./timeline.ts";

export interface Started {
  readonly platform: PlatformDevices;
  readonly ram: GuestMemory;
  readonly memory: GuestMemory;
  /** The same as the monitor reaches it. */
  readonly hostMemory: GuestMemory;
  /** From power-on or reset to where the guest's kernel starts. */
  bringUp(): BroughtUp;
}
export interface BroughtUp {
  /** Where the guest finds the root pointer; absent when there is no ACPI. */
  readonly rsdpAddress?: bigint;
  /** The tables the guest finds. */
  readonly tables: readonly OsTable[];
  /** Absent when the monitor does not know where its sources are. */
  readonly locate?: Locate;
  /** The sources the monitor knows, with their notifications. */
  readonly subjects: readonly Subject[];
}
/** Who starts the guest, and how. */
interface Start {
  readonly scenario: Scenario;
  readonly policy: MonitorPolicy;
  readonly timeline: Timeline;
  readonly board: Machine;
  readonly ram: GuestMemory;
  readonly hostMemory: GuestMemory;
  readonly platform: PlatformDevices;
  readonly placements: ReadonlyMap<string, bigint>;
}

/** Build the machine. @throws UsageError, EncodeError */
export function buildMachine(scenario: Scenario, policy: MonitorPolicy, timeline: Timeline, inject: (error: InjectedError) => void, outside: Outside): Started {
  const { machine = {} } = scenario;
  const board = machine.architecture === "x86" ? q35() : FIRMWARES[machine.firmware ?? "generic"].machine();
  const ram = new SparseMemory(board.ram);
  const platform = new PlatformDevices(machine, board.ram, ram, timeline, inject, outside);
  const placements = new Map(Object.entries(machine.place ?? {}).map(([name, address]) => [name, BigInt(address)]));
  const lost = (address: bigint, length: number) =>
    timeline.add("monitor", undefined, "lost", `nothing is at ${hexNumber(address)}: ${length} bytes are written nowhere, and nobody notices`, { bad: true });
  // QEMU reads zeros where nothing is; a monitor of its own kind finds out.
  const bus = machine.architecture === "x86" ? platform.memory : new MemoryWithDevices(platform.memory, [{ start: 0n, device: FLASH }]);
  const hostMemory = policy.walk === "qemu" ? new OpenBus(bus, lost) : platform.memory;
  const start = { scenario, policy, timeline, board, ram, hostMemory, platform, placements };
  const bringUp = () => ({ subjects: [], ...(policy.handOff === "direct" ? startDirectly(start) : startFirmware(start)) });
  return { platform, ram, memory: platform.memory, hostMemory, bringUp };
}

/** The flash of QEMU's `virt` machine. Of the firmware in it no more is known here than that it is not zero; writes are commands to the chip. */
const FLASH: MmioDevice = { length: 64 << 20, read: (_, size) => BigInt.asUintN(8 * size, -1n), write: () => {} };

/** How a kernel that is started without firmware learns where the root pointer is. */
const ROOT_POINTER_WORDS = {
  x86: "in its boot parameters (acpi_rsdp_addr)",
  arm64: "in an EFI system table that the monitor makes for it, as Xen does for its first guest",
} as const;

/** The monitor places everything itself, or the boot firmware of a physical machine does: whoever writes records knows every address. */
function startDirectly({ scenario: { machine = {} }, policy, timeline, board, ram, hostMemory, platform, placements }: Start) {
  if (machine.firmware !== undefined) throw new UsageError(`machine.firmware: this monitor starts its guest without firmware (handOff "direct")`);
  const physical = machine.kind === "physical";
  const placer = physical ? "firmware" : "monitor";
  const { rsdpAddress, hestAddress, parts } = namingSources(() =>
    placeDirectly({ memory: ram, ram: board.ram, placements, ...directParts(machine, policy, platform) }),
  );
  for (const { name, size, address } of parts)
    timeline.add(placer, "memory", "placed", `${name}: ${size} bytes at ${hexNumber(address)}`, {
      data: { part: name, address: hexNumber(address), size },
    });
  const where = ROOT_POINTER_WORDS[machine.architecture ?? "arm64"];
  timeline.add(
    placer,
    "guest",
    "handOff",
    physical
      ? `the EFI system table has the RSDP's address ${hexNumber(rsdpAddress)}`
      : `no firmware: the kernel finds the RSDP's address ${hexNumber(rsdpAddress)} ${where}`,
    { data: { address: hexNumber(rsdpAddress) } },
  );
  const { tables } = osView(ram, rsdpAddress);
  if (hestAddress === undefined) return { rsdpAddress, tables };
  timeline.add(
    "monitor",
    undefined,
    "located",
    `HEST is at ${hexNumber(hestAddress)}: ${physical ? "the firmware" : "the monitor"} has put it there, nobody has to tell it`,
    {
      data: { address: hexNumber(hestAddress) },
    },
  );
  return { rsdpAddress, tables, locate: inHest(hostMemory, hestAddress), subjects: subjectsOf(hostMemory, hestAddress) };
}

/** Hand the files to a firmware, and let the monitor look for its sources where the firmware says. */
function startFirmware({ scenario, policy, timeline, board, ram, hostMemory, platform, placements }: Start) {
  const { machine = {} } = scenario;
  const files = machineFiles(machine, policy, platform);
  const booted = boot(files, { firmware: machine.firmware ?? "generic", machine: board, memory: ram, placements });
  for (const { name, size, address } of booted.placements.values())
    timeline.add("firmware", "memory", "placed", `${name}: ${size} bytes at ${hexNumber(address)}`, {
      data: { file: name, address: hexNumber(address), size },
    });
  if (booted.state !== "acpi") timeline.add("firmware", undefined, "failed", `no ACPI: ${booted.failure}`, { bad: true });
  for (const { file, value } of booted.writtenPointers)
    timeline.add("firmware", "monitor", "handOff", `${hexNumber(value)} written to ${file}`, { data: { address: hexNumber(value), file } });
  const found = hasSources(machine, policy) ? findSources(scenario, policy, timeline, booted, hostMemory) : undefined;
  return { ...(booted.rsdpAddress !== undefined && { rsdpAddress: booted.rsdpAddress }), tables: booted.tables, ...found };
}

/** The host takes the address from where the firmware wrote it, never from the description it built. */
function findSources(
  scenario: Scenario,
  policy: MonitorPolicy,
  timeline: Timeline,
  { device }: BootResult,
  memory: GuestMemory,
): { readonly locate: Locate; readonly subjects: readonly Subject[] } | undefined {
  const written = (file: string): bigint => {
    const bytes = device.file(file);
    return bytes?.length === 8 ? new DataView(bytes.buffer).getBigUint64(0, true) : 0n;
  };
  const located = (address: bigint, text: string) => timeline.add("monitor", undefined, "located", text, { data: { address: hexNumber(address) } });
  if (policy.handOff === "hardwareErrors") {
    const base = written(FILE.hardwareErrorsAddress);
    if (base === 0n) return undefined;
    located(base, `sources are looked for at ${hexNumber(base)}, from ${FILE.hardwareErrorsAddress}`);
    return sourcesBehind(memory, base, scenario.machine, policy);
  }
  const hest = written(FILE.hestAddress);
  if (hest === 0n) return undefined;
  located(hest, `HEST is walked at ${hexNumber(hest)}, from ${FILE.hestAddress}`);
  return sourcesBehind(memory, hest, scenario.machine, policy);
}

/** Where the monitor finds its sources, and how they notify. @param address what the firmware wrote back. */
export function sourcesBehind(
  memory: GuestMemory,
  address: bigint,
  machine: MachineChoice | undefined,
  policy: MonitorPolicy,
): { readonly locate: Locate; readonly subjects: readonly Subject[] } {
  const sources = sourcesFor(machine, policy);
  const blockLength = sources[0]?.blockLength ?? 0;
  if (policy.handOff === "hardwareErrors")
    return {
      locate: inHardwareErrors(memory, address, sources.length, blockLength),
      subjects: sources.map(({ id, notification, vector, pollInterval }) => ({ source: id, type: notification, vector, pollInterval })),
    };
  return {
    locate: policy.walk === "qemu" ? inHestAsQemu(memory, address, blockLength) : inHest(memory, address),
    subjects: subjectsOf(memory, address),
  };
}

/** The sources of a HEST whose notification has a name. */
const subjectsOf = (memory: GuestMemory, hest: bigint): readonly Subject[] =>
  sourcesOf(memory, hest).flatMap(({ id, notification }) =>
    notification && typeof notification.type === "string"
      ? [{ source: id, type: notification.type, vector: notification.vector, pollInterval: notification.pollInterval }]
      : [],
  );
