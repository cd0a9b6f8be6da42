import { defineConfig } from "vitest/config";

/** Slow, and with programs of their own: run by `npm run test:recipes`. */
export default defineConfig({ test: { root: new URL("../..", import.meta.url).pathname, include: ["test/recipes/*.test.ts"] } });
