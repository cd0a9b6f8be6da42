/** What every printer of a section is given. */
import type { Memory } from "./view.ts";
import type { KernelTraits } from "./words.ts";

/** A memory device as SMBIOS type 17 describes it. */
export interface MemoryDevice {
  readonly bankLocator: string;
  readonly deviceLocator: string;
}

/** A section the kernel is about to print. */
export interface SectionAtHand {
  readonly memory: Memory;
  /** Where the body lies. */
  readonly at: number;
  /** Bytes the entry's header announces. */
  readonly length: number;
  /** Severity of the entry. */
  readonly severity: number;
  readonly traits: KernelTraits;
  readonly memoryDevices: ReadonlyMap<number, MemoryDevice>;
}
