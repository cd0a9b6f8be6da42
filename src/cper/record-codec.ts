/** Whole records: header, descriptors, section bodies wherever they lie, and the bytes between. */
import {
  bytesToHex,
  capital,
  completed,
  type Encodable,
  EncodeError,
  encode,
  encodeSectionBody,
  type Finding,
  type Format,
  fieldOffset,
  fieldTrees,
  fromJson,
  hexBytes,
  hexNumber,
  hexToBytes,
  type Json,
  jsonSchema,
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
  type Tree,
  toJson,
  within,
  withValidation,
} from "../layout/index.ts";
import { descriptorWords, headerWords, staleDescriptor } from "./header-words.ts";
import { RecordHeader, SectionDescriptor, type SectionDescriptorInput } from "./record.ts";
import { sectionTypes } from "./registry.ts";

export interface Section {
  readonly descriptor: SectionDescriptor;
  /** Absent when the body is empty, lies outside the input or inside the header and descriptors, or is shared. */
  readonly body?: SectionBody;
  /** Index of the earlier section that has exactly the same offset and length. */
  readonly sameAs?: number;
}

/** Bytes that belong to no header, descriptor or section. */
export interface Gap {
  /** From the start of the record. */
  readonly offset: number;
  readonly bytes: Uint8Array;
}

export interface CperRecord {
  readonly header: Parsed<typeof RecordHeader>;
  readonly sections: readonly Section[];
  readonly gaps: readonly Gap[];
}

/** Overlapping sections are decoded until this many times the record's bytes were decoded; later ones stay undecoded. */
const MOST_EXPANSION = 4;

export interface RecordOptions {
  readonly registry?: SectionRegistry;
  readonly findings?: Finding[];
  /** Path prefix for findings. */
  readonly path?: string;
}

const headerEnd = (count: number) => RecordHeader.size + count * SectionDescriptor.size;

/** The bytes in `[start, end)` not covered by `claimed` intervals. */
function uncovered(claimed: readonly (readonly [start: number, end: number])[], end: number): [number, number][] {
  const out: [number, number][] = [];
  let at = 0;
  for (const [from, to] of [...claimed].sort((a, b) => a[0] - b[0])) {
    if (from > at) out.push([at, from]);
    at = Math.max(at, to);
  }
  if (at < end) out.push([at, end]);
  return out;
}

/**
 * Read a record (UEFI 2.11 appendix N.2). Never throws: counts, offsets and lengths that lie are reported,
 * and every byte of `input` is kept in the header, a section, or a gap.
 */
export function parseRecord(input: Uint8Array, options: RecordOptions = {}): CperRecord {
  const findings = options.findings ?? [];
  const path = options.path ?? "record";
  const registry = options.registry ?? sectionTypes;
  const total = input.length;
  const header = parse(RecordHeader, input, 0, Math.min(total, RecordHeader.size), { findings, path: `${path}.header` });
  if (total < RecordHeader.size) return { header, sections: [], gaps: [] };
  const report = (where: string, offset: number, message: string) => void findings.push({ path: `${path}.${where}`, offset, message });

  const announced = header.sectionCount ?? 0;
  const count = Math.min(announced, Math.floor((total - RecordHeader.size) / SectionDescriptor.size));
  if (count < announced)
    report("header.sectionCount", fieldOffset(RecordHeader, "sectionCount"), `${announced} sections are announced, only ${count} descriptors fit`);
  if ((header.recordLength ?? 0) > total)
    report("header.recordLength", fieldOffset(RecordHeader, "recordLength"), `${header.recordLength} bytes are announced, only ${total} are there`);
  else if ((header.recordLength ?? 0) < headerEnd(count))
    report("header.recordLength", fieldOffset(RecordHeader, "recordLength"), `${header.recordLength} bytes do not hold the header and ${count} descriptors`);

  const bodiesFrom = headerEnd(count);
  const claimed: [number, number][] = [[0, bodiesFrom]];
  const seen = new Map<string, number>();
  let budget = total * MOST_EXPANSION;
  const sections: Section[] = [];
  for (let i = 0; i < count; i++) {
    const descriptor = parse(SectionDescriptor, input, headerEnd(i), headerEnd(i + 1), {
      findings,
      path: `${path}.sections[${i}].descriptor`,
    }) as SectionDescriptor;
    const where = `sections[${i}]`;
    const { sectionOffset: offset, sectionLength: length } = descriptor;
    const end = Math.min(total, offset + length);
    if (offset + length > total)
      report(
        where,
        headerEnd(i),
        `the body is at ${hexNumber(offset)}, ${length} bytes: ${offset < total ? `only ${total - offset} are there` : "outside the record"}`,
      );
    const key = `${offset},${length}`;
    const sameAs = seen.get(key);
    if (length === 0 || offset >= total) sections.push({ descriptor });
    else if (offset < bodiesFrom) {
      report(where, headerEnd(i), `the body at ${hexNumber(offset)} lies inside the header and descriptors`);
      sections.push({ descriptor });
    } else if (sameAs !== undefined) {
      report(where, headerEnd(i), `has the same body as sections[${sameAs}]`);
      sections.push({ descriptor, sameAs });
    } else if (end - offset > budget) {
      report(where, headerEnd(i), "overlaps other sections too often: its bytes are kept, but not decoded again");
      sections.push({ descriptor });
    } else {
      budget -= end - offset;
      seen.set(key, i);
      claimed.push([offset, end]);
      sections.push({
        descriptor,
        body: parseSectionBody(registry.byGuid(descriptor.sectionType, end - offset), input, offset, end, findings, `${path}.${where}.body`),
      });
    }
  }
  const gaps = uncovered(claimed, total).map(([from, to]) => ({ offset: from, bytes: input.slice(from, to) }));
  for (const gap of gaps) report("gaps", gap.offset, `${gap.bytes.length} bytes belong to no section`);
  return { header, sections, gaps };
}

/** Every piece of a record with its place. */
function pieces(record: CperRecord): { path: string; offset: number; bytes: Uint8Array }[] {
  const out = [{ path: "header", offset: 0, bytes: encode(RecordHeader, record.header as Encodable<typeof RecordHeader>) }];
  record.sections.forEach((section, i) => {
    out.push({
      path: `sections[${i}].descriptor`,
      offset: headerEnd(i),
      bytes: within(`sections[${i}].descriptor`, () => encode(SectionDescriptor, section.descriptor)),
    });
    const { body } = section;
    if (body)
      out.push({ path: `sections[${i}].body`, offset: section.descriptor.sectionOffset, bytes: within(`sections[${i}].body`, () => encodeSectionBody(body)) });
  });
  record.gaps.forEach((gap, i) => {
    out.push({ path: `gaps[${i}]`, offset: gap.offset, bytes: gap.bytes });
  });
  return out;
}

/**
 * Write a record literally: bodies at the offsets their descriptors name, whatever the lengths say.
 * @throws EncodeError when a field does not fit, when two pieces claim a byte with different values, or when
 * bytes before the record's end are given by no piece (say them in `gaps`).
 */
export function encodeRecord(record: CperRecord): Uint8Array {
  const all = pieces(record);
  const end = all.reduce((most, piece) => Math.max(most, piece.offset + piece.bytes.length), 0);
  const holes = uncovered(
    all.map((piece) => [piece.offset, piece.offset + piece.bytes.length]),
    end,
  );
  if (holes.length > 0) throw new EncodeError("gaps", `the bytes from ${hexNumber(holes[0]![0])} to ${hexNumber(holes[0]![1])} are given by nothing`);
  const out = new Uint8Array(end);
  const written = new Uint8Array(end);
  for (const { path, offset, bytes } of all)
    for (let i = 0; i < bytes.length; i++) {
      if (written[offset + i] === 1 && out[offset + i] !== bytes[i])
        throw new EncodeError(path, `contradicts another part of the record at ${hexNumber(offset + i)}`);
      out[offset + i] = bytes[i]!;
      written[offset + i] = 1;
    }
  return out;
}

export interface SectionInput {
  /** Everything but offset, length and type, which are computed; `validation` follows the FRU fields that are given. */
  readonly descriptor: Omit<SectionDescriptorInput, "sectionOffset" | "sectionLength" | "sectionType"> & { readonly sectionType?: string };
  readonly type?: SectionType;
  /** The type's value, its validation bits computed when absent, or raw bytes. */
  readonly body: object | Uint8Array;
}

/** Build a well-formed record: counts, offsets, lengths and validation bits are computed; bodies follow each other without padding. */
export function buildRecord(header: Omit<Encodable<typeof RecordHeader>, "sectionCount" | "recordLength">, sections: readonly SectionInput[]): Uint8Array {
  let at = headerEnd(sections.length);
  const built = sections.map((section, i): Section => {
    const sectionType = section.descriptor.sectionType ?? section.type?.guids[0];
    if (sectionType === undefined) throw new EncodeError(`sections[${i}].descriptor.sectionType`, "missing");
    const body: SectionBody =
      section.type && !(section.body instanceof Uint8Array)
        ? { type: section.type, value: completed(section.type.layout, section.body) }
        : { value: section.body };
    const sectionLength = encodeSectionBody(body).length;
    const descriptor = withValidation(SectionDescriptor, { ...section.descriptor, sectionType, sectionOffset: at, sectionLength }) as SectionDescriptor;
    at += sectionLength;
    return { descriptor, body };
  });
  const full = withValidation(RecordHeader, { ...header, sectionCount: sections.length, recordLength: at });
  return encodeRecord({ header: full as CperRecord["header"], sections: built, gaps: [] });
}

// ---- the format ----

type JsonObject = { [key: string]: Json };
const listOf = (json: Json | undefined, name: string): Json[] => {
  if (json === undefined) return [];
  if (!Array.isArray(json)) throw new EncodeError(name, "is not a list");
  return json;
};
const objectOf = (json: Json | undefined, name: string): JsonObject => {
  if (typeof json !== "object" || json === null || Array.isArray(json)) throw new EncodeError(name, json === undefined ? "missing" : "is not an object");
  return json;
};
const named = <T>(name: string, body: () => T): T => {
  try {
    return body();
  } catch (error) {
    // The layout names itself first; here the member's path says more.
    if (error instanceof EncodeError)
      throw new EncodeError(error.path.replace(/^(Record Header|Section Descriptor)(?=$|[.[])\.?/, ""), error.problem).within(name);
    throw error;
  }
};

/** Words for a severity: "Corrected". */
export const severityWord = (severity: string | number | undefined): string =>
  typeof severity === "string" ? capital(severity) : severity === undefined ? "Incomplete" : `Severity ${severity}`;

/** What happened in one section, without the severity. */
export function sectionSummary(section: { readonly body?: SectionBody; readonly guid: string; readonly fruText?: string | undefined }): string {
  const { type, value } = section.body ?? {};
  const details = [
    type?.summary && value && !(value instanceof Uint8Array) ? type.summary(value as never) : "",
    section.fruText ? `FRU '${section.fruText}'` : "",
  ].filter((part) => part !== "");
  const title = type ? type.title.replace(/ Error$/, " error") : `error of unknown type ${section.guid}`;
  return [title, ...details].join(", ");
}

/** The primary section, unless it says nothing where another does: Windows often puts an empty memory section first. */
function mostTelling({ header, sections }: CperRecord): Section | undefined {
  const says = ({ descriptor, body }: Section) =>
    (body?.type?.summary && !(body.value instanceof Uint8Array) && !staleDescriptor(header, descriptor, body) ? body.type.summary(body.value as never) : "") !==
    "";
  const primary = sections.find((section) => section.descriptor.flags?.primary) ?? sections[0];
  return primary && !says(primary) ? (sections.find(says) ?? primary) : primary;
}

/** The record format for a given set of section types. */
export const cperFormat = (registry: SectionRegistry = sectionTypes): Format<CperRecord> => ({
  name: "cper",
  title: "common platform error record",
  recognise: (input) => input.length >= 4 && input[0] === 0x43 && input[1] === 0x50 && input[2] === 0x45 && input[3] === 0x52,
  parse: (input, findings) => parseRecord(input, { registry, findings }),
  encode: encodeRecord,
  toJson: (record) => ({
    header: toJson(RecordHeader, record.header),
    sections: record.sections.map((section) => ({
      descriptor: toJson(SectionDescriptor, section.descriptor),
      ...(section.body && sectionBodyToJson(section.body)),
      ...(section.sameAs !== undefined && { sameAs: section.sameAs }),
    })),
    ...(record.gaps.length > 0 && { gaps: record.gaps.map((gap) => ({ offset: gap.offset, bytes: bytesToHex(gap.bytes) })) }),
  }),
  fromJson: (json) => ({
    header: named("header", () => fromJson(RecordHeader, objectOf(json["header"], ""))),
    sections: listOf(json["sections"], "sections").map((item, i) =>
      named(`sections[${i}]`, () => {
        const section = objectOf(item, "");
        const descriptor = named("descriptor", () => fromJson(SectionDescriptor, objectOf(section["descriptor"], ""))) as SectionDescriptor;
        const sameAs = section["sameAs"];
        if (sameAs !== undefined) return { descriptor, sameAs: sameAs as number };
        return section["body"] === undefined ? { descriptor } : { descriptor, body: sectionBodyFromJson(section, descriptor.sectionType, registry) };
      }),
    ),
    gaps: listOf(json["gaps"], "gaps").map((item, i) => {
      const gap = objectOf(item, `gaps[${i}]`);
      const bytes = typeof gap["bytes"] === "string" ? hexToBytes(gap["bytes"]) : undefined;
      if (!bytes) throw new EncodeError(`gaps[${i}].bytes`, "is not a string of hex digits");
      if (!Number.isSafeInteger(gap["offset"]) || (gap["offset"] as number) < 0) throw new EncodeError(`gaps[${i}].offset`, "is not an offset");
      return { offset: gap["offset"] as number, bytes };
    }),
  }),
  schema: () => {
    const body = sectionBodySchema(registry) as { properties: object; allOf: object[] };
    return {
      type: "object",
      required: ["header"],
      additionalProperties: false,
      properties: {
        header: jsonSchema(RecordHeader),
        sections: {
          type: "array",
          items: {
            type: "object",
            required: ["descriptor"],
            additionalProperties: false,
            properties: {
              descriptor: jsonSchema(SectionDescriptor),
              ...body.properties,
              sameAs: { description: "Index of an earlier section with the same body", type: "integer", minimum: 0 },
            },
            allOf: body.allOf,
          },
        },
        gaps: {
          description: "Bytes that belong to no section",
          type: "array",
          items: {
            type: "object",
            required: ["offset", "bytes"],
            additionalProperties: false,
            properties: { offset: { description: "From the start of the record", type: "integer", minimum: 0 }, bytes: hexBytes() },
          },
        },
      },
    };
  },
  spans: (record) => recordSpans(record),
  summary: (record) => {
    const first = mostTelling(record);
    const severity = severityWord(record.header.severity);
    if (!first) return `${severity} error record without sections`;
    const { descriptor } = first;
    const fruText = descriptor.validation?.fruText ? descriptor.fruText : undefined;
    return `${severity} ${lowerFirst(sectionSummary({ ...(first.body && { body: first.body }), guid: descriptor.sectionType, fruText }))}${record.sections.length > 1 ? ` (and ${record.sections.length - 1} more section${record.sections.length > 2 ? "s" : ""})` : ""}`;
  },
  tree: (record) => [
    { label: "record header", children: [...fieldTrees(RecordHeader, record.header), ...headerWords(record.header)] },
    ...record.sections.map(
      (section, i): Tree => ({
        label: `section ${i}`,
        ...sectionTitle(section.body?.type, section.descriptor.sectionType),
        children: [
          {
            label: "section descriptor",
            children: [...fieldTrees(SectionDescriptor, section.descriptor), ...descriptorWords(record.header, section.descriptor, section.body)],
          },
          ...(section.body ? [{ label: "body", children: sectionBodyTree(section.body) }] : []),
          ...(section.sameAs !== undefined ? [{ label: "body", text: `the same as section ${section.sameAs}` }] : []),
        ],
      }),
    ),
    ...record.gaps.map(
      (gap): Tree => ({
        label: `gap at ${hexNumber(gap.offset)}`,
        text: `${gap.bytes.length} bytes: ${bytesToHex(gap.bytes.subarray(0, 32))}${gap.bytes.length > 32 ? "…" : ""}`,
      }),
    ),
  ],
});

/** First words of titles that stay as they are inside a sentence. */
const PROPER_NAME = /^(Ampere|HiSilicon|Jaguar|Linux|MediaTek|Project|Windows|Yitian)\b/;
const lowerFirst = (text: string) => (/^[A-Z][a-z]/.test(text) && !PROPER_NAME.test(text) ? text.charAt(0).toLowerCase() + text.slice(1) : text);

/** Byte map; where pieces overlap, each byte is named by the first that claims it. */
function recordSpans(record: CperRecord): Span[] {
  const all: Span[] = spans(RecordHeader, record.header, "header");
  record.sections.forEach((section, i) => {
    all.push(...spans(SectionDescriptor, section.descriptor, `sections[${i}].descriptor`, headerEnd(i)));
    if (section.body) all.push(...sectionBodySpans(section.body, `sections[${i}].body`, section.descriptor.sectionOffset));
  });
  record.gaps.forEach((gap, i) => {
    all.push({ path: `gaps[${i}]`, offset: gap.offset, size: gap.bytes.length, node: undefined, value: gap.bytes });
  });
  return tiled(all);
}

/** Sort spans and trim those that begin before the previous one ends. */
function tiled(all: readonly Span[]): Span[] {
  const out: Span[] = [];
  let at = 0;
  for (const span of [...all].sort((a, b) => a.offset - b.offset)) {
    const end = span.offset + span.size;
    if (end <= at) continue;
    out.push(span.offset >= at ? span : { ...span, offset: at, size: end - at });
    at = end;
  }
  return out;
}
