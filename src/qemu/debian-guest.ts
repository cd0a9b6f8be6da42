/** A guest to try things on: Debian's kernel and busybox, fetched once with apt and kept in a cache folder. */
import { readdirSync } from "node:fs";
import { mkdir, readFile, rename, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { UsageError } from "../layout/index.ts";
import { cached, oneOfPaths, PrivateApt } from "./debian-packages.ts";

export type Architecture = "x86" | "arm64";
const DEBIAN_NAME = { x86: "amd64", arm64: "arm64" } as const satisfies Record<Architecture, string>;
/** The release whose kernel the predictions of version 6.1 were held to. */
export const DEFAULT_RELEASE = "bookworm";

export interface GuestFiles {
  /** Path of the kernel. */
  readonly kernel: string;
  /** Path of a static busybox, from which the root file system is made. */
  readonly busybox: string;
  /** Package the kernel came from. */
  readonly title: string;
}

/**
 * The default guest of an architecture, fetched when the cache does not have it. The system's own package lists and
 * architectures are left alone.
 * @throws UsageError when it cannot be had.
 */
export async function debianGuest(
  architecture: Architecture,
  environment: Readonly<Record<string, string | undefined>>,
  progress: (text: string) => void = () => undefined,
  release: string = DEFAULT_RELEASE,
): Promise<GuestFiles> {
  const home = await cached(
    environment,
    `guest-${release}-${DEBIAN_NAME[architecture]}`,
    "the default guest",
    async (work, out) => {
      progress(`fetching the kernel and busybox of Debian ${release} for ${architecture}`);
      await fetchGuest(await PrivateApt.open(join(work, "apt"), release, DEBIAN_NAME[architecture], environment), DEBIAN_NAME[architecture], work, out);
    },
    "give your own with --kernel and --initrd",
  );
  return { kernel: join(home, "vmlinuz"), busybox: join(home, "busybox"), title: (await readFile(join(home, "title"), "utf8")).trim() };
}

async function fetchGuest(apt: PrivateApt, architecture: string, work: string, out: string): Promise<void> {
  const meta = `linux-image-cloud-${architecture}`;
  const kernel = (await apt.dependencies(meta)).find((name) => name.startsWith("linux-image-"));
  if (kernel === undefined) throw new UsageError(`${meta} names no kernel`);
  // Since Linux 7 the image itself has a package of its own.
  const binary = (await apt.dependencies(kernel)).find((name) => name.startsWith("linux-binary-"));
  const root = join(work, "root");
  await mkdir(root);
  await apt.unpack([binary ?? kernel, "busybox-static"], root);
  const image = readdirSync(root, { recursive: true, encoding: "utf8" }).find((path) => /(^|\/)vmlinuz(-[^/]*)?$/.test(path));
  if (image === undefined) throw new UsageError(`${binary ?? kernel} holds no kernel`);
  await rename(join(root, image), join(out, "vmlinuz"));
  await rename(oneOfPaths(root, ["bin/busybox", "usr/bin/busybox"], "busybox"), join(out, "busybox"));
  await writeFile(join(out, "title"), `Debian ${kernel}\n`);
}
