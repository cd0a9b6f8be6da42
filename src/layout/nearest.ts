/** Names that people may have meant. */

/** The name that differs least from what was given, by at most two letters. */
export function nearestName(given: string, names: readonly string[]): string | undefined {
  let best: string | undefined;
  let least = 3;
  for (const name of names) {
    const distance = editDistance(given, name);
    if (distance < least) [best, least] = [name, distance];
  }
  return best;
}
function editDistance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, i) => i);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) next.push(Math.min(row[j]! + 1, next[j - 1]! + 1, row[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1)));
    row = next;
  }
  return row[b.length]!;
}
