/** The protocol between host and guest, explored word by word: npm run long:interleavings */
import { CASES, LOAD_ORDERS, run, type Setup } from "../host/protocol.ts";

type Row = readonly [name: string, setup: Setup, expected: string];
const rows = [
  ...CASES.flatMap(([name, setup]): readonly Row[] => [
    [name, { ...setup, chunk: 4 }, "nothing"],
    [`${name}, stores of the host out of order`, { ...setup, chunk: 16, weak: true }, "nothing"],
    [`${name}, loads of the guest out of order`, { ...setup, chunk: 8, early: true }, "nothing"],
    [`${name}, both out of order`, { ...setup, chunk: 32, early: true, weak: true }, "nothing"],
  ]),
  ...LOAD_ORDERS.map(({ guest, looks, setup, finds, errors }): Row => [`${guest}; it looks ${looks}`, { chunk: 8, ...setup, early: true, errors }, finds]),
];
for (const [name, setup, expected] of rows) {
  const start = performance.now();
  const { states, violation, stuck } = run(setup);
  const found = violation ?? (stuck ? "stuck" : "nothing");
  const words = found === "nothing" ? "nothing torn, lost, doubled or stuck" : found;
  console.log(
    `${name}: ${states} states, ${words}${found === expected ? "" : `, expected: ${expected}`}, ${((performance.now() - start) / 1000).toFixed(1)} s`,
  );
  if (found !== expected) process.exitCode = 1;
}
