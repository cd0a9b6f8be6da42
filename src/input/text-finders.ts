/** Where the data is in the texts people have: event logs, management logs, table dumps. */
import { type Found, findBase64, findDigits, findDump } from "./hex-text.ts";
import { stringsOf } from "./json-places.ts";
import type { Finder } from "./wrapping.ts";

const some = (found: Found | undefined): readonly Found[] => (found ? [found] : []);

/** A dump with offsets, read as bytes or as little-endian words. */
export const dumpFinder =
  (words: boolean): Finder =>
  (text) =>
    some(findDump(text, words));
/** Digits without offsets. */
export const digitsFinder =
  (words: boolean): Finder =>
  (text) =>
    some(findDigits(text, words));
export const base64Finder: Finder = (text) => some(findBase64(text));

/** Fewest digits that are worth looking at inside other text. */
const FEWEST_DIGITS = 32;

/** Windows events as XML: the hex of every `<Data Name="RawData">` (WHEA-Logger, Kernel-WHEA) and `<Binary>`. */
export const wheaEventFinder: Finder = (text) => {
  if (!/<Event[\s>]/.test(text)) return [];
  const out: Found[] = [];
  for (const match of text.matchAll(/<(?:Data|Binary)(?:\s[^<>]*)?>([^<>]*)</g)) {
    const hex = match[1]!;
    if (hex.length < FEWEST_DIGITS || !/^[\s0-9a-fA-F]+$/.test(hex)) continue;
    const start = match.index + match[0].length - 1 - hex.length;
    const found = findDigits(hex, false);
    if (found) out.push({ bytes: found.bytes, runs: found.runs.map((run) => ({ ...run, start: run.start + start, end: run.end + start })) });
  }
  return out;
};

/** Members of Redfish log entries that carry a record or a section as base64 (DSP2046 LogEntry, CPER). */
const REDFISH_MEMBERS: ReadonlySet<string> = new Set(["CPERData", "DiagnosticData", "AdditionalData", "CPER", "RawData", "Data"]);

/** Redfish log entries and collections of them, or any JSON with such members: base64, or hex. */
export const redfishFinder: Finder = (text) => {
  if (!/^\uFEFF?\s*[{[]/.test(text)) return [];
  const out: (Found & { section?: string })[] = [];
  for (const { name, start, end, siblings } of stringsOf(text) ?? []) {
    if (!REDFISH_MEMBERS.has(name) || end - start < FEWEST_DIGITS) continue;
    const place = text.slice(start, end);
    const hex = /^(0x)?[0-9a-fA-F\s]+$/.test(place) ? findDigits(place, false) : undefined;
    const found = hex ? { ...hex, runs: hex.runs.map((run) => ({ ...run, start: run.start + start, end: run.end + start })) } : findBase64(text, start, end);
    if (!found) continue;
    const section = siblings["DiagnosticDataType"] === "CPERSection" ? siblings["SectionType"] : undefined;
    out.push({ ...found, ...(section !== undefined && { section: section.toLowerCase() }) });
  }
  return out;
};

/** `acpidump` text: tables as `SIGN @ 0xADDRESS` and a dump with offsets. */
export const acpidumpFinder: Finder = (text) => {
  const out: Found[] = [];
  const heading = /^[ \t]*[A-Z0-9_ !]{4} @ 0x[0-9a-fA-F]+[^\n]*\n/gm;
  const starts = [...text.matchAll(heading)].map((match) => ({ at: match.index, data: match.index + match[0].length }));
  starts.forEach(({ data }, i) => {
    const found = findDump(text, false, data, starts[i + 1]?.at ?? text.length);
    if (found) out.push(found);
  });
  return out;
};
