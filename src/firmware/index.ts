/** What firmware makes of a hand-off, and what the operating system finds after it. */
export * from "./boot.ts";
export * from "./consequence.ts";
export * from "./error-sources.ts";
export * from "./os-view.ts";
