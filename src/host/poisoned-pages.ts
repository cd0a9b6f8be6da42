/**
 * Pages of guest RAM that the host's memory behind has lost. The guest may isolate them, but it forgets that at a reset:
 * then the monitor puts fresh memory behind them (QEMU kvm_hwpoison_page_add and qemu_ram_remap behaviour).
 */
import type { GuestMemory } from "../machine/memory.ts";

const SMALL_PAGE = 4096n;

/** The list of lost pages a monitor keeps. */
export class PoisonedPages {
  /** Bytes of the pages behind guest RAM: with huge pages all of one is lost (from QEMU 10.0 on; before, 4 KiB of it are replaced). */
  readonly pageSize: bigint;
  readonly #pages = new Set<bigint>();

  constructor(pageSize = SMALL_PAGE) {
    this.pageSize = pageSize;
  }

  /** An error was met at a guest physical address. @returns whether its page is new on the list. */
  add(address: bigint): boolean {
    const page = address - (address % this.pageSize);
    if (this.#pages.has(page)) return false;
    this.#pages.add(page);
    return true;
  }
  /** Whether the page of an address is lost. */
  has(address: bigint): boolean {
    return this.#pages.has(address - (address % this.pageSize));
  }
  get addresses(): readonly bigint[] {
    return [...this.#pages];
  }

  /**
   * The machine is reset: every page on the list gets fresh memory, which reads as zero, and the list is empty.
   * @returns the addresses of the pages, latest first, as QEMU goes through them. @throws MemoryFault for pages outside RAM.
   */
  replace(memory: GuestMemory): readonly bigint[] {
    const pages = [...this.#pages].reverse();
    for (const page of pages) memory.write(page, new Uint8Array(Number(this.pageSize)));
    this.#pages.clear();
    return pages;
  }
}
