/**
 * Loads the command line: scripts with their compiled form kept beside them by the build, because compiling takes
 * longer than most commands do. Another version of Node refuses that form and compiles anew. These files are CommonJS
 * because Node takes longer to get its loader of modules ready, too.
 */
const { readFileSync } = require("node:fs");
const { join } = require("node:path");
const { pathToFileURL } = require("node:url");
const vm = require("node:vm");

const FOLDER = join(__dirname, "../dist/cli");
/** What has a script of its own, by the name it is imported by: packages that few commands need. */
const PACKAGES = { yargs: "package-yargs", "ajv/dist/2020.js": "package-ajv", "hyparquet-writer": "package-hyparquet-writer" };
/** Modules that have scripts of their own. */
const ENTRIES = ["main", "bulk-worker"];
/** The scripts are functions that take these. */
const PARAMETERS = ["exports", "require", "module", "importMetaUrl"];

const read = (file, encoding) => {
  try {
    return readFileSync(file, encoding);
  } catch {
    return undefined;
  }
};
const fileOf = (name) => join(FOLDER, `${name}.cjs`);
const compiledOf = (name) => `${fileOf(name)}.compiled`;

const loaded = new Map();
/** What a script exports, and the script for the build to keep compiled; undefined without one. */
function loadScript(name) {
  const known = loaded.get(name);
  if (known) return known;
  const filename = fileOf(name);
  // The bundler writes ASCII only.
  const source = read(filename, "latin1");
  if (source === undefined) return undefined;
  const script = new vm.Script(source, { filename, cachedData: read(compiledOf(name)) });
  const module = { exports: {} };
  script.runInThisContext()(module.exports, requireFrom, module, pathToFileURL(filename).href);
  const result = { script, exports: module.exports };
  loaded.set(name, result);
  return result;
}
const requireFrom = (name) => (Object.hasOwn(PACKAGES, name) ? loadScript(PACKAGES[name]).exports : require(name));

/** What an entry of the command line, a module under `src/cli`, exports; without its script the module itself. */
const load = async (name) => loadScript(name)?.exports ?? import(`../dist/cli/${name}.js`);

module.exports = { load, loaded, fileOf, compiledOf, ENTRIES, PACKAGES, PARAMETERS };
