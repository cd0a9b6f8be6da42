import { spawnSync } from "node:child_process";
import { setTimeout as sleep } from "node:timers/promises";
import { describe, expect, test } from "vitest";
import { buildTable } from "../../src/acpi/build-tables.ts";
import { boot } from "../../src/firmware/boot.ts";
import { ErstDriver } from "../../src/guest/erst.ts";
import { emptyStore } from "../../src/host/erst-storage.ts";
import { FILE, type FwCfgFiles } from "../../src/loader/fw-cfg.ts";
import { SparseMemory } from "../../src/machine/memory.ts";
import { errorDeviceOf, eventDeviceTable } from "../../src/qemu/event-device.ts";
import { POINTER_HOME, realHandOff, signatureOf, tablesOf } from "../../src/qemu/hand-off.ts";
import { cpioArchive } from "../../src/qemu/initramfs.ts";
import { compareLines, differ, isBootLine, isReport, isTableLine, kernelOf, memoryOf, plainLines } from "../../src/qemu/kernel-log.ts";
import { cannotRaise } from "../../src/qemu/notify.ts";
import { REGISTERS, REGISTERS_ADDRESS, ServedDevices } from "../../src/qemu/served.ts";
import { printedFiles } from "../../src/qemu/store.ts";
import { haveIasl, iaslCompile } from "../support/iasl.ts";
import { describeShared, shared } from "../support/shared.ts";

describe("the event device's table", () => {
  test.skipIf(!haveIasl)("is what iasl makes of the same source", () => {
    const { bytes, output } = iaslCompile(`DefinitionBlock ("", "SSDT", 2, "APEI", "ERRDEV  ", 1)
      { Scope (\\_SB) {
          Device (APER) { Name (_HID, EisaId ("PNP0C33")) Name (_UID, 1) }
          Device (APEG) {
            Name (_HID, "ACPI0013") Name (_UID, 1)
            Name (_CRS, ResourceTemplate () { Interrupt (ResourceConsumer, Edge, ActiveHigh, Exclusive) { 81 } })
            Method (_EVT, 1, Serialized) { Notify (\\_SB.APER, 0x80) }
          } } }`);
    expect(bytes, output).toBeDefined();
    const ours = eventDeviceTable(81);
    // iasl names itself as the creator, which changes the checksum too.
    expect(ours.subarray(36)).toEqual(bytes!.subarray(36));
    expect(ours.subarray(0, 9)).toEqual(bytes!.subarray(0, 9));
    expect(ours.reduce((sum, byte) => (sum + byte) & 255, 0)).toBe(0);
  });
});

describeShared("the error device of a machine", () => {
  test.each([
    ["virt-aarch64-ras-11.1", "GEDD"],
    ["virt-aarch64-ras-7.2", undefined],
    ["q35-pm-11.1", undefined],
  ])("%s: %s", (machine, name) => {
    expect(errorDeviceOf([shared(`captures/${machine}/tables/DSDT.dat`)])).toBe(name);
  });
  test.skipIf(!haveIasl)("is notified instead of one of ours", () => {
    const { bytes, output } = iaslCompile(`DefinitionBlock ("", "SSDT", 2, "APEI", "ERRDEV  ", 1)
      { External (\\_SB.GEDD, DeviceObj)
        Scope (\\_SB) {
          Device (APEG) {
            Name (_HID, "ACPI0013") Name (_UID, 1)
            Name (_CRS, ResourceTemplate () { Interrupt (ResourceConsumer, Edge, ActiveHigh, Exclusive) { 81 } })
            Method (_EVT, 1, Serialized) { Notify (\\_SB.GEDD, 0x80) }
          } } }`);
    expect(bytes, output).toBeDefined();
    // The declaration that it is elsewhere, inside an If of its own, is only for compilers.
    expect(bytes![36]).toBe(0xa0);
    expect(eventDeviceTable(81, "GEDD").subarray(36)).toEqual(bytes!.subarray(36 + 1 + bytes![37]!));
  });
});

describe("cpioArchive", () => {
  const archive = cpioArchive([
    { name: "bin", mode: 0o040755 },
    { name: "bin/hello", mode: 0o100644, content: new TextEncoder().encode("hello") },
  ]);
  test("has the header the kernel documents (initramfs buffer format)", () => {
    const text = new TextDecoder().decode(archive);
    // Magic; then inode, mode, owner, group, links, time, size, two device numbers, two of the file itself, length of the name, no sum.
    const fields = "00000001 000041ed 00000000 00000000 00000001 00000000 00000000 00000000 00000000 00000000 00000000 00000004 00000000";
    expect(text.slice(0, 122)).toBe(`070701${fields.replaceAll(" ", "")}bin\0\0\x00070701`);
    expect(archive.length % 4).toBe(0);
  });
  test.skipIf(spawnSync("cpio", ["--version"]).status !== 0)("cpio lists it", () => {
    const { stdout, status } = spawnSync("cpio", ["-tv", "--quiet"], { input: archive, encoding: "utf8" });
    expect(status).toBe(0);
    expect(stdout.split("\n").map((line) => [line.slice(0, 10), line.split(/\s+/).at(-1)])).toEqual([
      ["drwxr-xr-x", "bin"],
      ["-rw-r--r--", "bin/hello"],
      ["", ""],
    ]);
  });
});

describe("kernel logs", () => {
  test("tell which memory there is, in sections of 128 MiB", () => {
    const isMemory = memoryOf(
      "[    0.000000]   node   0: [mem 0x0000000004000000-0x0000000007ffffff]\n[    0.000000]   node   0: [mem 0x0000000040000000-0x000000004c1fffff]",
    )!;
    expect([0x0n, 0x7ff_ffffn, 0x800_0000n, 0x3fff_ffffn, 0x4fff_ffffn, 0x5000_0000n].map(isMemory)).toEqual([true, true, false, false, true, false]);
    expect(memoryOf("quiet")).toBeUndefined();
  });
  const log = [
    "[    0.000000] Linux version 6.1.0-56-cloud-amd64 (debian-kernel@lists.debian.org)",
    "[    1.157615] HEST: Table parsing has been initialized.",
    "[    1.2] no stamp",
    "/ # [    6.962229] {1}[Hardware Error]: event severity: corrected",
    "[    6.963000][    T1] [Firmware Warn]: GHES: Invalid CPER header!",
    "[    4.159673] BERT: Total records found: 1",
    "[    6.968876] mce: [Hardware Error]: Machine check events logged",
  ];
  test("time stamps go, and lines are told apart", () => {
    const lines = plainLines(log.join("\n"));
    expect(lines.filter(isTableLine)).toEqual(["HEST: Table parsing has been initialized.", "[Firmware Warn]: GHES: Invalid CPER header!"]);
    expect(lines.filter(isReport)).toEqual(["{1}[Hardware Error]: event severity: corrected", "[Firmware Warn]: GHES: Invalid CPER header!"]);
    expect(lines.filter(isBootLine)).toEqual(["BERT: Total records found: 1"]);
  });
  test("the kernel is predicted as the newest known one that is not newer", () => {
    expect(kernelOf(log[0]!)).toEqual({ release: "6.1.0-56-cloud-amd64", version: "6.1" });
    expect(kernelOf("Linux version 6.12.9 (x)").version).toBe("6.1");
    expect(kernelOf("Linux version 7.10.1-rc1 (x)").version).toBe("7.2");
    expect(kernelOf("").version).toBe("6.1");
  });
  test("lines are put beside lines", () => {
    const compared = compareLines(["a", "b", "c", "d"], ["a", "x", "c", "d", "y"]);
    expect(compared.map(({ kind, text }) => `${kind[0]}${text}`)).toEqual(["sa", "mb", "ux", "sc", "sd", "uy"]);
    expect(differ(compared)).toBe(true);
    expect(differ(compareLines(["a"], ["a"]))).toBe(false);
  });
});

test("what an emulated machine cannot raise is said", () => {
  expect(cannotRaise("sea", "arm64")).toBeUndefined();
  expect(cannotRaise("sea", "x86")).toBe("sea is for arm64 only");
  expect(cannotRaise("sdei", "arm64")).toBe("an emulated machine cannot raise sdei");
});

test("files the guest printed are found between kernel messages", () => {
  const output = `x\napei-guest: begin dmesg-erst-1\n: aGVs\n[ 1.000000] noise\n: bG8=\napei-guest: end dmesg-erst-1\napei-guest: begin cut\n: aGVs\n`;
  expect(printedFiles(output).map(({ name, bytes }) => [name, new TextDecoder().decode(bytes)])).toEqual([["dmesg-erst-1", "hello"]]);
});
test("a line of a program that the kernel interrupts is one line, and so is the kernel's", () => {
  const stamp = (text: string) => `[    1.843141] ${text}\n`;
  const said = "tsc: Refined TSC clocksource calibration: 2599.997 MHz";
  const output = `apei-guest: be${stamp(said)}gin dmesg-erst-1\n: aGV${stamp(said)}${stamp("second")}sbG8=\napei-guest: end dmesg-erst-1${stamp(said)}\n: a${stamp(said)}`;
  expect(printedFiles(output).map(({ name, bytes }) => [name, new TextDecoder().decode(bytes)])).toEqual([["dmesg-erst-1", "hello"]]);
  expect(plainLines(output)).toEqual([said, "apei-guest: begin dmesg-erst-1", said, "second", ": aGVsbG8=", said, "apei-guest: end dmesg-erst-1", said, ": a"]);
});
test("what firmware leaves before the kernel's first line is not of a program's", () => {
  const output = "\u001b[2J\u001b[001;001H[    0.000000] Booting Linux\n[    7.1] x\napei-guest: ready";
  expect(plainLines(output)).toEqual(["\u001b[2J\u001b[001;001H", "Booting Linux", "[    7.1] x", "apei-guest: ready"]);
});

describe("devices that are served from outside", () => {
  const fadt = buildTable("FACP", { header: { revision: 6 }, body: "00".repeat(240) });
  const dsdt = buildTable("DSDT", { header: { revision: 2 }, body: "" });
  const served = () => new ServedDevices({ injection: true, store: emptyStore(0x6000, 4096) });

  test.each(["generic", "seabios", "ovmf", "aavmf"] as const)(
    "%s: every register of the tables is where the firmware put it, and the host is told",
    (firmware) => {
      const { tables, registers } = served();
      const arm = firmware === "generic" || firmware === "aavmf";
      const files = realHandOff({
        machine: arm ? "virt" : "q35",
        base: [dsdt, fadt],
        sources: [{ id: 0, notification: "polled" }],
        handOff: "hest",
        extra: tables,
        blobs: new Map([[REGISTERS, registers]]),
        tell: { blob: REGISTERS, file: REGISTERS_ADDRESS },
      });
      expect([...files.keys()].filter((name) => name.includes("addr"))).toEqual([]);
      const booted = boot(new Map([...files, [POINTER_HOME.file, { bytes: new Uint8Array(16), writable: true }]]), { firmware });
      expect(booted.state).toBe("acpi");
      const home = new DataView(booted.device.file(POINTER_HOME.file)!.buffer);
      const base = booted.placements.get(REGISTERS)!.address;
      expect(home.getBigUint64(0, true)).toBe(base);
      const table = (signature: string) => booted.tables.find((found) => found.signature === signature)!;
      expect(new TextDecoder().decode(booted.memory.read(home.getBigUint64(8, true), 4))).toBe("HEST");
      const places = (signature: "EINJ" | "ERST") => {
        const { bytes } = table(signature);
        const view = new DataView(bytes.buffer, bytes.byteOffset);
        return Array.from({ length: (bytes.length - 48) / 32 }, (_, i) => view.getBigUint64(48 + 32 * i + 8, true) - base);
      };
      expect(places("EINJ").every((offset) => offset < 0x100n)).toBe(true);
      expect(places("ERST").every((offset) => offset >= 0x1000n && offset <= 0x1058n)).toBe(true);
      // The driver learns where the buffer is from the table alone.
      expect(new ErstDriver({ memory: booted.memory }, table("ERST").bytes).rangeAddress).toBe(base + 0x2000n);
      // That is all it has changed.
      expect(booted.memory.readWord(base + 0x1058n, 8)).toBe(base + 0x2000n);
      booted.memory.writeWord(base + 0x1058n, 8, 0n);
      expect(booted.memory.read(base, registers.length)).toEqual(registers);
    },
  );

  test("they are served while the guest waits, wherever it looks, until they are stopped", async () => {
    const devices = served();
    const memory = new SparseMemory([{ start: 0n, length: 0x10_0000n }]);
    expect(() => devices.serve(memory, 0x1n)).toThrow("the firmware has not told where the registers of the machine's devices are: nothing of them is at 0x1");
    expect(() => devices.serve(memory, 0xf_ffffn)).toThrow("nothing of them is at 0xfffff");
    const base = 0x4_0000n;
    memory.write(base, devices.registers);
    devices.serve(memory, base);
    // What the table's instructions write: begin, type, execute; then the trigger.
    for (const [offset, value] of [
      [0x10n, 1n],
      [0x18n, 8n],
      [0n, 1n],
    ] as const)
      memory.writeWord(base + offset, 8, value);
    const until = async (offset: bigint) => {
      while (memory.readWord(base + offset, 8) !== 0n) await sleep(1);
    };
    await until(0n);
    expect([0x28n, 0x30n].map((offset) => memory.readWord(base + offset, 8))).toEqual([0n, base + 0xa0n]);
    memory.writeWord(base + 8n, 8, 1n);
    await until(8n);
    expect(devices.takeInjected()).toEqual([{ type: "memoryCorrectable", address: undefined, mask: undefined }]);
    expect(devices.takeInjected()).toEqual([]);
    memory.writeWord(base + 0x1000n, 8, 2n);
    await until(0x1000n);
    expect(memory.readWord(base + 0x1028n, 8)).toBe(0xffff_ffff_ffff_ffffn);
    devices.stop();
    memory.writeWord(base + 0x1000n, 8, 2n);
    await sleep(20);
    expect(memory.readWord(base + 0x1000n, 8)).toBe(2n);
  });
});

describeShared("with captures", () => {
  const capture = (name: string): FwCfgFiles =>
    new Map([FILE.script, FILE.tables, FILE.rsdp].map((file) => [file, { bytes: shared("captures", name, file.replaceAll("/", "_")) }]));

  test.each([
    ["q35-pm-11.1", ["FACS", "DSDT", "FACP", "APIC", "HPET", "MCFG", "WAET"], "seabios"],
    ["virt-aarch64-noras-11.1", undefined, "aavmf"],
  ] as const)("%s: its tables are taken over, ours are added, and the pointer goes where the machine can take it", (name, expected, firmware) => {
    const base = tablesOf(capture(name));
    if (expected) expect(base.map(signatureOf)).toEqual(expected);
    const files = realHandOff({
      machine: firmware === "seabios" ? "q35" : "virt",
      base,
      sources: [{ id: 3, notification: { type: "polled", pollInterval: 100 } }],
      handOff: "hest",
      extra: [{ bytes: eventDeviceTable(5) }],
    });
    expect([...files.keys()].sort()).toEqual([FILE.rsdp, FILE.tables, FILE.hardwareErrors, FILE.script].sort());
    const machine = new Map([...files, [POINTER_HOME.file, { bytes: new Uint8Array(16), writable: true }]]);
    const booted = boot(machine, { firmware });
    expect(booted.state).toBe("acpi");
    const signatures = booted.tables.map(({ signature }) => signature);
    for (const table of base) expect(signatures).toContain(signatureOf(table));
    expect(signatures).toContain("HEST");
    expect(booted.tables.every(({ checksumOk, signature }) => checksumOk || signature === "FACS")).toBe(true);
    const [pointer] = booted.writtenPointers;
    expect(pointer).toMatchObject({ file: "etc/vmcoreinfo", offset: 8, size: 8 });
    expect(new TextDecoder().decode(booted.memory.read(pointer!.value, 4))).toBe("HEST");
  });
});
