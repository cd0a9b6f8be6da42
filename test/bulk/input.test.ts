/** Where bulk input comes from: files, descriptors that make readers wait, and those that do not. */
import { spawnSync } from "node:child_process";
import { closeSync, constants, openSync, writeFileSync, writeSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, describe, expect, test } from "vitest";
import { openSource, readSome, type Source } from "../../src/cli/bulk-input.ts";
import type { Io } from "../../src/cli/io.ts";
import { testFolder } from "../support/folder.ts";

const folder = testFolder();

const io = (chunks: readonly string[], stdinFd?: number): Io => ({
  stdin: (async function* () {
    for (const chunk of chunks) yield new TextEncoder().encode(chunk);
  })(),
  ...(stdinFd !== undefined && { stdinFd }),
  stdout: { write: () => true },
  stderr: { write: () => true },
  env: {},
  importModule: (url) => import(url),
});
async function all(source: Source, size: number): Promise<string> {
  const buffer = new Uint8Array(size);
  let text = "";
  for (let length = await readSome(source, buffer); length > 0; length = await readSome(source, buffer))
    text += new TextDecoder().decode(buffer.subarray(0, length));
  source.close();
  return text;
}

const file = join(folder, "file");
beforeAll(() => writeFileSync(file, "0123456789"));

describe.each([true, false])("a reader that waits: %s", (waits) => {
  test("reads a file, from anywhere in it", async () => {
    expect(await all(await openSource(file, io([]), waits), 4)).toBe("0123456789");
    expect(await all(await openSource(file, io([]), waits, 7), 4)).toBe("789");
    expect(await all(await openSource(file, io([]), waits, 70), 4)).toBe("");
  });
  test("reads chunks that do not fit", async () => {
    expect(await all(await openSource("-", io(["01234", "", "56789"]), waits), 3)).toBe("0123456789");
    expect(await all(await openSource("-", io(["01234", "56789"]), waits, 6), 3)).toBe("6789");
  });
  test("names what cannot be read", async () => {
    await expect(openSource(join(folder, "nothing"), io([]), waits)).rejects.toThrow(/nothing: no such file$/);
  });
});

test("a file as standard input is read by its descriptor", async () => {
  const fd = openSync(file, "r");
  expect(await all(await openSource("-", io(["wrong"], fd), true), 4)).toBe("0123456789");
  closeSync(fd);
});

test.skipIf(process.platform === "win32")("standard input that does not let readers wait is read as a stream", async () => {
  const fifo = join(folder, "fifo");
  spawnSync("mkfifo", [fifo]);
  const reader = openSync(fifo, constants.O_RDONLY | constants.O_NONBLOCK);
  const writer = openSync(fifo, constants.O_WRONLY);
  writeSync(writer, "01234");
  expect(await all(await openSource("-", io(["567", "89"], reader), true), 100)).toBe("0123456789");
  closeSync(writer);
  closeSync(reader);
});
