/** `decode --format asl`: the tables in a document as source for iasl. */
import { aslLines } from "../acpi/asl.ts";
import type { Content } from "../input/content.ts";
import { leavesOf } from "../input/leaves.ts";

/** The lines of `decode --format asl`. @throws EncodeError for what iasl cannot compile to the same bytes */
export function* aslView(content: Content): Generator<string> {
  for (const { format, value } of leavesOf(content)) yield* aslLines(format.encode(value));
}
