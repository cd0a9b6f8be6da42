/** A client of QEMU's qtest protocol: registers, ports and interrupt inputs of a machine, beside its CPU. */
import type { Socket } from "node:net";
import { ConnectionLost, LineSocket } from "./lines.ts";
import { QmpError, within } from "./qmp.ts";

const PATIENCE = 30_000;
/** Commands that are on their way at once at most. */
const MOST_AHEAD = 2048;
const hex = (value: bigint | number): string => `0x${value.toString(16)}`;

export class QtestClient {
  readonly #lines: LineSocket;
  #turn: Promise<unknown> = Promise.resolve();

  constructor(socket: Socket) {
    this.#lines = new LineSocket(socket);
  }

  /**
   * Carry out commands one after the other. Interrupts that QEMU reports meanwhile are passed over.
   * @returns what follows OK in each answer. @throws QmpError for a refused command, ConnectionLost when QEMU is gone.
   */
  commands(commands: readonly string[]): Promise<string[]> {
    const result = this.#turn.then(async () => {
      const answers: string[] = [];
      for (let at = 0; at < commands.length; at += MOST_AHEAD) {
        const batch = commands.slice(at, at + MOST_AHEAD);
        this.#lines.write(`${batch.join("\n")}\n`);
        for (const command of batch) answers.push(await this.#answer(command));
      }
      return answers;
    });
    this.#turn = result.catch(() => undefined);
    return result;
  }
  async command(command: string): Promise<string> {
    return (await this.commands([command]))[0]!;
  }

  async #answer(command: string): Promise<string> {
    for (;;) {
      const line = await within(this.#lines.read(), PATIENCE, `an answer to ${command}`);
      if (line === undefined) throw new ConnectionLost(`QEMU has gone before it answered ${command}`);
      if (line.startsWith("IRQ ")) continue;
      if (line !== "OK" && !line.startsWith("OK ")) throw new QmpError(command, "Refused", line);
      return line.slice(3);
    }
  }

  /** Put an input of a device to a level. @param device its path in QEMU's object tree. */
  async setInterruptInput(device: string, input: number, level: 0 | 1): Promise<void> {
    await this.command(`set_irq_in ${device} unnamed-gpio-in ${input} ${level}`);
  }
  /** Write 2 bytes to an I/O port. */
  async outw(port: number, value: number): Promise<void> {
    await this.command(`outw ${hex(port)} ${hex(value)}`);
  }
  /** Read a port of one byte so many times. */
  async inb(port: number, times: number): Promise<Uint8Array> {
    return Uint8Array.from(await this.commands(Array.from({ length: times }, () => `inb ${hex(port)}`)), Number);
  }
  /** Write 2 bytes of memory or a register, a little-endian value. */
  async writew(address: bigint, value: number): Promise<void> {
    await this.command(`writew ${hex(address)} ${hex(value)}`);
  }
  /** Read a register of one byte so many times. */
  async readb(address: bigint, times: number): Promise<Uint8Array> {
    return Uint8Array.from(await this.commands(Array.from({ length: times }, () => `readb ${hex(address)}`)), Number);
  }

  close(): void {
    this.#lines.close();
  }
}
