/**
 * The synchronous external abort a monitor gives its guest. It is made anew: the host's own syndrome says what
 * happened to the host and never reaches the guest.
 */
import { encodeEsr } from "../arm64/syndrome.ts";

export interface SyntheticAbort {
  /** ESR_EL1. */
  readonly syndrome: bigint;
  /** FAR_EL1; undefined when FnV says it is not valid. */
  readonly faultAddress: bigint | undefined;
  /** Offset from VBAR_EL1. */
  readonly vector: number;
}

/** Vectors of a synchronous exception: from a lower level in AArch64, or from the same level with its own stack pointer. */
const VECTOR = { lower: 0x400, current: 0x200 } as const;

/** @param abort.fetch the access was an instruction fetch. */
export function syntheticAbort(abort: { readonly level: "EL0" | "EL1"; readonly fetch?: boolean; readonly faultAddress?: bigint | undefined }): SyntheticAbort {
  const lower = abort.level === "EL0";
  const common = { il: true, fsc: "externalAbort", ...(abort.faultAddress === undefined && { fnv: true }) } as const;
  return {
    syndrome: abort.fetch
      ? encodeEsr("instructionAbort", { ec: lower ? "instructionAbortLower" : "instructionAbortCurrent", ...common })
      : encodeEsr("dataAbort", { ec: lower ? "dataAbortLower" : "dataAbortCurrent", ...common }),
    faultAddress: abort.faultAddress,
    vector: lower ? VECTOR.lower : VECTOR.current,
  };
}
