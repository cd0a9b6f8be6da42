/** The fw_cfg side of the hand-off: files by name, and the directory that lists them. */
import {
  bigEndian,
  type Encodable,
  EncodeError,
  encode,
  type Finding,
  type Format,
  fieldTrees,
  fromJson,
  hex,
  hexNumber,
  jsonSchema,
  list,
  type Parsed,
  parse,
  ref,
  reserved,
  sequence,
  spans,
  struct,
  text,
  toJson,
  u16,
  u32,
} from "../layout/index.ts";
import { readWord } from "../layout/values.ts";
import { FILE_NAME_SIZE } from "./commands.ts";

/** Files of the hand-off that QEMU and firmware know by name. */
export const FILE = {
  script: "etc/table-loader",
  tables: "etc/acpi/tables",
  rsdp: "etc/acpi/rsdp",
  hardwareErrors: "etc/hardware_errors",
  hardwareErrorsAddress: "etc/hardware_errors_addr",
  hestAddress: "etc/acpi_table_hest_addr",
  vmgenid: "etc/vmgenid_guid",
  vmgenidAddress: "etc/vmgenid_addr",
  tpmLog: "etc/tpm/log",
  nvdimmMemory: "etc/acpi/nvdimm-mem",
} as const;

export interface FwCfgFile {
  readonly bytes: Uint8Array;
  /** Whether the guest may write it (by DMA only). */
  readonly writable?: boolean;
}
/** fw_cfg files by name. */
export type FwCfgFiles = ReadonlyMap<string, FwCfgFile>;

/** The key under which the directory is selected. */
export const DIRECTORY_KEY = 0x19;
/** The first key of a file. */
export const FIRST_FILE_KEY = 0x20;

export const DirectoryEntry = struct("fw_cfg Directory Entry", 64, "QEMU fw_cfg specification", () => ({
  size: bigEndian(u32("Bytes of the file")),
  key: bigEndian(hex(u16("Key that selects it"))),
  zero: reserved(2),
  name: text(FILE_NAME_SIZE, "Name of the file"),
}));
export const Directory = sequence("fw_cfg Directory", "QEMU fw_cfg specification", () => ({
  count: bigEndian(u32("Number of files")),
  files: list(DirectoryEntry, "Files, in the order of their names on new machines", ref("count")),
}));
export type Directory = Parsed<typeof Directory>;

/** The directory QEMU shows for these files: in the order of their names, keys handed out in that order. */
export function buildDirectory(files: FwCfgFiles): Uint8Array {
  const names = [...files.keys()].sort((a, b) => (a < b ? -1 : a > b ? 1 : 0));
  for (const name of names)
    if (name.length >= FILE_NAME_SIZE) throw new EncodeError(name, `the name of a fw_cfg file has at most ${FILE_NAME_SIZE - 1} characters`);
  return encode(Directory, {
    count: names.length,
    files: names.map((name, i) => ({ size: files.get(name)!.bytes.length, key: FIRST_FILE_KEY + i, name })),
  });
}

export const fwCfgDirectoryFormat: Format<Directory> = {
  name: "fw-cfg-directory",
  title: "fw_cfg directory",
  recognise: (input) => {
    // The size says it before anything is read.
    const start = Directory.fields.count.size;
    if (input.length <= start || input.length - start !== readWord(input, 0, start, true) * DirectoryEntry.size) return false;
    const { count, files = [], trailing } = parse(Directory, input);
    return trailing === undefined && count === files.length && files.length > 0 && files.every((file) => /^[\x21-\x7e]{1,55}$/.test(file.name));
  },
  parse: (input, findings: Finding[]) => parse(Directory, input, 0, input.length, { findings, path: "directory" }),
  encode: (value) => encode(Directory, value as Encodable<typeof Directory>),
  toJson: (value) => toJson(Directory, value) as never,
  fromJson: (json) => fromJson(Directory, json),
  schema: () => jsonSchema(Directory),
  spans: (value) => spans(Directory, value),
  summary: (value) => `fw_cfg directory of ${value.files?.length ?? 0} files`,
  tree: (value) => [
    ...(value.files ?? []).map((file) => ({ label: file.name, text: `key ${hexNumber(file.key)}, ${file.size} bytes` })),
    ...fieldTrees(Directory, { ...value, files: undefined }).filter((tree) => tree.label !== "count"),
  ],
};
