/** Writing a script as QEMU does (`hw/acpi/bios-linker-loader.c`): blobs grow, pointers leave their initial values in them. */
import { EncodeError, hexNumber } from "../layout/index.ts";
import { type Entry, FILE_NAME_SIZE, type ZONE } from "./commands.ts";
import { encodeScript } from "./script.ts";

export type PointerSize = 1 | 2 | 4 | 8;
export type ZoneName = keyof typeof ZONE;
const NONE = { unused: undefined } as const;

interface Blob {
  bytes: Uint8Array;
  length: number;
}

/**
 * A script and the blobs it links. What QEMU's emitter asserts is checked here and told as an EncodeError:
 * powers of two, one allocation a file, known files, ranges inside blobs, checksum bytes that are still zero.
 */
export class ScriptBuilder {
  readonly #allocations: Entry[] = [];
  readonly #entries: Entry[] = [];
  readonly #blobs = new Map<string, Blob>();

  /** Load a blob, which may still grow. Allocations come first in the script, the last one made at the very front. */
  allocate(file: string, content: Uint8Array, alignment: number, zone: ZoneName = "high"): void {
    const where = `allocate ${file}`;
    if (file.length === 0 || file.length >= FILE_NAME_SIZE) throw new EncodeError(where, `a file name has 1 to ${FILE_NAME_SIZE - 1} characters`);
    if (this.#blobs.has(file)) throw new EncodeError(where, "the file is allocated already");
    if (alignment < 1 || (alignment & (alignment - 1)) !== 0) throw new EncodeError(where, `the alignment ${alignment} is no power of two`);
    this.#blobs.set(file, { bytes: content.slice(), length: content.length });
    this.#allocations.unshift({ command: "allocate", file, alignment, zone, ...NONE });
  }

  /** Bytes of a blob so far. */
  size(file: string): number {
    return this.#blob(file, `size of ${file}`).length;
  }

  /** Add bytes to the end of a blob. @returns their offset. */
  append(file: string, content: Uint8Array): number {
    const blob = this.#blob(file, `append to ${file}`);
    const offset = blob.length;
    blob.length += content.length;
    if (blob.length > blob.bytes.length) {
      const grown = new Uint8Array(Math.max(blob.length, blob.bytes.length * 2));
      grown.set(blob.bytes.subarray(0, offset));
      blob.bytes = grown;
    }
    blob.bytes.set(content, offset);
    return offset;
  }

  /** Make the `size` bytes at `offset` of a blob hold the address of `source` plus `sourceOffset`, which is what they hold until then. */
  addPointer(destinationFile: string, offset: number, size: PointerSize, sourceFile: string, sourceOffset: number): void {
    const where = `pointer at ${hexNumber(offset)} of ${destinationFile}`;
    const destination = this.#blob(destinationFile, where);
    const source = this.#blob(sourceFile, where);
    this.#checkSize(size, where);
    if (offset < 0 || offset + size > destination.length) throw new EncodeError(where, `is outside the blob, which has ${destination.length} bytes`);
    if (sourceOffset < 0 || sourceOffset >= source.length)
      throw new EncodeError(where, `points to ${hexNumber(sourceOffset)} of ${sourceFile}, which has ${source.length} bytes`);
    if (sourceOffset >= 2 ** (8 * size)) throw new EncodeError(where, `${hexNumber(sourceOffset)} does not fit in ${size} bytes`);
    for (let i = 0; i < size; i++) destination.bytes[offset + i] = Math.floor(sourceOffset / 2 ** (8 * i)) & 255;
    this.#entries.push({ command: "addPointer", destinationFile, sourceFile, offset, size, ...NONE });
  }

  /** Make a range sum to zero by one of its bytes. */
  addChecksum(file: string, start: number, length: number, checksumOffset: number): void {
    const where = `checksum at ${hexNumber(checksumOffset)} of ${file}`;
    const blob = this.#blob(file, where);
    if (start < 0 || start + length > blob.length) throw new EncodeError(where, `its range is outside the blob, which has ${blob.length} bytes`);
    if (checksumOffset < start || checksumOffset >= start + length) throw new EncodeError(where, "lies outside its range");
    if (blob.bytes[checksumOffset] !== 0) throw new EncodeError(where, "the byte is not zero: firmware that adds it to the sum would get another result");
    this.#entries.push({ command: "addChecksum", file, checksumOffset, start, length, ...NONE });
  }

  /** Have the firmware write the address of `source` plus `sourceOffset` back to a fw_cfg file. */
  writePointer(destinationFile: string, destinationOffset: number, size: PointerSize, sourceFile: string, sourceOffset: number): void {
    const where = `write pointer to ${destinationFile}`;
    const source = this.#blob(sourceFile, where);
    this.#checkSize(size, where);
    if (destinationFile.length === 0 || destinationFile.length >= FILE_NAME_SIZE)
      throw new EncodeError(where, `a file name has 1 to ${FILE_NAME_SIZE - 1} characters`);
    if (sourceOffset < 0 || sourceOffset >= source.length)
      throw new EncodeError(where, `points to ${hexNumber(sourceOffset)} of ${sourceFile}, which has ${source.length} bytes`);
    this.#entries.push({ command: "writePointer", destinationFile, sourceFile, destinationOffset, sourceOffset, size, ...NONE });
  }

  /** The script, padded with empty entries to a multiple of `multiple` bytes. */
  script(multiple = 1): Uint8Array {
    return padTo(encodeScript({ entries: [...this.#allocations, ...this.#entries] }), multiple);
  }

  /** What a blob holds in its file: pointers as offsets, checksums zero. */
  content(file: string): Uint8Array {
    const blob = this.#blob(file, `content of ${file}`);
    return blob.bytes.slice(0, blob.length);
  }

  get files(): readonly string[] {
    return [...this.#blobs.keys()];
  }

  #blob(file: string, where: string): Blob {
    const blob = this.#blobs.get(file);
    if (!blob) throw new EncodeError(where, `${file} is not allocated`);
    return blob;
  }

  #checkSize(size: number, where: string): void {
    if (![1, 2, 4, 8].includes(size)) throw new EncodeError(where, `a pointer has 1, 2, 4 or 8 bytes, not ${size}`);
  }
}

/** Zeros added up to the next multiple. */
export function padTo(bytes: Uint8Array, multiple: number): Uint8Array {
  const size = Math.ceil(bytes.length / multiple) * multiple;
  if (size === bytes.length) return bytes;
  const out = new Uint8Array(size);
  out.set(bytes);
  return out;
}
