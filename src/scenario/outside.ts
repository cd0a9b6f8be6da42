/** What a run gets from outside its scenario. */
import { UsageError } from "../layout/index.ts";
import type { ReadFile } from "../loader/build.ts";

export interface Outside {
  /** Reads a file the scenario names, relative to it. Default: no file can be read. */
  readonly read?: ReadFile;
  /** The error record store an earlier run left: it takes the place of what the scenario begins with. */
  readonly store?: Uint8Array;
}

export const readerOf = ({ read }: Outside): ReadFile =>
  read ??
  ((path) => {
    throw new UsageError(`${path}: this scenario names a file, and there is nobody to read it`);
  });
