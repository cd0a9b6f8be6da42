/** A root file system for the guest: busybox and one script, in the archive format the kernel unpacks (cpio "newc"). */
import { gzipSync } from "node:zlib";

interface Entry {
  readonly name: string;
  /** Type and permissions, as in stat. */
  readonly mode: number;
  readonly content?: Uint8Array;
  /** Major and minor number of a device. */
  readonly device?: readonly [number, number];
}

const FOLDER = 0o040755;
const PLAIN = 0o100644;
const PROGRAM = 0o100755;
const LINK = 0o120777;
const CHARACTER_DEVICE = 0o020600;

/** The archive, not compressed. */
export function cpioArchive(entries: readonly Entry[]): Uint8Array {
  const all = [...entries, { name: "TRAILER!!!", mode: 0 }] as readonly Entry[];
  return new Uint8Array(
    Buffer.concat(
      all.flatMap(({ name, mode, content = new Uint8Array(0), device = [0, 0] }, i) => {
        const fields = [i + 1, mode, 0, 0, 1, 0, content.length, 0, 0, ...device, name.length + 1, 0];
        const head = Buffer.from(`070701${fields.map((field) => field.toString(16).padStart(8, "0")).join("")}${name}\0`, "latin1");
        return [padded(head), padded(Buffer.from(content))];
      }),
    ),
  );
}
const padded = (bytes: Buffer): Buffer => Buffer.concat([bytes, Buffer.alloc((4 - (bytes.length % 4)) % 4)]);

/** Kernel modules, by name. */
export type Modules = ReadonlyMap<string, Uint8Array>;

/** What the guest prints when it has started, and around the files it found in its persistent store. */
export const GUEST_SAYS = { ready: "apei-guest: ready", begin: "apei-guest: begin ", end: "apei-guest: end " } as const;

/** A command for the guest's shell that prints a file so that kernel messages in between do no harm. */
export const printFile = (path: string, name = path): string =>
  `[ -f ${path} ] && { echo "${GUEST_SAYS.begin}${name}"; base64 ${path} | sed 's/^/: /'; echo "${GUEST_SAYS.end}${name}"; }`;

/** Where the guest injects errors, what printed files of that are called, and those of offered types and of memory. */
export const INJECTION = "/sys/kernel/debug/apei/einj";
export const INJECTION_FILES = "einj/";
export const OFFERED_FILE = `${INJECTION_FILES}available_error_type`;
export const RESOURCES_FILE = `${INJECTION_FILES}iomem`;

const INIT = `#!/bin/busybox sh
export PATH=/bin
/bin/busybox --install -s /bin
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev 2>/dev/null
mount -t pstore pstore /pstore 2>/dev/null
echo 1 > /proc/sys/kernel/sysrq
if [ -e /sys/firmware/acpi/tables/EINJ ]; then
  for module in /modules/einj.ko*; do insmod $module; done
  mount -t debugfs debug /sys/kernel/debug
  ${printFile(`${INJECTION}/available_error_type`, OFFERED_FILE)}
  ${printFile("/proc/iomem", RESOURCES_FILE)}
fi
for file in /pstore/*; do ${printFile("$file", "$(basename $file)")}; done
echo "apei-guest: $(uname -sr) on $(uname -m)"
echo "${GUEST_SAYS.ready}"
exec setsid sh -c 'while read -r line; do eval "$line"; done </dev/console >/dev/console 2>&1'
`;

/** @param busybox a statically linked busybox of the guest's architecture. @param modules of its kernel. */
export function buildInitramfs(busybox: Uint8Array, modules: Modules = new Map()): Uint8Array {
  const text = (content: string) => new TextEncoder().encode(content);
  const archive = cpioArchive([
    ...["bin", "dev", "proc", "sys", "pstore", "tmp", "modules"].map((name) => ({ name, mode: FOLDER })),
    { name: "dev/console", mode: CHARACTER_DEVICE, device: [5, 1] },
    { name: "bin/busybox", mode: PROGRAM, content: busybox },
    { name: "bin/sh", mode: LINK, content: text("busybox") },
    ...[...modules].map(([name, content]) => ({ name: `modules/${name}`, mode: PLAIN, content })),
    { name: "init", mode: PROGRAM, content: text(INIT) },
  ]);
  return new Uint8Array(gzipSync(archive, { level: 1 }));
}
