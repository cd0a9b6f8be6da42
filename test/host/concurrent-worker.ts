/** One of the two threads; `role` says which. */
import { parentPort, workerData } from "node:worker_threads";
import { buildErrorStatusBlock } from "../../src/acpi/status-block.ts";
import { take } from "../../src/guest/ghes.ts";
import { ErrorSourceDevice } from "../../src/host/error-source.ts";
import { SharedMemory } from "../../src/host/shared-memory.ts";
import { BASE, placeSources } from "./place.ts";

const { role, buffer, errors } = workerData as { role: "host" | "guest"; buffer: SharedArrayBuffer; errors: number };
const memory = new SharedMemory(buffer, BASE);
const READY = BASE + 0xf000n;
const WORDS = 16;
/** Where the numbered data begins: block header and data entry header. */
const DATA = 20 + 64;
const MOST_WAITING = 32;
/** Looks in vain before a thread lets others have its processor. */
const PATIENCE = 5000;

const nothing = new Int32Array(new SharedArrayBuffer(4));
let vain = 0;
/** To be called for every look, with whether it found something. */
function looked(found: boolean): void {
  vain = found ? 0 : vain + 1;
  if (vain % PATIENCE === PATIENCE - 1) Atomics.wait(nothing, 0, 0, 0.05);
}

function host(): Record<string, number> {
  const { locate } = placeSources([{ version: 2 }, { version: 2 }], { memory });
  const locations = [locate(0), locate(1)];
  memory.writeWord(READY, 8, 1n);
  const device = new ErrorSourceDevice({
    memory,
    locate: (id) => locations[id]!,
    policy: { unacknowledged: { action: "queue", limit: MOST_WAITING, whenFull: "dropNewest" }, stores: "statusLast", acknowledgement: "bits" },
  });
  const template = buildErrorStatusBlock("recoverable", [
    { header: { errorSeverity: "recoverable", revision: 0x0201, sectionType: "c197e04e-d545-4a70-9c17-a5549419eb12" }, body: new Uint8Array(WORDS * 4) },
  ]);
  for (let n = 0; n < errors; n++) {
    const block = template.slice();
    const view = new DataView(block.buffer);
    for (let i = 0; i < WORDS; i++) view.setUint32(DATA + 4 * i, n, true);
    while (device.account(n & 1).waiting === MOST_WAITING) looked(device.service().length > 0);
    device.record(n & 1, block);
  }
  while (device.account(0).waiting + device.account(1).waiting > 0) looked(device.service().length > 0);
  const accounts = [device.account(0), device.account(1)];
  return { submitted: accounts[0]!.submitted + accounts[1]!.submitted, written: accounts[0]!.written + accounts[1]!.written };
}

function guest(): Record<string, number> {
  while (memory.readWord(READY, 8) === 0n) looked(false);
  // The tables are there; a second look at them must not write the words the host has begun to use.
  const { devices } = placeSources([{ version: 2 }, { version: 2 }]);
  const spaces = { memory };
  const next = [0, 1];
  let received = 0;
  let wrong = 0;
  while (received < errors)
    for (const device of devices) {
      const report = take(spaces, device);
      looked(report.found !== "nothing");
      if (report.found === "nothing") continue;
      received++;
      if (report.found === "rubbish") {
        wrong++;
        continue;
      }
      const view = new DataView(report.block.buffer, report.block.byteOffset);
      const n = view.getUint32(DATA, true);
      let whole = n === next[device.id];
      for (let i = 1; i < WORDS; i++) whole = whole && view.getUint32(DATA + 4 * i, true) === n;
      if (!whole) wrong++;
      next[device.id] = n + 2;
    }
  return { received, wrong };
}

parentPort!.postMessage(role === "host" ? host() : guest());
