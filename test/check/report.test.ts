import { describe, expect, test } from "vitest";
import { buildTable } from "../../src/acpi/build-tables.ts";
import { check, RULES, ruleById } from "../../src/check/check.ts";
import { isIgnored, parseConfig } from "../../src/check/config.ts";
import { explainText, failing, jsonReport, junitReport, sarifReport, textReport } from "../../src/check/report.ts";

const bert = buildTable("BERT", { bootErrorRegionLength: 4, bootErrorRegion: "0x1000" });
const good = buildTable("BERT", { bootErrorRegionLength: 4096, bootErrorRegion: "0x1000" });
const result = check([
  { file: "tables/BERT <1>.dat", bytes: bert },
  { file: "good.dat", bytes: good },
]);

describe("text", () => {
  test("names the place, what was found and what each consumer does", () => {
    expect(textReport(result)).toBe(`tables/BERT <1>.dat
  error BERT at 0x24, bootErrorRegionLength: The boot error region is shorter than a status block's header [bert-region-length]
    found 4; expected at least 20
    spec: has no room for a block
    linux: refuses the table: its length is invalid
    fwts: fails the table

2 inputs checked: 1 error
`);
  });
  test("colours are asked for", () => {
    expect(textReport(result, { colours: true })).toContain("\x1b[31merror\x1b[0m");
    expect(textReport(result)).not.toContain("\x1b");
  });
  test("every rule explains itself", () => {
    for (const rule of RULES) expect(explainText(rule)).toContain(`Source: ${rule.source}`);
  });
});

describe("SARIF", () => {
  // The members and types the 2.1.0 schema requires of what is written here.
  const log = sarifReport(result, "1.2.3") as {
    $schema: string;
    version: string;
    runs: {
      tool: { driver: { name: string; semanticVersion: string; rules: { id: string; shortDescription: { text: string } }[] } };
      artifacts: { location: { uri: string } }[];
      results: {
        ruleId: string;
        ruleIndex: number;
        level: string;
        message: { text: string };
        locations: {
          physicalLocation: { artifactLocation: { uri: string }; region: { byteOffset: number } };
          logicalLocations: { fullyQualifiedName: string }[];
        }[];
      }[];
    }[];
  };
  const [run] = log.runs;
  test("is version 2.1.0 and names its schema", () => {
    expect(log.version).toBe("2.1.0");
    expect(new URL(log.$schema).pathname).toMatch(/sarif-schema-2\.1\.0\.json$/);
    expect(Object.keys(log).sort()).toEqual(["$schema", "runs", "version"]);
  });
  test("results refer to rules and places", () => {
    const [one] = run!.results;
    expect(run!.tool.driver.rules[one!.ruleIndex]?.id).toBe(one!.ruleId);
    expect(["none", "note", "warning", "error"]).toContain(one!.level);
    expect(one!.message.text).toContain("found 4, expected at least 20");
    expect(one!.locations[0]).toEqual({
      physicalLocation: { artifactLocation: { uri: "tables/BERT%20%3C1%3E.dat" }, region: { byteOffset: 36 } },
      logicalLocations: [{ fullyQualifiedName: "BERT.bootErrorRegionLength" }],
    });
    expect(run!.artifacts.map((artifact) => artifact.location.uri)).toEqual(["tables/BERT%20%3C1%3E.dat", "good.dat"]);
  });
});

describe("JUnit", () => {
  test("a suite for each file, a failure for each finding that counts", () => {
    const xml = junitReport(result, "error");
    expect(xml).toMatch(/^<\?xml version="1\.0" encoding="UTF-8"\?>\n<testsuites name="apei validate" tests="2" failures="1" errors="0">/);
    expect(xml).toContain('<testsuite name="tables/BERT &lt;1&gt;.dat" tests="1" failures="1" errors="0">');
    expect(xml).toContain('<testcase classname="BERT" name="no findings"/>');
    expect(xml.match(/<failure /g)).toHaveLength(1);
    for (const tag of ["testsuites", "testsuite", "testcase", "failure"]) {
      const open = xml.match(new RegExp(`<${tag}[ >]`, "g"))?.length ?? 0;
      const closed = (xml.match(new RegExp(`</${tag}>`, "g"))?.length ?? 0) + (xml.match(new RegExp(`<${tag} [^<]*/>`, "g"))?.length ?? 0);
      expect(closed, tag).toBe(open);
    }
  });
  test("characters XML cannot hold are left out", () => {
    const odd = buildTable("BERT", { bootErrorRegionLength: 4, bootErrorRegion: "0x1000" });
    expect(junitReport(check([{ file: "a\u0001b&.dat", bytes: odd }]), "error")).toContain('<testsuite name="ab&amp;.dat"');
  });
});

describe("severities", () => {
  const zero = check([{ file: "BERT.dat", bytes: buildTable("BERT", { header: { revision: 9 }, bootErrorRegionLength: 4096, bootErrorRegion: "0x1000" }) }]);
  test("what fails is what is asked for", () => {
    expect([failing(zero, "error").length, failing(zero, "warning").length]).toEqual([0, 1]);
    expect(jsonReport(zero, "warning")).toMatchObject({ failOn: "warning", failed: true, counts: { error: 0, warning: 1, note: 0 } });
  });
  test("a profile that does not mind hides the finding", () => {
    expect(check([{ file: "BERT.dat", bytes: bert }], { profiles: ["seabios"] }).findings).toEqual([]);
    expect(check([{ file: "BERT.dat", bytes: bert }], { ignore: ["bert-region-length"] }).findings).toEqual([]);
  });
});

describe("configuration", () => {
  test("all members", () => {
    expect(
      parseConfig(
        '{"$schema":"x","profiles":["linux","spec"],"failOn":"warning","kernel":"6.1","architecture":"arm64","ignore":["hest-count",{"rule":"header-checksum","file":"x.dat","path":"header","reason":"known"}]}',
        "c.json",
      ),
    ).toEqual({
      profiles: ["linux", "spec"],
      failOn: "warning",
      kernel: "6.1",
      architecture: "arm64",
      ignore: [{ rule: "hest-count" }, { rule: "header-checksum", file: "x.dat", path: "header", reason: "known" }],
    });
  });
  test.each([
    ["{", /c\.json: is not JSON/],
    ["[]", /c\.json: is not an object/],
    ['{"profile":[]}', /no member "profile" is known/],
    ['{"profiles":["windows"]}', /"windows" is none of spec, linux/],
    ['{"failOn":"fatal"}', /"fatal" is none of note, warning, error/],
    ['{"ignore":["no-such-rule"]}', /ignore\[0\]: "no-such-rule" is none of/],
    ['{"ignore":[{"rule":"hest-count","where":"x"}]}', /no member "where" is known/],
    ['{"ignore":[{"rule":"hest-count","file":3}]}', /ignore\[0\]\.file: is not text/],
    ['{"ignore":{}}', /ignore: is not a list/],
    ['{"kernel":"5.4"}', /"5.4" is none of 6.1, 7.2/],
  ])("%s is refused", (text, message) => expect(() => parseConfig(text, "c.json")).toThrow(message));
  test("an ignored finding may be bound to a file and a field", () => {
    const finding = { rule: "hest-count", file: "a/b/HEST.dat", path: "sourceCount" };
    expect(isIgnored(finding, [{ rule: "hest-count", file: "b/HEST.dat", path: "source" }])).toBe(true);
    expect(isIgnored(finding, [{ rule: "hest-count", file: "c/HEST.dat" }])).toBe(false);
    expect(isIgnored(finding, [{ rule: "hest-trailing" }])).toBe(false);
  });
});

test("rules are found by their id", () => {
  expect(ruleById("hest-count")?.title).toBe("The source count is wrong");
  expect(ruleById("nonsense")).toBeUndefined();
});
