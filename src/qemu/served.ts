/**
 * Devices that QEMU does not have: their registers are memory of the guest, placed by the firmware, and served from
 * outside. The tables' own instructions say what is wanted and wait until it is done.
 */
import { clearTimeout, setTimeout } from "node:timers";
import { EinjDevice, einjRegisters, type InjectedError, linkedEinj } from "../host/einj-device.ts";
import { ErstMailbox, linkedErst } from "../host/erst-mailbox.ts";
import { ErstStorage, MemoryBackend } from "../host/erst-storage.ts";
import type { LinkedTable } from "../host/register-table.ts";
import { hexNumber, UsageError } from "../layout/index.ts";
import type { GuestMemory, Region } from "../machine/memory.ts";
import type { Platform } from "./platform.ts";

/** fw_cfg names of the registers, and of the file their address is written to. */
export const REGISTERS = "etc/apei_registers";
export const REGISTERS_ADDRESS = "etc/apei_registers_addr";

/**
 * A page for the trigger table that the kernel is told to leave alone. Linux takes registers in the memory OVMF
 * allocates (ACPI NVS, "busy" to the kernel), but refuses a trigger table there; that of the other firmwares is merely
 * reserved.
 */
const TRIGGER_PAGE = 0x800_0000n;
/** Where the trigger table goes on a platform, and the kernel's word for it. */
export const triggerPage = ({ firmware }: Platform): { readonly address: bigint; readonly word: string } | undefined =>
  firmware === "ovmf" ? { address: TRIGGER_PAGE, word: `memmap=4K$${hexNumber(TRIGGER_PAGE)}` } : undefined;

/** Milliseconds between two looks at the registers: Linux waits a second for EINJ, and for ERST as long as it takes. */
const LOOK = 2;
/** Where the registers of the store begin: pages of their own. */
const STORE = 0x1000;
/** Bytes by which the registers are known: those of EINJ, which the guest uses last. */
const MARK = 64;

export interface ServedOptions {
  /** Whether errors can be injected. */
  readonly injection: boolean;
  /** The bytes of an error record store; they change as the guest writes. */
  readonly store?: Uint8Array;
}

export class ServedDevices {
  /** Whether errors can be injected. */
  readonly injection: boolean;
  /** Their tables, for the firmware to link. */
  readonly tables: readonly LinkedTable[];
  /** The registers as the guest finds them. */
  readonly registers: Uint8Array;
  readonly #mailbox: ErstMailbox | undefined;
  readonly #injected: InjectedError[] = [];
  #timer: NodeJS.Timeout | undefined;
  /** Looks once. @returns whether the guest had asked for anything. */
  #look: () => boolean = () => false;
  #failure: unknown;

  constructor({ injection, store }: ServedOptions) {
    this.injection = injection;
    this.#mailbox = store && new ErstMailbox(new ErstStorage(new MemoryBackend(store), { repair: false }));
    this.tables = [...(injection ? [linkedEinj(REGISTERS, 0)] : []), ...(this.#mailbox ? [linkedErst(REGISTERS, STORE)] : [])];
    this.registers = new Uint8Array(STORE + (this.#mailbox?.image.length ?? 0));
    this.registers.set(einjRegisters());
    if (this.#mailbox) this.registers.set(this.#mailbox.image, STORE);
  }

  /**
   * Answer the guest from now on. @param base where the firmware has placed the registers. @param program where the
   * guest may read the trigger table, when that is not among them. @throws UsageError when they are not there.
   */
  serve(memory: GuestMemory & { readonly regions: readonly Region[] }, base: bigint, program?: bigint): void {
    const isRam = (address: bigint, length = 1n) => memory.regions.some(({ start, length: size }) => address >= start && address + length <= start + size);
    const { length } = this.registers;
    if (!isRam(base, BigInt(length)) || !memory.read(base, MARK).every((byte, i) => byte === this.registers[i]))
      throw new UsageError(`the firmware has not told where the registers of the machine's devices are: nothing of them is at ${hexNumber(base)}`);
    const device = new EinjDevice({
      memory,
      base,
      isMemory: isRam,
      ...(program !== undefined && { program }),
      inject: (error) => this.#injected.push(error),
    });
    this.#look = () => {
      const injecting = this.injection && device.service();
      const storing = this.#mailbox?.service(memory, base + BigInt(STORE));
      return injecting || storing === true;
    };
    const again = () => {
      try {
        this.#timer = setTimeout(again, this.#look() ? 0 : LOOK);
      } catch (error) {
        this.#failure = error;
      }
    };
    again();
  }

  /** Look now, whether it is time or not. */
  look(): void {
    this.#look();
  }

  /** Errors whose trigger was pulled since the last time, in order. @throws what went wrong while serving. */
  takeInjected(): readonly InjectedError[] {
    if (this.#failure !== undefined) throw this.#failure;
    return this.#injected.splice(0);
  }

  /** The machine is going: look no more. */
  stop(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }
}
