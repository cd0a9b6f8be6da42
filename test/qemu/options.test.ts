/** Options that make no sense are refused before anything is fetched or started. */
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { apei } from "../support/cli.ts";

const sample = fileURLToPath(new URL("../../samples/qemu/memory-errors.json", import.meta.url));

test.each([
  [["--timeout", "-1"], "--timeout: wants seconds, more than 0 and at most 86400"],
  [["--timeout", "0"], "--timeout: wants seconds, more than 0 and at most 86400"],
  [["--initrd", "x"], "--initrd belongs to a guest of your own: name its kernel with --kernel"],
  [["--ready", "x"], "--ready belongs to a guest of your own: name its kernel with --kernel"],
])("%s", async (words, message) => {
  const { exit, err } = await apei(["qemu", "run", sample, "--firmware", "seabios", ...words]);
  expect([exit, err]).toEqual([2, `apei: ${message}\n`]);
});
