/**
 * The ERST device beside that of a real QEMU, driven over qtest: npm run long:erst
 * Random accesses to both BARs, among them whole operations with records, odd sizes and odd places. After each the
 * registers are compared, after each round the exchange buffer, and at the end of each machine the storage file.
 * Words: [machines] [rounds per machine] [seed]; QEMU names another program.
 */
import { spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ERST_ACTION } from "../../src/acpi/action-entry.ts";
import { ErstStoreHeader, ErstStoreSlot } from "../../src/acpi/erst-storage.ts";
import { RecordHeader } from "../../src/cper/record.ts";
import { ErstDevice } from "../../src/host/erst-device.ts";
import { ErstStorage, emptyStore, MemoryBackend } from "../../src/host/erst-storage.ts";
import { fieldOffset } from "../../src/layout/index.ts";
import type { AccessSize } from "../../src/machine/memory.ts";
import { Listener } from "../../src/qemu/lines.ts";
import { QmpClient } from "../../src/qemu/qmp.ts";
import { QtestClient } from "../../src/qemu/qtest.ts";

const [machines = 12, rounds = 400, seed = 1] = process.argv.slice(2).map(Number);
const REGISTERS = 0xe000_0000n;
const EXCHANGE = 0xe010_0000n;
const ID = fieldOffset(RecordHeader, "recordId");
const LENGTH = fieldOffset(RecordHeader, "recordLength");
const hex = (value: bigint | number) => `0x${value.toString(16)}`;
const digits = (bytes: Uint8Array) => `0x${Buffer.from(bytes).toString("hex")}`;

// ---- chance, the same for every run of a seed ----

let state = seed >>> 0;
function random(below: number): number {
  state = (state + 0x9e3779b9) >>> 0;
  let mixed = state;
  mixed = Math.imul(mixed ^ (mixed >>> 16), 0x85ebca6b);
  mixed = Math.imul(mixed ^ (mixed >>> 13), 0xc2b2ae35);
  return ((mixed ^ (mixed >>> 16)) >>> 0) % below;
}
const pick = <T>(list: readonly T[]): T => list[random(list.length)]!;
const word = () => (BigInt(random(2 ** 32)) << 32n) | BigInt(random(2 ** 32));

// ---- both devices behind one face ----

const SLOT = 5;
const PCI = { id: 0, command: 4, bar0: 0x10, bar1: 0x14, memory: 2n } as const;
/** Device 0x0012 of vendor 0x1b36. */
const DEVICE = 0x0012_1b36n;

const LETTER: Readonly<Record<AccessSize, string>> = { 1: "b", 2: "w", 4: "l", 8: "q" };

class Pair {
  readonly counts = { accesses: 0, operations: 0, statuses: new Map<number, number>() };
  readonly ours: ErstDevice;
  readonly #qtest: QtestClient;
  readonly #qmp: QmpClient;
  readonly #history: string[] = [];

  constructor(qtest: QtestClient, qmp: QmpClient, ours: ErstDevice) {
    this.#qtest = qtest;
    this.#qmp = qmp;
    this.ours = ours;
  }

  /** Give the device's BARs a place, and let it answer. */
  async place(): Promise<void> {
    if ((await this.#config(PCI.id)) !== DEVICE) throw new Error("the acpi-erst device is not in its slot");
    await this.#config(PCI.bar0, REGISTERS);
    await this.#config(PCI.bar1, EXCHANGE);
    await this.#config(PCI.command, PCI.memory);
  }
  /** The machine is reset, and placed again. QEMU resets some time after it has said yes: then the BARs are gone. */
  async reset(): Promise<void> {
    this.#note("reset");
    await this.#qmp.execute("system_reset");
    while ((await this.#config(PCI.bar0)) !== 0n);
    await this.place();
    this.ours.reset();
  }
  /** Read a register of the configuration space, or write it. */
  async #config(register: number, value?: bigint): Promise<bigint> {
    await this.#qtest.command(`outl 0xcf8 ${hex(0x8000_0000 + SLOT * 0x800 + register)}`);
    return BigInt((await this.#qtest.command(value === undefined ? "inl 0xcfc" : `outl 0xcfc ${hex(value)}`)) || 0);
  }

  async write(offset: number, size: AccessSize, value: bigint): Promise<void> {
    const cut = BigInt.asUintN(8 * size, value);
    this.#note(`write${LETTER[size]} ${hex(offset)} ${hex(cut)}`);
    await this.#qtest.command(`write${LETTER[size]} ${hex(REGISTERS + BigInt(offset))} ${hex(cut)}`);
    this.ours.registers.write(offset, size, cut);
  }
  async read(offset: number, size: AccessSize): Promise<bigint> {
    this.#note(`read${LETTER[size]} ${hex(offset)}`);
    const theirs = BigInt(await this.#qtest.command(`read${LETTER[size]} ${hex(REGISTERS + BigInt(offset))}`));
    this.#same(`${size} bytes at register ${hex(offset)}`, hex(theirs), hex(this.ours.registers.read(offset, size)));
    return theirs;
  }
  async act(action: number): Promise<bigint> {
    await this.write(0, 4, BigInt(action));
    return this.read(8, 8);
  }
  async value(value: bigint): Promise<void> {
    await this.write(8, 8, value);
  }
  async fill(offset: number, bytes: Uint8Array): Promise<void> {
    this.#note(`exchange ${hex(offset)} ${bytes.length}`);
    await this.#qtest.command(`write ${hex(EXCHANGE + BigInt(offset))} ${hex(bytes.length)} ${digits(bytes)}`);
    this.ours.exchange.bytes!.set(bytes, offset);
  }
  async compareExchange(): Promise<void> {
    const size = this.ours.exchange.length;
    const theirs = await this.#qtest.command(`read ${hex(EXCHANGE)} ${hex(size)}`);
    this.#same("exchange buffer", theirs, digits(this.ours.exchange.bytes!));
  }
  /** An operation from beginning to end, as a driver would do it. */
  async operate(begin: number): Promise<void> {
    this.counts.operations++;
    await this.act(begin);
    await this.value((word() & ~0xffn) | 0x9cn);
    await this.act(ERST_ACTION.executeOperation);
    await this.act(ERST_ACTION.checkBusyStatus);
    const status = Number(await this.act(ERST_ACTION.getCommandStatus));
    this.counts.statuses.set(status, (this.counts.statuses.get(status) ?? 0) + 1);
  }

  #note(what: string): void {
    this.counts.accesses++;
    this.#history.push(what);
    if (this.#history.length > 60) this.#history.shift();
  }
  #same(what: string, theirs: string, ours: string): void {
    if (theirs === ours) return;
    let at = 0;
    while (theirs[at] === ours[at]) at++;
    console.log(this.#history.join("\n"));
    throw new Error(`${what}: QEMU has ${theirs.slice(at & ~1).slice(0, 80)}, we have ${ours.slice(at & ~1).slice(0, 80)} (from digit ${at} on)`);
  }
}

// ---- what the guest does ----

const IDS = [0n, 1n, 2n, 3n, 5n, 8n, 13n, 0x6b00_0000_0000_0001n, 0xffff_ffffn, 0xffff_ffff_ffff_fffen, 0xffff_ffff_ffff_ffffn] as const;
const anyId = () => (random(4) === 0 ? word() : pick(IDS));
const ACTIONS = Object.values(ERST_ACTION);

/** A record somewhere in the buffer whose length and identifier are often right. */
async function putRecord(pair: Pair): Promise<void> {
  const room = pair.ours.exchange.length;
  const offset = pick([0, 0, 0, 4, 8, 1, room - 128, random(room - 128)]);
  const most = room - offset;
  const length = pick([128, 129, 200, most, most, random(most + 1), random(300), most + 1, 127, 0, 0xffff_ffff]);
  const bytes = new Uint8Array(Math.min(most, Math.max(length, RecordHeader.size))).fill(random(256));
  const view = new DataView(bytes.buffer);
  for (let i = 0; i + 4 <= bytes.length; i += 64) view.setUint32(i, random(2 ** 32), true);
  view.setUint32(LENGTH, length >>> 0, true);
  view.setBigUint64(ID, anyId(), true);
  await pair.fill(offset, bytes);
  await setOffset(pair, BigInt(offset));
}
const setOffset = async (pair: Pair, offset: bigint) => {
  await pair.value(offset);
  await pair.act(ERST_ACTION.setRecordOffset);
};
const setId = async (pair: Pair, id: bigint) => {
  await pair.value(id);
  await pair.act(ERST_ACTION.setRecordIdentifier);
};

const DEEDS: readonly ((pair: Pair) => Promise<unknown>)[] = [
  async (pair) => {
    await putRecord(pair);
    await pair.operate(ERST_ACTION.beginWriteOperation);
  },
  async (pair) => {
    await putRecord(pair);
    await pair.operate(ERST_ACTION.beginWriteOperation);
  },
  async (pair) => {
    await setId(pair, anyId());
    if (random(2)) await setOffset(pair, random(4) ? 0n : BigInt(random(2 * pair.ours.exchange.length)));
    await pair.operate(ERST_ACTION.beginReadOperation);
  },
  async (pair) => {
    await setId(pair, anyId());
    await pair.operate(ERST_ACTION.beginClearOperation);
  },
  // The identifier read before names the record, as a driver goes through a store.
  async (pair) => {
    await pair.act(ERST_ACTION.getRecordIdentifier);
    await pair.act(ERST_ACTION.setRecordIdentifier);
    await pair.operate(pick([ERST_ACTION.beginReadOperation, ERST_ACTION.beginReadOperation, ERST_ACTION.beginClearOperation]));
  },
  async (pair) => {
    for (let n = random(20); n >= 0; n--) await pair.act(ERST_ACTION.getRecordIdentifier);
  },
  (pair) => pair.operate(pick([ERST_ACTION.beginDummyWriteOperation, ERST_ACTION.endOperation])),
  async (pair) => {
    for (const action of [...ACTIONS, 0x0c, 0x11, 0x7f, 0xff, 0x100, 0xffff_ffff]) {
      await pair.value(pick([0n, word(), 0x9cn]));
      await pair.act(action);
    }
  },
  (pair) => setOffset(pair, pick([0n, 1n, word(), 0xffff_ffffn, 1n << 32n, BigInt(pair.ours.exchange.length - 127)])),
  (pair) => (random(3) ? pair.act(ERST_ACTION.getRecordCount) : pair.reset()),
  // Any access at all.
  async (pair) => {
    for (let n = 0; n < 12; n++) {
      const size = pick([1, 2, 4, 8] as const);
      const offset = random(17 - size);
      await pair.write(offset, size, pick([BigInt(random(0x14)), 0x9cn, word(), 0xffff_ffff_ffff_ffffn]));
      await pair.read(random(17 - size), size);
      await pair.read(8, 8);
    }
  },
];

// ---- a machine ----

interface Kind {
  readonly size: number;
  readonly recordSize: number;
  /** The store the machine starts with; default: none, QEMU makes it. */
  readonly store?: (bytes: Uint8Array) => void;
}
const view = (bytes: Uint8Array) => new DataView(bytes.buffer);
const entry = (slot: number) => ErstStoreHeader.size + slot * ErstStoreSlot.size;
const KINDS: readonly Kind[] = [
  { size: 0x20000, recordSize: 8192 },
  { size: 0x4000, recordSize: 4096 },
  { size: 0x8000, recordSize: 4096 },
  { size: 0x40000, recordSize: 0x10000 },
  // A count that is wrong, and identifiers twice or reserved.
  { size: 0x10000, recordSize: 4096, store: (bytes) => view(bytes).setUint32(fieldOffset(ErstStoreHeader, "recordCount"), 2, true) },
  {
    size: 0x10000,
    recordSize: 4096,
    store: (bytes) => {
      for (const [slot, id] of [5n, 3n, 5n, 0xffff_ffff_ffff_ffffn, 8n].entries()) view(bytes).setBigUint64(entry(slot + 2), id, true);
      view(bytes).setUint32(fieldOffset(ErstStoreHeader, "recordCount"), 3, true);
    },
  },
];

async function run({ size, recordSize, store }: Kind): Promise<Pair["counts"]> {
  const folder = mkdtempSync(join(tmpdir(), "apei-erst-"));
  const path = join(folder, "store");
  const bytes = store ? emptyStore(size, recordSize) : new Uint8Array(size);
  store?.(bytes);
  writeFileSync(path, bytes);
  const listeners = [await Listener.listen(join(folder, "qtest")), await Listener.listen(join(folder, "qmp"))] as const;
  const qemu = spawn(
    process.env["QEMU"] ?? "qemu-system-x86_64",
    ["-M", "pc", "-accel", "tcg", "-S", "-display", "none", "-nodefaults"].concat(
      ["-qtest", `unix:${listeners[0].path}`, "-qtest-log", "none", "-qmp", `unix:${listeners[1].path}`],
      ["-object", `memory-backend-file,id=store,mem-path=${path},size=${size},share=on`],
      ["-device", `acpi-erst,memdev=store,record_size=${recordSize},addr=${hex(SLOT)}`],
    ),
    { stdio: ["ignore", "ignore", "inherit"] },
  );
  const ended = new Promise<void>((resolve) => qemu.once("exit", () => resolve()));
  const failed = new Promise<never>((_, reject) => {
    qemu.once("error", reject);
    qemu.once("exit", (status) => reject(new Error(`QEMU has ended with status ${status}`)));
  });
  failed.catch(() => undefined);
  try {
    const qtest = new QtestClient(await Promise.race([listeners[0].accept(), failed]));
    const qmp = await Promise.race([listeners[1].accept().then((socket) => QmpClient.greet(socket)), failed]);
    const backend = new MemoryBackend(bytes);
    const pair = new Pair(qtest, qmp, new ErstDevice(new ErstStorage(backend, { recordSize, repair: false }), EXCHANGE));
    await pair.place();
    // The very first thing: nothing was begun yet.
    await putRecord(pair);
    await pair.value(0x9cn);
    await pair.act(ERST_ACTION.executeOperation);
    await pair.act(ERST_ACTION.getCommandStatus);
    for (let round = 0; round < rounds; round++) {
      await pick(DEEDS)(pair);
      await pair.compareExchange();
    }
    qtest.close();
    qmp.close();
    qemu.kill("SIGTERM");
    await ended;
    const theirs = readFileSync(path);
    const differs = theirs.findIndex((byte, at) => byte !== bytes[at]);
    if (differs >= 0 || theirs.length !== bytes.length) throw new Error(`the storage files differ from byte ${hex(differs)} on`);
    return pair.counts;
  } finally {
    for (const listener of listeners) listener.close();
    qemu.kill("SIGKILL");
    await ended;
    rmSync(folder, { recursive: true, force: true });
  }
}

for (let machine = 0; machine < machines; machine++) {
  const kind = KINDS[machine % KINDS.length]!;
  const { accesses, operations, statuses } = await run(kind);
  const words = [...statuses].sort(([a], [b]) => a - b).map(([status, count]) => `${status}: ${count}`);
  console.log(
    `machine ${machine + 1}, ${kind.size} bytes in slots of ${kind.recordSize}${kind.store ? ", odd header" : ""}: ${accesses} accesses, ${operations} operations, statuses {${words.join(", ")}}: registers, buffer and file are the same`,
  );
}
