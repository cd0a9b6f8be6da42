/** QEMUs that do not start: programs in its place, and places where it cannot. */
import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { RealMachine } from "../../src/qemu/machine.ts";
import { platformAt } from "../../src/qemu/platform.ts";

let work: string;
const before = process.env["TMPDIR"];
beforeEach(() => {
  work = mkdtempSync(join(tmpdir(), "apei-start-"));
});
afterEach(() => {
  if (before === undefined) delete process.env["TMPDIR"];
  else process.env["TMPDIR"] = before;
  rmSync(work, { recursive: true, force: true });
});
const start = (program: string) => RealMachine.start({ platform: platformAt("seabios", { program }), ram: 1n << 20n, acpi: true });

test("a QEMU that greets and then gives up: its last words are told, not that its socket has closed", async () => {
  const program = join(work, "qemu");
  writeFileSync(
    program,
    `#!${process.execPath}
    const path = /unix:([^,]*)/.exec(process.argv[process.argv.indexOf("-qmp") + 1])[1];
    const socket = require("node:net").connect(path, () => {
      socket.end('{"QMP": {"version": {"qemu": {"micro": 0, "minor": 2, "major": 7}}, "capabilities": []}}\\r\\n', () => {
        console.error("qemu: could not load kernel");
        process.exit(1);
      });
    });`,
    { mode: 0o755 },
  );
  await expect(start(program)).rejects.toThrow("QEMU has not started (exit status 1): qemu: could not load kernel");
});

test("a folder whose sockets have no address is named, and nothing is left in it", async () => {
  const long = join(work, "x".repeat(90));
  mkdirSync(long);
  process.env["TMPDIR"] = long;
  await expect(start("/bin/true")).rejects.toThrow(/qmp\.sock: the path of a socket has at most 107 bytes; TMPDIR names another place/);
  expect(readdirSync(long)).toEqual([]);
});
