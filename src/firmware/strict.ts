/** A firmware for emitters that want to be safe: it takes only what SeaBIOS and EDK2 treat alike. */
import { handOffProblems, problemText } from "../loader/rules.ts";
import type { Behaviour, Bench } from "./frame.ts";
import { generic } from "./generic.ts";

/** Problems named in a refusal at most; `handOffProblems` has them all. */
const SHOWN = 5;

/** Refuses a hand-off with any problem some firmware mishandles; carries out all others as written. */
export function strict(bench: Bench): Behaviour {
  return {
    ...generic(bench),
    begin() {
      const problems = handOffProblems(bench.device.files()).map(problemText);
      if (problems.length === 0) return undefined;
      return [...problems.slice(0, SHOWN), ...(problems.length > SHOWN ? [`and ${problems.length - SHOWN} more`] : [])].join("; ");
    },
  };
}
