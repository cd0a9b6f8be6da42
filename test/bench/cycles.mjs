/** Record, notify, acknowledge: cycles between the error source device and the guest kernel in one thread. */
import { boot, buildHandOff, buildTable, guest, host } from "../../dist/index.js";

const CYCLES = 20_000;
const files = (name) => (name === "DSDT" ? buildTable("DSDT", { body: "" }) : buildTable("FACP", { header: { revision: 6 }, body: "00".repeat(240) }));
const { memory, rsdpAddress, writtenPointers } = boot(
  buildHandOff(
    {
      errorSources: [
        { id: 0, notification: "sea" },
        { id: 1, notification: { type: "gsiv", vector: 41 } },
      ],
      tables: [{ file: "DSDT" }, { file: "FACP" }, { hest: true }],
    },
    files,
  ).files,
);
const hest = writtenPointers[0].value;

for (const [name, locate] of [
  ["HEST walked for every record", host.inHestAsQemu(memory, hest, 1024)],
  ["HEST read as a whole for every record", host.inHest(memory, hest)],
]) {
  let now = 0;
  const kernel = new guest.GuestKernel({ memory }, { architecture: "arm64", clock: () => now, report: () => {} });
  kernel.boot(rsdpAddress);
  const device = new host.ErrorSourceDevice({ memory, locate, policy: host.PRESETS["kvmtool-like"].recording });
  const controller = new host.NotificationController("gsiv", {
    has: new Set(Object.keys(host.NEED)),
    masks: () => ({}),
    deliver: ({ vector }) => kernel.notify("gsiv", vector).finish(),
  });
  const start = performance.now();
  const before = process.cpuUsage();
  for (let i = 0; i < CYCLES; i++) {
    now += 10;
    if (device.record(1, host.memoryRecord({ physicalAddress: BigInt(i) << 12n, severity: "corrected", errorType: "singleBitEcc" })) !== "written")
      throw new Error(`cycle ${i}: the guest did not acknowledge`);
    controller.raise({ source: 1, type: "gsiv", vector: 41, pollInterval: 0 });
  }
  const seconds = (performance.now() - start) / 1000;
  const { user, system } = process.cpuUsage(before);
  console.log(
    `${name}: ${Math.round(CYCLES / seconds)} cycles a second (${((seconds / CYCLES) * 1e6).toFixed(1)} µs each, ${((user + system) / CYCLES).toFixed(1)} µs of processor time), ${kernel.delivered.length} delivered`,
  );
}
