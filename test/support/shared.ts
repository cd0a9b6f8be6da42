/** Real captures live beside the project, not in it: suites that need them are skipped, with a message, where they are absent. */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe } from "vitest";

export const SHARED = process.env["APEI_SHARED"] ?? fileURLToPath(new URL("../../../shared/", import.meta.url));
export const haveShared = existsSync(join(SHARED, "corpus"));
if (!haveShared) console.warn(`captures not found in ${SHARED}: the suites that need them are skipped`);

export const describeShared = describe.skipIf(!haveShared);
/** A capture; where there is none, empty: suites that are skipped are put together all the same. */
export const shared = (...path: string[]): Uint8Array => (haveShared ? new Uint8Array(readFileSync(join(SHARED, ...path))) : new Uint8Array(0));
export const sharedText = (...path: string[]): string => new TextDecoder().decode(shared(...path));
/** Names in a folder of the captures, sorted; none where it is absent. */
export const sharedNames = (path: string, filter: (name: string) => boolean = () => true): string[] =>
  existsSync(join(SHARED, path)) ? readdirSync(join(SHARED, path)).filter(filter).sort() : [];
