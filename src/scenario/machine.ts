/** From what a scenario says of its machine to the files its firmware gets. */
import { buildTable } from "../acpi/build-tables.ts";
import type { DirectBootOptions } from "../host/direct-boot.ts";
import { type MonitorPolicy, PRESETS } from "../host/monitor.ts";
import { UsageError } from "../layout/index.ts";
import { buildHandOff } from "../loader/build.ts";
import type { BuildDescription, SourceDescription } from "../loader/description.ts";
import type { FwCfgFile } from "../loader/fw-cfg.ts";
import type { MachineChoice, MonitorChoice, SourceChoice } from "./schema.ts";

/** The policy a scenario names, with its changes. */
export function policyOf(choice: MonitorChoice = "qemu-10.2"): MonitorPolicy {
  if (typeof choice === "string") return PRESETS[choice];
  const { preset, recording, ...changes } = choice;
  const base: MonitorPolicy = PRESETS[preset];
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

/** A source with everything said but how it is acknowledged, where that needs no words. */
type CompleteSource = Required<Omit<SourceChoice, "acknowledge">> & Pick<SourceChoice, "acknowledge">;

/** The sources a scenario's machine has. */
export const sourcesFor = (machine: MachineChoice | undefined, policy: MonitorPolicy): readonly CompleteSource[] =>
  (machine?.sources ?? DEFAULT_SOURCES[policy.handOff]).map((source) => ({ version: 2, vector: 0, pollInterval: 0, blockLength: BLOCK_LENGTH, ...source }));

/** Bytes of a FADT of revision 6 (ACPI 6.5 table 5.9). */
const FADT_LENGTH = 276;
/** Tables an operating system wants before it looks at any other: empty ones will do. */
const PLAIN_TABLES: Readonly<Record<string, () => Uint8Array>> = {
  DSDT: () => buildTable("DSDT", { header: { revision: 2 }, body: "" }),
  FACP: () => buildTable("FACP", { header: { revision: 6 }, body: "00".repeat(FADT_LENGTH - 36) }),
};

const descriptionOf = (machine: MachineChoice, policy: MonitorPolicy): readonly SourceDescription[] =>
  sourcesFor(machine, policy).map(({ id, notification, version, vector, pollInterval, blockLength, acknowledge, ...more }) => ({
    id,
    notification: { type: notification, vector, pollInterval },
    blockLength,
    acknowledge: version === 2 && (acknowledge ?? true),
    ...more,
  }));

/** The fw_cfg files of the hand-off. @param devices tables of further devices by signature. @throws EncodeError for sources that cannot be. */
export function machineFiles(
  machine: MachineChoice,
  policy: MonitorPolicy,
  devices: Readonly<Record<string, Uint8Array>> = {},
): ReadonlyMap<string, FwCfgFile> {
  const description: BuildDescription = {
    machine: machine.architecture === "x86" ? "q35" : "virt",
    handOff: policy.handOff === "hardwareErrors" ? "hardwareErrors" : "hest",
    ...(machine.ras !== false && { errorSources: descriptionOf(machine, policy) }),
    tables: [
      { file: "DSDT" },
      { file: "FACP" },
      ...(machine.ras !== false ? [{ hest: true as const }] : []),
      ...Object.keys(devices).map((file) => ({ file })),
    ],
  };
  return buildHandOff(description, (name) => {
    const table = devices[name] ? () => devices[name]! : PLAIN_TABLES[name];
    if (!table) throw new UsageError(`there is no table ${name}`);
    return table().slice();
  }).files;
}

/** What a monitor without firmware places. @param devices tables of further devices by signature. */
export function directParts(
  machine: MachineChoice,
  policy: MonitorPolicy,
  devices: Readonly<Record<string, Uint8Array>>,
): Pick<DirectBootOptions, "errorSources" | "tables"> {
  const plain = Object.fromEntries(Object.entries(PLAIN_TABLES).map(([signature, make]) => [signature, make()]));
  return { tables: { ...plain, ...devices }, ...(machine.ras !== false && { errorSources: descriptionOf(machine, policy) }) };
}
