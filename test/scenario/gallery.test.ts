import { readdirSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import { readScenario } from "../../src/scenario/read.ts";
import { runJson, runLines } from "../../src/scenario/report.ts";
import { type RunResult, runScenario } from "../../src/scenario/runner.ts";
import type { Scenario } from "../../src/scenario/schema.ts";
import { sequenceDiagram } from "../../src/scenario/svg.ts";
import { GALLERY, galleryDocument, galleryNames, galleryText } from "./gallery-document.ts";

const FOLDER = GALLERY;
const text = galleryText;
const NAMES = galleryNames();
const EXPECTED = readdirSync(FOLDER).flatMap((name) => (name.endsWith(".txt") ? [name.slice(0, -4)] : []));
const results = new Map<string, RunResult>();
/** Each scenario is run once: a run depends on nothing but its scenario. */
const run = async (name: string): Promise<RunResult> => {
  const result = results.get(name) ?? runScenario(await readScenario(text(`${name}.json`)));
  results.set(name, result);
  return result;
};

test("every timeline belongs to a scenario, and every scenario says what it shows", () => {
  expect(NAMES).toEqual(expect.arrayContaining(EXPECTED));
  for (const name of NAMES) expect((JSON.parse(text(`${name}.json`)) as Scenario).about?.length ?? 0, name).toBeGreaterThan(20);
});

test("the table of the gallery lists every scenario once (vitest -u writes it)", async () => {
  const document = galleryDocument();
  for (const name of NAMES) expect(document.split(`[${name}](`).length, name).toBe(2);
  await expect(document).toMatchFileSnapshot(fileURLToPath(new URL("../../docs/scenarios.md", import.meta.url)));
});

/** Linux 7.2 drivers/acpi/apei/ghes.c: which notification types it binds a driver to, and so reads records of. */
test.each([
  ["00-polled", true],
  ["01-external-interrupt", true],
  ["02-local-interrupt", false],
  ["03-sci", true],
  ["04-nmi", true],
  ["05-cmci", false],
  ["06-mce", false],
  ["07-gpio-signal", true],
  ["08-sea", true],
  ["09-sei", false],
  ["10-gsiv", true],
  ["11-sdei", true],
])("notification type %s: read by Linux %s", async (type, reads) => {
  const { unread, records, timeline } = await run(`notification-${type}`);
  expect([unread.length === 0, records.length > 0]).toEqual([reads, reads]);
  expect(timeline.some(({ what }) => what === "delivered")).toBe(true);
});

/** What becomes of the errors, counted by hand from the scenario's events. */
test.each([
  ["queue-drop-newest", 1, { submitted: 5, written: 3, dropped: 2 }],
  ["queue-drop-oldest", 1, { submitted: 4, written: 3, dropped: 1 }],
  ["refuse-until-acknowledged", 1, { submitted: 3, written: 2, refused: 1 }],
  ["overflow-flag", 1, { submitted: 3, written: 2, overflowed: 1 }],
  ["block-too-long", 0, { submitted: 2, written: 1, refused: 1 }],
  ["shared-acknowledge-preserved-bits", 1, { submitted: 2, written: 2 }],
  ["shared-acknowledge-bit-offset", 0, { submitted: 2, written: 1, waiting: 1 }],
  ["shared-acknowledge-same-bit", 1, { submitted: 2, written: 2 }],
  ["shared-acknowledge-race", 1, { submitted: 2, written: 1, overwritten: 1 }],
  ["shared-acknowledge-race-safe", 1, { submitted: 2, written: 2 }],
  ["shared-acknowledge-values", 1, { submitted: 2, written: 2 }],
  ["guest-writes-acknowledge", 0, { submitted: 2, written: 1, overwritten: 1 }],
])("%s: source %i", async (name, source, account) => {
  expect((await run(name)).accounts[source]).toMatchObject(account);
});

test("acknowledging one source keeps the other's bit, unless a bit offset shifts the mask past it", async () => {
  const words = async (name: string) => (await run(name)).timeline.flatMap(({ text: words }) => /it reads (0x[0-9a-f]+) now/.exec(words)?.[1] ?? []);
  expect(await words("shared-acknowledge-preserved-bits")).toEqual(["0x101", "0x101", "0x101"]);
  expect(await words("shared-acknowledge-bit-offset")).toEqual(["0x101", "0x100"]);
  expect(await words("shared-acknowledge-values")).toEqual(["0x1", "0x2", "0x3", "0x2"]);
});

describe.each(NAMES)("%s", (name) => {
  test("goes as written", async () => {
    await expect(`${runLines(await run(name), false).join("\n")}\n`).toMatchFileSnapshot(fileURLToPath(new URL(`${name}.txt`, FOLDER)));
  });
  test("accounts for every error, and draws itself", async () => {
    const result = await run(name);
    for (const { submitted, ...parts } of Object.values(result.accounts)) expect(Object.values(parts).reduce((sum, count) => sum + count, 0)).toBe(submitted);
    expect(() => JSON.stringify(runJson(result))).not.toThrow();
    const svg = sequenceDiagram(result.name, result.timeline, result);
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
