/** Files of Linux's pstore (/sys/fs/pstore/dmesg-erst-…): the kernel messages of one part of a dump, compressed or not. */
import { inflate } from "../cper/inflate.ts";
import { LinuxCompressedMessages, LinuxMessages, linuxPstoreSections } from "../cper/sections/linux-pstore.ts";
import { type Format, fieldTrees, type SectionType } from "../layout/index.ts";
import { layoutFormat } from "./layout-format.ts";

/** What the kernel puts first: why it dumped, how often it did, and which part this is (Linux fs/pstore/platform.c). */
const FIRST_LINE = /^(Panic|Oops|Emergency|Shutdown|Unknown)#[0-9]{1,10} Part[0-9]{1,10}\n/;
/** Bytes that hold the first line. */
const ENOUGH = 64;
const isDump = (bytes: Uint8Array) => FIRST_LINE.test(String.fromCharCode(...bytes.subarray(0, ENOUGH)));

const format = (name: string, layout: SectionType["layout"] & { readonly name: string }, recognise: (input: Uint8Array) => boolean): Format => {
  const type = linuxPstoreSections.find((one) => one.layout === layout)!;
  return {
    ...(layoutFormat(
      name,
      type.title,
      layout,
      (value) => `${type.title}, ${type.summary!(value as never)}`,
      (value) => [...fieldTrees(layout, value), ...type.explain!(value as never)],
    ) as Format),
    recognise,
  };
};
export const pstoreFormats: readonly Format[] = [
  format("pstore-messages", LinuxMessages, isDump),
  format("pstore-compressed-messages", LinuxCompressedMessages, (input) => input.length >= 8 && isDump(inflate(input, ENOUGH).bytes)),
];
