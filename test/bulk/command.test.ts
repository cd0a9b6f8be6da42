/** The bulk reader as a process: what people type, and what a pipe sees. */
import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, expect, test } from "vitest";
import { describeShared, shared } from "../support/shared.ts";

const bin = fileURLToPath(new URL("../../bin/apei.js", import.meta.url));
const folder = mkdtempSync(join(tmpdir(), "apei-bulk-"));
const input = join(folder, "records.bin");
const apei = (words: string[], stdin?: Uint8Array) => spawnSync(process.execPath, [bin, ...words], { input: stdin ?? new Uint8Array(0), maxBuffer: 1 << 28 });
afterAll(() => rmSync(folder, { recursive: true, force: true }));

describeShared("decode --ndjson", () => {
  const bytes = () => shared("corpus/libcper/generated-24000.bin").slice(0, 400_000);
  beforeAll(() => writeFileSync(input, bytes()));

  test("gives the lines in order, whatever the number of threads, and encodes back", () => {
    const one = apei(["decode", "--ndjson", input]);
    expect(one.stderr.toString()).toMatch(/^\d+ records, 1 problems\n$/);
    expect(one.status).toBe(1);
    const two = apei(["decode", "--ndjson", "--jobs", "2", "-"], bytes());
    expect(two.stdout.equals(one.stdout)).toBe(true);
    expect(new Uint8Array(apei(["encode", "--ndjson", "-"], one.stdout).stdout)).toEqual(bytes());
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
