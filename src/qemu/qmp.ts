/** A client of QEMU's machine protocol: one JSON object a line, answers in the order of the commands, events between them. */
import { connect, type Socket } from "node:net";
import { ConnectionLost, LineSocket } from "./lines.ts";

/** QEMU refused a command. */
export class QmpError extends Error {
  override readonly name = "QmpError";
  /** QEMU's class of the error, such as CommandNotFound. */
  readonly kind: string;

  constructor(command: string, kind: string, description: string) {
    super(`${command}: ${description}`);
    this.kind = kind;
  }
}

export interface QmpEvent {
  readonly event: string;
  readonly data?: { readonly [key: string]: unknown };
}
export interface QemuVersion {
  readonly major: number;
  readonly minor: number;
  readonly micro: number;
}
interface Answer {
  readonly QMP?: { readonly version: { readonly qemu: QemuVersion } };
  readonly return?: unknown;
  readonly error?: { readonly class: string; readonly desc: string };
  readonly event?: string;
}

export const versionText = ({ major, minor, micro }: QemuVersion): string => `${major}.${minor}.${micro}`;
export const isAtLeast = (version: QemuVersion, major: number, minor: number): boolean =>
  version.major > major || (version.major === major && version.minor >= minor);

/** How long QEMU may take for one answer, milliseconds. */
const PATIENCE = 30_000;

export class QmpClient {
  readonly version: QemuVersion;
  /** Events so far, oldest first. */
  readonly events: QmpEvent[] = [];
  readonly #lines: LineSocket;
  readonly #patience: number;
  #turn: Promise<unknown> = Promise.resolve();

  private constructor(lines: LineSocket, version: QemuVersion, patience: number) {
    this.#lines = lines;
    this.version = version;
    this.#patience = patience;
  }

  /**
   * Greet QEMU over a connection.
   * @param patience milliseconds to wait for an answer.
   * @throws ConnectionLost, also when the other side is no QEMU.
   */
  static async greet(socket: Socket, patience = PATIENCE): Promise<QmpClient> {
    const lines = new LineSocket(socket);
    try {
      const first = await within(lines.read(), patience, "QEMU's greeting");
      if (first === undefined) throw new ConnectionLost("the connection was closed before QEMU's greeting: another client may hold it");
      const version = parse(first)?.QMP?.version.qemu;
      if (!version) throw new ConnectionLost(`this is no QMP socket: it begins with ${JSON.stringify(first.slice(0, 60))}`);
      const client = new QmpClient(lines, version, patience);
      await client.execute("qmp_capabilities");
      return client;
    } catch (error) {
      lines.close();
      throw error;
    }
  }

  /** Connect to the socket of a running QEMU: a path, or HOST:PORT. */
  static async connect(address: string, patience = PATIENCE): Promise<QmpClient> {
    const network = /^(?:tcp:)?([^/]*):([0-9]+)$/.exec(address);
    const socket = network ? connect(Number(network[2]), network[1] || "localhost") : connect(address.replace(/^unix:/, ""));
    await new Promise<void>((resolve, reject) => {
      socket.once("connect", resolve);
      socket.once("error", (error: NodeJS.ErrnoException) =>
        reject(
          new ConnectionLost(
            `${address}: ${error.code === "ENOENT" ? "no such socket" : error.code === "ECONNREFUSED" ? "nobody listens there" : error.message}`,
          ),
        ),
      );
    });
    return QmpClient.greet(socket, patience);
  }

  /** Carry out a command. @throws QmpError when QEMU refuses, ConnectionLost when it is gone. */
  execute(command: string, values?: { readonly [key: string]: unknown }): Promise<unknown> {
    const result = this.#turn.then(async () => {
      this.#lines.write(`${JSON.stringify({ execute: command, ...(values && { arguments: values }) })}\n`);
      for (;;) {
        const line = await within(this.#lines.read(), this.#patience, `an answer to ${command}`);
        if (line === undefined) throw new ConnectionLost(`QEMU has gone before it answered ${command}`);
        const answer = parse(line);
        if (!answer) continue;
        if (answer.event !== undefined) this.events.push(answer as QmpEvent);
        else if (answer.error) throw new QmpError(command, answer.error.class, answer.error.desc);
        else if ("return" in answer) return answer.return;
      }
    });
    this.#turn = result.catch(() => undefined);
    return result;
  }

  /** A command of the human monitor, with what it prints. */
  async human(line: string): Promise<string> {
    return (await this.execute("human-monitor-command", { "command-line": line })) as string;
  }

  get closed(): boolean {
    return this.#lines.closed;
  }
  close(): void {
    this.#lines.close();
  }
}

function parse(line: string): Answer | undefined {
  try {
    const json: unknown = JSON.parse(line);
    return typeof json === "object" && json !== null ? (json as Answer) : undefined;
  } catch {
    return undefined;
  }
}

/** @throws ConnectionLost when it takes longer than `milliseconds`. */
export function within<T>(promise: Promise<T>, milliseconds: number, what: string): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new ConnectionLost(`no ${what.replace(/^(an?|QEMU's) /, "")} within ${milliseconds / 1000} s`)), milliseconds);
  });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}
