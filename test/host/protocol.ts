/** Host and guest over one small memory, ready to be explored. */
import { buildErrorStatusBlock, ErrorStatusBlockHeader } from "../../src/acpi/status-block.ts";
import { blockTotal, type GhesDevice, type Report, release, take, walkEntries } from "../../src/guest/ghes.ts";
import { type DeviceState, ErrorSourceDevice, type Locate, type RecordingPolicy } from "../../src/host/error-source.ts";
import { parse } from "../../src/layout/index.ts";
import type { GuestMemory } from "../../src/machine/memory.ts";
import { type ExploredMemory, explore, INTERRUPT_ALL, type Program, SmallMemory } from "./explore.ts";
import { ACK, BASE, BLOCK, placeSources } from "./place.ts";

export const QUEUE: RecordingPolicy = { unacknowledged: { action: "queue", limit: 3, whenFull: "dropNewest" }, stores: "statusLast", acknowledgement: "bits" };
const HEADER_LENGTH = ErrorStatusBlockHeader.size;
/** A record whose every byte of data is its number. @param size bytes of data. */
const record = (n: number, size = 8) =>
  buildErrorStatusBlock("recoverable", [
    {
      header: {
        errorSeverity: "recoverable",
        revision: 0x0201,
        fruText: String.fromCharCode(64 + n).repeat(20),
        sectionType: "c197e04e-d545-4a70-9c17-a5549419eb12",
      },
      body: new Uint8Array(size).fill(n),
    },
  ]);

interface HostState {
  readonly device: DeviceState;
  readonly submitted: number;
}
interface GuestState {
  readonly seen: readonly (number | "torn")[];
}
export type Take = typeof take;
const BELL = (i: number) => BASE + 0x8000n + 8n * BigInt(i);

/** Where a guest's loads are kept in order. */
export interface LinuxOrder {
  /** Linux 7.2 on arm64: taking the mapping of the header away ends with DSB ISH, and so does that of the block. */
  readonly afterHeader: boolean;
  readonly afterBlock: boolean;
  /** Sources that notify by SEA or NMI: whether anything is pending is looked up with readl(), which acquires. */
  readonly statusFirst?: boolean;
}
/**
 * The loads and stores of Linux 7.2 in their order: ghes_read_estatus copies the header, then header and body, with
 * memcpy_fromio, words of 8 bytes without a barrier; ghes_clear_estatus stores the status, then the acknowledgement.
 */
export const takeAsLinux =
  ({ afterHeader, afterBlock, statusFirst = false }: LinuxOrder): Take =>
  (spaces, device): Report => {
    const memory = spaces.memory as ExploredMemory;
    const address = memory.readWord(device.source.errorStatusAddress.address, 8);
    if (statusFirst && memory.readWord(address, 4) === 0n) return { found: "nothing", reason: "nothing pending" };
    const header = memory.read(address, HEADER_LENGTH);
    if (afterHeader) memory.barrier();
    if (new DataView(header.buffer).getUint32(0, true) === 0) return { found: "nothing", reason: "block status is zero" };
    const total = blockTotal(header);
    const fits = total >= HEADER_LENGTH && total <= device.blockLength;
    // Without a barrier the processor may load the block when its own stores are visible already.
    if (!afterBlock) release(spaces, device, address);
    const block = fits ? memory.read(address, total) : header;
    if (afterBlock) {
      memory.barrier();
      release(spaces, device, address);
    } else block.set(header.subarray(0, 4));
    const whole = fits && HEADER_LENGTH + parse(ErrorStatusBlockHeader, block).dataLength! <= total && walkEntries(block) !== undefined;
    return whole ? { found: "record", address, block } : { found: "rubbish", address, message: "Failed to read error status block!" };
  };
/** The host interrupts all processors of the guest before it stores a status. */
export const interruptingHost = (inner: GuestMemory): GuestMemory => ({
  read: (address, length) => inner.read(address, length),
  write: (address, bytes) => inner.write(address, bytes),
  readWord: (address, size) => inner.readWord(address, size),
  writeWord: (address, size, value) => {
    if (size === 4 && value !== 0n) inner.writeWord(INTERRUPT_ALL, 4, 0n);
    inner.writeWord(address, size, value);
  },
});

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
  /** The guest's loads are done as early and as disordered as on arm64. */
  readonly early?: boolean;
  /** Bytes of data of the three records. */
  readonly sizes?: readonly number[];
  /** After a record its source's bell is rung; a guest looks where a bell was rung. `shared`: one bell for both sources. */
  readonly bells?: "own" | "shared";
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
  early = false,
  sizes = [8, 8, 8],
  bells,
}: Setup) {
  const records = errors.map((_, i) => record(i + 1, sizes[i]));
  const numbers = new Map(records.map((bytes, i) => [Buffer.from(bytes).toString("latin1"), i + 1]));
  const sources = [0, 1].map((i) => ({ version, write: shared ? BigInt(1 << i) : 1n, preserve: shared ? 0xffffn : 0xfffffffffffffffen }));
  const placed = placeSources(sources, { sharedAcknowledge: shared });
  // Of all memory only the acknowledge words and the blocks change.
  const length = Math.max(...records.map((bytes) => bytes.length)) + 4;
  const windows = [[ACK(0), 16] as const, [BLOCK(0), length] as const, [BLOCK(1), length] as const];
  const memory = new SmallMemory(bells ? [...windows, [BELL(0), 16]] : windows);
  for (const [start, size] of windows) memory.write(start, placed.memory.read(start, size));
  // Tables and pointers do not change: what is looked up once need not be looked up at every step.
  const locations = [0, 1].map((id) => placed.locate(id));
  const fixed: Locate = locate((id) => locations[id]!);
  const devices = placed.devices.map((device): GhesDevice => device);
  const pointers = new Map(devices.map(({ source }) => [source.errorStatusAddress.address, placed.memory.readWord(source.errorStatusAddress.address, 8)]));
  const withPointers = (inner: ExploredMemory): ExploredMemory => ({
    barrier: () => inner.barrier(),
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
      const ring = (source: number) => {
        for (const guest of bells === "shared" ? [0, 1] : bells ? [source] : []) inner.writeWord(BELL(guest), 8, 1n);
      };
      if (state.submitted === errors.length) for (const { source } of device.service()) ring(source);
      else {
        const source = errors[state.submitted]!;
        if (device.record(source, records[state.submitted]!, state.submitted + 1) === "written") ring(source);
      }
      return { device: device.state, submitted: Math.min(errors.length, state.submitted + 1) };
    },
  };
  const guest = (device: GhesDevice, i: number): Program<GuestState> => ({
    start: { seen: [] },
    key: (state) => state.seen.join(),
    loads: (address) => address >= BLOCK(i) && address < BLOCK(i) + BigInt(length),
    next: (state) => (inner) => {
      if (bells) {
        if (inner.readWord(BELL(i), 8) === 0n) return state;
        inner.writeWord(BELL(i), 8, 0n);
      }
      const report = taking({ memory: withPointers(inner) }, device);
      if (report.found === "nothing") return state;
      return { seen: [...state.seen, report.found === "record" ? (numbers.get(Buffer.from(report.block).toString("latin1")) ?? "torn") : "torn"] };
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
  return explore(memory, programs, check as never, goal as never, chunk, weak ? [0] : [], early ? [1, 2] : []);
}

export const CASES: readonly (readonly [name: string, setup: Setup])[] = [
  ["version 2, waiting records", {}],
  ["version 2, three errors of one source", { errors: [0, 0, 0] }],
  ["version 1, waiting records", { version: 1 }],
  ["version 2, refused records", { policy: { ...QUEUE, unacknowledged: { action: "refuse" } } }],
  ["version 1, refused records", { version: 1, policy: { ...QUEUE, unacknowledged: { action: "refuse" } } }],
  ["one acknowledge word for both sources", { shared: true }],
];

const order = (more: Partial<LinuxOrder> = {}) => takeAsLinux({ afterHeader: true, afterBlock: true, ...more });
/** Guests on a processor that reorders loads: what they do, when they look, and what may come of it. */
export const LOAD_ORDERS: readonly {
  readonly guest: string;
  readonly looks: string;
  readonly setup: Setup;
  readonly finds: "nothing" | "torn record";
  /** Errors, by source, that show it; three for what must never happen. */
  readonly errors: readonly number[];
}[] = [
  { guest: "status first and by itself, acquired (this project's `peek`)", looks: "at any time", setup: {}, finds: "nothing", errors: [0, 1, 0] },
  { guest: "the same", looks: "at any time, host's stores disordered as well", setup: { weak: true, chunk: 64 }, finds: "nothing", errors: [0, 1, 0] },
  { guest: "Linux's order", looks: "at any time", setup: { take: order() }, finds: "torn record", errors: [0] },
  {
    guest: "Linux's order",
    looks: "when this source's own interrupt has arrived",
    setup: { take: order(), bells: "own" },
    finds: "nothing",
    errors: [0, 1, 0],
  },
  {
    guest: "Linux's order",
    looks: "when an interrupt for this or another source has arrived",
    setup: { take: order(), bells: "shared" },
    finds: "torn record",
    errors: [1, 0],
  },
  {
    guest: "Linux's order for SEA and NMI: `readl()` of the status before everything else",
    looks: "at any time",
    setup: { take: order({ statusFirst: true }) },
    finds: "nothing",
    errors: [0, 1, 0],
  },
  {
    guest: "Linux's order, and the host makes all vCPUs leave the guest between the body and the status",
    looks: "at any time",
    setup: { take: order(), hostMemory: interruptingHost },
    finds: "nothing",
    errors: [0, 1, 0],
  },
  {
    guest: "Linux's order without the barrier behind the header",
    looks: "at any time",
    setup: { take: order({ afterHeader: false }) },
    finds: "torn record",
    errors: [0],
  },
  {
    guest: "Linux's order without the barrier behind the block",
    looks: "when this source's own interrupt has arrived",
    setup: { take: order({ afterBlock: false }), bells: "own" },
    finds: "torn record",
    errors: [0, 0],
  },
];

/** What guests need, as Markdown. */
export const memoryOrderDocument = (): string =>
  [
    "# The order of loads and stores",
    "",
    "Generated by `test/host/interleavings.test.ts`, which finds what the table says by going through every interleaving; `npm run long:interleavings`",
    "does the same word by word with three errors of two sources.",
    "",
    "A record is whole for whoever finds its status, under two conditions.",
    "",
    "- **The host** stores the body, then the status, and the store of the status comes after all before it (release: `STLR`, or `DMB ISHST` before it; in",
    "  JavaScript `Atomics.store`). It takes the acknowledgement back before it stores anything else, and stores nothing until the guest has acknowledged.",
    "- **The guest** loads the status, and everything else of the block after it (acquire: `LDAR`, or `DMB ISHLD` behind it; `Atomics.load`). It has loaded all",
    "  it wants before its store that clears the status becomes visible, and the acknowledgement becomes visible last (release, or `DMB ISH` before each).",
    "",
    "On x86 loads are not reordered with loads, nor stores with stores or with loads before them: plain accesses in this order do. On arm64 they do not.",
    "",
    "Linux 7.2 on arm64 (`drivers/acpi/apei/ghes.c`, `arch/arm64`) copies the 20 bytes of the header with `memcpy_fromio`: two loads of 8 bytes and four of one,",
    "in any order as far as the processor is concerned. Then it takes the mapping away, and the TLB invalidation that goes with it ends in `DSB ISH`; header and",
    "body are copied again under a second mapping, which is taken away in the same way before the status is cleared and the register written. So everything",
    "behind the header is in order, by a barrier that is there for another reason. Within the header nothing is: a processor may load the length early and the",
    "status late. A guest that finds a new status with an old length cuts the record short, or throws it away as malformed, clears and acknowledges it.",
    "",
    "That takes a look at the very moment the record is stored. An interrupt that is raised after the record orders the loads behind it, so a source that is",
    "looked at only for its own interrupt or software delegated exception is safe. SCI, GPIO signal and GSIV sources are all looked at for any one's interrupt, and polled ones when their time",
    "has come: these are not. For SEA and NMI sources the kernel first asks with `readl()`, which is an acquire, whether the status of any is set: that",
    "orders the loads of the source whose status was seen, which with a single source is the one that matters. A host can make up for the guest: it makes all",
    "vCPUs leave the guest after the body and before the status, so that loads done early are done again.",
    "",
    "| The guest's loads | It looks | What may happen |",
    "|---|---|---|",
    ...LOAD_ORDERS.map(({ guest, looks, finds }) => `| ${guest} | ${looks} | ${finds === "nothing" ? "nothing is torn, lost or doubled" : "a torn record"} |`),
    "",
  ].join("\n");
