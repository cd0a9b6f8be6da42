/** The reader against our model of the device, which is held to real captures elsewhere. */
import { connect } from "node:net";
import { afterEach, describe, expect, test } from "vitest";
import type { FwCfgFiles } from "../../src/loader/fw-cfg.ts";
import { FwCfgDevice, FwCfgMmio, FwCfgPorts } from "../../src/machine/fw-cfg-device.ts";
import { ArrayMemory } from "../../src/machine/memory.ts";
import { FwCfgReader } from "../../src/qemu/fw-cfg-reader.ts";
import { QtestClient } from "../../src/qemu/qtest.ts";
import { type FakeServer, fakeServer } from "./fake-server.ts";

const FILES: FwCfgFiles = new Map([
  ["etc/acpi/tables", { bytes: Uint8Array.from({ length: 5000 }, (_, i) => i & 255) }],
  ["etc/table-loader", { bytes: Uint8Array.of(1, 2, 3) }],
  ["etc/vmcoreinfo", { bytes: new Uint8Array(16), writable: true }],
]);
const memory = new ArrayMemory(0n, 16);

/** qtest commands on the model; interrupts are reported in between, as QEMU does. */
const machines = {
  x86: () => {
    const ports = new FwCfgPorts(new FwCfgDevice(FILES), memory);
    return (line: string) => {
      const [command, port, value] = line.split(" ");
      if (command === "outw") ports.out(Number(port), 2, Number(value));
      return command === "inb" ? `OK 0x${ports.in(Number(port), 1).toString(16).padStart(4, "0")}\n` : "IRQ raise 4\nOK\n";
    };
  },
  arm64: () => {
    const registers = new FwCfgMmio(new FwCfgDevice(FILES), memory);
    return (line: string) => {
      const [command, address, value] = line.split(" ");
      const offset = Number(BigInt(address!) - FwCfgMmio.base);
      if (command === "writew") registers.write(offset, Uint8Array.of(Number(value) & 255, Number(value) >> 8));
      return command === "readb" ? `OK 0x${registers.read(offset, 1)[0]!.toString(16).padStart(16, "0")}\n` : "OK\n";
    };
  },
} as const;

let server: FakeServer | undefined;
afterEach(() => server?.close());

describe.each(["x86", "arm64"] as const)("%s", (architecture) => {
  test("lists the files and reads them whole", async () => {
    const machine = machines[architecture]();
    server = await fakeServer("IRQ lower 4\n", machine);
    const socket = connect(server.path);
    const qtest = new QtestClient(socket);
    const reader = new FwCfgReader(qtest, architecture);
    expect((await reader.list()).map(({ name, key, size }) => [name, key, size])).toEqual([
      ["etc/acpi/tables", 0x20, 5000],
      ["etc/table-loader", 0x21, 3],
      ["etc/vmcoreinfo", 0x22, 16],
    ]);
    const files = await reader.files((name) => name !== "etc/vmcoreinfo");
    expect([...files.keys()]).toEqual(["etc/acpi/tables", "etc/table-loader"]);
    expect(files.get("etc/acpi/tables")).toEqual(FILES.get("etc/acpi/tables"));
    expect(files.get("etc/table-loader")).toEqual(FILES.get("etc/table-loader"));
    qtest.close();
  });
});

test("a refused command and a lost connection are told", async () => {
  server = await fakeServer("IRQ lower 0\n", (line) => (line.startsWith("set_irq_in") ? "FAIL Unknown device\n" : undefined));
  const qtest = new QtestClient(connect(server.path));
  await expect(qtest.setInterruptInput("/machine/gic", 3, 1)).rejects.toThrow("set_irq_in /machine/gic unnamed-gpio-in 3 1: FAIL Unknown device");
  await expect(qtest.inb(0x511, 3)).rejects.toThrow("QEMU has gone before it answered inb 0x511");
});
