/** Linker/loader scripts: the file `etc/table-loader` as entries and back. */
import {
  bytesToHex,
  decode,
  EncodeError,
  encode,
  type Finding,
  type Format,
  fieldTrees,
  fromJson,
  hexBytes,
  hexNumber,
  hexToBytes,
  type Json,
  jsonSchema,
  type Span,
  spans,
  toJson,
} from "../layout/index.ts";
import { readWord } from "../layout/values.ts";
import { COMMAND, ENTRY_SIZE, type Entry, entryLayout, fileName } from "./commands.ts";

export interface LoaderScript {
  readonly entries: readonly Entry[];
  /** Bytes after the last whole entry; with any, both SeaBIOS and EDK2 refuse the script. */
  readonly trailing?: Uint8Array;
}

/** Read a script. Never throws; entries of unknown commands keep their bytes. */
export function parseScript(input: Uint8Array, findings: Finding[] = []): LoaderScript {
  const whole = input.length - (input.length % ENTRY_SIZE);
  const entries: Entry[] = [];
  for (let at = 0; at < whole; at += ENTRY_SIZE) {
    const number = readWord(input, at, 4);
    const entry = decode(entryLayout(number) as never, input, at) as Entry;
    const path = `script.entries[${entries.length}]`;
    // QEMU pads the script to whole pages with zeros on some machines: such entries mean nothing and are no finding.
    if (typeof entry.command === "number" && entry.command !== 0)
      findings.push({ path: `${path}.command`, offset: at, message: `unknown command ${hexNumber(entry.command)}: firmware skips it` });
    for (const [name, value] of Object.entries(entry))
      if (/[fF]ile$/.test(name) && fileName(value as string) === undefined)
        findings.push({ path: `${path}.${name}`, offset: at, message: "the file name does not end in NUL" });
    entries.push(entry);
  }
  if (whole === input.length) return { entries };
  findings.push({ path: "script.trailing", offset: whole, message: `${input.length - whole} bytes are left after the last whole entry of ${ENTRY_SIZE}` });
  return { entries, trailing: input.slice(whole) };
}

const named = <T>(i: number, body: () => T): T => {
  try {
    return body();
  } catch (error) {
    throw error instanceof EncodeError ? new EncodeError(error.path.replace(/^[A-Z]\w* Command\.?/, ""), error.problem).within(`entries[${i}]`) : error;
  }
};

/** Write a script literally. @throws EncodeError naming the entry and field. */
export function encodeScript(script: LoaderScript): Uint8Array {
  const trailing = script.trailing ?? new Uint8Array(0);
  const out = new Uint8Array(script.entries.length * ENTRY_SIZE + trailing.length);
  script.entries.forEach((entry, i) => {
    out.set(
      named(i, () => encode(entryLayout(entry.command) as never, entry as never)),
      i * ENTRY_SIZE,
    );
  });
  out.set(trailing, script.entries.length * ENTRY_SIZE);
  return out;
}

const shown = (name: string): string => fileName(name) ?? `${name}…`;
const bytesWord = (count: number) => `${count} byte${count === 1 ? "" : "s"}`;
const zoneWord = (zone: "high" | "fSegment" | number) => (typeof zone === "number" ? `in zone ${zone}` : zone === "high" ? "anywhere" : "in the F-segment");

/** An entry in words: "add the address of etc/acpi/tables to the 8 bytes at 0x24 of etc/acpi/rsdp". */
export function entryText(entry: Entry): string {
  switch (entry.command) {
    case "allocate":
      return `load ${shown(entry.file)} ${zoneWord(entry.zone)}, aligned to ${entry.alignment}`;
    case "addPointer":
      return `add the address of ${shown(entry.sourceFile)} to the ${bytesWord(entry.size)} at ${hexNumber(entry.offset)} of ${shown(entry.destinationFile)}`;
    case "addChecksum":
      return `make the ${bytesWord(entry.length)} at ${hexNumber(entry.start)} of ${shown(entry.file)} sum to zero by the byte at ${hexNumber(entry.checksumOffset)}`;
    case "writePointer":
      return `write the address of ${shown(entry.sourceFile)} + ${hexNumber(entry.sourceOffset)} to the ${bytesWord(entry.size)} at ${hexNumber(entry.destinationOffset)} of the fw_cfg file ${shown(entry.destinationFile)}`;
    default:
      return entry.command === 0 ? "empty entry" : `unknown command ${hexNumber(entry.command)}`;
  }
}

export const tableLoaderFormat: Format<LoaderScript> = {
  name: "table-loader",
  title: "linker/loader script",
  // No signature: whole entries, the first of a known command with a printable file name and nothing after it but NULs.
  recognise: (input) => {
    if (input.length < ENTRY_SIZE || input.length % ENTRY_SIZE !== 0) return false;
    const { entries } = parseScript(input.subarray(0, ENTRY_SIZE));
    const first = entries[0]!;
    if (typeof first.command === "number") return false;
    const name = "file" in first ? first.file : first.destinationFile;
    return /^[\x21-\x7e]{1,55}$/.test(name);
  },
  parse: parseScript,
  encode: encodeScript,
  toJson: (script) => ({
    entries: script.entries.map((entry) => toJson(entryLayout(entry.command), entry)),
    ...(script.trailing && { trailing: bytesToHex(script.trailing) }),
  }),
  fromJson: (json) => {
    if (!Array.isArray(json["entries"])) throw new EncodeError("entries", json["entries"] === undefined ? "missing" : "is not a list");
    const entries = json["entries"].map((item, i) =>
      named(i, () => {
        const name = typeof item === "object" && item !== null && !Array.isArray(item) ? (item as { [key: string]: Json })["command"] : undefined;
        return fromJson(entryLayout(name) as never, item) as Entry;
      }),
    );
    if (json["trailing"] === undefined) return { entries };
    const trailing = typeof json["trailing"] === "string" ? hexToBytes(json["trailing"]) : undefined;
    if (!trailing) throw new EncodeError("trailing", "is not a string of hex digits");
    return { entries, trailing };
  },
  schema: () => ({
    type: "object",
    required: ["entries"],
    additionalProperties: false,
    properties: {
      entries: { type: "array", items: { anyOf: [...Object.keys(COMMAND), undefined].map((name) => jsonSchema(entryLayout(name))) } },
      trailing: hexBytes(),
    },
  }),
  spans: (script) => {
    const out: Span[] = script.entries.flatMap((entry, i) => spans(entryLayout(entry.command), entry, `entries[${i}]`, i * ENTRY_SIZE));
    if (script.trailing)
      out.push({ path: "trailing", offset: script.entries.length * ENTRY_SIZE, size: script.trailing.length, node: undefined, value: script.trailing });
    return out;
  },
  summary: (script) => {
    const files = new Set(script.entries.flatMap((entry) => (entry.command === "allocate" ? [shown(entry.file)] : [])));
    return `Linker/loader script, ${script.entries.length} entries${files.size > 0 ? `, loads ${[...files].join(", ")}` : ""}`;
  },
  tree: (script) => [
    ...script.entries.map((entry, i) => ({ label: `[${i}]`, text: entryText(entry), children: fieldTrees(entryLayout(entry.command), entry) })),
    ...(script.trailing ? [{ label: "trailing", text: bytesToHex(script.trailing), note: "not a whole entry" }] : []),
  ],
};
