/** Where the strings stand in JSON text. */

/** A string that is a member's value. */
export interface StringPlace {
  readonly name: string;
  /** First character inside the quotes, and the quote behind. */
  readonly start: number;
  readonly end: number;
  /** String members of the same object, and of objects in it that hold no data themselves. Complete once all places are known. */
  readonly siblings: Readonly<Record<string, string>>;
}

interface Level {
  readonly strings: Record<string, string>;
  readonly isObject: boolean;
  name: string | undefined;
}

/** Every string in a JSON text that is the value of a named member; undefined when the text is no JSON. */
export function stringsOf(text: string): StringPlace[] | undefined {
  const body = text.charCodeAt(0) === 0xfeff ? text.slice(1) : text;
  const shift = text.length - body.length;
  try {
    JSON.parse(body);
  } catch {
    return undefined;
  }
  const out: StringPlace[] = [];
  const levels: Level[] = [];
  for (let at = 0; at < body.length; at++) {
    const letter = body[at];
    const level = levels.at(-1);
    if (letter === "{" || letter === "[") levels.push({ strings: {}, isObject: letter === "{", name: undefined });
    else if (letter === "}" || letter === "]") {
      levels.pop();
      const outer = levels.at(-1);
      // Redfish names the section type in a member object beside the data.
      if (outer && level?.isObject && outer.isObject) for (const [name, value] of Object.entries(level.strings)) outer.strings[name] ??= value;
      if (outer) outer.name = undefined;
    } else if (letter === ",") {
      if (level) level.name = undefined;
    } else if (letter === '"') {
      let end = at + 1;
      while (body[end] !== '"') end += body[end] === "\\" ? 2 : 1;
      const content = body.slice(at + 1, end);
      if (level?.isObject && level.name === undefined) level.name = content;
      else if (level?.isObject && level.name !== undefined) {
        if (content.length <= 64) level.strings[level.name] = content;
        out.push({ name: level.name, start: shift + at + 1, end: shift + end, siblings: level.strings });
      }
      at = end;
    }
  }
  return out;
}
