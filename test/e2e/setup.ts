/** Once, before all suites: fetch what is missing, and say what is skipped. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TestProject } from "vitest/node";
import { prepare, TARGETS } from "./targets.ts";

declare module "vitest" {
  interface ProvidedContext {
    /** Machines that cannot be had. */
    skipped: readonly string[];
    /** Folder in which the tables of machines are kept meanwhile. */
    tables: string;
  }
}

export default async function setup(project: TestProject): Promise<() => void> {
  const skipped: string[] = [];
  for (const target of TARGETS) {
    const state = await prepare(target);
    if (typeof state !== "string") continue;
    console.warn(`${target} is skipped: ${state}`);
    skipped.push(target);
  }
  project.provide("skipped", skipped);
  const tables = mkdtempSync(join(tmpdir(), "apei-e2e-tables-"));
  project.provide("tables", tables);
  return () => rmSync(tables, { recursive: true, force: true });
}
