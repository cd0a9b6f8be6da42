/** The sockets a QEMU talks through: this side listens, QEMU connects once, and text comes in lines. */
import { createServer, type Server, type Socket } from "node:net";
import { UsageError } from "../layout/index.ts";

/** The other side has gone, or behaves as if it had. */
export class ConnectionLost extends Error {
  override readonly name = "ConnectionLost";
}

/** One side of a conversation in lines. */
export class LineSocket {
  readonly #socket: Socket;
  readonly #waiting: ((line: string | undefined) => void)[] = [];
  readonly #lines: string[] = [];
  #rest = "";
  #closed = false;

  constructor(socket: Socket) {
    this.#socket = socket;
    socket.setEncoding("utf8");
    socket.on("data", (chunk: string) => {
      const parts = (this.#rest + chunk).split("\n");
      this.#rest = parts.pop()!;
      for (const line of parts) this.#take(line.replace(/\r$/, ""));
    });
    socket.on("error", () => this.#end());
    socket.on("close", () => this.#end());
  }

  get closed(): boolean {
    return this.#closed;
  }
  write(text: string): void {
    if (!this.#closed) this.#socket.write(text);
  }
  /** The next line; undefined when the other side is gone. */
  read(): Promise<string | undefined> {
    const line = this.#lines.shift();
    if (line !== undefined || this.#closed) return Promise.resolve(line);
    return new Promise((resolve) => this.#waiting.push(resolve));
  }
  close(): void {
    this.#socket.destroy();
    this.#end();
  }

  #take(line: string): void {
    const next = this.#waiting.shift();
    if (next) next(line);
    else this.#lines.push(line);
  }
  #end(): void {
    this.#closed = true;
    for (const next of this.#waiting.splice(0)) next(undefined);
  }
}

/** Bytes of the path in a socket's address, less the zero that ends it. */
const MOST_PATH = 107;

/** Waits at a path for the one connection that is expected there. */
export class Listener {
  readonly path: string;
  readonly #server: Server;
  readonly #connected: Promise<Socket>;

  private constructor(path: string, server: Server) {
    this.path = path;
    this.#server = server;
    this.#connected = new Promise((resolve) =>
      server.once("connection", (socket) => {
        server.close();
        resolve(socket);
      }),
    );
  }

  /** @throws UsageError for a path that does not fit an address. */
  static async listen(path: string): Promise<Listener> {
    if (Buffer.byteLength(path) > MOST_PATH)
      throw new UsageError(`${path}: the path of a socket has at most ${MOST_PATH} bytes; TMPDIR names another place for temporary files`);
    const server = createServer();
    const listener = new Listener(path, server);
    return new Promise((resolve, reject) => {
      server.once("error", reject);
      server.listen(path, () => resolve(listener));
    });
  }
  accept(): Promise<Socket> {
    return this.#connected;
  }
  close(): void {
    this.#server.close();
  }
}
