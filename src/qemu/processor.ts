/** What QEMU tells of an x86 machine's processor. */
import type { MachineCheckTaker } from "../guest/report/machine-check.ts";
import { UsageError } from "../layout/index.ts";
import type { RealMachine } from "./machine.ts";
import type { Platform } from "./platform.ts";

export interface ProcessorState {
  readonly instructionPointer: bigint;
  readonly codeSegment: number;
  /** 0 for the kernel, 3 for programs. */
  readonly privilege: number;
  readonly halted: boolean;
  /** CR4.MCE: without it a machine check is the end. */
  readonly takesMachineChecks: boolean;
}
const CR4_MCE = 1n << 6n;

/** Registers as QEMU's monitor shows them; those of a machine that runs are of some moment. */
export async function processorState(machine: RealMachine): Promise<ProcessorState> {
  const text = await machine.qmp.human("info registers");
  const value = (name: string): bigint => {
    const digits = new RegExp(`\\b${name} *=([0-9a-f]+)`).exec(text)?.[1];
    if (digits === undefined) throw new UsageError(`QEMU's monitor does not show ${name}`);
    return BigInt(`0x${digits}`);
  };
  return {
    instructionPointer: value("RIP"),
    codeSegment: Number(value("CS")),
    privilege: Number(value("CPL")),
    halted: value("HLT") !== 0n,
    takesMachineChecks: (value("CR4") & CR4_MCE) !== 0n,
  };
}

/** As CPUID says it. */
const CPU_VENDOR = { intel: "GenuineIntel", amd: "AuthenticAMD" } as const;

/** Words of QEMU's command line that make the machine's processor one of this vendor. */
export const vendorWords = ({ words }: Platform, vendor: MachineCheckTaker["vendor"]): readonly string[] => [
  "-cpu",
  `${words.at(-1)},vendor=${CPU_VENDOR[vendor]}`,
];

/** Whose processor it says to be; undefined for others. */
export async function vendorOf({ qmp }: RealMachine): Promise<MachineCheckTaker["vendor"] | undefined> {
  const [cpu] = (await qmp.execute("query-cpus-fast")) as readonly { readonly "qom-path": string }[];
  const name = await qmp.execute("qom-get", { path: cpu!["qom-path"], property: "vendor" });
  return (["intel", "amd"] as const).find((vendor) => CPU_VENDOR[vendor] === name);
}

/** How the guest's kernel, which has started, takes machine checks; undefined when it does not. */
export async function machineChecksOf(machine: RealMachine): Promise<MachineCheckTaker | undefined> {
  if (machine.platform.architecture !== "x86" || !(await processorState(machine)).takesMachineChecks) return undefined;
  const vendor = await vendorOf(machine);
  return vendor && { vendor, collects: machine.output.includes("RAS: Correctable Errors collector initialized.") };
}
