/** A million errors between two threads. */
import { runConcurrently } from "../host/concurrent.ts";

const result = await runConcurrently(1_000_000);
console.log(
  `${result.submitted} errors handed in, ${result.written} written, ${result.received} received, ${result.wrong} wrong, ${result.seconds.toFixed(1)} s`,
);
if (result.wrong > 0 || result.received !== result.submitted) process.exitCode = 1;
