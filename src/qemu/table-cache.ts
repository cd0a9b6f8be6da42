/** QEMU's own tables of a machine, kept from run to run: asking for them takes a boot of its firmware. */
import { createHash } from "node:crypto";
import { existsSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { TableHeader } from "../acpi/table-header.ts";
import { makeFolder } from "../input/local-files.ts";
import { concatBytes, parse } from "../layout/index.ts";
import { DEFAULT_RAM } from "../machine/machines.ts";
import { findProgram } from "./machine.ts";
import type { Platform } from "./platform.ts";

/** Changes when tables are taken otherwise. */
const FORM = 1;

/** What tells one file from another of the same name. */
const stamp = (path: string | undefined) => {
  if (path === undefined) return undefined;
  const { size, mtimeMs } = statSync(path);
  return { path, size, mtimeMs };
};

/** Where the tables of a machine are kept. @param devices what the machine has beside that of its platform. */
export async function tableFile(folder: string, platform: Platform, devices: string): Promise<string> {
  const machine = {
    form: FORM,
    program: stamp(await findProgram(platform.program, platform.packages)),
    image: stamp(platform.image()),
    machine: platform.machineType,
    words: platform.words,
    ram: String(DEFAULT_RAM),
    devices,
  };
  const name = createHash("sha256").update(JSON.stringify(machine)).digest("hex").slice(0, 16);
  return join(folder, `tables-${platform.firmware}-${name}`);
}

/** Tables one after another; undefined when there is no such file, or it is no such file. */
export function keptTables(file: string): readonly Uint8Array[] | undefined {
  let bytes: Uint8Array;
  try {
    bytes = new Uint8Array(readFileSync(file));
  } catch {
    return undefined;
  }
  const out: Uint8Array[] = [];
  for (let at = 0; at < bytes.length; ) {
    const { length = 0 } = parse(TableHeader, bytes.subarray(at));
    if (length < MINIMUM || at + length > bytes.length) return undefined;
    out.push(bytes.slice(at, at + length));
    at += length;
  }
  return out.length > 0 ? out : undefined;
}
/** A table has at least a signature and its length. */
const MINIMUM = TableHeader.fields.signature.size + TableHeader.fields.length.size;

/** Keep tables. A cache that cannot be written is none. */
export function keepTables(file: string, tables: readonly Uint8Array[]): void {
  const temporary = `${file}.${process.pid}`;
  try {
    makeFolder(join(file, ".."));
    writeFileSync(temporary, concatBytes(tables));
    renameSync(temporary, file);
  } catch {
    if (existsSync(temporary)) rmSync(temporary);
  }
}
