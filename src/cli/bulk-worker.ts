/** Worker thread of the bulk decoder: batches in, lines out. */
import { parentPort, workerData } from "node:worker_threads";
import { type Batch, type BatchOptions, batchConverter } from "../bulk/batch.ts";
import { JsonSink } from "../layout/index.ts";
import { registryWith } from "./section-modules.ts";

/** A batch to convert. Each slot has memory of its own for the text, which is free when its next batch comes. */
export interface Task {
  readonly batch: Batch;
  readonly slot: number;
}

const { options, sections } = workerData as { options: BatchOptions; sections: readonly string[] };
const convert = batchConverter(options, await registryWith(sections, { importModule: (url) => import(url) }));
const sinks: JsonSink[] = [];

/** The first message says that this thread is there; the others are results. */
parentPort!.postMessage(undefined);
parentPort!.on("message", ({ batch, slot }: Task) => {
  parentPort!.postMessage(convert(batch, (sinks[slot] ??= new JsonSink(undefined, true))));
});
