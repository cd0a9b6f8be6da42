/** The protocol between host and guest, explored word by word: npm run long:interleavings */
import { CASES, run, type Setup } from "../host/protocol.ts";

for (const [name, setup] of CASES.flatMap(([name, setup]): (readonly [string, Setup])[] => [
  [name, { ...setup, chunk: 4 }],
  [`${name}, stores of the host out of order`, { ...setup, chunk: 16, weak: true }],
])) {
  const start = performance.now();
  const { states, violation, stuck } = run(setup);
  console.log(
    `${name}: ${states} states, ${violation ?? (stuck ? "stuck" : "nothing torn, lost, doubled or stuck")}, ${((performance.now() - start) / 1000).toFixed(1)} s`,
  );
  if (violation !== undefined || stuck) process.exitCode = 1;
}
