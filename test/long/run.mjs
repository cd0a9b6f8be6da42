/** Runs one of the TypeScript checks beside this file: `node test/long/run.mjs NAME [ARGUMENTS…]`. */
import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { buildSync } from "esbuild";

const [name, ...words] = process.argv.slice(2);
const root = fileURLToPath(new URL("../../", import.meta.url));
const outfile = `${root}node_modules/.cache/apei/${name}.mjs`;
buildSync({ entryPoints: [`${root}test/long/${name}.ts`], outfile, bundle: true, platform: "node", format: "esm", packages: "external", logLevel: "warning" });
const env = { ...process.env, APEI_SHARED: process.env.APEI_SHARED ?? `${root}../shared/` };
process.exitCode = spawnSync(process.execPath, [outfile, ...words], { stdio: "inherit", env, cwd: root }).status ?? 2;
