/** `--where`: conditions on a record that are decided on its bytes, before anything is decoded. */
import { RecordHeader, SEVERITY, SectionDescriptor } from "../cper/record.ts";
import {
  type BitsNode,
  bitRange,
  fieldOffset,
  guidBytes,
  guidText,
  isFixed,
  type Layout,
  parse,
  parseNumber,
  type Root,
  type SectionRegistry,
  type SectionType,
  timestampText,
  UsageError,
} from "../layout/index.ts";
import { physicalAddresses } from "./fields.ts";

/** Whether the record in `[start, end)`, at least a whole header long, meets a condition. */
export type Condition = (input: Uint8Array, view: DataView, start: number, end: number) => boolean;

const SECTION_COUNT = fieldOffset(RecordHeader, "sectionCount");
const HEADER_SEVERITY = fieldOffset(RecordHeader, "severity");
const TIMESTAMP = fieldOffset(RecordHeader, "timestamp");
const GUID_FIELDS = { creator: fieldOffset(RecordHeader, "creatorId"), notification: fieldOffset(RecordHeader, "notificationType") } as const;
const RECORD_ID = fieldOffset(RecordHeader, "recordId");
const SECTION_OFFSET = fieldOffset(SectionDescriptor, "sectionOffset");
const SECTION_LENGTH = fieldOffset(SectionDescriptor, "sectionLength");
const SECTION_TYPE = fieldOffset(SectionDescriptor, "sectionType");

/** The fields a condition may name. */
const WHERE_FIELDS = ["severity", "section", "time", "address", "creator", "notification", "record-id"] as const;

type Operator = "=" | "<" | "<=" | ">" | ">=";
const compare = (operator: Operator, order: number): boolean =>
  operator === "=" ? order === 0 : operator === "<" ? order < 0 : operator === "<=" ? order <= 0 : operator === ">" ? order > 0 : order >= 0;

/** Whether `body` holds for any section; its body is empty where a decoder sees none. */
function anySection(view: DataView, start: number, end: number, body: (descriptor: number, from: number, to: number) => boolean): boolean {
  const fit = Math.floor((end - start - RecordHeader.size) / SectionDescriptor.size);
  const count = Math.min(fit, view.getUint16(start + SECTION_COUNT, true));
  const bodies = start + RecordHeader.size + count * SectionDescriptor.size;
  for (let i = 0, descriptor = start + RecordHeader.size; i < count; i++, descriptor += SectionDescriptor.size) {
    const from = start + view.getUint32(descriptor + SECTION_OFFSET, true);
    const to = Math.min(end, from + view.getUint32(descriptor + SECTION_LENGTH, true));
    if (from < bodies || from >= to ? body(descriptor, end, end) : body(descriptor, from, to)) return true;
  }
  return false;
}

const wholeNumber = (text: string, what: string, otherwise = "not a number"): bigint => {
  const value = parseNumber(text.trim());
  if (value === undefined) throw new UsageError(`${what}: ${JSON.stringify(text)} is ${otherwise}`);
  if (value >= 1n << 64n) throw new UsageError(`${what}: ${text} has more than 64 bits`);
  return value;
};

/** Numbers and ranges `low..high`, both ends included, or one comparison. */
function numberTest(operator: Operator, text: string, what: string): (value: bigint) => boolean {
  if (operator !== "=") {
    if (text.includes("..")) throw new UsageError(`${what}: a range goes with = or !=`);
    const bound = wholeNumber(text, what);
    return (value) => compare(operator, value < bound ? -1 : value > bound ? 1 : 0);
  }
  const ranges = text.split("|").map((word) => {
    const [, low = word, high = low] = /^(.*?)\.\.(.*)$/.exec(word) ?? [];
    const range = [wholeNumber(low, what), wholeNumber(high, what)] as const;
    if (range[0] > range[1]) throw new UsageError(`${what}: ${word} ends before it begins`);
    return range;
  });
  return (value) => ranges.some(([low, high]) => value >= low && value <= high);
}

/** Where a section type keeps its physical address, when that is at a fixed place; else its bodies are parsed. */
function addressReader(type: SectionType): (input: Uint8Array, view: DataView, from: number, to: number) => bigint[] {
  const layout = type.layout as unknown as Root;
  const validation = layout.fields["validation"] as BitsNode | undefined;
  const names = Object.keys(layout.fields);
  const fixed = names.indexOf("physicalAddress");
  const member = validation?.members?.["physicalAddress"];
  if (fixed >= 0 && names[0] === "validation" && typeof member === "number" && names.slice(0, fixed).every((name) => isFixed(layout.fields[name] as never))) {
    const at = fieldOffset(layout as never, "physicalAddress" as never);
    const bit = bitRange(member)[0];
    return (input, view, from, to) => (from + at + 8 <= to && ((input[from + (bit >> 3)]! >> (bit & 7)) & 1) === 1 ? [view.getBigUint64(from + at, true)] : []);
  }
  return (input, _view, from, to) => physicalAddresses(parse(type.layout as Layout<unknown, "required", { readonly kind: "struct" }>, input, from, to));
}

const DATE = /^\d{4}(-(0[1-9]|1[0-2])(-(0[1-9]|[12]\d|3[01])(T([01]\d|2[0-3])(:[0-5]\d(:[0-5]\d)?)?)?)?)?$/;

function condition(field: (typeof WHERE_FIELDS)[number], operator: Operator, text: string, registry: SectionRegistry): Condition {
  const what = `--where ${field}`;
  const alternatives = <T>(meaning: (word: string) => T): T[] => {
    if (operator !== "=") throw new UsageError(`${what}: only = and != make sense`);
    return text.split("|").map((word) => meaning(word.trim()));
  };
  switch (field) {
    case "severity": {
      const wanted = alternatives((word) => {
        const known = Object.hasOwn(SEVERITY, word) ? (SEVERITY as Record<string, number>)[word] : undefined;
        return known ?? Number(wholeNumber(word, what, `none of ${Object.keys(SEVERITY).join(", ")}, nor a number`));
      });
      return (_input, view, start) => wanted.includes(view.getUint32(start + HEADER_SEVERITY, true));
    }
    case "section": {
      const guids = new Set<string>();
      const types = new Set<SectionType | undefined>();
      for (const word of alternatives((one) => one)) {
        const type = registry.byName(word);
        if (type) types.add(type);
        else if (guidBytes(word)) guids.add(word.toLowerCase());
        else throw new UsageError(`${what}: ${JSON.stringify(word)} is neither a section type nor a GUID`);
      }
      return (input, view, start, end) =>
        anySection(view, start, end, (descriptor, from, to) => {
          const guid = guidText(input, descriptor + SECTION_TYPE);
          return guids.has(guid) || types.has(registry.byGuid(guid, to - from));
        });
    }
    case "time": {
      const bounds = operator === "=" ? alternatives((word) => word) : [text];
      for (const bound of bounds) if (!DATE.test(bound)) throw new UsageError(`${what}: ${bound} is not a date such as 2024-05-31 or 2024-05-31T12:00:00`);
      return (input, _view, start) => {
        const time = timestampText(input, start + TIMESTAMP);
        if (time === "none" || time.startsWith("raw")) return false;
        // Compared as far as the bound is given: `<=2024-05` includes all of May.
        return bounds.some((bound) => {
          const shown = time.slice(0, bound.length);
          return compare(operator, shown < bound ? -1 : shown > bound ? 1 : 0);
        });
      };
    }
    case "address": {
      const test = numberTest(operator, text, what);
      const readers = new Map([...registry].map((type) => [type, addressReader(type)] as const));
      return (input, view, start, end) =>
        anySection(view, start, end, (descriptor, from, to) => {
          const type = registry.byGuid(guidText(input, descriptor + SECTION_TYPE), to - from);
          return type ? readers.get(type)!(input, view, from, to).some(test) : false;
        });
    }
    case "creator":
    case "notification": {
      const wanted = new Set(
        alternatives((word) => {
          if (!guidBytes(word)) throw new UsageError(`${what}: ${word} is not a GUID`);
          return word.toLowerCase();
        }),
      );
      return (input, _view, start) => wanted.has(guidText(input, start + GUID_FIELDS[field]));
    }
    case "record-id": {
      const test = numberTest(operator, text, what);
      return (_input, view, start) => test(view.getBigUint64(start + RECORD_ID, true));
    }
  }
}

/**
 * Compile `--where` expressions; a record must meet all of them. Each is FIELD OPERATOR VALUE, such as
 * `severity=fatal|recoverable`, `section=platformMemory`, `time>=2024-05-31`, `address=0x1000..0x1fff`; what does not
 * meet `=` meets `!=`.
 * @throws UsageError for what cannot be understood.
 */
export function compileWhere(expressions: readonly string[], registry: SectionRegistry): Condition | undefined {
  if (expressions.length === 0) return undefined;
  const all = expressions.map((expression) => {
    const match = /^\s*([a-z-]+)\s*(!=|<=|>=|=|<|>)\s*(.+?)\s*$/.exec(expression);
    const field = WHERE_FIELDS.find((name) => name === match?.[1]);
    if (!match || !field) throw new UsageError(`--where ${expression}: write FIELD=VALUE with one of ${WHERE_FIELDS.join(", ")} and =, !=, <, <=, > or >=`);
    const value = match[3]!;
    if (match[2] !== "!=") return condition(field, match[2] as Operator, value, registry);
    const equal = condition(field, "=", value, registry);
    return (...record: Parameters<Condition>) => !equal(...record);
  });
  return (input, view, start, end) => all.every((one) => one(input, view, start, end));
}
