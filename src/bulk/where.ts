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

type Operator = "=" | "!=" | "<" | "<=" | ">" | ">=";
const compare = (operator: Operator, order: number): boolean =>
  operator === "="
    ? order === 0
    : operator === "!="
      ? order !== 0
      : operator === "<"
        ? order < 0
        : operator === "<="
          ? order <= 0
          : operator === ">"
            ? order > 0
            : order >= 0;

function eachSection(view: DataView, start: number, end: number, body: (descriptor: number, from: number, to: number) => boolean): boolean {
  const count = view.getUint16(start + SECTION_COUNT, true);
  for (let i = 0, descriptor = start + RecordHeader.size; i < count && descriptor + SectionDescriptor.size <= end; i++, descriptor += SectionDescriptor.size) {
    const from = start + view.getUint32(descriptor + SECTION_OFFSET, true);
    if (body(descriptor, Math.min(from, end), Math.min(end, from + view.getUint32(descriptor + SECTION_LENGTH, true)))) return true;
  }
  return false;
}

const wholeNumber = (text: string, what: string): bigint => {
  const value = parseNumber(text);
  if (value === undefined) throw new UsageError(`${what}: ${text} is not a number`);
  if (value >= 1n << 64n) throw new UsageError(`${what}: ${text} has more than 64 bits`);
  return value;
};

/** `low..high` inclusive, or one comparison. */
function numberTest(operator: Operator, text: string, what: string): (value: bigint) => boolean {
  const [low, high] = text.split("..");
  if (high === undefined) {
    const bound = wholeNumber(text, what);
    return (value) => compare(operator, value < bound ? -1 : value > bound ? 1 : 0);
  }
  if (operator !== "=" && operator !== "!=") throw new UsageError(`${what}: a range goes with = or !=`);
  const from = wholeNumber(low!, what);
  const to = wholeNumber(high, what);
  return (value) => (value >= from && value <= to) === (operator === "=");
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

function condition(field: (typeof WHERE_FIELDS)[number], operator: Operator, text: string, registry: SectionRegistry): Condition {
  const onlyEquals = () => {
    if (operator !== "=" && operator !== "!=") throw new UsageError(`--where ${field}: only = and != make sense`);
  };
  const what = `--where ${field}`;
  switch (field) {
    case "severity": {
      onlyEquals();
      const wanted = text.split("|").map((word) => {
        const known = (SEVERITY as Record<string, number>)[word];
        return known ?? Number(wholeNumber(word, `${what} (one of ${Object.keys(SEVERITY).join(", ")})`));
      });
      return (_input, view, start) => wanted.includes(view.getUint32(start + HEADER_SEVERITY, true)) === (operator === "=");
    }
    case "section": {
      onlyEquals();
      const wanted = new Set(
        text.split("|").flatMap((word) => {
          const guids = registry.byName(word)?.guids ?? (guidBytes(word) ? [word.toLowerCase()] : undefined);
          if (!guids) throw new UsageError(`${what}: ${word} is neither a section type nor a GUID`);
          return guids;
        }),
      );
      return (input, view, start, end) =>
        eachSection(view, start, end, (descriptor) => wanted.has(guidText(input, descriptor + SECTION_TYPE))) === (operator === "=");
    }
    case "time": {
      if (!/^\d{4}(-\d\d(-\d\d(T\d\d(:\d\d(:\d\d)?)?)?)?)?$/.test(text))
        throw new UsageError(`${what}: ${text} is not a date such as 2024-05-31 or 2024-05-31T12:00:00`);
      return (input, _view, start) => {
        const time = timestampText(input, start + TIMESTAMP);
        if (time === "none" || time.startsWith("raw")) return false;
        // Compared as far as the bound is given: `<=2024-05` includes all of May.
        const shown = time.slice(0, text.length);
        return compare(operator, shown < text ? -1 : shown > text ? 1 : 0);
      };
    }
    case "address": {
      const test = numberTest(operator, text, what);
      const readers = new Map([...registry].flatMap((type) => type.guids.map((guid) => [guid, addressReader(type)] as const)));
      return (input, view, start, end) =>
        eachSection(
          view,
          start,
          end,
          (descriptor, from, to) =>
            readers
              .get(guidText(input, descriptor + SECTION_TYPE))?.(input, view, from, to)
              .some(test) ?? false,
        );
    }
    case "creator":
    case "notification": {
      onlyEquals();
      if (!guidBytes(text)) throw new UsageError(`${what}: ${text} is not a GUID`);
      const wanted = text.toLowerCase();
      return (input, _view, start) => (guidText(input, start + GUID_FIELDS[field]) === wanted) === (operator === "=");
    }
    case "record-id": {
      const test = numberTest(operator, text, what);
      return (_input, view, start) => test(view.getBigUint64(start + RECORD_ID, true));
    }
  }
}

/**
 * Compile `--where` expressions; a record must meet all of them. Each is FIELD OPERATOR VALUE, such as
 * `severity=fatal|recoverable`, `section=platformMemory`, `time>=2024-05-31`, `address=0x1000..0x1fff`.
 * @throws UsageError for what cannot be understood.
 */
export function compileWhere(expressions: readonly string[], registry: SectionRegistry): Condition | undefined {
  if (expressions.length === 0) return undefined;
  const all = expressions.map((expression) => {
    const match = /^\s*([a-z-]+)\s*(!=|<=|>=|=|<|>)\s*(.+?)\s*$/.exec(expression);
    const field = WHERE_FIELDS.find((name) => name === match?.[1]);
    if (!match || !field) throw new UsageError(`--where ${expression}: write FIELD=VALUE with one of ${WHERE_FIELDS.join(", ")} and =, !=, <, <=, > or >=`);
    return condition(field, match[2] as Operator, match[3]!, registry);
  });
  return (input, view, start, end) => all.every((one) => one(input, view, start, end));
}
