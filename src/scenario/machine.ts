/** From what a scenario says of its machine to the files its firmware gets. */
import { buildTable } from "../acpi/build-tables.ts";
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

/** The sources a scenario's machine has. */
export const sourcesFor = (machine: MachineChoice | undefined, policy: MonitorPolicy): readonly Required<SourceChoice>[] =>
  (machine?.sources ?? DEFAULT_SOURCES[policy.handOff]).map((source) => ({ version: 2, vector: 0, pollInterval: 0, blockLength: BLOCK_LENGTH, ...source }));

/** Bytes of a FADT of revision 6 (ACPI 6.5 table 5.9). */
const FADT_LENGTH = 276;
/** Tables an operating system wants before it looks at any other: empty ones will do. */
const PLAIN_TABLES: Readonly<Record<string, () => Uint8Array>> = {
  DSDT: () => buildTable("DSDT", { header: { revision: 2 }, body: "" }),
  FACP: () => buildTable("FACP", { header: { revision: 6 }, body: "00".repeat(FADT_LENGTH - 36) }),
};

/** The fw_cfg files of the hand-off. @param devices tables of further devices by signature. @throws EncodeError for sources that cannot be. */
export function machineFiles(
  machine: MachineChoice,
  policy: MonitorPolicy,
  devices: Readonly<Record<string, Uint8Array>> = {},
): ReadonlyMap<string, FwCfgFile> {
  const errorSources = sourcesFor(machine, policy).map(
    ({ id, notification, version, vector, pollInterval, blockLength, ...more }): SourceDescription => ({
      id,
      notification: { type: notification, vector, pollInterval },
      blockLength,
      acknowledge: version === 2,
      ...more,
    }),
  );
  const description: BuildDescription = {
    machine: machine.architecture === "x86" ? "q35" : "virt",
    handOff: policy.handOff === "hardwareErrors" ? "hardwareErrors" : "hest",
    ...(machine.ras !== false && { errorSources }),
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
