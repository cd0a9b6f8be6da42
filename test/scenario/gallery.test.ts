import { readdirSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import { readScenario } from "../../src/scenario/read.ts";
import { runJson, runLines } from "../../src/scenario/report.ts";
import { runScenario } from "../../src/scenario/runner.ts";
import { sequenceDiagram } from "../../src/scenario/svg.ts";

const FOLDER = new URL("../../samples/scenarios/", import.meta.url);
const text = (name: string) => readFileSync(new URL(name, FOLDER), "utf8");
const NAMES = readdirSync(FOLDER)
  .filter((name) => name.endsWith(".json"))
  .map((name) => name.slice(0, -5));

describe.each(NAMES)("%s", (name) => {
  test("goes as written", async () => {
    const scenario = await readScenario(text(`${name}.json`));
    await expect(`${runLines(runScenario(scenario), false).join("\n")}\n`).toMatchFileSnapshot(fileURLToPath(new URL(`${name}.txt`, FOLDER)));
  });
  test("accounts for every error, and draws itself", async () => {
    const result = runScenario(await readScenario(text(`${name}.json`)));
    for (const { submitted, ...parts } of Object.values(result.accounts)) expect(Object.values(parts).reduce((sum, count) => sum + count, 0)).toBe(submitted);
    expect(() => JSON.stringify(runJson(result))).not.toThrow();
    const svg = sequenceDiagram(result.name, result.timeline, result.lanes);
    expect(svg.match(/<(circle|line x1="\d+" y1="\d+" x2="\d+" y2="\d+" stroke)/g)).toHaveLength(result.timeline.length);
    expect(svg).not.toMatch(/NaN|undefined/);
    for (const { from, to } of result.timeline) for (const lane of to ? [from, to] : [from]) expect(svg).toContain(`>${result.lanes[lane]}</text>`);
  });
});

test("the first sample is QEMU's record, byte for byte, at the address the firmware wrote back", async () => {
  const scenario = await readScenario(readFileSync(new URL("../memory-error.json", FOLDER), "utf8"));
  const result = runScenario(scenario);
  expect(result.records.map(({ bytes }) => bytes.length)).toEqual([172, 172]);
  expect(Buffer.from(result.records[0]!.bytes.subarray(108, 116)).readBigUInt64LE()).toBe(0x48a2d000n);
  expect(result.isolatedPages).toEqual([0x48a2dn, 0x49b3en]);
  const hest = result.timeline.find(({ what }) => what === "handOff")!.data!["address"];
  expect(result.timeline.find(({ what }) => what === "located")!.text).toContain(`HEST is walked at ${hest}`);
  const vcpus = result.timeline.filter(({ what }) => what === "delivered").map(({ data }) => data!["vcpu"]);
  expect(vcpus).toEqual([0, 1]);
});
