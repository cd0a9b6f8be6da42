/** Banks that reach an IA32/X64 processor section as a dump of model-specific registers (Linux arch/x86 mce/apei.c behaviour). */
import type { BankRegisters } from "./bank.ts";
import type { CpuModel } from "./smca.ts";

/** First register of bank 0 of a scalable machine-check processor; banks are 16 registers apart. */
const FIRST_REGISTER = 0xc0002000;
const REGISTERS_PER_BANK = 16;
const MOST_BANKS = 256;
/** A dump begins at the status register. */
const STATUS_REGISTER = 1;
/** Status, address, misc, configuration, IPID and syndrome. */
const FEWEST_VALUES = 6;

/**
 * The AMD bank whose registers a context dumps, beginning with its status register; undefined for any other dump.
 * @param address number of the first register.
 */
export function bankOfMsrContext(address: number, values: readonly bigint[], cpu?: CpuModel): { bank: number; registers: BankRegisters } | undefined {
  const offset = address - FIRST_REGISTER;
  if (offset < 0 || offset >= MOST_BANKS * REGISTERS_PER_BANK || offset % REGISTERS_PER_BANK !== STATUS_REGISTER || values.length < FEWEST_VALUES)
    return undefined;
  const [status, bankAddress, misc, configuration, ipId, syndrome] = values as readonly [bigint, bigint, bigint, bigint, bigint, bigint];
  return {
    bank: Math.floor(offset / REGISTERS_PER_BANK),
    registers: { vendor: "amd", status, address: bankAddress, misc, configuration, ipId, syndrome, syndrome1: values[13], syndrome2: values[14], cpu },
  };
}
