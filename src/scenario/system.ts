/** Which operating system a scenario's machine runs. */
import { type OperatingSystem, SYSTEMS, type SystemName } from "../guest/operating-system.ts";
import { UsageError } from "../layout/index.ts";
import type { SystemChoice } from "./language/arm64.ts";

export interface RunningSystem extends OperatingSystem {
  readonly preset: SystemName;
}
/** What can be said of Linux; the rest of it is as it is. */
const OF_LINUX: ReadonlySet<string> = new Set(["preset", "name", "iesb", "memoryFailure"]);

/** The system a scenario names, with its changes. @throws UsageError for changes that no model follows. */
export function systemOf({ system, name, iesb, memoryFailure }: SystemChoice): RunningSystem {
  const named = typeof system === "object" ? system.name : name;
  const preset = typeof system === "string" ? system : (system?.preset ?? (named === undefined || named === SYSTEMS.linux.name ? "linux" : "thorough"));
  const changes = typeof system === "object" ? system : {};
  const beyond = preset === "linux" ? Object.keys(changes).find((member) => !OF_LINUX.has(member)) : undefined;
  if (beyond !== undefined) throw new UsageError(`guest.system.${beyond}: Linux is modelled as it is; begin with another preset to change that`);
  return {
    ...SYSTEMS[preset],
    ...changes,
    ...(name !== undefined && { name }),
    ...(iesb !== undefined && { iesb }),
    ...(memoryFailure !== undefined && { memoryFailure }),
    preset,
  };
}
