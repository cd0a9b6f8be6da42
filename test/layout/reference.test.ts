/** `docs/reference.md` and the pages below it are what the layouts say; `vitest run --update` writes them anew. */
import { readdirSync, readFileSync } from "node:fs";
import { fileURLToPath, pathToFileURL } from "node:url";
import { describe, expect, test } from "vitest";
import { documentsOf } from "../../src/input/document.ts";
import { type Page, referenceOf } from "../support/reference.ts";

const SRC = fileURLToPath(new URL("../../src/", import.meta.url));
const DOCS = fileURLToPath(new URL("../../docs/", import.meta.url));

const section = (...names: string[]) => names.map((name) => `cper/sections/${name}`);
const PAGES: readonly Page[] = [
  {
    name: "acpi",
    title: "ACPI tables and error status blocks",
    intro: "The tables of the platform error interfaces, those that lead to them, and the blocks in which firmware reports errors.",
    modules: [
      "acpi/table-header",
      "acpi/root-tables",
      "acpi/table-format",
      "acpi/hest",
      "acpi/bert",
      "acpi/erst",
      "acpi/einj",
      "acpi/status-block",
      "acpi/",
      "input/erst-store",
      "guest/erst",
    ],
  },
  {
    name: "cper",
    title: "Error records and the sections of UEFI",
    intro: "The record header, the section descriptor and the sections of UEFI 2.11 appendix N.",
    modules: [
      "cper/record",
      "cper/header-words",
      ...section("processor-generic", "ia32x64", "ipf", "arm-processor", "memory", "pcie", "pcie-capability", "pci", "firmware-reference", "dmar", "ccix"),
      ...section("cxl-protocol", "cxl-event", "memory-poison", "arm-ras", "error-status", "tlp"),
      "input/pldm",
    ],
  },
  {
    name: "windows",
    title: "Windows' sections and event log entries",
    intro: "What Windows writes into records, and its event log entries.",
    modules: [...section("whea-machine-check", "whea-recovery", "whea-memory", "whea-pcie", "whea-arm", "whea-packet", "storport"), "cper/whea-event/"],
    types: /^whea/,
  },
  {
    name: "vendors",
    title: "Sections of vendors and of Linux",
    intro: "Sections that no specification defines, and what is found in those that one does.",
    modules: ["cper/sections/"],
  },
  {
    name: "machine-check",
    title: "Machine check registers",
    intro: "The registers of machine check banks, as sections and contexts hold them.",
    modules: ["cper/machine-check/", "host/"],
  },
  {
    name: "loader-and-fw-cfg",
    title: "The boot hand-off",
    intro: "The linker/loader script, the fw_cfg directory and its DMA interface, and the guest memory in which errors are handed over.",
    modules: ["loader/", "machine/", "input/hardware-errors"],
  },
  { name: "arm64", title: "arm64 registers and the KVM interface", intro: "Syndrome and routing registers, and the structures of KVM.", modules: ["arm64/"] },
];

/** Made on the way to read or write again what another structure holds. */
const PASSING = ["cper/sections/arm-processor: Error Information", "cper/sections/back-to-back: Contexts", "cper/sections/nvidia: Registers"];

const paths = readdirSync(SRC, { recursive: true, encoding: "utf8" })
  .filter((name) => /^(acpi|cper|loader|machine|input|arm64|guest|host)\/.*\.ts$/.test(name) && !name.endsWith("index.ts") && !name.endsWith(".d.ts"))
  .map((name) => name.slice(0, -".ts".length))
  .sort();
const modules = await Promise.all(paths.map(async (path) => ({ path, exports: (await import(pathToFileURL(`${SRC}${path}.ts`).href)) as object })));
const documents = documentsOf();
const reference = referenceOf({ pages: PAGES, modules, registry: documents.registry, formats: [...documents.formats] });

describe("docs/reference", () => {
  test("the index", async () => {
    await expect(reference.index).toMatchFileSnapshot(`${DOCS}reference.md`);
  });
  test.each([...reference.pages.keys()])("%s", async (name) => {
    await expect(reference.pages.get(name)).toMatchFileSnapshot(`${DOCS}reference/${name}.md`);
  });
  test("every module with structures has a page", () => {
    expect(reference.homeless).toEqual([]);
  });
  test("every structure the source names is described", () => {
    const named = paths.flatMap((path) =>
      [...readFileSync(`${SRC}${path}.ts`, "utf8").matchAll(/\b(?:struct|sequence)\(\s*"([^"]+)"/g)].map((match) => `${path}: ${match[1]}`),
    );
    expect(named.filter((name) => !PASSING.includes(name) && !reference.names.has(name.slice(name.indexOf(": ") + 2)))).toEqual([]);
  });
});
