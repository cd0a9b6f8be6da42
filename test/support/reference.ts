/** The reference of all structures as Markdown pages, made from the layouts that the source modules define. */
import { type Node, type Root, referenceTable, SectionRegistry, type SectionType } from "../../src/layout/index.ts";

export interface Page {
  /** Path below `docs/reference/`, without extension. */
  readonly name: string;
  readonly title: string;
  readonly intro: string;
  /** Modules whose layouts stand here, below `src/`, in the order of the page: a folder with its slash, or a file without extension. */
  readonly modules: readonly string[];
  /** Names of section types that stand here though no module exports their layout. */
  readonly types?: RegExp;
}
/** A source module: its path below `src/` without extension, and what it exports. */
export interface Module {
  readonly path: string;
  readonly exports: object;
}

/** Layouts that are copies of one another, with another initial value or gate, have the same fields and the same name. */
class Once<T> {
  readonly #byFields = new Map<object, Map<string, T>>();
  get = (layout: Root): T | undefined => this.#byFields.get(layout.fields)?.get(layout.name);
  set(layout: Root, item: T): void {
    const byName = this.#byFields.get(layout.fields) ?? new Map<string, T>();
    this.#byFields.set(layout.fields, byName.set(layout.name, item));
  }
}

const isObject = (value: unknown): value is Record<string, unknown> => typeof value === "object" && value !== null;
const isLayout = (value: unknown): value is Root =>
  isObject(value) && (value["kind"] === "struct" || value["kind"] === "sequence") && isObject(value["fields"]) && typeof value["name"] === "string";

/** The layouts in what a module exports, by themselves or inside tables and section types; with the path to each. */
function layoutsIn(exports: object, most = 5): [path: string, layout: Root][] {
  const out: [string, Root][] = [];
  const seen = new Set<unknown>();
  const visit = (value: unknown, path: string, depth: number): void => {
    if (!isObject(value) || seen.has(value) || depth > most || value instanceof SectionRegistry) return;
    seen.add(value);
    if (isLayout(value)) out.push([path, value]);
    else for (const [name, part] of Object.entries(value)) visit(part, path === "" ? name : `${path}.${name}`, depth + 1);
  };
  visit(exports, "", 0);
  return out;
}

/** The structures a node holds, at first remove. */
function childrenOf(node: Node): Root[] {
  switch (node.kind) {
    case "struct":
    case "sequence":
      return [node];
    case "array":
    case "list":
    case "window":
      return childrenOf(node.item);
    case "choice":
    case "variant":
      return Object.values(node.cases).flatMap(childrenOf);
    default:
      return [];
  }
}
const nestedIn = (layout: Root): Root[] => Object.values(layout.fields).flatMap(childrenOf);

interface Entry {
  readonly layout: Root;
  readonly page: Page;
  /** Headings: 2 for a structure of its own, 3 for one that stands below it. */
  readonly level: 2 | 3;
  /** Set once the order of the page is known. */
  anchor: string;
  secondHand: string | undefined;
}

/** The anchor GitHub gives a heading. */
const slug = (heading: string): string =>
  heading
    .toLowerCase()
    .replace(/[^\p{L}\p{N}\s_-]/gu, "")
    .replace(/\s/g, "-");

const bytesText = (layout: Root): string =>
  layout.kind === "sequence"
    ? "Variable size"
    : `${layout.size} ${layout.size === 1 ? "byte" : "bytes"}${layout.ends ? `; earlier revisions end it at ${layout.ends.join(", ")}` : ""}`;

export interface Reference {
  /** Text by page name. */
  readonly pages: ReadonlyMap<string, string>;
  readonly index: string;
  /** Modules with layouts that belong to no page. */
  readonly homeless: readonly string[];
  /** Names of all structures described. */
  readonly names: ReadonlySet<string>;
}

export interface ReferenceInput {
  readonly pages: readonly Page[];
  readonly modules: readonly Module[];
  readonly registry: SectionRegistry;
  readonly formats: readonly { readonly name: string; readonly title: string }[];
}

export function referenceOf({ pages, modules, registry, formats }: ReferenceInput): Reference {
  const found = modules
    .map(({ path, exports }) => ({ path, layouts: layoutsIn(exports).map(([, layout]) => layout) }))
    .filter(({ layouts }) => layouts.length > 0);
  const homeOf = (path: string) => pages.find(({ modules }) => modules.some((name) => path === name || (name.endsWith("/") && path.startsWith(name))));
  const typesOf = new Once<SectionType[]>();
  for (const type of registry) {
    const layout = type.layout as unknown as Root;
    typesOf.set(layout, [...(typesOf.get(layout) ?? []), type]);
  }
  const inCode = new Once<{ readonly name: string; readonly file: string }>();
  for (const { path, exports } of modules)
    for (const [name, layout] of layoutsIn(exports, 1)) if (!inCode.get(layout)) inCode.set(layout, { name, file: `src/${path}.ts` });

  // A structure stands where its module does, below the first structure of the same page that holds it.
  const homes = new Once<Page>();
  const heldIn = new Once<Set<Page>>();
  for (const page of pages)
    for (const module of page.modules)
      for (const { path, layouts } of found)
        if (path === module || (module.endsWith("/") && path.startsWith(module))) for (const layout of layouts) if (!homes.get(layout)) homes.set(layout, page);
  const noteHolder = (layout: Root, page: Page, seen: Set<object>): void => {
    for (const part of nestedIn(layout)) {
      const holders = heldIn.get(part) ?? new Set();
      heldIn.set(part, holders.add(page));
      if (!homes.get(part) && !seen.has(part.fields)) noteHolder(part, page, seen.add(part.fields));
    }
  };
  for (const { layouts } of found) for (const layout of layouts) if (homes.get(layout)) noteHolder(layout, homes.get(layout)!, new Set());

  const entries = new Once<Entry>();
  const onPage = new Map<Page, Entry[]>(pages.map((page) => [page, []]));
  const add = (layout: Root, page: Page, level: 2 | 3, secondHand: string | undefined): void => {
    if (entries.get(layout) || (homes.get(layout) ?? page) !== page) return;
    const entry: Entry = { layout, page, level, anchor: "", secondHand: typesOf.get(layout)?.find((type) => type.secondHand)?.secondHand ?? secondHand };
    entries.set(layout, entry);
    onPage.get(page)!.push(entry);
    // Section types stand on their own, whatever holds them.
    for (const part of nestedIn(layout)) if (!typesOf.get(part)) add(part, page, 3, entry.secondHand);
  };
  for (const page of pages)
    for (const module of page.modules)
      for (const { path, layouts } of found.filter(({ path }) => path === module || (module.endsWith("/") && path.startsWith(module)))) {
        for (const layout of layouts) if (homeOf(path) === page && (typesOf.get(layout) || !heldIn.get(layout)?.has(page))) add(layout, page, 2, undefined);
      }
  for (const type of registry) {
    const page = pages.find(({ types }) => types?.test(type.name));
    if (page) add(type.layout as unknown as Root, page, 2, undefined);
  }

  for (const list of onPage.values()) {
    const taken = new Map<string, number>();
    for (const entry of list) {
      const base = slug(entry.layout.name);
      const times = taken.get(base) ?? 0;
      taken.set(base, times + 1);
      entry.anchor = times === 0 ? base : `${base}-${times}`;
    }
  }
  const linkFrom = (page: Page | undefined) => (layout: Root) => {
    const entry = entries.get(layout);
    if (!entry) throw new Error(`${layout.name} stands on no page`);
    return `[${layout.name}](${entry.page === page ? "" : `${page ? "" : "reference/"}${entry.page.name}.md`}#${entry.anchor})`;
  };

  const describe = (entry: Entry): string => {
    const { layout } = entry;
    const types = typesOf.get(layout) ?? [];
    const code = inCode.get(layout);
    return [
      `${"#".repeat(entry.level)} ${layout.name}`,
      "",
      `${bytesText(layout)}. Source: ${layout.doc}.${code === undefined ? "" : ` In code: \`${code.name}\` of [${code.file}](../../${code.file}).`}`,
      ...types.flatMap((type) => [
        "",
        `Section type \`${type.name}\`, ${type.title}${type.length === undefined ? "" : `, for bodies of ${type.length} bytes`}: ${type.guids.map((guid) => `\`${guid}\``).join(", ")}`,
      ]),
      ...(entry.secondHand === undefined ? [] : ["", `> **Second-hand layout:** ${entry.secondHand}.`]),
      "",
      referenceTable(layout, linkFrom(entry.page)),
      "",
    ].join("\n");
  };
  const contents = (page: Page) => {
    const shown = onPage.get(page)!.filter(({ level }) => level === 2);
    const alike = (name: string) => shown.filter(({ layout }) => layout.name === name).length > 1;
    return shown.map(
      ({ layout, secondHand }) =>
        `- ${linkFrom(page)(layout)}${alike(layout.name) && inCode.get(layout) ? `, \`${inCode.get(layout)!.name}\`` : ""}${secondHand === undefined ? "" : " (second-hand)"}`,
    );
  };
  const text = (page: Page): string => [`# ${page.title}`, "", page.intro, "", ...contents(page), "", ...onPage.get(page)!.map(describe)].join("\n");

  const types = [...registry];
  const index = [
    "# Reference",
    "",
    "Every structure `apei` reads and writes, made from the definitions the program itself runs on. Numbers are little-endian unless a field says otherwise; sizes and offsets are in bytes. A layout is marked second-hand where the document that defines it could not be read and it was taken from other programs or from records.",
    "",
    ...pages.map((page) => `- [${page.title}](reference/${page.name}.md): ${onPage.get(page)!.length} structures`),
    "",
    "## Section types",
    "",
    "`kind` in JSON, `--section` on the command line.",
    "",
    "| Kind | Title | GUID | Layout | Second-hand |",
    "|---|---|---|---|---|",
    ...types.map(
      (type) =>
        `| ${type.name} | ${type.title}${type.length === undefined ? "" : ` (${type.length} bytes)`} | ${type.guids.map((guid) => `\`${guid}\``).join("<br>")} | ${linkFrom(undefined)(type.layout as unknown as Root)} | ${type.secondHand ?? ""} |`,
    ),
    "",
    "## Formats",
    "",
    "`format` in JSON, `--as` on the command line.",
    "",
    "| Format | What it is | JSON Schema |",
    "|---|---|---|",
    ...formats.map(({ name, title }) => `| ${name} | ${title} | [${name}.schema.json](../schemas/${name}.schema.json) |`),
    "",
    "What people write for `apei build` and `apei run` has schemas too: [build-description.schema.json](../schemas/build-description.schema.json), [scenario.schema.json](../schemas/scenario.schema.json). `apei schema` prints them all.",
    "",
  ].join("\n");

  return {
    pages: new Map(pages.map((page) => [page.name, text(page)])),
    index,
    homeless: found.filter(({ path }) => !homeOf(path)).map(({ path }) => path),
    names: new Set([...onPage.values()].flatMap((list) => list.map(({ layout }) => layout.name))),
  };
}
