/** QEMU's fw_cfg device: what selects, reads, skips and writes do, and when a transfer fails. */
import { bigEndian, bits, decode, encode, struct, u32, u64 } from "../layout/index.ts";
import { buildDirectory, DIRECTORY_KEY, FIRST_FILE_KEY, type FwCfgFiles } from "../loader/fw-cfg.ts";
import { type GuestMemory, MemoryFault } from "./memory.ts";

/** The descriptor of a DMA transfer, in guest memory. Done when all of `control` but the error bit is clear. */
export const DmaDescriptor = struct("fw_cfg DMA Descriptor", 16, "QEMU fw_cfg specification", {
  control: bigEndian(
    bits(4, "What to do; the device clears it and sets the error bit on failure", { error: 0, read: 1, skip: 2, select: 3, write: 4, key: [16, 16] }),
  ),
  length: bigEndian(u32("Bytes to transfer")),
  address: bigEndian(u64("Guest address of the data")),
});

/** What the DMA register reads as: "QEMU CFG". */
const DMA_SIGNATURE = 0x51454d5520434647n;
/** Keys of the items that are no files. */
const KEY = { signature: 0x0000, id: 0x0001, directory: DIRECTORY_KEY, firstFile: FIRST_FILE_KEY } as const;
/** Bits of the `id` item: the traditional interface and DMA. */
const ID_TRADITIONAL_AND_DMA = 3;

interface Item {
  readonly name?: string;
  readonly bytes: Uint8Array;
  readonly writable: boolean;
}

/** What the guest wrote to a file. */
export interface FwCfgWrite {
  readonly name: string;
  readonly offset: number;
  readonly bytes: Uint8Array;
}

/** The device behind its registers (QEMU hw/nvram/fw_cfg.c behaviour). */
export class FwCfgDevice {
  readonly #items = new Map<number, Item>();
  readonly #keys = new Map<string, number>();
  /** Every completed write of the guest, oldest first. */
  readonly writes: FwCfgWrite[] = [];
  #key: number | undefined;
  #offset = 0;
  #dmaHigh = 0n;

  /** The files are copied: what the guest writes does not reach the caller's bytes. */
  constructor(files: FwCfgFiles) {
    this.#items.set(KEY.signature, { bytes: new TextEncoder().encode("QEMU"), writable: false });
    this.#items.set(KEY.id, { bytes: Uint8Array.of(ID_TRADITIONAL_AND_DMA, 0, 0, 0), writable: false });
    this.#items.set(KEY.directory, { bytes: buildDirectory(files), writable: false });
    [...files.keys()]
      .sort((a, b) => (a < b ? -1 : 1))
      .forEach((name, i) => {
        const file = files.get(name)!;
        this.#keys.set(name, KEY.firstFile + i);
        this.#items.set(KEY.firstFile + i, { name, bytes: file.bytes.slice(), writable: file.writable ?? false });
      });
  }

  /** The key and size of a file, as a firmware finds them in the directory. */
  find(name: string): { readonly key: number; readonly size: number } | undefined {
    const key = this.#keys.get(name);
    return key === undefined ? undefined : { key, size: this.#items.get(key)!.bytes.length };
  }

  /** What a file holds now, as the host sees it: undefined for an unknown name. */
  file(name: string): Uint8Array | undefined {
    const key = this.#keys.get(name);
    return key === undefined ? undefined : this.#items.get(key)!.bytes.slice();
  }

  /** All files as they are now. */
  files(): FwCfgFiles {
    return new Map([...this.#keys].map(([name, key]) => [name, { bytes: this.#items.get(key)!.bytes.slice(), writable: this.#items.get(key)!.writable }]));
  }

  /** The host empties a writable file, as QEMU does on reset. */
  reset(): void {
    for (const item of this.#items.values()) if (item.writable) item.bytes.fill(0);
    this.writes.length = 0;
  }

  /** Write to the selector register: the item is read from its start. An unknown key reads as zeros. */
  select(key: number): void {
    this.#key = this.#items.has(key) ? key : undefined;
    this.#offset = 0;
  }

  /** Read the data register: the next byte, zero past the end. */
  readData(): number {
    const item = this.#item();
    return item && this.#offset < item.bytes.length ? item.bytes[this.#offset++]! : 0;
  }

  /** Write the data register: ignored since QEMU 2.4. */
  writeData(_value: number): void {}

  /** Read 4 or 8 bytes of the DMA address register at `offset` 0 or 4. */
  readDmaAddress(offset: 0 | 4, size: 4 | 8): bigint {
    return BigInt.asUintN(size * 8, DMA_SIGNATURE >> BigInt((8 - offset - size) * 8));
  }

  /** Write the DMA address register, the value already in host order: 8 bytes, or the high half (kept) and then the low half, which starts the transfer. */
  writeDmaAddress(memory: GuestMemory, offset: 0 | 4, size: 4 | 8, value: bigint): void {
    if (size === 4 && offset === 0) this.#dmaHigh = value << 32n;
    else {
      const address = size === 8 ? value : this.#dmaHigh | value;
      this.#dmaHigh = 0n;
      this.dma(memory, address);
    }
  }

  /** Carry out the descriptor at `address`. Failure is told to the guest by the error bit, never to the caller. */
  dma(memory: GuestMemory, address: bigint): void {
    let descriptor: ReturnType<typeof readDescriptor>;
    try {
      descriptor = readDescriptor(memory, address);
    } catch (error) {
      if (!(error instanceof MemoryFault)) throw error;
      answer(memory, address, true);
      return;
    }
    const { control, length, address: data } = descriptor;
    if (control.select) this.select(control.key ?? 0);
    answer(
      memory,
      address,
      control.read ? !this.#read(memory, data, length) : control.write ? !this.#write(memory, data, length) : control.skip ? this.#skip(length) : false,
    );
  }

  #item(): Item | undefined {
    return this.#key === undefined ? undefined : this.#items.get(this.#key);
  }

  #read(memory: GuestMemory, address: bigint, length: number): boolean {
    const item = this.#item();
    const have = item ? Math.max(0, Math.min(length, item.bytes.length - this.#offset)) : 0;
    try {
      if (have > 0) memory.write(address, item!.bytes.subarray(this.#offset, this.#offset + have));
      this.#offset += have;
      // Past the end the device delivers zeros; a page at a time, since a guest may ask for 4 GiB of them.
      for (let at = have; at < length; at += ZEROS.length) memory.write(address + BigInt(at), ZEROS.subarray(0, Math.min(ZEROS.length, length - at)));
      return true;
    } catch (error) {
      if (error instanceof MemoryFault) return false;
      throw error;
    }
  }

  #write(memory: GuestMemory, address: bigint, length: number): boolean {
    if (length === 0) return true;
    const item = this.#item();
    const room = item ? item.bytes.length - this.#offset : 0;
    if (!item || room <= 0) return false;
    const offset = this.#offset;
    this.#offset += Math.min(length, room);
    if (!item.writable || length > room) return false;
    try {
      const bytes = memory.read(address, length);
      item.bytes.set(bytes, offset);
      this.writes.push({ name: item.name!, offset, bytes });
      return true;
    } catch (error) {
      if (error instanceof MemoryFault) return false;
      throw error;
    }
  }

  #skip(length: number): false {
    const item = this.#item();
    if (item) this.#offset = Math.max(this.#offset, Math.min(item.bytes.length, this.#offset + length));
    return false;
  }
}

const ZEROS = new Uint8Array(65536);
const readDescriptor = (memory: GuestMemory, address: bigint) => decode(DmaDescriptor, memory.read(address, DmaDescriptor.size));

function answer(memory: GuestMemory, address: bigint, failed: boolean): void {
  const control = encode(DmaDescriptor, { control: failed ? { error: true } : {}, length: 0, address: 0n }).subarray(0, DmaDescriptor.fields.control.size);
  try {
    memory.write(address, control);
  } catch (error) {
    // A descriptor outside memory cannot be answered: the guest never learns.
    if (!(error instanceof MemoryFault)) throw error;
  }
}

/** fw_cfg as an x86 machine has it: port 0x510 selects, 0x511 reads, 0x514 takes the descriptor's address, big-endian. */
export class FwCfgPorts {
  readonly device: FwCfgDevice;
  readonly memory: GuestMemory;

  constructor(device: FwCfgDevice, memory: GuestMemory) {
    this.device = device;
    this.memory = memory;
  }

  /** `out` of 1, 2 or 4 bytes; the value as the CPU holds it. Other ports and widths are ignored. */
  out(port: number, size: 1 | 2 | 4, value: number): void {
    if (port === 0x510 && size === 2) this.device.select(value & 0xffff);
    else if (port === 0x511) this.device.writeData(value);
    else if ((port === 0x514 || port === 0x518) && size === 4) this.device.writeDmaAddress(this.memory, port === 0x514 ? 0 : 4, 4, BigInt(swap32(value)));
  }

  /** `in` of 1 or 4 bytes. */
  in(port: number, size: 1 | 4): number {
    if (port === 0x511 && size === 1) return this.device.readData();
    if ((port === 0x514 || port === 0x518) && size === 4) return swap32(Number(this.device.readDmaAddress(port === 0x514 ? 0 : 4, 4)));
    return 0;
  }
}

/** fw_cfg as the arm `virt` machine has it, 24 bytes at 0x09020000: data at 0, selector at 8, DMA address at 16, all big-endian. */
export class FwCfgMmio {
  static readonly base = 0x09020000n;
  readonly device: FwCfgDevice;
  readonly memory: GuestMemory;

  constructor(device: FwCfgDevice, memory: GuestMemory) {
    this.device = device;
    this.memory = memory;
  }

  /** A store of 1 to 8 bytes in memory order. Other offsets and widths are ignored. */
  write(offset: number, bytes: Uint8Array): void {
    const value = bytes.reduce((sum, byte) => (sum << 8n) | BigInt(byte), 0n);
    if (offset === 8 && bytes.length === 2) this.device.select(Number(value));
    else if (offset === 16 && (bytes.length === 4 || bytes.length === 8)) this.device.writeDmaAddress(this.memory, 0, bytes.length, value);
    else if (offset === 20 && bytes.length === 4) this.device.writeDmaAddress(this.memory, 4, 4, value);
  }

  /** A load of 1 to 8 bytes, in memory order. */
  read(offset: number, size: 1 | 2 | 4 | 8): Uint8Array {
    if (offset === 0) return Uint8Array.from({ length: size }, () => this.device.readData());
    if ((offset === 16 && (size === 4 || size === 8)) || (offset === 20 && size === 4)) {
      const value = this.device.readDmaAddress(offset === 16 ? 0 : 4, size);
      return Uint8Array.from({ length: size }, (_, i) => Number((value >> BigInt(8 * (size - 1 - i))) & 255n));
    }
    return new Uint8Array(size);
  }
}

const swap32 = (value: number): number => (((value & 0xff) << 24) | ((value & 0xff00) << 8) | ((value >>> 8) & 0xff00) | (value >>> 24)) >>> 0;
