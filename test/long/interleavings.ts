/** The protocol between host and guest, explored word by word: npm run long:interleavings */
import { CASES, run } from "../host/protocol.ts";

for (const [name, setup] of CASES) {
  const start = performance.now();
  const { states, violation, stuck } = run({ ...setup, chunk: 4 });
  console.log(
    `${name}: ${states} states, ${violation ?? (stuck ? "stuck" : "nothing torn, lost, doubled or stuck")}, ${((performance.now() - start) / 1000).toFixed(1)} s`,
  );
  if (violation !== undefined || stuck) process.exitCode = 1;
}
