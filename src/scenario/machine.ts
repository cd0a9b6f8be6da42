/** From what a scenario says of its machine to the files its firmware gets. */
import { buildTable } from "../acpi/build-tables.ts";
import type { DirectBootOptions } from "../host/direct-boot.ts";
import { type MonitorPolicy, PRESETS } from "../host/monitor.ts";
import { EncodeError } from "../layout/index.ts";
import { buildHandOff } from "../loader/build.ts";
import type { BuildDescription, SourceDescription } from "../loader/description.ts";
import type { FwCfgFile } from "../loader/fw-cfg.ts";
import { BOOT_ERRORS, bootErrorTable } from "./boot-errors.ts";
import type { MachineChoice, MonitorChoice, SourceChoice } from "./schema.ts";

/** Firmware of a physical machine that handles errors first. */
const FIRMWARE_FIRST: MonitorPolicy = {
  ...PRESETS["kvmtool-like"],
  description: "firmware of a physical machine: it places the tables, and writes the records at EL3",
};

/** The policy a scenario names, with its changes. On x86, which has no SEA, what nothing masks is an NMI. */
export function policyOf(
  choice: MonitorChoice | undefined,
  kind: MachineChoice["kind"] = "virtual",
  architecture: MachineChoice["architecture"] = "arm64",
): MonitorPolicy {
  const usual = kind === "physical" ? FIRMWARE_FIRST : PRESETS["qemu-10.2"];
  const here = (policy: MonitorPolicy): MonitorPolicy =>
    architecture === "x86" && !policy.machineChecks && policy.actionRequired === "sea" ? { ...policy, actionRequired: "nmi" } : policy;
  if (choice === undefined) return here(usual);
  if (typeof choice === "string") return here(PRESETS[choice]);
  const { preset, recording, ...changes } = choice;
  const base = here(preset === undefined ? usual : PRESETS[preset]);
  return { ...base, ...changes, recording: { ...base.recording, ...recording } };
}

/** Bytes of the status block QEMU reserves for a source. */
const BLOCK_LENGTH = 1024;
/** Sources of the presets, by what their hand-off implies. */
const DEFAULT_SOURCES: Readonly<Record<MonitorPolicy["handOff"], readonly SourceChoice[]>> = {
  hardwareErrors: [{ id: 0, notification: "sea" }],
  hest: [
    { id: 0, notification: "sea" },
    { id: 1, notification: "gpioSignal" },
  ],
  direct: [
    { id: 0, notification: "sea" },
    { id: 1, notification: "gsiv", vector: 41 },
  ],
};

/** The same for an x86 guest: it has no synchronous external aborts. */
const DEFAULT_X86_SOURCES: readonly SourceChoice[] = [
  { id: 0, notification: "nmi" },
  { id: 1, notification: "gsiv", vector: 9 },
];

/** A source with everything said but how it is acknowledged, where that needs no words. */
type CompleteSource = Required<Omit<SourceChoice, "acknowledge">> & Pick<SourceChoice, "acknowledge">;

/** Whether a machine has error sources at all. QEMU's x86 machines have none unless the scenario gives them some. */
export const hasSources = (machine: MachineChoice = {}, policy: MonitorPolicy): boolean =>
  machine.ras ?? !(machine.architecture === "x86" && policy.machineChecks && machine.sources === undefined);

const defaultSources = (machine: MachineChoice | undefined, policy: MonitorPolicy): readonly SourceChoice[] =>
  machine?.architecture === "x86" && !policy.machineChecks ? DEFAULT_X86_SOURCES : DEFAULT_SOURCES[policy.handOff];

/** The sources a scenario's machine has. */
export const sourcesFor = (machine: MachineChoice | undefined, policy: MonitorPolicy): readonly CompleteSource[] =>
  (machine?.sources ?? (hasSources(machine, policy) ? defaultSources(machine, policy) : [])).map((source) => ({
    version: 2,
    vector: 0,
    pollInterval: 0,
    blockLength: BLOCK_LENGTH,
    ...source,
  }));

/** Bytes of a FADT of revision 6 (ACPI 6.5 table 5.9). */
const FADT_LENGTH = 276;
/** Tables an operating system wants before it looks at any other: empty ones will do. */
const PLAIN_TABLES: Readonly<Record<string, () => Uint8Array>> = {
  DSDT: () => buildTable("DSDT", { header: { revision: 2 }, body: "" }),
  FACP: () => buildTable("FACP", { header: { revision: 6 }, body: "00".repeat(FADT_LENGTH - 36) }),
};

/** The same, made. */
export const plainTables = (): Record<string, Uint8Array> => Object.fromEntries(Object.entries(PLAIN_TABLES).map(([signature, make]) => [signature, make()]));

const descriptionOf = (machine: MachineChoice, policy: MonitorPolicy): readonly SourceDescription[] =>
  sourcesFor(machine, policy).map(({ id, notification, version, vector, pollInterval, blockLength, acknowledge, ...more }) => ({
    id,
    notification: { type: notification, vector, pollInterval },
    blockLength,
    acknowledge: version === 2 && (acknowledge ?? true),
    ...more,
  }));

/** What a hand-off through firmware says of the sources, and which address is written back. */
export const sourcePart = (machine: MachineChoice, policy: MonitorPolicy): Pick<BuildDescription, "handOff" | "errorSources"> => ({
  handOff: policy.handOff === "hardwareErrors" ? "hardwareErrors" : "hest",
  ...(hasSources(machine, policy) && { errorSources: descriptionOf(machine, policy) }),
});

/** What a machine has beside its sources. */
export interface Additions {
  /** Tables of further devices by signature. */
  readonly tables: Readonly<Record<string, Uint8Array>>;
  /** The boot error region. */
  readonly bootErrors?: Uint8Array;
}

/** The fw_cfg files of the hand-off. @throws EncodeError for sources that cannot be. */
export function machineFiles(machine: MachineChoice, policy: MonitorPolicy, { tables: devices, bootErrors }: Additions): ReadonlyMap<string, FwCfgFile> {
  const bert = bootErrors && bootErrorTable(bootErrors);
  const content: Readonly<Record<string, () => Uint8Array>> = {
    ...PLAIN_TABLES,
    ...Object.fromEntries(Object.entries(devices).map(([signature, table]) => [signature, () => table.slice()])),
    ...(bert && { BERT: () => bert.bytes, [BOOT_ERRORS]: () => bert.blob }),
  };
  const description: BuildDescription = {
    machine: machine.architecture === "x86" ? "q35" : "virt",
    ...sourcePart(machine, policy),
    tables: [
      { file: "DSDT" },
      { file: "FACP" },
      ...(hasSources(machine, policy) ? [{ hest: true as const }] : []),
      ...Object.keys(devices).map((file) => ({ file })),
      ...(bert ? [{ file: "BERT", pointers: bert.pointers }] : []),
    ],
    ...(bert && { files: { [BOOT_ERRORS]: { content: BOOT_ERRORS, alignment: BLOB_ALIGNMENT } } }),
  };
  return namingSources(() => buildHandOff(description, (name) => content[name]!()).files);
}
/** Where blobs of records begin, bytes. */
const BLOB_ALIGNMENT = 64;

/** Sources that cannot be are named as the scenario names them. */
export function namingSources<T>(body: () => T): T {
  try {
    return body();
  } catch (error) {
    if (!(error instanceof EncodeError)) throw error;
    const [path, problem] = [error.path, error.problem].map((text) => text.replaceAll("errorSources", "machine.sources"));
    throw new EncodeError(path!, problem!);
  }
}

/** What a monitor without firmware places. */
export function directParts(
  machine: MachineChoice,
  policy: MonitorPolicy,
  { tables, bootErrors }: Additions,
): Pick<DirectBootOptions, "errorSources" | "tables" | "bootErrors"> {
  const bert = bootErrors && bootErrorTable(bootErrors);
  return {
    tables: { ...plainTables(), ...tables, ...(bert && { BERT: bert.bytes }) },
    ...(bert && { bootErrors: bert.blob }),
    ...(hasSources(machine, policy) && { errorSources: descriptionOf(machine, policy) }),
  };
}
