/** The boot error region of a real machine: what the kernel says of it, and what it leaves of it. */
import { Bert } from "../acpi/bert.ts";
import { ErrorStatusBlockHeader } from "../acpi/status-block.ts";
import { blockTotal } from "../guest/ghes.ts";
import { bootErrors, QEMU_MEMORY_DEVICES } from "../guest/report/report.ts";
import type { KernelVersion } from "../guest/report/words.ts";
import { hexNumber, parse } from "../layout/index.ts";
import { type Comparison, compareLines, isBootLine, likely, plainLines, shown } from "./kernel-log.ts";
import type { RealMachine } from "./machine.ts";
import { guestTable } from "./session.ts";

/** @param region as it was handed over. */
export function compareBootErrors(machine: RealMachine, region: Uint8Array, version: KernelVersion): Comparison[] {
  const { architecture } = machine.platform;
  const { lines, left } = bootErrors(region, { version, architecture, memoryDevices: QEMU_MEMORY_DEVICES });
  const predicted = shown(lines);
  const said: Comparison = {
    title: "What the kernel says about the errors of the boot before",
    lines: compareLines(predicted, plainLines(machine.output).filter(likely(isBootLine, predicted))),
  };
  const table = guestTable(machine, "BERT");
  if (!table) return [said, { title: "The boot error table", lines: [{ kind: "missing", text: "ACPI: BERT" }] }];
  const { bootErrorRegionLength = 0, bootErrorRegion = 0n } = parse(Bert, table);
  const found = machine.memory.read(bootErrorRegion, Math.min(bootErrorRegionLength, region.length));
  return [said, { title: "What the kernel leaves of them", lines: compareLines(regionLines(region, left), regionLines(region, found)) }];
}

/** The block statuses of a region, and whether all else is as it was. */
function regionLines(original: Uint8Array, now: Uint8Array): string[] {
  const out = [`${now.length} bytes`];
  const rest = now.slice();
  const { size } = ErrorStatusBlockHeader.fields.blockStatus;
  for (let at = 0; at + ErrorStatusBlockHeader.size <= original.length && out.length <= MOST_BLOCKS; ) {
    const header = original.subarray(at);
    // An empty block ends the list.
    if (header.subarray(0, size).every((byte) => byte === 0)) break;
    out.push(`block at ${hexNumber(at)}: its status ${now.subarray(at, at + size).every((byte) => byte === 0) ? "is cleared" : "stands"}`);
    rest.set(header.subarray(0, size), at);
    const total = blockTotal(header);
    if (total < ErrorStatusBlockHeader.size) break;
    at += total;
  }
  return rest.every((byte, i) => byte === original[i]) ? out : [...out, "other bytes have changed"];
}
/** Blocks that are shown. */
const MOST_BLOCKS = 32;
