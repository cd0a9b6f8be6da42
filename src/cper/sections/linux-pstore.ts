/** What Linux itself stores in ERST: kernel messages and machine checks (Linux drivers/acpi/apei/erst.c, arch/x86/kernel/cpu/mce/apei.c). */
import { blob, hex, orZero, type Parsed, parse, type SectionType, sequence, type Tree, u8, u32, u64 } from "../../layout/index.ts";
import { inflate } from "../inflate.ts";
import { type BankRegisters, bankSummary, bankTree, cpuModel, mcgCapabilityTree, mcgStatusTree } from "../machine-check/index.ts";

export const LinuxMessages = sequence("Linux Kernel Messages", "Linux drivers/acpi/apei/erst.c", () => ({ text: blob("Kernel messages, UTF-8 or ASCII") }));
export const LinuxCompressedMessages = sequence("Linux Kernel Messages, compressed", "Linux drivers/acpi/apei/erst.c", () => ({
  compressed: blob("Kernel messages, in the form the kernel's pstore compression gives: raw deflate on recent ones"),
}));

const SOURCE = "Linux include/uapi/asm/mce.h, struct mce";
/** Fields were only ever added at the end, so that older kernels' records are shorter. */
export const LinuxMachineCheck = sequence("Linux Machine Check", SOURCE, () => ({
  status: u64("MCi_STATUS"),
  misc: orZero(u64("MCi_MISC")),
  address: orZero(u64("MCi_ADDR")),
  globalStatus: orZero(u64("MCG_STATUS")),
  instructionPointer: orZero(u64("Instruction pointer")),
  timeStampCounter: orZero(u64("Time stamp counter")),
  time: orZero(u64("Seconds since 1970")),
  cpuVendor: orZero(u8("Vendor of the processor: 0 Intel, 2 AMD, 9 Hygon")),
  injectFlags: orZero(hex(u8("Software inject flags"))),
  severity: orZero(u8("Severity")),
  reserved: orZero(u8("Not used")),
  cpuid: orZero(hex(u32("CPUID function 1 EAX"))),
  codeSegment: orZero(u8("Code segment")),
  bank: orZero(u8("Bank that logged the error")),
  cpu: orZero(u8("Processor, in records of old kernels")),
  finished: orZero(u8("Whether the entry is complete")),
  extendedCpu: orZero(u32("Processor")),
  socketId: orZero(u32("Processor socket")),
  apicId: orZero(u32("Initial APIC id")),
  globalCapability: orZero(u64("MCG_CAP")),
  rest: blob("What newer kernels add: AMD SYND, IPID, PPIN, microcode version, flags, SYND1 and SYND2"),
}));
export type LinuxMachineCheck = Parsed<typeof LinuxMachineCheck>;

export const Newer = sequence("Linux Machine Check, newer fields", SOURCE, () => ({
  syndrome: u64("MCA_SYND"),
  ipId: u64("MCA_IPID"),
  ppin: u64("Protected processor inventory number"),
  microcode: hex(u32("Microcode version")),
  padding: hex(u32("Padding")),
  kernelFlags: u64("What handled the error"),
  syndrome1: u64("MCA_SYND1"),
  syndrome2: u64("MCA_SYND2"),
}));
/** Numbers of the kernel's x86 vendors whose banks follow AMD's rules: AMD and Hygon. */
const AMD_VENDORS: ReadonlySet<number> = new Set([2, 9]);

function bankOf(body: LinuxMachineCheck): BankRegisters {
  const newer = body.rest ? parse(Newer, body.rest) : {};
  const amd = AMD_VENDORS.has(body.cpuVendor ?? 0);
  return {
    vendor: amd ? "amd" : body.cpuVendor === 0 ? "intel" : "other",
    status: body.status ?? 0n,
    address: body.address,
    misc: body.misc,
    capability: body.globalCapability,
    ...(amd && { ...newer, cpu: cpuModel(body.cpuid ?? 0) }),
  };
}

const NONE = new Uint8Array(0);
const firstLine = (text: Uint8Array | undefined) =>
  new TextDecoder()
    .decode((text ?? NONE).subarray(0, 400))
    .split("\n", 1)[0]!
    .slice(0, 100);

const messageLines = (text: Uint8Array | undefined): readonly Tree[] =>
  new TextDecoder()
    .decode(text ?? NONE)
    .split("\n")
    .filter((line) => line !== "")
    .map((label) => ({ label }));

export const linuxPstoreSections: readonly SectionType[] = [
  {
    guids: ["c197e04e-d545-4a70-9c17-a5549419eb12"],
    name: "linuxMessages",
    title: "Linux kernel messages",
    layout: LinuxMessages,
    summary: (body: Parsed<typeof LinuxMessages>) => `${body.text?.length ?? 0} bytes: ${firstLine(body.text)}`,
    explain: (body: Parsed<typeof LinuxMessages>) => messageLines(body.text),
  },
  {
    guids: ["4f118707-04dd-4055-b5dd-956d34ddfac6"],
    name: "linuxCompressedMessages",
    title: "Linux kernel messages, compressed",
    layout: LinuxCompressedMessages,
    summary: (body: Parsed<typeof LinuxCompressedMessages>) => {
      const { bytes, complete } = inflate(body.compressed ?? NONE);
      return bytes.length === 0
        ? `${body.compressed?.length ?? 0} bytes`
        : `${body.compressed!.length} bytes, expanded ${bytes.length}${complete ? "" : " before damage"}: ${firstLine(bytes)}`;
    },
    explain: (body: Parsed<typeof LinuxCompressedMessages>) => messageLines(inflate(body.compressed ?? NONE).bytes),
  },
  {
    guids: ["fe08ffbe-95e4-4be7-bc73-4096044a38fc"],
    name: "linuxMachineCheck",
    title: "Linux machine check",
    layout: LinuxMachineCheck,
    summary: (body: LinuxMachineCheck) =>
      body.status === undefined ? "" : [`bank ${body.bank ?? 0}`, bankSummary(bankOf(body)), `processor ${body.extendedCpu ?? 0}`].join(", "),
    explain: (body: LinuxMachineCheck): readonly Tree[] => [
      ...(body.time ? [{ label: "logged at", text: new Date(Number(BigInt.asUintN(32, body.time)) * 1000).toISOString() }] : []),
      ...(body.status === undefined ? [] : [bankTree(`bank ${body.bank ?? 0}`, bankOf(body))]),
      ...(body.globalStatus ? [mcgStatusTree(body.globalStatus)] : []),
      ...(body.globalCapability ? [mcgCapabilityTree(body.globalCapability)] : []),
    ],
  },
];
