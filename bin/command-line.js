/**
 * Loads the command line: one script, with its compiled form kept beside it by the build, because compiling takes
 * longer than most commands do. Another version of Node refuses that form and compiles anew.
 */
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { fileURLToPath } from "node:url";
import vm from "node:vm";

const url = new URL("../dist/cli/apei.cjs", import.meta.url);
export const SCRIPT = fileURLToPath(url);
export const COMPILED = `${SCRIPT}.compiled`;

const read = (file, encoding) => {
  try {
    return readFileSync(file, encoding);
  } catch {
    return undefined;
  }
};

/** @returns `main`, and the script for the build to keep compiled; without a bundle the modules themselves. */
export async function load() {
  // The bundler writes ASCII only.
  const source = read(SCRIPT, "latin1");
  if (source === undefined) return import("../dist/cli/main.js");
  const script = new vm.Script(`(function (exports, require, module, importMetaUrl) {${source}\n})`, {
    filename: SCRIPT,
    cachedData: read(COMPILED),
  });
  const module = { exports: {} };
  script.runInThisContext()(module.exports, createRequire(url), module, url.href);
  return { main: module.exports.main, script };
}
