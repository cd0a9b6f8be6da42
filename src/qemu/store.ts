/** What a guest finds in its error record store: the files of Linux's pstore, predicted from the store's bytes. */
import { createHash } from "node:crypto";
import { inflate } from "../cper/inflate.ts";
import { parseRecord } from "../cper/record-codec.ts";
import { LinuxCompressedMessages, LinuxMachineCheck, LinuxMessages } from "../cper/sections/linux-pstore.ts";
import { ErstStorage, MemoryBackend } from "../host/erst-storage.ts";
import { encodeSectionBody, type Parsed } from "../layout/index.ts";
import { GUEST_SAYS } from "./initramfs.ts";

export interface StoredFile {
  /** As the guest names it. */
  readonly name: string;
  readonly bytes: Uint8Array;
}

/** The files Linux makes of a store: of each record that the kernel itself could have written, the first section. */
export function pstoreFiles(store: Uint8Array): StoredFile[] {
  const storage = new ErstStorage(new MemoryBackend(store.slice()));
  return storage.ids.flatMap((id): StoredFile[] => {
    const record = parseRecord(storage.read(id)!);
    const body = record.sections[0]?.body;
    if (!body?.type) return [];
    if (body.type.layout === LinuxMessages)
      return [{ name: `dmesg-erst-${id}`, bytes: (body.value as Parsed<typeof LinuxMessages>).text ?? new Uint8Array(0) }];
    if (body.type.layout === LinuxCompressedMessages) {
      const { compressed = new Uint8Array(0) } = body.value as Parsed<typeof LinuxCompressedMessages>;
      return [{ name: `dmesg-erst-${id}`, bytes: inflate(compressed).bytes }];
    }
    return body.type.layout === LinuxMachineCheck ? [{ name: `mce-erst-${id}`, bytes: encodeSectionBody(body) }] : [];
  });
}

/** The files our guest printed when it started. */
export function printedFiles(output: string): StoredFile[] {
  const out: StoredFile[] = [];
  let name: string | undefined;
  let digits = "";
  for (const line of output.split("\n")) {
    if (line.startsWith(GUEST_SAYS.begin)) [name, digits] = [line.slice(GUEST_SAYS.begin.length), ""];
    else if (name !== undefined && line.startsWith(": ")) digits += line.slice(2);
    else if (name !== undefined && line === GUEST_SAYS.end + name) {
      out.push({ name, bytes: new Uint8Array(Buffer.from(digits, "base64")) });
      name = undefined;
    }
  }
  return out;
}

/** A file in one line, so that two lists can be compared. */
export const fileLine = ({ name, bytes }: StoredFile): string =>
  `${name}: ${bytes.length} bytes, SHA-256 ${createHash("sha256").update(bytes).digest("hex").slice(0, 16)}`;
