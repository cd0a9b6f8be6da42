/** `decode --format linux`: what the kernel prints for the blocks and records in a document. */
import { type LinuxReportOptions, linuxBootReport, linuxRecordReport, linuxReport } from "../guest/report/report.ts";
import type { Content } from "../input/content.ts";
import { leavesOf } from "../input/leaves.ts";
import { UsageError } from "../layout/index.ts";
import type { Args } from "./arguments.ts";

/** Lines in Latin-1: every character is one byte. @throws UsageError when there is nothing Linux would report. */
export function* linuxView(content: Content, args: Args): Generator<string> {
  const options = {
    version: args["kernel"],
    architecture: args["arch"],
    path: args["path"],
  } as Required<Pick<LinuxReportOptions, "version" | "architecture" | "path">>;
  let found = false;
  let sequence = 0;
  const leaves = [...leavesOf(content)];
  const blocks = leaves.filter(({ format }) => format.name === "status-block").map(({ format, value }) => format.encode(value));
  if (leaves[0]?.format.name === "bert" && blocks.length > 0) {
    yield* linuxBootReport(concat(blocks), options);
    return;
  }
  for (const { format, value } of leaves) {
    const report = format.name === "status-block" ? linuxReport : format.name === "cper" ? linuxRecordReport : undefined;
    if (!report) continue;
    found = true;
    yield* report(format.encode(value), { ...options, sequence: ++sequence });
  }
  if (!found) throw new UsageError(`Linux reports error status blocks and records, not ${content.format.title}`);
}

function concat(parts: readonly Uint8Array[]): Uint8Array {
  const out = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    out.set(part, at);
    at += part.length;
  }
  return out;
}
