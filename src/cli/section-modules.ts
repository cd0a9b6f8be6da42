/** Section types from outside the package: modules named with `--sections`. */
import { resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { sectionTypes } from "../cper/registry.ts";
import { SectionRegistry, type SectionType, UsageError } from "../layout/index.ts";
import type { Io } from "./io.ts";

const isSectionType = (value: unknown): value is SectionType =>
  typeof value === "object" &&
  value !== null &&
  Array.isArray((value as SectionType).guids) &&
  typeof (value as SectionType).name === "string" &&
  typeof (value as SectionType).layout === "object";

/**
 * The package's section types and those that the modules export, under any name, alone or in lists.
 * @param modules paths of JavaScript modules, relative to the current folder.
 * @throws UsageError for a module that cannot be loaded, exports none, or takes a name or GUID that is taken.
 */
export async function registryWith(modules: readonly string[], io: Pick<Io, "importModule">): Promise<SectionRegistry> {
  if (modules.length === 0) return sectionTypes;
  const registry = new SectionRegistry(sectionTypes);
  for (const module of modules) {
    let found: SectionType[];
    try {
      const exported = await io.importModule(pathToFileURL(resolve(module)).href);
      found = [...new Set(Object.values(exported).flat())].filter(isSectionType);
    } catch (error) {
      throw new UsageError(`${module}: ${error instanceof Error ? error.message : String(error)}`);
    }
    if (found.length === 0) throw new UsageError(`${module}: exports no section type (an object with guids, name, title and layout)`);
    try {
      for (const type of found) registry.add(type);
    } catch (error) {
      throw new UsageError(`${module}: ${(error as Error).message}`);
    }
  }
  return registry;
}
