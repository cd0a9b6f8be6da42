/**
 * What the kernel's driver for PCI Express errors prints of a record about a function it knows, and what recovery makes
 * of the function (Linux drivers/pci/pcie/aer.c, err.c and tlp.c behaviour, and what 6.1.192 and 7.2.13 were seen to do).
 */
import { CORRECTABLE_ERROR, type PcieAer, UNCORRECTABLE_ERROR } from "../../cper/sections/pcie-capability.ts";
import { digits } from "./printer.ts";
import type { View } from "./view.ts";
import { ANYTHING, type KernelVersion } from "./words.ts";

/** How bad the driver takes an error for. */
export type AerSeverity = "correctable" | "nonfatal" | "fatal";

type Uncorrectable = keyof typeof UNCORRECTABLE_ERROR;
type Correctable = keyof typeof CORRECTABLE_ERROR;

const UNCORRECTABLE_WORDS: Readonly<Record<Uncorrectable, string>> = {
  trainingError: "Undefined",
  dataLinkProtocolError: "DLP",
  surpriseDownError: "SDES",
  poisonedTlp: "TLP",
  flowControlProtocolError: "FCP",
  completionTimeout: "CmpltTO",
  completerAbort: "CmpltAbrt",
  unexpectedCompletion: "UnxCmplt",
  receiverOverflow: "RxOF",
  malformedTlp: "MalfTLP",
  ecrcError: "ECRC",
  unsupportedRequest: "UnsupReq",
  acsViolation: "ACSViol",
  uncorrectableInternalError: "UncorrIntErr",
  mcBlockedTlp: "BlockedTLP",
  atomicOpEgressBlocked: "AtomicOpBlocked",
  tlpPrefixBlocked: "TLPBlockedErr",
  poisonedTlpEgressBlocked: "PoisonTLPBlocked",
  dmwrRequestEgressBlocked: "DMWrReqBlocked",
  ideCheckFailed: "IDECheck",
  misroutedIdeTlp: "MisIDETLP",
  pcrcCheckFailed: "PCRC_CHECK",
  tlpTranslationEgressBlocked: "TLPXlatBlocked",
};
const CORRECTABLE_WORDS: Readonly<Record<Correctable, string>> = {
  receiverError: "RxErr",
  badTlp: "BadTLP",
  badDllp: "BadDLLP",
  replayNumRollover: "Rollover",
  replayTimerTimeout: "Timeout",
  advisoryNonFatalError: "NonFatalErr",
  correctedInternalError: "CorrIntErr",
  headerLogOverflow: "HeaderOF",
};

/** A word and the errors it stands for. */
interface Class {
  readonly word: string;
  readonly correctable?: readonly Correctable[];
  readonly uncorrectable?: readonly Uncorrectable[];
}
interface AerTraits {
  /** Before the lines of registers. */
  readonly prefix: string;
  /** The first class that has one of the errors gives the word; the last is for all others. */
  readonly layers: readonly Class[];
  readonly agents: readonly Class[];
  /** Errors whose packet's header is printed; the other only where the capability says so. */
  readonly logged: readonly Uncorrectable[];
  readonly loggedWhenCapable: readonly Uncorrectable[];
  readonly header: (aer: View<typeof PcieAer>) => string;
}

const LINK: readonly Correctable[] = ["badTlp", "badDllp", "replayNumRollover", "replayTimerTimeout"];
const REPLAYS: readonly Correctable[] = ["replayNumRollover", "replayTimerTimeout"];
const INTERNAL: readonly Correctable[] = ["correctedInternalError", "headerLogOverflow"];
const EGRESS: readonly Uncorrectable[] = [
  "atomicOpEgressBlocked",
  "tlpPrefixBlocked",
  "poisonedTlpEgressBlocked",
  "dmwrRequestEgressBlocked",
  "tlpTranslationEgressBlocked",
];
const LOGGED: readonly Uncorrectable[] = ["poisonedTlp", "completerAbort", "unexpectedCompletion", "malformedTlp", "ecrcError", "unsupportedRequest"];
const PHYSICAL: Class = { word: "Physical Layer", correctable: ["receiverError"] };
const TRANSACTION: Class = { word: "Transaction Layer" };
const COMPLETER: Class = { word: "Completer ID", uncorrectable: ["completerAbort"] };
const RECEIVER: Class = { word: "Receiver ID" };

const TRAITS: Readonly<Record<KernelVersion, AerTraits>> = {
  "6.1": {
    prefix: "AER: ",
    layers: [PHYSICAL, { word: "Data Link Layer", correctable: LINK, uncorrectable: ["dataLinkProtocolError"] }, TRANSACTION],
    agents: [
      COMPLETER,
      { word: "Requester ID", uncorrectable: ["completionTimeout", "unsupportedRequest"] },
      { word: "Transmitter ID", correctable: REPLAYS },
      RECEIVER,
    ],
    logged: LOGGED,
    loggedWhenCapable: [],
    header: (aer) => `TLP Header: ${dwords(aer, "headerLog").join(" ")}`,
  },
  "7.2": {
    prefix: "",
    layers: [
      PHYSICAL,
      { word: "Data Link Layer", correctable: LINK, uncorrectable: ["dataLinkProtocolError", "surpriseDownError"] },
      { word: "General", correctable: INTERNAL, uncorrectable: ["uncorrectableInternalError"] },
      TRANSACTION,
    ],
    agents: [
      COMPLETER,
      { word: "Requester ID", uncorrectable: ["completionTimeout"] },
      { word: "Transmitter ID", correctable: REPLAYS, uncorrectable: EGRESS },
      { word: "Component ID", correctable: INTERNAL, uncorrectable: ["surpriseDownError", "uncorrectableInternalError"] },
      RECEIVER,
    ],
    logged: [...LOGGED, ...EGRESS, "acsViolation", "mcBlockedTlp", "ideCheckFailed", "misroutedIdeTlp", "pcrcCheckFailed"],
    loggedWhenCapable: ["completionTimeout"],
    header: longHeader,
  },
};

/** Four words of the capability. */
const dwords = (aer: View<typeof PcieAer>, field: "headerLog" | "rootErrorCommand"): string[] =>
  Array.from({ length: 4 }, (_, i) => digits(aer.memory.number(aer.at + aer.offset(field) + 4 * i, 4), 8));

/** Bytes from the header log to the flag for flit mode, in the kernel's structure. */
const FLIT = 57;
/** The capability is copied into a longer structure: behind the header, what the record has there is taken for prefixes. */
function longHeader(aer: View<typeof PcieAer>): string {
  if (aer.memory.byte(aer.at + aer.offset("headerLog") + FLIT) !== 0) return `TLP Header (Flit): ${ANYTHING}`;
  const words = (field: "headerLog" | "rootErrorCommand") => dwords(aer, field).map((word) => `0x${word}`);
  const prefixes = words("rootErrorCommand");
  const count = prefixes.findIndex((word) => BigInt(word) === 0n);
  const shown = prefixes.slice(0, count < 0 ? undefined : count);
  return `TLP Header: ${words("headerLog").join(" ")}${shown.length > 0 ? ` E-E Prefixes: ${shown.join(" ")}` : ""}`;
}

const FIRST = { bits: 0x1f, words: " (First)" } as const;
const WORD_WIDTH = 22;

/** @param name of the function, as in `0000:00:1f.0`. */
export function aerLines(name: string, severity: AerSeverity, aer: View<typeof PcieAer>, version: KernelVersion): string[] {
  const { prefix, layers, agents, logged, loggedWhenCapable, header } = TRAITS[version];
  const correctable = severity === "correctable";
  const status = aer.number(correctable ? "correctableStatus" : "uncorrectableStatus");
  const mask = aer.number(correctable ? "correctableMask" : "uncorrectableMask");
  const errors: Readonly<Record<string, number>> = correctable ? CORRECTABLE_ERROR : UNCORRECTABLE_ERROR;
  const words: Readonly<Record<string, string>> = correctable ? CORRECTABLE_WORDS : UNCORRECTABLE_WORDS;
  const has = (names: readonly string[] = []) => names.some((error) => (status >>> errors[error]!) & 1);
  const wordOf = (classes: readonly Class[]) => (classes.find((each) => has(correctable ? each.correctable : each.uncorrectable)) ?? classes.at(-1)!).word;
  const first = aer.number("control") & FIRST.bits;
  const names = new Map(Object.entries(errors).map(([error, bit]) => [bit, words[error]!]));
  const line = (text: string) => `${ANYTHING} ${name}: ${text}`;
  const out = [line(`${prefix}aer_status: 0x${digits(status, 8)}, aer_mask: 0x${digits(mask, 8)}`)];
  for (let bit = 0; bit < 32; bit++)
    if (((status & ~mask) >>> bit) & 1)
      out.push(line(`   [${String(bit).padStart(2)}] ${(names.get(bit) ?? "Unknown Error Bit").padEnd(WORD_WIDTH)}${bit === first ? FIRST.words : ""}`));
  out.push(line(`${prefix}aer_layer=${wordOf(layers)}, aer_agent=${wordOf(agents)}`));
  if (correctable) return out;
  out.push(line(`${prefix}aer_uncor_severity: 0x${digits(aer.number("uncorrectableSeverity"), 8)}`));
  if (has(logged) || (has(loggedWhenCapable) && aer.has("control", "completionTimeoutLogCapable"))) out.push(line(`AER:   ${header(aer)}`));
  return out;
}

/**
 * Recovery of a function that is no port and has no port above it: the kernel looks for one, and reads the list of what
 * is behind it from a structure that is not there (`pcie_do_recovery` of 6.1 and 7.2).
 */
export const RECOVERY_OOPS: Readonly<Record<"x86" | "arm64", string>> = {
  x86: "BUG: kernel NULL pointer dereference, address: 0000000000000018",
  arm64: "Unable to handle kernel NULL pointer dereference at virtual address 0000000000000018",
};
