/** Windows' count of 100 nanoseconds since 1601. */
import { hexNumber } from "../layout/index.ts";

/** Milliseconds from the first of January 1601 to that of 1970, UTC. */
const EPOCH_MILLISECONDS = 11_644_473_600_000n;
/** What JavaScript dates can hold. */
const MOST_MILLISECONDS = 8_640_000_000_000_000n;

/** A file time as `2020-03-31T02:28:36.123Z`; `none` for zero; the number alone where no calendar reaches. */
export function fileTimeText(value: bigint): string {
  if (value === 0n) return "none";
  const milliseconds = value / 10_000n - EPOCH_MILLISECONDS;
  return milliseconds > MOST_MILLISECONDS ? hexNumber(value) : new Date(Number(milliseconds)).toISOString();
}
