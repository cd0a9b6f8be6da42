/** Bundles the command line into one script and keeps its compiled form; run after tsc. */
import { rmSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";
import { COMPILED, load, SCRIPT } from "./command-line.js";

const project = (path) => fileURLToPath(new URL(`../${path}`, import.meta.url));

rmSync(COMPILED, { force: true });
await build({
  entryPoints: [project("dist/cli/main.js")],
  outfile: SCRIPT,
  bundle: true,
  platform: "node",
  target: "node20.19",
  format: "cjs",
  charset: "ascii",
  minifySyntax: true,
  minifyWhitespace: true,
  // A script that was compiled before cannot import; what is part of the package is in the bundle.
  supported: { "dynamic-import": false },
  define: { "import.meta.url": "importMetaUrl" },
  logLevel: "warning",
});

// Functions are kept compiled only if they have run, and those that are kept cost time too: have the usual ones run.
const { main, script } = await load();
const silent = { write: () => true };
const io = { stdin: [], stdout: silent, stderr: silent, env: {}, importModule: (url) => import(url) };
const record = project("test/input/wrapped/record.bin");
for (const words of [["--help"], ["decode", "--help"], ["decode", record], ["decode", record, "--json"]]) await main(words, io);
writeFileSync(COMPILED, script.createCachedData());
