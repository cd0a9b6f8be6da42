/**
 * What the fields of record headers and section descriptors mean beyond the specification: creators give some of
 * them a meaning of their own, so the creator chooses how they are read. A further creator is one row.
 */
import { bits, decode, encodeSectionBody, guidBytes, hexNumber, type Parsed, type SectionBody, struct, type Tree, u24, ZERO_GUID } from "../layout/index.ts";
import { fileTimeText } from "./file-time.ts";
import { CREATORS } from "./guids.ts";
import { type RecordHeader, SectionDescriptor } from "./record.ts";
import { sectionTypes } from "./registry.ts";
import type { ProcessorGeneric } from "./sections/processor-generic.ts";

type Header = Parsed<typeof RecordHeader>;
type Descriptor = Parsed<typeof SectionDescriptor>;

interface CreatorWords {
  readonly is: (header: Header) => boolean;
  readonly header: (header: Header) => readonly Tree[];
  readonly descriptor: (descriptor: Descriptor) => readonly Tree[];
  readonly body?: (body: SectionBody) => readonly Tree[];
}

/** Text in a field meant for a GUID: undefined when the bytes are no printable ASCII. */
function asciiOf(guid: string | undefined): string | undefined {
  const bytes = guid === undefined ? undefined : guidBytes(guid);
  const text = bytes && String.fromCharCode(...bytes).replace(/\0+$/, "");
  return text && /^[\x20-\x7e]+$/.test(text) ? text : undefined;
}

/** The store's own words of Windows records (WHEA_PERSISTENCE_INFO, Microsoft's ntddk reference). */
export const PersistenceInformation = struct("Windows Persistence Information", 8, "WDK ntddk.h, WHEA_PERSISTENCE_INFO", () => ({
  signature: bits(2, "The letters RE", { value: [0, 16] }),
  length: u24("Bytes in the store"),
  more: bits(3, "Identifier and attributes", { identifier: [0, 16], attributes: [16, 2], doNotLog: 18 }),
}));

function persistenceWords(input: Uint8Array | undefined): readonly Tree[] {
  if (!input || input.length !== PersistenceInformation.size || input.every((byte) => byte === 0)) return [];
  const { signature, length, more } = decode(PersistenceInformation, input);
  const named = signature.value === 0x5245 ? "signature RE" : `signature ${hexNumber(signature.value ?? 0)}`;
  return [
    {
      label: "persistence information in words",
      text: [
        named,
        length > 0 ? `${length} bytes in the store` : "",
        more.identifier ? `identifier ${more.identifier}` : "",
        more.attributes ? `attributes ${more.attributes}` : "",
        more.doNotLog ? "not to be logged" : "",
      ]
        .filter((part) => part !== "")
        .join(", "),
    },
  ];
}

const WINDOWS: ReadonlySet<string | undefined> = new Set(Object.keys(CREATORS).filter((guid) => CREATORS[guid]!.startsWith("Windows ")));
const WINDOWS_REVISION = 0x0210;
/** Record ids from 2001 on are times; smaller ones are other people's counters. */
const FIRST_TIME = 0x01c0000000000000n;
const LAST_TIME = 0x0300000000000000n;
/** Bytes of the reserved field that hold the build number. */
const BUILD_NUMBER = 4;

const windows: CreatorWords = {
  // Windows also stores other creators' records again, with its own revision.
  is: (header) => WINDOWS.has(header.creatorId) || header.revision === WINDOWS_REVISION,
  header: (header) => {
    const out: Tree[] = [];
    const id = header.recordId ?? 0n;
    if (id > FIRST_TIME && id < LAST_TIME)
      out.push({ label: "record id as time", text: fileTimeText(id), note: "Windows takes it near boot: not when the error occurred" });
    out.push(...persistenceWords(header.persistenceInformation));
    if (header.flags?.previousError) out.push({ label: "time", text: "that of the boot that found the error, not of the error" });
    const build = header.reserved?.subarray(0, BUILD_NUMBER);
    if (build?.some((byte) => byte !== 0)) out.push({ label: "operating system build", text: String(build.reduceRight((sum, byte) => sum * 256 + byte, 0)) });
    if (header.validation?.partitionId && header.partitionId === ZERO_GUID)
      out.push({ label: "partition", text: "marked valid, but zero: usual for device drivers" });
    return out;
  },
  descriptor: (descriptor) => {
    const out: Tree[] = [];
    if (descriptor.flags?.overflow) out.push({ label: "flag bit 7", text: "here: the FRU text was supplied by a plug-in, not overflow" });
    if (descriptor.validation?.fruText && descriptor.fruText === "") out.push({ label: "FRU text", text: "marked valid, but empty" });
    return out;
  },
  body: ({ type, value }) => (type?.name === "processorGeneric" && !(value instanceof Uint8Array) ? windowsProcessor(value as ProcessorGeneric) : []),
};

/** Windows' additions to the processor section: a model id in the high half of the version, and instruction sets of its own. */
function windowsProcessor(body: ProcessorGeneric): readonly Tree[] {
  const valid = body.validation ?? {};
  const out: Tree[] = [];
  if ((valid.rest ?? 0n) & NATIVE_MODEL_VALID && body.cpuVersion !== undefined)
    out.push({ label: "native model id", text: hexNumber(body.cpuVersion >> 32n), note: "Windows keeps it in the high half of the CPU version" });
  const set = body.instructionSet === "a64" ? 4 : body.instructionSet;
  const name = valid.instructionSet && typeof set === "number" ? WINDOWS_ARM[set] : undefined;
  if (name) out.push({ label: "instruction set", text: name, note: `Windows' ${set}` });
  return out;
}
const NATIVE_MODEL_VALID = 1n << 13n;
const WINDOWS_ARM: Readonly<Record<number, string>> = { 4: "ARM32", 8: "ARM64" };

const amdGpu: CreatorWords = {
  is: (header) => asciiOf(header.creatorId)?.startsWith("amdgpu") ?? false,
  header: (header) => {
    const id = new Uint8Array(8);
    new DataView(id.buffer).setBigUint64(0, header.recordId ?? 0n, true);
    const idText = String.fromCharCode(...id).replace(/\0+$/, "");
    return [
      { label: "creator", text: asciiOf(header.creatorId) ?? "", note: "ASCII in place of a GUID" },
      ...(asciiOf(header.platformId) ? [{ label: "platform", text: asciiOf(header.platformId)!, note: "PCI vendor and device in ASCII" }] : []),
      ...(/^[\x20-\x7e]+$/.test(idText) ? [{ label: "record id", text: idText, note: "ASCII" }] : []),
    ];
  },
  descriptor: (descriptor) => (descriptor.flags?.resourceNotAccessible ? [{ label: "flag bit 4", text: "here: latent error" }] : []),
};

const ami: CreatorWords = {
  // Its creator is the id of the machine itself.
  is: (header) => header.creatorId !== undefined && header.creatorId === header.platformId && (header.timestamp?.endsWith("ordinal") ?? false),
  header: () => [
    { label: "creator", text: "AMI firmware: creator and platform are the machine's own id" },
    { label: "time", text: "local time, century as an ordinal" },
  ],
  descriptor: () => [],
};

const CREATOR_WORDS: readonly CreatorWords[] = [windows, amdGpu, ami];

/** Lines that interpret a record header by its creator. */
export const headerWords = (header: Header): readonly Tree[] => CREATOR_WORDS.find((creator) => creator.is(header))?.header(header) ?? [];

/** Lines that interpret a section descriptor by the creator of its record. */
export function descriptorWords(header: Header, descriptor: Descriptor, body?: SectionBody): readonly Tree[] {
  const stale = staleDescriptor(header, descriptor, body);
  const creator = CREATOR_WORDS.find((one) => one.is(header));
  return [
    ...(creator?.descriptor(descriptor) ?? []),
    ...(body && creator?.body ? creator.body(body) : []),
    ...(stale
      ? [
          {
            label: "body",
            text: `begins with a section descriptor that the record's count leaves out (${sectionTypes.byGuid(stale.sectionType ?? "")?.title}, ${stale.sectionLength} bytes at ${stale.sectionOffset}): its fields mean nothing`,
          },
        ]
      : []),
  ];
}

/**
 * The descriptor a section's body begins with, where Windows counted one section less than it described: the first
 * body then lies where the last descriptor still is, and its fields mean nothing.
 */
export function staleDescriptor(header: Header, descriptor: Descriptor, body: SectionBody | undefined): Descriptor | undefined {
  if (!body || !windows.is(header) || (descriptor.sectionLength ?? 0) < SectionDescriptor.size) return undefined;
  const bytes = encodeSectionBody(body);
  if (bytes.length < SectionDescriptor.size) return undefined;
  const stale = decode(SectionDescriptor, bytes);
  const known = stale.sectionType !== ZERO_GUID && sectionTypes.byGuid(stale.sectionType) !== undefined;
  return known && stale.revision === descriptor.revision && stale.reserved === undefined ? stale : undefined;
}
