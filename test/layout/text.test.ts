import { expect, test } from "vitest";
import { array, fieldTrees, struct, treeLines, u8 } from "../../src/layout/index.ts";

const Row = struct("Row", 8, "test", { items: array(8, u8("Item"), "Items") });
const lines = (items: number[]) => fieldTrees(Row, { items }).flatMap((tree) => treeLines(tree).map((line) => line.trim()));

test("equal items in a row are one line, from three on", () => {
  expect(lines([7, 0, 0, 0, 0, 1, 2, 2])).toEqual(["items: 8", "[0]: 7", "[1] to [4]: 0", "[5]: 1", "[6]: 2", "[7]: 2"]);
});
