/** Host and guest over one small memory, ready to be explored. */
import { buildErrorStatusBlock } from "../../src/acpi/status-block.ts";
import { type GhesDevice, take } from "../../src/guest/ghes.ts";
import { type DeviceState, ErrorSourceDevice, type Locate, type RecordingPolicy } from "../../src/host/error-source.ts";
import type { GuestMemory } from "../../src/machine/memory.ts";
import { explore, type Program, SmallMemory } from "./explore.ts";
import { ACK, BLOCK, placeSources } from "./place.ts";

export const QUEUE: RecordingPolicy = { unacknowledged: { action: "queue", limit: 3, whenFull: "dropNewest" }, stores: "statusLast", acknowledgement: "bits" };
/** A record whose every byte of data is its number. */
const record = (n: number) =>
  buildErrorStatusBlock("recoverable", [
    {
      header: {
        errorSeverity: "recoverable",
        revision: 0x0201,
        fruText: String.fromCharCode(64 + n).repeat(20),
        sectionType: "c197e04e-d545-4a70-9c17-a5549419eb12",
      },
      body: new Uint8Array(8).fill(n),
    },
  ]);
const RECORDS = new Map([1, 2, 3].map((n) => [Buffer.from(record(n)).toString("latin1"), n]));

interface HostState {
  readonly device: DeviceState;
  readonly submitted: number;
}
interface GuestState {
  readonly seen: readonly (number | "torn")[];
}
export type Take = typeof take;

export interface Setup {
  readonly version?: 1 | 2;
  readonly policy?: RecordingPolicy;
  /** Source of each of the three errors. */
  readonly errors?: readonly number[];
  readonly shared?: boolean;
  /** The host's memory, with its stores in another order. */
  readonly hostMemory?: (memory: GuestMemory) => GuestMemory;
  readonly locate?: (locate: Locate) => Locate;
  readonly take?: Take;
  /** Bytes a plain copy moves in one step. */
  readonly chunk?: number;
  /** The host's stores become visible as late and as disordered as on arm64. */
  readonly weak?: boolean;
}

export function run({
  version = 2,
  policy = QUEUE,
  errors = [0, 1, 0],
  shared = false,
  hostMemory = (memory) => memory,
  locate = (l) => l,
  take: taking = take,
  chunk = 32,
  weak = false,
}: Setup) {
  const sources = [0, 1].map((i) => ({ version, write: shared ? BigInt(1 << i) : 1n, preserve: shared ? 0xffffn : 0xfffffffffffffffen }));
  const placed = placeSources(sources, { sharedAcknowledge: shared });
  // Of all memory only the acknowledge words and the blocks change.
  const length = record(1).length + 4;
  const memory = new SmallMemory([
    [ACK(0), 16],
    [BLOCK(0), length],
    [BLOCK(1), length],
  ]);
  for (const [start, size] of memory.windows) memory.write(start, placed.memory.read(start, size));
  // Tables and pointers do not change: what is looked up once need not be looked up at every step.
  const locations = [0, 1].map((id) => placed.locate(id));
  const fixed: Locate = locate((id) => locations[id]!);
  const devices = placed.devices.map((device): GhesDevice => device);
  const pointers = new Map(devices.map(({ source }) => [source.errorStatusAddress.address, placed.memory.readWord(source.errorStatusAddress.address, 8)]));
  const withPointers = (inner: GuestMemory): GuestMemory => ({
    read: (address, length) => inner.read(address, length),
    write: (address, bytes) => inner.write(address, bytes),
    readWord: (address, size) => pointers.get(address) ?? inner.readWord(address, size),
    writeWord: (address, size, value) => inner.writeWord(address, size, value),
  });
  const host: Program<HostState> = {
    start: { device: new Map(), submitted: 0 },
    key: (state) =>
      `${state.submitted};${[...state.device].map(([id, { queue, account }]) => `${id}:${queue.map(({ tag }) => tag)}:${Object.values(account)}`).join(";")}`,
    next: (state) => (inner) => {
      const device = new ErrorSourceDevice({ memory: hostMemory(inner), locate: fixed, policy, state: structuredClone(state.device) });
      if (state.submitted === errors.length) device.service();
      else device.record(errors[state.submitted]!, record(state.submitted + 1), state.submitted + 1);
      return { device: device.state, submitted: Math.min(errors.length, state.submitted + 1) };
    },
  };
  const guest = (device: GhesDevice): Program<GuestState> => ({
    start: { seen: [] },
    key: (state) => state.seen.join(),
    next: (state) => (inner) => {
      const report = taking({ memory: withPointers(inner) }, device);
      if (report.found === "nothing") return state;
      return { seen: [...state.seen, report.found === "record" ? (RECORDS.get(Buffer.from(report.block).toString("latin1")) ?? "torn") : "torn"] };
    },
  });
  const programs = [host, ...devices.map(guest)] as unknown as readonly Program<never>[];
  const check = ([, ...guests]: readonly unknown[]) => {
    const seen = (guests as GuestState[]).map((state) => state.seen);
    for (const [i, list] of seen.entries()) {
      if (list.includes("torn")) return "torn record";
      if (new Set(list).size < list.length) return "doubled record";
      if (list.some((n) => errors[(n as number) - 1] !== i)) return "record at the wrong source";
      if (list.some((n, k) => k > 0 && n < list[k - 1]!)) return "order lost";
    }
    return undefined;
  };
  const goal = ([state, ...guests]: readonly unknown[]) => {
    const { device, submitted } = state as HostState;
    const delivered = (guests as GuestState[]).reduce((sum, { seen }) => sum + seen.length, 0);
    const accounts = [...device.values()].map(({ account }) => account);
    const written = accounts.reduce((sum, account) => sum + account.written, 0);
    const answered = accounts.reduce((sum, account) => sum + account.written + account.refused + account.dropped + account.overflowed, 0);
    return submitted === errors.length && answered === errors.length && delivered === written;
  };
  return explore(memory, programs, check as never, goal as never, chunk, weak ? [0] : []);
}

export const CASES: readonly (readonly [name: string, setup: Setup])[] = [
  ["version 2, waiting records", {}],
  ["version 2, three errors of one source", { errors: [0, 0, 0] }],
  ["version 1, waiting records", { version: 1 }],
  ["version 2, refused records", { policy: { ...QUEUE, unacknowledged: { action: "refuse" } } }],
  ["version 1, refused records", { version: 1, policy: { ...QUEUE, unacknowledged: { action: "refuse" } } }],
  ["one acknowledge word for both sources", { shared: true }],
];
