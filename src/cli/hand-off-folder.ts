/** Folders of fw_cfg files: what `build` writes, what a capture of a machine holds. */
import { readdir, rm, stat } from "node:fs/promises";
import { basename, join, relative, sep } from "node:path";
import { parse, parseJson, UsageError } from "../layout/index.ts";
import { type Entry, fileName } from "../loader/commands.ts";
import { Directory, FILE, type FwCfgFile, type FwCfgFiles } from "../loader/fw-cfg.ts";
import { parseScript } from "../loader/script.ts";
import { readInput, writeWhole } from "./files.ts";
import type { Io } from "./io.ts";

const MANIFEST = "manifest.json";

export interface Manifest {
  readonly files: Readonly<Record<string, { readonly path: string; readonly size: number; readonly writable?: boolean }>>;
  readonly tables?: readonly object[];
}

/** Short names for the four files of a hand-off, as scripts and their tests like to call them. */
const SHORT: Readonly<Record<string, string>> = { tl: FILE.script, tables: FILE.tables, rsdp: FILE.rsdp, hwerr: FILE.hardwareErrors };
/** Files a guest may write, which a machine offers by itself: bytes they hold when it starts. */
const MACHINE_FILES: Readonly<Record<string, Uint8Array>> = {
  [FILE.hardwareErrorsAddress]: new Uint8Array(8),
  [FILE.hestAddress]: new Uint8Array(8),
  [FILE.vmgenidAddress]: new Uint8Array(8),
  "etc/vmcoreinfo": Uint8Array.of(1, ...new Uint8Array(15)),
  "etc/smi/requested-features": new Uint8Array(8),
};
const DIRECTORY = "fw_cfg-directory.bin";
const MOST_FILES = 4096;
/** QEMU gives its script 64 KiB at most; anything far beyond would only keep the models busy. */
const MOST_SCRIPT_BYTES = 1 << 20;

/** Write the files under their own names and a manifest; nothing of them stays when one cannot be written. */
export async function writeHandOff(folder: string, files: FwCfgFiles, more: object): Promise<void> {
  const manifest: Manifest = {
    files: Object.fromEntries([...files].map(([name, file]) => [name, { path: name, size: file.bytes.length, ...(file.writable && { writable: true }) }])),
    ...more,
  };
  for (const name of files.keys())
    if (name.split("/").some((part) => part === "" || part === "." || part === "..")) throw new UsageError(`${name}: cannot be the path of a file`);
  const written: string[] = [];
  try {
    for (const [name, file] of files) {
      const path = join(folder, ...name.split("/"));
      await writeWhole(path, file.bytes);
      written.push(path);
    }
    await writeWhole(join(folder, MANIFEST), `${JSON.stringify(manifest, null, 2)}\n`);
  } catch (error) {
    for (const path of written) await rm(path, { force: true });
    throw error;
  }
}

/** Files given one by one beside the folder. */
export interface Extra {
  /** Paths by fw_cfg name. */
  readonly files: ReadonlyMap<string, string>;
  /** Sizes of further files the guest may write, by fw_cfg name. */
  readonly writable: ReadonlyMap<string, number>;
}

/**
 * Read a folder: by its manifest, or else by the names the script uses, which may stand as paths (`etc/acpi/tables`),
 * flat (`etc_acpi_tables`, `fwcfg_etc_acpi_tables`) or short (`tables.bin`).
 * @returns the files, and what had to be supposed.
 */
export async function readHandOff(folder: string, extra: Extra, io: Io): Promise<{ readonly files: FwCfgFiles; readonly notes: readonly string[] }> {
  if (!(await isFolder(folder))) throw new UsageError(`${folder}: is no folder`);
  const paths = await listFiles(folder);
  const files = new Map<string, FwCfgFile>();
  const notes: string[] = [];
  const manifest = paths.includes(MANIFEST) ? await readManifest(join(folder, MANIFEST), io) : undefined;
  if (manifest) {
    for (const [name, { path, writable }] of Object.entries(manifest.files)) {
      if (relative(folder, join(folder, path)).startsWith("..")) throw new UsageError(`${folder}/${MANIFEST}: ${path} lies outside the folder`);
      files.set(name, { bytes: await readInput(join(folder, path), io), ...(writable && { writable }) });
    }
  } else await readLoose(folder, paths, files, io);
  for (const [name, path] of extra.files) files.set(name, { bytes: await readInput(path, io) });
  for (const [name, size] of extra.writable) files.set(name, { bytes: new Uint8Array(size), writable: true });

  const complete = manifest !== undefined || paths.includes(DIRECTORY);
  const script = files.get(FILE.script);
  if (!script) throw new UsageError(`${folder}: there is no ${FILE.script} in it`);
  if (script.bytes.length > MOST_SCRIPT_BYTES)
    throw new UsageError(`${folder}: ${FILE.script} has ${script.bytes.length} bytes: no machine hands over a script of more than ${MOST_SCRIPT_BYTES}`);
  for (const entry of parseScript(script.bytes).entries) {
    if (entry.command !== "writePointer") continue;
    const name = fileName(entry.destinationFile) ?? "";
    const known = MACHINE_FILES[name];
    if (!known || complete || files.has(name)) continue;
    files.set(name, { bytes: known, writable: true });
    notes.push(`${name} is not in the folder: taken for the machine's own, ${known.length} bytes, writable`);
  }
  return { files, notes };
}

async function readLoose(folder: string, paths: readonly string[], files: Map<string, FwCfgFile>, io: Io): Promise<void> {
  const read = (path: string) => readInput(join(folder, ...path.split("/")), io);
  const listed = paths.includes(DIRECTORY) ? (parse(Directory, await read(DIRECTORY)).files ?? []).map((file) => file.name) : [];
  const scriptPath = pathFor(FILE.script, paths);
  const script = scriptPath === undefined ? undefined : await read(scriptPath);
  const used = script ? parseScript(script).entries.flatMap(namesOf) : [];
  for (const name of new Set([
    FILE.script,
    FILE.tables,
    FILE.rsdp,
    FILE.hardwareErrors,
    "etc/system-states",
    ...Object.keys(MACHINE_FILES),
    ...listed,
    ...used,
  ])) {
    const path = pathFor(name, paths);
    if (path === undefined) continue;
    const bytes = await read(path);
    // What a machine wrote into such a file is gone when it starts again.
    const own = MACHINE_FILES[name];
    files.set(name, own ? { bytes: own.length === bytes.length ? own : new Uint8Array(bytes.length), writable: true } : { bytes });
  }
}

const namesOf = (entry: Entry): string[] =>
  ("file" in entry ? [entry.file] : "destinationFile" in entry ? [entry.destinationFile, entry.sourceFile] : [])
    .map((name) => fileName(name) ?? "")
    .filter((name) => name !== "");

/** Which of the paths holds the fw_cfg file of this name. */
function pathFor(name: string, paths: readonly string[]): string | undefined {
  const flat = name.replaceAll("/", "_");
  const short = Object.keys(SHORT).find((key) => SHORT[key] === name) ?? basename(name);
  return [name, flat, `fwcfg_${flat}`, `${flat}.bin`, `${short}.bin`].find((candidate) => paths.includes(candidate));
}

async function readManifest(path: string, io: Io): Promise<Manifest | undefined> {
  const manifest: unknown = parseJson(new TextDecoder().decode(await readInput(path, io)), path);
  const { files } = (manifest ?? {}) as { files?: unknown };
  // Captures have a manifest of another kind: a list of what was found.
  if (typeof files !== "object" || files === null || Array.isArray(files)) return undefined;
  for (const [name, file] of Object.entries(files))
    if (typeof (file as { path?: unknown } | null)?.path !== "string") throw new UsageError(`${path}: files.${name}.path is missing`);
  return manifest as Manifest;
}

const isFolder = async (path: string): Promise<boolean> => (await stat(path).catch(() => undefined))?.isDirectory() ?? false;

async function listFiles(folder: string): Promise<string[]> {
  const out: string[] = [];
  const open = [folder];
  for (let next = open.pop(); next !== undefined && out.length < MOST_FILES; next = open.pop())
    for (const entry of await readdir(next, { withFileTypes: true })) {
      const path = join(next, entry.name);
      if (entry.isDirectory()) {
        // fw_cfg names have at most 55 characters, so nothing of interest lies deep.
        if (relative(folder, path).split(sep).length < 6) open.push(path);
      } else out.push(relative(folder, path).split(sep).join("/"));
    }
  return out;
}
