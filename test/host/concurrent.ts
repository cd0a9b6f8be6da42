/** Host and guest in two threads over one shared buffer, every error numbered and every number looked for. */
import { Worker } from "node:worker_threads";
import { buildSync } from "esbuild";

/** From the project's root, where tests and scripts are run. */
const WORKER = "test/host/concurrent-worker.ts";

export interface ConcurrentResult {
  readonly submitted: number;
  readonly written: number;
  readonly received: number;
  /** Numbers that came torn, twice, out of order or to the wrong source. */
  readonly wrong: number;
  readonly seconds: number;
}

/** @param errors to hand in, spread over two sources. */
export async function runConcurrently(errors: number): Promise<ConcurrentResult> {
  const bundle = buildSync({
    entryPoints: [WORKER],
    bundle: true,
    platform: "node",
    format: "cjs",
    write: false,
    logLevel: "silent",
  }).outputFiles[0]!.text;
  const buffer = new SharedArrayBuffer(0x10000);
  const start = performance.now();
  const spawn = (role: "host" | "guest") =>
    new Promise<Record<string, number>>((resolve, reject) => {
      const worker = new Worker(bundle, { eval: true, workerData: { role, buffer, errors } });
      worker.once("message", resolve);
      worker.once("error", reject);
    });
  const [host, guest] = await Promise.all([spawn("host"), spawn("guest")]);
  return {
    submitted: host!["submitted"]!,
    written: host!["written"]!,
    received: guest!["received"]!,
    wrong: guest!["wrong"]!,
    seconds: (performance.now() - start) / 1000,
  };
}
