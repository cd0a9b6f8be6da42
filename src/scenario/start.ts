/** From power-on to the moment the monitor knows where its sources are: files, firmware, the way back of the address. */
import { type BootResult, boot, FIRMWARES } from "../firmware/boot.ts";
import type { InjectedError } from "../host/einj-device.ts";
import type { Locate } from "../host/error-source.ts";
import { inHardwareErrors, inHest, inHestAsQemu, sourcesOf } from "../host/locate.ts";
import type { MonitorPolicy } from "../host/monitor.ts";
import type { Subject } from "../host/notification.ts";
import { hexNumber } from "../layout/index.ts";
import { FILE } from "../loader/fw-cfg.ts";
import { q35 } from "../machine/machines.ts";
import { type GuestMemory, SparseMemory } from "../machine/memory.ts";
import { PlatformDevices } from "./devices.ts";
import { machineFiles, sourcesFor } from "./machine.ts";
import type { Scenario } from "./schema.ts";
import type { Timeline } from "./timeline.ts";

export interface Started {
  readonly booted: BootResult;
  readonly platform: PlatformDevices;
  readonly memory: GuestMemory;
  /** Absent when the monitor does not know where its sources are. */
  readonly locate?: Locate;
  /** The sources the monitor knows, with their notifications. */
  readonly subjects: readonly Subject[];
}

/** Build the machine, hand it to its firmware, and let the monitor look for its sources. */
export function startMachine(scenario: Scenario, policy: MonitorPolicy, timeline: Timeline, inject: (error: InjectedError) => void): Started {
  const { machine = {} } = scenario;
  const firmware = machine.firmware ?? "generic";
  const board = machine.architecture === "x86" ? q35() : FIRMWARES[firmware].machine();
  const ram = new SparseMemory(board.ram);
  const platform = new PlatformDevices(machine, board.ram, ram, timeline, inject);
  const files = machineFiles(machine, policy, platform.tables);
  const placements = new Map(Object.entries(machine.place ?? {}).map(([name, address]) => [name, BigInt(address)]));
  const booted = boot(files, { firmware, machine: board, memory: ram, placements });
  for (const { name, size, address } of booted.placements.values())
    timeline.add("firmware", "memory", "placed", `${name}: ${size} bytes at ${hexNumber(address)}`, {
      data: { file: name, address: hexNumber(address), size },
    });
  if (booted.state !== "acpi") timeline.add("firmware", undefined, "failed", `no ACPI: ${booted.failure}`, { bad: true });
  for (const { file, value } of booted.writtenPointers)
    timeline.add("firmware", "monitor", "handOff", `${hexNumber(value)} written to ${file}`, { data: { address: hexNumber(value), file } });
  const found = machine.ras === false ? undefined : findSources(scenario, policy, timeline, booted, platform.memory);
  return { booted, platform, memory: platform.memory, subjects: [], ...found };
}

/** The host takes the address from where the firmware wrote it, never from the description it built. */
function findSources(
  scenario: Scenario,
  policy: MonitorPolicy,
  timeline: Timeline,
  { device, placements }: BootResult,
  memory: GuestMemory,
): { readonly locate: Locate; readonly subjects: readonly Subject[] } | undefined {
  const sources = sourcesFor(scenario.machine, policy);
  const blockLength = sources[0]?.blockLength ?? 0;
  const written = (file: string): bigint => {
    const bytes = device.file(file);
    return bytes?.length === 8 ? new DataView(bytes.buffer).getBigUint64(0, true) : 0n;
  };
  const located = (address: bigint, text: string) => timeline.add("monitor", undefined, "located", text, { data: { address: hexNumber(address) } });
  if (policy.handOff === "hardwareErrors") {
    const base = written(FILE.hardwareErrorsAddress);
    if (base === 0n) return undefined;
    located(base, `sources are looked for at ${hexNumber(base)}, from ${FILE.hardwareErrorsAddress}`);
    return {
      locate: inHardwareErrors(memory, base, sources.length, blockLength),
      subjects: sources.map(({ id, notification, vector = 0, pollInterval = 0 }) => ({ source: id, type: notification, vector, pollInterval })),
    };
  }
  const hest = written(FILE.hestAddress);
  if (hest === 0n || (policy.handOff === "direct" && placements.size === 0)) return undefined;
  located(
    hest,
    policy.handOff === "hest" ? `HEST is walked at ${hexNumber(hest)}, from ${FILE.hestAddress}` : `HEST is at ${hexNumber(hest)}, where the loader put it`,
  );
  const subjects = sourcesOf(memory, hest).flatMap(({ id, notification }) =>
    notification && typeof notification.type === "string"
      ? [{ source: id, type: notification.type, vector: notification.vector, pollInterval: notification.pollInterval }]
      : [],
  );
  const asQemu = policy.handOff === "hest" && policy.walk === "qemu";
  return { locate: asQemu ? inHestAsQemu(memory, hest, blockLength) : inHest(memory, hest), subjects };
}
