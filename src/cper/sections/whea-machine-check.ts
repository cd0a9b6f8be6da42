/** The machine-check section Windows adds to processor and memory records (WDK ntddk.h WHEA_XPF_MCA_SECTION, versions 1 to 5). */
import {
  array,
  bits,
  blob,
  choice,
  hexNumber,
  initially,
  oneOf,
  type Parsed,
  ref,
  reserved,
  type SectionType,
  sequence,
  struct,
  type Tree,
  u32,
  u64,
} from "../../layout/index.ts";
import { fileTimeText } from "../file-time.ts";
import { type BankRegisters, bankSummary, bankTree, type CpuVendor, mcgCapabilityTree, mcgStatusTree } from "../machine-check/index.ts";

const SOURCE = "WDK ntddk.h, WHEA_XPF_MCA_SECTION";

const CPU_VENDOR = { other: 0, intel: [1, "Intel"], amd: [2, "AMD"] } as const;
/** A byte of Windows' BOOLEAN. */
export const yesNo = (doc: string) => initially(oneOf(1, doc, { no: 0, yes: 1 }), "no");

const recoveryFields = {
  failure: bits(4, "Why there was no recovery", {
    notSupported: 0,
    overflow: 1,
    contextCorrupt: 2,
    instructionPointerInvalid: 3,
    noRecoveryContext: 4,
    miscOrAddressInvalid: 5,
    badAddressMode: 6,
    highIrql: 7,
    interruptsDisabled: 8,
    swapBusy: 9,
    stackOverflow: 10,
  }),
  action: bits(4, "What was done; builds before the release used more bits", { attempted: 0, hypervisorHandled: 1 }),
  actionRequired: yesNo("Whether the error had to be handled before going on"),
  succeeded: yesNo("Whether the recovery succeeded"),
  kernel: yesNo("Whether the error was met in kernel mode"),
} as const;

const capability = initially(u64("Machine-check capabilities of the processor; can be 0 for corrected errors"), 0n);
const Extension2 = struct("Machine Check Version 2 Extension", 8, SOURCE, () => ({ capability }));
/** Ends the section, so that the 289 bytes of builds before the release read the same way as the 292 bytes of the release. */
const Extension3 = sequence("Machine Check Version 3 Extension", SOURCE, () => ({
  capability,
  ...recoveryFields,
  remainder: blob("Reserved: 9 bytes, 6 in builds before the release"),
}));
const manyBanks = <const N extends number, const S extends number>(version: N, count: number, size: S) =>
  struct(`Machine Check Version ${version} Extension`, size, SOURCE, () => ({
    capability,
    ...recoveryFields,
    reserved: reserved(9),
    extraBankCount: initially(u32("Further banks that held errors"), 0),
    extraBankNumbers: array(count, u32("Bank"), "Their numbers"),
    extraStatus: array(count, u64("Status"), "Their status registers"),
    extraAddress: array(count, u64("Address"), "Their address registers"),
    extraMisc: array(count, u64("Misc"), "Their misc registers"),
  }));
const Extension4 = manyBanks(4, 32, 928);
const Extension5 = manyBanks(5, 64, 1824);

/** AMD's order of the extended registers; for other vendors a plug-in may put its own there. */
const AMD_REGISTERS = ["IPID", "SYND", "CONFIG", "DESTAT", "DEADDR", "MISC1", "MISC2", "MISC3", "MISC4", "RAS capability"] as const;
const [IPID, SYNDROME, CONFIGURATION] = [0, 1, 2] as const;

export const WheaMachineCheck = sequence("Windows Machine Check", SOURCE, () => ({
  version: u32("Version: 1 to 5"),
  cpuVendor: initially(oneOf(4, "Vendor of the processor", CPU_VENDOR), "other"),
  time: initially(u64("When it was logged: 100 ns since 1601, UTC"), 0n),
  processorNumber: initially(u32("The operating system's index of the processor"), 0),
  globalStatus: initially(u64("MCG_STATUS"), 0n),
  instructionPointer: initially(u64("Instruction pointer"), 0n),
  bank: initially(u32("Bank that logged the error"), 0),
  status: initially(u64("MCi_STATUS"), 0n),
  address: initially(u64("MCi_ADDR"), 0n),
  misc: initially(u64("MCi_MISC"), 0n),
  extendedRegisterCount: initially(u32("Extended registers; not reliable"), 0),
  apicId: initially(u32("Local APIC id; reserved in version 1"), 0),
  extendedRegisters: initially(
    array(24, u64("Register"), "Extended registers; AMD: IPID, SYND, CONFIG, DESTAT, DEADDR, MISC1 to MISC4, RAS capability"),
    Array.from({ length: 24 }, () => 0n),
  ),
  extension: choice(ref("version"), "What later versions added", { 2: Extension2, 3: Extension3, 4: Extension4, 5: Extension5 }),
}));
export type WheaMachineCheck = Parsed<typeof WheaMachineCheck>;

type Extension = Partial<Parsed<typeof Extension3> & Parsed<typeof Extension4>>;
const extensionOf = (body: WheaMachineCheck): Extension => (body.extension && !(body.extension instanceof Uint8Array) ? (body.extension as Extension) : {});

/** The bank of a machine-check section as the machine-check room reads it. */
export function bankOf(body: WheaMachineCheck): BankRegisters {
  const vendor: CpuVendor = body.cpuVendor === "intel" || body.cpuVendor === "amd" ? body.cpuVendor : "other";
  const registers = body.extendedRegisters ?? [];
  return {
    vendor,
    status: body.status ?? 0n,
    address: body.address,
    misc: body.misc,
    capability: extensionOf(body).capability,
    ...(vendor === "amd" && { ipId: registers[IPID], syndrome: registers[SYNDROME], configuration: registers[CONFIGURATION] }),
  };
}

/** Bytes after `kernel` in the builds before the release. */
const PRERELEASE_REMAINDER = 6;

function explain(body: WheaMachineCheck): readonly Tree[] {
  const out: Tree[] = [];
  if (body.time) out.push({ label: "logged at", text: fileTimeText(body.time) });
  if (body.globalStatus) out.push(mcgStatusTree(body.globalStatus));
  if (body.status !== undefined) out.push(bankTree(`bank ${body.bank ?? 0}`, bankOf(body)));
  const extension = extensionOf(body);
  if (extension.capability) out.push(mcgCapabilityTree(extension.capability));
  const registers = (body.extendedRegisters ?? []).flatMap((value, i): Tree[] =>
    value === 0n ? [] : [{ label: (body.cpuVendor === "amd" ? AMD_REGISTERS[i] : undefined) ?? `register ${i}`, text: hexNumber(value) }],
  );
  if (registers.length > 0)
    out.push({
      label: "extended registers in use",
      text: `${registers.length}`,
      ...(body.cpuVendor !== "amd" && { note: "written by a plug-in, meaning unknown" }),
      children: registers,
    });
  const { extraBankCount = 0, extraBankNumbers = [], extraStatus = [], extraAddress = [], extraMisc = [] } = extension;
  for (let i = 0; i < Math.min(extraBankCount, extraStatus.length); i++)
    out.push(
      bankTree(`further bank ${extraBankNumbers[i]}`, { ...bankOf(body), ...NO_BLOCK, status: extraStatus[i]!, address: extraAddress[i], misc: extraMisc[i] }),
    );
  if (extension.remainder?.length === PRERELEASE_REMAINDER)
    out.push({ label: "form", text: "289 bytes, written by Windows builds of spring 2020 before version 3 was released" });
  return out;
}
/** The extended registers belong to the first bank alone. */
const NO_BLOCK = { ipId: undefined, syndrome: undefined, configuration: undefined };

export const wheaMachineCheck: SectionType = {
  guids: ["8a1e1d01-42f9-4557-9c33-565e5cc3f7e8"],
  name: "wheaMachineCheck",
  title: "Windows machine check error",
  layout: WheaMachineCheck,
  summary: (body: WheaMachineCheck) =>
    body.status === undefined ? "" : [`bank ${body.bank ?? 0}`, bankSummary(bankOf(body)), `processor ${body.processorNumber ?? 0}`].join(", "),
  explain,
};
