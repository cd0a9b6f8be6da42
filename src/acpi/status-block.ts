/** Generic error status blocks: what firmware or host writes and the operating system reads at run time. */
import {
  bits,
  bytesToHex,
  completed,
  concatBytes,
  type Decoded,
  type Encodable,
  EncodeError,
  encode,
  encodeSectionBody,
  type Finding,
  type Format,
  fieldOffset,
  fieldTrees,
  fromJson,
  guid,
  guidText,
  hex,
  hexBytes,
  hexToBytes,
  initially,
  type Json,
  jsonSchema,
  oneOf,
  type Parsed,
  parse,
  parseSectionBody,
  type SectionBody,
  type SectionRegistry,
  type SectionType,
  type Span,
  sectionBodyFromJson,
  sectionBodySchema,
  sectionBodySpans,
  sectionBodyToJson,
  sectionBodyTree,
  sectionTitle,
  spans,
  struct,
  type Tree,
  text,
  timestamp,
  toJson,
  u16,
  u32,
  within,
  withValidation,
  ZERO_GUID,
} from "../layout/index.ts";

/** Severities of blocks and data entries (ACPI 6.5 table 18.11). Older texts call 0 "correctable". */
export const BLOCK_SEVERITY = { recoverable: 0, fatal: 1, corrected: 2, none: 3 } as const;

/** Flags of a section: the same bits in a generic error data entry (8 bits wide) and a section descriptor (32 bits; UEFI 2.11 N.2.2). */
export const SECTION_FLAGS = {
  primary: 0,
  containmentWarning: 1,
  reset: 2,
  errorThresholdExceeded: 3,
  resourceNotAccessible: 4,
  latentError: 5,
  propagated: 6,
  overflow: 7,
} as const;

export const ErrorStatusBlockHeader = struct("Generic Error Status Block", 20, "ACPI 6.5 18.3.2.7.1", () => ({
  blockStatus: bits(4, "What the block holds; zero when empty", {
    uncorrectableErrorValid: 0,
    correctableErrorValid: 1,
    multipleUncorrectableErrors: 2,
    multipleCorrectableErrors: 3,
    errorDataEntryCount: [4, 10],
  }),
  rawDataOffset: initially(u32("Bytes from the start of the block to the raw data"), 0),
  rawDataLength: initially(u32("Bytes of raw data"), 0),
  dataLength: u32("Bytes of data entries"),
  errorSeverity: oneOf(4, "Severity of the block", BLOCK_SEVERITY),
}));
export type ErrorStatusBlockHeader = Decoded<typeof ErrorStatusBlockHeader>;

const entryFields = {
  sectionType: guid("Names the layout of the error data"),
  errorSeverity: oneOf(4, "Severity of this entry", BLOCK_SEVERITY),
  revision: initially(hex(u16("Major revision in the high byte: from 3 on the header has a timestamp")), 0x0300),
  validation: bits(1, "Which optional fields hold data", { fruId: 0, fruText: 1, timestamp: 2 }),
  flags: bits(1, "Section flags", SECTION_FLAGS),
  errorDataLength: u32("Bytes of error data after this header"),
  fruId: initially(guid("Identity of the field replaceable unit"), ZERO_GUID),
  fruText: initially(text(20, "Name of the field replaceable unit"), ""),
} as const;

export const ErrorDataEntryHeader = struct("Generic Error Data Entry", 64, "ACPI 6.0 18.3.2.6.1", entryFields);
export const ErrorDataEntryHeaderV3 = struct("Generic Error Data Entry revision 3", 72, "ACPI 6.5 18.3.2.7.1", () => ({
  ...entryFields,
  timestamp: initially(timestamp("When the error was recorded"), "none"),
}));
export type ErrorDataEntryHeader = Decoded<typeof ErrorDataEntryHeader> & { timestamp?: string };

/** The header layout an entry's revision calls for: 72 bytes from major revision 3 on (Linux ghes.c behaviour). */
export const entryHeaderLayout = (revision: number) => (revision >> 8 >= 3 ? ErrorDataEntryHeaderV3 : ErrorDataEntryHeader);
const inHeader = (name: keyof typeof ErrorStatusBlockHeader.fields) => fieldOffset(ErrorStatusBlockHeader, name);
const inEntry = (name: keyof typeof entryFields) => fieldOffset(ErrorDataEntryHeader, name);
const REVISION = inEntry("revision");

export interface ErrorDataEntry {
  readonly header: ErrorDataEntryHeader;
  /** Absent when the entry has no error data. */
  readonly body?: SectionBody;
}

export interface ErrorStatusBlock {
  readonly header: Parsed<typeof ErrorStatusBlockHeader>;
  readonly entries: readonly ErrorDataEntry[];
  /** Bytes inside the data length that form no whole entry. */
  readonly leftover?: Uint8Array;
  /** Bytes between the data entries and the raw data. */
  readonly gap?: Uint8Array;
  readonly rawData?: Uint8Array;
  readonly trailing?: Uint8Array;
}

/** Read an error status block. Never throws; every byte is kept. */
export function parseErrorStatusBlock(input: Uint8Array, registry: SectionRegistry, findings: Finding[] = [], path = "block"): ErrorStatusBlock {
  const total = input.length;
  const headerSize = ErrorStatusBlockHeader.size;
  const header = parse(ErrorStatusBlockHeader, input, 0, Math.min(total, headerSize), { findings, path: `${path}.header` });
  if (total < headerSize) return { header, entries: [] };
  const { dataLength = 0, rawDataOffset = 0, rawDataLength = 0 } = header;
  const report = (where: string, offset: number, message: string) => void findings.push({ path: `${path}.${where}`, offset, message });
  const dataEnd = Math.min(total, headerSize + dataLength);
  if (headerSize + dataLength > total)
    report("header.dataLength", inHeader("dataLength"), `${dataLength} bytes are announced, only ${total - headerSize} are there`);

  const entries: ErrorDataEntry[] = [];
  let at = headerSize;
  while (at + ErrorDataEntryHeader.size <= dataEnd) {
    const layout = entryHeaderLayout(input[at + REVISION]! | (input[at + REVISION + 1]! << 8));
    if (at + layout.size > dataEnd) break;
    const where = `entries[${entries.length}]`;
    const entry = parse(layout, input, at, at + layout.size, { findings, path: `${path}.${where}.header` }) as ErrorDataEntryHeader;
    const bodyAt = at + layout.size;
    const bodyEnd = Math.min(dataEnd, bodyAt + entry.errorDataLength);
    if (bodyAt + entry.errorDataLength > dataEnd)
      report(
        `${where}.header.errorDataLength`,
        at + inEntry("errorDataLength"),
        `${entry.errorDataLength} bytes are announced, only ${dataEnd - bodyAt} are left of the data length`,
      );
    entries.push({
      header: entry,
      ...(bodyEnd > bodyAt && {
        body: parseSectionBody(registry.byGuid(entry.sectionType, bodyEnd - bodyAt), input, bodyAt, bodyEnd, findings, `${path}.${where}.body`),
      }),
    });
    at = bodyEnd;
  }
  if (at < dataEnd) report("leftover", at, `${dataEnd - at} bytes of the data length form no whole entry`);
  const announced = header.blockStatus?.errorDataEntryCount ?? 0;
  if (announced !== entries.length)
    report("header.blockStatus.errorDataEntryCount", inHeader("blockStatus"), `${announced} data entries are announced, ${entries.length} are there`);

  let rawFrom = dataEnd;
  let rawTo = dataEnd;
  if (rawDataLength > 0) {
    if (rawDataOffset < headerSize + dataLength)
      report("header.rawDataOffset", inHeader("rawDataOffset"), `raw data at 0x${rawDataOffset.toString(16)} begins before the data entries end`);
    else {
      rawFrom = Math.min(total, rawDataOffset);
      rawTo = Math.min(total, rawDataOffset + rawDataLength);
      if (rawDataOffset + rawDataLength > total)
        report("header.rawDataLength", inHeader("rawDataLength"), `${rawDataLength} bytes are announced, only ${rawTo - rawFrom} are there`);
    }
  }
  const part = (name: string, from: number, to: number) => (to > from ? { [name]: input.slice(from, to) } : {});
  return {
    header,
    entries,
    ...part("leftover", at, dataEnd),
    ...part("gap", dataEnd, rawFrom),
    ...part("rawData", rawFrom, rawTo),
    ...part("trailing", rawTo, total),
  };
}

const NONE = new Uint8Array(0);

/** Write a block literally: its parts one after the other, whatever the lengths say. @throws EncodeError */
export function encodeErrorStatusBlock(block: ErrorStatusBlock): Uint8Array {
  return concatBytes([
    encode(ErrorStatusBlockHeader, block.header as Encodable<typeof ErrorStatusBlockHeader>),
    ...block.entries.flatMap((entry, i) => within(`entries[${i}]`, () => [encodeEntryHeader(entry.header), entry.body ? encodeSectionBody(entry.body) : NONE])),
    block.leftover ?? NONE,
    block.gap ?? NONE,
    block.rawData ?? NONE,
    block.trailing ?? NONE,
  ]);
}
const encodeEntryHeader = (header: ErrorDataEntryHeader) => encode(entryHeaderLayout(header.revision) as typeof ErrorDataEntryHeader, header);

export interface ErrorDataEntryInput {
  readonly header: Omit<Encodable<typeof ErrorDataEntryHeaderV3>, "errorDataLength" | "sectionType"> & { readonly sectionType?: string };
  readonly type?: SectionType;
  /** The type's value, its validation bits computed when absent, or raw bytes. */
  readonly body: object | Uint8Array;
}

/**
 * Build a well-formed block: entry count, lengths, raw data offset and validation bits are computed; raw data
 * follows the entries directly. The status says "uncorrectable" unless the severity is corrected or none.
 */
export function buildErrorStatusBlock(severity: keyof typeof BLOCK_SEVERITY, entries: readonly ErrorDataEntryInput[], rawData: Uint8Array = NONE): Uint8Array {
  const built = entries.map(({ header, type, body }, i): ErrorDataEntry => {
    const sectionType = header.sectionType ?? type?.guids[0];
    if (sectionType === undefined) throw new EncodeError(`entries[${i}].header.sectionType`, "missing");
    const section: SectionBody = type && !(body instanceof Uint8Array) ? { type, value: completed(type.layout, body) } : { value: body };
    const errorDataLength = encodeSectionBody(section).length;
    const revision = header.revision ?? 0x0300;
    const full = withValidation(entryHeaderLayout(revision), { ...header, revision, sectionType, errorDataLength });
    return { header: full as ErrorDataEntryHeader, body: section };
  });
  const dataLength = built.reduce((sum, entry) => sum + entryHeaderLayout(entry.header.revision).size + entry.header.errorDataLength, 0);
  const correctable = severity === "corrected" || severity === "none";
  const many = entries.length > 1;
  const header: Encodable<typeof ErrorStatusBlockHeader> = {
    blockStatus: {
      ...(correctable
        ? { correctableErrorValid: true, multipleCorrectableErrors: many }
        : { uncorrectableErrorValid: true, multipleUncorrectableErrors: many }),
      errorDataEntryCount: entries.length,
    },
    rawDataOffset: rawData.length > 0 ? ErrorStatusBlockHeader.size + dataLength : 0,
    rawDataLength: rawData.length,
    dataLength,
    errorSeverity: severity,
  };
  return encodeErrorStatusBlock({ header: header as ErrorStatusBlock["header"], entries: built, rawData });
}

// ---- the format ----

const FIRST_ENTRY = ErrorStatusBlockHeader.size;
const PARTS = ["leftover", "gap", "rawData", "trailing"] as const;
type JsonObject = { [key: string]: Json };
const objectOf = (json: Json | undefined): JsonObject => {
  if (typeof json !== "object" || json === null || Array.isArray(json)) throw new EncodeError("", json === undefined ? "missing" : "is not an object");
  return json;
};

/** The status block format for a given set of section types. */
export const statusBlockFormat = (registry: SectionRegistry): Format<ErrorStatusBlock> => ({
  name: "status-block",
  title: "generic error status block",
  recognise: (input) => {
    // No signature: a status with a valid bit and no reserved bits, lengths that fit, and a first entry whose severity is defined.
    if (input.length < ErrorStatusBlockHeader.size) return false;
    const view = new DataView(input.buffer, input.byteOffset, input.length);
    const field = (name: Parameters<typeof inHeader>[0]) => view.getUint32(inHeader(name), true);
    const status = field("blockStatus");
    const dataLength = field("dataLength");
    const end = FIRST_ENTRY + dataLength;
    const hasEntry = dataLength >= ErrorDataEntryHeader.size && end <= input.length;
    if (hasEntry && end === input.length && field("rawDataLength") === 0) {
      // Nothing else has a known section type here and ends where its lengths say, whatever the status and severities.
      const length = view.getUint32(FIRST_ENTRY + inEntry("errorDataLength"), true);
      if (registry.byGuid(guidText(input, FIRST_ENTRY + inEntry("sectionType")), length)) return true;
    }
    if (status === 0 || status >>> 14 !== 0 || field("errorSeverity") > 3) return false;
    if (dataLength === 0) return field("rawDataLength") > 0 || input.length === end;
    return hasEntry && view.getUint32(FIRST_ENTRY + inEntry("errorSeverity"), true) <= 3 && guidText(input, FIRST_ENTRY + inEntry("sectionType")) !== ZERO_GUID;
  },
  parse: (input, findings) => parseErrorStatusBlock(input, registry, findings),
  encode: encodeErrorStatusBlock,
  toJson: (block) => ({
    header: toJson(ErrorStatusBlockHeader, block.header),
    entries: block.entries.map((entry) => ({
      header: toJson(entryHeaderLayout(entry.header.revision), entry.header),
      ...(entry.body && sectionBodyToJson(entry.body)),
    })),
    ...Object.fromEntries(PARTS.flatMap((name) => (block[name] ? [[name, bytesToHex(block[name])]] : []))),
  }),
  fromJson: (json) => ({
    header: within("header", () => fromJson(ErrorStatusBlockHeader, objectOf(json["header"]))),
    entries: (Array.isArray(json["entries"]) ? json["entries"] : []).map((item, i) =>
      within(`entries[${i}]`, () => {
        const entry = objectOf(item);
        const headerJson = within("header", () => objectOf(entry["header"]));
        const revision = typeof headerJson["revision"] === "number" ? headerJson["revision"] : 0x0300;
        const header = fromJson(entryHeaderLayout(revision), headerJson) as ErrorDataEntryHeader;
        return entry["body"] === undefined ? { header } : { header, body: sectionBodyFromJson(entry, header.sectionType, registry) };
      }),
    ),
    ...Object.fromEntries(
      PARTS.flatMap((name) => {
        if (json[name] === undefined) return [];
        const bytes = typeof json[name] === "string" ? hexToBytes(json[name]) : undefined;
        if (!bytes) throw new EncodeError(name, "is not a string of hex digits");
        return [[name, bytes]];
      }),
    ),
  }),
  schema: () => {
    const body = sectionBodySchema(registry) as { properties: object; allOf: object[] };
    return {
      type: "object",
      required: ["header"],
      additionalProperties: false,
      properties: {
        header: jsonSchema(ErrorStatusBlockHeader),
        entries: {
          type: "array",
          items: {
            type: "object",
            required: ["header"],
            additionalProperties: false,
            // Every field of the shorter header is one of the longer.
            properties: { header: jsonSchema(ErrorDataEntryHeaderV3), ...body.properties },
            allOf: body.allOf,
          },
        },
        ...Object.fromEntries(PARTS.map((name) => [name, hexBytes()])),
      },
    };
  },
  spans: (block) => {
    const out: Span[] = spans(ErrorStatusBlockHeader, block.header, "header");
    let at = block.header.trailing === undefined ? ErrorStatusBlockHeader.size : 0;
    block.entries.forEach((entry, i) => {
      const layout = entryHeaderLayout(entry.header.revision);
      out.push(...spans(layout, entry.header, `entries[${i}].header`, at));
      at += layout.size;
      if (entry.body) {
        const body = sectionBodySpans(entry.body, `entries[${i}].body`, at);
        out.push(...body);
        const last = body.at(-1);
        if (last) at = last.offset + last.size;
      }
    });
    for (const name of PARTS) {
      const bytes = block[name];
      if (!bytes) continue;
      out.push({ path: name, offset: at, size: bytes.length, node: undefined, value: bytes });
      at += bytes.length;
    }
    return out;
  },
  summary: (block) => {
    const { errorSeverity } = block.header;
    const severity = typeof errorSeverity === "string" ? errorSeverity : errorSeverity === undefined ? "cut short" : `severity ${errorSeverity}`;
    const parts = block.entries.map(({ header, body }) => {
      const words = body?.type?.summary && !(body.value instanceof Uint8Array) ? body.type.summary(body.value as never) : "";
      const fru = header.validation?.fruText && header.fruText ? `FRU '${header.fruText}'` : "";
      return [body?.type?.title.replace(/ Error$/, " error") ?? `error of unknown type ${header.sectionType}`, words, fru]
        .filter((part) => part !== "")
        .join(", ");
    });
    return parts.length === 0
      ? `Error status block without data entries, ${severity}`
      : `${severity.charAt(0).toUpperCase()}${severity.slice(1)}: ${parts.join("; ")}`;
  },
  tree: (block) => [
    { label: "error status block", children: fieldTrees(ErrorStatusBlockHeader, block.header) },
    ...block.entries.map(
      (entry, i): Tree => ({
        label: `data entry ${i}`,
        ...sectionTitle(entry.body?.type, entry.header.sectionType),
        children: [
          { label: "header", children: fieldTrees(entryHeaderLayout(entry.header.revision), entry.header) },
          ...(entry.body ? [{ label: "error data", children: sectionBodyTree(entry.body) }] : []),
        ],
      }),
    ),
    ...PARTS.flatMap((name): Tree[] =>
      block[name] ? [{ label: name === "rawData" ? "raw data" : name, text: `${block[name].length} bytes: ${bytesToHex(block[name].subarray(0, 32))}` }] : [],
    ),
  ],
});
