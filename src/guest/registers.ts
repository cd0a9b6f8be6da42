/** How the kernel judges and uses a generic address (Linux drivers/acpi/apei/apei-base.c behaviour). */

import { ADDRESS_SPACE, type GenericAddress } from "../acpi/generic-address.ts";
import { hexNumber } from "../layout/index.ts";
import type { AccessSize, GuestMemory } from "../machine/memory.ts";
import { codeOf } from "./structures.ts";

/** Where registers live: memory, and on x86 port space. */
export interface RegisterSpaces {
  readonly memory: GuestMemory;
  readonly io?: GuestMemory;
}

const ACCESS_SIZE = { undefined: 0, byte: 1, word: 2, dword: 3, qword: 4 } as const;

/** Errors as the kernel numbers them. */
export const ERRNO = { EPERM: 1, EIO: 5, ENXIO: 6, EINVAL: 22, ENOTSUPP: 524 } as const;

export type RegisterVerdict =
  | { readonly ok: true; readonly size: AccessSize; readonly space: "memory" | "io" }
  | {
      readonly ok: false;
      readonly errno: number;
      /** What the kernel prints; absent when it says nothing. */
      readonly message?: string;
    };

/**
 * Decide whether the kernel would use a register.
 * The access width is the access size code's, widened for the common firmware mistake of a too narrow code
 * on an aligned 32- or 64-bit register.
 */
export function checkRegister(register: GenericAddress): RegisterVerdict {
  const { address, registerBitWidth: width, registerBitOffset: offset } = register;
  const code = codeOf(ACCESS_SIZE, register.accessSize);
  const space = codeOf(ADDRESS_SPACE, register.addressSpace);
  const refuse = (what: string): RegisterVerdict => ({
    ok: false,
    errno: ERRNO.EINVAL,
    message: `[Firmware Bug]: APEI: Invalid ${what} in GAR [${hexNumber(address)}/${width}/${offset}/${code}/${space}]`,
  });
  if (address === 0n) return refuse("physical address");
  if (code < 1 || code > 4) return refuse("access size code");
  let accessBits = 1 << (code + 2);
  if (width === 32 && offset === 0 && (address & 3n) === 0n && accessBits < 32) accessBits = 32;
  else if (width === 64 && offset === 0 && (address & 7n) === 0n && accessBits < 64) accessBits = 64;
  if (width + offset > accessBits) return refuse("bit width + offset");
  if (space > 1) return refuse("address space type");
  // Mapping a memory register of no bits fails without a word.
  if (space === 0 && width === 0) return { ok: false, errno: ERRNO.ENXIO };
  return { ok: true, size: (accessBits / 8) as AccessSize, space: space === 0 ? "memory" : "io" };
}

/** Read a register in one access of its whole width. Undefined where the kernel would refuse it. */
export function readRegister(spaces: RegisterSpaces, register: GenericAddress): bigint | undefined {
  const verdict = checkRegister(register);
  if (!verdict.ok) return undefined;
  return spaces[verdict.space]?.readWord(register.address, verdict.size);
}

/** Write a register in one access of its whole width. @returns whether the kernel would do so. */
export function writeRegister(spaces: RegisterSpaces, register: GenericAddress, value: bigint): boolean {
  const verdict = checkRegister(register);
  if (!verdict.ok) return false;
  spaces[verdict.space]?.writeWord(register.address, verdict.size, BigInt.asUintN(verdict.size * 8, value));
  return true;
}
