/** A transaction layer packet's header in words (PCI Express 6.2, 2.2.1; non-flit mode). */
import { hexNumber, type Tree } from "../../layout/index.ts";
import { requesterAddress } from "./words.ts";

/** By Fmt and Type, bits 31:24 of the first dword; messages and local prefixes are matched by mask below. */
const TLP_TYPES: Readonly<Record<number, string>> = {
  0: "memory read (32-bit address)",
  32: "memory read (64-bit address)",
  1: "locked memory read (32-bit address)",
  33: "locked memory read (64-bit address)",
  64: "memory write (32-bit address)",
  96: "memory write (64-bit address)",
  2: "I/O read",
  66: "I/O write",
  4: "configuration read type 0",
  68: "configuration write type 0",
  5: "configuration read type 1",
  69: "configuration write type 1",
  10: "completion without data",
  74: "completion with data",
  11: "completion for locked read without data",
  75: "completion for locked read with data",
  76: "fetch-and-add (32-bit address)",
  108: "fetch-and-add (64-bit address)",
  77: "swap (32-bit address)",
  109: "swap (64-bit address)",
  78: "compare-and-swap (32-bit address)",
  110: "compare-and-swap (64-bit address)",
  91: "deferrable memory write (32-bit address)",
  123: "deferrable memory write (64-bit address)",
};
const MESSAGE_ROUTING = ["to the root complex", "by address", "by ID", "broadcast from the root complex", "local", "gathered to the root complex"];
const COMPLETION_STATUS: Readonly<Record<number, string>> = {
  0: "successful completion",
  1: "unsupported request",
  2: "configuration request retry",
  4: "completer abort",
};

/** What kind of packet the first byte of a header names: undefined for a reserved one. */
export function tlpType(first: number): string | undefined {
  const message = (first & 0xb8) === 0x30;
  if (message) return `message ${first & 0x40 ? "with data " : ""}${MESSAGE_ROUTING[first & 7] ?? "with reserved routing"}`;
  if ((first & 0xe0) === 0x80) return "TLP prefix";
  return TLP_TYPES[first];
}

/** The header log's four dwords, first byte of each in bits 31:24, as lines; empty for a log of zeros or an unknown packet. */
export function tlpTrees(log: readonly number[]): Tree[] {
  const [first = 0, second = 0, third = 0, fourth = 0] = log;
  if (log.every((word) => word === 0)) return [];
  const format = first >>> 24;
  const type = tlpType(format);
  if (type === undefined || type === "TLP prefix") return [{ label: "TLP", text: type ?? `reserved type ${hexNumber(format)}` }];
  const out: Tree[] = [{ label: "TLP", text: type }];
  const length = first & 0x3ff || 1024;
  const tag = (second >>> 8) & 0xff;
  out.push({ label: "traffic class", text: String((first >>> 20) & 7) });
  const marks = [first & 0x8000 && "digest present", first & 0x4000 && "poisoned", first & 0x2000 && "relaxed ordering", first & 0x1000 && "no snoop"].filter(
    Boolean,
  );
  if (marks.length > 0) out.push({ label: "marks", text: marks.join(", ") });
  if (format !== 0x0a && format !== 0x0b) out.push({ label: "length", text: `${length * 4} bytes` });
  if ((format & 0x1e) === 0x0a) {
    out.push({ label: "completer", text: requesterAddress(second >>> 16) });
    out.push({ label: "completion status", text: COMPLETION_STATUS[(second >>> 13) & 7] ?? `reserved (${(second >>> 13) & 7})` });
    out.push({ label: "requester", text: requesterAddress(third >>> 16) });
    out.push({ label: "tag", text: hexNumber((third >>> 8) & 0xff) });
    return out;
  }
  out.push({ label: "requester", text: requesterAddress(second >>> 16) });
  out.push({ label: "tag", text: hexNumber(tag) });
  if ((format & 0xb8) === 0x30) out.push({ label: "message code", text: hexNumber(second & 0xff) });
  else if ((format & 0x1f) === 0x04 || (format & 0x1f) === 0x05) {
    out.push({ label: "target", text: requesterAddress(third >>> 16) });
    out.push({ label: "register", text: hexNumber(third & 0xffc) });
  } else {
    const address = format & 0x20 ? (BigInt(third) << 32n) | BigInt((fourth & ~3) >>> 0) : BigInt((third & ~3) >>> 0);
    out.push({ label: "address", text: hexNumber(address) });
  }
  return out;
}
