/**
 * Exceptions of an emulated arm64 processor beside ours: a few instructions at EL3 or EL2 enter a lower level with a
 * virtual SError pending, or let it read an address where nothing is; the vectors store what they find in memory
 * shared with this process. QEMU's emulation knows neither HCR_EL2.TEA nor SCR_EL3.EA, so those rows are left out.
 */
import { spawn } from "node:child_process";
import { closeSync, existsSync, mkdtempSync, openSync, readSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { decideDelivery, type Injection, injectAbort, injectVirtualSError, type Registers, synchronousCells } from "../../src/arm64/index.ts";

const RAM = 0x4000_0000;
const START = 0x4010_0000;
const VECTORS = { EL1: 0x4011_0000, EL2: 0x4011_0800, EL3: 0x4011_1000 } as const;
const CODE = 0x4012_0000;
const RESULT = 0x4400_0000;
const NOWHERE = 0x70_0000_0000n;

// ---- a very small assembler ----

const SYSTEM = {
  ESR_EL1: [3, 0, 5, 2, 0],
  ELR_EL1: [3, 0, 4, 0, 1],
  SPSR_EL1: [3, 0, 4, 0, 0],
  FAR_EL1: [3, 0, 6, 0, 0],
  VBAR_EL1: [3, 0, 12, 0, 0],
  SCTLR_EL1: [3, 0, 1, 0, 0],
  CurrentEL: [3, 0, 4, 2, 2],
  DAIF: [3, 3, 4, 2, 1],
  PAN: [3, 0, 4, 2, 3],
  DISR_EL1: [3, 0, 12, 1, 1],
  HCR_EL2: [3, 4, 1, 1, 0],
  VSESR_EL2: [3, 4, 5, 2, 3],
  VBAR_EL2: [3, 4, 12, 0, 0],
  SCR_EL3: [3, 6, 1, 1, 0],
  VBAR_EL3: [3, 6, 12, 0, 0],
  SPSR_EL3: [3, 6, 4, 0, 0],
  ELR_EL3: [3, 6, 4, 0, 1],
} as const;
type System = keyof typeof SYSTEM;
const system = (name: System, x: number, read: boolean): number => {
  const [op0, op1, n, m, op2] = SYSTEM[name];
  return (0xd5000000 | (read ? 1 << 21 : 0) | (op0 << 19) | (op1 << 16) | (n << 12) | (m << 8) | (op2 << 5) | x) >>> 0;
};
const write = (name: System, x: number) => system(name, x, false);
const read = (x: number, name: System) => system(name, x, true);
const move = (x: number, value: bigint): number[] =>
  [0, 1, 2, 3].map((i) => ((i === 0 ? 0xd2800000 : 0xf2800000) | (i << 21) | (Number((value >> BigInt(16 * i)) & 0xffffn) << 5) | x) >>> 0);
const store = (x: number, base: number, offset: number) => (0xf9000000 | ((offset / 8) << 10) | (base << 5) | x) >>> 0;
const load = (x: number, base: number) => (0xf9400000 | (base << 5) | x) >>> 0;
const [ERET, ESB, ISB, UNMASK, STOP] = [0xd69f03e0, 0xd503221f, 0xd5033fdf, 0xd50344ff, 0x14000000];

// ---- one run ----

interface Run {
  readonly pstate: bigint;
  readonly registers: Partial<Record<System, bigint>>;
  readonly body: readonly number[];
}
const STORED = ["ESR_EL1", "ELR_EL1", "SPSR_EL1", "FAR_EL1", "CurrentEL", "DAIF", "PAN"] as const;
type Seen = { readonly taken: boolean; readonly vector: number; readonly disr: bigint } & Record<(typeof STORED)[number], bigint>;
const folder = mkdtempSync(join(tmpdir(), "apei-arm64-"));
process.on("exit", () => rmSync(folder, { recursive: true, force: true }));

async function run({ pstate, registers, body }: Run): Promise<Seen> {
  const image = new Uint8Array(CODE - START + 0x100);
  const view = new DataView(image.buffer);
  const put = (address: number, words: readonly number[]) => {
    words.forEach((word, i) => {
      view.setUint32(address - START + 4 * i, word, true);
    });
  };
  // SCR_EL3: non-secure, AArch64 below, HVC on.
  const all = {
    SCR_EL3: 0x501n,
    VBAR_EL1: BigInt(VECTORS.EL1),
    VBAR_EL2: BigInt(VECTORS.EL2),
    VBAR_EL3: BigInt(VECTORS.EL3),
    SPSR_EL3: pstate,
    ELR_EL3: BigInt(CODE),
  };
  const set = Object.entries({ ...all, ...registers } as Record<System, bigint>).flatMap(([name, value]) => [...move(0, value), write(name as System, 0)]);
  put(START, [...move(9, BigInt(RESULT)), ...set, ISB!, ERET!]);
  put(CODE, [...body, STOP!]);
  for (const base of Object.values(VECTORS))
    for (let offset = 0; offset < 0x800; offset += 0x80) {
      const mine = base === VECTORS.EL1 ? STORED : (["CurrentEL"] as const);
      const found = mine.flatMap((name) => [read(3, name), store(3, 9, 24 + 8 * STORED.indexOf(name))]);
      put(base + offset, [...move(2, BigInt(offset)).slice(0, 1), store(2, 9, 8), ...found, ...move(4, 1n).slice(0, 1), store(4, 9, 0), STOP!]);
    }
  const program = join(folder, "program");
  const memory = join(folder, "memory");
  rmSync(memory, { force: true });
  writeFileSync(program, image);
  const hex = (n: number) => `0x${n.toString(16)}`;
  const machine = "virt,secure=on,virtualization=on,gic-version=3,memory-backend=ram";
  const quiet = ["-display", "none", "-serial", "none", "-monitor", "none", "-accel", "tcg", "-cpu", "max", "-m", "128"];
  const qemu = spawn(
    "qemu-system-aarch64",
    ["-M", machine, ...quiet, "-object", `memory-backend-file,id=ram,size=128M,mem-path=${memory},share=on`].concat(
      ["-device", `loader,file=${program},addr=${hex(START)},force-raw=on`],
      ["-device", `loader,addr=${hex(START)},cpu-num=0`],
    ),
    { stdio: "ignore" },
  );
  const failed = new Promise<never>((_, reject) => qemu.once("error", reject));
  const words = new BigUint64Array(16);
  try {
    for (let waited = 0; waited < 1500 && words[0] === 0n; waited += 50) {
      await Promise.race([failed, new Promise((resolve) => setTimeout(resolve, 50))]);
      if (!existsSync(memory)) continue;
      const file = openSync(memory, "r");
      readSync(file, new Uint8Array(words.buffer), 0, words.byteLength, RESULT - RAM);
      closeSync(file);
    }
  } finally {
    qemu.kill("SIGKILL");
    await new Promise((resolve) => (qemu.exitCode === null && qemu.signalCode === null ? qemu.once("exit", resolve) : resolve(undefined)));
  }
  const stored = Object.fromEntries(STORED.map((name, i) => [name, words[3 + i]!])) as Record<(typeof STORED)[number], bigint>;
  return { taken: words[0] === 1n, vector: Number(words[1]), disr: words[2]!, ...stored };
}

// ---- comparison ----

let wrong = 0;
let compared = 0;
function compare(name: string, expected: unknown, seen: unknown): void {
  compared++;
  if (String(expected) === String(seen)) return;
  wrong++;
  console.log(`${name}: we say ${String(expected)}, the processor ${String(seen)}`);
}
function compareEntry(name: string, injection: Injection, seen: Seen): void {
  compare(`${name}: taken`, injection.taken, seen.taken);
  if (!injection.taken) return;
  const ours = Object.fromEntries(injection.registers.map((one) => [one.register, one.value]));
  compare(`${name}: vector`, injection.vector!.offset, seen.vector);
  for (const register of ["ESR_EL1", "ELR_EL1", "SPSR_EL1", "FAR_EL1"] as const)
    if (register in ours) compare(`${name}: ${register}`, ours[register], seen[register]);
  compare(`${name}: PSTATE.DAIF`, ours["PSTATE"]! & 0x3c0n, seen.DAIF);
  compare(`${name}: PSTATE.PAN`, ours["PSTATE"]! & 0x40_0000n, seen.PAN);
}

const SPAN = 0x30d0_0800n;
const registersOf = (pstate: bigint, sctlr: bigint, pc = CODE): Registers => ({
  PC: BigInt(pc),
  PSTATE: pstate,
  VBAR_EL1: BigInt(VECTORS.EL1),
  SCTLR_EL1: sctlr,
});
const touch = [...move(5, NOWHERE), load(6, 5)];
const PENDING = (1n << 31n) | (1n << 8n) | (1n << 5n);

for (const pstate of [0x0n, 0x6000_0000n, 0x100n, 0x4n, 0x5n, 0xa000_0005n, 0x3c5n, 0x40_0005n])
  for (const sctlr of [SPAN, SPAN & ~(1n << 23n)])
    for (const vsesr of [0x811n, 0x1ab_cdefn]) {
      const name = `virtual SError, PSTATE 0x${pstate.toString(16)}, SCTLR_EL1 0x${sctlr.toString(16)}, VSESR_EL2 0x${vsesr.toString(16)}`;
      const seen = await run({ pstate, registers: { HCR_EL2: PENDING, VSESR_EL2: vsesr, SCTLR_EL1: sctlr }, body: [] });
      compareEntry(name, injectVirtualSError(registersOf(pstate, sctlr), vsesr), seen);
    }
const deferred = await run({
  pstate: 0x3c5n,
  registers: { HCR_EL2: PENDING, VSESR_EL2: 0x1811n, SCTLR_EL1: SPAN },
  body: [ESB!, read(1, "DISR_EL1"), store(1, 9, 16), UNMASK!],
});
compare("ESB: DISR_EL1", 0x80001811n, deferred.disr);
compare("ESB: exception afterwards", false, deferred.taken);
for (const pstate of [0x0n, 0x4n, 0x5n, 0x3c5n]) {
  const seen = await run({ pstate, registers: { HCR_EL2: 1n << 31n, SCTLR_EL1: SPAN }, body: touch });
  const registers = registersOf(pstate, SPAN, CODE + 4 * (touch.length - 1));
  compareEntry(`external abort, PSTATE 0x${pstate.toString(16)}`, injectAbort(registers, { abort: "data", target: "EL1", address: NOWHERE }), seen);
}
for (const { situation: s, block, row } of synchronousCells()) {
  const decision = decideDelivery(s);
  if (s.ea || s.tea || decision.impossible) continue;
  const pstate = { EL0: 0x0n, EL1: 0x5n, EL2: 0x9n }[s.interrupted];
  const seen = await run({ pstate, registers: { HCR_EL2: (1n << 31n) | (s.vhe ? 1n << 34n : 0n) | (s.tge ? 1n << 27n : 0n) }, body: touch });
  compare(`${block}, ${row}`, `${decision.at} + ${decision.vectorOffset}`, `EL${seen.CurrentEL >> 2n} + ${seen.vector}`);
}
console.log(`${compared} values compared, ${wrong} differ`);
if (wrong > 0) process.exitCode = 1;
