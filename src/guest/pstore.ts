/**
 * The kernel's persistent store over ERST (Linux fs/pstore and drivers/acpi/apei/erst.c behaviour): the files it makes of
 * stored records, and the records it makes of its last messages.
 */
import { LINUX_PSTORE, MACHINE_CHECK } from "../cper/guids.ts";
import { inflate } from "../cper/inflate.ts";
import { RecordHeader, SectionDescriptor } from "../cper/record.ts";
import { buildRecord } from "../cper/record-codec.ts";
import { LinuxCompressedMessages, LinuxMachineCheck, LinuxMessages, linuxPstoreSections } from "../cper/sections/linux-pstore.ts";
import { parse, type SectionBody, type SectionType, timestampText } from "../layout/index.ts";
import type { ErstDriver } from "./erst.ts";
import type { KernelVersion } from "./report/words.ts";

/** What a driver prints when it has started, in the order of its messages. */
export const ERST_STARTS = ["ERST: Error Record Serialization Table (ERST) support is initialized.", "pstore: Registered erst as persistent store backend"];

/** A file of the mounted store. */
export interface PstoreFile {
  readonly name: string;
  /** Of the record it stands for. */
  readonly id: bigint;
  readonly bytes: Uint8Array;
}
export interface PstoreContents {
  /** In the order in which the platform hands the records out. */
  readonly files: readonly PstoreFile[];
  /** What the kernel prints on the way. */
  readonly messages: readonly string[];
}

/** Bytes before the content of a record the kernel stored: it has one section. */
const HEAD = RecordHeader.size + SectionDescriptor.size;

const typeOf = (layout: SectionType["layout"]): SectionType => linuxPstoreSections.find((type) => type.layout === layout)!;
const MESSAGES = typeOf(LinuxMessages);
const COMPRESSED = typeOf(LinuxCompressedMessages);
const KINDS: readonly (readonly [type: SectionType, name: string])[] = [
  [MESSAGES, "dmesg"],
  [COMPRESSED, "dmesg"],
  [typeOf(LinuxMachineCheck), "mce"],
];

/** To how many percent Linux 6.1 thinks deflate shrinks messages for so many bytes of content. */
const PERCENT = [
  [1000, 2000, 56],
  [2001, 3000, 54],
  [3001, 3999, 52],
  [4000, 10_000, 45],
] as const;
/** What differs between versions: how much room expanded messages have for `content` bytes of a record, and the complaint when it does not do. */
const EXPANSION: Readonly<Record<KernelVersion, { readonly room: (content: number) => number; readonly failed: (damaged: boolean) => string }>> = {
  "6.1": {
    room: (content) => Math.floor((content * 100) / (PERCENT.find(([least, most]) => content >= least && content <= most)?.[2] ?? 60)),
    failed: () => "pstore: crypto_comp_decompress failed, ret = -22!",
  },
  "7.2": { room: (content) => content * 3, failed: (damaged) => `pstore: zlib_inflate() failed, ret = ${damaged ? -3 : -5}!` },
};

/** Mount the store: records of other creators are passed over; a record without content, or one the platform does not give, ends the list. */
export function mountPstore(driver: ErstDriver, version: KernelVersion = "7.2"): PstoreContents {
  const files: PstoreFile[] = [];
  const messages: string[] = [];
  for (const id of driver.ids()) {
    const record = driver.read(id);
    if (record === "recordNotFound" || record === "recordStoreEmpty") continue;
    if (typeof record === "string" || record.length < HEAD) break;
    if (parse(RecordHeader, record).creatorId !== LINUX_PSTORE) continue;
    if (record.length === HEAD) break;
    const { sectionType = "" } = parse(SectionDescriptor, record, RecordHeader.size, HEAD);
    const [type, kind = "unknown"] = KINDS.find(([{ guids }]) => guids.includes(sectionType)) ?? [];
    const content = record.slice(HEAD);
    let bytes: Uint8Array = content;
    let suffix = "";
    if (type === COMPRESSED) {
      const { room, failed } = EXPANSION[version];
      const expanded = inflate(content);
      if (expanded.complete && expanded.bytes.length <= room(driver.rangeLength - HEAD)) bytes = expanded.bytes;
      else {
        messages.push(failed(!expanded.complete));
        suffix = ".enc.z";
      }
    }
    files.push({ name: `${kind}-erst-${id}${suffix}`, id, bytes });
  }
  return { files, messages };
}

/** The record whose file has this name, when it can be a file of this store. */
export const recordOfFile = (name: string): bigint | undefined => {
  const found = /^[a-z]+-erst-([0-9]+)/.exec(name);
  return found ? BigInt(found[1]!) : undefined;
};

/** Linux stores a count of seconds where others have a date. */
function secondsBytes(seconds: number): Uint8Array {
  const bytes = new Uint8Array(RecordHeader.fields.timestamp.size);
  new DataView(bytes.buffer).setUint32(0, seconds, true);
  return bytes;
}

/** The header of a record the kernel stores. @param seconds since 1970 when it was stored. */
export const pstoreHeader = (id: bigint, seconds?: number) =>
  ({
    revision: 0x0100,
    severity: "fatal",
    ...(seconds !== undefined && { timestamp: timestampText(secondsBytes(seconds)) }),
    creatorId: LINUX_PSTORE,
    notificationType: MACHINE_CHECK,
    recordId: id,
    flags: { previousError: true },
  }) as const;

/** Messages as the kernel stores them. */
export const messageRecord = (id: bigint, text: Uint8Array, seconds?: number): Uint8Array =>
  buildRecord(pstoreHeader(id, seconds), [{ descriptor: { severity: "fatal", flags: { primary: true } }, type: MESSAGES, body: text }]);

/** What a record's messages say; undefined for a section that holds none. */
export function messageText({ type, value }: SectionBody): string | undefined {
  const content = value as { readonly text?: Uint8Array; readonly compressed?: Uint8Array };
  const bytes =
    type?.layout === LinuxMessages ? content.text : type?.layout === LinuxCompressedMessages ? inflate(content.compressed ?? NONE).bytes : undefined;
  return bytes && Array.from(bytes, (byte) => String.fromCharCode(byte)).join("");
}
const NONE = new Uint8Array(0);

/** A line of the kernel's log. */
export interface KernelMessage {
  /** Milliseconds since the machine started. */
  readonly at: number;
  /** 0 for the worst, 7 for debugging. */
  readonly level: number;
  readonly text: string;
}

/** A message as it is stored: level, time in seconds, text. */
export const storedLine = ({ at, level, text }: KernelMessage): string => `<${level}>[${(at / 1000).toFixed(6).padStart(12)}] ${text}\n`;
/** The message of a stored line; undefined for a line of another form. */
export function readStoredLine(line: string): KernelMessage | undefined {
  const found = /^<([0-9]+)>\[ *([0-9]+\.[0-9]{6})\](?:\[ *[A-Z]?[0-9]+\])? (.*)$/.exec(line);
  return found ? { level: Number(found[1]) & 7, at: Number(found[2]) * 1000, text: found[3]! } : undefined;
}

/** Bytes of messages the kernel stores when it dies (`pstore.kmsg_bytes`): no record is begun once so many are stored. */
export const MOST_STORED = 10_240;

/**
 * What a dying kernel stores of its last messages, newest first and not compressed (as with `pstore.compress=none`): as
 * many to a record as fit, oldest above.
 * @param why first word of each record, such as "Panic".
 * @param room bytes a record may have.
 */
export function lastWords(messages: readonly KernelMessage[], why: string, room: number): Uint8Array[] {
  // Every character of a message is a byte.
  const encoded = (text: string) => Uint8Array.from(text, (letter) => letter.charCodeAt(0));
  const lines = messages.map((message) => encoded(storedLine(message)));
  const parts: Uint8Array[] = [];
  for (let total = 0; lines.length > 0 && total < MOST_STORED; ) {
    const head = encoded(`${why}#1 Part${parts.length + 1}\n`);
    const chosen: Uint8Array[] = [];
    let left = room - HEAD - head.length;
    for (let line = lines.at(-1); line && line.length <= left; line = lines.at(-1)) {
      chosen.unshift(lines.pop()!);
      left -= line.length;
    }
    if (chosen.length === 0) break;
    const part = new Uint8Array(room - HEAD - left);
    let at = 0;
    for (const bytes of [head, ...chosen]) {
      part.set(bytes, at);
      at += bytes.length;
    }
    parts.push(part);
    total += part.length;
  }
  return parts;
}

/** Identifiers as the kernel numbers them: the time of the first in the upper half, then one by one. @param count how many were given before. */
export const pstoreId = (seconds: number, count: number): bigint => (BigInt(seconds) << 32n) | BigInt(count + 1);
