/** Lines that are hard to tell apart, and lines that cannot be raised. */
import { expect, test } from "vitest";
import { compareLines, isBootLine, isReport, likely, shown } from "../../src/qemu/kernel-log.ts";
import type { RealMachine } from "../../src/qemu/machine.ts";
import { notify } from "../../src/qemu/notify.ts";
import { PLATFORMS } from "../../src/qemu/platform.ts";

test("lines of a report without its number, and what text in a record makes of a line, are found", () => {
  const complaints = ["[Firmware Warn]: error section length is too small", "[Firmware Warn]: valid bits set for fields beyond structure"];
  expect(complaints.filter(isReport)).toEqual(complaints);
  expect(complaints.filter(isBootLine)).toEqual(complaints);
  const predicted = shown(["{1}[Hardware Error]:  fru_text: one\r", "two", ""]);
  expect(predicted).toEqual(["{1}[Hardware Error]:  fru_text: one", "two"]);
  expect(["{1}[Hardware Error]:  fru_text: one", "two", "three", ""].filter(likely(isReport, predicted))).toEqual(predicted);
});

test("long lists of lines with one difference are compared at once", () => {
  const lines = Array.from({ length: 50_000 }, (_, i) => `line ${i}`);
  const compared = compareLines(lines, lines.with(30_000, "another"));
  expect(compared.filter(({ kind }) => kind !== "same")).toEqual([
    { kind: "missing", text: "line 30000" },
    { kind: "unexpected", text: "another" },
  ]);
  expect(compared).toHaveLength(50_001);
});

test("an interrupt line the machine does not have is not raised", async () => {
  const machine = (firmware: "seabios" | "aavmf") => ({ platform: PLATFORMS[firmware] }) as unknown as RealMachine;
  expect(await notify(machine("seabios"), "externalInterrupt", 24)).toEqual({
    done: false,
    words: "there is no interrupt line 24: with SeaBIOS they are 0 to 23",
  });
  expect((await notify(machine("aavmf"), "externalInterrupt", 3)).words).toBe("there is no interrupt line 3: with AAVMF they are 32 to 287");
  expect(await notify(machine("aavmf"), "sdei", 3)).toEqual({ done: false, words: "an emulated machine cannot raise sdei" });
});
