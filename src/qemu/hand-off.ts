/** What a machine without tables of its own is given: the tables QEMU would have made, and ours beside them. */
import { TableHeader } from "../acpi/table-header.ts";
import { decode, UsageError } from "../layout/index.ts";
import { buildHandOff } from "../loader/build.ts";
import type { BlobDescription, BuildDescription, PointerDescription, SourceDescription, TableDescription } from "../loader/description.ts";
import { FILE, type FwCfgFile, type FwCfgFiles } from "../loader/fw-cfg.ts";
import { encodeScript, parseScript } from "../loader/script.ts";

/**
 * QEMU lets the guest write only to files of its own devices. The one of the vmcoreinfo device takes 16 bytes, of
 * which the last 8 are an address (QEMU docs/specs/vmcoreinfo): there the write-pointer goes.
 */
export const POINTER_HOME = { file: "etc/vmcoreinfo", offset: 8, size: 8, words: ["-device", "vmcoreinfo"] } as const;
/** Its first 8 bytes, a format and a length, mean something to QEMU only when all 16 are written at once. */
export const SECOND_HOME = 0;

/** A table of ours. */
export interface ExtraTable {
  readonly bytes: Uint8Array;
  readonly pointers?: readonly PointerDescription[];
  /** Keep a wrong checksum. */
  readonly checksum?: boolean;
}

const ROOT_TABLES: ReadonlySet<string> = new Set(["RSDT", "XSDT"]);
const FACS = "FACS";

/** The tables of a captured hand-off, in their order: every range that gets a checksum, and the FACS, which gets none. */
export function tablesOf(files: FwCfgFiles): readonly Uint8Array[] {
  const script = files.get(FILE.script);
  const blob = files.get(FILE.tables)?.bytes;
  if (!script || !blob) throw new UsageError("the machine has no tables in fw_cfg");
  const signature = (at: number) => String.fromCharCode(...blob.subarray(at, at + 4));
  const ranges = parseScript(script.bytes)
    .entries.flatMap((entry) => (entry.command === "addChecksum" && entry.file === FILE.tables ? [{ start: entry.start, length: entry.length }] : []))
    .filter(({ start }) => !ROOT_TABLES.has(signature(start)));
  if (signature(0) === FACS) ranges.push({ start: 0, length: new DataView(blob.buffer, blob.byteOffset).getUint32(TableHeader.fields.signature.size, true) });
  return ranges.sort((a, b) => a.start - b.start).map(({ start, length }) => blob.slice(start, start + length));
}

export interface HandOffRequest {
  readonly machine: "q35" | "virt";
  /** The tables QEMU would have made. */
  readonly base: readonly Uint8Array[];
  readonly sources: readonly SourceDescription[];
  readonly handOff: "hardwareErrors" | "hest";
  readonly extra?: readonly ExtraTable[];
  /** Blobs the extra tables point to, by fw_cfg name. */
  readonly blobs?: ReadonlyMap<string, Uint8Array>;
  /** A blob whose address is to be written back too, and the file that is meant for it. */
  readonly tell?: { readonly blob: string; readonly file: string };
}

/** The fw_cfg files for the machine, with the write-pointer aimed at a file that exists there. @throws EncodeError */
export function realHandOff(request: HandOffRequest): FwCfgFiles {
  const content = new Map<string, Uint8Array>();
  const keep = (name: string, bytes: Uint8Array): string => {
    content.set(name, bytes);
    return name;
  };
  const { tell } = request;
  const tables: TableDescription[] = request.base.map((bytes, i) => ({ file: keep(`base${i}`, bytes) }));
  for (const [i, { bytes, pointers, checksum }] of (request.extra ?? []).entries())
    tables.push({
      file: keep(`extra${i}`, bytes),
      ...(pointers && { pointers }),
      ...(checksum !== undefined && { checksum }),
      // The builder writes pointers along with a table: any will do.
      ...(i === 0 && tell && { writePointers: [{ file: tell.file, to: { file: tell.blob } }] }),
    });
  if (request.sources.length > 0) tables.push({ hest: true });
  const blobs: Record<string, BlobDescription> = {};
  for (const [name, bytes] of request.blobs ?? []) blobs[name] = { content: keep(`blob ${name}`, bytes), alignment: 64 };
  const description: BuildDescription = {
    machine: request.machine,
    handOff: request.handOff,
    errorSources: request.sources,
    tables,
    files: blobs,
    // The sums of the tables' own checksums are right; padding only costs time on the way into the guest.
    layout: { tablesMultiple: 1, scriptMultiple: 1 },
  };
  const { files } = buildHandOff(description, (name) => content.get(name)!);
  return retargeted(files, tell?.file);
}

/**
 * Aim every write-pointer at the one writable file, and leave out the files QEMU would have made for them.
 * @param second file whose address goes to a place of its own.
 */
export function retargeted(files: FwCfgFiles, second?: string): FwCfgFiles {
  const out = new Map<string, FwCfgFile>([...files].filter(([, { writable }]) => !writable));
  const script = parseScript(files.get(FILE.script)!.bytes);
  const entries = script.entries.map((entry) =>
    entry.command === "writePointer"
      ? { ...entry, destinationFile: POINTER_HOME.file, destinationOffset: entry.destinationFile === second ? SECOND_HOME : POINTER_HOME.offset }
      : entry,
  );
  out.set(FILE.script, { bytes: encodeScript({ ...script, entries }) });
  return out;
}

/** Signature of a table. */
export const signatureOf = (table: Uint8Array): string => decode(TableHeader, table).signature;
