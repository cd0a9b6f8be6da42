/** Any bytes to a document and back: which format they have, what is in them, and what was odd. */
import { statusBlockFormat } from "../acpi/status-block.ts";
import { cperFormat } from "../cper/record-codec.ts";
import { sectionTypes } from "../cper/registry.ts";
import { EncodeError, type Finding, type Format, type Json, type SectionRegistry, UsageError } from "../layout/index.ts";
import { GUID_PATTERN } from "../layout/values.ts";
import { looksLikeText } from "./charset.ts";
import { type Content, Formats, isObject, type JsonObject } from "./content.ts";
import { erstStoreFormat, erstStoreHeaderFormat, erstStoreMapFormat } from "./erst-store.ts";
import { formatsFor } from "./formats.ts";
import { blockAddressesFormat, hardwareErrorsFormat, readAcksFormat } from "./hardware-errors.ts";
import { describedSectionFormat, pldmEventFormat, pldmFormat } from "./pldm.ts";
import { pstoreFormats } from "./pstore.ts";
import { rawFormat } from "./raw.ts";
import { sectionFormat, sectionTypeOf } from "./section.ts";
import { streamFormat } from "./stream.ts";
import { acpidumpFinder, base64Finder, digitsFinder, dumpFinder, redfishFinder, wheaEventFinder } from "./text-finders.ts";
import { type Finder, MOST_TEXT, wrappingFormat } from "./wrapping.ts";

/** Texts, in the order in which they are tried. */
const WRAPPINGS: readonly { readonly name: string; readonly title: string; readonly find: Finder }[] = [
  { name: "whea-event-xml", title: "Windows event XML", find: wheaEventFinder },
  { name: "redfish", title: "Redfish JSON", find: redfishFinder },
  { name: "acpidump", title: "acpidump text", find: acpidumpFinder },
  { name: "hex-dump", title: "hex dump", find: dumpFinder(false) },
  { name: "hex-dump-words", title: "hex dump in little-endian words", find: dumpFinder(true) },
  { name: "hex", title: "hex digits", find: digitsFinder(false) },
  { name: "hex-words", title: "hex numbers, little-endian", find: digitsFinder(true) },
  { name: "base64", title: "base64", find: base64Finder },
];

export interface Document extends Content {
  /** What is odd about the input; empty for a well-formed one. */
  readonly findings: readonly Finding[];
  /** What the input was taken for, in words. */
  readonly took: string;
}
export interface ReadOptions {
  /** Name of a format: no other is tried. */
  readonly as?: string | undefined;
  /** Name or GUID of a section type: the input is a bare body of it. */
  readonly section?: string | undefined;
}

/** All formats for a set of section types, and reading and writing with them. */
export class Documents {
  readonly registry: SectionRegistry;
  /** Every format a document can have. */
  readonly formats: Formats;
  /** Those that are not text around something else. */
  readonly #binary: Formats;
  readonly #wrappings: readonly Format[];

  constructor(registry: SectionRegistry) {
    this.registry = registry;
    const record = cperFormat(registry) as Format;
    const block = statusBlockFormat(registry) as Format;
    const section = describedSectionFormat(registry) as Format;
    const structures: Formats = new Formats([
      ...formatsFor(registry),
      section,
      ...([erstStoreHeaderFormat, erstStoreMapFormat, blockAddressesFormat, readAcksFormat, pldmEventFormat] as Format[]),
      ...pstoreFormats,
      sectionFormat("", registry) as Format,
      rawFormat as Format,
    ]);
    this.#binary = new Formats([
      ...([
        erstStoreFormat(structures, record),
        pldmFormat(structures, record, section),
        streamFormat({ contents: structures, record, block }),
        hardwareErrorsFormat(structures, block),
      ] as Format[]),
      ...structures,
    ]);
    this.#wrappings = this.#wrap(this.#binary);
    this.formats = new Formats([...this.#wrappings, ...this.#binary]);
  }

  #wrap(contents: Formats): Format[] {
    return WRAPPINGS.map((row) => wrappingFormat({ ...row, contents, registry: this.registry }) as Format);
  }

  /**
   * Read any bytes. What nothing recognises becomes format `raw` with a finding.
   * @throws UsageError when `as` or `section` names nothing known.
   */
  read(input: Uint8Array, options: ReadOptions = {}): Document {
    const findings: Finding[] = [];
    const format = this.#formatFor(input, options);
    if (format.name === rawFormat.name && options.as === undefined && input.length > MOST_TEXT && looksLikeText(input))
      findings.push({ path: "input", offset: 0, message: `text of more than ${MOST_TEXT} bytes is searched for data only when --as names its wrapping` });
    const value = format.parse(input, findings);
    return { format, value, findings, took: this.#took(format, value) };
  }

  #formatFor(input: Uint8Array, { as, section }: ReadOptions): Format {
    if (section !== undefined) {
      if (!sectionTypeOf(section, this.registry) && !GUID.test(section))
        throw new UsageError(`${section} is neither a GUID nor a section type; there are ${[...this.registry].map((type) => type.name).join(", ")}`);
      return this.#forced(sectionFormat(section, this.registry) as Format, input);
    }
    if (as !== undefined) {
      const named = this.formats.byName(as);
      if (!named) throw new UsageError(`${as} is no known format; there are ${[...this.formats].map((format) => format.name).join(", ")}`);
      return this.#wrappings.includes(named) || named.name === rawFormat.name || named.recognise(input) ? named : this.#forced(named, input);
    }
    // Text goes first: a dump may begin with the name of what it shows.
    const isText = looksLikeText(input);
    const text = isText && input.length <= MOST_TEXT ? this.#wrappings.find((wrapping) => wrapping.recognise(input)) : undefined;
    if (text) return text;
    // A log that begins with the word HEST is no HEST: no structure does without zero bytes.
    if (isText && !input.subarray(0, NEVER_WITHOUT_ZERO).includes(0)) return pstoreFormats.find((format) => format.recognise(input)) ?? (rawFormat as Format);
    return this.#binary.recognise(input) ?? (rawFormat as Format);
  }

  /** A format that was asked for, in whatever text it is wrapped. */
  #forced(format: Format, input: Uint8Array): Format {
    if (!looksLikeText(input)) return format;
    const contents = new Formats([{ ...format, recognise: () => true }, ...this.#binary]);
    return this.#wrap(contents).find((wrapping) => wrapping.recognise(input)) ?? format;
  }

  #took(format: Format, value: unknown): string {
    const parts = this.#wrappings.some(({ name }) => name === format.name) ? (value as { parts: readonly { content: Content }[] }).parts : [];
    const inner = [...new Set(parts.map((part) => part.content.format.title))];
    return inner.length === 0 ? format.title : `${format.title} of ${inner.join(", ")}`;
  }

  /** The JSON form of a document, from which `encode` makes the same bytes again. */
  toJson(document: Content): JsonObject {
    return this.formats.toJson(document);
  }

  /**
   * The bytes of a document's JSON form. A member `input`, which readers add for people, is passed over.
   * @throws EncodeError naming the member that is wrong.
   */
  encode(json: Json): Uint8Array {
    if (!isObject(json)) throw new EncodeError("document", "is not an object with a format");
    const { input: _, ...rest } = json;
    const { format, value } = this.formats.fromJson(rest);
    return format.encode(value);
  }
}
/** Bytes among which every structure has a zero. */
const NEVER_WITHOUT_ZERO = 1024;
const GUID = new RegExp(GUID_PATTERN);

const known = new WeakMap<SectionRegistry, Documents>();
/** The documents of a registry; the package's own section types by default. */
export function documentsOf(registry: SectionRegistry = sectionTypes): Documents {
  let documents = known.get(registry);
  if (!documents) known.set(registry, (documents = new Documents(registry)));
  return documents;
}

/** `Documents.read` with the package's own section types. */
export const readDocument = (input: Uint8Array, options?: ReadOptions): Document => documentsOf().read(input, options);
/** `Documents.toJson` with the package's own section types. */
export const documentToJson = (document: Content): JsonObject => documentsOf().toJson(document);
/** `Documents.encode` with the package's own section types. */
export const encodeDocument = (json: Json): Uint8Array => documentsOf().encode(json);
