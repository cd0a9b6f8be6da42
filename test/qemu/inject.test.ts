/** Injection against a fake QEMU that keeps guest memory and the two sources of machine virt-10.2. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, describe, expect, test } from "vitest";
import { qemuMemoryRecord } from "../../src/host/memory-record.ts";
import { apei } from "../support/cli.ts";
import { hex } from "../support/hex.ts";
import { type FakeServer, fakeServer, greeting } from "./fake-server.ts";

const SIZE = 80 << 20;
/** Where `etc/hardware_errors` lies: not in the chunk that is looked at first. */
const ERRORS = 0x4030_0010;

class FakeMachine {
  readonly memory = Buffer.alloc(4096);
  injected: Buffer | undefined;
  acknowledges = true;
  properties: Record<string, unknown> = { type: "virt-11.1-machine", ras: true };
  gives = true;

  constructor() {
    // Two pointers, two acknowledge words, two blocks of 1 KiB.
    this.memory.writeBigUInt64LE(BigInt(ERRORS + 32), 0);
    this.memory.writeBigUInt64LE(BigInt(ERRORS + 32 + 1024), 8);
    this.memory.writeBigUInt64LE(1n, 16);
    this.memory.writeBigUInt64LE(1n, 24);
  }
  answer(line: string): string {
    const { execute, arguments: values = {} } = JSON.parse(line);
    const reply = (value: unknown) => `${JSON.stringify({ return: value })}\r\n`;
    switch (execute) {
      case "inject-ghes-v2-error":
        if (this.memory.readBigUInt64LE(24) === 0n)
          return `${JSON.stringify({ error: { class: "GenericError", desc: "OSPM does not acknowledge previous error, so can not record CPER for current error anymore" } })}\r\n`;
        this.injected = Buffer.from(values.cper, "base64");
        this.injected.copy(this.memory, 32 + 1024);
        this.memory.writeBigUInt64LE(this.acknowledges ? 1n : 0n, 24);
        // A guest that has read the record clears its status.
        if (this.acknowledges) this.memory.writeUInt32LE(0, 32 + 1024);
        return reply({});
      case "query-memory-size-summary":
        return reply({ "base-memory": SIZE, "plugged-memory": 0 });
      case "qom-get":
        return values.property in this.properties
          ? reply(this.properties[values.property])
          : `${JSON.stringify({ error: { class: "GenericError", desc: `Property '${values.property}' not found` } })}\r\n`;
      case "pmemsave": {
        if (!this.gives) return `${JSON.stringify({ error: { class: "GenericError", desc: "could not open '/x': Permission denied" } })}\r\n`;
        const out = Buffer.alloc(values.size);
        if (ERRORS >= values.val && ERRORS + 4096 <= values.val + values.size) this.memory.copy(out, ERRORS - values.val);
        writeFileSync(values.filename, out);
        return reply({});
      }
      case "human-monitor-command": {
        const address = Number(/^xp \/1gx (0x[0-9a-f]+)$/.exec(values["command-line"])![1]);
        return reply(
          `${address.toString(16).padStart(16, "0")}: 0x${this.memory
            .readBigUInt64LE(address - ERRORS)
            .toString(16)
            .padStart(16, "0")}\r\n`,
        );
      }
      default:
        return reply({});
    }
  }
}

let server: FakeServer | undefined;
afterEach(async () => {
  await server?.close();
  server = undefined;
});
const block = qemuMemoryRecord(0x4321_0000n);

describe("apei qemu inject", () => {
  test("sends the block as it is and sees the acknowledgement", async () => {
    const machine = new FakeMachine();
    server = await fakeServer(greeting(10, 2), (line) => machine.answer(line));
    const { exit, out } = await apei(["qemu", "inject", "-", "--qmp", server.path], block);
    expect(out).toMatch(/^172 bytes injected; acknowledged after \d+ ms\n$/);
    expect(exit).toBe(0);
    expect(new Uint8Array(machine.injected!)).toEqual(block);
  });

  test("says when the guest does not acknowledge, and what QEMU says next time", async () => {
    const machine = new FakeMachine();
    machine.acknowledges = false;
    server = await fakeServer(greeting(11, 0), (line) => machine.answer(line));
    const first = await apei(["qemu", "inject", "-", "--qmp", server.path, "--acknowledge", "0.1", "--json"], block);
    expect(JSON.parse(first.out)).toMatchObject({ qemu: "11.0.22", acknowledged: "no", bytes: 172 });
    expect(first.exit).toBe(1);
    const second = await apei(["qemu", "inject", "-", "--qmp", server.path], block);
    expect(second).toMatchObject({ exit: 2, out: "" });
    expect(second.err).toBe("apei: inject-ghes-v2-error: OSPM does not acknowledge previous error, so can not record CPER for current error anymore\n");
  });

  test("a record becomes a block: raw data behind the entries, lengths without it", async () => {
    // A record of one section of an unknown type, four bytes.
    const record = hex`
      43504552 0001 ffffffff 0100  02000000 00000000 cc000000  # CPER, revision 1.0, one section, corrected, 204 bytes
      0000000000000000                                         # time stamp
      00000000000000000000000000000000 00000000000000000000000000000000 00000000000000000000000000000000 00000000000000000000000000000000
      0100000000000000 00000000 0000000000000000 000000000000000000000000
      c8000000 04000000 0003 02 00 01000000                    # section at 200, 4 bytes, FRU text valid, primary
      112233445566778899aabbccddeeff00                         # type
      00000000000000000000000000000000                         # FRU id
      02000000 44494d4d203300000000000000000000 00000000       # corrected, "DIMM 3"
      deadbeef`;
    const machine = new FakeMachine();
    server = await fakeServer(greeting(10, 2), (line) => machine.answer(line));
    const { exit, err } = await apei(["qemu", "inject", "-", "--qmp", server.path], record);
    expect(err).toBe("");
    expect(exit).toBe(0);
    expect(new Uint8Array(machine.injected!)).toEqual(hex`
      12000000 00000000 00000000 4c000000 02000000             # one entry, corrected; no raw data; 76 bytes of entries
      112233445566778899aabbccddeeff00 02000000 0003 02 01     # type, corrected, revision 3.0, FRU text valid, primary
      04000000 00000000000000000000000000000000 44494d4d203300000000000000000000 00000000
      0000000000000000                                         # no time stamp
      deadbeef`);
  });

  test("machines on which nothing would come of it are refused before", async () => {
    const machine = new FakeMachine();
    server = await fakeServer(greeting(11, 1), (line) => machine.answer(line));
    machine.properties = { type: "virt-10.1-machine", ras: true };
    const older = await apei(["qemu", "inject", "-", "--qmp", server.path], block);
    expect(older).toMatchObject({ exit: 2, err: "apei: machine type virt-10.1 has no error source for injected records: virt-10.2 or newer is needed\n" });
    machine.properties = { type: "virt-11.1-machine", ras: false };
    const off = await apei(["qemu", "inject", "-", "--qmp", server.path], block);
    expect(off).toMatchObject({ exit: 2, err: "apei: the machine has no error sources: start QEMU with -machine virt,ras=on\n" });
    expect(machine.injected).toBeUndefined();
  });

  test("a QEMU that does not give its memory leaves the acknowledgement unknown", async () => {
    const machine = new FakeMachine();
    machine.gives = false;
    server = await fakeServer(greeting(11, 1), (line) => machine.answer(line));
    const { exit, out } = await apei(["qemu", "inject", "-", "--qmp", server.path], block);
    expect(out).toMatch(/^172 bytes injected; acknowledgement unknown: QEMU does not give its memory: pmemsave: could not open/);
    expect(exit).toBe(1);
  });

  test("several records of one file go one after another, as long as the guest acknowledges", async () => {
    const machine = new FakeMachine();
    server = await fakeServer(greeting(11, 1), (line) => machine.answer(line));
    const two = await apei(["generate", "--section", "platformMemory", "--count", "2"]);
    const done = await apei(["qemu", "inject", "-", "--qmp", server.path], two.bytes);
    expect(done.out.trim().split("\n")).toHaveLength(2);
    expect(done).toMatchObject({ exit: 0 });
    machine.acknowledges = false;
    const first = await apei(["qemu", "inject", "-", "--qmp", server.path, "--acknowledge", "0.1"], two.bytes);
    expect(first.out).toBe("172 bytes injected; not acknowledged within 0.1 s\n");
    expect(first.err).toContain("1 more not injected");
    expect(first.exit).toBe(1);
  });

  test("an old QEMU, another architecture, a big block and things that are no record", async () => {
    server = await fakeServer(greeting(7, 2), () => '{"return": {}}\r\n');
    const old = await apei(["qemu", "inject", "-", "--qmp", server.path], block);
    expect(old).toMatchObject({ exit: 2, err: "apei: inject-ghes-v2-error came with QEMU 10.2; this is 7.2.22\n" });
    await server.close();
    server = await fakeServer(greeting(10, 2), (line) =>
      line.includes("inject")
        ? '{"error": {"class": "CommandNotFound", "desc": "The command inject-ghes-v2-error has not been found"}}\r\n'
        : '{"return": {}}\r\n',
    );
    const x86 = await apei(["qemu", "inject", "-", "--qmp", server.path], block);
    expect(x86).toMatchObject({ exit: 2, err: "apei: this QEMU 10.2.22 has no inject-ghes-v2-error: it is only there for arm machines\n" });
    expect((await apei(["qemu", "inject", "-", "--qmp", "/nonexistent"], block)).err).toBe("apei: /nonexistent: no such socket\n");
    expect((await apei(["qemu", "inject", "-", "--qmp", server.path], "hello world")).exit).toBe(2);
    expect((await apei(["qemu", "inject"])).err).toBe("apei: inject: name a record\n");
    const folder = mkdtempSync(join(tmpdir(), "apei-test-"));
    try {
      expect((await apei(["qemu", "inject", folder, "--qmp", server.path])).err).toContain("is a folder");
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});
