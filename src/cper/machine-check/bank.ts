/** One machine-check bank in words: what its registers say, by the vendor's rules. */
import { fieldLabel, hexNumber, type Tree } from "../../layout/index.ts";
import { amdErrorCode, INTEL_KNOWN, intelErrorCode, ROOT_PORT_ERROR } from "./error-code.ts";
import {
  AmdConfiguration,
  AmdIpId,
  AmdMisc0,
  AmdStatus,
  IntelMisc,
  IntelRootPortMisc,
  IntelStatus,
  McgCapability,
  McgStatus,
  readRegister,
} from "./registers.ts";
import { bankType, type CpuModel } from "./smca.ts";

export type CpuVendor = "intel" | "amd" | "other";

/** The registers of one bank, as far as they are known. Absent and zero mean the same for all but `status`. */
export interface BankRegisters {
  /** `other` is read by the rules common to all x86 processors, which are Intel's. */
  readonly vendor: CpuVendor;
  readonly status: bigint;
  readonly address?: bigint | undefined;
  readonly misc?: bigint | undefined;
  /** MCG_CAP: tells whether the recovery and threshold bits mean anything. */
  readonly capability?: bigint | undefined;
  /** AMD: which block of the processor. */
  readonly ipId?: bigint | undefined;
  readonly configuration?: bigint | undefined;
  readonly syndrome?: bigint | undefined;
  /** AMD: hold the name of a field replaceable unit when the configuration says so. */
  readonly syndrome1?: bigint | undefined;
  readonly syndrome2?: bigint | undefined;
  /** AMD: some models number their causes differently. */
  readonly cpu?: CpuModel | undefined;
}

export interface BankReading {
  /** False when the status register's valid bit is clear: nothing is logged. */
  readonly valid: boolean;
  /** What class of error: "corrected", "uncorrected, action required", … */
  readonly severity: string;
  /** What broke. */
  readonly cause: string;
  /** Where. */
  readonly place: readonly string[];
  /** Address with the bits that mean nothing cleared; absent when none is valid. */
  readonly address?: bigint;
}

const signed = (value: bigint | undefined) => value ?? 0n;
/** Clear the bits of an address below the least significant one that is valid. */
const aligned = (address: bigint, leastSignificantBit: number) => (address >> BigInt(leastSignificantBit)) << BigInt(leastSignificantBit);
const MODE_WORDS: Readonly<Record<string, string>> = { linear: "linear address", segmentOffset: "segment offset", memory: "memory address" };

function readIntel(bank: BankRegisters): BankReading {
  const status = readRegister(IntelStatus, bank.status);
  const capability = bank.capability ? readRegister(McgCapability, bank.capability) : undefined;
  const recovery = capability === undefined || Boolean(capability.softwareErrorRecovery);
  const severity = !status.uncorrected
    ? `corrected${capability?.thresholdStatus && status.threshold === "yellow" ? ", above threshold" : ""}`
    : status.processorContextCorrupt
      ? "fatal"
      : !recovery
        ? "uncorrected"
        : status.signalled
          ? status.actionRequired
            ? "uncorrected, action required"
            : "uncorrected, action optional"
          : status.actionRequired
            ? "uncorrected"
            : "uncorrected, no action required";
  const code = status.code ?? 0;
  const known = INTEL_KNOWN.find(([low, high]) => (code & ~0x1000) >= low && (code & ~0x1000) <= high);
  const cause = known ? `${known[2]} (${intelErrorCode(code)})` : intelErrorCode(code);
  const place: string[] = [];
  let address: bigint | undefined;
  const misc = signed(bank.misc);
  if (status.miscValid && (code & ~0x1000) === ROOT_PORT_ERROR) {
    const port = readRegister(IntelRootPortMisc, misc);
    const two = (value: number | undefined) => (value ?? 0).toString(16).padStart(2, "0");
    place.push(`root port ${two(port.segment).padStart(4, "0")}:${two(port.bus)}:${two(port.device)}.${port.function ?? 0}`);
  }
  if (status.addressValid) {
    const lowest = status.miscValid ? readRegister(IntelMisc, misc) : undefined;
    address = aligned(signed(bank.address), lowest?.addressLeastSignificantBit ?? 0);
    const mode = lowest?.addressMode;
    place.push(`${mode === "physical" ? "physical address" : (MODE_WORDS[String(mode)] ?? "address")} ${hexNumber(address)}`);
  }
  return { valid: Boolean(status.valid), severity, cause, place, ...(address !== undefined && { address }) };
}

const isScalable = (bank: BankRegisters) => signed(bank.ipId) !== 0n || signed(bank.configuration) !== 0n;

/** The address register of an AMD bank with the count of invalid low bits that newer banks keep in its top byte. */
function amdAddress(bank: BankRegisters, lsbInStatus: boolean, statusLsb: number): { address: bigint; leastSignificantBit: number } {
  const raw = signed(bank.address);
  if (!isScalable(bank)) return { address: raw, leastSignificantBit: 0 };
  const leastSignificantBit = lsbInStatus ? statusLsb : Number((raw >> 56n) & 0x3fn);
  return { address: aligned(BigInt.asUintN(56, raw), leastSignificantBit), leastSignificantBit };
}

/** Banks older than the scalable ones have five bits of extended code. */
const OLD_EXTENDED_CODE = 0x1f;

function readAmd(bank: BankRegisters): BankReading {
  const status = readRegister(AmdStatus, bank.status);
  const scalable = isScalable(bank);
  const configuration = readRegister(AmdConfiguration, signed(bank.configuration));
  const severity = status.uncorrected
    ? status.processorContextCorrupt
      ? "fatal"
      : scalable && status.taskContextCorrupt
        ? "uncorrected, the task is lost"
        : "uncorrected, containable"
    : status.deferred
      ? "deferred"
      : "corrected";
  const place: string[] = [];
  let cause = amdErrorCode(status.code ?? 0);
  if (scalable) {
    const block = readRegister(AmdIpId, signed(bank.ipId));
    const type = bankType(block.hardwareId ?? 0, block.mcaType ?? 0, bank.cpu);
    const extended = status.extendedCode ?? 0;
    if (type) {
      place.push(type.name);
      cause = `${type.causes[extended] ?? `reserved cause ${extended}`} (${cause})`;
      if (block.hardwareId === 0x96) {
        place.push(`channel ${(block.instanceId ?? 0) >>> 20}`);
        if (status.syndromeValid) place.push(`chip select ${Number(signed(bank.syndrome) & 7n)}`);
      }
    } else {
      place.push(`unknown bank type, hardware id ${hexNumber(block.hardwareId ?? 0)}, type ${block.mcaType ?? 0}`);
      cause = `extended code ${extended} (${cause})`;
    }
  } else {
    const extended = (status.extendedCode ?? 0) & OLD_EXTENDED_CODE;
    if (extended !== 0) cause = `${cause}, extended code ${extended}`;
  }
  if (scalable && status.poison) cause = `${cause}, poison`;
  const fru = configuration.fruTextInSyndrome ? fruText(bank) : "";
  if (fru) place.push(`'${fru}'`);
  let address: bigint | undefined;
  if (status.addressValid) {
    address = amdAddress(bank, Boolean(configuration.addressLsbInStatus), status.addressLeastSignificantBit ?? 0).address;
    const physical = configuration.physicalAddressValidSupported && status.physicalAddressValid;
    place.push(`${physical ? "physical address" : "address"} ${hexNumber(address)}`);
  }
  return { valid: Boolean(status.valid), severity, cause, place, ...(address !== undefined && { address }) };
}

function fruText(bank: BankRegisters): string {
  let text = "";
  for (const half of [bank.syndrome1, bank.syndrome2])
    for (let shift = 0n; shift < 64n; shift += 8n) text += String.fromCharCode(Number((signed(half) >> shift) & 0xffn));
  return text.replace(/\0.*$/s, "").trim();
}

/** What a bank's registers say. */
export const readBank = (bank: BankRegisters): BankReading => (bank.vendor === "amd" ? readAmd(bank) : readIntel(bank));

/** A bank in one line: severity, what broke, where. */
export function bankSummary(bank: BankRegisters): string {
  if (bank.status === 0n) return "nothing logged";
  const { valid, severity, cause, place } = readBank(bank);
  return [valid ? severity : `${severity} (status not marked valid)`, cause, ...place].join(", ");
}

type Register = typeof IntelStatus;
/** Members that are codes or identities rather than counts. */
const IN_HEX: ReadonlySet<string> = new Set(["code", "modelSpecificCode", "otherInformation", "instanceId", "hardwareId", "instanceIdHigh", "mcaType", "rest"]);
/** A register as a line with its bits below, clear ones left out. */
function registerTree(label: string, layout: { readonly kind: "struct"; readonly name: string }, value: bigint): Tree {
  const members = Object.entries(readRegister(layout as Register, value));
  const children = members.flatMap(([name, member]): Tree[] => {
    if (typeof member === "boolean") return [{ label: fieldLabel(name) }];
    if (typeof member === "string") return [{ label: fieldLabel(name), text: fieldLabel(member) }];
    if (Number(member) === 0) return [];
    return [{ label: name === "rest" ? "other bits" : fieldLabel(name), text: IN_HEX.has(name) ? hexNumber(member as number) : String(member) }];
  });
  return { label, text: hexNumber(value), children };
}

/** MCG_STATUS in words. */
export const mcgStatusTree = (value: bigint): Tree => registerTree("machine-check status (MCG_STATUS)", McgStatus, value);
/** MCG_CAP in words. */
export const mcgCapabilityTree = (value: bigint): Tree => registerTree("machine-check capabilities (MCG_CAP)", McgCapability, value);

/** The registers of a bank, each with its bits by name, below one line that says what they mean together. */
export function bankTree(label: string, bank: BankRegisters): Tree {
  const children: Tree[] = [];
  const amd = bank.vendor === "amd";
  const add = (name: string, layout: { readonly kind: "struct"; readonly name: string }, value: bigint | undefined) => {
    if (value) children.push(registerTree(name, layout, value));
  };
  add("status", amd ? AmdStatus : IntelStatus, bank.status);
  const reading = readBank(bank);
  const rootPort = Number(bank.status & 0xefffn) === ROOT_PORT_ERROR;
  const hasAddress = reading.address !== undefined;
  if (bank.address)
    children.push({ label: "address", text: hexNumber(reading.address ?? bank.address), ...(!hasAddress && { note: "present, but not marked valid" }) });
  // Without an address Intel's misc register means something else on every model.
  if (amd || rootPort || hasAddress) add("misc", amd ? AmdMisc0 : rootPort ? IntelRootPortMisc : IntelMisc, bank.misc);
  else if (bank.misc) children.push({ label: "misc", text: hexNumber(bank.misc) });
  add("IPID", AmdIpId, bank.ipId);
  add("configuration", AmdConfiguration, bank.configuration);
  if (bank.syndrome)
    children.push({
      label: "syndrome",
      text: hexNumber(bank.syndrome),
      ...(!readRegister(AmdStatus, bank.status).syndromeValid && { note: "present, but not marked valid" }),
    });
  return { label, text: bankSummary(bank), children };
}
