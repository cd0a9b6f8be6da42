/** Worker thread of the bulk decoder: batches in, lines out. */
import type { MessagePort } from "node:worker_threads";
import { type Batch, type BatchOptions, batchConverter } from "../bulk/batch.ts";
import { JsonSink } from "../layout/index.ts";
import type { Io } from "./io.ts";
import { registryWith } from "./section-modules.ts";

/** What a worker is for. */
export interface WorkerData {
  readonly options: BatchOptions;
  readonly sections: readonly string[];
}
/** A batch to convert. Each slot has memory of its own for the text, which is free when its next batch comes. */
export interface Task {
  readonly batch: Batch;
  readonly slot: number;
}

/** Convert the batches that come through a port. The first message says that this thread is there; the others are results. */
export async function serveBatches(port: MessagePort, { options, sections }: WorkerData, importModule: Io["importModule"]): Promise<void> {
  const convert = batchConverter(options, await registryWith(sections, { importModule }));
  const sinks: JsonSink[] = [];
  port.on("message", ({ batch, slot }: Task) => {
    port.postMessage(convert(batch, (sinks[slot] ??= new JsonSink(undefined, true))));
  });
  port.postMessage(undefined);
}
