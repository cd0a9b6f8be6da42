/** The recorded cases: scripts with their files, and what real firmware made of them. */
import type { FwCfgFiles } from "../../src/loader/fw-cfg.ts";
import { FILE } from "../../src/loader/fw-cfg.ts";
import { shared, sharedNames, sharedText } from "../support/shared.ts";

export const CASES = "guest/oracle/loader";
export type OracleFirmware = "seabios" | "ovmf" | "aavmf";

export interface Outcome {
  readonly booted: boolean;
  readonly hang?: boolean;
  readonly kernel_started?: boolean;
  readonly kernel_oops?: boolean;
  readonly guest_tables: readonly string[];
  readonly hest_present: boolean;
  readonly hest_len?: number;
  readonly hest_sum?: number;
  readonly hest_status_addr?: readonly string[];
  readonly hest_ack_addr?: readonly string[];
  readonly linked: readonly { readonly sig: string; readonly addr: string; readonly len: number; readonly sum: number }[];
  readonly wp_file?: string;
  readonly seabios_debug?: readonly string[];
  readonly extra_files?: Readonly<Record<string, string>>;
}

export const caseNames = (): string[] => sharedNames(CASES, (name) => !name.includes("."));
export const outcomes = (name: string) => JSON.parse(sharedText(CASES, name, "outcome.json")) as Partial<Record<OracleFirmware, Outcome>>;

/** The file the recorded scripts write to: QEMU's vmcoreinfo device, 16 bytes, writable. */
export const VMCOREINFO = "etc/vmcoreinfo";

/** The files of a case as that firmware's machine offered them. */
export function caseFiles(name: string, firmware: OracleFirmware, outcome: Outcome): FwCfgFiles {
  const folder = firmware === "aavmf" ? [name, "arm"] : [name];
  const file = (short: string) => ({ bytes: shared(CASES, ...folder, short) });
  const vmcoreinfo = new Uint8Array(16);
  vmcoreinfo[0] = 1;
  return new Map<string, { bytes: Uint8Array; writable?: boolean }>([
    [FILE.script, file("tl.bin")],
    [FILE.tables, file("tables.bin")],
    [FILE.rsdp, file("rsdp.bin")],
    [FILE.hardwareErrors, file("hwerr.bin")],
    ...Object.entries(outcome.extra_files ?? {}).map(([path, short]) => [path, file(short)] as const),
    [VMCOREINFO, { bytes: vmcoreinfo, writable: true }],
  ]);
}
