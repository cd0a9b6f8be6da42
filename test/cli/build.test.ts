import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { Ajv2020 } from "ajv/dist/2020.js";
import { describe, expect, test } from "vitest";
import { buildDescriptionSchema } from "../../src/loader/description.ts";
import { apei } from "../support/cli.ts";
import { testFolder } from "../support/folder.ts";
import { describeShared, SHARED, shared } from "../support/shared.ts";

const folder = testFolder();
const project = (path: string) => fileURLToPath(new URL(`../../${path}`, import.meta.url));
const write = (name: string, content: string | object | Uint8Array) => {
  writeFileSync(join(folder, name), content instanceof Uint8Array || typeof content === "string" ? content : JSON.stringify(content));
  return join(folder, name);
};

describe("build", () => {
  test("the sample: files under their own names, and a manifest", async () => {
    const out = join(folder, "sample");
    expect(await apei(["build", project("samples/virt/machine.json"), "--out", out])).toMatchObject({ exit: 0, err: "" });
    const manifest = JSON.parse(readFileSync(join(out, "manifest.json"), "utf8"));
    expect(manifest.files).toEqual({
      "etc/acpi/tables": { path: "etc/acpi/tables", size: 131072 },
      "etc/hardware_errors": { path: "etc/hardware_errors", size: 2080 },
      "etc/acpi/rsdp": { path: "etc/acpi/rsdp", size: 36 },
      "etc/table-loader": { path: "etc/table-loader", size: 22 * 128 },
      "etc/acpi_table_hest_addr": { path: "etc/acpi_table_hest_addr", size: 8, writable: true },
    });
    for (const [name, { size }] of Object.entries(manifest.files as Record<string, { size: number }>)) expect(readFileSync(join(out, name)).length).toBe(size);
    expect(manifest.tables.map((table: { signature: string }) => table.signature)).toEqual(["DSDT", "FACP", "APIC", "HEST"]);
  });

  test("mistakes in a description are named where they are, and nothing is written", async () => {
    const out = join(folder, "never");
    const bad = write("bad.json", {
      machin: "virt",
      handOff: "hesst",
      errorSources: [
        { id: 70000, notification: "see", acknowledge: { write: "0x10000000000000001" } },
        { id: 1, notification: { type: "sea", vecter: 1 }, at: { status: 2 ** 53 } },
      ],
      tables: [],
    });
    const { exit, err } = await apei(["build", bad, "--out", out]);
    expect(exit).toBe(2);
    expect(err.split("\n")).toEqual([
      `apei: ${bad}: machin: there is no such key; did you mean machine?`,
      expect.stringContaining(`handOff: "hesst" is none of hardwareErrors, hest; did you mean hest?`),
      expect.stringContaining("errorSources[0].id: 70000 is above 65535, the most allowed"),
      expect.stringContaining("tables: is empty"),
      expect.stringMatching(/errorSources\[0\]\.notification: "see" is none of polled, .*; did you mean sea\?$/),
      expect.stringContaining('errorSources[0].acknowledge.write: "0x10000000000000001" has more than 64 bits'),
      expect.stringContaining("errorSources[1].notification.vecter: there is no such key; did you mean vector?"),
      expect.stringContaining('errorSources[1].at.status: 9007199254740992 is too large for a JSON number: write it as text such as "0x8000000000000001"'),
      "",
    ]);
    expect(existsSync(out)).toBe(false);
  });

  test.each([
    ["no JSON", "{", /is not JSON: /],
    ["no object", "[]", /the description: \[\] is no object/],
    ["a missing table", { tables: [{ file: "nowhere.dat" }] }, /nowhere\.dat: no such file/],
    ["an impossible table", { tables: [{ file: "short.dat" }] }, /tables\[0\]: the file has 3 bytes, which is no table/],
  ])("%s", async (_name, description, message) => {
    write("short.dat", Uint8Array.of(1, 2, 3));
    const out = join(folder, "never");
    const { exit, err } = await apei(["build", write("one.json", description), "--out", out]);
    expect(err).toMatch(message);
    expect(exit).toBe(2);
    expect(existsSync(out)).toBe(false);
  });

  test("what a firmware would mishandle is refused with a reason, unless told to", async () => {
    const dsdt = readFileSync(project("samples/virt/DSDT.dat"));
    for (const name of ["DSDT", "FACP", "APIC"]) write(`${name}.dat`, new Uint8Array(readFileSync(project(`samples/virt/${name}.dat`))));
    expect(dsdt.length).toBe(69);
    const unsafe = write("unsafe.json", {
      tables: [{ file: "DSDT.dat" }, { file: "FACP.dat" }, { file: "APIC.dat", checksum: false, pointers: [{ offset: 36, size: 8, to: "DSDT" }] }],
    });
    const out = join(folder, "unsafe");
    const refused = await apei(["build", unsafe, "--out", out]);
    expect(refused.exit).toBe(2);
    expect(refused.err).toContain("the APIC at 0x159 of etc/acpi/tables does not sum to zero: EDK2 drops it, SeaBIOS passes it on");
    expect(refused.err).toContain("nothing is written; --force writes it all the same");
    expect(existsSync(out)).toBe(false);
    expect(await apei(["build", unsafe, "--out", out, "--force"])).toMatchObject({ exit: 1 });
    expect(readdirSync(out).sort()).toEqual(["etc", "manifest.json"]);
  });

  test("the shipped schema is the one used; vitest --update writes it anew", async () => {
    await expect(`${JSON.stringify(buildDescriptionSchema, null, 2)}\n`).toMatchFileSnapshot(project("schemas/build-description.schema.json"));
    const shipped = JSON.parse(readFileSync(project("schemas/build-description.schema.json"), "utf8"));
    expect(
      new Ajv2020({ strict: true, strictRequired: false, strictTypes: false }).compile(shipped)(
        JSON.parse(readFileSync(project("samples/virt/machine.json"), "utf8")),
      ),
    ).toBe(true);
  });
});

describeShared("a captured machine from the command line", () => {
  test("virt of QEMU 11.1, with its PPTT listed twice", async () => {
    const tables = join(SHARED, "captures/virt-aarch64-ras-11.1/tables");
    const description = {
      machine: "virt",
      errorSources: [
        { id: 0, notification: "sea" },
        { id: 1, notification: "gpioSignal" },
      ],
      tables: ["DSDT", "FACP", "APIC", "PPTT", "GTDT", "MCFG", "SPCR", "DBG2", "HEST", "IORT"].map((name) =>
        name === "HEST" ? { hest: true } : { file: join(tables, `${name}.dat`) },
      ),
      root: ["FACP", "APIC", "PPTT", "PPTT", "GTDT", "MCFG", "SPCR", "DBG2", "HEST", "IORT"],
    };
    const out = join(folder, "virt");
    const { exit, err } = await apei(["build", write("virt.json", description), "--out", out]);
    expect(err).toContain("the XSDT lists the PPTT twice");
    expect(exit).toBe(1);
    for (const name of ["etc/table-loader", "etc/acpi/tables", "etc/acpi/rsdp", "etc/hardware_errors", "etc/acpi_table_hest_addr"])
      expect(readFileSync(join(out, name)).equals(Buffer.from(shared("captures/virt-aarch64-ras-11.1", name.replaceAll("/", "_")))), name).toBe(true);
  });
});
