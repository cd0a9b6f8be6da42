/** What vendors put into sections that UEFI defines, added to what those sections say themselves. */
import { guidText, hexToBytes, type SectionType, type Tree } from "../../layout/index.ts";
import { bankOfMsrContext, bankSummary, bankTree, cpuModel } from "../machine-check/index.ts";
import { firmwareRecordTrees } from "./crash-log.ts";
import type { FirmwareErrorRecordReference } from "./firmware-reference.ts";
import type { Ia32x64Processor } from "./ia32x64.ts";

const contentsOf = <T>(value: object | undefined): Partial<T> => (value && !(value instanceof Uint8Array) ? (value as Partial<T>) : {});

/** The machine-check banks among the contexts of a processor section. */
function banksOf(body: Ia32x64Processor) {
  const cpu = body.validation?.cpuid && body.cpuid ? cpuModel(Number(BigInt.asUintN(32, body.cpuid.eax ?? 0n))) : undefined;
  return (body.contexts ?? []).flatMap(({ contextType, msrAddress, registers }) => {
    const values = contentsOf<{ registers: readonly { readonly value: bigint }[] }>(registers).registers ?? [];
    const bank =
      contextType === "msr"
        ? bankOfMsrContext(
            msrAddress ?? 0,
            values.map(({ value }) => value),
            cpu,
          )
        : undefined;
    return bank ? [bank] : [];
  });
}

type Words<B> = { readonly summary?: (body: B) => string; readonly explain: (body: B) => readonly Tree[] };
const MORE: Readonly<Record<string, Words<never>>> = {
  ia32x64Processor: {
    summary: (body: Ia32x64Processor) =>
      banksOf(body)
        .map(({ bank, registers }) => `bank ${bank}: ${bankSummary(registers)}`)
        .join(", "),
    explain: (body: Ia32x64Processor) => banksOf(body).map(({ bank, registers }) => bankTree(`machine-check bank ${bank}`, registers)),
  },
  firmwareErrorRecordReference: {
    explain: (body: FirmwareErrorRecordReference) => {
      const { recordGuid, record } = contentsOf<{ recordGuid: string; record: Uint8Array }>(body.extension);
      return recordGuid && record ? firmwareRecordTrees(recordGuid, record) : [];
    },
  },
};

/** A GUID whose first three groups are stored most significant byte first, as it reads by the usual rule. */
const otherByteOrder = (guid: string): string => guidText(hexToBytes(guid.replaceAll("-", ""))!);
/** Events that CXL names by a UUID: recent Windows writes it in a UUID's own byte order. */
const CXL_EVENTS: ReadonlySet<string> = new Set([
  "cxlGeneralMedia",
  "cxlDram",
  "cxlMemoryModule",
  "cxlMemorySparing",
  "cxlPhysicalSwitch",
  "cxlVirtualSwitch",
  "cxlMldPort",
  "cxlDynamicCapacity",
]);

/** The same section types, with the GUIDs and the words that vendors add. */
export const withVendorContents = (types: readonly SectionType[]): readonly SectionType[] =>
  types.map((type) => {
    if (CXL_EVENTS.has(type.name)) return { ...type, guids: [...type.guids, ...type.guids.map(otherByteOrder)] };
    const more = MORE[type.name];
    if (!more) return type;
    return {
      ...type,
      ...(more.summary && { summary: (body: never) => [type.summary?.(body) ?? "", more.summary!(body)].filter((part) => part !== "").join(", ") }),
      explain: (body: never) => [...(type.explain?.(body) ?? []), ...more.explain(body)],
    };
  });
