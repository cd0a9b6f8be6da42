/** The schemas in `schemas/` are those the layouts give; `vitest --update` writes them anew. */
import { existsSync, readdirSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { Ajv2020 } from "ajv/dist/2020.js";
import { describe, expect, test } from "vitest";
import { documentsOf } from "../../src/input/document.ts";
import { Dice, generateBytes } from "../../src/input/generate.ts";
import { schemas } from "../../src/input/schemas.ts";
import { describeShared, shared, sharedNames } from "../support/shared.ts";

const folder = fileURLToPath(new URL("../../schemas/", import.meta.url));
const documents = documentsOf();
const all = schemas(documents);
/** Schemas that are not of documents. */
const DESCRIPTIONS = ["build-description.schema.json", "scenario.schema.json"];

describe("schemas/", () => {
  test.each([...all.keys()])("%s", async (name) => {
    if (process.env["CI"]) expect(existsSync(folder + name), `${name} is missing`).toBe(true);
    await expect(`${JSON.stringify(all.get(name)!(), null, 2)}\n`).toMatchFileSnapshot(folder + name);
  });
  test("holds nothing else", () => {
    expect(readdirSync(folder).filter((name) => !all.has(name) && !DESCRIPTIONS.includes(name))).toEqual([]);
  });
});

const ajv = new Ajv2020({ strict: false, code: { optimize: false } });
for (const make of all.values()) ajv.addSchema(make());
const accepts = ajv.getSchema("content.schema.json")!;
const check = (bytes: Uint8Array, options = {}) => {
  const document = documents.read(bytes, options);
  const json = { input: { file: "-" }, ...JSON.parse(JSON.stringify(documents.toJson(document))) };
  if (!accepts(json)) expect.fail(`${JSON.stringify(accepts.errors?.slice(0, 3))} for ${JSON.stringify(json).slice(0, 2000)}`);
};

describe("everything that is written is accepted", () => {
  test("generated records, blocks and sections of every type", () => {
    const dice = new Dice(3);
    for (const type of documents.registry) {
      check(generateBytes("record", [type], dice));
      check(generateBytes("block", [type], dice));
      check(generateBytes("section", [type], dice), { section: type.name });
    }
  });
  test("broken ones", () => {
    const dice = new Dice(4);
    for (const type of documents.registry) {
      const bytes = generateBytes("record", [type], dice);
      for (let i = 0; i < 5; i++) bytes[dice.below(bytes.length)] = dice.below(256);
      check(bytes.slice(0, dice.below(bytes.length)));
      check(bytes);
    }
  });
  describeShared("real files", () => {
    for (const path of [
      "corpus/whea-cper",
      "corpus/whea-event",
      "corpus/acpi-other",
      "corpus/acpi-linuxhw",
      "corpus/cper-other",
      "guest/erst",
      "captures/virt-aarch64-ras-11.1",
    ])
      test.each(sharedNames(path, (name) => /\.bin$|^etc_/.test(name)))(`${path}/%s`, (name) => {
        check(shared(path, name));
      });
  });
});
