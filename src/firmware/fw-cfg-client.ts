/** fw_cfg from the firmware's side: every access is a DMA transfer, as in SeaBIOS and EDK2 on QEMU. */
import { decode, encode } from "../layout/index.ts";
import { DmaDescriptor, type FwCfgDevice } from "../machine/fw-cfg-device.ts";
import { SparseMemory } from "../machine/memory.ts";

const DESCRIPTOR_AT = 0n;
const DATA_AT = 4096n;

export interface RomFile {
  readonly name: string;
  readonly key: number;
  /** Bytes. */
  readonly size: number;
}

/** Firmware's side of the fw_cfg DMA interface: a descriptor and a buffer in memory of its own. */
export class FwCfgClient {
  readonly #device: FwCfgDevice;
  /** The firmware's own stack and heap, which are no part of the memory it hands to the guest. */
  readonly #scratch = new SparseMemory([{ start: 0n, length: 1n << 33n }]);

  constructor(device: FwCfgDevice) {
    this.#device = device;
  }

  find(name: string): RomFile | undefined {
    const found = this.#device.find(name);
    return found && { name, ...found };
  }

  read(file: RomFile): Uint8Array {
    this.#transfer({ select: true, key: file.key, read: true }, file.size);
    return this.#scratch.read(DATA_AT, file.size);
  }

  /** Write into a file from `offset` bytes on. False when the device reports an error. */
  write(key: number, offset: number, bytes: Uint8Array): boolean {
    this.#transfer({ select: true, key, skip: true }, offset);
    this.#scratch.write(DATA_AT, bytes);
    return this.#transfer({ write: true }, bytes.length);
  }

  #transfer(control: { select?: true; key?: number; read?: true; skip?: true; write?: true }, length: number): boolean {
    this.#scratch.write(DESCRIPTOR_AT, encode(DmaDescriptor, { control: { key: 0, ...control }, length, address: DATA_AT }));
    this.#device.dma(this.#scratch, DESCRIPTOR_AT);
    return decode(DmaDescriptor, this.#scratch.read(DESCRIPTOR_AT, DmaDescriptor.size)).control.error !== true;
  }
}
