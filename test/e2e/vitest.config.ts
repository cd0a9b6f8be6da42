import { defineConfig } from "vitest/config";

/** One machine at a time: an emulated one takes a processor, and times are measured. What is learnt about a machine is kept for all files. */
export default defineConfig({
  test: {
    include: ["test/e2e/**/*.e2e.ts"],
    fileParallelism: false,
    isolate: false,
    testTimeout: 240_000,
    hookTimeout: 240_000,
  },
});
