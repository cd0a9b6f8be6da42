/** Timelines of many entries. */
import { expect, test } from "vitest";
import { Timeline, timelineLines } from "../../src/scenario/timeline.ts";

test("a long timeline has as many lines", () => {
  let now = 0;
  const timeline = new Timeline(() => now++);
  for (let i = 0; i < 150_000; i++) timeline.add("monitor", "guest", "message", "x");
  const lines = timelineLines(timeline.entries);
  expect(lines).toHaveLength(150_000);
  expect(lines.at(-1)).toBe("149999 ms  monitor → guest   x");
});
