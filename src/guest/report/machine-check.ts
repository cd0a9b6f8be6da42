/**
 * What an x86 kernel prints of machine checks (Linux arch/x86/kernel/cpu/mce/apei.c, core.c and severity.c behaviour):
 * those it makes of memory errors in records, and those the processor takes. No driver that decodes them is loaded.
 *
 * "Machine check events logged" is no part of it: that line is printed twice a minute at most.
 */
import { IntelMisc, IntelStatus, registerWord } from "../../cper/machine-check/registers.ts";
import type { PlatformMemory } from "../../cper/sections/memory.ts";
import { digits } from "./printer.ts";
import type { View } from "./view.ts";
import { ANYTHING } from "./words.ts";

/** What of an x86 machine and its kernel decides what is said. */
export interface MachineCheckTaker {
  readonly vendor: "intel" | "amd";
  /** Whether corrected memory errors are counted by a collector instead of printed, on Intel's processors. */
  readonly collects: boolean;
}

const PREFIX = "mce: [Hardware Error]: ";
const PAGE_SHIFT = 12;
/** The number of no bank, as the kernel prints it. */
const NO_BANK = 0xff;
/** A memory read error on an unknown channel. */
const READ_ERROR = 0x9f;

/** What a bank of a processor holds. */
interface Bank {
  readonly vendor: MachineCheckTaker["vendor"];
  readonly cpu: number;
  readonly bank: number;
  readonly status: bigint;
  readonly globalStatus: bigint;
  readonly address: bigint;
  readonly misc: bigint;
}
interface Printed extends Bank {
  /** Where the processor was, as the kernel prints it. */
  readonly place?: string;
  readonly timeStamp: string;
}
/** Vendors as the kernel numbers them. */
const VENDOR = { intel: 0, amd: 2 } as const;
const IN_PROGRESS = 4n;

/** The lines for one machine check. Its time, and what the processor is, are left open. */
function machineCheckLines({ cpu, bank, status, globalStatus, address, misc, place, vendor, timeStamp }: Printed): string[] {
  const kind = (globalStatus & IN_PROGRESS) !== 0n ? "Machine Check Exception" : "Machine Check";
  return [
    `${PREFIX}CPU ${cpu}: ${kind}: ${digits(globalStatus)} Bank ${bank}: ${digits(status, 16)}`,
    ...(place === undefined ? [] : [`${PREFIX}RIP${place}`]),
    `${PREFIX}TSC ${timeStamp} ${address === 0n ? "" : `ADDR ${digits(address)} `}${misc === 0n ? "" : `MISC ${digits(misc)} `}`,
    `${PREFIX}PROCESSOR ${VENDOR[vendor]}:${ANYTHING} TIME ${ANYTHING} SOCKET 0 APIC ${cpu} microcode ${ANYTHING}`,
  ];
}

/** A memory section that is passed on as a machine check. @param uncorrected whether its block is worse than corrected. */
export function memoryMachineCheck(body: View<typeof PlatformMemory>, uncorrected: boolean, { vendor, collects }: MachineCheckTaker): string[] {
  if (!body.has("validation", "physicalAddress")) return [];
  if (!uncorrected && collects && vendor === "intel") return [];
  const mask = body.has("validation", "physicalAddressMask") ? Number(body.wide("physicalAddressMask") & ((1n << BigInt(PAGE_SHIFT)) - 1n)) : 0;
  const lsb = mask === 0 ? PAGE_SHIFT : 31 - Math.clz32(mask & -mask);
  return machineCheckLines({
    cpu: 0,
    bank: NO_BANK,
    status: registerWord(IntelStatus, {
      valid: true,
      enabled: true,
      miscValid: true,
      addressValid: true,
      ...(uncorrected && { uncorrected }),
      code: READ_ERROR,
    }),
    globalStatus: 0n,
    address: body.wide("physicalAddress"),
    misc: registerWord(IntelMisc, { addressLeastSignificantBit: lsb, addressMode: "physical" }),
    vendor,
    timeStamp: "0",
  });
}

/** A machine check that a processor takes, and where it was when it did. */
export interface TakenMachineCheck extends Bank {
  readonly codeSegment: number;
  readonly instructionPointer: bigint;
}
export interface MachineCheckReaction {
  /** In any order, and without what is said of a program that is killed. */
  readonly lines: readonly string[];
  /** What the kernel dies with. */
  readonly death?: string;
}

const UNCORRECTED = registerWord(IntelStatus, { uncorrected: true });
const OVERFLOW = registerWord(IntelStatus, { overflow: true });
const ACTION_REQUIRED = registerWord(IntelStatus, { actionRequired: true });
const EXACT = 2n;
const KERNEL_SEGMENT = 0x10;
const isUser = (codeSegment: number) => (codeSegment & 3) === 3;

/**
 * What the kernel makes of a memory error the processor tells it of, on the processors QEMU emulates: AMD's cannot
 * recover, and Intel's are too old a model to wait for each other.
 * @param recovered whether the page was taken out of use, which the kernel says before.
 */
export function machineCheckReaction(taken: TakenMachineCheck, recovered: boolean): MachineCheckReaction {
  const { vendor, status, globalStatus, address, codeSegment, instructionPointer } = taken;
  // A deferred error waits in its bank for the kernel's next round, which may be minutes away.
  if ((status & UNCORRECTED) === 0n) return { lines: [] };
  const inKernel = codeSegment === KERNEL_SEGMENT ? `{${ANYTHING}}` : "";
  const place = `${(globalStatus & EXACT) === 0n ? " !INEXACT!" : ""} ${digits(codeSegment, 2)}:<${digits(instructionPointer, 16)}> ${inKernel}`;
  const lines = machineCheckLines({ ...taken, place, timeStamp: ANYTHING });
  const overflown = (status & OVERFLOW) !== 0n;
  if (vendor === "amd") {
    const why = overflown ? "Overflowed uncorrected error without MCA Overflow Recovery" : "Uncorrected error without MCA Recovery";
    return { lines: [...lines, `${PREFIX}Machine check: ${why}`], death: "Kernel panic - not syncing: Fatal local machine check" };
  }
  const failure = `Memory failure: 0x${digits(address >> BigInt(PAGE_SHIFT))}: ${ANYTHING}`;
  if ((status & ACTION_REQUIRED) === 0n) return { lines: [failure, ...(recovered ? [] : lines)] };
  if (overflown || !isUser(codeSegment)) {
    const why = overflown ? "Action required with lost events" : "Data load in unrecoverable area of kernel";
    return {
      lines: [...lines, `${PREFIX}Run the above through 'mcelog --ascii'`, `${PREFIX}Machine check: ${why}`],
      death: "Kernel panic - not syncing: Fatal machine check on current CPU",
    };
  }
  return { lines: [...lines, `mce: Uncorrected hardware memory error in user-access at ${digits(address)}`, failure] };
}
