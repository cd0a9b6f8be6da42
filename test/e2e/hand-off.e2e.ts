/** The newest QEMU's own hand-off beside ours: the same files, and firmware makes of them what our models say. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { GenericAddress } from "../../src/acpi/generic-address.ts";
import { GenericHardwareErrorSource, Hest } from "../../src/acpi/hest.ts";
import { boot } from "../../src/firmware/boot.ts";
import { decode, fieldOffset } from "../../src/layout/index.ts";
import { buildHandOff } from "../../src/loader/build.ts";
import { FILE, type FwCfgFile, type FwCfgFiles } from "../../src/loader/fw-cfg.ts";
import { entryText, parseScript } from "../../src/loader/script.ts";
import { DEFAULT_RAM } from "../../src/machine/machines.ts";
import { fromLittleEndian } from "../../src/machine/memory.ts";
import { signatureOf, tablesOf } from "../../src/qemu/hand-off.ts";
import { RealMachine } from "../../src/qemu/machine.ts";
import { EARLY, guestTable, KERNEL_STARTS } from "../../src/qemu/session.ts";
import { policyOf, sourcePart } from "../../src/scenario/machine.ts";
import { apei } from "../support/cli.ts";
import { testFolder } from "../support/folder.ts";
import { describeOn, guestOn, platformOn } from "./support.ts";

const work = testFolder();
const environment = process.env as Record<string, string>;
const RELEASE = "sid";

interface Captured {
  readonly folder: string;
  readonly tables: readonly string[];
}
async function captured(firmware: "seabios" | "aavmf", machine: string | undefined, when: "before" | "both"): Promise<Captured[]> {
  const words = ["qemu", "capture", "--release", RELEASE, "--firmware", firmware, "--when", when, "--out", join(work, `${firmware}-${machine}`), "--json"];
  const { out, err, exit } = await apei([...words, ...(machine === undefined ? [] : ["--machine", machine])], "", environment);
  expect(exit, err).toBe(0);
  return out
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line) as Captured);
}
const filesIn = ({ folder }: Captured, names: readonly string[]): FwCfgFiles =>
  new Map(names.map((name): [string, FwCfgFile] => [name, { bytes: new Uint8Array(readFileSync(join(folder, ...name.split("/")))) }]));
/** Of HEST's first source: the register that holds where its block is. */
const FIRST_REGISTER = fieldOffset(Hest, "sourceCount") + 4 + fieldOffset(GenericHardwareErrorSource, "errorStatusAddress");
const HANDED_OVER = [FILE.script, FILE.tables, FILE.rsdp];

/** Fed with the single tables of a machine, our builder makes its files: those of error sources by the preset alone. */
function expectBuilt(real: FwCfgFiles, machine: "virt" | "q35", preset: "qemu-7.2" | "qemu-10.2" | undefined): void {
  const tables = tablesOf(real);
  const part = preset && sourcePart({}, policyOf({ preset }));
  const listed = parseScript(real.get(FILE.script)!.bytes).entries.map(entryText);
  const signatures = tables.map(signatureOf);
  // QEMU 10 and later list the PPTT of this machine twice.
  const root = signatures.flatMap((name) => (name === "DSDT" || name === "FACS" ? [] : name === "PPTT" ? [name, name] : [name]));
  const built = buildHandOff(
    {
      machine,
      ...part,
      tables: tables.map((table, i) => (preset && signatureOf(table) === "HEST" ? { hest: true as const } : { file: String(i) })),
      ...(machine === "virt" && { root }),
    },
    (file) => tables[Number(file)]!,
  );
  expect(parseScript(built.files.get(FILE.script)!.bytes).entries.map(entryText)).toEqual(listed);
  for (const [name, { bytes }] of real) expect(Buffer.from(built.files.get(name)!.bytes).equals(Buffer.from(bytes)), name).toBe(true);
}

describeOn("aavmf@sid")("virt with error sources", () => {
  test.each([
    ["virt,ras=on,gic-version=3", "qemu-10.2"],
    ["virt-10.1,ras=on,gic-version=3", "qemu-7.2"],
  ] as const)("%s: is what the preset %s makes, byte for byte", async (machine, preset) => {
    const [before] = await captured("aavmf", machine, "before");
    expectBuilt(filesIn(before!, [...HANDED_OVER, FILE.hardwareErrors]), "virt", preset);
    const { exit, out } = await apei(["validate", before!.folder]);
    expect(exit, out).toBe(0);
  });

  test("before and after its firmware the same, but for the address that came back: that of HEST in memory, linked as our model links it", async () => {
    const machineType = "virt,ras=on,gic-version=3";
    const platform = { ...platformOn("aavmf@sid"), machineType };
    const machine = await RealMachine.start({
      platform,
      ram: DEFAULT_RAM,
      acpi: true,
      guest: { kernel: guestOn("aavmf@sid").kernel, append: EARLY.arm64 },
    });
    try {
      await machine.waitFor(KERNEL_STARTS, 120_000, "the end of the firmware");
      await machine.waitFor(/ACPI: HEST /, 20_000, "the kernel's list of tables");
      const after = await machine.fwCfg.files((name) => name.startsWith("etc/"));
      const [before] = await captured("aavmf", machineType, "before");
      for (const [name, { bytes }] of filesIn(before!, [...HANDED_OVER, FILE.hardwareErrors]))
        expect(Buffer.from(after.get(name)!.bytes).equals(Buffer.from(bytes)), name).toBe(true);

      const writable = new Map([...after].map(([name, file]) => [name, name === FILE.hestAddress ? { bytes: new Uint8Array(8), writable: true } : file]));
      const back = fromLittleEndian(after.get(FILE.hestAddress)!.bytes);
      const linked = guestTable(machine, "HEST")!;
      const registers = linked.slice(FIRST_REGISTER, FIRST_REGISTER + GenericAddress.size);
      const first = decode(GenericAddress, registers).address;
      const hestOffset = Buffer.from(after.get(FILE.tables)!.bytes).indexOf("HEST");
      const placements = new Map([
        [FILE.tables, back - BigInt(hestOffset)],
        [FILE.hardwareErrors, first],
      ]);
      const model = boot(writable, { firmware: "aavmf", placements });
      expect(model.device.file(FILE.hestAddress)).toEqual(after.get(FILE.hestAddress)!.bytes);
      expect(model.memory.read(back, linked.length)).toEqual(machine.memory.read(back, linked.length));
      expect(linked).toEqual(machine.memory.read(back, linked.length));
      const blob = after.get(FILE.hardwareErrors)!.bytes.length;
      expect(model.memory.read(first, blob)).toEqual(machine.memory.read(first, blob));
      // Left alone, the model puts them where the firmware did.
      expect(boot(writable, { firmware: "aavmf" }).placements.get(FILE.hardwareErrors)?.address).toBe(first);
    } finally {
      await machine.stop();
    }
  });
});

describeOn("seabios@sid")("q35", () => {
  test("its files are those our builder makes of its tables, before and after the firmware", async () => {
    const both = await captured("seabios", undefined, "both");
    expect(both[1]!.tables).toEqual(["FACS", "DSDT", "FACP", "APIC", "HPET", "MCFG", "WAET"]);
    for (const one of both) expectBuilt(filesIn(one, HANDED_OVER), "q35", undefined);
    const differ = await apei(["diff", ...both.map(({ folder }) => join(folder, "etc", "acpi", "tables"))]);
    expect(differ.exit).toBe(1);
    const booted = await apei(["boot", both[1]!.folder, "--firmware", "seabios", "--json"]);
    expect(JSON.parse(booted.out)).toMatchObject({ state: "acpi", listing: expect.arrayContaining(["MCFG", "WAET"]) });
  });
});
