/** Debian's packages beside the installed ones: fetched with apt and unpacked into a cache folder; the system itself is left alone. */
import { existsSync, readdirSync } from "node:fs";
import { mkdir, readFile, rename, writeFile } from "node:fs/promises";
import { homedir } from "node:os";
import { join, resolve } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { makeFolder } from "../input/local-files.ts";
import { UsageError } from "../layout/index.ts";
import { Guarded, heldFolder } from "./guardian.ts";

type Environment = Readonly<Record<string, string | undefined>>;

/** Names the URI of a mirror where apt itself has none, or another one is wanted. */
export const MIRROR = "APEI_DEBIAN_MIRROR";
const KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg";
/** Milliseconds one program may take. */
const FETCH_PATIENCE = 300_000;
/** Releases that get their security updates like all others. */
const ROLLING: ReadonlySet<string> = new Set(["sid", "unstable", "experimental"]);

export const cacheFolder = (environment: Environment): string =>
  join(environment["XDG_CACHE_HOME"] || join(environment["HOME"] || homedir(), ".cache"), "apei");

/** A release's name is part of paths and of apt's files. @throws UsageError */
export function checkedRelease(name: string): string {
  if (!/^[a-z][a-z0-9-]{0,30}$/.test(name)) throw new UsageError(`${name}: is no name of a Debian release, such as sid`);
  return name;
}

/**
 * A folder of the cache: filled when it is not there yet. It appears whole or not at all, and nothing stays of an
 * attempt that is broken off.
 * @param fill is given a folder to work in and one to fill.
 * @param again whether it is filled anew when it is there; the old one stays until then.
 * @throws UsageError when it cannot be had.
 */
export async function cached(
  environment: Environment,
  name: string,
  what: string,
  fill: (work: string, out: string) => Promise<void>,
  instead: string,
  again = false,
): Promise<string> {
  const cache = resolve(cacheFolder(environment));
  const home = join(cache, name);
  if (existsSync(home) && !again) return home;
  try {
    makeFolder(cache);
    const held = await heldFolder(cache, ".fetch-");
    try {
      const out = join(held.folder, "out");
      await mkdir(out);
      await fill(held.folder, out);
      const old = join(held.folder, "old");
      const replaces =
        again &&
        (await rename(home, old).then(
          () => true,
          () => false,
        ));
      // Whoever is first wins.
      await rename(out, home).catch(async (error: unknown) => {
        if (replaces) await rename(old, home).catch(() => undefined);
        if (!existsSync(home)) throw error;
      });
      return home;
    } finally {
      await held.release();
    }
  } catch (error) {
    throw new UsageError(`${what} cannot be had: ${(error as Error).message}; ${instead}`);
  }
}

/** Run a program to its end; it does not outlive this process. @returns its standard output. @throws UsageError with its last words. */
async function runTool(program: string, words: readonly string[], folder: string): Promise<string> {
  const held = await heldFolder();
  const output = join(held.folder, "output");
  const script = 'cd "$1" && out=$2 && shift 2 && LC_ALL=C exec "$@" >"$out"';
  const process = new Guarded(held.folder, "/bin/sh", ["-c", script, "sh", folder, output, program, ...words]);
  const late = new AbortController();
  try {
    const status = await Promise.race([process.ended, sleep(FETCH_PATIENCE, undefined, { signal: late.signal })]);
    if (status === 0) return await readFile(output, "utf8");
    if (status === NOT_FOUND) throw new UsageError(`${program} is not installed`);
    const [last = ""] = process.errorText.trim().split("\n").slice(-1);
    throw new UsageError(status === undefined ? `${program} has not ended within ${FETCH_PATIENCE / 1000} s` : last || `${program} failed`);
  } finally {
    late.abort();
    await process.release();
    await held.release();
  }
}
/** Exit status of a shell that does not find a program. */
const NOT_FOUND = 127;

/** The architecture this system's programs are for, in Debian's words. */
export const hostArchitecture = async (): Promise<string> => (await runTool("dpkg", ["--print-architecture"], "/")).trim();

/** The lines of a sources.list for a release, at the mirrors this system uses. */
async function sourceLines(release: string, environment: Environment): Promise<string[]> {
  const trust = existsSync(KEYRING) ? `[signed-by=${KEYRING}] ` : "";
  const line = (uri: string, suite: string) => `deb ${trust}${uri} ${suite} main`;
  const own = environment[MIRROR];
  if (own) return [line(own, release)];
  const targets = (await runTool("apt-get", ["indextargets", "--format", "$(REPO_URI)", "Created-By: Packages"], "/")).split("\n");
  const main = targets.find((uri) => /\/debian\/?$/.test(uri));
  const security = targets.find((uri) => /\/debian-security\/?$/.test(uri));
  if (main === undefined) throw new UsageError(`apt has no source of Debian's packages here; ${MIRROR} names the URI of a mirror`);
  return [line(main, release), ...(security !== undefined && !ROLLING.has(release) ? [line(security, `${release}-security`)] : [])];
}

/** apt with folders of its own, for one release and architecture. */
export class PrivateApt {
  readonly #folder: string;
  readonly #options: readonly string[];

  private constructor(folder: string, options: readonly string[]) {
    this.#folder = folder;
    this.#options = options;
  }

  /** @param folder for its lists and packages. @throws UsageError when the release's list cannot be fetched. */
  static async open(folder: string, release: string, architecture: string, environment: Environment): Promise<PrivateApt> {
    for (const name of ["state/lists/partial", "cache/archives/partial"]) makeFolder(join(folder, name));
    const list = join(folder, "sources.list");
    const status = join(folder, "status");
    await writeFile(list, `${(await sourceLines(checkedRelease(release), environment)).join("\n")}\n`);
    await writeFile(status, "");
    const options = Object.entries({
      "Dir::State": join(folder, "state"),
      "Dir::State::status": status,
      "Dir::Cache": join(folder, "cache"),
      "Dir::Etc::sourcelist": list,
      "Dir::Etc::sourceparts": "-",
      "APT::Architecture": architecture,
      "APT::Architectures": architecture,
      "APT::Sandbox::User": "",
      "Acquire::Languages": "none",
    }).flatMap(([name, value]) => ["-o", `${name}=${value}`]);
    await runTool("apt-get", [...options, "update"], folder);
    return new PrivateApt(folder, options);
  }

  /** Names of the packages a package depends on. */
  async dependencies(name: string): Promise<string[]> {
    const text = await runTool("apt-cache", [...this.#options, "depends", name], this.#folder);
    return [...text.matchAll(/Depends: (\S+)/g)].map((match) => match[1]!);
  }

  /**
   * Fetch packages, and with `dependencies` all that they need to run, and unpack them.
   * @returns versions of the packages named.
   */
  async unpack(names: readonly string[], into: string, dependencies = false): Promise<ReadonlyMap<string, string>> {
    const packages = join(this.#folder, "cache", "archives");
    if (dependencies) await runTool("apt-get", [...this.#options, "install", "--download-only", "--no-install-recommends", "-y", ...names], this.#folder);
    else await runTool("apt-get", [...this.#options, "download", ...names], packages);
    const files = readdirSync(packages).filter((name) => name.endsWith(".deb"));
    // Two at a time: one waits for the disk while the other unpacks.
    const half = Math.ceil(files.length / 2);
    await Promise.all(
      [files.slice(0, half), files.slice(half)].map(async (share) => {
        for (const file of share) await runTool("dpkg-deb", ["-x", join(packages, file), into], this.#folder);
      }),
    );
    return new Map(names.map((name) => [name, versionIn(files, name)]));
  }
}
/** Files are named PACKAGE_VERSION_ARCHITECTURE.deb, with colons escaped. */
const versionIn = (files: readonly string[], name: string): string => {
  const file = files.find((other) => other.startsWith(`${name}_`));
  return file === undefined ? "" : decodeURIComponent(file.split("_")[1]!).replace(/^[0-9]+:/, "");
};

/** The first of these paths that exists under a folder. @throws UsageError */
export function oneOfPaths(root: string, paths: readonly string[], what: string): string {
  const found = paths.map((path) => join(root, path)).find((path) => existsSync(path));
  if (found === undefined) throw new UsageError(`the packages hold no ${what}`);
  return found;
}
