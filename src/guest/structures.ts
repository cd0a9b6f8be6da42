/** Questions about layouts that a program working on raw memory asks. */
import { type Names, numberOf } from "../layout/index.ts";

/** The number behind a decoded enumeration value. */
export const codeOf = (names: Names, value: string | number): number => (typeof value === "number" ? value : numberOf(names[value]!));
