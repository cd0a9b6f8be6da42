/** What is going to happen in a run, in order of time. */
import { UsageError } from "../layout/index.ts";

/** Things that may happen in one run. */
const MOST_STEPS = 1_000_000;

interface Due {
  readonly at: number;
  readonly body: () => void;
}

/** The clock of a run and what is due at which time, milliseconds since the machine started. */
export class Agenda {
  now = 0;
  /** Latest first; of the same time, what was scheduled first is last, where it is taken from. */
  readonly #queue: Due[] = [];

  get isEmpty(): boolean {
    return this.#queue.length === 0;
  }

  schedule(at: number, body: () => void): void {
    let low = 0;
    let high = this.#queue.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.#queue[middle]!.at > at) low = middle + 1;
      else high = middle;
    }
    this.#queue.splice(low, 0, { at, body });
  }

  /** Let everything happen that is due up to a time. @throws UsageError when there is no end to it. */
  run(until: number, isOver: () => boolean): void {
    for (let steps = 0; this.#queue.length > 0 && !isOver(); steps++) {
      if (steps === MOST_STEPS) throw new UsageError(`the run does not come to an end: ${MOST_STEPS} things have happened by ${this.now} ms`);
      const due = this.#queue.pop()!;
      if (due.at > until) break;
      this.now = due.at;
      due.body();
    }
  }
}
