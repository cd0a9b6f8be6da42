/** A socket that answers lines the way a test says. */

import { mkdtemp, rm } from "node:fs/promises";
import { createServer, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";

export interface FakeServer {
  readonly path: string;
  /** Lines received so far. */
  readonly received: readonly string[];
  close(): Promise<void>;
}

/** @param greet what is sent first; @param answer what a line is answered with: undefined closes the connection. */
export async function fakeServer(greet: string, answer: (line: string) => string | undefined): Promise<FakeServer> {
  const folder = await mkdtemp(join(tmpdir(), "apei-test-"));
  const path = join(folder, "socket");
  const received: string[] = [];
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on("error", () => undefined);
    if (greet === "") socket.end();
    else socket.write(greet);
    let rest = "";
    socket.setEncoding("utf8").on("data", (chunk: string) => {
      const lines = (rest + chunk).split("\n");
      rest = lines.pop()!;
      for (const line of lines) {
        received.push(line);
        const words = answer(line);
        if (words === undefined) socket.destroy();
        else socket.write(words);
      }
    });
  });
  await new Promise<void>((resolve) => server.listen(path, resolve));
  return {
    path,
    received,
    close: async () => {
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
      await rm(folder, { recursive: true, force: true });
    },
  };
}

/** The greeting of a QEMU of some version. */
export const greeting = (major: number, minor: number): string =>
  `{"QMP": {"version": {"qemu": {"micro": 22, "minor": ${minor}, "major": ${major}}, "package": ""}, "capabilities": ["oob"]}}\r\n`;
