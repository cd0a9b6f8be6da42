/** Machine checks as Debian's Linux 7.2.13 reported them on the processors QEMU 11.1 emulates. */
import { describe, expect, test } from "vitest";
import { machineCheckReaction, type TakenMachineCheck } from "../../src/guest/report/machine-check.ts";
import { ANYTHING } from "../../src/guest/report/words.ts";

const IDLE = { codeSegment: 0x10, instructionPointer: 0xffff_ffff_a904_06cfn } as const;
const PROGRAM = { codeSegment: 0x33, instructionPointer: 0x53_6d2cn } as const;
const BANK = { cpu: 0, bank: 9, address: 0x400_0000n, misc: 0x8cn } as const;
const REQUIRED = { vendor: "intel", status: 0xbd80_0000_0000_0134n, globalStatus: 7n, ...BANK } as const;
const OPTIONAL = { vendor: "intel", status: 0xbd00_0000_0000_00c0n, globalStatus: 5n, ...BANK } as const;
const AMD = { vendor: "amd", status: 0xbc00_0800_0000_0000n, globalStatus: 7n, ...BANK } as const;

const banks = (first: string, place: string, vendor: number) => [
  `mce: [Hardware Error]: CPU 0: Machine Check Exception: ${first}`,
  `mce: [Hardware Error]: RIP${place}`,
  `mce: [Hardware Error]: TSC ${ANYTHING} ADDR 4000000 MISC 8c `,
  `mce: [Hardware Error]: PROCESSOR ${vendor}:${ANYTHING} TIME ${ANYTHING} SOCKET 0 APIC 0 microcode ${ANYTHING}`,
];
const FAILURE = `Memory failure: 0x4000: ${ANYTHING}`;

describe("Intel", () => {
  test("action required in a program: the page is taken out of use", () => {
    expect(machineCheckReaction({ ...REQUIRED, ...PROGRAM }, true)).toEqual({
      lines: [
        ...banks("7 Bank 9: bd80000000000134", " 33:<0000000000536d2c> ", 0),
        "mce: Uncorrected hardware memory error in user-access at 4000000",
        FAILURE,
      ],
    });
  });
  test("action required in the kernel, or where one was lost: the end", () => {
    const lines = banks("7 Bank 9: bd80000000000134", ` 10:<ffffffffa90406cf> {${ANYTHING}}`, 0);
    expect(machineCheckReaction({ ...REQUIRED, ...IDLE }, false)).toEqual({
      lines: [
        ...lines,
        "mce: [Hardware Error]: Run the above through 'mcelog --ascii'",
        "mce: [Hardware Error]: Machine check: Data load in unrecoverable area of kernel",
      ],
      death: "Kernel panic - not syncing: Fatal machine check on current CPU",
    });
    const lost: TakenMachineCheck = { ...REQUIRED, ...PROGRAM, status: 0xfd80_0000_0000_0134n };
    expect(machineCheckReaction(lost, false).lines.at(-1)).toBe("mce: [Hardware Error]: Machine check: Action required with lost events");
  });
  test("action optional: only a page that cannot be taken out of use is told of", () => {
    expect(machineCheckReaction({ ...OPTIONAL, ...IDLE }, true)).toEqual({ lines: [FAILURE] });
    expect(machineCheckReaction({ ...OPTIONAL, ...IDLE }, false)).toEqual({
      lines: [FAILURE, ...banks("5 Bank 9: bd000000000000c0", ` !INEXACT! 10:<ffffffffa90406cf> {${ANYTHING}}`, 0)],
    });
  });
});

describe("AMD", () => {
  test("what is not deferred is the end, whoever met it", () => {
    const { lines, death } = machineCheckReaction({ ...AMD, ...PROGRAM }, false);
    expect(lines).toEqual([
      ...banks("7 Bank 9: bc00080000000000", " 33:<0000000000536d2c> ", 2),
      "mce: [Hardware Error]: Machine check: Uncorrected error without MCA Recovery",
    ]);
    expect(death).toBe("Kernel panic - not syncing: Fatal local machine check");
    expect(machineCheckReaction({ ...AMD, ...IDLE, status: 0xfc00_0800_0000_0000n }, false).lines.at(-1)).toBe(
      "mce: [Hardware Error]: Machine check: Overflowed uncorrected error without MCA Overflow Recovery",
    );
  });
  test("what is deferred waits", () => {
    expect(machineCheckReaction({ ...AMD, ...IDLE, status: 0x9c00_1800_0000_0000n }, false)).toEqual({ lines: [] });
  });
});
