/** The bulk reader as a process: what people type, and what a pipe sees. */
import { spawnSync } from "node:child_process";
import { existsSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { Readable } from "node:stream";
import { setTimeout } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { beforeAll, expect, test } from "vitest";
import { decodeBulk } from "../../src/cli/bulk-files.ts";
import type { Io } from "../../src/cli/io.ts";
import { testFolder } from "../support/folder.ts";
import { describeShared, shared } from "../support/shared.ts";

const bin = fileURLToPath(new URL("../../bin/apei.js", import.meta.url));
const folder = testFolder();
const input = join(folder, "records.bin");
const apei = (words: string[], stdin?: Uint8Array) => spawnSync(process.execPath, [bin, ...words], { input: stdin ?? new Uint8Array(0), maxBuffer: 1 << 28 });
/** What `decode --ndjson` prints with several threads from the first byte on, as it does for longer inputs. */
async function threaded(jobs: number, stdin: Uint8Array, file = "-"): Promise<Buffer> {
  const lines: Uint8Array[] = [];
  const stdout = {
    write: (chunk: string | Uint8Array, done?: () => void) => {
      lines.push(Buffer.from(chunk as Uint8Array));
      done?.();
      return true;
    },
  };
  const pieces = async function* () {
    yield stdin.subarray(0, 1000);
    // The other threads have started by now.
    await setTimeout(200);
    yield stdin.subarray(1000);
  };
  const io: Io = { stdin: Readable.from(pieces()), stdout, stderr: { write: () => true }, env: {}, importModule: (url) => import(url) };
  await decodeBulk([file], { format: "ndjson", jobs, threadsFrom: 0, strict: false, sections: [] }, io);
  return Buffer.concat(lines);
}

describeShared("decode --ndjson", () => {
  const bytes = () => shared("corpus/libcper/generated-24000.bin").slice(0, 400_000);
  beforeAll(() => writeFileSync(input, bytes()));

  test("gives the lines in order, whatever the number of threads, and encodes back", async () => {
    const one = apei(["decode", "--ndjson", input]);
    expect(one.stderr.toString()).toMatch(/^\d+ records, 1 problem\n$/);
    expect(one.status).toBe(1);
    expect((await threaded(2, bytes())).equals(one.stdout)).toBe(true);
    expect(apei(["decode", "--ndjson", "--jobs", "2", "-"], bytes()).stdout.equals(one.stdout)).toBe(true);
    expect(new Uint8Array(apei(["encode", "--ndjson", "-"], one.stdout).stdout)).toEqual(bytes());
  });
  test("damage is met the same way, whatever the number of threads and however the bytes arrive", async () => {
    const sound = bytes();
    const starts: number[] = [];
    for (let at = 0; at + 24 < sound.length; at += new DataView(sound.buffer).getUint32(at + 20, true)) starts.push(at);
    const half = starts[starts.length >> 1]!;
    const damaged = Buffer.concat([
      Buffer.alloc(70_000, 0x43), // junk longer than one line holds
      sound.subarray(0, half),
      Buffer.alloc(200_000, 0xff), // junk longer than a batch
      sound.subarray(starts[3]!, starts[5]! - 7), // a record that lost its end
      sound.subarray(half, starts.at(-1)! + 150),
    ]);
    writeFileSync(input, damaged);
    const one = apei(["decode", "--ndjson", input]);
    expect(one.stderr.toString()).toMatch(/^\d+ records, \d+ problems\n$/);
    expect(apei(["decode", "--ndjson", "-"], damaged).stdout.equals(one.stdout)).toBe(true);
    expect((await threaded(2, damaged)).equals(one.stdout)).toBe(true);
    expect((await threaded(3, damaged, input)).equals(one.stdout)).toBe(true);
    expect(Buffer.compare(apei(["encode", "--ndjson", "-"], one.stdout).stdout, damaged)).toBe(0);
    writeFileSync(input, sound);
  });
  test("a record larger than a batch is one line", async () => {
    const length = new DataView(bytes().buffer).getUint32(20, true);
    const record = Buffer.concat([bytes().subarray(0, length), Buffer.alloc(1_500_000, 0x5a)]);
    record.writeUInt32LE(record.length, 20);
    const both = Buffer.concat([record, record]);
    const one = apei(["decode", "--ndjson", "-"], both);
    expect(one.stderr.toString()).toBe("2 records, 0 problems\n");
    expect((await threaded(2, both)).equals(one.stdout)).toBe(true);
    expect(Buffer.compare(apei(["encode", "--ndjson", "-"], one.stdout).stdout, both)).toBe(0);
  });
  test("a line is what --json says of the record alone", () => {
    const length = new DataView(bytes().buffer).getUint32(20, true);
    const single = JSON.parse(apei(["decode", "--json", "-"], bytes().slice(0, length)).stdout.toString()) as Record<string, unknown>;
    delete single["input"];
    expect(apei(["decode", "--ndjson", "-"], bytes().slice(0, length)).stdout.toString()).toBe(`${JSON.stringify(single)}\n`);
  });
  test("--strict stops at damage, and leaves no half-written file", () => {
    const out = join(folder, "strict.ndjson");
    const result = apei(["decode", "--ndjson", "--strict", "--out", out, input]);
    expect(result.status).toBe(2);
    expect(result.stderr.toString()).toMatch(/records\.bin at 0x[0-9a-f]+: the stream ends/);
    expect(existsSync(out)).toBe(false);
    expect(readdirSync(folder).filter((name) => name.includes("part"))).toEqual([]);
  });
  test("what cannot be used is said at once", () => {
    expect(apei(["decode", "--ndjson", join(folder, "nothing")]).stderr.toString()).toMatch(/nothing: no such file/);
    expect(apei(["decode", "--ndjson", "--where", "sverity=1", input]).stderr.toString()).toMatch(/--where sverity=1: write FIELD=VALUE/);
    expect(apei(["decode", "--format", "parquet", input]).stderr.toString()).toMatch(/--out/);
    expect(apei(["encode", "--ndjson", "-"], Buffer.from('{"format":"raw","bytes":"00"}\n{"format":"raw","bytes":"0"}\n')).stderr.toString()).toMatch(
      /^apei: - line 2: /,
    );
  });
});
