/** The Linux profile: what the kernel says about each HEST, which sources it takes and which it drops. */

import { HEST_SOURCES_OFFSET } from "../acpi/hest.ts";
import { architectureOf, type HestProbe, type HestProbeOptions, probeHest } from "../guest/hest-probe.ts";
import type { RuleData } from "./rule.ts";
import { sourcesOf } from "./rules/hest.ts";
import type { Table } from "./table.ts";

export const KERNEL_RULES = {
  disabled: {
    id: "linux-hest-disabled",
    title: "Linux gives the whole table up",
    source: "Linux drivers/acpi/apei/hest.c behaviour",
    explain:
      "One source that cannot be walked, or two enabled generic sources with one id, and no source of the table is used. A corrected machine check source that is not enabled does the same on x86, without a word of why.",
    consumers: { linux: ["error", "registers no source"] },
  },
  dropped: {
    id: "linux-source-dropped",
    title: "Linux does not bind a source",
    source: "Linux drivers/acpi/apei/ghes.c behaviour",
    explain:
      "The platform device is there but no driver is bound to it: errors of this source are never seen. The kernel checks the notification, the block length, the acknowledge register and the status register, in this order, and speaks only of the first that is wrong.",
    consumers: { linux: ["error", "never looks at the source"] },
  },
  skipped: {
    id: "linux-source-skipped",
    title: "Linux leaves out a source that assists a machine check",
    source: "Linux drivers/acpi/apei/hest.c behaviour",
    explain:
      "A generic source related to a machine check source with GHES_ASSIST is not registered. Only the last machine check source of each type counts; one with id 65535 takes every source that says it is related to none.",
    consumers: { linux: ["warning", "does not register the source"] },
  },
  warned: {
    id: "linux-source-warning",
    title: "Linux binds a source with a warning",
    source: "Linux drivers/acpi/apei/ghes.c behaviour",
    explain: "The source is bound, but something about it does not work as the table says.",
    consumers: { linux: ["warning", "binds the source and warns"] },
  },
  panic: {
    id: "linux-panic",
    title: "Linux dies while probing",
    source: "Linux drivers/acpi/apei behaviour, recorded on arm64",
    explain: "On arm64 there is no I/O space where the register is said to be: reading it ends in a fatal abort before the system is up.",
    consumers: { linux: ["error", "panics while booting"] },
  },
} as const satisfies Record<string, RuleData>;

/** What a kernel makes of one table. */
export interface KernelVerdict extends HestProbe {
  readonly file: string;
  readonly kernel: string;
  readonly architecture: "arm64" | "x86";
  /** Ids of generic sources that were left out, and why. */
  readonly dropped: readonly { readonly id: number; readonly reason: string }[];
}

type Add = (rule: RuleData, path: string, offset: number, found: string, expected: string, says?: readonly string[]) => void;

/** Let the kernel read a HEST; what it minds becomes findings. */
export function kernelVerdict(table: Table, options: HestProbeOptions, add: Add): KernelVerdict {
  const architecture = options.architecture ?? architectureOf(table.bytes);
  const probe = probeHest(table.bytes, { ...options, architecture });
  const { whole, count } = sourcesOf(table);
  const generic = whole.filter((source) => source.type.startsWith("genericHardwareError") && source.index < count);
  const dropped: { id: number; reason: string }[] = [];
  const own = probe.messages.filter((message) => !message.startsWith("GHES: Failed to enable") && !message.startsWith("HEST: Table parsing"));
  if (probe.found && !probe.enabled) {
    add(KERNEL_RULES.disabled, "sources", HEST_SOURCES_OFFSET, "a table the kernel cannot walk", "a table that passes the parser", own);
    for (const source of generic) dropped.push({ id: source.sourceId, reason: "the whole table is given up" });
  }
  if (probe.enabled) {
    let next = 0;
    for (const source of generic) {
      const enabled = source.value["enabled"] !== 0;
      const probed = enabled && probe.sources[next]?.id === source.sourceId ? probe.sources[next++] : undefined;
      if (!enabled) dropped.push({ id: source.sourceId, reason: "it is not enabled" });
      else if (!probed) {
        if (probe.panic !== undefined) break;
        dropped.push({ id: source.sourceId, reason: "it assists a machine check source" });
        add(
          KERNEL_RULES.skipped,
          `${source.path}.relatedSourceId`,
          table.offsetOf(`${source.path}.relatedSourceId`),
          `${source.value["relatedSourceId"]}`,
          "no machine check source with GHES_ASSIST",
        );
      } else if (!probed.bound) {
        dropped.push({ id: source.sourceId, reason: probed.messages[0] ?? "its registers cannot be mapped, without a message" });
        add(
          KERNEL_RULES.dropped,
          source.path,
          source.offset,
          probed.messages[0] ?? "a register that cannot be mapped",
          "a source the kernel can use",
          probed.messages,
        );
      } else if (probed.messages.length > 0) add(KERNEL_RULES.warned, source.path, source.offset, probed.messages[0]!, "no warning", probed.messages);
    }
    if (probe.panic !== undefined) add(KERNEL_RULES.panic, "sources", HEST_SOURCES_OFFSET, probe.panic, "memory registers");
  }
  return { file: table.file, kernel: options.version ?? "7.2", architecture, ...probe, dropped };
}

/** The verdict as lines for people. */
export function kernelLines(verdict: KernelVerdict): string[] {
  const title = `Linux ${verdict.kernel} on ${verdict.architecture}, ${verdict.file}:`;
  if (!verdict.found) return [title, "  (finds no HEST and says nothing)"];
  const devices = new Set(verdict.sources.map(({ id }) => id));
  return [
    title,
    ...verdict.messages.map((message) => `  ${message}`),
    ...verdict.sources.map((source) => `  # GHES.${source.id}: ${source.bound ? "driver bound" : "no driver"}`),
    ...(verdict.sources.length === 0 ? ["  # no GHES devices"] : []),
    ...verdict.dropped.filter(({ id }) => !devices.has(id)).map(({ id, reason }) => `  # source ${id}: left out, ${reason}`),
    ...(verdict.panic === undefined ? [] : [`  # the kernel dies: ${verdict.panic}`]),
  ];
}
