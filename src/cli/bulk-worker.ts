/** Worker thread of the bulk decoder: batches in, lines out. */
import { parentPort, workerData } from "node:worker_threads";
import { type Batch, type BatchOptions, batchConverter } from "../bulk/batch.ts";
import { registryWith } from "./section-modules.ts";

const { options, sections } = workerData as { options: BatchOptions; sections: readonly string[] };
const convert = batchConverter(options, await registryWith(sections, { importModule: (url) => import(url) }));

parentPort!.on("message", (batch: Batch) => {
  const result = convert(batch);
  // The text is far larger than the records: it goes over without a copy.
  parentPort!.postMessage(result, [result.bytes.buffer as ArrayBuffer]);
});
