/** PLDM platform event messages that carry a record (DMTF DSP0248 1.3, CPER event class). */
import { SectionDescriptor } from "../cper/record.ts";
import { isRecordStart } from "../cper/record-stream.ts";
import {
  concatBytes,
  type Decoded,
  encode,
  encodeSectionBody,
  type Format,
  fieldOffset,
  fieldTrees,
  fromJson,
  guidText,
  jsonSchema,
  oneOf,
  type Parsed,
  parse,
  parseSectionBody,
  type SectionBody,
  type SectionRegistry,
  sectionBodyFromJson,
  sectionBodySchema,
  sectionBodySpans,
  sectionBodyToJson,
  sectionBodyTree,
  spans,
  struct,
  toJson,
  u8,
  u16,
  within,
} from "../layout/index.ts";
import { type Cut, containerFormat } from "./container.ts";
import type { Formats } from "./content.ts";
import { layoutFormat } from "./layout-format.ts";

export const PldmCperEvent = struct("PLDM CPER Event", 4, "DMTF DSP0248 1.3 CPER event class", () => ({
  formatVersion: u8("Version of this header, 1"),
  formatType: oneOf(1, "What follows", { fullRecord: [0, "a whole record"], singleSection: [1, "a section descriptor and its section"] }),
  eventDataLength: u16("Bytes that follow"),
}));
export const pldmEventFormat = layoutFormat(
  "pldm-cper-header",
  "PLDM CPER event header",
  PldmCperEvent,
  (value: Parsed<typeof PldmCperEvent>) => `PLDM CPER event with ${value.eventDataLength ?? 0} bytes`,
);

interface DescribedSection {
  readonly descriptor: Decoded<typeof SectionDescriptor>;
  readonly body?: SectionBody;
}
const SECTION_TYPE = fieldOffset(SectionDescriptor, "sectionType");
const SECTION_OFFSET = fieldOffset(SectionDescriptor, "sectionOffset");
const SECTION_LENGTH = fieldOffset(SectionDescriptor, "sectionLength");

/** A section behind its own descriptor, without a record around them. */
export const describedSectionFormat = (registry: SectionRegistry): Format<DescribedSection> => ({
  name: "described-section",
  title: "section descriptor and section",
  recognise: (input) => {
    if (input.length <= SectionDescriptor.size) return false;
    const view = new DataView(input.buffer, input.byteOffset, input.length);
    return (
      view.getUint32(SECTION_OFFSET, true) === SectionDescriptor.size &&
      view.getUint32(SECTION_LENGTH, true) === input.length - SectionDescriptor.size &&
      registry.byGuid(guidText(input, SECTION_TYPE), input.length - SectionDescriptor.size) !== undefined
    );
  },
  parse: (input, findings) => {
    const { size } = SectionDescriptor;
    const descriptor = parse(SectionDescriptor, input, 0, Math.min(size, input.length), { findings, path: "descriptor" }) as DescribedSection["descriptor"];
    if (input.length <= size) return { descriptor };
    return { descriptor, body: parseSectionBody(registry.byGuid(descriptor.sectionType, input.length - size), input, size, input.length, findings, "body") };
  },
  encode: ({ descriptor, body }) => {
    const head = within("descriptor", () => encode(SectionDescriptor, descriptor));
    const tail = body ? within("body", () => encodeSectionBody(body)) : new Uint8Array(0);
    return concatBytes([head, tail]);
  },
  toJson: ({ descriptor, body }) => ({ descriptor: toJson(SectionDescriptor, descriptor), ...(body && sectionBodyToJson(body)) }),
  fromJson: (json) => {
    const descriptor = within("descriptor", () => fromJson(SectionDescriptor, json["descriptor"] ?? null)) as DescribedSection["descriptor"];
    return json["body"] === undefined ? { descriptor } : { descriptor, body: sectionBodyFromJson(json, descriptor.sectionType, registry) };
  },
  schema: () => {
    const body = sectionBodySchema(registry) as { properties: object; allOf: object[] };
    return {
      type: "object",
      required: ["descriptor"],
      additionalProperties: false,
      properties: { descriptor: jsonSchema(SectionDescriptor), ...body.properties },
      allOf: body.allOf,
    };
  },
  spans: ({ descriptor, body }) => [
    ...spans(SectionDescriptor, descriptor, "descriptor"),
    ...(body ? sectionBodySpans(body, "body", SectionDescriptor.size) : []),
  ],
  summary: ({ body, descriptor }) => {
    const words = body?.type?.summary && !(body.value instanceof Uint8Array) ? body.type.summary(body.value as never) : "";
    return [
      (body?.type?.title ?? descriptor.sectionType === undefined) ? "Section descriptor cut short" : `Section of unknown type ${descriptor.sectionType}`,
      words,
    ]
      .filter((part) => part !== "")
      .join(": ");
  },
  tree: ({ descriptor, body }) => [
    { label: "section descriptor", children: fieldTrees(SectionDescriptor, descriptor) },
    ...(body ? [{ label: "body", children: sectionBodyTree(body) }] : []),
  ],
});

const TYPE = fieldOffset(PldmCperEvent, "formatType");
const LENGTH = fieldOffset(PldmCperEvent, "eventDataLength");

/** A CPER event: its header, then a record or a section. */
export const pldmFormat = (contents: Formats, record: Format, section: Format) =>
  containerFormat({
    name: "pldm",
    title: "PLDM CPER event",
    contents,
    recognise: (input) => {
      const { size } = PldmCperEvent;
      if (input.length <= size || input[0] !== 1) return false;
      if (new DataView(input.buffer, input.byteOffset).getUint16(LENGTH, true) !== input.length - size) return false;
      return input[TYPE] === 0 ? isRecordStart(input, size) : input[TYPE] === 1 && section.recognise(input.subarray(size));
    },
    *cut(input): Generator<Cut> {
      const { size } = PldmCperEvent;
      yield { end: Math.min(size, input.length), format: pldmEventFormat as Format };
      if (input.length > size) yield { end: input.length, format: input[TYPE] === 1 ? section : record };
    },
  });
