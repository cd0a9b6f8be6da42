/** Room for the files of a test. */
import { randomBytes } from "node:crypto";
import { mkdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll } from "vitest";

/** A folder that is there while the tests of the file or suite that asks for it run, and is removed with all that is in it. */
export function testFolder(): string {
  const folder = join(tmpdir(), `apei-test-${randomBytes(6).toString("hex")}`);
  // Not before: where all tests are skipped nothing removes it either.
  beforeAll(() => void mkdirSync(folder));
  afterAll(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}
