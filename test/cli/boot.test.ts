import { mkdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { beforeAll, describe, expect, test } from "vitest";
import { apei } from "../support/cli.ts";
import { testFolder } from "../support/folder.ts";
import { describeShared, SHARED, shared, sharedNames, sharedText } from "../support/shared.ts";

const folder = testFolder();
const sample = join(folder, "sample");

beforeAll(async () => {
  await apei(["build", fileURLToPath(new URL("../../samples/virt/machine.json", import.meta.url)), "--out", sample]);
});

describe("boot", () => {
  test("all firmwares, in words", async () => {
    const { exit, out } = await apei(["boot", sample]);
    expect(out).toContain("SeaBIOS (SeaBIOS 1.17): the guest boots\n  The guest has all tables the script links.");
    expect(out).toContain("0xfeea000  etc/hardware_errors, 2080 bytes, ACPI NVS");
    expect(out).toContain("The firmwares agree.");
    expect(exit).toBe(0);
  });

  test("fixed places, JSON, and what is written with --out", async () => {
    const out = join(folder, "out");
    const place = ["--place", "etc/acpi/tables=0x41000000", "--place", "etc/hardware_errors=1107296256"];
    const { exit, out: text } = await apei(["boot", sample, "--firmware", "aavmf", ...place, "--json", "--out", out]);
    expect(exit).toBe(0);
    const json = JSON.parse(text);
    expect(json.placements["etc/acpi/tables"]).toEqual({ address: "0x41000000", size: 131072, zone: "ACPI NVS" });
    expect(json.errorSources[1]).toEqual({
      id: 1,
      type: "genericHardwareErrorV2",
      notification: "gpioSignal",
      statusRegister: "0x42000008",
      blockAddress: "0x42000420",
      blockLength: 1024,
      acknowledgeRegister: "0x42000018",
    });
    expect(json.writtenPointers).toEqual([{ file: "etc/acpi_table_hest_addr", offset: 0, size: 8, value: "0x410001ed" }]);
    expect(JSON.parse(readFileSync(join(out, "addresses.json"), "utf8"))).toEqual({ "etc/hardware_errors": "0x42000000", "etc/acpi/tables": "0x41000000" });
    expect(readFileSync(join(out, "tables/HEST.dat")).length).toBe(224);
    const image = statSync(join(out, "memory.img"));
    expect(image.size).toBe(0x50000000);
    // Sparse: a few hundred KiB of a GiB are stored.
    expect(image.blocks * 512).toBeLessThan(4 << 20);
  });

  test.each([
    [["--place", "etc/acpi/tables"], "is not of the form NAME=VALUE"],
    [["--place", "etc/acpi/tables=here"], "here is no address such as 0x47fb0000"],
    [["--place", "etc/acpi/tables=0x10000000000000000"], "has more than 64 bits"],
    [["--place", "etc/acpi/tables=0x1000"], "are not in RAM"],
    [["--place", "etc/acpi/tables=0x41000000", "--place", "etc/hardware_errors=0x41000100"], "overlaps"],
    [["--memory", "1"], "give MiB from 16"],
  ])("%j is refused", async (options, message) => {
    const { exit, err } = await apei(["boot", sample, "--firmware", "aavmf", ...options]);
    expect(err).toContain(message);
    expect(exit).toBe(2);
  });

  test("folders without a hand-off", async () => {
    const empty = join(folder, "empty");
    mkdirSync(empty);
    expect(await apei(["boot", empty])).toMatchObject({ exit: 2, err: `apei: ${empty}: there is no etc/table-loader in it\n` });
    expect(await apei(["boot", join(folder, "nowhere")])).toMatchObject({ exit: 2 });
    writeFileSync(join(empty, "tl.bin"), new Uint8Array((1 << 20) + 128));
    expect((await apei(["boot", empty])).err).toContain("etc/table-loader has 1048704 bytes: no machine hands over a script of more than 1048576");
    writeFileSync(join(empty, "manifest.json"), JSON.stringify({ files: { "etc/table-loader": { path: "../../secret" } } }));
    expect((await apei(["boot", empty])).err).toContain("lies outside the folder");
  });

  test("suspend and resume", async () => {
    const { out } = await apei(["boot", sample, "--resume", "--json"]);
    const { firmwares } = JSON.parse(out);
    const resumed = (firmware: string) => firmwares.find((one: { firmware: string }) => one.firmware === firmware).resumed;
    expect(resumed("seabios")).toEqual([{ file: "etc/acpi_table_hest_addr", offset: 0, size: 8, value: "0xffdf9ad" }]);
    // Nothing says that this machine can suspend, and EDK2 asks.
    expect(resumed("ovmf")).toEqual([]);
    expect((await apei(["boot", sample, "--firmware", "ovmf", "--resume"])).out).toContain("Written back again after suspend to RAM\n  nothing");
  });

  test("a script cut short: what each firmware does about it", async () => {
    const cut = join(folder, "cut");
    mkdirSync(cut);
    for (const [short, name] of [
      ["tl", "etc/table-loader"],
      ["tables", "etc/acpi/tables"],
      ["rsdp", "etc/acpi/rsdp"],
      ["hwerr", "etc/hardware_errors"],
    ] as const) {
      const bytes = readFileSync(join(sample, name));
      writeFileSync(join(cut, `${short}.bin`), short === "tl" ? bytes.subarray(0, bytes.length - 1) : bytes);
    }
    const { exit, out, err } = await apei(["boot", cut]);
    expect(exit).toBe(1);
    expect(err).toContain("etc/acpi_table_hest_addr is not in the folder: taken for the machine's own, 8 bytes, writable");
    expect(out).toContain("All ACPI tables are lost, the guest boots without ACPI: no error sources.");
    expect(out).toContain("Linux panics before it has a console, which stays silent.");
    expect(out).toContain("the guest: SeaBIOS and OVMF: boots; AAVMF: panics");
  });
});

describeShared("captured machines", () => {
  test.each(sharedNames("captures", (name) => name.startsWith("linked-")))("%s: every byte at the recorded places", async (name) => {
    const addresses = JSON.parse(sharedText("captures", name, "addresses.json")) as Record<string, string>;
    const out = join(folder, name);
    const places = Object.entries(addresses).flatMap(([file, address]) => ["--place", `${file}=${address}`]);
    const { exit } = await apei(["boot", join(SHARED, "captures", name), "--firmware", /seabios|ovmf|aavmf/.exec(name)![0], ...places, "--out", out]);
    expect(exit).toBe(0);
    for (const file of Object.keys(addresses)) {
      const ram = `ram_${file.replaceAll("/", "_")}`;
      expect(readFileSync(join(out, ram)).equals(Buffer.from(shared("captures", name, ram))), file).toBe(true);
    }
  });
  test("a recorded case as it lies in its folder", async () => {
    const { out } = await apei(["boot", join(SHARED, "guest/oracle/loader/cs-twice"), "--json"]);
    const { firmwares, differences } = JSON.parse(out);
    const tables = (firmware: string) => firmwares.find((one: { firmware: string }) => one.firmware === firmware).listing;
    expect(tables("seabios")).toContain("HEST");
    expect(tables("ovmf")).not.toContain("HEST");
    expect(differences).toContainEqual(expect.stringMatching(/^HEST: SeaBIOS: 224 bytes, checksum right; OVMF and AAVMF: none$/));
  });
});
