/** Malformed scripts: what our models say firmware makes of each, and which tables the kernel then finds. */
import { expect, test } from "vitest";
import { boot } from "../../src/firmware/boot.ts";
import { ENTRY_SIZE, type Entry } from "../../src/loader/commands.ts";
import { FILE, type FwCfgFile, type FwCfgFiles } from "../../src/loader/fw-cfg.ts";
import { encodeScript, parseScript } from "../../src/loader/script.ts";
import { POINTER_HOME, realHandOff } from "../../src/qemu/hand-off.ts";
import { RealMachine } from "../../src/qemu/machine.ts";
import { EARLY } from "../../src/qemu/session.ts";
import { baseOf, describeOn, FIRMWARES, guestOn, platformOn } from "./support.ts";

type Change = (entries: Entry[], tables: Uint8Array) => Entry[];
const changed = (files: FwCfgFiles, change: Change, trailing?: Uint8Array): FwCfgFiles => {
  const { entries } = parseScript(files.get(FILE.script)!.bytes);
  const out = new Map<string, FwCfgFile>(files);
  out.set(FILE.script, { bytes: encodeScript({ entries: change([...entries], files.get(FILE.tables)!.bytes), ...(trailing && { trailing }) }) });
  return out;
};
const at = (index: number, entry: object): Change => {
  return (entries) => [...entries.slice(0, index), entry as unknown as Entry, ...entries.slice(index)];
};
const pointer = (more: object) => ({ command: "addPointer", destinationFile: FILE.tables, sourceFile: FILE.tables, offset: 0, size: 8, ...more });
const same: Change = (entries) => entries;

const CASES: Readonly<Record<string, (files: FwCfgFiles) => FwCfgFiles>> = {
  unchanged: (files) => changed(files, same),
  "pointer into a file that is not there": (files) => changed(files, at(5, pointer({ sourceFile: "etc/nonexistent" }))),
  "pointer behind the end": (files) => changed(files, (entries, tables) => at(5, pointer({ offset: tables.length - 4 }))(entries, tables)),
  "pointer of three bytes": (files) => changed(files, at(5, pointer({ offset: 36, size: 3 }))),
  "checksum behind the end": (files) =>
    changed(files, (entries, tables) =>
      at(5, { command: "addChecksum", file: FILE.tables, checksumOffset: tables.length + 100, start: 0, length: 36 })(entries, tables),
    ),
  "unknown command": (files) => changed(files, at(3, { command: 0x99, content: new Uint8Array(ENTRY_SIZE - 4) })),
  "half an entry at the end": (files) => changed(files, same, new Uint8Array(24)),
  "alignment of three": (files) =>
    changed(files, (entries) => entries.map((entry) => (entry.command === "allocate" && entry.file === FILE.tables ? { ...entry, alignment: 3 } : entry))),
  "file that is not there": (files) => changed(files, at(0, { command: "allocate", file: "etc/does-not-exist", alignment: 8, zone: "high" })),
  "name without its end": (files) => changed(files, at(3, { command: "allocate", file: "x".repeat(56), alignment: 8, zone: "high" })),
  "pointer before its file is loaded": (files) => changed(files, at(0, pointer({ offset: 36, size: 4 }))),
  "unknown zone": (files) =>
    changed(files, (entries) => entries.map((entry) => (entry.command === "allocate" && entry.file === FILE.tables ? { ...entry, zone: 7 } : entry))),
  "file loaded twice": (files) => changed(files, at(3, { command: "allocate", file: FILE.tables, alignment: 64, zone: "high" })),
  "error source table without its checksum": (files) =>
    changed(files, (entries, tables) => {
      const hest = Buffer.from(tables).indexOf("HEST");
      return entries.filter((entry) => !(entry.command === "addChecksum" && entry.file === FILE.tables && entry.start === hest));
    }),
};

/** Printed by every kernel after it has listed its tables, or has found none. */
const TABLES_READ = /Kernel command line: |Kernel panic/;

for (const firmware of FIRMWARES)
  describeOn(firmware)(firmware, () => {
    test.each(Object.keys(CASES))("%s", async (name) => {
      const platform = platformOn(firmware);
      const good = realHandOff({
        machine: platform.machine(0n).name,
        base: await baseOf(firmware),
        sources: [{ id: 0, notification: { type: "polled", pollInterval: 100 } }],
        handOff: "hest",
      });
      const files = CASES[name]!(good);
      const predicted = boot(new Map([...files, [POINTER_HOME.file, { bytes: new Uint8Array(16), writable: true }]]), { firmware });
      const machine = await RealMachine.start({
        platform,
        ram: 256n << 20n,
        acpi: false,
        files,
        words: [...POINTER_HOME.words],
        guest: { kernel: guestOn(firmware).kernel, append: EARLY[platform.architecture] },
      });
      try {
        await machine.waitFor(TABLES_READ, 120_000, "the kernel's start");
        const found = [...machine.output.matchAll(/ACPI: ([A-Z0-9]{4}) 0x[0-9A-F]+ /g)].map((match) => match[1]!);
        const roots = new Set(["RSDP", "RSDT", "XSDT"]);
        // Debian's SeaBIOS has tables of its own for a script it refuses whole: no HEST is among them.
        if (predicted.tables.length === 0) expect(found).not.toContain("HEST");
        else expect(found.filter((signature) => !roots.has(signature)).sort()).toEqual(predicted.tables.map(({ signature }) => signature).sort());
      } finally {
        await machine.stop();
      }
    });
  });
