/** Aborts for a guest whose EL1 is AArch32 (Linux 7.2 KVM inject_abt32 and enter_exception32 behaviour). */
import { hexNumber } from "../layout/index.ts";
import type { Injection, Registers, RegisterWrite } from "./exception-entry.ts";

const bit = (n: number) => 1n << BigInt(n);
const SCTLR = { highVectors: bit(13), bigEndian: bit(25), thumb: bit(30), dssbs: bit(31), span: bit(23) } as const;
const CPSR = { pan: bit(22), ssbs: bit(23), thumb: bit(5), masks: bit(8) | bit(7), bigEndian: bit(9), abort: 0x17n } as const;
/** N, Z, C, V, Q, DIT (where KVM keeps it in CPSR), PAN, GE and F survive. */
const KEPT = 0xf800_0000n | bit(21) | CPSR.pan | 0xf_0000n | bit(6);
const LONG_DESCRIPTORS = bit(31);
const ABORTS = {
  data: { exception: "data abort", status: "DFSR", address: "DFAR", offset: 0x10, back: 8n },
  instruction: { exception: "instruction abort", status: "IFSR", address: "IFAR", offset: 0x0c, back: 4n },
} as const;

/** An external abort with the status code of the guest's table format: 0x210 with long descriptors, else 0x008. */
export function injectAarch32Abort(registers: Registers, kind: "data" | "instruction", address: bigint | undefined): Injection {
  const abort = ABORTS[kind];
  const { PC: pc, PSTATE: pstate, TTBCR: ttbcr, SCTLR_EL1: sctlr, VBAR_EL1: vbar } = registers;
  const writes: RegisterWrite[] = [];
  const set = (register: string, value: bigint | undefined, words: string) => writes.push({ register, value, words });
  set(
    abort.status,
    ttbcr === undefined ? undefined : (ttbcr & LONG_DESCRIPTORS) !== 0n ? 0x210n : 0x008n,
    ttbcr === undefined ? "the status code depends on TTBCR.EAE, which is not known" : "synchronous external abort",
  );
  set(
    abort.address,
    address === undefined ? undefined : address & 0xffff_ffffn,
    address === undefined ? "the faulting address is not known" : "address of the access",
  );
  set(
    "LR_abt",
    pc === undefined ? undefined : pc + abort.back,
    pc === undefined ? "the interrupted PC is not known" : `the interrupted instruction + ${abort.back}`,
  );
  set("SPSR_abt", pstate, pstate === undefined ? "the interrupted CPSR is not known" : "the interrupted state");
  const base = sctlr === undefined ? undefined : (sctlr & SCTLR.highVectors) !== 0n ? 0xffff_0000n : vbar;
  const target = base === undefined ? undefined : base + BigInt(abort.offset);
  set("PC", target, target === undefined ? `SCTLR or VBAR is not known; the vector is at +${hexNumber(abort.offset)}` : `vector + ${hexNumber(abort.offset)}`);
  let state: bigint | undefined;
  if (pstate !== undefined && sctlr !== undefined) {
    state = (pstate & KEPT) | CPSR.masks | CPSR.abort;
    if ((sctlr & SCTLR.span) === 0n) state |= CPSR.pan;
    if ((sctlr & SCTLR.dssbs) !== 0n) state |= CPSR.ssbs;
    if ((sctlr & SCTLR.bigEndian) !== 0n) state |= CPSR.bigEndian;
    if ((sctlr & SCTLR.thumb) !== 0n) state |= CPSR.thumb;
  }
  set("PSTATE", state, state === undefined ? "the handler's CPSR depends on SCTLR and CPSR, which are not known" : "abort mode, A and I masked");
  const unknown = writes.filter((write) => write.value === undefined).map((write) => `${write.register}: ${write.words}`);
  return { exception: abort.exception, taken: true, target: "EL1", vector: { offset: abort.offset, address: target }, registers: writes, unknown };
}
