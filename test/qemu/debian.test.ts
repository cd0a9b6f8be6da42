/** Fetching packages, with programs in apt's place that write down what they are asked. */
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { debianGuest } from "../../src/qemu/debian-guest.ts";
import { debianMachine } from "../../src/qemu/debian-machine.ts";
import { checkedRelease } from "../../src/qemu/debian-packages.ts";
import { apei } from "../support/cli.ts";

let work: string;
let path: string | undefined;
beforeEach(() => {
  work = mkdtempSync(join(tmpdir(), "apei-test-"));
  path = process.env["PATH"];
  mkdirSync(join(work, "bin"));
  process.env["PATH"] = `${join(work, "bin")}:${path}`;
  program("dpkg", "echo amd64");
});
afterEach(() => {
  process.env["PATH"] = path;
  rmSync(work, { recursive: true, force: true });
});
function program(name: string, script: string): void {
  const file = join(work, "bin", name);
  writeFileSync(file, `#!/bin/sh\nlog=${work}/log\n${script}\n`);
  chmodSync(file, 0o755);
}
const SYSTEM = "http://mirror.example/debian/\nhttp://mirror.example/debian-security/\nhttp://other.example/something";
/** A mirror that has what the helper needs: packages that hold a file for each name they are unpacked for. */
function apt(targets: string): void {
  program(
    "apt-get",
    `case "$*" in
indextargets*) printf '${targets.replaceAll("\n", "\\n")}\\n' ;;
*update) for word; do case $word in Dir::Etc::sourcelist=*) cat "\${word#*=}" >>$log ;; esac; done ;;
*install*) for word; do case $word in Dir::Cache=*) cache=\${word#*=} ;; esac; done; touch $cache/archives/libc6_1_all.deb $cache/archives/qemu-system-arm_1%3a11.1_all.deb ;;
*download*) while [ "$1" != download ]; do shift; done; shift; for name; do touch "\${name}_1%3a2.0-1_all.deb"; done; echo "download $*" >>$log ;;
esac`,
  );
  program(
    "apt-cache",
    `case "$*" in *cloud-arm64) echo '  Depends: linux-image-7.2-arm64' ;; *) printf '  Depends: linux-binary-7.2-arm64\\n  Depends: linux-modules-7.2-arm64\\n' ;; esac`,
  );
  program(
    "dpkg-deb",
    `mkdir -p "$3/usr/lib/modules/7.2/kernel" "$3/usr/bin" "$3/usr/lib/x86_64-linux-gnu" "$3/usr/share/qemu" "$3/etc"
for file in lib/modules/7.2/vmlinuz lib/modules/7.2/kernel/einj.ko.xz bin/busybox bin/qemu-system-aarch64 bin/qemu-system-x86_64 bin/other lib/x86_64-linux-gnu/libc.so.6 share/qemu/rom; do echo "$file" >"$3/usr/$file"; done
printf '#!/bin/sh\\necho "$@"\\n' >"$3/usr/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2"; chmod +x "$3/usr/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2"`,
  );
}
const environment = () => ({ XDG_CACHE_HOME: join(work, "cache") });
const log = () => readFileSync(join(work, "log"), "utf8");
const leftovers = () => readdirSync(join(work, "cache", "apei")).filter((name) => name.startsWith("."));

describe("a guest of another release", () => {
  test("comes from the mirrors the system uses, with the release's name", async () => {
    apt(SYSTEM);
    const { kernel, busybox, injection, title } = await debianGuest("arm64", environment(), () => undefined, "sid");
    expect(log()).toMatch(
      /^deb (\[signed-by=\S+\] )?http:\/\/mirror\.example\/debian\/ sid main\ndownload linux-binary-7\.2-arm64 linux-modules-7\.2-arm64 busybox-static\n$/,
    );
    expect(readFileSync(kernel, "utf8")).toBe("lib/modules/7.2/vmlinuz\n");
    expect(readFileSync(busybox, "utf8")).toBe("bin/busybox\n");
    expect(readFileSync(injection, "utf8")).toBe("lib/modules/7.2/kernel/einj.ko.xz\n");
    expect(title).toBe("Debian linux-image-7.2-arm64");
    expect(leftovers()).toEqual([]);
  });
  test("of a stable release with its security updates, and fetched once", async () => {
    apt(SYSTEM);
    await debianGuest("arm64", environment());
    expect(log()).toContain("http://mirror.example/debian-security/ bookworm-security main\n");
    rmSync(join(work, "log"));
    await debianGuest("arm64", environment());
    expect(existsSync(join(work, "log"))).toBe(false);
  });
  test("fetched again when that is asked for; what cannot be had leaves the old one", async () => {
    apt(SYSTEM);
    const { kernel } = await debianGuest("arm64", environment());
    writeFileSync(kernel, "old");
    await debianGuest("arm64", environment(), () => undefined, "bookworm", true);
    expect(readFileSync(kernel, "utf8")).toBe("lib/modules/7.2/vmlinuz\n");
    writeFileSync(kernel, "old");
    program("apt-get", "echo 'E: no network' >&2; exit 100");
    await expect(debianGuest("arm64", environment(), () => undefined, "bookworm", true)).rejects.toThrow("the default guest cannot be had: E: no network");
    expect(readFileSync(kernel, "utf8")).toBe("old");
    expect(leftovers()).toEqual([]);
  });
  test("from a mirror named in the environment", async () => {
    apt("http://other.example/something");
    await expect(debianGuest("arm64", environment())).rejects.toThrow(
      /apt has no source of Debian's packages here; APEI_DEBIAN_MIRROR names the URI of a mirror/,
    );
    await debianGuest("arm64", { ...environment(), APEI_DEBIAN_MIRROR: "http://own.example/deb" });
    expect(log()).toContain("http://own.example/deb bookworm main\n");
  });
  test("that cannot be had: what apt said last, and nothing left", async () => {
    program(
      "apt-get",
      `case "$*" in indextargets*) echo http://mirror.example/debian ;; *) echo 'E: first' >&2; echo 'E: cannot reach it' >&2; exit 100 ;; esac`,
    );
    await expect(debianGuest("x86", environment(), () => undefined, "sid")).rejects.toThrow(
      "the default guest cannot be had: E: cannot reach it; give your own with --kernel and --initrd",
    );
    expect(readdirSync(join(work, "cache", "apei"))).toEqual([]);
  });
  test("has a name that is one", () => {
    expect(checkedRelease("trixie")).toBe("trixie");
    for (const name of ["", "../x", "Sid", "a b", "-x"]) expect(() => checkedRelease(name)).toThrow("is no name of a Debian release");
  });
});

test("only fetch renews", async () => {
  expect(await apei(["qemu", "run", "scenario.json", "--refresh"])).toMatchObject({
    exit: 2,
    out: "",
    err: "apei: --refresh: run uses what is there, fetch renews it\n",
  });
});

describe("a machine of another release", () => {
  test("is there as long as it is fetched again", async () => {
    apt(SYSTEM);
    const { programs } = await debianMachine("sid", environment());
    writeFileSync(join(programs, "old"), "");
    const seen: boolean[] = [];
    await debianMachine("sid", environment(), () => seen.push(existsSync(join(programs, "old"))), true);
    expect(seen).toEqual([true]);
    expect(existsSync(join(programs, "old"))).toBe(false);
    expect(existsSync(join(programs, "qemu-system-x86_64"))).toBe(true);
    expect(leftovers()).toEqual([]);
  });
  test("keeps what is needed, and starts with its own loader and libraries", async () => {
    apt(SYSTEM);
    const { root, programs, title } = await debianMachine("sid", environment());
    expect(title).toContain("qemu-system-arm 11.1");
    expect(readdirSync(join(root, "usr", "bin"))).toEqual(["qemu-system-aarch64", "qemu-system-x86_64"]);
    expect(existsSync(join(root, "etc"))).toBe(false);
    const { execFileSync } = await import("node:child_process");
    const words = execFileSync(join(programs, "qemu-system-aarch64"), ["-version"], { encoding: "utf8" }).trim();
    const home = join(programs, "..", "root");
    expect(words.replaceAll("bin/../root", "root")).toBe(
      `--library-path ${home}/usr/lib/x86_64-linux-gnu ${home}/usr/bin/qemu-system-aarch64 -L ${home}/usr/share/qemu -L ${home}/usr/share/seabios -version`,
    );
  });
});
