import { describe, expect, test } from "vitest";
import { FwCfgDevice, FwCfgMmio, FwCfgPorts } from "../../src/machine/fw-cfg-device.ts";
import { SparseMemory } from "../../src/machine/memory.ts";
import { hex } from "../support/hex.ts";

const files = new Map([
  ["etc/read", { bytes: hex`11 22 33 44 55` }],
  ["etc/write", { bytes: new Uint8Array(8), writable: true }],
]);
const READ = 0x20;
const WRITE = 0x21;
const machine = () => {
  const memory = new SparseMemory([{ start: 0n, length: 0x100000n }]);
  return { memory, device: new FwCfgDevice(files) };
};
/** Put a descriptor at 0x1000, data at 0x2000; the control word afterwards. */
function transfer({ memory, device }: ReturnType<typeof machine>, control: number, length: number, address = 0x2000n): number {
  const descriptor = new DataView(new ArrayBuffer(16));
  descriptor.setUint32(0, control);
  descriptor.setUint32(4, length);
  descriptor.setBigUint64(8, address);
  memory.write(0x1000n, new Uint8Array(descriptor.buffer));
  device.dma(memory, 0x1000n);
  return new DataView(memory.read(0x1000n, 4).buffer).getUint32(0);
}

describe("DMA transfers (QEMU docs/specs/fw_cfg)", () => {
  test("select and read; past the end there are zeros", () => {
    const m = machine();
    m.memory.write(0x2000n, new Uint8Array(16).fill(0xff));
    expect(transfer(m, (READ << 16) | 0x0a, 7)).toBe(0);
    expect(m.memory.read(0x2000n, 8)).toEqual(hex`11 22 33 44 55 00 00 ff`);
    expect(transfer(m, 0x02, 2)).toBe(0);
    expect(m.memory.read(0x2000n, 3)).toEqual(hex`00 00 33`);
  });
  test("skip, then read", () => {
    const m = machine();
    expect(transfer(m, (READ << 16) | 0x0c, 3)).toBe(0);
    transfer(m, 0x02, 2);
    expect(m.memory.read(0x2000n, 2)).toEqual(hex`44 55`);
  });
  test("an unknown key reads as zeros", () => {
    const m = machine();
    m.memory.write(0x2000n, hex`ff ff`);
    expect(transfer(m, (0x77 << 16) | 0x0a, 2)).toBe(0);
    expect(m.memory.read(0x2000n, 2)).toEqual(hex`00 00`);
  });
  test("write where it is allowed, from the selected offset", () => {
    const m = machine();
    m.memory.write(0x2000n, hex`aa bb cc dd`);
    expect(transfer(m, (WRITE << 16) | 0x0c, 4)).toBe(0);
    expect(transfer(m, 0x10, 4)).toBe(0);
    expect(m.device.file("etc/write")).toEqual(hex`00 00 00 00 aa bb cc dd`);
    expect(m.device.writes).toEqual([{ name: "etc/write", offset: 4, bytes: hex`aa bb cc dd` }]);
  });
  test.each([
    ["a read-only file", (READ << 16) | 0x18, 2, 0x2000n],
    ["more than the file holds", (WRITE << 16) | 0x18, 9, 0x2000n],
    ["an unknown key", (0x77 << 16) | 0x18, 1, 0x2000n],
    ["from outside memory", (WRITE << 16) | 0x18, 8, 0xfffff0000n],
    ["a read to outside memory", (READ << 16) | 0x0a, 2, 0xfffff0000n],
  ])("%s: the error bit", (_name, control, length, address) => {
    const m = machine();
    expect(transfer(m, control, length, address)).toBe(1);
    expect(m.device.file("etc/write")).toEqual(new Uint8Array(8));
  });
  test("past the end of a file every write fails, none of length zero does", () => {
    const m = machine();
    transfer(m, (WRITE << 16) | 0x0c, 8);
    expect(transfer(m, 0x10, 1)).toBe(1);
    expect(transfer(m, 0x10, 0)).toBe(0);
  });
  test("neither read, write nor skip: nothing happens, without an error", () => {
    expect(transfer(machine(), READ << 16, 5)).toBe(0);
  });
});

describe("registers", () => {
  test("x86: select and read by bytes, the directory in big-endian", () => {
    const { memory, device } = machine();
    const ports = new FwCfgPorts(device, memory);
    ports.out(0x510, 2, 0x0000);
    expect([0, 1, 2, 3].map(() => String.fromCharCode(ports.in(0x511, 1))).join("")).toBe("QEMU");
    ports.out(0x510, 2, 0x0019);
    expect(Uint8Array.from({ length: 12 }, () => ports.in(0x511, 1))).toEqual(hex`00 00 00 02  00 00 00 05  00 20  00 00`);
    ports.out(0x511, 1, 0xee);
    expect(device.file("etc/read")).toEqual(files.get("etc/read")!.bytes);
  });
  test("x86: the DMA register shows its signature, the low half starts the transfer", () => {
    const { memory, device } = machine();
    const ports = new FwCfgPorts(device, memory);
    // "QEMU" and " CFG" as a little-endian CPU reads them.
    expect([ports.in(0x514, 4), ports.in(0x518, 4)]).toEqual([0x554d4551, 0x47464320]);
    memory.write(0x1000n, hex`00 20 00 0a  00 00 00 02  00 00 00 00 00 00 20 00`);
    ports.out(0x514, 4, 0);
    ports.out(0x518, 4, 0x00100000);
    expect(memory.read(0x2000n, 2)).toEqual(hex`11 22`);
  });
  test("arm: selector, data and DMA address in big-endian", () => {
    const { memory, device } = machine();
    const mmio = new FwCfgMmio(device, memory);
    mmio.write(8, hex`00 20`);
    expect(mmio.read(0, 4)).toEqual(hex`11 22 33 44`);
    expect(mmio.read(0, 2)).toEqual(hex`55 00`);
    expect(new TextDecoder().decode(mmio.read(16, 8))).toBe("QEMU CFG");
    memory.write(0x1000n, hex`00 21 00 18  00 00 00 02  00 00 00 00 00 00 20 00`);
    memory.write(0x2000n, hex`77 88`);
    mmio.write(16, hex`00 00 00 00 00 00 10 00`);
    expect(device.file("etc/write")).toEqual(hex`77 88 00 00 00 00 00 00`);
  });
});
