/** The section types this package knows. A new family is one file under `sections/` and one line here. */
import { SectionRegistry } from "../layout/index.ts";
import { platformMemory } from "./sections/memory.ts";

export const sectionTypes = new SectionRegistry([platformMemory]);
