/** A section body by itself, without the record or block it came from. */
import {
  EncodeError,
  encodeSectionBody,
  type Format,
  parseSectionBody,
  type SectionBody,
  type SectionRegistry,
  type SectionType,
  sectionBodyFromJson,
  sectionBodySchema,
  sectionBodySpans,
  sectionBodyToJson,
  sectionBodyTree,
  sectionTitle,
} from "../layout/index.ts";
import { GUID_PATTERN } from "../layout/values.ts";

interface BareSection {
  readonly sectionType: string;
  readonly body: SectionBody;
}

/** The section type somebody means by a name or a GUID. */
export const sectionTypeOf = (nameOrGuid: string, registry: SectionRegistry, length?: number): SectionType | undefined =>
  registry.byName(nameOrGuid) ?? registry.byGuid(nameOrGuid, length);

/**
 * The format of a bare section body. Nothing in the bytes says which section they are, so it recognises none:
 * `nameOrGuid` says it, and JSON carries it along.
 */
export const sectionFormat = (nameOrGuid: string, registry: SectionRegistry): Format<BareSection> => {
  const type = sectionTypeOf(nameOrGuid, registry);
  return {
    name: "section",
    title: type ? `${type.title} section` : nameOrGuid === "" ? "bare section" : `section of unknown type ${nameOrGuid}`,
    recognise: () => false,
    parse: (input, findings) => {
      const exact = sectionTypeOf(nameOrGuid, registry, input.length);
      return { sectionType: exact?.guids[0] ?? nameOrGuid.toLowerCase(), body: parseSectionBody(exact, input, 0, input.length, findings, "body") };
    },
    encode: ({ body }) => encodeSectionBody(body),
    toJson: ({ sectionType, body }) => ({ sectionType, ...sectionBodyToJson(body) }),
    fromJson: (json) => {
      const { sectionType } = json;
      if (typeof sectionType !== "string") throw new EncodeError("sectionType", sectionType === undefined ? "missing" : "is not a GUID");
      return { sectionType, body: sectionBodyFromJson(json, sectionType, registry) };
    },
    schema: () => {
      const body = sectionBodySchema(registry) as { properties: object; allOf: object[] };
      return {
        type: "object",
        required: ["sectionType", "body"],
        additionalProperties: false,
        properties: { sectionType: { type: "string", pattern: GUID_PATTERN }, ...body.properties },
        allOf: body.allOf,
      };
    },
    spans: ({ body }) => sectionBodySpans(body, "body", 0),
    summary: ({ sectionType, body }) => {
      const words = body.type?.summary && !(body.value instanceof Uint8Array) ? body.type.summary(body.value as never) : "";
      return [body.type?.title ?? `Section of unknown type ${sectionType}`, words].filter((part) => part !== "").join(": ");
    },
    tree: ({ sectionType, body }) => {
      const { text, note } = sectionTitle(body.type, sectionType);
      return [...(note === undefined ? [] : [{ label: "section", text, note }]), ...sectionBodyTree(body)];
    },
  };
};
