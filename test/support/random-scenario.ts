/**
 * Random scenarios that a real machine can carry out: sources of every kind, records with odd values in them, errors of
 * the boot before, a store, and now and then a death in the end. The same dice make the same scenario.
 */
import type { NotificationName } from "../../src/acpi/notification.ts";
import { type BLOCK_SEVERITY, type ErrorDataEntryHeader, ErrorStatusBlockHeader, entryHeaderLayout } from "../../src/acpi/status-block.ts";
import { sectionTypes } from "../../src/cper/registry.ts";
import { PRESETS, type PresetName } from "../../src/host/monitor.ts";
import { type Dice, generate } from "../../src/input/generate.ts";
import { bytesToHex, concatBytes, encode, hexNumber, type Json, parse, type SectionType, spans, toJson } from "../../src/layout/index.ts";
import type { BootErrorsChoice, ErrorStoreChoice, Moment, RecordEvent, Scenario, SourceChoice } from "../../src/scenario/schema.ts";

export interface RandomOptions {
  readonly architecture: "x86" | "arm64";
  /** Records of the run. */
  readonly records?: number;
}

type Severity = keyof typeof BLOCK_SEVERITY;
const TYPES = [...sectionTypes];
/** Types Linux has a printer for; the others it dumps. */
const PRINTED = [
  "platformMemory",
  "processorGeneric",
  "ia32x64Processor",
  "armProcessor",
  "pcie",
  "firmwareErrorRecordReference",
  "cxlProtocol",
  "cxlGeneralMedia",
  "cxlDram",
  "cxlMemoryModule",
].map((name) => sectionTypes.byName(name)!);
const EDGES = [0, 1, 0x7f, 0x80, 0xfe, 0xff];

// ---- bodies ----

/** Values of all fields that say how many or how long, by path. */
function amounts(type: SectionType, body: Uint8Array): string {
  return spans(type.layout as never, parse(type.layout as never, body) as object)
    .flatMap(({ path, offset, size }) =>
      /count|length|size/i.test(path) || (path === "validation" && type.name === "ia32x64Processor")
        ? [`${path}=${bytesToHex(body.subarray(offset, offset + size))}`]
        : [],
    )
    .join();
}

const ODDITIES: readonly ((body: Uint8Array, dice: Dice, type: SectionType) => Uint8Array)[] = [
  // One bit of what says which fields are valid.
  (body, dice, type) => {
    const validation = spans(type.layout as never, parse(type.layout as never, body) as object).find(({ path }) => /^(header\.)?validation(\.|$)/.test(path));
    if (!validation) return body;
    const out = body.slice();
    out.fill(0, validation.offset, validation.offset + validation.size);
    const bit = dice.below(validation.size * 8);
    out[validation.offset + (bit >> 3)] = 1 << (bit & 7);
    return out;
  },
  (body) => new Uint8Array(body.length).fill(0xff),
  (body) => new Uint8Array(body.length),
  // Some bytes at the edges of what they can say.
  (body, dice) => body.map((byte) => (dice.chance(0.2) ? dice.pick(EDGES) : byte)),
  (body, dice) => body.map((byte, i) => (i < 8 ? 0xff : dice.chance(0.5) ? dice.pick(EDGES) : byte)),
  (body, dice) => dice.bytes(body.length),
];

/** A body of a type: as its layout has it, or with something odd about it that leaves its lengths alone. */
export function randomBody(type: SectionType, dice: Dice): Uint8Array {
  let values = generate(type.layout, dice);
  // Kernels that do not pad take what follows an uneven context for another, whose length leads into their secrets.
  const isEven = ({ arraySize = 0 }: { readonly arraySize?: number }) => arraySize % 16 === 0;
  while (type.name === "ia32x64Processor" && !((values["contexts"] ?? []) as []).every(isEven)) values = generate(type.layout, dice);
  const body = encode(type.layout as never, values as never);
  if (dice.chance(0.35)) return body;
  const odd = dice.pick(ODDITIES)(body, dice, type);
  return amounts(type, odd) === amounts(type, body) ? odd : body;
}

/** Whether a body leads no further than its own bytes. */
const isPlain = (type: SectionType): boolean => !["ia32x64Processor", "armProcessor", "cxlProtocol"].includes(type.name);

// ---- blocks ----

const severity = (dice: Dice, most: readonly Severity[]): Severity => dice.pick(most);
const LIVING: readonly Severity[] = ["corrected", "recoverable", "none"];
const ALL: readonly Severity[] = ["corrected", "recoverable", "none", "fatal"];
const REVISIONS = [0x0300, 0x0300, 0x0201, 0x0203, 0x0301, 0x0000, 0xffff];

function randomEntry(dice: Dice, own: Severity): Uint8Array {
  const type = dice.chance(0.7) ? dice.pick(PRINTED) : dice.pick(TYPES);
  let body = randomBody(type, dice);
  if (isPlain(type) && dice.chance(0.15)) body = body.subarray(0, dice.below(body.length + 1));
  else if (isPlain(type) && dice.chance(0.1)) body = concatBytes([body, dice.bytes(1 + dice.below(40))]);
  const revision = dice.pick(REVISIONS);
  const layout = entryHeaderLayout(revision);
  const header = generate(layout, dice) as unknown as ErrorDataEntryHeader;
  const bytes = encode(
    layout as never,
    {
      ...header,
      sectionType: dice.chance(0.95) ? dice.pick(type.guids) : header.sectionType,
      errorSeverity: dice.chance(0.7) ? own : severity(dice, ALL),
      revision,
      errorDataLength: body.length,
    } as never,
  );
  // Text that ends nowhere, or has bytes of any kind; line feeds and the like are the kernel's own worst enemies.
  const text = spans(layout as never, parse(layout as never, bytes) as object).find(({ path }) => path === "fruText");
  if (text && dice.chance(0.3))
    for (let i = 0; i < text.size; i++) bytes[text.offset + i] = dice.chance(0.9) ? 0x21 + dice.below(0x5e) : dice.pick([0, 0x7f, 0x80, 0xe4, 0xff, 0x09]);
  return concatBytes([bytes, body]);
}

/** A block that a driver accepts, of at most so many bytes. */
export function randomBlock(dice: Dice, most: number, own: Severity): Uint8Array {
  const entries: Uint8Array[] = [];
  let length = ErrorStatusBlockHeader.size;
  const wanted = dice.chance(0.08) ? 0 : 1 + dice.below(most > 4096 ? 14 : 3);
  while (entries.length < wanted) {
    const entry = randomEntry(dice, own);
    length += entry.length;
    if (length > most) break;
    entries.push(entry);
  }
  const data = concatBytes(entries);
  const room = most - ErrorStatusBlockHeader.size - data.length;
  const gap = dice.chance(0.3) ? dice.below(Math.min(16, room + 1)) : 0;
  // Now and then up to the very end of what the source has room for.
  const raw = room - gap > 0 && dice.chance(0.3) ? dice.bytes(dice.chance(0.3) ? room - gap : 1 + dice.below(Math.min(64, room - gap))) : new Uint8Array(0);
  const correctable = own === "corrected" || own === "none";
  const header = encode(ErrorStatusBlockHeader, {
    blockStatus: {
      ...(correctable ? { correctableErrorValid: true } : { uncorrectableErrorValid: true }),
      ...(dice.chance(0.2) && { multipleCorrectableErrors: true }),
      errorDataEntryCount: dice.chance(0.8) ? entries.length : dice.below(1024),
    },
    rawDataOffset: raw.length > 0 ? ErrorStatusBlockHeader.size + data.length + gap : dice.chance(0.1) ? dice.word() : 0,
    rawDataLength: raw.length,
    dataLength: data.length,
    errorSeverity: own,
  });
  return concatBytes([header, data, ...(raw.length > 0 ? [new Uint8Array(gap), raw] : [])]);
}

/** The same with a length, an offset or a status that lies. */
function malformed(block: Uint8Array, dice: Dice): Uint8Array {
  const out = block.slice();
  const view = new DataView(out.buffer);
  const { size } = ErrorStatusBlockHeader.fields.blockStatus;
  const word = size * (1 + dice.below(3));
  view.setUint32(word, dice.pick([0, 1, 19, 20, 63, 64, 0x7fff_ffff, 0xffff_ffff, view.getUint32(word, true) + dice.pick([-1, 1, 8, 64])]), true);
  return out;
}

// ---- machines ----

const HEARD: Readonly<Record<RandomOptions["architecture"], readonly NotificationName[]>> = {
  x86: ["nmi", "externalInterrupt", "gpioSignal", "gsiv", "sci", "polled", "polled"],
  arm64: ["sea", "gpioSignal", "gsiv", "sci", "polled", "polled"],
};
/** No driver takes these, or none in time. */
const UNHEARD: Readonly<Record<RandomOptions["architecture"], readonly NotificationName[]>> = {
  x86: ["sea", "sdei", "localInterrupt", "cmci", "mce", "sei"],
  arm64: ["nmi", "externalInterrupt", "localInterrupt", "cmci", "mce", "sei"],
};
/** Lines that nothing else has on a PC: the rest are the timer's, the keyboard's, the console's and so on. */
const FREE_LINES = [3, 6, 7, 10, 11];

function randomSources(dice: Dice, { architecture }: RandomOptions, walk: "qemu" | "specification"): SourceChoice[] {
  const count = 1 + dice.below(6);
  const ids = new Set<number>();
  while (ids.size < count) ids.add(dice.chance(0.8) ? ids.size : dice.below(0x10000));
  return [...ids].map((id): SourceChoice => {
    const notification = dice.pick(dice.chance(0.9) ? HEARD[architecture] : UNHEARD[architecture]);
    const version = walk === "specification" && dice.chance(0.3) ? 1 : 2;
    return {
      id,
      notification,
      ...(version === 1 && { version }),
      ...(notification === "polled" && { pollInterval: dice.chance(0.93) ? dice.pick([1, 10, 100, 333, 1000, 2500]) : 0 }),
      ...(notification === "externalInterrupt" && { vector: dice.pick(FREE_LINES) }),
      ...(dice.chance(0.7) && { blockLength: walk === "qemu" ? 1024 : dice.pick([20, 128, 512, 1024, 4096, 0x8000, 65536]) }),
      ...(walk === "specification" && version === 2 && dice.chance(0.4) && { acknowledge: randomAcknowledge(dice) }),
    };
  });
}

function randomAcknowledge(dice: Dice): NonNullable<SourceChoice["acknowledge"]> {
  const bitOffset = dice.chance(0.5) ? 0 : dice.below(32);
  const write = 1n << BigInt(dice.below(32));
  return { write: hexNumber(write), preserve: hexNumber(dice.pick([0n, BigInt(dice.word()), 0xffff_ffff_ffff_fffen])), ...(bitOffset > 0 && { bitOffset }) };
}

/** What comes like an NMI is copied into a pool that holds few long blocks. */
const POOLED: ReadonlySet<NotificationName> = new Set(["nmi", "sea"]);
const MOST_POOLED = 4096;
const blockLengthOf = ({ blockLength = 1024, notification }: SourceChoice): number =>
  POOLED.has(notification) ? Math.min(blockLength, MOST_POOLED) : blockLength;

function randomRecord(dice: Dice, source: SourceChoice, own: Severity): RecordEvent {
  const room = blockLengthOf(source);
  if (dice.chance(0.1) && own !== "none")
    return {
      source: source.id,
      memory: {
        severity: own,
        ...(dice.chance(0.7) && { physicalAddress: hexNumber(BigInt(dice.word()) << 8n) }),
        ...(dice.chance(0.5) && { addressLsb: dice.below(64) }),
        errorType: dice.pick(["singleBitEcc", "multiBitEcc", "scrubUncorrectedError", "physicalMemoryMapOutEvent"] as const),
        ...(dice.chance(0.5) && { fruText: "DIMM 3" }),
      },
    };
  const block = randomBlock(dice, dice.chance(0.04) ? room + 200 : room, own);
  return { source: source.id, block: bytesToHex(dice.chance(0.08) && own !== "fatal" ? malformed(block, dice) : block) };
}

function randomBootErrors(dice: Dice): BootErrorsChoice {
  const records = Array.from({ length: dice.below(8) }, () => {
    const block = randomBlock(dice, dice.chance(0.85) ? 1000 : 3000, severity(dice, ALL));
    return { block: bytesToHex(dice.chance(0.05) ? malformed(block, dice) : block) };
  });
  return { records, ...(dice.chance(0.8) && { length: dice.pick([0, 20, 84, 4096, 8192, 0x8000]) }) };
}

function randomStore(dice: Dice): ErrorStoreChoice {
  const ids = new Set<bigint>();
  const count = dice.below(5);
  while (ids.size < count) ids.add((0x6a00_0000n << 32n) | BigInt(1 + dice.below(0xffff)));
  return {
    ...(dice.chance(0.3) && { recordSize: 4096 << dice.below(3) }),
    records: [...ids].map((id) => {
      if (dice.chance(0.5)) {
        const lines = Array.from({ length: 1 + dice.below(20) }, (_, i) => `<${dice.below(8)}>[${String(i).padStart(5)}.000000] line ${dice.word()}\n`);
        return { id: hexNumber(id), seconds: dice.word(), text: `Panic#1 Part1\n${lines.join("")}` };
      }
      const type = dice.pick(PRINTED);
      const own = id === [...ids][0];
      return {
        id: hexNumber(id),
        severity: dice.pick(["fatal", "recoverable", "corrected", "informational"] as const),
        creatorId: own ? "61fa3fac-cb80-4292-8bfb-d643b1de17f4" : "cf07c4bd-b789-4e18-b3c4-1f732cb57131",
        sections: [{ kind: type.name, body: sectionJson(type, dice) }],
      };
    }),
  };
}
const sectionJson = (type: SectionType, dice: Dice) => toJson(type.layout as never, generate(type.layout, dice)) as { readonly [field: string]: Json };

/** Pages of memory that are nobody's, usually. */
const SPARE = { x86: 0x8a0_0000n, arm64: 0x48a0_0000n } as const;
const INJECTED = ["memoryCorrectable", "memoryCorrectable", "memoryUncorrectableNonFatal", "pcieCorrectable"] as const;
/** What the kernel takes, and what it refuses. */
const MASKS = ["0xfffffffffffff000", "0xfffffffffffff000", "0xffffffffffffffc0", "0xffffffffffffe000"];

function randomInjection(dice: Dice, { architecture }: RandomOptions): NonNullable<Moment["inject"]> {
  const type = dice.pick(INJECTED);
  if (dice.chance(0.1)) return { type };
  const address = SPARE[architecture] + (BigInt(dice.below(256)) << 12n) + BigInt(64 * dice.below(64));
  return { type, address: hexNumber(address), ...(dice.chance(0.7) && { mask: dice.pick(MASKS) }) };
}

/** A scenario for machines of an architecture. */
export function randomScenario(dice: Dice, options: RandomOptions, name = "random"): Scenario {
  const preset = dice.pick((Object.keys(PRESETS) as PresetName[]).filter((candidate) => PRESETS[candidate].handOff !== "direct"));
  const base = PRESETS[preset];
  const walk = base.handOff === "hest" && dice.chance(0.3) ? "qemu" : "specification";
  // The oldest layout has one block length for all, and its words side by side.
  const sources = base.handOff === "hest" ? randomSources(dice, options, walk) : randomSources(dice, options, "qemu").map((source, id) => ({ ...source, id }));
  const events: Moment[] = [];
  for (let i = 0; i < (options.records ?? 12); i++) {
    const record = randomRecord(dice, dice.pick(sources), severity(dice, LIVING));
    events.push({ at: 10 * i, record: dice.chance(0.1) ? { ...record, times: 2 + dice.below(2) } : record });
  }
  const injection = dice.chance(0.3);
  if (injection) for (let i = 1 + dice.below(3); i > 0; i--) events.push({ at: 10 * events.length, inject: randomInjection(dice, options) });
  const at = 10 * events.length;
  const death = dice.below(10);
  if (death === 0) events.push({ at, record: randomRecord(dice, dice.pick(sources), "fatal") });
  else if (death === 1) events.push({ at, crash: true });
  return {
    name,
    machine: {
      architecture: options.architecture,
      sources,
      ...(dice.chance(0.4) && { bootErrors: randomBootErrors(dice) }),
      ...(injection && { injection }),
      ...(dice.chance(0.3) && { errorStore: randomStore(dice) }),
    },
    monitor: {
      preset,
      walk,
      recording: {
        stores: "statusLast",
        ...(walk === "specification" && { acknowledgement: dice.pick(["bits", "nonzero"] as const) }),
        ...(dice.chance(0.5) && {
          unacknowledged: dice.pick([
            { action: "refuse" },
            { action: "overflow" },
            { action: "queue", limit: 3, whenFull: "dropNewest" },
            { action: "queue", limit: 1, whenFull: "dropOldest" },
            { action: "merge", limit: 2, whenFull: "dropOldest" },
          ] as const),
        }),
      },
    },
    events,
  };
}
