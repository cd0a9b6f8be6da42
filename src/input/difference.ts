/** Where two documents differ, by the names of their fields. */
import type { Json } from "../layout/index.ts";
import { type Content, isObject } from "./content.ts";
import { leavesOf } from "./leaves.ts";

/** One difference; a value that one side does not have is absent. */
export interface Difference {
  readonly path: string;
  readonly first?: Json;
  readonly second?: Json;
}

/** Longest lists whose items are aligned by content; longer ones are compared place by place. */
const LONGEST_ALIGNED = 1000;

/**
 * The differences of two contents. What wraps them does not count: a record and a hex dump of it are the same.
 */
export function differences(first: Content, second: Content): Difference[] {
  const project = (content: Content): Json[] => [...leavesOf(content)].map(({ format, value }) => ({ format: format.name, ...format.toJson(value) }));
  const [one, two] = [project(first), project(second)];
  const out: Difference[] = [];
  if (one.length === 1 && two.length === 1) compare("", one[0], two[0], out);
  else compareLists("", one, two, out);
  return out;
}

const join = (path: string, name: string) => (path === "" ? name : `${path}.${name}`);
const present = (name: "first" | "second", value: Json | undefined) => (value === undefined ? {} : { [name]: value });

function compare(path: string, first: Json | undefined, second: Json | undefined, out: Difference[]): void {
  if (isObject(first) && isObject(second)) {
    for (const name of new Set([...Object.keys(first), ...Object.keys(second)])) compare(join(path, name), first[name], second[name], out);
  } else if (Array.isArray(first) && Array.isArray(second)) compareLists(path, first, second, out);
  else if (JSON.stringify(first) !== JSON.stringify(second)) out.push({ path, ...present("first", first), ...present("second", second) });
}

/** Items that are equal on both sides stay together; what is between them is compared in order. */
function compareLists(path: string, first: readonly Json[], second: readonly Json[], out: Difference[]): void {
  let i = 0;
  let j = 0;
  for (const [a, b] of [...sameItems(first, second), [first.length, second.length] as const]) {
    for (; i < a || j < b; i = Math.min(a, i + 1), j = Math.min(b, j + 1))
      compare(`${path}[${i < a ? i : j}]`, i < a ? first[i] : undefined, j < b ? second[j] : undefined, out);
    i++;
    j++;
  }
}

/** Indices of a longest common subsequence. */
function sameItems(first: readonly Json[], second: readonly Json[]): (readonly [number, number])[] {
  if (first.length > LONGEST_ALIGNED || second.length > LONGEST_ALIGNED || first.length === second.length) return [];
  const one = first.map((item) => JSON.stringify(item));
  const two = second.map((item) => JSON.stringify(item));
  const width = two.length + 1;
  const best = new Uint16Array((one.length + 1) * width);
  for (let i = one.length - 1; i >= 0; i--)
    for (let j = two.length - 1; j >= 0; j--)
      best[i * width + j] = one[i] === two[j] ? best[(i + 1) * width + j + 1]! + 1 : Math.max(best[(i + 1) * width + j]!, best[i * width + j + 1]!);
  const out: (readonly [number, number])[] = [];
  for (let i = 0, j = 0; i < one.length && j < two.length; )
    if (one[i] === two[j]) out.push([i++, j++]);
    else if (best[(i + 1) * width + j]! >= best[i * width + j + 1]!) i++;
    else j++;
  return out;
}
