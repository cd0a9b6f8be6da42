/** Reading fw_cfg from outside, the way a guest would: through its registers. */
import { parse } from "../layout/index.ts";
import { DIRECTORY_KEY, Directory, DirectoryEntry, type FwCfgFile, type FwCfgFiles } from "../loader/fw-cfg.ts";
import { FwCfgMmio } from "../machine/fw-cfg-device.ts";
import type { Architecture } from "./debian-guest.ts";
import type { QtestClient } from "./qtest.ts";

/** Registers of x86 machines (QEMU fw_cfg specification). */
const PORT = { select: 0x510, data: 0x511 } as const;
/** Of the arm machine, from its base: the selector is big-endian. */
const SELECT = 8n;
const swap16 = (value: number) => ((value & 0xff) << 8) | (value >> 8);

export interface FwCfgListing {
  readonly name: string;
  readonly key: number;
  readonly size: number;
}

/**
 * The traditional interface. The selector is the guest's own: reading while the guest's firmware reads would disturb
 * it, so the machine has to be past its firmware, or stopped, or not started yet.
 */
export class FwCfgReader {
  readonly #qtest: QtestClient;
  readonly #architecture: Architecture;

  constructor(qtest: QtestClient, architecture: Architecture) {
    this.#qtest = qtest;
    this.#architecture = architecture;
  }

  /** The first `length` bytes of an item. */
  async read(key: number, length: number): Promise<Uint8Array> {
    if (this.#architecture === "x86") {
      await this.#qtest.outw(PORT.select, key);
      return this.#qtest.inb(PORT.data, length);
    }
    await this.#qtest.writew(FwCfgMmio.base + SELECT, swap16(key));
    return this.#qtest.readb(FwCfgMmio.base, length);
  }

  /** The directory's bytes. */
  async directory(): Promise<Uint8Array> {
    const { count = 0 } = parse(Directory, await this.read(DIRECTORY_KEY, 4));
    return this.read(DIRECTORY_KEY, 4 + count * DirectoryEntry.size);
  }
  async list(): Promise<readonly FwCfgListing[]> {
    return (parse(Directory, await this.directory()).files ?? []).map(({ name, key, size }) => ({ name, key, size }));
  }

  /** The files with these names that are there, whole. */
  async files(wanted: (name: string) => boolean): Promise<FwCfgFiles> {
    const out = new Map<string, FwCfgFile>();
    // Selecting a table file makes QEMU build the tables anew, which may change sizes: so one look before the listing.
    for (const { name, key } of await this.list()) if (wanted(name)) await this.read(key, 1);
    for (const { name, key, size } of await this.list()) if (wanted(name)) out.set(name, { bytes: await this.read(key, size) });
    return out;
  }
}
