/** Checking files: recognise them, run the rules, add what each consumer will say. */
import { statusBlockFormat } from "../acpi/status-block.ts";
import { tableFormats } from "../acpi/table-format.ts";
import { sectionTypes } from "../cper/registry.ts";
import type { TableCarrier } from "../guest/hest-probe.ts";
import { looksLikeText } from "../input/charset.ts";
import { documentsOf } from "../input/document.ts";
import { leavesOf } from "../input/leaves.ts";
import { FILE } from "../loader/fw-cfg.ts";
import { CROSS_RULES, checkHandOff, checkTogether } from "./cross.ts";
import { KERNEL_RULES, type KernelVerdict, kernelVerdict } from "./kernel.ts";
import { type CheckFinding, type Consequence, type Place, PROFILES, type Profile, type Rule, type RuleData, SEVERITIES, worst } from "./rule.ts";
import { actionRules } from "./rules/actions.ts";
import { headerRules } from "./rules/header.ts";
import { hestRules } from "./rules/hest.ts";
import { otherRules } from "./rules/others.ts";
import { registerRules } from "./rules/registers.ts";
import { looksLikeTable, type Table, tableOf, tablesIn } from "./table.ts";

/** Rules that look at one table. */
const TABLE_RULES: readonly Rule[] = [...headerRules, ...hestRules, ...registerRules, ...actionRules, ...otherRules];
/** Every rule there is. */
export const RULES: readonly RuleData[] = [...TABLE_RULES, ...Object.values(KERNEL_RULES), ...Object.values(CROSS_RULES)];
/** A rule by its id, of tables, hand-offs and tables together; undefined when there is none. */
export const ruleById = (id: string): RuleData | undefined => RULES.find((rule) => rule.id === id);

export interface CheckInput {
  /** As the user named it. */
  readonly file: string;
  readonly bytes: Uint8Array;
}
export interface CheckOptions {
  /** Default: all. */
  readonly profiles?: readonly Profile[];
  /** Ids of rules that are not to be reported. */
  readonly ignore?: readonly string[];
  readonly kernel?: "6.1" | "7.2";
  /** Default: what the tables look like. */
  readonly architecture?: "arm64" | "x86";
  /** What puts the tables into the kernel's memory; default: they get there as they are, with zeros behind them. */
  readonly carrier?: TableCarrier;
}
export interface CheckResult {
  readonly findings: readonly CheckFinding[];
  /** Linux's view of each HEST, when the linux profile is among those asked for. */
  readonly kernels: readonly KernelVerdict[];
  /** What each file was taken for. */
  readonly inputs: readonly { readonly file: string; readonly kind: string; readonly bytes: number }[];
  /** Files that are nothing these rules know. */
  readonly unknown: readonly string[];
}

const documents = documentsOf(sectionTypes);
const block = statusBlockFormat(sectionTypes);
/** fw_cfg names by the ways people spell them in file names. */
const FW_CFG_NAMES = new Map(Object.values(FILE).flatMap((name) => [[name, name] as const, [name.replaceAll("/", "_"), name] as const]));

/** The fw_cfg file a path stands for: `…/etc/acpi/tables`, `etc_acpi_tables` or `fwcfg_etc_acpi_tables`. */
export function fwCfgNameOf(path: string): string | undefined {
  const parts = path.split(/[\\/]/);
  for (let from = 0; from < parts.length; from++) {
    const name = parts.slice(from).join("/");
    const found = FW_CFG_NAMES.get(name.replace(/^fwcfg_/, "").replace(/\.bin$/, ""));
    if (found !== undefined) return found;
  }
  return undefined;
}

/** The boot error region as Linux exports it (tables/data/BERT), or a file that says so. */
const isRegion = ({ file, bytes }: CheckInput) =>
  /(^|[\\/])data[\\/]BERT$|bert[-_.]region/i.test(file) && String.fromCharCode(...bytes.subarray(0, 4)) !== "BERT";

/**
 * Check files, each for itself and against each other.
 * Any bytes: findings, never an exception.
 */
export function check(inputs: readonly CheckInput[], options: CheckOptions = {}): CheckResult {
  const profiles = new Set<Profile>(options.profiles ?? (Object.keys(PROFILES) as Profile[]));
  const ignored = new Set(options.ignore ?? []);
  const findings: CheckFinding[] = [];
  const seen = new Set<string>();
  const add = (
    rule: RuleData,
    where: { file: string; table: string; path: string; offset: number },
    found: string,
    expected: string,
    says?: readonly string[],
    without: readonly Profile[] = [],
  ) => {
    if (ignored.has(rule.id)) return;
    const consequences = (Object.entries(rule.consumers) as [Profile, readonly [Consequence["severity"], string]][])
      .filter(([profile]) => profiles.has(profile) && !without.includes(profile))
      .map(([profile, [severity, does]]) => ({ profile, severity, does }));
    if (consequences.length === 0) return;
    const key = JSON.stringify([rule.id, where, found]);
    if (seen.has(key)) return;
    seen.add(key);
    const severity = worst(consequences.map((consequence) => consequence.severity));
    findings.push({ rule: rule.id, title: rule.title, severity, ...where, found, expected, consequences, ...(says && says.length > 0 && { says }) });
  };

  const kernels: KernelVerdict[] = [];
  const checkOne = (table: Table, architecture: "arm64" | "x86" | undefined) => {
    for (const rule of TABLE_RULES)
      if (!rule.on || rule.on.includes(table.signature))
        rule.check(table, (place: Place, found, expected, says, without) => {
          const { path, offset } = typeof place === "string" ? { path: place, offset: table.offsetOf(place) } : place;
          add(rule, { file: table.file, table: table.signature, path, offset }, found, expected, says, without);
        });
    if (profiles.has("linux") && table.signature === "HEST" && table.bytes.length >= 4)
      kernels.push(
        kernelVerdict(
          table,
          {
            sdeiFirmware: hasSdei,
            ...(options.kernel && { version: options.kernel }),
            ...(options.carrier && { carrier: options.carrier }),
            ...(architecture && { architecture }),
          },
          (rule, path, offset, found, expected, says) => add(rule, { file: table.file, table: "HEST", path, offset }, found, expected, says),
        ),
      );
  };

  const { tables, blocks, files, region, unknown, kinds } = sorted(inputs);
  const hasSdei = tables.some(({ signature }) => signature === "SDEI");
  const system = checkHandOff({ tables, blocks, files }, profiles, (rule, where, found, expected) => add(rule, where, found, expected));
  for (const table of tables) checkOne(table, options.architecture ?? system?.architecture);
  for (const table of system?.tables ?? []) checkOne(table, options.architecture ?? system?.architecture);
  checkTogether({ tables: [...tables, ...(system?.tables ?? [])], blocks, files, ...(region && { region }) }, (rule, where, found, expected) =>
    add(rule, where, found, expected),
  );

  findings.sort((a, b) => SEVERITIES.indexOf(b.severity) - SEVERITIES.indexOf(a.severity));
  return { findings, kernels, inputs: kinds, unknown };
}

interface Sorted {
  readonly tables: Table[];
  readonly blocks: CheckInput[];
  readonly files: Map<string, CheckInput>;
  readonly region?: CheckInput;
  readonly unknown: string[];
  readonly kinds: { file: string; kind: string; bytes: number }[];
}

/** What each file is; texts such as acpidump's are taken apart. */
function sorted(inputs: readonly CheckInput[]): Sorted {
  const out: Sorted & { region?: CheckInput } = { tables: [], blocks: [], files: new Map(), unknown: [], kinds: [] };
  const take = (input: CheckInput, depth: number): void => {
    // Text goes first: a dump may begin with the name of the table it shows.
    const kind = depth === 0 && looksLikeText(input.bytes) && fwCfgNameOf(input.file) === undefined ? undefined : place(input, depth);
    if (kind !== undefined) {
      out.kinds.push({ file: input.file, kind, bytes: input.bytes.length });
      return;
    }
    const parts = depth === 0 ? partsOf(input.bytes) : [];
    if (parts.length === 0) out.unknown.push(input.file);
    parts.forEach((bytes, i) => {
      take({ file: parts.length === 1 ? input.file : `${input.file} (${i + 1})`, bytes }, depth + 1);
    });
  };
  /** Put an input where it belongs; undefined when it is nothing known. */
  const place = (input: CheckInput, depth: number): string | undefined => {
    const name = depth === 0 ? fwCfgNameOf(input.file) : undefined;
    if (name !== undefined) {
      out.files.set(name, input);
      return name;
    }
    if (isRegion(input)) {
      out.region = input;
      return "boot error region";
    }
    if (tableFormats.some((format) => format.recognise(input.bytes)) || (looksLikeTable(input.bytes) && isBinary(input.bytes))) {
      const several = tablesIn(input.bytes);
      if (several.length > 0) {
        out.tables.push(...several.map((bytes) => tableOf(`${input.file} (${String.fromCharCode(...bytes.subarray(0, 4))})`, bytes)));
        return `${several.length} tables`;
      }
      const table = tableOf(input.file, input.bytes);
      out.tables.push(table);
      return table.signature;
    }
    if (!block.recognise(input.bytes)) return undefined;
    out.blocks.push(input);
    return block.name;
  };
  for (const input of inputs) take(input, 0);
  return out;
}
const isBinary = (bytes: Uint8Array) => bytes.subarray(0, 64).some((byte) => byte === 0 || byte > 0x7e);

/** The binary contents of a text; empty for what is no text around tables. */
function partsOf(bytes: Uint8Array): Uint8Array[] {
  const document = documents.read(bytes);
  return [...leavesOf(document)].filter((leaf) => leaf.value !== document.value && leaf.format.name !== "raw").map((leaf) => leaf.format.encode(leaf.value));
}
