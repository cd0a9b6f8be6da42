/** The machines firmware starts on: where their RAM lies. */
import type { Region } from "./memory.ts";

export interface Machine {
  readonly name: "q35" | "virt";
  /** Guest RAM, lowest first. */
  readonly ram: readonly Region[];
}

/** Bytes of RAM unless told otherwise: what the recorded machines had. */
export const DEFAULT_RAM = 256n << 20n;
const FOUR_GIB = 1n << 32n;
/** On q35 RAM goes on above 4 GiB when there is more than this below. */
const Q35_LOW_RAM = 0x80000000n;
export const VIRT_RAM_BASE = 0x40000000n;

/** QEMU's x86 `q35`: RAM from 0, at most 2 GiB of it below 4 GiB. @param ram bytes. */
export const q35 = (ram: bigint = DEFAULT_RAM): Machine => ({
  name: "q35",
  ram:
    ram <= Q35_LOW_RAM
      ? [{ start: 0n, length: ram }]
      : [
          { start: 0n, length: Q35_LOW_RAM },
          { start: FOUR_GIB, length: ram - Q35_LOW_RAM },
        ],
});
/** QEMU's arm `virt`: RAM from 1 GiB. @param ram bytes. */
export const virt = (ram: bigint = DEFAULT_RAM): Machine => ({ name: "virt", ram: [{ start: VIRT_RAM_BASE, length: ram }] });
/** The end of the highest RAM below 4 GiB. */
export const lowRamEnd = (machine: Machine): bigint =>
  machine.ram.reduce(
    (end, { start, length }) => (start < FOUR_GIB && start + length > end ? (start + length < FOUR_GIB ? start + length : FOUR_GIB) : end),
    0n,
  );
