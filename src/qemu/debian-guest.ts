/** A guest to try things on: Debian's kernel and busybox, fetched once with apt and kept in a cache folder. */
import { readdirSync } from "node:fs";
import { mkdir, readFile, rename, writeFile } from "node:fs/promises";
import { basename, join } from "node:path";
import { UsageError } from "../layout/index.ts";
import { cached, oneOfPaths, PrivateApt } from "./debian-packages.ts";

export type Architecture = "x86" | "arm64";
const DEBIAN_NAME = { x86: "amd64", arm64: "arm64" } as const satisfies Record<Architecture, string>;
/** The release whose kernel the predictions of version 6.1 were held to. */
export const DEFAULT_RELEASE = "bookworm";

/** Changes when something else is kept. */
const FORM = 2;
/** The module as its package has it, compressed or not. */
const MODULE = /^einj\.ko(\.[a-z]+)?$/;

export interface GuestFiles {
  /** Path of the kernel. */
  readonly kernel: string;
  /** Path of a static busybox, from which the root file system is made. */
  readonly busybox: string;
  /** Path of the kernel's module for error injection. */
  readonly injection: string;
  /** Package the kernel came from. */
  readonly title: string;
}

/**
 * The default guest of an architecture, fetched when the cache does not have it. The system's own package lists and
 * architectures are left alone.
 * @param again whether it is fetched though the cache has it.
 * @throws UsageError when it cannot be had.
 */
export async function debianGuest(
  architecture: Architecture,
  environment: Readonly<Record<string, string | undefined>>,
  progress: (text: string) => void = () => undefined,
  release: string = DEFAULT_RELEASE,
  again = false,
): Promise<GuestFiles> {
  const home = await cached(
    environment,
    `guest${FORM}-${release}-${DEBIAN_NAME[architecture]}`,
    "the default guest",
    async (work, out) => {
      progress(`fetching the kernel and busybox of Debian ${release} for ${architecture}`);
      await fetchGuest(await PrivateApt.open(join(work, "apt"), release, DEBIAN_NAME[architecture], environment), DEBIAN_NAME[architecture], work, out);
    },
    "give your own with --kernel and --initrd",
    again,
  );
  const injection = readdirSync(home).find((name) => MODULE.test(name));
  if (injection === undefined) throw new UsageError(`${home} is not whole: delete it`);
  return {
    kernel: join(home, "vmlinuz"),
    busybox: join(home, "busybox"),
    injection: join(home, injection),
    title: (await readFile(join(home, "title"), "utf8")).trim(),
  };
}

async function fetchGuest(apt: PrivateApt, architecture: string, work: string, out: string): Promise<void> {
  const meta = `linux-image-cloud-${architecture}`;
  const kernel = (await apt.dependencies(meta)).find((name) => name.startsWith("linux-image-"));
  if (kernel === undefined) throw new UsageError(`${meta} names no kernel`);
  // Since Linux 7 image and modules have packages of their own.
  const parts = await apt.dependencies(kernel);
  const part = (start: string) => parts.find((name) => name.startsWith(start));
  const binary = part("linux-binary-");
  const modules = part("linux-modules-");
  const root = join(work, "root");
  await mkdir(root);
  await apt.unpack([binary ?? kernel, ...(modules === undefined ? [] : [modules]), "busybox-static"], root);
  const files = readdirSync(root, { recursive: true, encoding: "utf8" });
  const image = files.find((path) => /(^|\/)vmlinuz(-[^/]*)?$/.test(path));
  if (image === undefined) throw new UsageError(`${binary ?? kernel} holds no kernel`);
  const injection = files.find((path) => MODULE.test(basename(path)));
  if (injection === undefined) throw new UsageError(`${modules ?? kernel} holds no module for error injection`);
  await rename(join(root, image), join(out, "vmlinuz"));
  await rename(join(root, injection), join(out, basename(injection)));
  await rename(oneOfPaths(root, ["bin/busybox", "usr/bin/busybox"], "busybox"), join(out, "busybox"));
  await writeFile(join(out, "title"), `Debian ${kernel}\n`);
}
