/** The random scenarios that are run on real machines are scenarios of the language, and the model carries them out too. */
import { expect, test } from "vitest";
import { Dice } from "../../src/input/generate.ts";
import { readScenario } from "../../src/scenario/read.ts";
import { runScenario } from "../../src/scenario/runner.ts";
import { randomScenario } from "../support/random-scenario.ts";

test.each(["x86", "arm64"] as const)("on %s", { timeout: 60_000 }, async (architecture) => {
  for (let seed = 0; seed < 10; seed++) {
    const text = JSON.stringify(randomScenario(new Dice(seed), { architecture }));
    expect(JSON.stringify(randomScenario(new Dice(seed), { architecture }))).toBe(text);
    const { accounts } = runScenario({ ...(await readScenario(text)), until: 1_000 });
    for (const { submitted, written, waiting, refused, dropped, merged, overflowed, overwritten } of Object.values(accounts))
      expect(written + waiting + refused + dropped + merged + overflowed + overwritten, `seed ${seed}`).toBe(submitted);
  }
});
