/** Records straight from bytes to JSON text and back, for work in bulk. */
import {
  fieldOffset,
  guidBytes,
  type JsonReader,
  type JsonWriter,
  jsonPlan,
  type Literal,
  literal,
  NameIndex,
  NoRoom,
  type Plan,
  type ReadPlan,
  readPlan,
  type SectionRegistry,
  Unusual,
} from "../layout/index.ts";
import { RecordHeader, SectionDescriptor } from "./record.ts";
import { sectionTypes } from "./registry.ts";

const SECTION_COUNT = fieldOffset(RecordHeader, "sectionCount");
export const RECORD_LENGTH = fieldOffset(RecordHeader, "recordLength");
const SECTION_OFFSET = fieldOffset(SectionDescriptor, "sectionOffset");
const SECTION_LENGTH = fieldOffset(SectionDescriptor, "sectionLength");
const SECTION_TYPE = fieldOffset(SectionDescriptor, "sectionType");

const SECTIONS = literal(',"sections":[');
const FIRST_DESCRIPTOR = literal('{"descriptor":');
const NEXT_DESCRIPTOR = literal(',{"descriptor":');
const RAW_BODY = literal(',"body":');
const END_SECTION = literal("}");

const HEADER = jsonPlan(RecordHeader);
const DESCRIPTOR = jsonPlan(SectionDescriptor);

interface Indexed {
  /** The last twelve bytes of the GUID. */
  readonly words: Int32Array;
  /** Bytes the body must have; undefined when any will do. */
  readonly length: number | undefined;
  readonly opening: Literal;
  readonly plan: Plan;
}
/** Finds a section type by the 16 bytes of its GUID and the length of the body, without making text of them. */
class GuidIndex {
  readonly #byWord = new Map<number, Indexed[]>();

  constructor(registry: SectionRegistry) {
    for (const type of registry)
      for (const guid of type.guids) {
        const view = new DataView(guidBytes(guid)!.buffer);
        const first = view.getInt32(0, true);
        const entry = {
          words: Int32Array.of(view.getInt32(4, true), view.getInt32(8, true), view.getInt32(12, true)),
          length: type.length,
          opening: literal(`,"kind":${JSON.stringify(type.name)},"body":`),
          plan: jsonPlan(type.layout),
        };
        const known = this.#byWord.get(first);
        if (known && type.length !== undefined) known.unshift(entry);
        else if (known) known.push(entry);
        else this.#byWord.set(first, [entry]);
      }
  }

  find(view: DataView, at: number, size: number): Indexed | undefined {
    const known = this.#byWord.get(view.getInt32(at, true));
    if (known)
      for (const entry of known) {
        const { words, length } = entry;
        if (
          words[0] === view.getInt32(at + 4, true) &&
          words[1] === view.getInt32(at + 8, true) &&
          words[2] === view.getInt32(at + 12, true) &&
          (length === undefined || length === size)
        )
          return entry;
      }
    return undefined;
  }
}

/**
 * Make a function that writes the JSON of the record in `[start, end)` of a writer's input: byte for byte what
 * `JSON.stringify(cperFormat(registry).toJson(parseRecord(…)))` gives.
 * @param opening replaces the first brace. @param closing comes after the last.
 * @returns false for a record that has to be written the ordinary way: one with gaps between its sections, or very long.
 */
export function recordWriter(
  registry: SectionRegistry = sectionTypes,
  opening = "{",
  closing = "",
): (writer: JsonWriter, start: number, end: number) => boolean {
  const index = new GuidIndex(registry);
  const beginning = literal(`${opening}"header":`);
  const ending = literal(`]}${closing}`);

  /** Handles records whose sections follow each other without gaps or overlaps; false for any other. */
  const direct = (writer: JsonWriter, start: number, end: number): boolean => {
    if (end - start < RecordHeader.size) return false;
    const { view } = writer;
    const count = view.getUint16(start + SECTION_COUNT, true);
    const bodies = start + RecordHeader.size + count * SectionDescriptor.size;
    if (bodies > end) return false;
    writer.literal(beginning);
    writer.write(HEADER, start, start + RecordHeader.size);
    writer.literal(SECTIONS);
    let next = bodies;
    for (let i = 0; i < count; i++) {
      const descriptor = start + RecordHeader.size + i * SectionDescriptor.size;
      const from = start + view.getUint32(descriptor + SECTION_OFFSET, true);
      const to = from + view.getUint32(descriptor + SECTION_LENGTH, true);
      if (from !== next || to > end || to === from) return false;
      next = to;
      writer.literal(i === 0 ? FIRST_DESCRIPTOR : NEXT_DESCRIPTOR);
      writer.write(DESCRIPTOR, descriptor, descriptor + SectionDescriptor.size);
      const type = index.find(view, descriptor + SECTION_TYPE, to - from);
      if (type) {
        writer.literal(type.opening);
        writer.write(type.plan, from, to);
      } else {
        writer.literal(RAW_BODY);
        writer.hex(from, to);
      }
      writer.literal(END_SECTION);
    }
    if (next !== end) return false;
    writer.literal(ending);
    return true;
  };

  return (writer, start, end) => {
    const before = writer.length;
    let done = false;
    try {
      done = direct(writer, start, end);
    } catch (error) {
      if (!(error instanceof NoRoom)) throw error;
    }
    if (!done) writer.length = before;
    return done;
  };
}

const encoder = new TextEncoder();
const KIND = encoder.encode(',"kind":');
const BODY = encoder.encode(',"body":');
const NEXT = encoder.encode(",");
const END_OBJECT = encoder.encode("}");
const END_LIST = encoder.encode("]");
const READ_SECTIONS = encoder.encode(',"sections":[');
const READ_DESCRIPTOR = encoder.encode('{"descriptor":');
const READ_HEADER = readPlan(RecordHeader);
const READ_SECTION_DESCRIPTOR = readPlan(SectionDescriptor);

/**
 * Make a function that reads the JSON of a record as `recordWriter` writes it: the bytes it puts behind those that a
 * reader has made already are what `encodeRecord(cperFormat(registry).fromJson(…))` gives.
 * @param opening stands in place of the first brace.
 * @returns false for a text that has to be read the ordinary way; nothing is then put anywhere.
 */
export function recordReader(registry: SectionRegistry = sectionTypes, opening = "{"): (reader: JsonReader) => boolean {
  const beginning = encoder.encode(`${opening}"header":`);
  const kinds = new NameIndex<ReadPlan>([...registry].map((type) => [type.name, readPlan(type.layout)]));

  /** Reads records whose sections follow each other; false for any other. */
  const direct = (reader: JsonReader): boolean => {
    const start = reader.end;
    if (!reader.passes(beginning)) return false;
    reader.struct(READ_HEADER);
    if (reader.end !== start + RecordHeader.size || !reader.passes(READ_SECTIONS)) return false;
    const view = new DataView(reader.bytes.buffer, reader.bytes.byteOffset + start);
    const count = view.getUint16(SECTION_COUNT, true);
    const bodies = RecordHeader.size + count * SectionDescriptor.size;
    reader.room(bodies);
    let body = bodies;
    for (let i = 0; i < count; i++) {
      if ((i > 0 && !reader.passes(NEXT)) || !reader.passes(READ_DESCRIPTOR)) return false;
      const descriptor = RecordHeader.size + i * SectionDescriptor.size;
      reader.end = start + descriptor;
      reader.struct(READ_SECTION_DESCRIPTOR);
      if (reader.end !== start + descriptor + SectionDescriptor.size) return false;
      const known = reader.passes(KIND) ? reader.name(kinds) : undefined;
      if (reader.passes(BODY)) {
        if (view.getUint32(descriptor + SECTION_OFFSET, true) !== body) return false;
        reader.end = start + body;
        if (known) reader.struct(known);
        else reader.digits();
        body = reader.end - start;
      } else if (known) return false;
      if (!reader.passes(END_OBJECT)) return false;
    }
    reader.end = start + body;
    return reader.passes(END_LIST) && reader.passes(END_OBJECT);
  };

  return (reader) => {
    const { at, end } = reader;
    let done = false;
    try {
      done = direct(reader);
    } catch (error) {
      if (!(error instanceof Unusual)) throw error;
    }
    if (!done) {
      reader.at = at;
      reader.end = end;
    }
    return done;
  };
}
