/** Running the command line in this process. */
import { main } from "../../src/cli/main.ts";

export interface Outcome {
  readonly exit: number;
  readonly out: string;
  readonly err: string;
  /** Standard output as bytes. */
  readonly bytes: Uint8Array;
}

/** Run `apei` with these words; `stdin` is what it can read. */
export async function apei(argv: readonly string[], stdin: Uint8Array | string = new Uint8Array(0), env: Record<string, string> = {}): Promise<Outcome> {
  const out: Uint8Array[] = [];
  const err: string[] = [];
  const bytesOf = (chunk: string | Uint8Array) => (typeof chunk === "string" ? new TextEncoder().encode(chunk) : chunk);
  const exit = await main(argv, {
    stdin: (async function* () {
      yield bytesOf(stdin);
    })(),
    stdout: {
      write: (chunk, done) => {
        // A copy: the writer may use its memory again once it is told that the chunk is done with.
        out.push(bytesOf(chunk).slice());
        done?.();
        return true;
      },
    },
    stderr: { write: (chunk) => err.push(typeof chunk === "string" ? chunk : new TextDecoder().decode(chunk)) > 0 },
    env,
    importModule: (url) => import(url),
  });
  const bytes = new Uint8Array(Buffer.concat(out));
  return { exit, out: new TextDecoder().decode(bytes), err: err.join(""), bytes };
}
