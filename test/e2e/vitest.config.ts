import { defineConfig } from "vitest/config";

/**
 * Two machines at a time: an emulated one takes a processor, or waits for its kernel's patience. What is learnt about a
 * machine is kept for all files of a worker; what has to be fetched is fetched before.
 */
export default defineConfig({
  test: {
    include: ["test/e2e/**/*.e2e.ts"],
    globalSetup: ["test/e2e/setup.ts"],
    maxWorkers: 2,
    isolate: false,
    testTimeout: 240_000,
    hookTimeout: 240_000,
  },
});
