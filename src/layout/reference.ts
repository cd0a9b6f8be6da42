/** A layout as documentation: Markdown tables of its fields, enumerations and bits. */
import { type BitMember, bitRange, isFixed, type Kind, type Names, type Node, type NodeOf, numberOf, type Ref, type Root } from "./layout.ts";

/** How a nested structure is named in a table: a link, where there is a page to link to. */
export type NameOf = (layout: Root) => string;

/** Longer lists of values stand in a table of their own. */
const LONGEST_INLINE = 80;

/** Text that Markdown would read as a column or a tag. */
const cell = (text: string): string => text.replaceAll("|", "\\|").replaceAll("<", "&lt;");
const row = (cells: readonly string[]): string => `| ${cells.join(" | ")} |`;
/** Columns after the first that are empty throughout are left out. */
function table(head: readonly string[], rows: readonly (readonly string[])[]): string[] {
  const shown = head.map((_, i) => i === 0 || rows.some((cells) => cells[i] !== ""));
  const pick = (cells: readonly string[]) => cells.filter((_, i) => shown[i]);
  return [
    row(pick(head)),
    `|${pick(head)
      .map(() => "---|")
      .join("")}`,
    ...rows.map((cells) => row(pick(cells))),
  ];
}

const refText = ({ path, scale, bias }: Ref): string =>
  `\`${path}\`${scale === 1 ? "" : ` × ${scale}`}${bias === 0 ? "" : ` ${bias < 0 ? "−" : "+"} ${Math.abs(bias)}`}`;

const extent: { readonly [K in Kind]: (node: NodeOf<K>) => string } = {
  uint: (node) => `${node.size}`,
  enum: (node) => `${node.size}`,
  bits: (node) => `${node.size}`,
  guid: () => "16",
  text: (node) => `${node.size}`,
  timestamp: () => "8",
  bytes: (node) => `${node.size}`,
  reserved: (node) => `${node.size}`,
  array: (node) => `${node.count} × ${node.item.size}`,
  struct: (node) => `${node.size}`,
  sequence: () => "…",
  list: (node) => (node.count ? `× ${refText(node.count)}` : "× …"),
  choice: (node) => `by ${refText(node.on)}`,
  variant: (node) => `by \`${node.tag}\``,
  window: (node) => refText(node.length),
  blob: (node) => (node.length ? refText(node.length) : node.until ? `to ${refText(node.until)}` : "…"),
  padding: (node) => `to a multiple of ${node.to}`,
};

/** What a field may hold: in one line, and as a table for where the line is too long. */
interface Contents {
  readonly line: string;
  readonly table: readonly string[];
  /** Two fields with the same key may hold the same. */
  readonly key: object;
}

const valueText = (value: number): string => (value < 256 ? `${value}` : `0x${value.toString(16)}`);
const wordsOf = (entry: Names[string]): string => (typeof entry === "number" ? "" : cell(entry[1]));
const namesLine = (names: Names): string =>
  Object.entries(names)
    .map(([name, entry]) => `${valueText(numberOf(entry))} ${name}${wordsOf(entry) === "" ? "" : ` (${wordsOf(entry)})`}`)
    .join(", ");
function bitText(member: BitMember): string {
  const [low, width] = bitRange(member);
  return width === 1 ? `${low}` : `${low + width - 1}:${low}`;
}
const namesOf = (member: BitMember): Names => (typeof member === "object" && "names" in member ? member.names : {});
const namesTable = (names: Names): string[] =>
  table(
    ["Value", "Name", "Words"],
    Object.entries(names).map(([name, entry]) => [valueText(numberOf(entry)), name, wordsOf(entry)]),
  );
/** A table below, under the name of what it lists. */
const listed = (name: string, lines: readonly string[]): string[] => ["", `\`${name}\`:`, "", ...lines];

function contentsOf(name: string, node: Node, nameOf: NameOf): Contents | undefined {
  switch (node.kind) {
    case "enum":
      return { line: namesLine(node.names), table: namesTable(node.names), key: node.names };
    case "bits": {
      const members = Object.entries(node.members).map(([member, range]) => ({ name: member, member: range, names: namesLine(namesOf(range)) }));
      return {
        line: members
          .map(({ name, member, names }) => `${bitRange(member)[1] === 1 ? "bit" : "bits"} ${bitText(member)} ${name}${names === "" ? "" : ` [${names}]`}`)
          .join(", "),
        table: [
          ...table(
            ["Bits", "Name", "Values"],
            members.map(({ name, member, names }) => [bitText(member), name, names.length > LONGEST_INLINE ? "see below" : names]),
          ),
          ...members.flatMap((part) => (part.names.length > LONGEST_INLINE ? listed(`${name}.${part.name}`, namesTable(namesOf(part.member))) : [])),
        ],
        key: node.members,
      };
    }
    case "guid": {
      if (!node.names) return undefined;
      const names = Object.entries(node.names);
      return {
        line: names.map(([guid, words]) => `${guid} ${cell(words)}`).join(", "),
        table: table(
          ["GUID", "Words"],
          names.map(([guid, words]) => [guid, cell(words)]),
        ),
        key: node.names,
      };
    }
    case "choice":
    case "variant": {
      const cases = Object.entries(node.cases);
      return {
        line: cases.map(([name, layout]) => `${name} ${nameOf(layout)}`).join(", "),
        table: table(
          [node.kind === "choice" ? `\`${node.on.path}\`` : `\`${node.tag}\``, "Structure"],
          cases.map(([name, layout]) => [name, nameOf(layout)]),
        ),
        key: node.cases,
      };
    }
    case "array":
    case "list":
    case "window":
      return contentsOf(name, node.item, nameOf);
    default:
      return undefined;
  }
}

function meaning(node: Node, nameOf: NameOf): string {
  switch (node.kind) {
    case "struct":
    case "sequence":
      return nameOf(node);
    case "array":
    case "list":
      return node.item.kind === "struct" || node.item.kind === "sequence" ? `${cell(node.doc)}: ${nameOf(node.item)}` : cell(node.doc);
    case "window":
      return meaning(node.item, nameOf);
    default:
      return cell(node.doc);
  }
}

/** What the words of a field do not say: its byte order, and the validation bits that are named otherwise than the field. */
function remarks(node: Node): string {
  const gates = node.gate?.map((gate) => `\`${gate}\``).join(" or ");
  return `${"order" in node && node.order === "big" ? ", most significant byte first" : ""}${gates === undefined ? "" : `, valid by ${gates}`}`;
}

/**
 * A layout as a Markdown table: offset (from the start, up to the first field of variable size), size in bytes, field,
 * meaning. Below it a table for each enumeration, bit field or choice that is too long for a line.
 */
export function referenceTable(layout: { readonly kind: "struct" | "sequence" }, nameOf: NameOf = (nested) => nested.name): string {
  const lines = ["| Offset | Size | Field | Meaning |", "|--:|--:|---|---|"];
  const below: string[] = [];
  const said = new Map<object, string>();
  let at: number | undefined = 0;
  for (const [name, field] of Object.entries((layout as Root).fields) as [string, Node][]) {
    const contents = contentsOf(name, field, nameOf);
    let values = "";
    if (contents && said.has(contents.key)) values = `: as \`${said.get(contents.key)}\``;
    else if (contents && contents.line.length <= LONGEST_INLINE) values = contents.line === "" ? "" : `: ${contents.line}`;
    else if (contents) {
      said.set(contents.key, name);
      values = ": see below";
      below.push(...listed(name, contents.table));
    }
    lines.push(
      row([
        at === undefined ? "" : `0x${at.toString(16).padStart(2, "0")}`,
        (extent[field.kind] as (node: Node) => string)(field),
        name,
        `${meaning(field, nameOf)}${remarks(field)}${values}`,
      ]),
    );
    at = at !== undefined && isFixed(field) ? at + field.size : undefined;
  }
  return [...lines, ...below].join("\n");
}
