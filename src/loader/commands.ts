/** The four commands of QEMU's linker/loader script, 128 bytes each. */
import { bytes, type Decoded, type Encodable, oneOf, reserved, struct, text, u8, u32 } from "../layout/index.ts";

/** Bytes of a script entry. */
export const ENTRY_SIZE = 128;
/** Bytes of a file name in an entry, its NUL included. */
export const FILE_NAME_SIZE = 56;

export const COMMAND = { allocate: 1, addPointer: 2, addChecksum: 3, writePointer: 4 } as const;
/** Where an allocation may lie; QEMU asks for the F-segment only for the RSDP. */
export const ZONE = { high: [1, "anywhere"], fSegment: [2, "F-segment"] } as const;

const SOURCE = "QEMU bios-linker-loader";
const command = oneOf(4, "What to do", COMMAND);
const file = (doc: string) => text(FILE_NAME_SIZE, doc);

export const Allocate = struct("Allocate Command", ENTRY_SIZE, SOURCE, () => ({
  command,
  file: file("Blob to load into memory"),
  alignment: u32("Alignment in bytes, a power of two"),
  zone: oneOf(1, "Where it may lie", ZONE),
  unused: reserved(63),
}));
export const AddPointer = struct("Add Pointer Command", ENTRY_SIZE, SOURCE, () => ({
  command,
  destinationFile: file("Blob that holds the pointer"),
  sourceFile: file("Blob whose address is added"),
  offset: u32("Offset of the pointer in the destination"),
  size: u8("Bytes of the pointer"),
  unused: reserved(7),
}));
export const AddChecksum = struct("Add Checksum Command", ENTRY_SIZE, SOURCE, () => ({
  command,
  file: file("Blob that holds the range"),
  checksumOffset: u32("Offset of the checksum byte in the blob"),
  start: u32("Offset of the range in the blob"),
  length: u32("Bytes of the range"),
  unused: reserved(56),
}));
export const WritePointer = struct("Write Pointer Command", ENTRY_SIZE, SOURCE, () => ({
  command,
  destinationFile: file("Writable fw_cfg file that takes the address"),
  sourceFile: file("Blob whose address is written"),
  destinationOffset: u32("Offset of the pointer in the destination"),
  sourceOffset: u32("Offset in the source to which it points"),
  size: u8("Bytes of the pointer"),
  unused: reserved(3),
}));
/** An entry whose command no firmware knows: every one of them skips it. */
export const UnknownCommand = struct("Unknown Command", ENTRY_SIZE, SOURCE, () => ({
  command: u32("Number of the command"),
  content: bytes(124, "What follows it"),
}));

export type AllocateInput = Encodable<typeof Allocate>;
export type AddPointerInput = Encodable<typeof AddPointer>;
export type AddChecksumInput = Encodable<typeof AddChecksum>;
export type WritePointerInput = Encodable<typeof WritePointer>;

/** A script entry; `command` tells which: a number for one that is not known. */
export type Entry =
  | (Decoded<typeof Allocate> & { readonly command: "allocate" })
  | (Decoded<typeof AddPointer> & { readonly command: "addPointer" })
  | (Decoded<typeof AddChecksum> & { readonly command: "addChecksum" })
  | (Decoded<typeof WritePointer> & { readonly command: "writePointer" })
  | (Decoded<typeof UnknownCommand> & { readonly command: number });

const LAYOUTS = { allocate: Allocate, addPointer: AddPointer, addChecksum: AddChecksum, writePointer: WritePointer } as const;
export type EntryLayout = (typeof LAYOUTS)[keyof typeof LAYOUTS] | typeof UnknownCommand;

/** The layout of an entry, by its command's name or number. */
export function entryLayout(name: unknown): EntryLayout {
  if (typeof name === "string") return Object.hasOwn(LAYOUTS, name) ? LAYOUTS[name as keyof typeof LAYOUTS] : UnknownCommand;
  const found = Object.entries(COMMAND).find(([, number]) => number === name);
  return found ? LAYOUTS[found[0] as keyof typeof LAYOUTS] : UnknownCommand;
}

/** A file name as firmware compares it: up to its first NUL. Undefined when the field's last byte is not NUL, which every firmware refuses. */
export function fileName(field: string): string | undefined {
  if (field.length === FILE_NAME_SIZE) return undefined;
  const end = field.indexOf("\0");
  return end < 0 ? field : field.slice(0, end);
}
