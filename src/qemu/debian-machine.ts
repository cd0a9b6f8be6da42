/** QEMU and firmware of another Debian release than the installed one: fetched with apt, run with its own libraries. */
import { existsSync, readdirSync } from "node:fs";
import { chmod, mkdir, readFile, rename, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { makeFolder } from "../input/local-files.ts";
import { UsageError } from "../layout/index.ts";
import { cached, hostArchitecture, PrivateApt } from "./debian-packages.ts";
import { FIRMWARE_IMAGES, type Place } from "./platform.ts";

const PACKAGES = ["qemu-system-x86", "qemu-system-arm", "seabios", "ovmf", "qemu-efi-aarch64"] as const;
const PROGRAMS = ["qemu-system-x86_64", "qemu-system-aarch64"] as const;

/** What of the packages is kept: a fifth of it. The firmware's own paths come to it. */
const KEPT = ["usr/lib", "usr/share/qemu", "usr/share/seabios", ...PROGRAMS.map((name) => `usr/bin/${name}`)];
/** Firmware that QEMU's folder links to. */
const ROOT = "root";

/** Where QEMU and firmware of a release are. */
export interface MachineFiles extends Place {
  readonly root: string;
  /** Folder of the programs. */
  readonly programs: string;
  readonly title: string;
}

/**
 * QEMU of a release with its firmwares, fetched when the cache does not have them.
 * @param again whether they are fetched though the cache has them.
 * @throws UsageError when they cannot be had.
 */
export async function debianMachine(
  release: string,
  environment: Readonly<Record<string, string | undefined>>,
  progress: (text: string) => void = () => undefined,
  again = false,
): Promise<MachineFiles> {
  const what = `QEMU of Debian ${release}`;
  const home = await cached(
    environment,
    `machine-${release}`,
    what,
    async (work, out) => {
      progress(`fetching ${what} and its firmware, about 70 MB`);
      const apt = await PrivateApt.open(join(work, "apt"), release, await hostArchitecture(), environment);
      const unpacked = join(work, ROOT);
      await mkdir(unpacked);
      const versions = await apt.unpack(PACKAGES, unpacked, true);
      const root = join(out, ROOT);
      for (const path of [...KEPT, ...FIRMWARE_IMAGES.map((image) => image.slice(1))]) {
        if (!existsSync(join(unpacked, path))) continue;
        makeFolder(dirname(join(root, path)));
        await rename(join(unpacked, path), join(root, path));
      }
      await writePrograms(root, join(out, "bin"));
      await writeFile(join(out, "title"), `Debian ${release}: ${[...versions].map((pair) => pair.join(" ")).join(", ")}\n`);
    },
    "install QEMU 10.2 or newer, or name one with --qemu",
    again,
  );
  return { root: join(home, ROOT), programs: join(home, "bin"), title: (await readFile(join(home, "title"), "utf8")).trim() };
}

/** The programs need the C library of their release, so its own loader starts them, and they are told where their files are. */
async function writePrograms(root: string, folder: string): Promise<void> {
  const libraries = readdirSync(join(root, "usr", "lib")).find((name) => existsSync(join(root, "usr", "lib", name, "libc.so.6")));
  const loader = libraries === undefined ? undefined : readdirSync(join(root, "usr", "lib", libraries)).find((name) => /^ld-linux.*\.so/.test(name));
  if (loader === undefined) throw new UsageError("the packages hold no C library");
  await mkdir(folder);
  for (const name of PROGRAMS) {
    const path = join(folder, name);
    await writeFile(
      path,
      `#!/bin/sh
root=$(dirname "$(readlink -f "$0")")/../${ROOT}
libraries=$root/usr/lib/${libraries}
export QEMU_MODULE_DIR="$libraries/qemu"
exec "$libraries/${loader}" --library-path "$libraries" "$root/usr/bin/${name}" -L "$root/usr/share/qemu" -L "$root/usr/share/seabios" "$@"
`,
    );
    await chmod(path, 0o755);
  }
}
