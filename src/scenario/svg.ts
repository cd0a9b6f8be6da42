/** A run as a sequence diagram. */
import { LANES, type Lane, type LaneNames, type TimelineEntry, wrapped } from "./timeline.ts";

const ROW = 34;
const LINE_HEIGHT = 13;
/** From the top of a column's name to the first entry. */
const HEAD = 40;
const LEFT = 76;
const COLUMN = 190;
/** Characters of a text that fit beside an arrow before it is broken. */
const LINE = 58;
/** Width of a character at most, on average, in the fonts that "sans-serif" stands for. */
const CHARACTER = 6.4;

const escaped = (text: string) => text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;").replaceAll('"', "&quot;");

/** Lines of even length, as few as fit. */
function balanced(text: string): string[] {
  const lines = wrapped(text, LINE);
  let width = LINE;
  while (lines.length > 1 && wrapped(text, width - 1).length === lines.length) width--;
  return wrapped(text, width);
}

export interface Drawing {
  /** What those who take part are called. */
  readonly lanes?: LaneNames;
  /** What is shown, under the title. */
  readonly about?: string;
}

/** Draw the timeline: a column for everyone who takes part, an arrow or a note for every entry. */
export function sequenceDiagram(title: string, entries: readonly TimelineEntry[], { lanes = LANES, about }: Drawing = {}): string {
  const used = (Object.keys(LANES) as Lane[]).filter((lane) => entries.some((entry) => entry.from === lane || entry.to === lane));
  const x = (lane: Lane) => LEFT + COLUMN / 2 + used.indexOf(lane) * COLUMN;
  const width = LEFT + Math.max(used.length, 3) * COLUMN + 140;
  const parts: string[] = [];
  const subtitle = about === undefined ? [] : wrapped(about, Math.floor((width - LEFT - 20) / CHARACTER));
  const head = 34 + (subtitle.length > 0 ? subtitle.length * LINE_HEIGHT + 10 : 0);
  let y = head + HEAD;
  let last: number | undefined;
  for (const entry of entries) {
    const lines = balanced(entry.text);
    const height = ROW + (lines.length - 1) * LINE_HEIGHT;
    const color = entry.bad ? "#b00020" : "#1a1a1a";
    if (entry.at !== last) parts.push(`<text x="${LEFT - 12}" y="${y + 12}" class="time">${entry.at} ms</text>`);
    last = entry.at;
    const from = x(entry.from);
    const to = entry.to === undefined ? from : x(entry.to);
    const line = y + height - 12;
    if (entry.to === undefined) parts.push(`<circle cx="${from}" cy="${y + 8}" r="3.5" fill="${color}"/>`);
    else
      parts.push(
        `<line x1="${from}" y1="${line}" x2="${to + (to > from ? -6 : 6)}" y2="${line}" stroke="${color}" marker-end="url(#${entry.bad ? "bad" : "tip"})"/>`,
      );
    const start = Math.min(from, to) + 8;
    // Texts of the last columns would run off the page, and notes of the very last one belong together: they end at their line.
    const note = entry.to === undefined && used.length > 2 && entry.from === used.at(-1);
    const over = note || start + Math.max(...lines.map(({ length }) => length)) * CHARACTER > width;
    lines.forEach((words, i) => {
      parts.push(
        `<text x="${over ? Math.max(from, to) - 8 : start}" y="${y + 12 + i * LINE_HEIGHT}" fill="${color}"${over ? ' text-anchor="end"' : ""}>${escaped(words)}</text>`,
      );
    });
    y += height;
  }
  const bottom = y + 10;
  const columns = used.map(
    (lane) =>
      `<line x1="${x(lane)}" y1="${head + 24}" x2="${x(lane)}" y2="${bottom}" class="life"/><rect x="${x(lane) - 70}" y="${head}" width="140" height="24" rx="4" class="head"/><text x="${x(lane)}" y="${head + 16}" text-anchor="middle" class="name">${lanes[lane]}</text>`,
  );
  return `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${bottom + 10}" viewBox="0 0 ${width} ${bottom + 10}" font-family="sans-serif" font-size="11">
<style>text{paint-order:stroke;stroke:#fff;stroke-width:3px}.life{stroke:#bbb;stroke-dasharray:4 3}.head{fill:#eef3fb;stroke:#6b86b0}.name{font-weight:bold;stroke:none}.time{text-anchor:end;fill:#666}</style>
<defs><marker id="tip" markerWidth="8" markerHeight="8" refX="6" refY="4" orient="auto"><path d="M0,0 L8,4 L0,8 z" fill="#1a1a1a"/></marker><marker id="bad" markerWidth="8" markerHeight="8" refX="6" refY="4" orient="auto"><path d="M0,0 L8,4 L0,8 z" fill="#b00020"/></marker></defs>
<rect width="100%" height="100%" fill="#fff"/>
<title>${escaped(title)}</title>
<text x="${LEFT}" y="20" font-size="14" font-weight="bold">${escaped(title)}</text>
${subtitle.map((line, i) => `<text x="${LEFT}" y="${38 + i * LINE_HEIGHT}" fill="#444">${escaped(line)}</text>`).join("\n")}
${[...columns, ...parts].join("\n")}
</svg>
`;
}
