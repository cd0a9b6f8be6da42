/** The rooms of the house and who may ask whom: one way, lowest first. */
import { readdirSync, readFileSync } from "node:fs";
import { join, relative, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";

const SRC = fileURLToPath(new URL("../src/", import.meta.url));
const ROOMS = ["layout", "acpi", "cper", "loader", "arm64", "machine", "firmware", "guest", "host", "scenario", "input", "bulk", "check", "qemu", "cli"];
/** Rooms and files that run on Node only; everything else also runs in a browser. */
const NODE_ONLY = [/^cli\//, /^qemu\//, /-files?\.ts$/, /-worker\.ts$/];

const files = readdirSync(SRC, { recursive: true, encoding: "utf8" }).filter((name) => name.endsWith(".ts"));
const importsOf = (name: string): string[] => [...readFileSync(join(SRC, name), "utf8").matchAll(/(?:from|import\()\s*"([^"]+)"/g)].map((match) => match[1]!);

describe("src", () => {
  test("every folder is a room of the plan", () => {
    const rooms = new Set(files.filter((name) => name.includes("/")).map((name) => name.split("/")[0]));
    expect([...rooms].filter((room) => !ROOMS.includes(room!))).toEqual([]);
  });

  test("rooms import only from rooms below them", () => {
    const wrong: string[] = [];
    for (const name of files) {
      const room = ROOMS.indexOf(name.split("/")[0]!);
      if (room < 0) continue;
      for (const specifier of importsOf(name).filter((s) => s.startsWith("."))) {
        const target = relative(SRC, resolve(join(SRC, name), "..", specifier));
        const other = ROOMS.indexOf(target.split("/")[0]!);
        if (other < 0 || other > room) wrong.push(`${name} imports ${target}`);
      }
    }
    expect(wrong).toEqual([]);
  });

  test("no file imports itself by way of others", () => {
    const fixed = (name: string) => [...readFileSync(join(SRC, name), "utf8").matchAll(/from\s*"(\.[^"]+)"/g)].map((match) => match[1]!);
    const imports = new Map(files.map((name) => [name, fixed(name).map((specifier) => relative(SRC, resolve(join(SRC, name), "..", specifier)))]));
    // What imports nothing that is left cannot be part of a circle.
    for (let size = -1; size !== imports.size; ) {
      size = imports.size;
      for (const [name, targets] of [...imports]) if (!targets.some((target) => imports.has(target))) imports.delete(name);
    }
    expect([...imports.keys()]).toEqual([]);
  });

  test("only the command line, the QEMU driver and file readers need Node", () => {
    const wrong = files.filter(
      (name) => !NODE_ONLY.some((pattern) => pattern.test(name)) && importsOf(name).some((specifier) => specifier.startsWith("node:")),
    );
    expect(wrong).toEqual([]);
  });

  test("only the layout room knows binary-parser", () => {
    expect(files.filter((name) => !name.startsWith("layout/") && importsOf(name).includes("binary-parser"))).toEqual([]);
  });

  test("files are named in kebab case", () => {
    expect(files.filter((name) => !/^[a-z0-9-]+(\/[a-z0-9-]+)*(\.d)?\.ts$/.test(name))).toEqual([]);
  });
});
