/** What every firmware does alike: take the script from fw_cfg and carry its entries out one after the other. The behaviours say how. */
import { byteSum } from "../acpi/table-header.ts";
import { hexNumber, UsageError } from "../layout/index.ts";
import type { Entry } from "../loader/commands.ts";
import { FILE } from "../loader/fw-cfg.ts";
import { type LoaderScript, parseScript } from "../loader/script.ts";
import { overlaps } from "../machine/allocator.ts";
import type { FwCfgDevice } from "../machine/fw-cfg-device.ts";
import type { Machine } from "../machine/machines.ts";
import { fromLittleEndian, type GuestMemory, type Region, toLittleEndian } from "../machine/memory.ts";
import { FwCfgClient, type RomFile } from "./fw-cfg-client.ts";

/** A file as it lies in guest memory. */
export interface Blob {
  readonly name: string;
  readonly address: bigint;
  /** Bytes. */
  readonly size: number;
  /** Where it was put, in words. */
  readonly zone: string;
}

/** What became of an entry. `stuck` is the firmware hanging in it for ever. */
export type Step = { readonly outcome: "done" | "skipped" | "refused" | "stuck"; readonly detail: string };
export const done = (detail: string): Step => ({ outcome: "done", detail });
export const skipped = (detail: string): Step => ({ outcome: "skipped", detail });
export const refused = (detail: string): Step => ({ outcome: "refused", detail });
export const stuck = (detail: string): Step => ({ outcome: "stuck", detail });

export interface TraceEntry extends Step {
  /** Index of the entry in the script. */
  readonly index: number;
  readonly entry: Entry;
}

/** A pointer written back to the host. */
export interface WrittenPointer {
  readonly file: string;
  readonly key: number;
  /** Bytes from the start of the file. */
  readonly offset: number;
  readonly size: number;
  readonly value: bigint;
}

export type EntryOf<C extends string> = Extract<Entry, { command: C }>;

/** How one firmware goes about it. Made anew for each boot, since it keeps that boot's state. */
export interface Behaviour {
  /** Before the first entry; a text refuses the whole script. */
  begin(script: LoaderScript, size: number): string | undefined;
  allocate(entry: EntryOf<"allocate">): Step;
  addPointer(entry: EntryOf<"addPointer">): Step;
  addChecksum(entry: EntryOf<"addChecksum">): Step;
  writePointer(entry: EntryOf<"writePointer">): Step;
  /** Whether a refused entry ends the script. */
  readonly stopsAtRefusal: boolean;
  /** After the last entry, or after the first refusal when that stops it; a text says what then went wrong. */
  finish(script: LoaderScript, failure: string | undefined): Finish;
  /** Write pointers again after suspend to RAM, in the order in which the firmware does it. */
  resume(): readonly WrittenPointer[];
}

export interface Finish {
  /** Where the operating system finds the root pointer. */
  readonly rsdpAddress?: bigint;
  /** Why everything is lost, when it is. */
  readonly failure?: string;
  /** The firmware hangs. */
  readonly stuck?: boolean;
  /** What else a reader of the trace should know. */
  readonly notes: readonly string[];
}

type NamedRegion = Region & { readonly name: string };

/** The machine as the behaviours use it. */
export class Bench {
  readonly memory: GuestMemory;
  readonly machine: Machine;
  readonly device: FwCfgDevice;
  readonly fwCfg: FwCfgClient;
  /** Files in memory now, in the order of their allocation. */
  readonly blobs = new Map<string, Blob>();
  readonly written: WrittenPointer[] = [];
  readonly #placements: ReadonlyMap<string, bigint>;
  #fixed: readonly NamedRegion[] = [];
  /** Fixed places of files that are still to come. */
  readonly #promised: readonly NamedRegion[];

  constructor(memory: GuestMemory, machine: Machine, device: FwCfgDevice, placements: ReadonlyMap<string, bigint>) {
    this.memory = memory;
    this.machine = machine;
    this.device = device;
    this.fwCfg = new FwCfgClient(device);
    this.#placements = placements;
    this.#promised = [...placements].flatMap(([name, start]) => {
      const file = this.fwCfg.find(name);
      return file ? [{ name, start, length: BigInt(file.size) }] : [];
    });
  }

  /**
   * The place of `name`: the one that was fixed for it, or what `allocate` finds beside all that are fixed.
   * @param lead bytes of the allocation that come before the place itself.
   * @throws UsageError when a fixed place is outside RAM or overlaps another.
   */
  place(name: string, size: number, reserve: (start: bigint, length: bigint) => boolean, allocate: () => bigint | undefined, lead = 0): bigint | undefined {
    const fixed = this.#placements.get(name);
    const length = BigInt(size);
    if (fixed === undefined) {
      // A place that somebody else was promised stays taken.
      for (let found = allocate(); ; found = allocate())
        if (found === undefined || !this.#promised.some((region) => region.name !== name && overlaps(region, { start: found, length }))) return found;
    }
    const region = { name, start: fixed - BigInt(lead), length };
    const inside = this.machine.ram.some((ram) => region.start >= ram.start && region.start + length <= ram.start + ram.length);
    if (!inside) throw new UsageError(`${name}: ${hexNumber(fixed)} and the ${size} bytes from there are not in RAM`);
    const blobs = [...this.blobs.values()].map((blob) => ({ name: blob.name, start: blob.address, length: BigInt(blob.size) }));
    const other = [...this.#fixed, ...blobs].find((taken) => taken.name !== name && overlaps(taken, region));
    if (other) throw new UsageError(`${name}: ${hexNumber(fixed)} overlaps ${other.name}, which lies at ${hexNumber(other.start)} with ${other.length} bytes`);
    this.#fixed = [...this.#fixed.filter((taken) => taken.name !== name), region];
    // Places outside the firmware's own pool need no reservation there.
    reserve(region.start, length);
    return region.start;
  }

  /** Copy a file to its place. */
  load(file: RomFile, address: bigint, zone: string): Blob {
    const blob = { name: file.name, address, size: file.size, zone };
    this.memory.write(address, this.fwCfg.read(file));
    this.blobs.set(file.name, blob);
    return blob;
  }

  read(blob: Blob, offset: number, size: number): bigint {
    return fromLittleEndian(this.memory.read(blob.address + BigInt(offset), size));
  }

  write(blob: Blob, offset: number, size: number, value: bigint): void {
    this.memory.write(blob.address + BigInt(offset), toLittleEndian(value, size));
  }

  /** Sum of bytes modulo 256. */
  sum(blob: Blob, start: number, length: number): number {
    return byteSum(this.memory.read(blob.address + BigInt(start), length));
  }
}

export interface Run {
  readonly script: LoaderScript;
  readonly trace: readonly TraceEntry[];
  readonly finish: Finish;
}

/** Carry out the script of `etc/table-loader` by a behaviour. */
export function run(bench: Bench, behaviour: Behaviour): Run {
  const file = bench.fwCfg.find(FILE.script);
  const script = file ? parseScript(bench.fwCfg.read(file)) : { entries: [] };
  const trace: TraceEntry[] = [];
  const whole = file ? behaviour.begin(script, file.size) : `there is no fw_cfg file ${FILE.script}`;
  if (whole !== undefined) return { script, trace, finish: behaviour.finish(script, whole) };
  let failure: string | undefined;
  for (const [index, entry] of script.entries.entries()) {
    const step = carryOut(behaviour, entry);
    trace.push({ index, entry, ...step });
    if (step.outcome === "stuck") return { script, trace, finish: { stuck: true, failure: `entry ${index}: ${step.detail}`, notes: [] } };
    if (step.outcome === "refused" && behaviour.stopsAtRefusal) {
      failure = `entry ${index}: ${step.detail}`;
      break;
    }
  }
  return { script, trace, finish: behaviour.finish(script, failure) };
}

function carryOut(behaviour: Behaviour, entry: Entry): Step {
  switch (entry.command) {
    case "allocate":
      return behaviour.allocate(entry);
    case "addPointer":
      return behaviour.addPointer(entry);
    case "addChecksum":
      return behaviour.addChecksum(entry);
    case "writePointer":
      return behaviour.writePointer(entry);
    default:
      return skipped(entry.command === 0 ? "an empty entry" : `unknown command ${hexNumber(entry.command)}`);
  }
}
