/** The recipes of docs/bulk.md, run as they stand there. */
import { execFileSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { DuckDBInstance } from "@duckdb/node-api";
import { beforeAll, expect, test } from "vitest";
import { testFolder } from "../support/folder.ts";
import { describeShared, SHARED } from "../support/shared.ts";

const root = fileURLToPath(new URL("../../", import.meta.url));
const folder = testFolder();
const input = join(SHARED, "corpus/libcper/generated-24000.bin");
const document = readFileSync(join(root, "docs/bulk.md"), "utf8");
const fenced = (language: string) => [...document.matchAll(new RegExp(`^\`\`\`${language}\\n(.*?)^\`\`\`$`, "gms"))].map((match) => match[1]!);
const apei = (...args: string[]) =>
  execFileSync(process.execPath, [join(root, "bin/apei.js"), ...args], { maxBuffer: 1 << 28, stdio: ["ignore", "pipe", "ignore"] });

describeShared("bulk recipes", () => {
  beforeAll(() => {
    apei("decode", "--format", "parquet", "--out", join(folder, "records.parquet"), input);
    writeFileSync(join(folder, "records.ndjson"), apei("decode", "--ndjson", input));
  }, 120_000);

  test("every query of the DuckDB recipe runs and counts what is there", async () => {
    const connection = await (await DuckDBInstance.create(":memory:")).connect();
    const ask = async (query: string) =>
      (await connection.runAndReadAll(query.replaceAll("'records.", `'${folder}/records.`))).getRowObjectsJson() as Record<string, string>[];
    const queries = fenced("sql")
      .join("\n")
      .split(";")
      .map((query) => query.trim())
      .filter((query) => query !== "");
    expect(queries.length).toBe(3);
    const [modules, kinds, severities] = await Promise.all(queries.map(ask));
    expect(modules!.length).toBeGreaterThan(10);
    expect(kinds!.length).toBeGreaterThan(3);
    expect(severities!.reduce((sum, row) => sum + Number(row["count_star()"]), 0)).toBe(24000);
    const [bounds] = await ask("SELECT count(DISTINCT record_offset)::INT AS records, max(record_offset)::VARCHAR AS last FROM 'records.parquet'");
    expect(bounds).toEqual({ records: 24000, last: expect.any(String) });
    // 64-bit numbers with the top bit set are neither negative nor lost by the file's statistics.
    const all = await ask("SELECT physical_address::VARCHAR AS a FROM 'records.parquet' WHERE physical_address IS NOT NULL");
    const high = all.filter((row) => BigInt(row["a"]!) >= 1n << 63n);
    expect(high.length).toBeGreaterThan(0);
    const [found] = await ask(`SELECT count(*)::INT AS n FROM 'records.parquet' WHERE physical_address >= 9223372036854775808`);
    expect(found!["n"]).toBe(high.length);
  }, 120_000);

  test("the checkpoint recipe loses and doubles nothing when it is interrupted", () => {
    const script = join(folder, "resume.sh");
    writeFileSync(script, fenced("sh").at(-1)!);
    const whole = join(folder, "whole");
    const broken = join(folder, "broken");
    writeFileSync(join(folder, "apei"), `#!/bin/sh\nexec "${process.execPath}" "${root}bin/apei.js" "$@"\n`, { mode: 0o755 });
    const run = (out: string) =>
      execFileSync("sh", [script, input, out], { env: { ...process.env, PATH: `${folder}:${process.env["PATH"]}` }, stdio: ["ignore", "pipe", "ignore"] });
    run(whole);
    const text = readFileSync(whole, "utf8");
    expect(text.split("\n").length).toBeGreaterThan(24000);
    for (const cut of [1, 5000, 100_001, text.length - 3]) {
      writeFileSync(broken, text.slice(0, cut));
      run(broken);
      expect(readFileSync(broken, "utf8") === text, `cut at ${cut}`).toBe(true);
    }
  }, 240_000);
});
