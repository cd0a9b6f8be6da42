/** `decode --format linux`: what the kernel prints for the blocks and records in a document. */
import type { Bert } from "../acpi/bert.ts";
import { TableHeader } from "../acpi/table-header.ts";
import { type LinuxReportOptions, linuxBootReport, linuxRecordReport, linuxReport, type MemoryDevice } from "../guest/report/report.ts";
import type { Content } from "../input/content.ts";
import { leavesOf, partsOf } from "../input/leaves.ts";
import { UsageError } from "../layout/index.ts";
import type { Args } from "./arguments.ts";

/** Lines in Latin-1: every character is one byte. @throws UsageError when there is nothing Linux would report. */
export function* linuxView(content: Content, args: Args): Generator<string> {
  const options = {
    version: args["kernel"],
    architecture: args["arch"],
    path: args["path"],
    memoryDevices: memoryDevices((args["dimm"] as string[] | undefined) ?? []),
  } as Required<Pick<LinuxReportOptions, "version" | "architecture" | "path" | "memoryDevices">>;
  const region = bootErrorRegion(content, options.path === "bert");
  if (region) {
    yield* linuxBootReport(region, options);
    return;
  }
  let found = false;
  let sequence = 0;
  for (const { format, value } of leavesOf(content)) {
    const report = format.name === "status-block" ? linuxReport : format.name === "cper" ? linuxRecordReport : undefined;
    if (!report) continue;
    found = true;
    yield* report(format.encode(value), { ...options, sequence: ++sequence });
  }
  if (!found) throw new UsageError(`Linux reports error status blocks and records, not ${content.format.title}`);
}

/**
 * The boot error region in a document: what lies behind a BERT, as far as the table says, or, when the blocks are
 * known to be from there, a file that begins with several of them.
 */
function bootErrorRegion(content: Content, fromBoot: boolean): Uint8Array | undefined {
  const parts = partsOf(content.value);
  const first = parts ? parts[0]?.content : content;
  if (!first) return undefined;
  if (first.format.name === "bert") {
    const { header, bootErrorRegionLength } = first.value as Bert;
    const bytes = content.format.encode(content.value);
    const start = header?.length ?? TableHeader.size;
    const region = bytes.subarray(start, start + (bootErrorRegionLength ?? 0));
    return region.length > 0 ? region : undefined;
  }
  if (parts && first.format.name === "status-block" && content.format.name === "stream") return fromBoot ? content.format.encode(content.value) : undefined;
  return parts?.length === 1 ? bootErrorRegion(first, fromBoot) : undefined;
}

/** `0x1100=BANK 0,DIMM A1`: the locators of SMBIOS memory devices by their handle. @throws UsageError */
function memoryDevices(words: readonly string[]): ReadonlyMap<number, MemoryDevice> {
  return new Map(
    words.map((word) => {
      const [, handle = "", bankLocator = "", deviceLocator = ""] = DIMM.exec(word) ?? [];
      if (handle === "" || Number(handle) > LAST_HANDLE)
        throw new UsageError(`--dimm: ${JSON.stringify(word)} is not HANDLE=BANK,DEVICE, such as 0x1100=BANK 0,DIMM A1`);
      return [Number(handle), { bankLocator, deviceLocator }];
    }),
  );
}
const DIMM = /^(0x[0-9a-f]+|[0-9]+)=([^,]*),(.+)$/i;
const LAST_HANDLE = 0xffff;
