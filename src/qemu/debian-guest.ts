/** A guest to try things on: Debian's kernel and busybox, fetched once with apt and kept in a cache folder. */
import { execFile } from "node:child_process";
import { existsSync, readdirSync } from "node:fs";
import { mkdir, mkdtemp, readFile, rename, rm, writeFile } from "node:fs/promises";
import { homedir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { UsageError } from "../layout/index.ts";

const run = promisify(execFile);

export type Architecture = "x86" | "arm64";
const DEBIAN_NAME = { x86: "amd64", arm64: "arm64" } as const satisfies Record<Architecture, string>;
/** The release whose kernel the predictions of version 6.1 were held to. */
const RELEASE = "bookworm";
const KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg";
const FETCH_PATIENCE = 300_000;

export interface GuestFiles {
  /** Path of the kernel. */
  readonly kernel: string;
  /** Path of a static busybox, from which the root file system is made. */
  readonly busybox: string;
  /** Package the kernel came from. */
  readonly title: string;
}

export const cacheFolder = (environment: Readonly<Record<string, string | undefined>>): string =>
  join(environment["XDG_CACHE_HOME"] || join(environment["HOME"] || homedir(), ".cache"), "apei");

/**
 * The default guest of an architecture, fetched when the cache does not have it. The system's own package lists and
 * architectures are left alone.
 * @throws UsageError when it cannot be had.
 */
export async function debianGuest(
  architecture: Architecture,
  environment: Readonly<Record<string, string | undefined>>,
  progress: (text: string) => void = () => undefined,
): Promise<GuestFiles> {
  const cache = cacheFolder(environment);
  const home = join(cache, `guest-${RELEASE}-${DEBIAN_NAME[architecture]}`);
  const files = async (): Promise<GuestFiles> => ({
    kernel: join(home, "vmlinuz"),
    busybox: join(home, "busybox"),
    title: (await readFile(join(home, "title"), "utf8")).trim(),
  });
  if (existsSync(home)) return files();
  progress(`fetching Debian's kernel and busybox for ${architecture}`);
  await mkdir(cache, { recursive: true });
  const work = await mkdtemp(join(cache, ".fetch-"));
  try {
    await fetchInto(work, DEBIAN_NAME[architecture]);
    // Whoever is first wins; the folder appears whole or not at all.
    await rename(join(work, "guest"), home).catch((error: unknown) => {
      if (!existsSync(home)) throw error;
    });
    return await files();
  } catch (error) {
    const { code, stderr, message } = error as { code?: unknown; stderr?: string; message: string };
    const why = code === "ENOENT" ? "apt-get and dpkg-deb are needed for it" : (stderr?.trim().split("\n").at(-1) ?? "") || message;
    throw new UsageError(`the default guest cannot be had: ${why}; give your own with --kernel and --initrd`);
  } finally {
    await rm(work, { recursive: true, force: true });
  }
}

async function fetchInto(work: string, architecture: string): Promise<void> {
  const apt = join(work, "apt");
  const guest = join(work, "guest");
  for (const folder of ["state/lists/partial", "cache/archives/partial", "packages"]) await mkdir(join(apt, folder), { recursive: true });
  await mkdir(guest);
  await writeFile(join(apt, "status"), "");
  const trust = existsSync(KEYRING) ? `[signed-by=${KEYRING}] ` : "";
  const list = join(apt, "sources.list");
  await writeFile(
    list,
    `deb ${trust}http://deb.debian.org/debian ${RELEASE} main\ndeb ${trust}http://deb.debian.org/debian-security ${RELEASE}-security main\n`,
  );
  const options = Object.entries({
    "Dir::State": join(apt, "state"),
    "Dir::State::status": join(apt, "status"),
    "Dir::Cache": join(apt, "cache"),
    "Dir::Etc::sourcelist": list,
    "Dir::Etc::sourceparts": "-",
    "APT::Architecture": architecture,
    "APT::Architectures": architecture,
    "APT::Sandbox::User": "",
    "Acquire::Languages": "none",
  }).flatMap(([name, value]) => ["-o", `${name}=${value}`]);
  const tool = (program: string, words: readonly string[], folder = apt) =>
    run(program, [...words], { cwd: folder, timeout: FETCH_PATIENCE, maxBuffer: 1 << 24, env: { ...process.env, LC_ALL: "C" } });
  await tool("apt-get", [...options, "update"]);
  const meta = `linux-image-cloud-${architecture}`;
  const { stdout } = await tool("apt-cache", [...options, "depends", meta]);
  const kernel = /Depends: (linux-image-\S+)/.exec(stdout)?.[1];
  if (kernel === undefined) throw new UsageError(`${meta} names no kernel`);
  const packages = join(apt, "packages");
  await tool("apt-get", [...options, "download", kernel, "busybox-static"], packages);
  for (const file of readdirSync(packages)) await tool("dpkg-deb", ["-x", join(packages, file), join(apt, "root")]);
  const boot = join(apt, "root", "boot");
  const image = readdirSync(boot).find((name) => name.startsWith("vmlinuz-"));
  if (image === undefined) throw new UsageError(`${kernel} holds no kernel`);
  await rename(join(boot, image), join(guest, "vmlinuz"));
  await rename(join(apt, "root", "bin", "busybox"), join(guest, "busybox"));
  await writeFile(join(guest, "title"), `Debian ${kernel}\n`);
}
