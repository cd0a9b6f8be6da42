/** Machine checks given to real x86 guests: what they make of the banks, and what becomes of guests that take none. */
import { expect, test } from "vitest";
import type { Scenario } from "../../src/scenario/schema.ts";
import { describeOn, expectPredicted, runOn } from "./support.ts";

type Code = "actionRequired" | "actionOptional";
const scenario = (vendor: "intel" | "amd", ...errors: readonly (readonly [code: Code, physicalAddress: string])[]): Scenario => ({
  name: "machine checks",
  monitor: "qemu-10.2",
  machine: { architecture: "x86", ras: false, vendor },
  events: errors.map(([code, physicalAddress], at) => ({ at, sigbus: { code, physicalAddress } })),
});

describeOn("seabios@sid")("a kernel that takes machine checks", () => {
  test("Intel's: pages are taken out of use, be it a program that met the error or nobody", async () => {
    const result = await runOn(
      "seabios@sid",
      scenario("intel", ["actionOptional", "0x9000000"], ["actionRequired", "0x8000000"], ["actionOptional", "0x9000000"]),
    );
    expectPredicted(result);
    expect(result.outcome).toBe("running");
    expect(result.checks.map(({ lines }) => lines.some(({ text }) => text.startsWith("Memory failure: ")))).toEqual([true, true, true]);
    // The second time the page is lost already, and the kernel tells what it was told.
    expect(result.checks[2]!.lines).toHaveLength(5);
  });
  test("AMD's: a deferred one waits in its bank, the next is the end", async () => {
    const result = await runOn("seabios@sid", scenario("amd", ["actionOptional", "0x9000000"], ["actionRequired", "0x8000000"]));
    expectPredicted(result);
    expect(result.outcome).toBe("panicked");
    expect(result.checks[0]!.lines).toEqual([]);
    expect(result.checks[1]!.lines.map(({ text }) => text)).toContain(
      "mce: [Hardware Error]: Machine check: Overflowed uncorrected error without MCA Overflow Recovery",
    );
  });
});

describeOn("seabios")("a kernel made without machine checks", () => {
  test("is reset by them", async () => {
    const result = await runOn("seabios", scenario("intel", ["actionOptional", "0x9000000"]));
    expectPredicted(result);
    expect(result.outcome).toBe("ended");
    expect(result.checks[0]!.lines.map(({ text }) => text)).toEqual(["CPU 0: MCE capability is not enabled, raising triple fault", "the guest is reset"]);
  });
});
