/** Results as people, programs and build servers want them. */
import { hexNumber } from "../layout/index.ts";
import { type CheckResult, RULES, ruleById } from "./check.ts";
import { kernelLines } from "./kernel.ts";
import { type CheckFinding, PROFILES, type Profile, type RuleData, SEVERITIES, type Severity } from "./rule.ts";

const atLeast = (severity: Severity, limit: Severity) => SEVERITIES.indexOf(severity) >= SEVERITIES.indexOf(limit);
/** Findings that make the check fail. */
export const failing = (result: CheckResult, failOn: Severity): readonly CheckFinding[] => result.findings.filter(({ severity }) => atLeast(severity, failOn));

// ---- text ----

/** Terminal colours by number of the escape sequence. */
const COLOUR = { error: 31, warning: 33, note: 36, dim: 2, bold: 1 } as const;
type Paint = (name: keyof typeof COLOUR, text: string) => string;
const painter = (colours: boolean): Paint => (colours ? (name, text) => `\x1b[${COLOUR[name]}m${text}\x1b[0m` : (_name, text) => text);

const counts = (findings: readonly CheckFinding[]): string =>
  [...SEVERITIES]
    .reverse()
    .map((severity) => [findings.filter((finding) => finding.severity === severity).length, severity] as const)
    .filter(([count]) => count > 0)
    .map(([count, severity]) => `${count} ${severity}${count === 1 ? "" : "s"}`)
    .join(", ");

/** Lines for people; notes only when asked for. */
export function textReport(result: CheckResult, options: { readonly colours?: boolean; readonly notes?: boolean } = {}): string {
  const paint = painter(options.colours ?? false);
  const lines: string[] = [];
  const shown = result.findings.filter(({ severity }) => options.notes || severity !== "note");
  for (const file of new Set(shown.map((finding) => finding.file))) {
    lines.push(paint("bold", file));
    for (const finding of shown.filter((one) => one.file === file)) {
      lines.push(
        `  ${paint(finding.severity, finding.severity)} ${finding.table} at ${hexNumber(finding.offset)}, ${finding.path}: ${finding.title} ${paint("dim", `[${finding.rule}]`)}`,
        `    found ${finding.found}; expected ${finding.expected}`,
        ...finding.consequences.map(({ profile, does }) => `    ${profile}: ${does}`),
      );
    }
    lines.push("");
  }
  for (const kernel of result.kernels) lines.push(...kernelLines(kernel), "");
  for (const file of result.unknown) lines.push(`${file}: not a table, block or fw_cfg file; passed over`);
  const hidden = result.findings.length - shown.length;
  lines.push(
    `${result.inputs.length} input${result.inputs.length === 1 ? "" : "s"} checked: ${counts(result.findings) || "no findings"}${hidden > 0 ? ` (--notes shows the notes)` : ""}`,
  );
  return `${lines.join("\n")}\n`;
}

/** A rule at length. */
export function explainText(rule: RuleData): string {
  return [
    `${rule.id}: ${rule.title}`,
    "",
    rule.explain,
    "",
    `Source: ${rule.source}`,
    ...(Object.entries(rule.consumers) as [Profile, readonly [Severity, string]][]).map(
      ([profile, [severity, does]]) => `${PROFILES[profile]} (${profile}, ${severity}): ${does}`,
    ),
    ...(rule.fwts ? [`Tests of the firmware test suite: ${rule.fwts.join(", ")}`] : []),
    "",
  ].join("\n");
}
/** All rules, one a line. */
export const rulesText = (): string => `${RULES.map((rule) => `${rule.id.padEnd(28)} ${rule.title}`).join("\n")}\n`;

// ---- JSON ----

/** The report as an object for JSON: inputs, findings, what Linux prints, and whether any finding is as severe as `failOn`. */
export const jsonReport = (result: CheckResult, failOn: Severity): object => ({
  failOn,
  failed: failing(result, failOn).length > 0,
  counts: Object.fromEntries(SEVERITIES.map((severity) => [severity, result.findings.filter((finding) => finding.severity === severity).length])),
  inputs: result.inputs,
  ...(result.unknown.length > 0 && { unknown: result.unknown }),
  findings: result.findings,
  kernels: result.kernels,
});

// ---- SARIF ----

const SARIF_SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json";
/** File names as URI references: relative ones stay relative. */
const uriOf = (file: string): string => {
  const name = file.replaceAll("\\", "/").replace(/ \([^()/]*\)$/, "");
  return `${name.startsWith("/") ? "file://" : ""}${name.split("/").map(encodeURIComponent).join("/")}`;
};
const consequenceText = (finding: CheckFinding): string => finding.consequences.map(({ profile, does }) => `${PROFILES[profile]}: ${does}.`).join(" ");

/** A SARIF 2.1.0 log (OASIS standard), one run. */
export function sarifReport(result: CheckResult, version: string): object {
  const used = [...new Set(result.findings.map(({ rule }) => rule))];
  return {
    $schema: SARIF_SCHEMA,
    version: "2.1.0",
    runs: [
      {
        tool: {
          driver: {
            name: "apei",
            semanticVersion: version,
            rules: used.map((id) => {
              const rule = ruleById(id)!;
              return {
                id,
                shortDescription: { text: rule.title },
                fullDescription: { text: rule.explain },
                help: { text: `Source: ${rule.source}.` },
                properties: { tags: Object.keys(rule.consumers) },
              };
            }),
          },
        },
        artifacts: [...new Set(result.inputs.map(({ file }) => uriOf(file)))].map((uri) => ({ location: { uri } })),
        results: result.findings.map((finding) => ({
          ruleId: finding.rule,
          ruleIndex: used.indexOf(finding.rule),
          level: finding.severity,
          message: { text: `${finding.title}: found ${finding.found}, expected ${finding.expected}. ${consequenceText(finding)}` },
          locations: [
            {
              physicalLocation: { artifactLocation: { uri: uriOf(finding.file) }, region: { byteOffset: finding.offset } },
              logicalLocations: [{ fullyQualifiedName: `${finding.table}.${finding.path}` }],
            },
          ],
          partialFingerprints: { "place/v1": `${finding.rule}:${finding.table}.${finding.path}` },
          properties: { found: finding.found, expected: finding.expected, consequences: finding.consequences, ...(finding.says && { says: finding.says }) },
        })),
      },
    ],
  };
}

// ---- JUnit ----

const ESCAPES: Readonly<Record<string, string>> = { "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&apos;" };
/** Text for XML 1.0: characters it has no way to write are left out. */
const xml = (text: string): string =>
  text
    .replace(/[&<>"']/g, (letter) => ESCAPES[letter]!)
    // biome-ignore lint/suspicious/noControlCharactersInRegex: these are what XML cannot hold
    .replace(/[\u0000-\u0008\u000b\u000c\u000e-\u001f\ufffe\uffff]/g, "");

/** JUnit XML: a suite for each file, a failed case for each finding that counts. */
export function junitReport(result: CheckResult, failOn: Severity): string {
  const files = [...new Set([...result.inputs.map(({ file }) => file), ...result.findings.map(({ file }) => file)])];
  const suites = files.map((file) => {
    const findings = result.findings.filter((finding) => finding.file === file);
    const cases = findings.map((finding) => {
      const name = `${finding.rule} ${finding.path}`;
      const text = `${finding.title}: found ${finding.found}, expected ${finding.expected}. ${consequenceText(finding)}`;
      const inner = atLeast(finding.severity, failOn)
        ? `<failure message="${xml(text)}" type="${finding.severity}">${xml([`${finding.table} at ${hexNumber(finding.offset)}`, ...(finding.says ?? [])].join("\n"))}</failure>`
        : `<system-out>${xml(`${finding.severity}: ${text}`)}</system-out>`;
      return `    <testcase classname="${xml(finding.table)}" name="${xml(name)}">${inner}</testcase>`;
    });
    if (cases.length === 0) cases.push(`    <testcase classname="${xml(result.inputs.find((input) => input.file === file)?.kind ?? "")}" name="no findings"/>`);
    const failures = findings.filter((finding) => atLeast(finding.severity, failOn)).length;
    return [`  <testsuite name="${xml(file)}" tests="${cases.length}" failures="${failures}" errors="0">`, ...cases, "  </testsuite>"].join("\n");
  });
  const tests = suites.reduce((sum, suite) => sum + (suite.match(/<testcase /g)?.length ?? 0), 0);
  return [
    '<?xml version="1.0" encoding="UTF-8"?>',
    `<testsuites name="apei validate" tests="${tests}" failures="${failing(result, failOn).length}" errors="0">`,
    ...suites,
    "</testsuites>",
    "",
  ].join("\n");
}
