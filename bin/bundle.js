/** Bundles the command line into a script, and packages that few commands need into others, and keeps their compiled forms; run after tsc. */
const { readFileSync, rmSync, writeFileSync } = require("node:fs");
const { join } = require("node:path");
const { build } = require("esbuild");
const { compiledOf, ENTRIES, fileOf, load, loaded, PACKAGES, PARAMETERS } = require("./command-line.js");

const project = (path) => join(__dirname, "..", path);

const bundle = (name, input) =>
  build({
    ...input,
    outfile: fileOf(name),
    bundle: true,
    platform: "node",
    target: "node20.19",
    format: "cjs",
    charset: "ascii",
    minify: true,
    // A script that was compiled before cannot import; what is part of the package is in the bundle.
    supported: { "dynamic-import": false },
    define: { "import.meta.url": "importMetaUrl" },
    banner: { js: `(function (${PARAMETERS}) {` },
    footer: { js: "})" },
    logLevel: "warning",
  });

/** Functions are kept compiled only if they have run, and those that are kept cost time too: have the usual ones run. */
async function warmUp() {
  const { main } = await load("main");
  const { memoryRecord } = await import("../dist/host/memory-record.js");
  const address = 0x12345000n;
  const block = memoryRecord({ physicalAddress: address, virtualAddress: address, severity: "recoverable" });
  const silent = { write: (_, done) => done?.() ?? true };
  const io = { stdin: [block], stdout: silent, stderr: silent, env: {}, importModule: (url) => import(url) };
  const record = project("test/input/wrapped/record.bin");
  for (const words of [["--help"], ["decode", record], ["decode", record, "--json"], ["decode", "-"], ["decode", "--help"]]) await main(words, io);
  const { serveBatches } = await load("bulk-worker");
  const bytes = readFileSync(record);
  const task = { batch: { bytes, offset: 0, ends: Uint32Array.of(bytes.length), odd: new Map() }, slot: 0 };
  await serveBatches({ on: (_, take) => take(task), postMessage: () => {} }, { options: { format: "ndjson" }, sections: [] }, io.importModule);
}

async function all() {
  for (const name of [...ENTRIES, ...Object.values(PACKAGES)]) rmSync(compiledOf(name), { force: true });
  for (const name of ENTRIES) await bundle(name, { entryPoints: [project(`dist/cli/${name}.js`)], external: Object.keys(PACKAGES) });
  for (const [specifier, name] of Object.entries(PACKAGES))
    await bundle(name, { stdin: { contents: `const all = require("${specifier}"); module.exports = all.default ?? all;`, resolveDir: __dirname } });
  await warmUp();
  for (const [name, { script }] of loaded) writeFileSync(compiledOf(name), script.createCachedData());
}
all();
