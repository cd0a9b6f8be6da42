/** Output files: whole or not at all, whatever has the name already. */
import { spawn, spawnSync } from "node:child_process";
import { lstatSync, mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { WholeFile, writeWhole } from "../../src/cli/files.ts";
import { testFolder } from "../support/folder.ts";

const folder = testFolder();
const at = (name: string) => join(folder, name);

describe("a whole file", () => {
  test("is there when it is done, in folders that it makes", async () => {
    const file = new WholeFile(at("new/folder/file"));
    await file.append("first ");
    await file.append(new TextEncoder().encode("second"));
    expect(readdirSync(at("new/folder")).filter((name) => name === "file")).toEqual([]);
    await file.close(true);
    expect(readdirSync(at("new/folder"))).toEqual(["file"]);
    expect(readFileSync(at("new/folder/file"), "utf8")).toBe("first second");
  });
  test("leaves what was there when it is not", async () => {
    writeFileSync(at("kept"), "old");
    const file = new WholeFile(at("kept"));
    await file.append("new");
    await file.close(false);
    expect(readFileSync(at("kept"), "utf8")).toBe("old");
    expect(readdirSync(folder).filter((name) => name.includes("kept"))).toEqual(["kept"]);
  });
  test("leaves nothing when a signal ends the program that writes it", async () => {
    const source = `import { WholeFile } from ${JSON.stringify(new URL("../../dist/cli/files.js", import.meta.url).href)};
      await new WholeFile(${JSON.stringify(at("ended"))}).append("x");
      console.log("written");
      setTimeout(() => {}, 60_000);`;
    const child = spawn(process.execPath, ["--input-type=module", "--eval", source]);
    const ended = new Promise((resolve) => child.on("exit", (_, signal) => resolve(signal)));
    await new Promise((resolve) => child.stdout.once("data", resolve));
    expect(readdirSync(folder).some((name) => name.includes("ended"))).toBe(true);
    child.kill("SIGTERM");
    expect(await ended).toBe("SIGTERM");
    expect(readdirSync(folder).some((name) => name.includes("ended"))).toBe(false);
  });
  test("takes the place of what a link leads to, not of the link", async () => {
    mkdirSync(at("elsewhere"));
    writeFileSync(at("elsewhere/target"), "old");
    symlinkSync(at("elsewhere/target"), at("link"));
    await writeWhole(at("link"), "new");
    expect(lstatSync(at("link")).isSymbolicLink()).toBe(true);
    expect(readFileSync(at("elsewhere/target"), "utf8")).toBe("new");
  });
  test.skipIf(process.platform === "win32")("goes into a pipe, which stays one", async () => {
    spawnSync("mkfifo", [at("pipe")]);
    const reader = spawn("cat", [at("pipe")]);
    let read = "";
    reader.stdout.on("data", (chunk: Buffer) => {
      read += chunk.toString();
    });
    const ended = new Promise((resolve) => reader.on("close", resolve));
    await writeWhole(at("pipe"), "through");
    await ended;
    expect(read).toBe("through");
    expect(lstatSync(at("pipe")).isFIFO()).toBe(true);
  });
  test("is no folder", async () => {
    mkdirSync(at("taken"));
    await expect(writeWhole(at("taken"), "x")).rejects.toThrow(`${at("taken")}: is a folder`);
    await expect(writeWhole(at("kept/x"), "x")).rejects.toThrow(/kept.*: /);
  });
});
