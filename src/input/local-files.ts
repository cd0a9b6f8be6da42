/** Files and folders of this machine: making a folder, and why something cannot be done, in words. */
import { existsSync, mkdirSync } from "node:fs";
import { dirname } from "node:path";
import { UsageError } from "../layout/index.ts";

/** Why a file cannot be read or written. */
export const fileProblem = (error: unknown): string => {
  const code = (error as NodeJS.ErrnoException).code;
  const words: Record<string, string> = {
    ENOENT: "no such file",
    EISDIR: "is a folder",
    EACCES: "permission denied",
    ENOTDIR: "not a folder",
    ENOSPC: "no space left",
    EEXIST: "exists already",
  };
  return (code !== undefined && words[code]) || (error instanceof Error ? error.message : String(error));
};

/**
 * Make a folder and those above it: Node's own recursive form never returns where the system refuses one as missing, as in /proc.
 * @throws UsageError naming the folder.
 */
export function makeFolder(path: string): void {
  if (existsSync(path)) return;
  makeFolder(dirname(path));
  try {
    mkdirSync(path);
  } catch (error) {
    throw new UsageError(`${path}: ${fileProblem(error)}`);
  }
}
